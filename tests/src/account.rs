//! Accounts of a host, made with the host's own tools.

use crate::host::Host;
use crate::key::Key;

/// An account on a host.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    host: &'a Host,
    name: &'a str,
}

impl<'a> Account<'a> {
    /// Creates it with useradd: a home, bash as shell, no usable password.
    #[track_caller]
    pub fn create(host: &'a Host, name: &'a str) -> Self {
        host.run(&format!(
            "useradd --create-home --shell /bin/bash -- {name}"
        ))
        .ok();
        Self { host, name }
    }

    /// One that is there already, such as root.
    pub fn existing(host: &'a Host, name: &'a str) -> Self {
        Self { host, name }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Lets a key in: appends its line to `~/.ssh/authorized_keys`.
    #[track_caller]
    pub fn authorize(self, key: &Key) -> Self {
        self.authorize_line(key.line())
    }

    /// Appends any line to `~/.ssh/authorized_keys`, options and all. The file and its directory are
    /// the account's, 0600 and 0700.
    #[track_caller]
    pub fn authorize_line(self, line: &str) -> Self {
        let script = format!(
            "home=$(getent passwd {name} | cut -d: -f6)
             group=$(id -g {name})
             install -d -m 0700 -o {name} -g $group $home/.ssh
             cat >>$home/.ssh/authorized_keys
             chown {name}:$group $home/.ssh/authorized_keys
             chmod 0600 $home/.ssh/authorized_keys",
            name = self.name
        );
        self.host
            .run_with(&format!("set -e; {script}"), format!("{line}\n").as_bytes())
            .ok();
        self
    }

    /// Gives it a password.
    #[track_caller]
    pub fn password(self, password: &str) -> Self {
        self.host
            .run_with("chpasswd", format!("{}:{password}\n", self.name).as_bytes())
            .ok();
        self
    }

    /// Its home directory.
    #[track_caller]
    pub fn home(&self) -> String {
        self.host
            .run(&format!("getent passwd {} | cut -d: -f6", self.name))
            .ok()
            .text()
    }

    /// The bytes of its `~/.ssh/authorized_keys`.
    #[track_caller]
    pub fn authorized_keys(&self) -> Vec<u8> {
        self.host
            .read_file(&format!("{}/.ssh/authorized_keys", self.home()))
    }

    /// Its line in shadow(5).
    #[track_caller]
    pub fn shadow(&self) -> String {
        self.host
            .run(&format!("grep '^{}:' /etc/shadow", self.name))
            .ok()
            .text()
    }

    /// How many processes run as it, by real uid.
    #[track_caller]
    pub fn processes(&self) -> usize {
        // pgrep ends with 1 when it finds none.
        self.host
            .run(&format!("pgrep -U {} || true", self.name))
            .ok()
            .text()
            .lines()
            .count()
    }
}
