//! Keytabs: keys of services, or of people who want no password asked (MIT's `keytab_file_format`).

use zeroize::Zeroizing;

use super::kind::Kind;
use super::note::{File, Note, Notes, held};

/// Principals beyond these are not told apart.
const PRINCIPALS_MAX: usize = 1000;

/// A keytab: one credential for each principal.
pub fn keytab(file: &File<'_>, notes: &mut Notes<'_>) {
    let Some(entries) = file.bytes.strip_prefix(&[5, 2]) else {
        if !file.bytes.is_empty() {
            notes(Note::Unclear {
                kind: Kind::Keytab,
                why: "a keytab of an unknown version",
            });
        }
        return;
    };
    // All keys of a principal are known by one fingerprint, in the order of the file.
    let mut principals: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut rest = entries;
    while let Some((size, after)) = rest.split_first_chunk::<4>() {
        let size = i32::from_be_bytes(*size);
        // Holes, where an entry was taken out, have a negative size.
        let len = usize::try_from(size.unsigned_abs()).unwrap_or(usize::MAX);
        if len == 0 {
            break;
        }
        let Some((body, next)) = after.split_at_checked(len) else {
            notes(Note::Unclear {
                kind: Kind::Keytab,
                why: "a keytab that is cut short",
            });
            break;
        };
        rest = next;
        if size < 0 {
            continue;
        }
        let Some((principal, key)) = entry(body) else {
            notes(Note::Unclear {
                kind: Kind::Keytab,
                why: "a keytab with a damaged entry",
            });
            continue;
        };
        let room = principals.len() < PRINCIPALS_MAX;
        match principals.iter_mut().find(|(known, _)| *known == principal) {
            Some((_, keys)) if keys.len() + key.len() <= keys.capacity() => {
                keys.extend_from_slice(key)
            }
            Some(_) => {}
            None if !room => {}
            None => {
                // Room for all keys of the file: a buffer that grows leaves copies behind.
                let mut keys = Zeroizing::new(Vec::with_capacity(entries.len().min(4096)));
                keys.extend_from_slice(&key[..key.len().min(4096)]);
                principals.push((principal, keys));
            }
        }
    }
    for (principal, keys) in &principals {
        notes(held(Kind::Keytab, principal, keys));
    }
}

/// The principal (`service/host@REALM`) and the key of an entry.
fn entry(body: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut fields = Fields(body);
    let components = fields.number()?;
    let realm = fields.counted()?;
    let mut principal = Vec::new();
    for at in 0..components {
        if at > 0 {
            principal.push(b'/');
        }
        principal.extend_from_slice(fields.counted()?);
    }
    principal.push(b'@');
    principal.extend_from_slice(realm);
    fields.skip(4 + 4 + 1)?; // name type, time, version of the key
    fields.number()?; // its cipher
    let key = fields.counted()?;
    (!key.is_empty()).then_some((principal, key))
}

struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn number(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    fn skip(&mut self, len: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn counted(&mut self) -> Option<&'b [u8]> {
        let len = self.number()?;
        self.skip(len.into())
    }
}
