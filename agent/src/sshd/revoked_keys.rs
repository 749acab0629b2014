//! The file that `RevokedKeys` names: a list of keys, or a KRL.

use super::key_line::{Entry, KeyLine, LineKey};
use super::krl::{self, Krl};

/// What sshd makes of a key when it looks into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The key is not in it.
    NotListed,
    /// The key is revoked.
    Revoked,
    /// sshd gives up reading at some line before it finds the key, and then refuses it.
    Refused {
        /// The line, from 1.
        line: u32,
    },
    /// The file is a KRL that this reader does not understand to its end.
    Unreadable,
}

/// A file of revoked keys, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedKeys {
    /// A KRL; `None` where it was not understood.
    Krl(Option<Krl>),
    /// A plain list of keys.
    List(Vec<(u32, Result<KeyLine, StopsReading>)>),
}

impl RevokedKeys {
    /// Reads a file.
    pub fn parse(file: &[u8]) -> Self {
        if file.starts_with(krl::MAGIC) {
            Self::Krl(Krl::parse(file))
        } else {
            Self::List(plain_keys(file))
        }
    }

    /// Looks for a key as `sshkey_check_revoked` does.
    pub fn check(&self, key: &KeyLine) -> Revocation {
        match self {
            Self::Krl(None) => Revocation::Unreadable,
            Self::Krl(Some(krl)) if krl.revokes(key) => Revocation::Revoked,
            Self::Krl(Some(_)) => Revocation::NotListed,
            Self::List(keys) => {
                let decides = keys.iter().find_map(|(line, found)| match found {
                    Ok(found) => {
                        (found.fingerprint == key.fingerprint).then_some(Revocation::Revoked)
                    }
                    Err(StopsReading) => Some(Revocation::Refused { line: *line }),
                });
                decides.unwrap_or(Revocation::NotListed)
            }
        }
    }
}

/// sshd reads no further than this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsReading;

/// The keys of a plain list (`sshkey_in_file`): no options before them, and the first line that is no key ends the
/// reading. RSA keys that are too short are passed over.
pub fn plain_keys(file: &[u8]) -> Vec<(u32, Result<KeyLine, StopsReading>)> {
    let mut keys = Vec::new();
    for (line, raw) in (1..).zip(file.split_inclusive(|b| *b == b'\n')) {
        match Entry::parse_without_options(line, raw) {
            Entry::Blank | Entry::Comment => {}
            Entry::Key(key) if key.kind != LineKey::Foreign => keys.push((line, Ok(key))),
            Entry::Unparsed(unparsed) if unparsed.is_short_rsa() => {}
            Entry::Key(_) | Entry::Unparsed(_) => {
                keys.push((line, Err(StopsReading)));
                break;
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn lists_end_where_sshd_stops() {
        let key = |text: &str| plain_keys(text.as_bytes())[0].1.clone().unwrap();
        let check = |file: &[u8], key: &KeyLine| RevokedKeys::parse(file).check(key);
        let list = format!("# revoked\n\n  {A} alice\nno-pty {B}\n{B}\n");
        assert_eq!(check(list.as_bytes(), &key(A)), Revocation::Revoked);
        assert_eq!(
            check(list.as_bytes(), &key(B)),
            Revocation::Refused { line: 4 }
        );
        assert_eq!(check(A.as_bytes(), &key(B)), Revocation::NotListed);
        assert_eq!(
            check(b"SSHKRL\n\0\0\0\0\x01", &key(A)),
            Revocation::Unreadable
        );
    }
}
