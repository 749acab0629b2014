//! The credentials that logins are tried with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_agent::sshd::authorized_keys::KeyFile;
use rescind_agent::sshd::certificate::Certificate;
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
    /// A certificate, and the key it is for.
    Certificate(Box<Certificate>),
    /// The password of all accounts that have one.
    Password,
}

/// All of them, and the public files that belong to them.
pub struct Credentials {
    directory: PathBuf,
    pub all: Vec<Credential>,
    /// The public key lines of the plain keys, without comments, in the order of [`KEYS`].
    pub lines: Vec<String>,
    /// The CAs' public key lines.
    pub authorities: Vec<String>,
    /// Files that a configuration can name: their name in `/etc/ssh`, and their bytes.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Plain keys: name, type, bits.
const KEYS: [(&str, &str, &str); 6] = [
    ("ed25519", "ed25519", "256"),
    ("ed25519-b", "ed25519", "256"),
    ("rsa", "rsa", "2048"),
    ("rsa-short", "rsa", "1024"),
    ("ecdsa", "ecdsa", "256"),
    ("dsa", "dsa", "1024"),
];

const AUTHORITIES: [(&str, &str, &str); 3] = [
    ("ca", "ed25519", "256"),
    ("ca-rsa", "rsa", "2048"),
    ("ca-ecdsa", "ecdsa", "384"),
];

/// Certificates: name, type and bits of the key, CA, and how it is signed; `{us}` is an address.
const CERTIFICATES: [(&str, &str, &str, &str, &str); 24] = [
    ("cert-alice", "ed25519", "256", "ca", "-n alice -z 1"),
    ("cert-admin", "ed25519", "256", "ca", "-n admin -z 2"),
    (
        "cert-many",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root,toor,admin",
    ),
    (
        "cert-forced",
        "ed25519",
        "256",
        "ca",
        "-n root,bob,toor -z 3 -O force-command=/bin/true",
    ),
    (
        "cert-forced-b",
        "ed25519",
        "256",
        "ca",
        "-n root,alice,toor -z 4 -O force-command=true",
    ),
    ("cert-anyone", "ed25519", "256", "ca", "-z 5"),
    (
        "cert-anyone-forced",
        "ed25519",
        "256",
        "ca",
        "-z 6 -O force-command=true",
    ),
    (
        "cert-over",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 7 -V 20200101:20210101",
    ),
    (
        "cert-later",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 8 -V 20900101:20910101",
    ),
    (
        "cert-now",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root,admin -z 9 -V 20200101:20910101",
    ),
    ("cert-host", "ed25519", "256", "ca", "-h -n alice,bob -z 10"),
    (
        "cert-here",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 11 -O source-address={us}/32,192.0.2.0/24",
    ),
    (
        "cert-elsewhere",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 12 -O source-address={other}",
    ),
    (
        "cert-critical",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 13 -O critical:who@example.com=me",
    ),
    (
        "cert-extension",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 14 -O clear -O extension:who@example.com=me",
    ),
    (
        "cert-serial",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 4711",
    ),
    (
        "cert-gone",
        "ed25519",
        "256",
        "ca",
        "-n alice,bob,root -z 15",
    ),
    (
        "cert-of-rsa",
        "rsa",
        "2048",
        "ca",
        "-n alice,bob,root -z 16",
    ),
    (
        "cert-of-short",
        "rsa",
        "1024",
        "ca",
        "-n alice,bob,root -z 17",
    ),
    (
        "cert-of-ecdsa",
        "ecdsa",
        "256",
        "ca",
        "-n alice,bob,root -z 18",
    ),
    (
        "cert-by-rsa",
        "ed25519",
        "256",
        "ca-rsa",
        "-n alice,bob,root -z 1 -t rsa-sha2-512",
    ),
    (
        "cert-by-rsa-256",
        "ed25519",
        "256",
        "ca-rsa",
        "-n alice,bob,root,admin -z 4711 -t rsa-sha2-256",
    ),
    (
        "cert-by-sha1",
        "ed25519",
        "256",
        "ca-rsa",
        "-n alice,bob,root -z 3 -t ssh-rsa",
    ),
    (
        "cert-by-ecdsa",
        "ecdsa",
        "256",
        "ca-ecdsa",
        "-n alice,bob,root -z 1",
    ),
];

impl Credentials {
    /// Makes keys, certificates and lists of revoked keys in a directory.
    pub fn make(directory: &Path, us: &str, other: &str) -> Self {
        let maker = Maker(directory);
        let (mut all, mut lines) = (Vec::new(), Vec::new());
        for (name, kind, bits) in KEYS {
            let line = maker.key(name, kind, bits);
            let kind = Kind::Key(fingerprint(&line));
            lines.push(line);
            all.push(Credential { name, kind });
        }
        let authorities: Vec<String> = AUTHORITIES
            .iter()
            .map(|(name, kind, bits)| maker.key(name, kind, bits))
            .collect();
        for (name, kind, bits, authority, how) in CERTIFICATES {
            maker.key(name, kind, bits);
            let how = how.replace("{us}", us).replace("{other}", other);
            let public = format!("{name}.pub");
            let mut sign = vec!["-s", authority, "-I", name];
            sign.extend(how.split(' '));
            sign.push(&public);
            maker.keygen(&sign);
            let line = fs::read(directory.join(format!("{name}-cert.pub"))).unwrap();
            let certificate = Box::new(Certificate::parse_line(&line).unwrap());
            let kind = Kind::Certificate(certificate);
            all.push(Credential { name, kind });
        }
        all.push(Credential {
            name: "password",
            kind: Kind::Password,
        });
        Self {
            directory: directory.to_owned(),
            files: files(&maker, &lines, &authorities),
            all,
            lines,
            authorities,
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
        // Any key may stand in a file that could not be read, or be known to a command.
        let unread = path.fingerprint.is_none() && path.state == PathState::Unknown;
        match &self.kind {
            Kind::Key(fingerprint) => match path.mechanism {
                Mechanism::SshPublicKey => path.fingerprint == Some(*fingerprint) || unread,
                Mechanism::SshKeysCommand => unread,
                _ => false,
            },
            Kind::Certificate(certificate) => match path.mechanism {
                Mechanism::SshCertificate => {
                    path.fingerprint == Some(certificate.authority.fingerprint) || unread
                }
                Mechanism::SshPublicKey | Mechanism::SshKeysCommand => unread,
                _ => false,
            },
            Kind::Password => path.mechanism == Mechanism::SshPassword,
        }
    }

    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.kind {
            Kind::Certificate(certificate) => Some(certificate),
            Kind::Key(_) | Kind::Password => None,
        }
    }
}

fn files(
    maker: &Maker<'_>,
    lines: &[String],
    authorities: &[String],
) -> Vec<(&'static str, Vec<u8>)> {
    let certificate = |name: &str| {
        let bytes = fs::read(maker.0.join(format!("{name}-cert.pub"))).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let [ed25519, ed25519_b, rsa, rsa_short, ecdsa, dsa] = lines else {
        unreachable!()
    };
    let [ca, ca_rsa, ca_ecdsa] = authorities else {
        unreachable!()
    };
    let krls: BTreeMap<&str, Vec<u8>> = [
        ("keys", maker.krl(None, &["ed25519-b.pub", "ecdsa.pub"], "")),
        (
            "sums",
            maker.krl(None, &[], &format!("sha1: {ed25519}\nsha256: {rsa}\n")),
        ),
        ("ca", maker.krl(None, &["ca.pub"], "")),
        (
            "certs",
            maker.krl(
                Some("ca"),
                &[],
                "serial: 4711\nserial: 11-14\nid: cert-gone\n",
            ),
        ),
        (
            "of-all",
            maker.krl(
                Some("none"),
                &["cert-admin.pub"],
                "serial: 1\nserial: 3\nid: cert-many\nid: cert-by-sha1\n",
            ),
        ),
        ("empty", maker.krl(None, &[], "")),
    ]
    .into();
    let damaged = &krls["certs"][..krls["certs"].len() - 3];
    let text = |parts: &[&str]| parts.concat().into_bytes();
    vec![
        ("ca.pub", text(&[ca, " ca\n"])),
        (
            "cas.pub",
            text(&[
                "# all of them\n\n",
                ca_ecdsa,
                "\n",
                &certificate("cert-many"),
                "\t",
                ca_rsa,
                " me\r\n",
                rsa_short,
                "\n",
                ca,
                "\n",
            ]),
        ),
        (
            "cas-half.pub",
            text(&[ca_rsa, "\ncert-authority ", ca, "\n", ca, "\n"]),
        ),
        ("cas-dsa.pub", text(&[dsa, "\n", ca, "\n"])),
        ("revoked", text(&["# gone\n", ed25519_b, "\n"])),
        ("revoked-half", text(&["no key\n", ed25519_b, "\n"])),
        (
            "revoked-crlf",
            text(&["# gone\r\n", ed25519_b, " me\r\n", ca_rsa, "\r\n"]),
        ),
        (
            "revoked-blank-crlf",
            text(&[ecdsa, "\n\r\n", ed25519, "\n"]),
        ),
        ("revoked-dsa", text(&[dsa, "\n", ecdsa, "\n"])),
        (
            "revoked-certs",
            text(&[&certificate("cert-many"), &certificate("cert-of-ecdsa")]),
        ),
        ("revoked-ca", text(&["\n \t", ca, "\n"])),
        ("revoked.krl", krls["keys"].clone()),
        ("revoked-sums.krl", krls["sums"].clone()),
        ("revoked-ca.krl", krls["ca"].clone()),
        ("revoked-certs.krl", krls["certs"].clone()),
        ("revoked-of-all.krl", krls["of-all"].clone()),
        ("revoked-none.krl", krls["empty"].clone()),
        ("revoked-damaged.krl", damaged.to_vec()),
    ]
}

/// Runs ssh-keygen(1) in a directory.
struct Maker<'a>(&'a Path);

impl Maker<'_> {
    fn keygen(&self, arguments: &[&str]) {
        let mut command = Command::new("ssh-keygen");
        command.current_dir(self.0).arg("-q").args(arguments);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    /// The public line, without its comment.
    fn key(&self, name: &str, kind: &str, bits: &str) -> String {
        self.keygen(&["-N", "", "-C", name, "-t", kind, "-b", bits, "-f", name]);
        let text = fs::read_to_string(self.0.join(format!("{name}.pub"))).unwrap();
        text.trim_end().rsplit_once(' ').unwrap().0.to_owned()
    }

    fn krl(&self, authority: Option<&str>, keys: &[&str], spec: &str) -> Vec<u8> {
        fs::write(self.0.join("spec"), spec).unwrap();
        let authority = authority.map(|name| match name {
            "none" => name.to_owned(),
            name => format!("{name}.pub"),
        });
        let mut make = vec!["-k", "-f", "krl"];
        if let Some(authority) = &authority {
            make.extend(["-s", authority]);
        }
        make.extend(keys);
        if !spec.is_empty() {
            make.push("spec");
        }
        self.keygen(&make);
        fs::read(self.0.join("krl")).unwrap()
    }
}

fn fingerprint(line: &str) -> KeyFingerprint {
    let file = KeyFile::parse(line.as_bytes());
    file.keys().next().unwrap().fingerprint
}
