//! A public key blob (RFC 4253 section 6.6, PROTOCOL.certkeys): its type and its one true fingerprint.
//!
//! sshd compares keys, not blobs: a blob may be written in more than one way and still be the same key (zeros before
//! an RSA number, `RSA` for the type's name). Whoever looked for a key by the digest of the blob as it stands could be
//! hidden from; so the fingerprint is taken of the key written anew, as `ssh-keygen -lf` does.

use aws_lc_rs::digest;
use rescind_protocol::name::KeyFingerprint;

use super::algorithms::{KeyType, key_type_of_name};
use super::wire::{Reader, Writer};

/// `SSH_RSA_MINIMUM_MODULUS_SIZE`, in bits.
const RSA_BITS_MIN: usize = 1024;

/// A key as its blob says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobKey {
    /// Its type.
    pub key_type: KeyType,
    /// Whether the blob is a certificate for such a key.
    pub certificate: bool,
    /// Whether its type is called by a short name, which OpenSSH takes up to 9.8.
    pub short_name: bool,
    /// Length of the modulus for RSA and DSA, else of the curve.
    pub bits: usize,
    /// The fingerprint of the key; of a certificate, that of the key it certifies.
    pub fingerprint: KeyFingerprint,
    /// The same with SHA-1, by which a KRL may name a key.
    pub sha1: [u8; 20],
}

/// Why a blob is no key that sshd takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobProblem {
    /// Not base64 as sshd decodes it.
    #[error("the key is not base64")]
    NotBase64,
    /// The type's name inside is none we know.
    #[error("the type of key inside is not known")]
    UnknownType,
    /// Cut short, too long, or not what its type says.
    #[error("the key is damaged")]
    Damaged,
    /// An RSA key below 1024 bits, which OpenSSH refuses since 7.6.
    #[error("an RSA key of {0} bits is too short")]
    TooShort(usize),
}

impl BlobKey {
    /// Decodes a blob (`sshkey_fromb`). What follows the key in a certificate is not looked at: a certificate is never
    /// compared with a key.
    pub fn parse(blob: &[u8]) -> Result<Self, BlobProblem> {
        let mut reader = Reader(blob);
        let key = Self::read(&mut reader)?;
        if !key.certificate && !reader.is_empty() {
            return Err(BlobProblem::Damaged);
        }
        Ok(key)
    }

    /// Reads a key from the front of a blob; what a certificate says beside its key is left.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BlobProblem> {
        let name = reader.text().ok_or(BlobProblem::Damaged)?;
        let (key_type, certificate) = type_in_blob(name).ok_or(BlobProblem::UnknownType)?;
        let mut plain = Writer(Vec::with_capacity(reader.0.len()));
        plain.string(key_type.name().as_bytes());
        if certificate {
            reader.string().ok_or(BlobProblem::Damaged)?;
        }
        let bits = copy_key(key_type, reader, &mut plain).ok_or(BlobProblem::Damaged)?;
        if key_type == KeyType::Rsa && bits < RSA_BITS_MIN {
            return Err(BlobProblem::TooShort(bits));
        }
        Ok(Self {
            key_type,
            certificate,
            short_name: name != key_type.name().as_bytes() && key_type_of_name(name).is_none(),
            bits,
            fingerprint: KeyFingerprint::of_blob(&plain.0),
            sha1: sha1(&plain.0),
        })
    }
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let mut sum = [0; 20];
    sum.copy_from_slice(digest.as_ref());
    sum
}

/// `sshkey_type_from_name`: a full name, or the short name of a plain type without regard to case.
fn type_in_blob(name: &[u8]) -> Option<(KeyType, bool)> {
    key_type_of_name(name).or_else(|| {
        let short = [
            ("ED25519", KeyType::Ed25519),
            ("ED25519-SK", KeyType::Ed25519Sk),
            ("DSA", KeyType::Dsa),
            ("RSA", KeyType::Rsa),
        ];
        // ECDSA's short names do not say the curve and are refused one step later.
        let (_, key_type) = short
            .iter()
            .find(|(s, _)| name.eq_ignore_ascii_case(s.as_bytes()))?;
        Some((*key_type, false))
    })
}

fn copy_key(key_type: KeyType, from: &mut Reader<'_>, to: &mut Writer) -> Option<usize> {
    let curve = |from: &mut Reader<'_>, to: &mut Writer, name: &str, bits: usize| {
        let stated = from.text()?;
        let point = from.string()?;
        // Uncompressed points only, as sshd has it; whether the point lies on the curve is left to sshd.
        if stated != name.as_bytes() || point.len() != 1 + 2 * bits.div_ceil(8) || point[0] != 4 {
            return None;
        }
        to.string(name.as_bytes());
        to.string(point);
        Some(bits)
    };
    match key_type {
        KeyType::Ed25519 | KeyType::Ed25519Sk => {
            let point = from.string().filter(|p| p.len() == 32)?;
            to.string(point);
            if key_type == KeyType::Ed25519Sk {
                to.string(from.text()?);
            }
            Some(256)
        }
        KeyType::EcdsaP256 => curve(from, to, "nistp256", 256),
        KeyType::EcdsaP384 => curve(from, to, "nistp384", 384),
        KeyType::EcdsaP521 => curve(from, to, "nistp521", 521),
        KeyType::EcdsaSk => {
            let bits = curve(from, to, "nistp256", 256)?;
            to.string(from.text()?);
            Some(bits)
        }
        KeyType::Rsa => {
            to.number(from.number()?);
            let modulus = from.number()?;
            to.number(modulus);
            Some(bit_length(modulus))
        }
        KeyType::Dsa => {
            let p = from.number()?;
            to.number(p);
            for _ in 0..3 {
                to.number(from.number()?);
            }
            Some(bit_length(p))
        }
    }
}

fn bit_length(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| 8 * number.len() - first.leading_zeros() as usize)
}

/// `b64_pton`: blanks of every kind are passed over, padding is required.
pub fn decode_base64(text: &[u8]) -> Result<Vec<u8>, BlobProblem> {
    use base64::Engine;
    let dense: Vec<u8> = text
        .iter()
        .copied()
        .filter(|b| !matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r'))
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(dense)
        .map_err(|_| BlobProblem::NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(parts: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer(Vec::new());
        parts.iter().for_each(|part| writer.string(part));
        writer.0
    }

    #[test]
    fn one_key_has_one_fingerprint_however_it_is_written() {
        let modulus = [[0xc5].as_slice(), &[7; 255]].concat();
        let zeros = |n: usize| [vec![0; n], modulus.clone()].concat();
        let usual = blob(&[b"ssh-rsa", &[1, 0, 1], &zeros(1)]);
        let key = BlobKey::parse(&usual).unwrap();
        assert_eq!((key.key_type, key.bits), (KeyType::Rsa, 2048));
        assert_eq!(key.fingerprint, KeyFingerprint::of_blob(&usual));
        for odd in [
            blob(&[b"ssh-rsa", &[0, 1, 0, 1], &zeros(3)]),
            blob(&[b"rsa", &[1, 0, 1], &zeros(1)]),
            blob(&[b"rsa-sha2-512", &[1, 0, 1], &zeros(1)]),
            blob(&[b"ssh-rsa\0", &[1, 0, 1], &zeros(1)]),
        ] {
            assert_eq!(BlobKey::parse(&odd).unwrap().fingerprint, key.fingerprint);
        }
        let negative = blob(&[b"ssh-rsa", &[1, 0, 1], &zeros(0)]);
        assert_eq!(BlobKey::parse(&negative), Err(BlobProblem::Damaged));
        let short = blob(&[
            b"ssh-rsa",
            &[1, 0, 1],
            &[&[0, 0x80], [1; 63].as_slice()].concat(),
        ]);
        assert_eq!(BlobKey::parse(&short), Err(BlobProblem::TooShort(512)));
    }

    #[test]
    fn damaged_blobs() {
        let good = blob(&[b"ssh-ed25519", &[9; 32]]);
        assert!(BlobKey::parse(&good).is_ok());
        for bad in [
            b"".to_vec(),
            good[..good.len() - 1].to_vec(),
            [good.as_slice(), &[0]].concat(),
            blob(&[b"ssh-ed25519", &[9; 31]]),
            blob(&[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 65]]),
            blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]]),
            vec![0xff; 40],
        ] {
            assert_eq!(BlobKey::parse(&bad), Err(BlobProblem::Damaged), "{bad:?}");
        }
        assert_eq!(
            BlobKey::parse(&blob(&[b"ssh-rsa1", b""])),
            Err(BlobProblem::UnknownType)
        );
        assert_eq!(
            BlobKey::parse(&blob(&[b"ECDSA", b""])),
            Err(BlobProblem::UnknownType)
        );
    }

    #[test]
    fn base64_as_sshd_decodes_it() {
        assert_eq!(decode_base64(b"YWJj\r\n").unwrap(), b"abc");
        assert_eq!(decode_base64(b"YWI=").unwrap(), b"ab");
        for bad in ["YWI", "YW=I", "YWJ=", "Y*Jj"] {
            assert_eq!(
                decode_base64(bad.as_bytes()),
                Err(BlobProblem::NotBase64),
                "{bad}"
            );
        }
    }
}
