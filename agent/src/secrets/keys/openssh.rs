//! OpenSSH's own form of private keys (PROTOCOL.key of its sources). The public half stands in
//! the clear, so an encrypted key has a fingerprint, too.

use super::{Key, Strings, of_blob};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The key in a decoded `OPENSSH PRIVATE KEY`.
pub(super) fn parse(bytes: &[u8]) -> Option<Key<'_>> {
    let mut rest = Strings(bytes.strip_prefix(MAGIC)?);
    let cipher = rest.string()?;
    let _kdf = rest.string()?;
    let _kdf_options = rest.string()?;
    // No OpenSSH writes or reads more than one.
    if rest.number()? != 1 {
        return None;
    }
    let blob = rest.string()?;
    let private = rest.string()?;
    let encrypted = cipher != b"none";
    if private.is_empty() || !(encrypted || begins_well(private)) {
        return None;
    }
    let (key_type, public) = of_blob(blob);
    Some(Key {
        key_type,
        encrypted,
        public: Some(public),
        raw: private,
    })
}

/// An unencrypted private half begins with the same number twice.
fn begins_well(private: &[u8]) -> bool {
    let mut numbers = Strings(private);
    matches!((numbers.number(), numbers.number()), (Some(a), Some(b)) if a == b)
}
