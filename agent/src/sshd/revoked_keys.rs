//! The file that `RevokedKeys` names: a list of keys, or a KRL.

use std::collections::HashSet;

use super::algorithms;
use super::certificate::Certificate;
use super::key_line::{Entry, KeyLine, LineKey};
use super::krl::{self, Krl, KrlProblem};
use super::release::Release;
use rescind_protocol::name::KeyFingerprint;

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
    /// The file is a KRL that sshd cannot read, and it then refuses every key.
    Damaged,
    /// The file is a KRL that this reader does not understand to its end.
    Unreadable,
}

/// A file of revoked keys, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedKeys {
    /// A KRL, or why it was not read.
    Krl(Result<Krl, KrlProblem>),
    /// A plain list of keys.
    List {
        /// The keys.
        keys: HashSet<KeyFingerprint>,
        /// The line behind them at which sshd stops, where there is one.
        stops: Option<u32>,
    },
}

impl RevokedKeys {
    /// Reads a file as a release does.
    pub fn parse(file: &[u8], release: &Release) -> Self {
        if file.starts_with(krl::MAGIC) {
            Self::Krl(Krl::parse(file, release))
        } else {
            let (mut keys, mut stops) = (HashSet::new(), None);
            for (line, found) in plain_keys(file, release) {
                match found {
                    Ok(key) => drop(keys.insert(key.fingerprint)),
                    Err(StopsReading) => stops = Some(line),
                }
            }
            Self::List { keys, stops }
        }
    }

    /// Looks for a key, a CA's perhaps, as `sshkey_check_revoked` does.
    pub fn check(&self, key: &KeyLine) -> Revocation {
        match self {
            Self::Krl(krl) => of_krl(krl, |krl| krl.revokes(key)),
            Self::List { keys, stops } => of_list(keys, *stops, &[key.fingerprint]),
        }
    }

    /// Looks for a certificate, by its key and by what else a KRL can name it; not for its CA.
    pub fn check_certificate(&self, certificate: &Certificate) -> Revocation {
        match self {
            Self::Krl(krl) => of_krl(krl, |krl| krl.revokes_certificate(certificate)),
            Self::List { keys, stops } => {
                let (key, authority) = (&certificate.key, &certificate.authority);
                of_list(keys, *stops, &[key.fingerprint, authority.fingerprint])
            }
        }
    }

    /// Whether certificates of a CA are in it that are not told by their keys.
    pub fn names_certificates_of(&self, authority: &KeyFingerprint) -> bool {
        matches!(self, Self::Krl(Ok(krl)) if krl.revokes_some_of(authority))
    }
}

fn of_krl(krl: &Result<Krl, KrlProblem>, revokes: impl FnOnce(&Krl) -> bool) -> Revocation {
    match krl {
        Ok(krl) if revokes(krl) => Revocation::Revoked,
        Ok(_) => Revocation::NotListed,
        Err(KrlProblem::Refused) => Revocation::Damaged,
        Err(KrlProblem::NotUnderstood) => Revocation::Unreadable,
    }
}

fn of_list(
    keys: &HashSet<KeyFingerprint>,
    stops: Option<u32>,
    wanted: &[KeyFingerprint],
) -> Revocation {
    match stops {
        _ if wanted.iter().any(|key| keys.contains(key)) => Revocation::Revoked,
        Some(line) => Revocation::Refused { line },
        None => Revocation::NotListed,
    }
}

/// sshd reads no further than this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsReading;

/// The keys of a plain list (`sshkey_in_file`): no options before them, and the first line that is no key ends the
/// reading. RSA keys that are too short are passed over.
pub fn plain_keys(file: &[u8], release: &Release) -> Vec<(u32, Result<KeyLine, StopsReading>)> {
    let is_read = |key: &KeyLine| match key.kind {
        _ if key.short_name && !algorithms::takes_short_names(release) => false,
        LineKey::Plain { key_type, .. } => algorithms::is_known(key_type, release),
        LineKey::Certificate => true,
        LineKey::Foreign => false,
    };
    let mut keys = Vec::new();
    for (line, raw) in (1..).zip(file.split_inclusive(|b| *b == b'\n')) {
        match Entry::parse_without_options(line, raw) {
            Entry::Blank | Entry::Comment => {}
            Entry::Key(key) if is_read(&key) => keys.push((line, Ok(*key))),
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

    const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAAABAwAAAAEFAAAAAQIAAAABBA==";

    #[test]
    fn lists_end_where_sshd_stops() {
        let (old, new) = (
            "OpenSSH_9.2p1".parse().unwrap(),
            "OpenSSH_10.0p2".parse().unwrap(),
        );
        let key = |text: &str| plain_keys(text.as_bytes(), &old)[0].1.clone().unwrap();
        let check = |file: &[u8], key: &KeyLine| RevokedKeys::parse(file, &old).check(key);
        let list = format!("# revoked\n\n  {A} alice\nno-pty {B}\n{B}\n");
        assert_eq!(check(list.as_bytes(), &key(A)), Revocation::Revoked);
        assert_eq!(
            check(list.as_bytes(), &key(B)),
            Revocation::Refused { line: 4 }
        );
        assert_eq!(check(A.as_bytes(), &key(B)), Revocation::NotListed);
        assert_eq!(check(b"SSHKRL\n\0\0\0\0\x01", &key(A)), Revocation::Damaged);
        let list = format!("{DSA}\n{A}\n");
        assert_eq!(check(list.as_bytes(), &key(B)), Revocation::NotListed);
        assert_eq!(
            RevokedKeys::parse(list.as_bytes(), &new).check(&key(B)),
            Revocation::Refused { line: 1 },
            "10.0 does not know DSA"
        );
    }
}
