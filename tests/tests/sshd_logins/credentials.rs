//! The credentials that logins are tried with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_agent::sshd::authorized_keys::KeyFile;
use rescind_protocol::name::KeyFingerprint;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};

/// Something to log in with.
pub struct Credential {
    pub name: &'static str,
    pub kind: Kind,
}

pub enum Kind {
    /// A key pair.
    Key(KeyFingerprint),
    /// A certificate by the CA of this fingerprint, for these principals.
    Certificate {
        authority: KeyFingerprint,
        principals: &'static str,
        forced_command: bool,
    },
    /// The password of all accounts that have one.
    Password,
}

/// All of them, and the public files that belong to them.
pub struct Credentials {
    directory: PathBuf,
    pub all: Vec<Credential>,
    /// The public key lines of the plain keys, without comments.
    pub lines: Vec<String>,
    /// The CA's public key line.
    pub authority: String,
    /// Files that `RevokedKeys` can name: their name, and their bytes.
    pub revoked: Vec<(&'static str, Vec<u8>)>,
}

const KEYS: [(&str, &str, &str); 6] = [
    ("ed25519", "ed25519", "256"),
    ("ed25519-b", "ed25519", "256"),
    ("rsa", "rsa", "2048"),
    ("rsa-short", "rsa", "1024"),
    ("ecdsa", "ecdsa", "256"),
    ("dsa", "dsa", "1024"),
];

const CERTIFICATES: [(&str, &str, bool); 3] = [
    ("cert-alice", "alice", false),
    ("cert-admin", "admin", false),
    ("cert-forced", "root,bob", true),
];

impl Credentials {
    /// Makes keys, certificates and lists of revoked keys in a directory.
    pub fn make(directory: &Path) -> Self {
        let keygen = |arguments: &[&str]| {
            let mut command = Command::new("ssh-keygen");
            command.current_dir(directory).arg("-q").args(arguments);
            assert!(command.status().unwrap().success(), "{arguments:?}");
        };
        let line = |name: &str| {
            let text = fs::read_to_string(directory.join(format!("{name}.pub"))).unwrap();
            text.trim_end().rsplit_once(' ').unwrap().0.to_owned()
        };
        let (mut all, mut lines) = (Vec::new(), Vec::new());
        for (name, kind, bits) in KEYS {
            keygen(&["-N", "", "-C", name, "-t", kind, "-b", bits, "-f", name]);
            lines.push(line(name));
            let kind = Kind::Key(fingerprint(&line(name)));
            all.push(Credential { name, kind });
        }
        keygen(&["-N", "", "-C", "ca", "-t", "ed25519", "-f", "ca"]);
        let authority = line("ca");
        for (name, principals, forced_command) in CERTIFICATES {
            keygen(&["-N", "", "-C", name, "-t", "ed25519", "-f", name]);
            let public = format!("{name}.pub");
            let mut sign = vec!["-s", "ca", "-I", name, "-n", principals];
            if forced_command {
                sign.extend(["-O", "force-command=/bin/true"]);
            }
            sign.push(&public);
            keygen(&sign);
            let kind = Kind::Certificate {
                authority: fingerprint(&authority),
                principals,
                forced_command,
            };
            all.push(Credential { name, kind });
        }
        all.push(Credential {
            name: "password",
            kind: Kind::Password,
        });
        keygen(&["-k", "-f", "krl-keys", "ed25519-b.pub", "ecdsa.pub"]);
        let sums = format!("sha1: {}\nsha256: {}\n", lines[0], lines[2]);
        fs::write(directory.join("sums"), sums).unwrap();
        keygen(&["-k", "-f", "krl-sums", "sums"]);
        keygen(&["-k", "-f", "krl-ca", "ca.pub"]);
        let read = |name: &str| fs::read(directory.join(name)).unwrap();
        let revoked = vec![
            ("revoked", format!("# gone\n{}\n", lines[1]).into_bytes()),
            (
                "revoked-half",
                format!("no key\n{}\n", lines[1]).into_bytes(),
            ),
            ("revoked.krl", read("krl-keys")),
            ("revoked-sums.krl", read("krl-sums")),
            ("revoked-ca.krl", read("krl-ca")),
        ];
        Self {
            directory: directory.to_owned(),
            all,
            lines,
            authority,
            revoked,
        }
    }

    pub fn by_name(&self, name: &str) -> &Credential {
        self.all.iter().find(|one| one.name == name).unwrap()
    }

    /// Its private key file.
    pub fn private(&self, credential: &Credential) -> PathBuf {
        self.directory.join(credential.name)
    }
}

impl Credential {
    /// Whether a path is one that this credential would use.
    pub fn would_use(&self, path: &AccessPath) -> bool {
        match &self.kind {
            Kind::Key(fingerprint) => {
                // Any key may stand in a file that could not be read.
                let unread = path.fingerprint.is_none() && path.state == PathState::Unknown;
                path.mechanism == Mechanism::SshPublicKey
                    && (path.fingerprint == Some(*fingerprint) || unread)
            }
            Kind::Certificate {
                authority,
                principals,
                ..
            } => {
                let mut words = path.reason.split([' ', ',']);
                path.mechanism == Mechanism::SshCertificate
                    && path.fingerprint == Some(*authority)
                    && (path.state != PathState::Open
                        || words.any(|word| principals.split(',').any(|one| one == word)))
            }
            Kind::Password => path.mechanism == Mechanism::SshPassword,
        }
    }
}

fn fingerprint(line: &str) -> KeyFingerprint {
    let file = KeyFile::parse(line.as_bytes());
    file.keys().next().unwrap().fingerprint
}
