//! The accounts of a measured host: written into its files at once, because ten thousand useradd
//! take minutes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rescind_protocol::sign::sha256;
use rescind_tests::{Host, Key};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;

/// Uid and gid of the first account.
const FIRST_ID: u32 = 20_000;
/// The account files, without the lines that are added here.
const FILES: [&str; 4] = ["passwd", "shadow", "group", "gshadow"];
/// As long as the hashes Debian makes; of no password.
const HASH: &str = "$y$j9T$0123456789abcdefghijkl$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// The accounts, each with a group, a home and two keys of which one is its own.
pub struct People {
    count: usize,
    /// Contents of [`FILES`], with everybody in them.
    files: [String; 4],
    login_line: String,
}

impl People {
    /// Gives a fresh host its accounts.
    pub fn settle(host: &Host, count: usize, login: &Key) -> Self {
        let etc = host.root().join("etc");
        let mut files = FILES.map(|file| read(&etc.join(file)));
        for nth in 0..count {
            let (name, id) = (name(nth), id(nth));
            let lines = [
                format!("{name}:x:{id}:{id}::/home/{name}:/bin/bash"),
                format!("{name}:{HASH}:19700:0:99999:7:::"),
                format!("{name}:x:{id}:"),
                format!("{name}:!::"),
            ];
            for (file, line) in files.iter_mut().zip(lines) {
                // Writing to memory cannot fail.
                let _ = writeln!(file, "{line}");
            }
        }
        let people = Self {
            count,
            files,
            login_line: login.line().to_owned(),
        };
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        for nth in 0..count {
            let home = host.root().join("home").join(name(nth));
            for dir in [&home, &home.join(".ssh")] {
                must(dir, builder.create(dir));
                must(dir, chown(dir, Some(id(nth)), Some(id(nth))));
            }
        }
        people.reset(host);
        people
    }

    /// Makes everybody as they were at first.
    pub fn reset(&self, host: &Host) {
        for (file, text) in FILES.iter().zip(&self.files) {
            let path = host.root().join("etc").join(file);
            must(&path, fs::write(&path, text));
        }
        for nth in 0..self.count {
            let file = host.root().join(&self.key_file(nth)[1..]);
            let text = format!("{}\n{}\n", self.login_line, line(nth));
            must(&file, fs::write(&file, text));
            must(&file, chown(&file, Some(id(nth)), Some(id(nth))));
            let mode = fs::Permissions::from_mode(0o600);
            must(&file, fs::set_permissions(&file, mode));
        }
        // systemd keeps what it has looked up, and sshd asks it by way of PAM.
        host.run("sync --file-system /etc/passwd").ok();
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The name of one; beyond the last it begins anew.
    pub fn name(&self, nth: usize) -> String {
        name(nth % self.count)
    }

    /// Where the keys of one are, as the host names it.
    pub fn key_file(&self, nth: usize) -> String {
        format!("/home/{}/.ssh/authorized_keys", self.name(nth))
    }

    /// The fingerprint of the key that only this account has.
    pub fn own_key(&self, nth: usize) -> String {
        let digest = sha256(&[&blob(nth % self.count)]);
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest))
    }
}

fn name(nth: usize) -> String {
    format!("u{nth:05}")
}

fn id(nth: usize) -> u32 {
    FIRST_ID + u32::try_from(nth).unwrap_or(u32::MAX - FIRST_ID)
}

/// An Ed25519 public key nobody has the private half of (RFC 8709).
fn blob(nth: usize) -> Vec<u8> {
    let point = sha256(&[b"rescind bench", &nth.to_le_bytes()]);
    [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", point.as_slice()].concat()
}

fn line(nth: usize) -> String {
    format!(
        "ssh-ed25519 {} {}@laptop",
        STANDARD.encode(blob(nth)),
        name(nth)
    )
}

#[track_caller]
pub fn read(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("could not read {}: {error}", path.display()),
    }
}

#[track_caller]
fn must<T>(path: &Path, done: std::io::Result<T>) -> T {
    match done {
        Ok(value) => value,
        Err(error) => panic!("could not make {}: {error}", path.display()),
    }
}
