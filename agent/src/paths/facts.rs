//! What the evaluator is given.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::strict_modes::GroupIs;
use crate::host::account::{Account, GroupRef};
use crate::pam::Service;
use crate::sshd::certificate::Certificate;
use crate::sshd::include::{Config, ConfigError, ReadProblem};
use crate::sshd::matching::Connection;

/// An sshd of the host.
#[derive(Debug, Clone)]
pub struct Sshd {
    /// Its configuration file, as people know it.
    pub name: String,
    /// Its configuration, or why there is none.
    pub config: Result<Config, ConfigError>,
    /// Whether it runs now. One that does not is judged all the same, for it may run at any time.
    pub running: bool,
    /// The services of PAM that its configuration may name.
    pub pam: Vec<Service>,
}

/// The services of PAM by which people become an account at the console and with su(1).
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// What login(1) asks, where it asks PAM.
    pub login: Option<Service>,
    /// What su(1) asks, likewise.
    pub su: Option<Service>,
    /// The groups that have members: some of their members may need no password of su.
    pub groups: Vec<GroupRef>,
}

/// What is so at the moment of judging, for one account.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Every sshd of the host; none means no way in over ssh.
    pub sshds: &'a [Sshd],
    /// What asks for passwords besides them.
    pub doors: &'a Doors,
    /// The account's login shell.
    pub shell: Shell,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
    /// Seconds that the host's time zone is ahead of UTC now, where known: `expiry-time` is in local time.
    pub utc_offset: Option<i64>,
    /// Where it is noted when an answer changes by itself.
    pub turns: &'a Turns,
    /// Judge for this one connection; `None` for every connection there could be.
    pub connection: Option<Connection>,
    /// Judge certificates by this one alone; `None` for every one that a CA could issue.
    pub certificate: Option<&'a Certificate>,
}

impl Facts<'_> {
    /// Days since 1970-01-01, as shadow(5) counts them.
    pub const fn today(&self) -> i64 {
        self.now.div_euclid(86_400)
    }
}

/// The first instant at which an answer changes although nothing on the host does, days apart:
/// those begin for all accounts at once.
#[derive(Debug, Default)]
pub struct Turns(Cell<Option<i64>>);

impl Turns {
    /// An answer changes at an instant, in seconds since 1970; one that is over does not count.
    pub fn note(&self, at: i64, now: i64) {
        if at > now && self.0.get().is_none_or(|first| at < first) {
            self.0.set(Some(at));
        }
    }

    /// The first one.
    pub const fn first(&self) -> Option<i64> {
        self.0.get()
    }
}

/// Somebody who comes to an sshd.
#[derive(Debug, Clone)]
pub struct Client<'c> {
    /// From where, and where to.
    pub connection: Connection,
    /// The certificate that is shown, if one is.
    pub certificate: Option<&'c Certificate>,
}

/// The login shell, looked at as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shell {
    /// A program that can be run.
    Runs,
    /// A program whose purpose is to refuse: nologin(8), false(1).
    Refuses,
    /// There is no such file.
    Missing,
    /// Not a regular file, or nobody may execute it.
    NotExecutable,
    /// It could not be looked at.
    Unknown(String),
}

/// As whom a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAs {
    /// With the account's uid and groups, as sshd reads key files and principals.
    Account,
    /// As root, as sshd reads CA keys and revoked keys.
    Root,
}

/// Obtains key files.
pub trait KeyFiles {
    /// A file as sshd would read it for the account.
    fn read(
        &mut self,
        account: &Account,
        path: &Path,
        reader: ReadAs,
    ) -> Result<KeyFileFacts, ReadProblem>;

    /// What root finds at a path, links followed.
    fn look(&mut self, path: &Path) -> Result<Found, ReadProblem>;
}

/// What root finds at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// A key file and what StrictModes looks at.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFileFacts {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Who owns the file that was opened.
    pub file: Ownership,
    /// The directories above its canonical path (realpath(3)), from the nearest upwards, up to the account's
    /// canonical home where that is among them, else up to `/`.
    pub directories: Vec<(PathBuf, Ownership)>,
}

/// Key lines can hold secrets.
impl std::fmt::Debug for KeyFileFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFileFacts")
            .field("bytes", &self.bytes.len())
            .field("file", &self.file)
            .field("directories", &self.directories)
            .finish()
    }
}

/// Owner and mode of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Whose its group is; only looked at where the group may write.
    pub group: GroupIs,
}
