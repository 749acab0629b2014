//! What a survey could not read, and why: so that "nothing found" can be told from "not looked at".

use std::collections::BTreeSet;
use std::path::PathBuf;

use rescind_protocol::name::AccountName;
use serde::Serialize;

use super::root::ReadError;

/// Why something was not read, in one word that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The system does not let it be read.
    Permission,
    /// There is more of it than is read: bytes, names, files, rows, or the path is too long.
    Size,
    /// It did not answer in time.
    Hang,
    /// It is something else than a file where a file was looked for: a FIFO, a device, a directory.
    NotRegular,
    /// Links that lead nowhere or are not followed.
    Links,
    /// A directory (LDAP, SSSD, NIS) serves it, and is not asked for everything it has.
    Directory,
    /// A program would have to be asked for it.
    Provider,
    /// It changed while it was read, each time.
    Unsteady,
    /// The time for all of it was up.
    Time,
    /// It was read, and could not be understood.
    Unclear,
    /// Another error.
    Error,
}

impl From<&ReadError> for Cause {
    fn from(error: &ReadError) -> Self {
        match error {
            ReadError::NotRegular { .. } => Self::NotRegular,
            ReadError::TooLarge { .. } | ReadError::TooMany { .. } => Self::Size,
            ReadError::Untrusted { .. } => Self::Links,
            ReadError::Changing { .. } => Self::Unsteady,
            ReadError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Self::Permission
            }
            ReadError::Missing { .. } | ReadError::Io { .. } => Self::Error,
        }
    }
}

/// One thing that was not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotRead {
    /// Whose, where it is somebody's.
    pub account: Option<AccountName>,
    /// What, as the host names it.
    pub path: Option<PathBuf>,
    /// Why, in one word.
    pub cause: Cause,
    /// Why, in words.
    pub why: String,
}

impl NotRead {
    /// A file or directory of the host's own.
    pub fn of_host(error: &ReadError) -> Self {
        let why = error.to_string();
        // Told once is enough.
        let quoted = format!("{:?} ", error.path());
        Self {
            account: None,
            path: Some(error.path().to_owned()),
            cause: error.into(),
            why: why.strip_prefix(&quoted).unwrap_or(&why).to_owned(),
        }
    }
}

/// The most that is remembered between two times of taking it.
const NOTED_MAX: usize = 4096;

/// What could not be read since it was last asked for, each once.
#[derive(Debug, Default)]
pub struct Notes {
    noted: BTreeSet<NotRead>,
    /// More than are remembered.
    pub more: u64,
}

impl Notes {
    /// Remembers one.
    pub fn add(&mut self, not_read: NotRead) {
        if self.noted.len() < NOTED_MAX {
            self.noted.insert(not_read);
        } else if !self.noted.contains(&not_read) {
            self.more += 1;
        }
    }

    /// Takes them, in their order.
    pub fn take(&mut self) -> Vec<NotRead> {
        std::mem::take(&mut self.noted).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_file_is_named_once() {
        let error = ReadError::TooLarge {
            path: "/etc/sudoers.d/a b".into(),
            max_bytes: 5,
        };
        let one = NotRead::of_host(&error);
        assert_eq!(one.why, "is larger than 5 bytes");
        let mut notes = Notes::default();
        notes.add(one.clone());
        notes.add(one.clone());
        assert_eq!(notes.take(), [one]);
        assert_eq!(notes.take(), []);
    }
}
