//! Which Debian a host runs, and where the root it is booted from lies.

use std::fmt;
use std::path::PathBuf;

/// A Debian release for which there is a root, see `tests/setup/build-roots.sh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 11: glibc 2.31, systemd 247, OpenSSH 8.4.
    Bullseye,
    /// Debian 12: systemd 252, OpenSSH 9.2.
    Bookworm,
    /// Debian 13: systemd 257, OpenSSH 10.0, which has a program of its own for each session.
    Trixie,
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// Its code name, which is also the name of its root.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The root hosts of this release are booted from. It is only read.
    pub fn root(self) -> PathBuf {
        let roots = std::env::var_os("RESCIND_ROOTS")
            .map_or("/var/cache/rescind-tests/roots".into(), PathBuf::from);
        roots.join(self.name())
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
