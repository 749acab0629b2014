//! Private keys in every form that tools write: found by what is in a file, not by its name.

/// OpenSSH's own form.
mod openssh;
/// PKCS #1, PKCS #8, SEC 1 and DSA's form: what stands in PEM, or in DER without it.
mod pkcs;
/// PuTTY's form.
mod putty;

use rescind_protocol::name::KeyFingerprint;

use super::format::{der, pem};
use super::kind::Kind;
use super::mark::PublicMark;
use super::note::{File, Mark, Note, Notes, Sighting, sealed};
use super::pgp;
use crate::sshd::key_blob::BlobKey;

/// A private key as its file says it.
struct Key<'k> {
    /// Its type and length in bits.
    key_type: (&'static str, u32),
    encrypted: bool,
    /// Of its public half, where the file tells it.
    public: Option<KeyFingerprint>,
    /// What is hashed where it does not.
    raw: &'k [u8],
}

/// Keys in a home.
pub fn in_home(file: &File<'_>, notes: &mut Notes<'_>) {
    recognise(file.bytes, Kind::PrivateKey, notes);
}

/// Keys in /etc/ssh.
pub fn of_sshd(file: &File<'_>, notes: &mut Notes<'_>) {
    let kind = match file.name().starts_with(b"ssh_host_") {
        true => Kind::SshHostKey,
        false => Kind::PrivateKey,
    };
    recognise(file.bytes, kind, notes);
}

/// Keys elsewhere under /etc, and of services.
pub fn for_tls(file: &File<'_>, notes: &mut Notes<'_>) {
    recognise(file.bytes, Kind::TlsPrivateKey, notes);
}

/// Everything a file holds of keys, `kind` for those that could be anybody's.
pub fn recognise(bytes: &[u8], kind: Kind, notes: &mut Notes<'_>) {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => {
            // Keys in it are always under a password; whether there are any it does not say.
            notes(sealed(Kind::JavaKeystore, b"", bytes));
        }
        [0x03, 0xd9, 0xa2, 0x9a, ..] => notes(sealed(Kind::PasswordDatabase, b"", bytes)),
        [der::SEQUENCE, ..] => in_der(bytes, kind, notes),
        _ if bytes.starts_with(b"PuTTY-User-Key-File-") => match putty::parse(bytes) {
            Some(key) => tell(&key, kind, notes),
            None => notes(Note::Unclear {
                kind,
                why: "a PuTTY key that is damaged or of an unknown version",
            }),
        },
        _ => in_pem(bytes, kind, notes),
    }
}

/// The private keys among the PEM blocks of a text; its certificates and public keys are none.
pub fn in_pem(text: &[u8], kind: Kind, notes: &mut Notes<'_>) {
    for block in pem::blocks(text) {
        if !block.label.ends_with(b"PRIVATE KEY") && !block.label.ends_with(b"PRIVATE KEY BLOCK") {
            continue;
        }
        let unclear = |why| Note::Unclear { kind, why };
        let bytes = match block.decode() {
            Some(bytes) if block.ended => bytes,
            _ => {
                notes(unclear(
                    "a private key in PEM that is cut short or no base64",
                ));
                continue;
            }
        };
        let encrypted_headers =
            (block.header(b"Proc-Type")).is_some_and(|value| value.ends_with(b"ENCRYPTED"));
        let key = match block.label {
            b"PGP PRIVATE KEY BLOCK" => {
                pgp::packets(&bytes, notes);
                continue;
            }
            b"OPENSSH PRIVATE KEY" => openssh::parse(&bytes),
            label if encrypted_headers => pkcs::encrypted_by_headers(label, &bytes),
            b"RSA PRIVATE KEY" => pkcs::rsa(&bytes),
            b"EC PRIVATE KEY" => pkcs::ec(&bytes),
            b"DSA PRIVATE KEY" => pkcs::dsa(&bytes),
            b"PRIVATE KEY" => pkcs::pkcs8(&bytes),
            b"ENCRYPTED PRIVATE KEY" => pkcs::encrypted(&bytes),
            _ => {
                notes(unclear("a private key of an unknown kind"));
                continue;
            }
        };
        match key {
            Some(key) => tell(&key, kind, notes),
            None => notes(unclear("a private key in PEM that is damaged")),
        }
    }
}

/// A key, or a container of keys, in DER.
fn in_der(bytes: &[u8], kind: Kind, notes: &mut Notes<'_>) {
    if pkcs::is_pkcs12(bytes) {
        notes(sealed(Kind::Pkcs12, b"", bytes));
        return;
    }
    let forms = [pkcs::rsa, pkcs::ec, pkcs::pkcs8, pkcs::dsa, pkcs::encrypted];
    // A certificate is a sequence, too, and none of these.
    if let Some(key) = forms.iter().find_map(|form| form(bytes)) {
        tell(&key, kind, notes);
    }
}

fn tell(key: &Key<'_>, kind: Kind, notes: &mut Notes<'_>) {
    notes(Note::Held(Sighting {
        kind,
        label: b"",
        encrypted: key.encrypted,
        key_type: key.key_type,
        mark: match key.public {
            Some(public) => Mark::Public(PublicMark::Ssh(public)),
            None => Mark::Value(key.raw),
        },
    }));
}

/// Type, length and fingerprint of a public key's blob. A key that sshd would not take (too short
/// an RSA key, a type from the future) still has a fingerprint.
fn of_blob(blob: &[u8]) -> ((&'static str, u32), KeyFingerprint) {
    match BlobKey::parse(blob) {
        Ok(key) => (
            (key.key_type.name(), u32::try_from(key.bits).unwrap_or(0)),
            key.fingerprint,
        ),
        Err(_) => (("", 0), KeyFingerprint::of_blob(blob)),
    }
}

/// A blob's string: length and bytes (RFC 4251 section 5).
fn push_string(blob: &mut Vec<u8>, value: &[u8]) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    blob.extend_from_slice(&len.to_be_bytes());
    blob.extend_from_slice(value);
}

/// The strings of a blob, one after the other.
struct Strings<'b>(&'b [u8]);

impl<'b> Strings<'b> {
    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'b [u8]> {
        let mut ahead = Strings(self.0);
        let len = usize::try_from(ahead.number()?).ok()?;
        let (bytes, rest) = ahead.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
