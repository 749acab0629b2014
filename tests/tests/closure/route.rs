//! What a route is, and what became of it.

use std::fmt;

use rescind_tests::Release;

/// A column of the matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct On {
    pub release: Release,
    /// `UsePAM` of its sshd.
    pub pam: bool,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self.release {
            Release::Bullseye => 11,
            Release::Bookworm => 12,
            Release::Trixie => 13,
        };
        let pam = if self.pam { "yes" } else { "no" };
        write!(f, "Debian {number}, UsePAM {pam}")
    }
}

/// One way in, set up for an account that has no other.
pub struct Route {
    /// Its number in the catalogue of hazards.
    pub hazard: &'static str,
    /// The account.
    pub account: &'static str,
    /// What it is, for the page.
    pub what: &'static str,
    /// The password field of its line in shadow(5); `{hash}` is a hash of the password.
    pub field: &'static str,
    /// Its login shell.
    pub shell: &'static str,
    /// What an administrator did for it: a script of root's, see `stage.rs` for its words.
    pub plant: &'static str,
    /// What the account did when it was last logged in, over ssh with its key.
    pub begin: &'static str,
    /// How it is tried.
    pub attempt: Try,
    /// By what the outcome names it when it stays open.
    pub named: &'static [Named],
    /// Why it does not work here even before; nothing where it does.
    pub absent: Option<&'static str>,
    /// It needs services of PAM that let expired accounts pass.
    pub careless_pam: bool,
}

/// A mechanism, and what the file that it is configured in ends with.
pub type Named = (&'static str, &'static str);

impl Route {
    pub const fn new(
        hazard: &'static str,
        account: &'static str,
        what: &'static str,
        attempt: Try,
    ) -> Self {
        Self {
            hazard,
            account,
            what,
            field: "*",
            shell: "/bin/bash",
            plant: "",
            begin: "",
            attempt,
            named: &[],
            absent: None,
            careless_pam: false,
        }
    }
}

/// What is tried. Whoever gets in prints `inside`.
#[derive(Clone, Copy)]
pub enum Try {
    /// ssh with the key, to a port, and there a command.
    Key(u16, &'static str),
    /// ssh with the key as another account.
    KeyAs(&'static str),
    /// ssh with the password, by this method, to a port.
    Password(u16, &'static str),
    /// ssh with a certificate for this principal.
    Certificate(&'static str),
    /// ssh with the key, forwarding one connection to the host's own sshd (`-W`).
    Forward,
    /// sftp with the key.
    Sftp,
    /// A script of root's on the host; it becomes somebody else by `as NAME COMMAND`.
    OnHost(&'static str),
    /// A mark of the account's keeps growing by itself, or when cron and at have had their turn.
    Mark,
    /// A session that was opened before.
    Session,
    /// A master connection that was opened before (`ControlMaster`).
    Master,
    /// A tunnel from the host to here that was opened before (`-R`).
    Reverse,
    /// A tunnel from here to the host that was opened before (`-N -L`).
    Tunnel,
}

/// What became of one route on one host.
pub struct Cell {
    pub account: &'static str,
    pub what: &'static str,
    pub fate: Fate,
}

pub enum Fate {
    /// It does not work on this host, disabled or not.
    Absent(&'static str),
    /// It worked before and does not after.
    Closed,
    /// The same, but the outcome says that it is open, or unknown.
    ClosedThoughNamed(String),
    /// It works after, and the outcome says so, by this mechanism.
    NamedOpen(String),
    /// It works after, and nobody was told.
    SilentOpen(String),
    /// The attempt before did not come out as the route says.
    Amiss(String),
}

impl Cell {
    /// What is wrong with it, if anything is.
    pub fn complaint(&self) -> Option<String> {
        let (who, what) = (self.account, self.what);
        match &self.fate {
            Fate::SilentOpen(told) => Some(format!("SILENT OPEN {who} ({what}): {told}")),
            Fate::Amiss(why) => Some(format!("{who} ({what}): {why}")),
            _ => None,
        }
    }
}
