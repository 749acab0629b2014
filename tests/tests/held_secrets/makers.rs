//! Keys and files that tools make, made here for this run only: with ssh-keygen(1), openssl(1) and
//! gpg(1), and by hand where a tool is not on every machine. Nothing here was ever used anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use rescind_tests::{letters, random};

/// Something that was made.
#[derive(Clone)]
pub struct Made {
    pub bytes: Vec<u8>,
    /// Bytes of it that nobody must ever see: as they are, and as they stand in the file.
    pub secret: Vec<Vec<u8>>,
    /// What the tool itself says of it: the fingerprint, a key grip.
    pub mark: Option<String>,
}

/// Makes things, some of each, and gives them out in turn.
pub struct Makers {
    dir: PathBuf,
    made: BTreeMap<String, Vec<Made>>,
}

impl Makers {
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory to make keys in");
        Self {
            dir: dir.to_owned(),
            made: BTreeMap::new(),
        }
    }

    /// The `n`th of a kind.
    pub fn get(&mut self, what: &str, n: usize) -> Made {
        if !self.made.contains_key(what) {
            let some = self.make(what);
            self.made.insert(what.to_owned(), some);
        }
        let some = &self.made[what];
        some[n % some.len()].clone()
    }

    fn make(&mut self, what: &str) -> Vec<Made> {
        let some =
            |count: usize, make: &mut dyn FnMut(usize) -> Made| (0..count).map(make).collect();
        match what {
            "ed25519" => some(40, &mut |_| {
                self.ssh_key("-t ed25519 -N ''", Hidden::OpenSsh)
            }),
            "ed25519-locked" => some(5, &mut |_| {
                self.ssh_key("-t ed25519 -N fake-pass", Hidden::Tail)
            }),
            "public" => some(10, &mut |_| {
                let text = self.sh("rm -f k k.pub; ssh-keygen -q -t ed25519 -N '' -f k; cat k.pub");
                plain(text.trim_end().as_bytes())
            }),
            "rsa-pem" => some(4, &mut |_| {
                self.ssh_key("-t rsa -b 2048 -m PEM -N ''", Hidden::Integers)
            }),
            "rsa-pem-locked" => some(2, &mut |_| {
                self.ssh_key("-t rsa -b 2048 -m PEM -N fake-pass", Hidden::Tail)
            }),
            "ec-sec1" => some(6, &mut |_| {
                self.ssh_key("-t ecdsa -b 256 -m PEM -N ''", Hidden::Octets)
            }),
            "ec-pkcs8" => some(6, &mut |_| {
                self.openssl(
                    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out k",
                    Hidden::Octets,
                )
            }),
            "ec-pkcs8-locked" => some(3, &mut |_| {
                let pass = "-passout pass:fake-pass";
                self.openssl(
                    &format!("openssl ecparam -name prime256v1 -genkey -noout -out e; openssl pkcs8 -topk8 -in e {pass} -out k"),
                    Hidden::Tail,
                )
            }),
            "rsa-pkcs8" => some(4, &mut |_| {
                self.openssl(
                    "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out k",
                    Hidden::Integers,
                )
            }),
            "rsa-der" => {
                some(2, &mut |_| {
                    self.sh("openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out p");
                    self.openssl("openssl pkey -in p -outform DER -out k", Hidden::Integers)
                })
            }
            "ed25519-pkcs8" => some(3, &mut |_| {
                self.openssl("openssl genpkey -algorithm ED25519 -out k", Hidden::Octets)
            }),
            "certificate" => some(3, &mut |_| {
                let text = self.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout k -subj /CN=fake -days 9 2>/dev/null");
                plain(text.trim_end().as_bytes())
            }),
            "pkcs12" => some(2, &mut |_| {
                self.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout p -out c -subj /CN=fake -days 9");
                self.openssl(
                    "openssl pkcs12 -export -inkey p -in c -passout pass:fake-pass -out k",
                    Hidden::FirstBag,
                )
            }),
            "gnupg-store" | "keygrip" | "gnupg-export" | "gnupg-public" => self.gnupg(what),
            _ => some(6, &mut by_hand(what)),
        }
    }

    /// Runs a shell in the directory; what it prints.
    fn sh(&self, script: &str) -> String {
        let out = Command::new("sh")
            .args(["-euc", script])
            .current_dir(&self.dir)
            .output()
            .expect("sh");
        assert!(
            out.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn ssh_key(&self, options: &str, hidden: Hidden) -> Made {
        let printed = self.sh(&format!(
            "rm -f k k.pub; ssh-keygen -q {options} -f k; ssh-keygen -lf k.pub"
        ));
        let told = !options.contains("-m PEM -N fake");
        let mark = printed
            .split(' ')
            .nth(1)
            .filter(|_| told)
            .map(ToOwned::to_owned);
        self.made(hidden, mark)
    }

    fn openssl(&self, script: &str, hidden: Hidden) -> Made {
        self.sh(&format!("exec 2>/dev/null; rm -f k; {script}"));
        self.made(hidden, None)
    }

    fn made(&self, hidden: Hidden, mark: Option<String>) -> Made {
        let mut bytes = fs::read(self.dir.join("k")).expect("a key");
        let secret = hidden.secrets(&bytes);
        assert!(!secret.is_empty());
        if bytes.last() == Some(&b'\n') && bytes.starts_with(b"-----") {
            bytes.pop(); // the seed's own line ends it
        }
        Made {
            bytes,
            secret,
            mark,
        }
    }

    fn gnupg(&mut self, what: &str) -> Vec<Made> {
        let home = self.dir.join("gnupg");
        if !home.exists() {
            self.sh("mkdir -m 700 gnupg");
            for n in 0..4 {
                let passphrase = if n == 0 { "fake-pass" } else { "" };
                self.sh(&format!(
                    "gpg --homedir gnupg --batch --no-tty --pinentry-mode loopback --passphrase '{passphrase}' \
                     --quick-generate-key fake{n}@fake.invalid ed25519 sign never 2>/dev/null"
                ));
            }
        }
        let made = (0..4)
            .map(|n| {
                let uid = format!("fake{n}@fake.invalid");
                let gpg = "gpg --homedir gnupg --batch --no-tty --pinentry-mode loopback";
                let listed = self.sh(&format!("{gpg} --with-colons --with-keygrip --list-secret-keys {uid} 2>/dev/null"));
                let field = |record: &str| {
                    let line = listed.lines().find(|line| line.starts_with(record)).expect(record);
                    line.split(':').nth(9).expect(record).to_owned()
                };
                let grip = field("grp");
                let file = home.join(format!("private-keys-v1.d/{grip}.key"));
                let passphrase = if n == 0 { "fake-pass" } else { "" };
                match what {
                    "keygrip" => plain(grip.as_bytes()),
                    "gnupg-store" => {
                        let bytes = fs::read(&file).expect("GnuPG's store");
                        // `d` in hexadecimal or binary, at the end of what is unprotected.
                        let secret = vec![bytes[bytes.len() - 40..bytes.len() - 8].to_vec()];
                        Made { bytes, secret, mark: Some(format!("keygrip:{grip}")) }
                    }
                    "gnupg-public" => plain(self.sh(&format!("{gpg} --armor --export {uid}")).trim_end().as_bytes()),
                    _ => {
                        let script = format!("{gpg} --passphrase '{passphrase}' --armor --export-secret-keys {uid} 2>/dev/null");
                        let text = self.sh(&script);
                        Made {
                            bytes: text.trim_end().as_bytes().to_vec(),
                            secret: Vec::new(),
                            mark: Some(format!("openpgp:{}", field("fpr"))),
                        }
                    }
                }
            })
            .collect();
        self.sh("gpgconf --homedir gnupg --kill all || true");
        made
    }
}

fn plain(bytes: &[u8]) -> Made {
    Made {
        bytes: bytes.to_vec(),
        secret: Vec::new(),
        mark: None,
    }
}

/// Where in a key its secret is.
#[derive(Clone, Copy)]
enum Hidden {
    /// OpenSSH's own form: the 32 bytes before the public key's second place.
    OpenSsh,
    /// The long integers of a DER but the first, which is public: RSA's d, p, q and what is made
    /// of them.
    Integers,
    /// The first octet string of 32 bytes or more that holds no other.
    Octets,
    /// What is encrypted stands at the end.
    Tail,
    /// The first of the two encrypted bags of a PKCS #12 file.
    FirstBag,
}

impl Hidden {
    /// The secret as it is, and the lines of base64 that are wholly of it.
    fn secrets(self, file: &[u8]) -> Vec<Vec<u8>> {
        let text = String::from_utf8_lossy(file);
        let body: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("-----") && !line.contains(':') && !line.is_empty())
            .collect();
        let (der, lines) = match file.starts_with(b"-----") {
            true => (STANDARD.decode(body.concat()).expect("base64"), body),
            false => (file.to_vec(), vec![]),
        };
        let ranges = self.ranges(&der);
        let mut secrets: Vec<Vec<u8>> = ranges
            .iter()
            .map(|range| der[range.clone()].to_vec())
            .collect();
        let mut at = 0;
        for line in lines {
            let bytes = at * 3 / 4..(at + line.len()) * 3 / 4;
            if ranges
                .iter()
                .any(|range| range.start <= bytes.start && bytes.end <= range.end)
            {
                secrets.push(line.as_bytes().to_vec());
            }
            at += line.len();
        }
        secrets
    }

    fn ranges(self, der: &[u8]) -> Vec<std::ops::Range<usize>> {
        match self {
            Self::OpenSsh => {
                let public = find(der, b"ssh-ed25519\0\0\0 ").expect("a public key") + 15;
                let public = &der[public..public + 32];
                let last = der
                    .windows(32)
                    .rposition(|window| window == public)
                    .expect("both halves");
                std::iter::once(last - 32..last).collect()
            }
            Self::Tail => std::iter::once(der.len() - 100..der.len() - 8).collect(),
            Self::FirstBag => std::iter::once(der.len() / 3..der.len() / 3 + 96).collect(),
            Self::Integers => {
                let mut found = Vec::new();
                elements(der, 0, &mut |tag, range| {
                    if tag == 2 && range.len() > 64 {
                        found.push(range);
                    }
                });
                found.split_off(1)
            }
            Self::Octets => {
                let mut found = Vec::new();
                elements(der, 0, &mut |tag, range| {
                    if tag == 4 && range.len() >= 32 && range.len() <= 48 {
                        found.push(range);
                    }
                });
                found.truncate(1);
                found
            }
        }
    }
}

/// Every element of a DER, those inside others after them; an octet string may hold one.
fn elements(der: &[u8], base: usize, each: &mut dyn FnMut(u8, std::ops::Range<usize>)) {
    let mut at = 0;
    while let (Some(&tag), Some(&first)) = (der.get(at), der.get(at + 1)) {
        let (len, head) = match first {
            0..=0x7f => (usize::from(first), 2),
            _ => {
                let count = usize::from(first & 0x7f);
                let bytes = der.get(at + 2..at + 2 + count).unwrap_or_default();
                (
                    bytes
                        .iter()
                        .fold(0, |len, byte| len << 8 | usize::from(*byte)),
                    2 + count,
                )
            }
        };
        let Some(content) = der.get(at + head..at + head + len) else {
            return;
        };
        let start = base + at + head;
        each(tag, start..start + len);
        if tag & 0x20 != 0 || (tag == 4 && matches!(content.first(), Some(0x30 | 0x04))) {
            elements(content, start, each);
        }
        at += head + len;
    }
}

fn by_hand(what: &str) -> impl FnMut(usize) -> Made + '_ {
    move |n| match what {
        "java-keystore" => {
            let secret = random(600);
            Made {
                bytes: [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &secret].concat(),
                secret: vec![secret],
                mark: None,
            }
        }
        "keepass" => {
            let secret = random(600);
            let head = [0x03, 0xd9, 0xa2, 0x9a, 0x67, 0xfb, 0x4b, 0xb5];
            Made {
                bytes: [&head[..], &secret].concat(),
                secret: vec![secret],
                mark: None,
            }
        }
        "putty" => putty(),
        "mysql-login-path" => {
            let secret = random(120);
            Made {
                bytes: [&[0; 4][..], &secret].concat(),
                secret: vec![secret],
                mark: None,
            }
        }
        "gcloud-database" => {
            let secret = letters(60);
            let text = format!(
                "user{n}@fake.invalid{{\"client_id\": \"fake\", \"refresh_token\": \"1//{secret}\", \"type\": \"authorized_user\"}}"
            );
            let bytes = [
                b"SQLite format 3\0",
                &[0; 84][..],
                b"\x0d\x02\x1b",
                text.as_bytes(),
                &[0; 300],
            ]
            .concat();
            Made {
                bytes,
                secret: vec![secret.into_bytes()],
                mark: None,
            }
        }
        "keytab" => keytab(),
        "empty-keytab" => plain(&[&[5, 2][..], &(-40_i32).to_be_bytes(), &[0; 40]].concat()),
        "wireguard-private" => {
            let text = STANDARD.encode(random(32));
            Made {
                bytes: text.clone().into_bytes(),
                secret: vec![text.into_bytes()],
                mark: None,
            }
        }
        "wireguard-public" => plain(STANDARD.encode(random(32)).as_bytes()),
        _ => panic!("seeds.txt wants {what}, which nobody makes"),
    }
}

/// A PuTTY key of version 3, unencrypted. Its checksum is none; only PuTTY looks at that.
fn putty() -> Made {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let public = [string(b"ssh-ed25519"), string(&random(32))].concat();
    let seed = random(32);
    let private = STANDARD.encode(string(&seed));
    let lines = STANDARD.encode(&public);
    let (first, second) = lines.split_at(64);
    let bytes = format!(
        "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: fake\r\nPublic-Lines: 2\r\n{first}\r\n{second}\r\n\
         Private-Lines: 1\r\n{private}\r\nPrivate-MAC: 00"
    );
    let secret = vec![seed, private.as_bytes()[6..].to_vec()];
    Made {
        bytes: bytes.into_bytes(),
        secret,
        mark: None,
    }
}

/// A keytab with two principals, one of them with two keys.
fn keytab() -> Made {
    let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let mut bytes = vec![5, 2];
    let mut secret = Vec::new();
    for (service, version) in [("host", 2), ("host", 3), ("nfs", 2)] {
        let key = random(32);
        let mut entry = 2_u16.to_be_bytes().to_vec();
        for part in ["FAKE.INVALID", service, "web-01.fake.invalid"] {
            entry.extend(counted(part.as_bytes()));
        }
        entry.extend([0, 0, 0, 1, 0x65, 0, 0, 0, version, 0, 18]);
        entry.extend(counted(&key));
        bytes.extend((entry.len() as i32).to_be_bytes());
        bytes.extend(entry);
        secret.push(key);
    }
    Made {
        bytes,
        secret,
        mark: None,
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
