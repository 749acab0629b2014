//! The host as a directory, and the accounts that are made on it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

const UID: u32 = 72_000;
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
pub const CRONTABS: &str = "/var/spool/cron/crontabs";

/// A directory that everybody can pass through; gone when it is dropped, however deep it is.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let name = format!("rescind-hostile-{}", std::process::id());
        // In memory where there is some: a million names on a disk take minutes.
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => memory.to_path_buf(),
            false => std::env::temp_dir(),
        };
        let path = base.join(name);
        fs::create_dir(&path).expect("a scratch directory");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // rm(1) can take away what is deeper than a path may be long.
        let _ = Command::new("rm").arg("-rf").arg(&self.0).status();
    }
}

/// The host.
pub struct Place {
    pub root: PathBuf,
    passwd: String,
    next: u32,
}

impl Place {
    pub fn new(dir: &Path) -> Self {
        let mut place = Self {
            root: dir.join("root"),
            passwd: String::new(),
            next: 0,
        };
        place.passwd.push_str("root:x:0:0::/root:/bin/sh\n");
        for (path, text) in [
            ("/etc/group", "root:x:0:\n"),
            ("/etc/shadow", "root:*:19000:0:99999:7:::\n"),
            ("/etc/ssh/sshd_config", "UsePAM yes\n"),
            ("/usr/sbin/sshd", "OpenSSH_9.2p1 Debian-2+deb12u3\0"),
            ("/usr/lib/systemd/systemd", ""),
            (
                "/usr/lib/systemd/system/user@.service",
                "[Service]\nUser=%i\n",
            ),
            ("/bin/sh", ""),
        ] {
            place.write(path, text, false);
        }
        let shell = place.path("/bin/sh");
        fs::set_permissions(shell, Permissions::from_mode(0o755)).expect("its mode");
        fs::create_dir_all(place.path(CRONTABS)).expect("a spool");
        place.finish();
        place
    }

    /// Where a path of the host lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Makes an account with an empty home; the home's path on the host.
    pub fn account(&mut self, name: &str) -> String {
        let home = format!("/home/{name}");
        self.account_at(name, &home);
        self.dir(&home);
        home
    }

    /// An account with a home that is there or not.
    pub fn account_at(&mut self, name: &str, home: &str) {
        self.next += 1;
        let uid = self.owner().unwrap_or_else(|| geteuid().as_raw());
        let line = format!("{name}:x:{uid}:{uid}::{home}:/bin/sh\n");
        self.passwd.push_str(&line);
    }

    /// One with a key, a crontab and a unit.
    pub fn neighbour(&mut self, name: &str) -> String {
        let home = self.account(name);
        self.dir(&format!("{home}/.ssh"));
        self.write(&format!("{home}/.ssh/authorized_keys"), KEY, true);
        self.write(&format!("{CRONTABS}/{name}"), "* * * * * true\n", true);
        let units = self.units(&home);
        let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n";
        self.write(&format!("{units}/tick.service"), unit, true);
        home
    }

    /// Makes the directory of the units of a home.
    pub fn units(&self, home: &str) -> String {
        for dir in [".config", ".config/systemd", ".config/systemd/user"] {
            self.dir(&format!("{home}/{dir}"));
        }
        format!("{home}/.config/systemd/user")
    }

    /// Makes a directory of the account made last.
    pub fn dir(&self, path: &str) {
        let at = self.path(path);
        fs::create_dir_all(&at).expect("a directory");
        self.give(path);
    }

    /// Gives something to the account made last.
    pub fn give(&self, path: &str) {
        std::os::unix::fs::lchown(self.path(path), self.owner(), self.owner()).expect("its owner");
    }

    /// Writes a file, the host's own or that of the account made last.
    pub fn write(&self, path: &str, text: &str, is_users: bool) {
        let at = self.path(path);
        fs::create_dir_all(at.parent().expect("a parent")).expect("a directory");
        fs::write(&at, text).expect("a file");
        let mode = if is_users { 0o600 } else { 0o644 };
        fs::set_permissions(&at, Permissions::from_mode(mode)).expect("its mode");
        if is_users {
            chown(&at, self.owner(), self.owner()).expect("its owner");
        }
    }

    /// The owner of the account made last; without root all is ours.
    fn owner(&self) -> Option<u32> {
        geteuid().is_root().then_some(UID + self.next)
    }

    /// Writes down who is there.
    pub fn finish(&self) {
        self.write("/etc/passwd", &self.passwd, false);
        fs::set_permissions(&self.root, Permissions::from_mode(0o755)).expect("its mode");
    }
}
