//! Ed25519 (RFC 8032) signatures over exact bytes.
//!
//! What is signed is the pre-authentication encoding of DSSE v1: the payload type is part of the
//! message, so a signature on an order can never be shown as one on an evidence record. Bytes are
//! signed as sent and kept as received; nothing is encoded again to check a signature.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::cbor::{bytes_codec, serde_as_text};

/// The most signatures one envelope may carry.
pub const SIGNATURES_MAX: usize = 8;

/// SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Fills a buffer from the system's random source.
///
/// Panics if the system has none: nothing that needs randomness may go on without it.
pub fn fill_random(buffer: &mut [u8]) {
    SystemRandom::new()
        .fill(buffer)
        .expect("the system's random source does not fail");
}

/// The kinds of bytes that get signed; each is a DSSE payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadType {
    /// An [`crate::order::Order`].
    Order,
    /// An [`crate::evidence::RecordBody`].
    Record,
    /// Proof at enrolment that the host holds its evidence key.
    Possession,
}

impl PayloadType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "application/vnd.rescind.order+cbor",
            Self::Record => "application/vnd.rescind.record+cbor",
            Self::Possession => "application/vnd.rescind.possession",
        }
    }

    /// DSSE v1 pre-authentication encoding: `DSSEv1 SP len SP type SP len SP body`.
    fn encode(self, body: &[u8]) -> Vec<u8> {
        let kind = self.as_str();
        let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
        out.extend_from_slice(body);
        out
    }
}

/// Names a public key: the first 16 bytes of the SHA-256 of its 32 bytes, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// The id's bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
    /// From an id's bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
bytes_codec!(KeyId, 16);

/// An Ed25519 public key; its text form is the base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// The key's 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// From 32 bytes; whether they are a point on the curve shows at the first verification.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The id under which signatures name this key.
    pub fn id(&self) -> KeyId {
        let mut id = [0; 16];
        id.copy_from_slice(&sha256(&[&self.0])[..16]);
        KeyId(id)
    }
    /// Checks one signature.
    pub fn verify(
        &self,
        kind: PayloadType,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&kind.encode(body), &signature.0)
            .map_err(|_| BadSignature::Wrong { key: self.id() })
    }
}
impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}
impl FromStr for VerifyingKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let bytes = STANDARD.decode(text).map_err(|_| BadKey::NotBase64)?;
        Ok(Self(bytes.try_into().map_err(|_| BadKey::Length)?))
    }
}
bytes_codec!(VerifyingKey, 32);
serde_as_text!(VerifyingKey);

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature's 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
    /// From 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}
bytes_codec!(Signature, 64);

/// An Ed25519 private key. It cannot be printed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

/// `PrivateKeyInfo` (RFC 5208, RFC 8410) of an Ed25519 seed, up to the seed itself.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_TAIL: &str = "-----END PRIVATE KEY-----";

impl SigningKey {
    /// Makes a new key and its PEM form, which is the only form it can be kept in.
    pub fn generate() -> (Self, Zeroizing<String>) {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_HEAD);
        fill_random(&mut der[16..]);
        let body = Zeroizing::new(STANDARD.encode(*der));
        let pem = Zeroizing::new(format!("{PEM_HEAD}\n{}\n{PEM_TAIL}\n", *body));
        let key = Self::from_pem(&pem).expect("a PKCS#8 key just made is well-formed");
        (key, pem)
    }

    /// Reads the PEM form (`PRIVATE KEY`, PKCS#8), as openssl(1) also writes it.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let body = pem
            .trim()
            .strip_prefix(PEM_HEAD)
            .and_then(|rest| rest.strip_suffix(PEM_TAIL))
            .ok_or(BadKey::NotPem)?;
        let body: Zeroizing<String> =
            Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = Zeroizing::new(
            STANDARD
                .decode(body.as_bytes())
                .map_err(|_| BadKey::NotBase64)?,
        );
        let seed = der.strip_prefix(&PKCS8_HEAD).ok_or(BadKey::NotEd25519)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadKey::Length)?;
        let mut public = [0; 32];
        public.copy_from_slice(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
        Ok(Self {
            pair,
            public: VerifyingKey(public),
        })
    }

    /// The public half.
    pub const fn verifying_key(&self) -> VerifyingKey {
        self.public
    }

    /// Signs some bytes as being of a kind.
    pub fn sign(&self, kind: PayloadType, body: &[u8]) -> Signature {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(&kind.encode(body)).as_ref());
        Signature(out)
    }
}
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

/// A signature and the key that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeySignature {
    /// Which key.
    #[n(0)]
    pub key: KeyId,
    /// The signature by that key.
    #[n(1)]
    pub signature: Signature,
}

/// Exact bytes with the signatures beside them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Envelope {
    /// The bytes that were signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// One or more signatures over them.
    #[n(1)]
    pub signatures: Vec<KeySignature>,
}

impl Envelope {
    /// Signs `body` with one key.
    pub fn seal(key: &SigningKey, kind: PayloadType, body: Vec<u8>) -> Self {
        let signature = key.sign(kind, &body);
        Self {
            signatures: vec![KeySignature {
                key: key.verifying_key().id(),
                signature,
            }],
            body,
        }
    }

    /// The trusted keys that signed these bytes, each once, in the order of `trusted`.
    ///
    /// Signatures by unknown keys are passed over (another host may know them); a wrong signature
    /// in the name of a trusted key is an error, and so is having no good one at all.
    pub fn verify(
        &self,
        kind: PayloadType,
        trusted: &[VerifyingKey],
    ) -> Result<Vec<KeyId>, BadSignature> {
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(BadSignature::TooMany);
        }
        let mut signers = Vec::new();
        for key in trusted {
            let id = key.id();
            for found in self.signatures.iter().filter(|s| s.key == id) {
                key.verify(kind, &self.body, &found.signature)?;
                if !signers.contains(&id) {
                    signers.push(id);
                }
            }
        }
        if signers.is_empty() {
            return Err(BadSignature::UnknownKey);
        }
        Ok(signers)
    }
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not a PEM block labelled `PRIVATE KEY`.
    #[error("not a PEM private key (PKCS#8)")]
    NotPem,
    /// The key's text is not base64.
    #[error("not base64")]
    NotBase64,
    /// PKCS#8, but of another algorithm or version.
    #[error("not an Ed25519 key in PKCS#8 version 1")]
    NotEd25519,
    /// Not 32 bytes.
    #[error("want 32 bytes")]
    Length,
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("more than {SIGNATURES_MAX} signatures")]
    TooMany,
    /// None of the signatures is by a key that is trusted here.
    #[error("signed by no key that is trusted here")]
    UnknownKey,
    /// The signature does not fit the bytes: forged, damaged, or of another kind of payload.
    #[error("the signature in the name of key {key} is wrong")]
    Wrong {
        /// The key in whose name it was.
        key: KeyId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_as_the_same_key() {
        let (key, pem) = SigningKey::generate();
        let again = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(again.verifying_key(), key.verifying_key());
    }

    #[test]
    fn a_key_made_by_openssl_is_read() {
        // openssl genpkey -algorithm ed25519; openssl pkey -pubout -outform DER | tail -c 32
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFUNIAwawmYdKV4sZbL9TRa4yvTrPTntik57vKTQE75G\n-----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem).unwrap();
        assert_eq!(
            key.verifying_key().to_string(),
            "8f1r/anzjXMKrRNQzxW9XDLqB6k/SCOyogdSHM0v29M="
        );
    }

    #[test]
    fn a_signature_holds_for_its_bytes_kind_and_key_only() {
        let (key, _) = SigningKey::generate();
        let (other, _) = SigningKey::generate();
        let envelope = Envelope::seal(&key, PayloadType::Order, b"body".to_vec());
        let trusted = [other.verifying_key(), key.verifying_key()];
        assert_eq!(
            envelope.verify(PayloadType::Order, &trusted),
            Ok(vec![key.verifying_key().id()])
        );
        assert_eq!(
            envelope.verify(PayloadType::Order, &trusted[..1]),
            Err(BadSignature::UnknownKey)
        );
        let wrong = BadSignature::Wrong {
            key: key.verifying_key().id(),
        };
        assert_eq!(
            envelope.verify(PayloadType::Record, &trusted),
            Err(wrong.clone())
        );
        let mut changed = envelope.clone();
        changed.body[0] ^= 1;
        assert_eq!(changed.verify(PayloadType::Order, &trusted), Err(wrong));
        let mut many = envelope;
        many.signatures = vec![many.signatures[0]; SIGNATURES_MAX + 1];
        assert_eq!(
            many.verify(PayloadType::Order, &trusted),
            Err(BadSignature::TooMany)
        );
    }

    #[test]
    fn a_private_key_is_never_printed() {
        let (key, pem) = SigningKey::generate();
        let text = format!("{key:?}");
        let secret = pem.lines().nth(1).unwrap();
        assert!(!text.contains(&secret[24..40]));
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
            &pem[..40],
        ] {
            assert!(SigningKey::from_pem(bad).is_err());
        }
    }
}
