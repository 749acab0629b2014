//! Key lines and KRLs against ssh-keygen(1), which must be installed.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_agent::sshd::authorized_keys::KeyFile;
use rescind_agent::sshd::certificate::Certificate;
use rescind_agent::sshd::key_line::LineKey;
use rescind_agent::sshd::revoked_keys::{Revocation, RevokedKeys, plain_keys};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rescind-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Makes a key and returns its public line, without the comment.
    fn key(&self, name: &str, arguments: &[&str]) -> String {
        let path = self.0.join(name);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", name, "-f"])
            .arg(&path)
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success());
        let line = fs::read_to_string(self.0.join(format!("{name}.pub"))).unwrap();
        line.rsplit_once(' ').unwrap().0.to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ssh_keygen_lists(file: &Path) -> Vec<String> {
    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

fn we_list(bytes: &[u8]) -> Vec<String> {
    let file = KeyFile::parse(bytes);
    let known = |kind| match kind {
        LineKey::Plain { bits, .. } => Some(bits),
        _ => None,
    };
    file.keys()
        .filter_map(|key| Some(format!("{} {}", known(key.kind)?, key.fingerprint)))
        .collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}

#[test]
fn the_same_keys_are_found_in_generated_files() {
    let scratch = Scratch::new("keygen-lines");
    let keys = [
        scratch.key("ed25519", &["-t", "ed25519"]),
        scratch.key("rsa", &["-t", "rsa", "-b", "2048"]),
        scratch.key("rsa-odd", &["-t", "rsa", "-b", "1031"]),
        scratch.key("p256", &["-t", "ecdsa", "-b", "256"]),
        scratch.key("p384", &["-t", "ecdsa", "-b", "384"]),
        scratch.key("p521", &["-t", "ecdsa", "-b", "521"]),
    ];
    let options = [
        "",
        "no-pty ",
        "command=\"echo \\\"hi, there\\\"\",no-pty ",
        "environment=\"A=b # c\"\t",
        "from=\"10.0.0.0/8, 192.168.*\" ",
        "cert-authority,principals=\"a b\" ",
        "command=\"never closed ",
        "a\"b c\"d ",
        "\\\"x ",
    ];
    let before = ["", "", "", " ", "\t", "  \t", "#", "# ", "\r"];
    let comments = [
        "",
        " me@host",
        "  two  words ",
        "\tx",
        " \"quoted",
        " \u{fc}",
        " # not a comment",
    ];
    let ends = ["\n", "\n", "\n", "\r\n", " \n", "\0 hidden\n", "\n\n", "\r"];
    let mut random = Random(11);
    let mut listed = 0;
    for number in 0..200 {
        let mut text = Vec::new();
        for _ in 0..40 {
            let mut key = keys[random.below(keys.len())].clone();
            match random.below(24) {
                0 => key = key.replacen(' ', "  \t", 1),
                1 => key = key.replacen(' ', "", 1),
                2 => key.truncate(key.len() - 1 - random.below(8)),
                3 => key = key.replacen("ssh-ed25519", "ssh-rsa", 1),
                4 => key = key.replacen("ssh-rsa", "rsa-sha2-512", 1),
                5 => key.push('='),
                6 => key = key.to_uppercase(),
                7 => key.insert(random.below(key.len()), 'A'),
                8 => key.clear(),
                _ => {}
            }
            let line = [
                random.pick(&before),
                random.pick(&options),
                &key,
                random.pick(&comments),
                random.pick(&ends),
            ];
            text.extend_from_slice(line.concat().as_bytes());
            if random.below(30) == 0 {
                text.push(0xff);
            }
        }
        let path = scratch.0.join(format!("file{number}"));
        fs::write(&path, &text).unwrap();
        let theirs = ssh_keygen_lists(&path);
        let ours = we_list(&text);
        assert_eq!(
            ours,
            theirs,
            "file {number}:\n{}",
            text.escape_ascii().to_string().replace("\\n", "\n")
        );
        listed += ours.len();
    }
    assert!(listed > 1000, "only {listed} keys were in the files");
}

#[test]
fn the_same_keys_and_certificates_are_revoked_by_a_krl() {
    let scratch = Scratch::new("keygen-krl");
    let names = ["explicit", "sha1", "sha256", "ca", "free", "other-ca"];
    let lines: Vec<_> = names
        .iter()
        .map(|name| scratch.key(name, &["-t", "ecdsa"]))
        .collect();
    // Runs, gaps and single numbers, so that all sections of a KRL are used.
    let serials: String = (1..400)
        .filter(|n| n % 3 == 0 || (n / 40) % 4 == 1)
        .chain([5_000, 70_000, 70_002, 70_003, u64::MAX])
        .map(|serial| format!("serial: {serial}\n"))
        .collect();
    let of_ca = format!("{serials}serial: 1000000-2000000\nid: alice\nid: b c\n");
    let keys = format!(
        "key: {}\nsha1: {}\nhash: {}\n",
        lines[0],
        lines[1],
        KeyFile::parse(lines[2].as_bytes())
            .keys()
            .next()
            .unwrap()
            .fingerprint
    );
    let krl = |name: &str, spec: &str, authority: &str| {
        fs::write(scratch.0.join("spec"), spec).unwrap();
        let path = scratch.0.join(name);
        let mut make = Command::new("ssh-keygen");
        make.arg("-kf").arg(&path).arg("-s");
        make.arg(if authority == "none" {
            authority.into()
        } else {
            scratch.0.join(format!("{authority}.pub"))
        });
        make.arg(scratch.0.join("spec"));
        let output = make.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::read(path).unwrap()
    };
    let release = "OpenSSH_9.2p1".parse().unwrap();
    let is_revoked = |krl: &str, file: &str| {
        let mut query = Command::new("ssh-keygen");
        query.arg("-Qf").arg(scratch.0.join(krl));
        query.arg(scratch.0.join(file));
        !query.output().unwrap().status.success()
    };
    let bytes = krl("krl", &(keys + &of_ca), "ca");
    let list = RevokedKeys::parse(&bytes, &release);
    for (name, line) in names.iter().zip(&lines) {
        let revoked = is_revoked("krl", &format!("{name}.pub"));
        let key = plain_keys(line.as_bytes(), &release).remove(0).1.unwrap();
        let expected = if revoked {
            Revocation::Revoked
        } else {
            Revocation::NotListed
        };
        assert_eq!(list.check(&key), expected, "{name}");
        assert_eq!(
            revoked,
            !matches!(*name, "ca" | "free" | "other-ca"),
            "{name}"
        );
    }
    // Where no CA is named, the certificates of every CA are meant.
    let everywhere = krl("krl-everywhere", "serial: 7\nid: carol\n", "none");
    let everywhere = RevokedKeys::parse(&everywhere, &release);
    let mut seen = [0; 2];
    for (authority, key_id, serial) in [
        ("ca", "alice", 0),
        ("ca", "alice ", 0),
        ("ca", "b c", 1),
        ("ca", "zoe", 0),
        ("ca", "zoe", 1),
        ("ca", "zoe", 3),
        ("ca", "zoe", 7),
        ("ca", "zoe", 41),
        ("ca", "zoe", 80),
        ("ca", "zoe", 399),
        ("ca", "zoe", 400),
        ("ca", "zoe", 70_001),
        ("ca", "zoe", 70_003),
        ("ca", "zoe", 999_999),
        ("ca", "zoe", 1_500_000),
        ("ca", "zoe", 2_000_001),
        ("ca", "zoe", u64::MAX),
        ("ca", "carol", 9_999),
        ("other-ca", "alice", 3),
        ("other-ca", "carol", 3),
        ("other-ca", "zoe", 7),
    ] {
        let mut sign = Command::new("ssh-keygen");
        sign.current_dir(&scratch.0)
            .args(["-q", "-s", authority, "-I", key_id, "-n", "x"])
            .args(["-z", &serial.to_string(), "free.pub"]);
        assert!(sign.status().unwrap().success());
        let line = fs::read(scratch.0.join("free-cert.pub")).unwrap();
        let certificate = Certificate::parse_line(&line).unwrap();
        assert_eq!(certificate.serial, serial);
        assert_eq!(certificate.key_id, key_id.as_bytes());
        for (list, file) in [(&list, "krl"), (&everywhere, "krl-everywhere")] {
            let revoked = is_revoked(file, "free-cert.pub");
            seen[usize::from(revoked)] += 1;
            assert_eq!(
                list.check_certificate(&certificate) == Revocation::Revoked,
                revoked,
                "{file}, certificate {serial} {key_id:?} of {authority}"
            );
        }
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
    for end in 0..bytes.len() {
        // Cut anywhere, it is damaged, or it ends with a whole section.
        let cut = RevokedKeys::parse(&bytes[..end], &release);
        fs::write(scratch.0.join("cut"), &bytes[..end]).unwrap();
        if end % 97 == 0 && end > 8 {
            let key = plain_keys(lines[4].as_bytes(), &release)
                .remove(0)
                .1
                .unwrap();
            let refuses = cut.check(&key) == Revocation::Damaged;
            assert_eq!(is_revoked("cut", "free.pub"), refuses, "cut at {end}");
        }
    }
}
