//! Key revocation lists (PROTOCOL.krl), as far as they revoke keys.
//!
//! Certificates that a KRL revokes by serial or key id are passed over: no certificate lies on the host to be compared.

use std::collections::HashSet;

use rescind_protocol::name::KeyFingerprint;

use super::key_line::KeyLine;

/// `KRL_MAGIC`
pub const MAGIC: &[u8] = b"SSHKRL\n\0";
/// `KRL_FORMAT_VERSION`
const FORMAT_VERSION: u32 = 1;

/// The keys that a KRL revokes, CA keys among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Krl {
    sha256: HashSet<[u8; 32]>,
    sha1: HashSet<[u8; 20]>,
}

impl Krl {
    /// Reads a KRL; `None` where it is damaged, or says something that this reader does not know.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        if u32::from_be_bytes(reader.array()?) != FORMAT_VERSION {
            return None;
        }
        // krl_version, generated_date, flags
        reader.array::<24>()?;
        let (_reserved, _comment) = (reader.string()?, reader.string()?);
        let mut krl = Self::default();
        while !reader.0.is_empty() {
            let [section] = reader.array()?;
            krl.section(section, Reader(reader.string()?), &mut reader)?;
        }
        Some(krl)
    }

    fn section(&mut self, kind: u8, mut data: Reader<'_>, rest: &mut Reader<'_>) -> Option<()> {
        match kind {
            // KRL_SECTION_CERTIFICATES
            1 => return Some(()),
            // KRL_SECTION_EXPLICIT_KEY
            2 => {
                while !data.0.is_empty() {
                    self.sha256
                        .insert(*KeyFingerprint::of_blob(data.string()?).as_bytes());
                }
            }
            // KRL_SECTION_FINGERPRINT_SHA1
            3 => {
                while !data.0.is_empty() {
                    self.sha1.insert(data.string()?.try_into().ok()?);
                }
            }
            // KRL_SECTION_SIGNATURE, which has a second string and is never verified
            4 => {
                rest.string()?;
            }
            // KRL_SECTION_FINGERPRINT_SHA256
            5 => {
                while !data.0.is_empty() {
                    self.sha256.insert(data.string()?.try_into().ok()?);
                }
            }
            // KRL_SECTION_EXTENSION: name, whether it is critical, contents
            255 => {
                data.string()?;
                let [critical] = data.array()?;
                return (critical == 0).then_some(());
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether the key of a line is revoked.
    pub fn revokes(&self, key: &KeyLine) -> bool {
        self.sha256.contains(key.fingerprint.as_bytes())
            || key.sha1.is_some_and(|sum| self.sha1.contains(&sum))
    }
}

/// What is left to read (RFC 4251 section 5).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }
}
