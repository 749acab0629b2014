//! The story where no host can be booted: on a directory with the files of a host, to which the
//! signed order is carried by hand, as to a host without any network.

use crate::telling::Story;
use rescind_tests::{ControlPlane, Key, Ran, Request, agent_binary, run};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

const HOST: &str = "shop-1";

/// Tells it on a directory.
pub fn tell(story: &mut Story) {
    story.step("The files of a server");
    let key = Key::ed25519("alice@laptop");
    let root = Root::make(&key);
    story.seen(&format!(
        "{}, with alice, bob and their keys",
        root.path.display()
    ));

    story.step("A control plane, and the agent's identity");
    let control = story.timed("starting `rescind serve`", ControlPlane::start);
    let server = format!("127.0.0.1:{}", control.port());
    let token = control.token();
    story.ran(
        &root
            .agent(&[
                "enrol", "--server", &server, "--name", HOST, "--token", &token,
            ])
            .ok(),
    );
    story.ran(&root.agent(&["paths", "--account", "alice"]).ok());

    story.step("alice leaves the company");
    let order = control.revoke_account(HOST, "alice", Request::default());
    let file = root.path.join("order");
    write(&file, &order.export(), 0o600);
    story.seen("the signed order is written to a file and carried to the host");
    let file = file.display().to_string();
    story.ran(&root.agent(&["apply", &file, "--dry-run"]).ok());
    story.ran(&root.agent(&["apply", &file]).ok());
    let keys = fs::read(root.path.join("home/alice/.ssh/authorized_keys")).unwrap_or_default();
    story.check(
        !String::from_utf8_lossy(&keys).contains(key.line()),
        "her key is gone",
    );
    story.ran(&root.agent(&["paths", "--account", "alice"]).ok());

    story.step("The same order a second time");
    story.ran(&root.agent(&["apply", &file]).ok());

    story.step("The proof");
    story.ran(&root.agent(&["evidence"]).ok());
}

/// A directory with the files of a host; it goes when this is dropped.
struct Root {
    path: PathBuf,
}

impl Root {
    fn make(key: &Key) -> Self {
        let path = std::env::temp_dir().join(format!("rescind-demo-{}", std::process::id()));
        let root = Self { path };
        // Without root, alice is whoever runs the demo: her files can be nobody else's.
        let me = nix::unistd::geteuid();
        let (uid, gid) = if me.is_root() {
            (4001, 4001)
        } else {
            (me.as_raw(), nix::unistd::getegid().as_raw())
        };
        // Of no password that anybody knows.
        let hash = format!("$6$demo${}", "x".repeat(86));
        for (name, text, mode) in [
            ("etc/hostname", format!("{HOST}\n"), 0o644),
            (
                "etc/passwd",
                format!(
                    "root:x:0:0:root:/root:/bin/bash\nalice:x:{uid}:{gid}:Alice:/home/alice:/bin/bash\nbob:x:4002:4002:Bob:/home/bob:/bin/bash\nrescind-link:x:990:990::/nonexistent:/usr/sbin/nologin\n"
                ),
                0o644,
            ),
            (
                "etc/group",
                format!("root:x:0:\nalice:x:{gid}:\nbob:x:4002:\nrescind-link:x:990:\n"),
                0o644,
            ),
            (
                "etc/shadow",
                format!(
                    "root:{hash}:19000:0:99999:7:::\nalice:{hash}:19000:0:99999:7:::\nbob:{hash}:19000:0:99999:7:::\nrescind-link:!:19000::::::\n"
                ),
                0o640,
            ),
            (
                "etc/gshadow",
                "root:*::\nalice:!::\nbob:!::\nrescind-link:!::\n".to_owned(),
                0o640,
            ),
            ("etc/shells", "/bin/sh\n/bin/bash\n".to_owned(), 0o644),
            ("bin/bash", String::new(), 0o755),
            // What the agent reads of an sshd is which release it is.
            (
                "usr/sbin/sshd",
                "OpenSSH_9.2p1 Debian-2+deb12u7".to_owned(),
                0o755,
            ),
            ("etc/ssh/sshd_config", "UsePAM yes\n".to_owned(), 0o644),
            (
                "home/alice/.ssh/authorized_keys",
                format!("# laptop\n{}\n", key.line()),
                0o600,
            ),
        ] {
            write(&root.path.join(name), text.as_bytes(), mode);
        }
        for name in [
            "home/alice",
            "home/alice/.ssh",
            "home/alice/.ssh/authorized_keys",
        ] {
            if let Err(error) = chown(root.path.join(name), Some(uid), Some(gid)) {
                panic!("could not give {name} to alice: {error}");
            }
        }
        root
    }

    /// Runs a command of the agent on this directory.
    fn agent(&self, words: &[&str]) -> Ran {
        let mut ran = run(Command::new(agent_binary())
            .args(words)
            .arg("--root")
            .arg(&self.path));
        let typed = words.join(" ");
        // A token is for one host and one hour, but a habit of showing them is for ever.
        let typed = typed.split("rescind1.").next().unwrap_or_default();
        let hidden = if typed.ends_with("--token ") {
            "…"
        } else {
            ""
        };
        ran.what = format!(
            "rescind-agent {typed}{hidden} --root {}",
            self.path.display()
        );
        ran
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Writes a file and the directories above it.
fn write(path: &Path, bytes: &[u8], mode: u32) {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, bytes))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    if let Err(error) = written {
        panic!("could not write {}: {error}", path.display());
    }
}
