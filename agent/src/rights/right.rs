//! What a right is.

use std::path::PathBuf;

use rescind_protocol::path::{Mechanism, Source};

use crate::host::account::PasswordState;
use crate::sshd::printable::printable_path;

/// What a rule lets an account do as another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// As whom.
    pub whom: Whom,
    /// What it lets the account do, in a sentence of its own.
    pub words: String,
    /// How far that goes.
    pub reach: Reach,
    /// The programs that it names by their paths.
    pub programs: Vec<Vec<u8>>,
    /// What is asked first.
    pub asks: Asks,
    /// What may spare the password that is asked.
    pub spares: Option<String>,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<u32>,
    /// What takes it away again.
    pub shut: Option<String>,
    /// What is not known about it, so that there may be no such right.
    pub doubt: Option<String>,
}

/// As whom a right lets an account act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// As root.
    Root,
    /// As anybody, root too.
    Anybody,
    /// As the account of this name or uid.
    Account(Vec<u8>),
    /// As itself, in this group.
    Group(Vec<u8>),
    /// As one of those that a list names; it is told by whom that list names.
    Listed,
}

/// How far a right goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everything can be done.
    Everything,
    /// Something can be done that leads to everything, for those who know how.
    Leads,
    /// What is allowed is not known to lead further.
    Something,
}

/// What is asked before a right can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// The account's own password.
    OwnPassword,
    /// The password of another account, of which this is known.
    PasswordOf(PasswordState),
    /// The password of a group.
    GroupPassword,
}

impl Right {
    /// Where it stands, for people.
    pub fn source(&self) -> Source {
        Source {
            file: printable_path(&self.file),
            line: self.line,
        }
    }
}
