//! What a survey found, and what it could not look at. Nothing here holds a value.

use std::collections::BTreeSet;
use std::time::Duration;

use rescind_protocol::name::AccountName;

use super::hollow::Hollow;
use super::kind::Kind;
use super::mark::Fingerprint;
use crate::home::Why;
use crate::host::not_read::Cause;

/// A credential that lies on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// In whose home it lies; nobody's for the host's own.
    pub account: Option<AccountName>,
    /// That account owns the file, or it is the host's own place.
    pub in_owners_home: bool,
    /// Other accounts whose homes lead to the same file.
    pub also: Vec<AccountName>,
    /// Where, as the host names it.
    pub path: Vec<u8>,
    /// The same with all links resolved.
    pub real_path: Vec<u8>,
    /// Which of several in the file, where that can be told without telling a value.
    pub label: Option<String>,
    /// By what it can be known again.
    pub fingerprint: Fingerprint,
    /// The fingerprint is that of a `.pub` file beside an encrypted key, which may be another's.
    pub from_pub_file: bool,
    /// A password is needed to use it.
    pub encrypted: bool,
    /// Type of a key; empty where there is none or it cannot be told.
    pub key_type: &'static str,
    /// Its length; 0 where there is none or it cannot be told.
    pub bits: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
    /// Permission bits (07777).
    pub mode: u32,
    /// Bytes of the file.
    pub size: u64,
    /// Last change of the content, in seconds since 1970. Its owner can set it to anything.
    pub modified: i64,
}

/// What was looked at, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Homes of accounts, each counted once.
    pub homes: u32,
    /// Those that are not there.
    pub homes_missing: u32,
    /// Directories whose names were read.
    pub directories: u32,
    /// Files that were read whole.
    pub files: u32,
    /// Uids on whose file systems an answer was waited for in vain.
    pub hung: BTreeSet<u32>,
    /// What was to be read and was not.
    pub not_read: Bounded<NotRead>,
    /// What looks like a credential and is not understood.
    pub unclear: Bounded<Unclear>,
    /// Where a credential could stand and does not.
    pub passed_over: Bounded<PassedOver>,
    /// Something was not looked at because time was up: another survey may get further.
    pub out_of_time: bool,
    /// How long it took.
    pub took: Duration,
}

/// Something was to be read and was not, so there may be credentials in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead {
    /// In whose home.
    pub account: Option<AccountName>,
    /// A file, or a directory.
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In one word.
    pub cause: Cause,
    /// In words.
    pub why: String,
}

impl Reason {
    /// There is more of it than is read.
    pub fn size(why: impl Into<String>) -> Self {
        Self {
            cause: Cause::Size,
            why: why.into(),
        }
    }

    /// The time was up.
    pub fn time(why: impl Into<String>) -> Self {
        Self {
            cause: Cause::Time,
            why: why.into(),
        }
    }
}

impl From<&Why> for Reason {
    fn from(why: &Why) -> Self {
        Self {
            cause: why.into(),
            why: why.to_string(),
        }
    }
}

/// Something looks like a credential and is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// In whose home.
    pub account: Option<AccountName>,
    /// The file.
    pub path: Vec<u8>,
    /// What it looks like.
    pub kind: Kind,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A template, an empty value, or a word that says where the secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// In whose home.
    pub account: Option<AccountName>,
    /// The file.
    pub path: Vec<u8>,
    /// What would have stood there.
    pub kind: Kind,
    /// Which of several in the file.
    pub label: Option<String>,
    /// What stands there instead.
    pub why: Hollow,
}

/// A list that users cannot make endless: beyond its length, or one home's share of it, it only
/// counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded<T> {
    /// The first ones.
    pub listed: Vec<T>,
    /// All of them.
    pub total: u64,
    /// Where in `listed` those of the home at hand begin.
    home: usize,
}

/// The longest list.
pub const LISTED_MAX: usize = 10_000;
/// The most of it that is of one home.
pub const LISTED_PER_HOME_MAX: usize = 200;

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            total: 0,
            home: 0,
        }
    }
}

impl<T> Bounded<T> {
    /// Adds one of the home at hand.
    pub fn push(&mut self, item: T) {
        self.total += 1;
        if self.listed.len() < LISTED_MAX.min(self.home + LISTED_PER_HOME_MAX) {
            self.listed.push(item);
        }
    }

    /// What comes is of another home.
    pub fn next_home(&mut self) {
        self.home = self.listed.len();
    }
}

impl Coverage {
    /// What comes is of another home.
    pub fn next_home(&mut self) {
        self.not_read.next_home();
        self.unclear.next_home();
        self.passed_over.next_home();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_home_cannot_fill_the_list() {
        let mut list = Bounded::default();
        (0..1000).for_each(|n| list.push(n));
        list.next_home();
        list.push(1000);
        assert_eq!(
            (list.listed.len(), list.total),
            (LISTED_PER_HOME_MAX + 1, 1001)
        );
        assert_eq!(list.listed.last(), Some(&1000));
    }
}
