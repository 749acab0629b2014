//! Signature algorithms: which exist, which are accepted, by which a key can sign (sshkey.c, kex.c, myproposal.h).

use super::pattern::{self, ListMatch};
use super::release::Release;

/// A type of key, certificates left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `ssh-ed25519`
    Ed25519,
    /// `sk-ssh-ed25519@openssh.com`
    Ed25519Sk,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`
    EcdsaP521,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`
    EcdsaSk,
    /// `ssh-rsa`
    Rsa,
    /// `ssh-dss`
    Dsa,
}

impl KeyType {
    /// The name that stands in a key's blob.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::Ed25519Sk => "sk-ssh-ed25519@openssh.com",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::EcdsaSk => "sk-ecdsa-sha2-nistp256@openssh.com",
            Self::Rsa => "ssh-rsa",
            Self::Dsa => "ssh-dss",
        }
    }
}

/// A name that sshd knows for keys, certificates or signatures.
struct Algorithm {
    name: &'static str,
    key: KeyType,
    certificate: bool,
}

const fn plain(name: &'static str, key: KeyType) -> Algorithm {
    Algorithm {
        name,
        key,
        certificate: false,
    }
}

const fn cert(name: &'static str, key: KeyType) -> Algorithm {
    Algorithm {
        name,
        key,
        certificate: true,
    }
}

/// `keyimpls` of 9.2, in its order; 10.0 has the same without DSA.
const ALGORITHMS: [Algorithm; 21] = [
    plain("ssh-ed25519", KeyType::Ed25519),
    cert("ssh-ed25519-cert-v01@openssh.com", KeyType::Ed25519),
    plain("sk-ssh-ed25519@openssh.com", KeyType::Ed25519Sk),
    cert("sk-ssh-ed25519-cert-v01@openssh.com", KeyType::Ed25519Sk),
    plain("ecdsa-sha2-nistp256", KeyType::EcdsaP256),
    cert(
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        KeyType::EcdsaP256,
    ),
    plain("ecdsa-sha2-nistp384", KeyType::EcdsaP384),
    cert(
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        KeyType::EcdsaP384,
    ),
    plain("ecdsa-sha2-nistp521", KeyType::EcdsaP521),
    cert(
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        KeyType::EcdsaP521,
    ),
    plain("sk-ecdsa-sha2-nistp256@openssh.com", KeyType::EcdsaSk),
    cert(
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        KeyType::EcdsaSk,
    ),
    plain(
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        KeyType::EcdsaSk,
    ),
    plain("ssh-dss", KeyType::Dsa),
    cert("ssh-dss-cert-v01@openssh.com", KeyType::Dsa),
    plain("ssh-rsa", KeyType::Rsa),
    cert("ssh-rsa-cert-v01@openssh.com", KeyType::Rsa),
    plain("rsa-sha2-256", KeyType::Rsa),
    cert("rsa-sha2-256-cert-v01@openssh.com", KeyType::Rsa),
    plain("rsa-sha2-512", KeyType::Rsa),
    cert("rsa-sha2-512-cert-v01@openssh.com", KeyType::Rsa),
];

/// `keytypes` of 8.4, in its order.
const ORDER_OF_8_4: [&str; 21] = [
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
];

/// `KEX_DEFAULT_PK_ALG` since 8.8; 8.5 to 8.7 add the two SHA-1 names for RSA.
const DEFAULTS: [&str; 16] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// `KEX_DEFAULT_PK_ALG` of 8.4.
const DEFAULTS_OF_8_4: [&str; 18] = [
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
];

/// The type of key that a name at the start of a key line stands for (`peek_type_nid`), and whether it is one of
/// certificates. `rsa-sha2-256` stands for an RSA key there.
pub fn key_type_of_name(name: &[u8]) -> Option<(KeyType, bool)> {
    let known = ALGORITHMS.iter().find(|a| a.name.as_bytes() == name)?;
    Some((known.key, known.certificate))
}

/// Whether a release knows a type of key at all.
pub fn is_known(key: KeyType, release: &Release) -> bool {
    key != KeyType::Dsa || !release.at_least(10, 0)
}

fn names(release: &Release) -> Vec<&'static str> {
    if release.at_least(9, 2) {
        ALGORITHMS
            .iter()
            .filter(|a| is_known(a.key, release))
            .map(|a| a.name)
            .collect()
    } else {
        ORDER_OF_8_4.to_vec()
    }
}

/// What `PubkeyAcceptedAlgorithms` is where nothing is set.
pub fn default_accepted(release: &Release) -> Vec<&'static str> {
    if !release.at_least(8, 5) {
        return DEFAULTS_OF_8_4.to_vec();
    }
    let mut list = DEFAULTS.to_vec();
    if !release.at_least(8, 8) {
        list.insert(8, "ssh-rsa-cert-v01@openssh.com");
        list.push("ssh-rsa");
    }
    list
}

/// `SSH_ALLOWED_CA_SIGALGS`, since 8.5.
const CA_DEFAULTS: [&str; 8] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// The same of 8.4.
const CA_DEFAULTS_OF_8_4: [&str; 8] = [
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Of what a list of algorithms is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOf {
    /// `PubkeyAcceptedAlgorithms`: by what a login may be signed.
    Logins,
    /// `CASignatureAlgorithms`: by what a CA may have signed a certificate.
    Certificates,
}

impl ListOf {
    /// What it is where nothing is set.
    pub fn default(self, release: &Release) -> Vec<&'static str> {
        match self {
            Self::Logins => default_accepted(release),
            Self::Certificates if release.at_least(8, 5) => CA_DEFAULTS.to_vec(),
            Self::Certificates => CA_DEFAULTS_OF_8_4.to_vec(),
        }
    }

    /// All names that may stand in it.
    fn names(self, release: &Release) -> Vec<&'static str> {
        let mut names = names(release);
        if self == Self::Certificates {
            names.retain(|name| {
                !ALGORITHMS
                    .iter()
                    .any(|known| known.name == *name && known.certificate)
            });
        }
        names
    }

    /// Whether sshd takes a value for it (`sshkey_names_valid2`).
    pub fn is_valid(self, value: &[u8], release: &Release) -> bool {
        let list = match value.first() {
            Some(b'-') => return true,
            Some(b'+' | b'^') => &value[1..],
            _ => value,
        };
        if list.is_empty() {
            return false;
        }
        // Names of certificates are refused for certificates since 9.4, patterns of them are not.
        let refuses_certificates = self == Self::Certificates && release.at_least(9, 4);
        let names = names(release);
        list.split(|b| *b == b',')
            .take_while(|entry| !entry.is_empty())
            .all(|entry| match key_type_of_name(entry) {
                Some((key, certificate)) if is_known(key, release) => {
                    !(certificate && refuses_certificates)
                }
                _ => {
                    let is_short = |short: &&[u8]| entry.eq_ignore_ascii_case(short);
                    takes_short_names(release) && SHORT_NAMES.iter().any(is_short)
                        || names.iter().any(|name| {
                            pattern::matches_list(name.as_bytes(), entry) != ListMatch::Absent
                        })
                }
            })
    }

    /// The algorithms that a value stands for (`kex_assemble_names`); `None` where sshd gives up because nothing is
    /// left.
    pub fn assemble(self, value: &[u8], release: &Release) -> Option<Vec<&'static str>> {
        let defaults = self.default(release);
        let matching = |list: &[u8], from: &[&'static str], wanted: bool| -> Vec<&'static str> {
            from.iter()
                .copied()
                .filter(|name| {
                    (pattern::matches_list(name.as_bytes(), list) == ListMatch::Present) == wanted
                })
                .collect()
        };
        let joined = defaults.join(",").into_bytes();
        let list = match value.split_first() {
            None => return Some(defaults),
            Some((b'-', rest)) => return Some(matching(rest, &defaults, false)),
            Some((b'+', rest)) => [joined.as_slice(), b",", rest].concat(),
            Some((b'^', rest)) => [rest, b",", joined.as_slice()].concat(),
            Some(_) => value.to_vec(),
        };
        let all = self.names(release);
        let mut accepted = Vec::new();
        for entry in list.split(|b| *b == b',') {
            if entry.starts_with(b"!") {
                return None;
            }
            for name in matching(entry, &all, true) {
                if !accepted.contains(&name) {
                    accepted.push(name);
                }
            }
        }
        (!accepted.is_empty()).then_some(accepted)
    }
}

/// Whether a release takes `RSA` where `ssh-rsa` is meant, be it in a list or inside of a key.
pub const fn takes_short_names(release: &Release) -> bool {
    !release.at_least(9, 9)
}

const SHORT_NAMES: [&[u8]; 6] = [
    b"ED25519",
    b"ED25519-SK",
    b"ECDSA",
    b"ECDSA-SK",
    b"DSA",
    b"RSA",
];

/// Whether a key of this type can sign with one of the accepted algorithms.
pub fn accepts_key(accepted: &[&str], key: KeyType) -> bool {
    ALGORITHMS
        .iter()
        .any(|a| a.key == key && !a.certificate && accepted.contains(&a.name))
}

/// Whether a certificate of any type is accepted.
pub fn accepts_certificates(accepted: &[&str]) -> bool {
    ALGORITHMS
        .iter()
        .any(|a| a.certificate && accepted.contains(&a.name))
}

/// Whether a certificate for a key of this type is accepted.
pub fn accepts_certificate(accepted: &[&str], key: KeyType) -> bool {
    ALGORITHMS
        .iter()
        .any(|a| a.key == key && a.certificate && accepted.contains(&a.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGINS: ListOf = ListOf::Logins;
    const CAS: ListOf = ListOf::Certificates;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn rsa_with_sha1_and_dsa_come_and_go() {
        let (old, new) = (release("OpenSSH_8.4p1"), release("OpenSSH_10.0p2"));
        assert!(default_accepted(&old).contains(&"ssh-rsa"));
        assert!(!default_accepted(&new).contains(&"ssh-rsa"));
        assert!(accepts_key(&default_accepted(&new), KeyType::Rsa));
        assert!(!accepts_key(&default_accepted(&old), KeyType::Dsa));
        assert!(accepts_key(
            &LOGINS.assemble(b"+ssh-dss", &old).unwrap(),
            KeyType::Dsa
        ));
        assert!(!LOGINS.is_valid(b"+ssh-dss", &new));
        assert!(!accepts_key(
            &LOGINS.assemble(b"-*rsa*", &new).unwrap(),
            KeyType::Rsa
        ));
    }

    #[test]
    fn lists() {
        let release = release("OpenSSH_9.2p1");
        assert_eq!(
            LOGINS.assemble(b"ssh-ed25519", &release).unwrap(),
            ["ssh-ed25519"]
        );
        assert_eq!(
            LOGINS.assemble(b"^ssh-rsa", &release).unwrap()[..2],
            ["ssh-rsa", "ssh-ed25519-cert-v01@openssh.com"]
        );
        assert_eq!(
            LOGINS.assemble(b"ssh-rsa,ssh-*", &release).unwrap()[..2],
            ["ssh-rsa", "ssh-ed25519"]
        );
        assert_eq!(LOGINS.assemble(b"!ssh-rsa,*", &release), None);
        assert_eq!(LOGINS.assemble(b"RSA", &release), None);
        assert!(!accepts_certificates(
            &LOGINS.assemble(b"-*cert*", &release).unwrap()
        ));
        assert!(
            LOGINS.is_valid(b"RSA", &release)
                && !LOGINS.is_valid(b"rsa1", &release)
                && !LOGINS.is_valid(b"", &release)
        );
    }

    #[test]
    fn by_what_certificates_are_signed() {
        let (old, new) = (release("OpenSSH_9.2p1"), release("OpenSSH_10.0p2"));
        assert!(!CAS.default(&new).contains(&"ssh-rsa"));
        assert!(accepts_key(
            &CAS.assemble(b"ssh-rsa", &new).unwrap(),
            KeyType::Rsa
        ));
        assert_eq!(
            CAS.assemble(b"*cert*,ssh-ed25519", &old).unwrap(),
            ["ssh-ed25519"]
        );
        let cert = b"ssh-ed25519-cert-v01@openssh.com";
        assert!(CAS.is_valid(cert, &old) && !CAS.is_valid(cert, &new));
        assert!(CAS.is_valid(b"*cert*", &new) && LOGINS.is_valid(cert, &new));
        assert_eq!(CAS.assemble(cert, &old), None);
        assert!(CAS.is_valid(b"RSA", &old) && !CAS.is_valid(b"+RSA", &new));
    }
}
