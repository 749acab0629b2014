//! A host's files in a directory, and what the program says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:61000:61000::/home/alice:/bin/sh\n\
    bob:x:61001:61001::/home/bob:/bin/sh\nsvc-db:x:60900:60900::/srv/db:/bin/sh\n\
    deploy:x:60901:60901::/srv/deploy:/bin/sh\n";
const GROUP: &str = "root:x:0:\nalice:x:61000:\nbob:x:61001:\nsvc-db:x:60900:\ndeploy:x:60901:\n\
    docker:x:998:\nops:x:997:deploy\nshadow:x:42:\nwheel:x:10:\n";
/// bob has a password.
const SHADOW: &str = "root:!:19000::::::\nalice:!:19000::::::\nbob:$1$saltsalt$9xy1btjgzLYfb7hivXtC//:19000::::::\n\
    svc-db:!:19000::::::\ndeploy:!:19000::::::\n";
/// As Debian has it.
const COMMON: &str = "auth [success=1 default=ignore] pam_unix.so nullok\n\
    auth requisite pam_deny.so\nauth required pam_permit.so\n\
    account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n\
    account requisite pam_deny.so\naccount required pam_permit.so\n";

/// The directory; it is gone with this value.
pub struct Files(pub PathBuf);

impl Files {
    /// root, alice, bob, svc-db and deploy, and sudo; with these files besides or instead. A path
    /// that ends in `!` is that of a setuid program, one that ends in `*` that of any other.
    pub fn with(changed: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "rescind-becoming-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let files = Self(std::env::temp_dir().join(name));
        fs::create_dir(&files.0).unwrap();
        let usual = [
            ("etc/passwd", PASSWD),
            ("etc/group", GROUP),
            ("etc/shadow", SHADOW),
            ("etc/sudoers", ""),
            ("etc/pam.d/sudo", "@include common\n"),
            ("etc/pam.d/sshd", "@include common\n"),
            ("etc/pam.d/common", COMMON),
            ("bin/sh*", ""),
            ("usr/bin/sudo!", "ELF\x00\x31.9.13p3\0"),
        ];
        for (path, text) in usual.iter().chain(changed) {
            files.write(path, text);
        }
        files
    }

    /// Sets the mode of a file or directory.
    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn link(&self, path: &str, to: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
    }

    pub fn write(&self, path: &str, text: &str) {
        let (path, mode) = match path.strip_suffix('!') {
            Some(path) => (path, 0o4755),
            None => match path.strip_suffix('*') {
                Some(path) => (path, 0o755),
                None => (path, 0o644),
            },
        };
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn ask(&self, words: &[&str]) -> Value {
        let ran = Command::new(env!("CARGO_BIN_EXE_rescind-agent"))
            .args(words)
            .args(["--json", "--root"])
            .arg(&self.0)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// The paths by one mechanism, as `state source:line reason`.
    pub fn paths(&self, account: &str, mechanism: &str) -> Vec<String> {
        let paths = self.ask(&["paths", "--account", account]);
        let paths = paths.as_array().unwrap().iter();
        paths
            .filter(|path| path["mechanism"] == mechanism)
            .map(|path| {
                let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (state, reason) = (words(&path["state"]), words(&path["reason"]));
                let reason = reason.replace("; this sshd is not running", "");
                format!("{state}{} {reason}", source(path))
            })
            .collect()
    }

    /// What the explanation says was not looked at.
    pub fn gaps(&self, account: &str) -> Vec<String> {
        let explained = self.ask(&["explain", account]);
        let gaps = explained["gaps"].as_array().into_iter().flatten();
        gaps.map(|gap| {
            let gap = gap.as_str().unwrap();
            gap.replace("; this sshd is not running", "")
        })
        .collect()
    }

    /// The tree in words, an indented line for each step.
    pub fn explain(&self, account: &str) -> Vec<String> {
        let explained = self.ask(&["explain", account]);
        let none = explained["steps"].as_array().unwrap().is_empty();
        assert_eq!(explained["root"] == Value::Null, none, "{explained}");
        let mut lines = Vec::new();
        steps(&explained["steps"], 0, &mut lines);
        lines
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn source(of: &Value) -> String {
    let Some(file) = of["source"]["file"].as_str() else {
        return String::new();
    };
    match of["source"]["line"].as_u64() {
        Some(line) => format!(" {file}:{line}"),
        None => format!(" {file}"),
    }
}

fn steps(of: &Value, depth: usize, lines: &mut Vec<String>) {
    for step in of.as_array().into_iter().flatten() {
        let (reason, sure) = (step["reason"].as_str(), step["sure"].as_str());
        lines.push(format!(
            "{}{} [{}]{}",
            "  ".repeat(depth),
            reason.unwrap().replace("; this sshd is not running", ""),
            sure.unwrap(),
            source(step)
        ));
        steps(&step["then"], depth + 1, lines);
    }
}
