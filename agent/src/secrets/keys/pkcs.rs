//! PKCS #1 (RFC 8017), PKCS #8 (RFC 5958), SEC 1 (RFC 5915) and OpenSSL's form of DSA keys, in DER.
//!
//! Only the public half is taken out. Where it does not stand beside the private one it is
//! computed, in the cryptographic library's own memory.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};

use super::{Key, of_blob, push_string};
use crate::secrets::format::der::{
    self, CONTEXT_0, CONTEXT_1, CONTEXT_1_PRIMITIVE, Der, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING,
};

/// 1.2.840.113549.1.1.1, rsaEncryption.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.10, RSASSA-PSS.
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.2.840.10045.2.1, ecPublicKey.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10040.4.1, DSA.
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
/// 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.113549.1.7, the beginning of PKCS #7's object identifiers.
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];

/// `RSAPrivateKey`.
pub(super) fn rsa(bytes: &[u8]) -> Option<Key<'_>> {
    let mut der = Der(bytes);
    let mut fields = der.sequence()?;
    let version = fields.take(INTEGER)?;
    let (n, e) = (fields.take(INTEGER)?, fields.take(INTEGER)?);
    // d, p, q and the three that make it fast: without them it is no private key.
    for _ in 0..6 {
        fields.take(INTEGER)?;
    }
    if !matches!(version, [0 | 1]) || n.len() < 32 {
        return None;
    }
    let mut blob = Vec::with_capacity(n.len() + 64);
    for part in [&b"ssh-rsa"[..], e, n] {
        push_string(&mut blob, part);
    }
    let (key_type, public) = of_blob(&blob);
    let bits = u32::try_from(n.len() - usize::from(n[0] == 0)).unwrap_or(0) * 8;
    let key_type = if key_type.0.is_empty() {
        ("ssh-rsa", bits)
    } else {
        key_type
    };
    Some(Key {
        key_type,
        encrypted: false,
        public: Some(public),
        raw: bytes,
    })
}

/// `DSAPrivateKey` as OpenSSL writes it.
pub(super) fn dsa(bytes: &[u8]) -> Option<Key<'_>> {
    let mut der = Der(bytes);
    let mut fields = der.sequence()?;
    if fields.take(INTEGER)? != [0] {
        return None;
    }
    let mut blob = Vec::with_capacity(bytes.len() + 32);
    push_string(&mut blob, b"ssh-dss");
    for _ in 0..4 {
        push_string(&mut blob, fields.take(INTEGER)?); // p, q, g, y
    }
    fields.take(INTEGER)?; // x
    if !fields.is_empty() {
        return None;
    }
    let (key_type, public) = of_blob(&blob);
    Some(Key {
        key_type,
        encrypted: false,
        public: Some(public),
        raw: bytes,
    })
}

/// `ECPrivateKey`.
pub(super) fn ec(bytes: &[u8]) -> Option<Key<'_>> {
    ec_with(bytes, None)
}

fn ec_with<'k>(bytes: &'k [u8], outer_curve: Option<&'k [u8]>) -> Option<Key<'k>> {
    let mut der = Der(bytes);
    let mut fields = der.sequence()?;
    if fields.take(INTEGER)? != [1] {
        return None;
    }
    fields.take(OCTET_STRING)?;
    let inner_curve = match fields.take(CONTEXT_0) {
        Some(parameters) => Der(parameters).take(OBJECT_IDENTIFIER),
        None => None,
    };
    let point = fields.take(CONTEXT_1).and_then(|bits| Der(bits).bits());
    let unnamed = Key {
        key_type: ("ecdsa", 0),
        encrypted: false,
        public: None,
        raw: bytes,
    };
    let Some(curve) = outer_curve.or(inner_curve).and_then(Curve::named) else {
        return Some(unnamed);
    };
    let computed;
    let point = match point {
        Some(point) => point,
        None => {
            computed = EcdsaKeyPair::from_private_key_der(curve.algorithm, bytes);
            match &computed {
                Ok(pair) => pair.public_key().as_ref(),
                Err(_) => return Some(unnamed),
            }
        }
    };
    let mut blob = Vec::with_capacity(200);
    push_string(&mut blob, format!("ecdsa-sha2-{}", curve.name).as_bytes());
    push_string(&mut blob, curve.name.as_bytes());
    push_string(&mut blob, point);
    let (key_type, public) = of_blob(&blob);
    Some(Key {
        key_type,
        encrypted: false,
        public: Some(public),
        raw: bytes,
    })
}

struct Curve {
    name: &'static str,
    algorithm: &'static EcdsaSigningAlgorithm,
}

impl Curve {
    /// A curve that OpenSSH knows, by its object identifier.
    fn named(oid: &[u8]) -> Option<Self> {
        let (name, algorithm) = match oid {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => {
                ("nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING)
            }
            [0x2b, 0x81, 0x04, 0x00, 0x22] => ("nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            [0x2b, 0x81, 0x04, 0x00, 0x23] => ("nistp521", &ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => return None,
        };
        Some(Self { name, algorithm })
    }
}

/// `PrivateKeyInfo` or `OneAsymmetricKey`.
pub(super) fn pkcs8(bytes: &[u8]) -> Option<Key<'_>> {
    let mut der = Der(bytes);
    let mut fields = der.sequence()?;
    if !matches!(fields.take(INTEGER)?, [0 | 1]) {
        return None;
    }
    let mut algorithm = fields.sequence()?;
    let oid = algorithm.take(OBJECT_IDENTIFIER)?;
    let key = fields.take(OCTET_STRING)?;
    let whole = |key: Key<'_>| Key { raw: bytes, ..key };
    let other = |key_type| Key {
        key_type,
        encrypted: false,
        public: None,
        raw: bytes,
    };
    Some(match oid {
        RSA | RSA_PSS => whole(rsa(key)?),
        EC => whole(ec_with(key, algorithm.take(OBJECT_IDENTIFIER))?),
        ED25519 => {
            fields.take(CONTEXT_0);
            let stated = fields
                .take(CONTEXT_1_PRIMITIVE)
                .and_then(|b| b.strip_prefix(&[0]));
            ed25519(Der(key).take(OCTET_STRING)?, stated).map(whole)?
        }
        DSA => other(("ssh-dss", 0)),
        [0x2b, 0x65, 0x6e] => other(("x25519", 256)),
        [0x2b, 0x65, 0x6f] => other(("x448", 448)),
        [0x2b, 0x65, 0x71] => other(("ed448", 456)),
        _ => other(("", 0)),
    })
}

fn ed25519<'k>(seed: &'k [u8], stated: Option<&[u8]>) -> Option<Key<'k>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    let point = pair.public_key().as_ref();
    if stated.is_some_and(|stated| stated != point) {
        return None;
    }
    let mut blob = Vec::with_capacity(64);
    push_string(&mut blob, b"ssh-ed25519");
    push_string(&mut blob, point);
    let (key_type, public) = of_blob(&blob);
    Some(Key {
        key_type,
        encrypted: false,
        public: Some(public),
        raw: seed,
    })
}

/// `EncryptedPrivateKeyInfo`: what it holds cannot be told.
pub(super) fn encrypted(bytes: &[u8]) -> Option<Key<'_>> {
    let mut der = Der(bytes);
    let mut fields = der.sequence()?;
    let mut algorithm = fields.sequence()?;
    algorithm.take(OBJECT_IDENTIFIER)?;
    let data = fields.take(OCTET_STRING)?;
    let whole = fields.is_empty() && data.len() >= 16;
    whole.then_some(Key {
        key_type: ("", 0),
        encrypted: true,
        public: None,
        raw: bytes,
    })
}

/// A block with `Proc-Type: 4,ENCRYPTED`: only its label tells the type.
pub(super) fn encrypted_by_headers<'k>(label: &[u8], bytes: &'k [u8]) -> Option<Key<'k>> {
    let key_type = match label {
        b"RSA PRIVATE KEY" => "ssh-rsa",
        b"EC PRIVATE KEY" => "ecdsa",
        b"DSA PRIVATE KEY" => "ssh-dss",
        _ => "",
    };
    // Whole blocks of DES or AES.
    let whole = bytes.len() >= 16 && bytes.len().is_multiple_of(8);
    whole.then_some(Key {
        key_type: (key_type, 0),
        encrypted: true,
        public: None,
        raw: bytes,
    })
}

/// A `PFX` (RFC 7292): version 3, then PKCS #7 data.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let mut outer = match Der(bytes).sequence() {
        Some(outer) => outer,
        // Some are written with lengths that only their end tells.
        None => match bytes {
            [der::SEQUENCE, 0x80, rest @ ..] => Der(rest),
            _ => return false,
        },
    };
    outer.take(INTEGER) == Some(&[3])
        && matches!(outer.0, [der::SEQUENCE, ..])
        && memchr::memmem::find(&outer.0[..outer.0.len().min(24)], PKCS7).is_some()
}
