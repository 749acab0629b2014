//! The file that `RevokedKeys` names: a list of keys, or a KRL (PROTOCOL.krl).

use rescind_protocol::name::KeyFingerprint;

use super::key_line::{Entry, LineKey};

/// `KRL_MAGIC`
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

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
    /// The file is a KRL, which this reader does not understand.
    Krl,
}

/// Looks for a key as `sshkey_check_revoked` does.
pub fn check(file: &[u8], fingerprint: &KeyFingerprint) -> Revocation {
    if file.starts_with(KRL_MAGIC) {
        return Revocation::Krl;
    }
    for (line, key) in plain_keys(file) {
        match key {
            Ok(found) if found == *fingerprint => return Revocation::Revoked,
            Ok(_) => {}
            Err(StopsReading) => return Revocation::Refused { line },
        }
    }
    Revocation::NotListed
}

/// sshd reads no further than this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsReading;

/// The keys of a plain list (`sshkey_in_file`): no options before them, and the first line that is no key ends the
/// reading. RSA keys that are too short are passed over.
pub fn plain_keys(file: &[u8]) -> Vec<(u32, Result<KeyFingerprint, StopsReading>)> {
    let mut keys = Vec::new();
    for (line, raw) in (1..).zip(file.split_inclusive(|b| *b == b'\n')) {
        match Entry::parse_without_options(line, raw) {
            Entry::Blank | Entry::Comment => {}
            Entry::Key(key) if key.kind != LineKey::Foreign => {
                keys.push((line, Ok(key.fingerprint)))
            }
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
        let fingerprint = |key: &str| plain_keys(key.as_bytes())[0].1.unwrap();
        let list = format!("# revoked\n\n  {A} alice\nno-pty {B}\n{B}\n");
        assert_eq!(check(list.as_bytes(), &fingerprint(A)), Revocation::Revoked);
        assert_eq!(
            check(list.as_bytes(), &fingerprint(B)),
            Revocation::Refused { line: 4 }
        );
        assert_eq!(check(A.as_bytes(), &fingerprint(B)), Revocation::NotListed);
        assert_eq!(
            check(b"SSHKRL\n\0\0\0\0\x01", &fingerprint(A)),
            Revocation::Krl
        );
    }
}
