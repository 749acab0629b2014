//! Key pairs, made by ssh-keygen as everybody's are.

use crate::command::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A key pair in files of its own; the files go when it is dropped.
pub struct Key {
    dir: PathBuf,
    line: String,
    fingerprint: String,
}

impl Key {
    /// An Ed25519 key; the comment is what stands at the end of its public line.
    #[track_caller]
    pub fn ed25519(comment: &str) -> Self {
        Self::generate("ed25519", &[], comment)
    }

    /// An ECDSA key on P-256.
    #[track_caller]
    pub fn ecdsa(comment: &str) -> Self {
        Self::generate("ecdsa", &["-b", "256"], comment)
    }

    /// An RSA key of 2048 bits.
    #[track_caller]
    pub fn rsa(comment: &str) -> Self {
        Self::generate("rsa", &["-b", "2048"], comment)
    }

    #[track_caller]
    fn generate(kind: &str, more: &[&str], comment: &str) -> Self {
        let dir = private_dir("key");
        let private = dir.join("id");
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-t", kind, "-N", "", "-C", comment])
            .args(more)
            .arg("-f")
            .arg(&private);
        run(&mut command).ok();
        let line = match fs::read_to_string(dir.join("id.pub")) {
            Ok(line) => line.trim_end().to_owned(),
            Err(error) => panic!("ssh-keygen left no public key: {error}"),
        };
        let listed = run(Command::new("ssh-keygen").arg("-lf").arg(&private))
            .ok()
            .text();
        let Some(fingerprint) = listed.split(' ').nth(1).map(str::to_owned) else {
            panic!("ssh-keygen -l printed no fingerprint: {listed}");
        };
        Self {
            dir,
            line,
            fingerprint,
        }
    }

    /// The file with the private key.
    pub fn private(&self) -> PathBuf {
        self.dir.join("id")
    }

    /// The public key as one line of an authorized_keys file, without a line end.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Its fingerprint as ssh-keygen -l prints it: `SHA256:` and unpadded Base64.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A new directory only its owner can enter, with a short path: sockets are put into it too, and
/// their paths are limited to 108 bytes, unix(7).
#[track_caller]
pub(crate) fn private_dir(purpose: &str) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("rescind-{purpose}-{}-{count}", std::process::id());
    let dir = Path::new("/tmp").join(name);
    // The name may be left over from a process that had our number before.
    let _ = fs::remove_dir_all(&dir);
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(&dir) {
        panic!("could not create {}: {error}", dir.display());
    }
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_line_and_fingerprint() {
        let key = Key::ed25519("alice@laptop");
        assert!(key.line().starts_with("ssh-ed25519 ") && key.line().ends_with(" alice@laptop"));
        assert_eq!(key.fingerprint().len(), "SHA256:".len() + 43);
        let dir = key.dir.clone();
        drop(key);
        assert!(!dir.exists());
    }
}
