//! Private keys as ssh-keygen(1), openssl(1) and gpg(1) make them, which must be installed: type,
//! whether encrypted, and the fingerprint that the tool itself prints.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rescind_agent::secrets::note::{File, Mark, Note};
use rescind_agent::secrets::recognise;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rescind-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command of a shell in the directory; its standard output.
fn sh(dir: &Path, script: &str) -> String {
    let out = Command::new("sh")
        .args(["-euc", script])
        .current_dir(dir)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "{script}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    key_type: &'static str,
    bits: u32,
    encrypted: bool,
    /// `keyed` where there is no public half.
    mark: String,
}

fn seen(file: &Path, below_home: &str) -> Vec<Seen> {
    let bytes = fs::read(file).unwrap();
    let mut all = Vec::new();
    let read = recognise::in_home(below_home.as_bytes()).unwrap();
    let path = format!("/home/alice/{below_home}");
    let (path, bytes) = (path.as_bytes(), bytes.as_slice());
    read(&File { path, bytes }, &mut |note| match note {
        Note::Held(held) => all.push(Seen {
            key_type: held.key_type.0,
            bits: held.key_type.1,
            encrypted: held.encrypted,
            mark: match held.mark {
                Mark::Public(mark) => mark.to_string(),
                Mark::Value(_) => "keyed".into(),
            },
        }),
        Note::Unclear { why, .. } => panic!("{}: {why}", file.display()),
        Note::PassedOver { .. } | Note::Refers { .. } => {}
    });
    all
}

#[test]
fn openssh_keys_of_every_type() {
    let scratch = Scratch::new("held-openssh");
    let dir = &scratch.0;
    for (kind, name, bits) in [
        ("ed25519", "ssh-ed25519", 256),
        ("rsa -b 2048", "ssh-rsa", 2048),
        ("rsa -b 3072", "ssh-rsa", 3072),
        ("ecdsa -b 256", "ecdsa-sha2-nistp256", 256),
        ("ecdsa -b 384", "ecdsa-sha2-nistp384", 384),
        ("ecdsa -b 521", "ecdsa-sha2-nistp521", 521),
    ] {
        for (form, passphrase) in [
            ("", ""),
            ("", "fake-pass"),
            ("-m PEM", ""),
            ("-m PEM", "fake-pass"),
            ("-m PKCS8", ""),
        ] {
            if kind == "ed25519" && !form.is_empty() {
                continue; // ssh-keygen has it in its own form only
            }
            let printed = sh(
                dir,
                &format!(
                    "rm -f k k.pub; ssh-keygen -q -t {kind} {form} -N '{passphrase}' -f k; ssh-keygen -lf k.pub"
                ),
            );
            let printed = printed.split(' ').nth(1).unwrap();
            let told = form.is_empty() || passphrase.is_empty();
            let encrypted = !passphrase.is_empty();
            let found = seen(&dir.join("k"), ".ssh/k");
            assert_eq!(found.len(), 1, "{kind} {form} {passphrase}");
            if told {
                let want = Seen {
                    key_type: name,
                    bits,
                    encrypted,
                    mark: printed.to_owned(),
                };
                assert_eq!(found[0], want, "{kind} {form} {passphrase}");
            } else {
                assert_eq!(
                    (found[0].encrypted, found[0].mark.as_str()),
                    (true, "keyed"),
                    "{kind} {form}"
                );
            }
            assert_eq!(seen(&dir.join("k.pub"), ".ssh/k").len(), 0);
        }
    }
}

#[test]
fn openssl_keys_in_pem_and_der() {
    let scratch = Scratch::new("held-openssl");
    let dir = &scratch.0;
    for (make, name) in [
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "ssh-rsa",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "ecdsa-sha2-nistp256",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            "ecdsa-sha2-nistp384",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            "ecdsa-sha2-nistp521",
        ),
        ("genpkey -algorithm ED25519", "ssh-ed25519"),
    ] {
        sh(
            dir,
            &format!(
                "openssl {make} -out k; chmod 600 k; openssl pkey -in k -outform DER -out k.der"
            ),
        );
        // The public half as ssh-keygen reads it from the SubjectPublicKeyInfo; ed25519 it does not.
        let printed = match name {
            "ssh-ed25519" => {
                let blob = sh(
                    dir,
                    "openssl pkey -in k -pubout -outform DER | tail -c 32 | base64 -w0",
                );
                let head = "AAAAC3NzaC1lZDI1NTE5AAAAI";
                sh(
                    dir,
                    &format!(
                        "( printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0 '; echo {blob} | base64 -d ) | base64 -w0 > b; \
                     grep -q ^{head} b; echo ssh-ed25519 $(cat b) > k.pub; ssh-keygen -lf k.pub"
                    ),
                )
            }
            _ => sh(
                dir,
                "openssl pkey -in k -pubout -out s; ssh-keygen -i -m PKCS8 -f s > k.pub; ssh-keygen -lf k.pub",
            ),
        };
        let mark = printed.split(' ').nth(1).unwrap();
        for file in ["k", "k.der"] {
            let found = seen(&dir.join(file), "k.key");
            assert_eq!(found.len(), 1, "{make} {file}");
            let want = (name, false, mark);
            assert_eq!(
                (
                    found[0].key_type,
                    found[0].encrypted,
                    found[0].mark.as_str()
                ),
                want,
                "{make} {file}"
            );
        }
        sh(
            dir,
            "openssl pkcs8 -topk8 -in k -passout pass:fake -out e; openssl pkcs8 -topk8 -in k -passout pass:fake -outform DER -out e.der",
        );
        for file in ["e", "e.der"] {
            let found = seen(&dir.join(file), "k.key");
            assert_eq!(
                (found.len(), found[0].encrypted, found[0].mark.as_str()),
                (1, true, "keyed"),
                "{make} {file}"
            );
        }
    }
    // An EC key without its public half: it is computed.
    sh(
        dir,
        "openssl ecparam -name prime256v1 -genkey -noout -out k; openssl ec -in k -no_public -out n; openssl pkey -in k -pubout -out s; ssh-keygen -i -m PKCS8 -f s > k.pub",
    );
    let printed = sh(dir, "ssh-keygen -lf k.pub");
    assert_eq!(
        seen(&dir.join("n"), "k.key")[0].mark,
        printed.split(' ').nth(1).unwrap()
    );
    // DSA, and curves that ssh has not.
    sh(
        dir,
        "openssl dsaparam -out p 1024; openssl gendsa -out d p; \
         openssl pkey -in d -traditional -out d1; chmod 600 d1; ssh-keygen -y -f d1 > k.pub",
    );
    let printed = sh(dir, "ssh-keygen -lf k.pub");
    let found = seen(&dir.join("d1"), "k.key");
    let mark = printed.split(' ').nth(1).unwrap();
    assert_eq!(
        (found[0].key_type, found[0].mark.as_str()),
        ("ssh-dss", mark)
    );
    for (make, name) in [("X25519", "x25519"), ("ED448", "ed448")] {
        sh(dir, &format!("openssl genpkey -algorithm {make} -out x"));
        let found = seen(&dir.join("x"), "k.key");
        assert_eq!((found[0].key_type, found[0].mark.as_str()), (name, "keyed"));
    }
    sh(dir, "openssl ecparam -name secp256k1 -genkey -noout -out x");
    assert_eq!(seen(&dir.join("x"), "k.key")[0].mark, "keyed");
    // A certificate is no key; a PKCS #12 file is one.
    sh(
        dir,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c.pem -subj /CN=fake -days 1; openssl x509 -in c.pem -outform DER -out c.der; openssl pkcs12 -export -inkey k -in c.pem -passout pass:fake -out k.p12; cat c.pem k > both.pem",
    );
    assert_eq!(seen(&dir.join("c.pem"), "k.pem"), []);
    assert_eq!(seen(&dir.join("c.der"), "k.key"), []);
    assert_eq!(seen(&dir.join("both.pem"), "k.pem").len(), 1);
    let p12 = seen(&dir.join("k.p12"), "k.p12");
    assert_eq!((p12.len(), p12[0].encrypted), (1, true));
}

#[test]
fn gnupg_keys() {
    let scratch = Scratch::new("held-gpg");
    let dir = &scratch.0;
    let gpg = "gpg --homedir . --batch --no-tty --pinentry-mode loopback";
    sh(dir, "chmod 700 .");
    for (algorithm, passphrase) in [("rsa2048", ""), ("ed25519", "fake"), ("nistp256", "")] {
        let uid = format!("{algorithm}@fake.test");
        sh(
            dir,
            &format!(
                "{gpg} --passphrase '{passphrase}' --quick-generate-key {uid} {algorithm} sign never"
            ),
        );
        let listed = sh(
            dir,
            &format!("{gpg} --with-colons --with-keygrip --list-secret-keys {uid}"),
        );
        let field = |record: &str| {
            let line = listed
                .lines()
                .find(|line| line.starts_with(record))
                .unwrap();
            line.split(':').nth(9).unwrap().to_owned()
        };
        let (fingerprint, grip) = (field("fpr"), field("grp"));
        let below = format!(".gnupg/private-keys-v1.d/{grip}.key");
        let stored = seen(
            &dir.join("private-keys-v1.d").join(format!("{grip}.key")),
            &below,
        );
        assert_eq!(stored.len(), 1, "{algorithm}");
        let want = (!passphrase.is_empty(), format!("keygrip:{grip}"));
        assert_eq!(
            (stored[0].encrypted, stored[0].mark.clone()),
            want,
            "{algorithm}"
        );
        for (armor, name) in [("--armor", "k.asc"), ("", "k.gpg")] {
            sh(
                dir,
                &format!(
                    "{gpg} --passphrase '{passphrase}' {armor} --export-secret-keys {uid} > {name}; {gpg} {armor} --export {uid} > pub.{name}"
                ),
            );
            let exported = seen(&dir.join(name), name);
            assert_eq!(exported.len(), 1, "{algorithm} {name}");
            let want = (!passphrase.is_empty(), format!("openpgp:{fingerprint}"));
            assert_eq!(
                (exported[0].encrypted, exported[0].mark.clone()),
                want,
                "{algorithm} {name}"
            );
            assert_eq!(seen(&dir.join(format!("pub.{name}")), name), []);
        }
    }
    // Subkeys without their primary key, as people export them for a laptop.
    let uid = "rsa2048@fake.test";
    let fingerprint = sh(
        dir,
        &format!(
            "{gpg} --with-colons --list-secret-keys {uid} | awk -F: '$1==\"fpr\"{{print $10; exit}}'"
        ),
    );
    sh(
        dir,
        &format!(
            "{gpg} --passphrase '' --quick-add-key {fingerprint} rsa2048 encr never; {gpg} --passphrase '' --export-secret-subkeys {uid} > s.gpg"
        ),
    );
    let subkeys = seen(&dir.join("s.gpg"), "s.gpg");
    assert_eq!(subkeys.len(), 1);
    assert_ne!(subkeys[0].mark, format!("openpgp:{fingerprint}"));
    let _ = Command::new("gpgconf")
        .args(["--homedir", ".", "--kill", "all"])
        .current_dir(dir)
        .status();
}
