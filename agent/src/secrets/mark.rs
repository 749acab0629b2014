//! By what a credential is known again: the fingerprint of its public half, or a keyed hash.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rescind_protocol::name::KeyFingerprint;

/// A fingerprint that says nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicMark {
    /// SHA-256 of the public key's blob, as `ssh-keygen -lf` prints it. TLS keys have one, too.
    Ssh(KeyFingerprint),
    /// GnuPG's keygrip: the name of the file in its store.
    Keygrip([u8; 20]),
    /// The fingerprint of an OpenPGP key (RFC 9580 section 5.5.4), version 4.
    OpenPgp([u8; 20]),
    /// The public key of WireGuard, as `wg show` prints it.
    Wireguard([u8; 32]),
}

/// A credential's fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fingerprint {
    /// Of its public half: comparable everywhere.
    Public(PublicMark),
    /// HMAC-SHA-256 of its value under a key that only this host's root knows: comparable only on
    /// this host, because many values can be guessed.
    Keyed([u8; 32]),
}

impl fmt::Display for PublicMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
        };
        match self {
            Self::Ssh(fingerprint) => fingerprint.fmt(f),
            Self::Keygrip(grip) => {
                f.write_str("keygrip:")?;
                hex(f, grip)
            }
            Self::OpenPgp(sum) => {
                f.write_str("openpgp:")?;
                hex(f, sum)
            }
            Self::Wireguard(public) => write!(f, "wireguard:{}", STANDARD.encode(public)),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(mark) => mark.fmt(f),
            Self::Keyed(sum) => write!(f, "HMAC-SHA256:{}", STANDARD_NO_PAD.encode(sum)),
        }
    }
}

/// Makes keyed fingerprints. Cannot be printed.
pub struct Marker(hmac::Key);

/// So that the hash of a value is not the hash of the same bytes in another use of the key.
const DOMAIN: &[u8] = b"rescind secret 1\0";

impl Marker {
    /// With the host's key, see [`crate::config::load_or_create_fingerprint_key`].
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A value's fingerprint. Equal values have equal ones, wherever they stand on this host.
    pub fn mark(&self, value: &[u8]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DOMAIN);
        context.update(value);
        let mut sum = [0; 32];
        sum.copy_from_slice(context.sign().as_ref());
        Fingerprint::Keyed(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_marks_under_one_key_only() {
        let (one, other) = (Marker::new(&[1; 32]), Marker::new(&[2; 32]));
        assert_eq!(one.mark(b"value"), one.mark(b"value"));
        assert_ne!(one.mark(b"value"), one.mark(b"valuf"));
        assert_ne!(one.mark(b"value"), other.mark(b"value"));
        // printf 'rescind secret 1\0value' | openssl dgst -sha256 -mac hmac -macopt hexkey:0101…01
        assert_eq!(
            one.mark(b"value").to_string(),
            "HMAC-SHA256:AF2z5HSHqh4H++2SXNZbODc0tzbOHtPibCD/eBkmxys"
        );
    }
}
