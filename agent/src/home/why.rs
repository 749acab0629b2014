//! Why something asked of the child was not done.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::sys::fs::FileKind;

/// Why something asked for was not done. Only `Missing` says that there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Why {
    /// No such file, or a part of the way to it is missing or no directory.
    #[n(0)]
    #[error("does not exist")]
    Missing,
    /// It is something else than a regular file.
    #[n(1)]
    #[error("is not a regular file but {0}")]
    NotRegular(#[n(0)] FileKind),
    /// A symbolic link on the way is not followed.
    #[n(2)]
    #[error("{0}")]
    Links(#[n(0)] LinkTrouble),
    /// The file has other names, so it is not replaced: the others would keep the old content.
    #[n(3)]
    #[error("has {0} hard links; remove the others first")]
    HardLinks(#[n(0)] u64),
    /// It is longer than asked for.
    #[n(4)]
    #[error("is longer than {0} bytes, the most that is read")]
    TooLarge(#[n(0)] u64),
    /// Its owner may not do that.
    #[n(5)]
    #[error("permission denied to uid {uid}")]
    Denied {
        /// As whom it was tried.
        #[n(0)]
        uid: u32,
    },
    /// The owner cannot replace it, but root may.
    #[n(6)]
    #[error("cannot be replaced by its user: {0}")]
    NotOwners(#[n(0)] NotOwners),
    /// It is not the file, or not the content, that was read before.
    #[n(7)]
    #[error("has changed since it was read")]
    Changed,
    /// It changed while it was read, again and again.
    #[n(8)]
    #[error("keeps changing while it is read")]
    Unsteady,
    /// The file system is read-only.
    #[n(9)]
    #[error("is on a read-only file system")]
    ReadOnly,
    /// The path is longer than the kernel accepts.
    #[n(10)]
    #[error("has a path that is too long")]
    PathTooLong,
    /// The file or its directory is marked immutable or append-only.
    #[n(11)]
    #[error("may not be changed even by root (immutable or append-only? see lsattr)")]
    Immutable,
    /// The child could not take on the owner's ids.
    #[n(12)]
    #[error("could not act as uid {uid}: {}", errno_in_words(.errno))]
    CannotBecome {
        /// Whose.
        #[n(0)]
        uid: u32,
        /// errno(3).
        #[n(1)]
        errno: i32,
    },
    /// Another error of the system.
    #[n(13)]
    #[error("{}: {}", step, errno_in_words(.errno))]
    Io {
        /// What was being done.
        #[n(0)]
        step: Step,
        /// errno(3).
        #[n(1)]
        errno: i32,
    },
    /// No answer in time; the child was left behind. Said by the parent.
    #[n(14)]
    #[error("did not answer in time (a dead network or FUSE file system?)")]
    Hung,
    /// The child is gone or answered nonsense. Said by the parent.
    #[n(15)]
    #[error("the child that reads users' files failed: {}", in_print(.0))]
    Child(#[n(0)] String),
}

impl Why {
    /// Whether the path's own state is the reason, so that it stays as long as that does.
    pub const fn is_of_the_path(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::NotRegular(_)
                | Self::Links(_)
                | Self::TooLarge(_)
                | Self::Denied { .. }
                | Self::PathTooLong
        )
    }
}

/// Why a symbolic link was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum LinkTrouble {
    /// More than the kernel would follow (40, path_resolution(7)), or a loop.
    #[n(0)]
    #[error("is reached through too many symbolic links, or a loop of them")]
    TooMany,
    /// It leads into /proc, where names are not files.
    #[n(1)]
    #[error("is reached through a symbolic link into /proc")]
    Proc,
    /// Root follows only links in directories that nobody else can write.
    #[n(2)]
    #[error("is reached through a symbolic link that others than root can change")]
    Untrusted,
}

/// Why a file cannot be replaced by its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum NotOwners {
    /// The file belongs to somebody else.
    #[n(0)]
    #[error("the file belongs to uid {0}")]
    File(#[n(0)] u32),
    /// The user may not make files in the directory.
    #[n(1)]
    #[error("the user may not write in its directory")]
    Directory,
    /// The user may not give the new file the group of the old one.
    #[n(2)]
    #[error("the user may not give a file to group {0}")]
    Group(#[n(0)] u32),
    /// The user may not give the new file an attribute of the old one.
    #[n(3)]
    #[error("the user may not copy its extended attributes")]
    Attributes,
}

/// What was being done when the system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[expect(missing_docs, reason = "the words are the names")]
pub enum Step {
    #[n(0)]
    Walk,
    #[n(1)]
    Open,
    #[n(2)]
    Read,
    #[n(3)]
    Create,
    #[n(4)]
    Write,
    #[n(5)]
    Attributes,
    #[n(6)]
    Sync,
    #[n(7)]
    Rename,
    #[n(8)]
    List,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Walk => "cannot follow the path",
            Self::Open => "cannot open",
            Self::Read => "cannot read",
            Self::Create => "cannot make a new file beside it",
            Self::Write => "cannot write the new file",
            Self::Attributes => "cannot copy owner, mode or attributes",
            Self::Sync => "cannot sync",
            Self::Rename => "cannot rename the new file",
            Self::List => "cannot list",
        })
    }
}

/// The words of a child, which may be in the hands of the owner of a home.
fn in_print(words: &str) -> String {
    let some = words.chars().take(300);
    some.map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn errno_in_words(errno: &i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(*errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_is_cut_and_holds_no_control_characters() {
        let why = Why::Child(format!("a\u{1b}[2J\n{}", "x".repeat(100_000)));
        let told = why.to_string();
        assert!(told.contains("failed: a\u{fffd}[2J\u{fffd}xxx"), "{told}");
        assert!(told.len() < 400 && !told.contains(char::is_control));
    }
}
