//! One file for another, whole, durable, with everything but the content kept.
//!
//! The new content is written to a file beside the old one, which gets its owner, mode and
//! extended attributes (access control list, security label), is synced, and takes the old one's
//! name. Then the directory is synced: shadow-utils does not, and a power cut after `usermod -L`
//! so brings the old password back. Of an account file the old state stays as `<file>-`, by a
//! hard link, so that both names hold a complete file at every moment.
//!
//! The price is one fsync for each file and one for each directory, however many files in it are
//! replaced together.
//!
//! A file that is a mount point of its own (`EBUSY`), or that chattr(1) guards, is left as it is
//! and said so: it is not written in place, because a power cut would leave half of it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::lock::{AccountFile, AccountLock, LockError};
use super::root::{FileStamp, HostRoot, ReadError};
use super::staged::{Backup, Committed, Staged, TEMP_PREFIX};
use crate::sys::fs::{self, FileKind, Guarded};

/// New content for a file.
#[derive(Clone, Copy)]
pub struct Replacement<'a, F> {
    /// Which file.
    pub file: F,
    /// The state of it that the new content was made from.
    pub seen: &'a FileStamp,
    /// The new content, all of it.
    pub content: &'a [u8],
}

/// Why a file was not replaced. But for [`ReplaceError::NotDurable`], it is as it was, and
/// nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The lock that was shown is not for this file.
    #[error("{path:?} is not among the files that were locked")]
    NotLocked {
        /// The file.
        path: PathBuf,
    },
    /// Somebody has the file's own lock.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// It could not be found or opened.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// Somebody changed or replaced it since it was read: read it again and start over.
    #[error("{path:?} was changed by somebody else meanwhile")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Its file system is mounted read-only.
    #[error("{path:?} is on a read-only file system")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// chattr(1) forbids every change of it, or of the directory's names.
    #[error("{guarded_path:?} is {guarded}; lsattr(1) shows and chattr(1) lifts that")]
    Guarded {
        /// The file that should be replaced.
        path: PathBuf,
        /// That file or its directory.
        guarded_path: PathBuf,
        /// How.
        guarded: Guarded,
    },
    /// It is a mount point: a single file that was bind-mounted, as container engines do.
    #[error("{path:?} is a mount point and cannot be replaced; change it where it comes from")]
    Mounted {
        /// The file.
        path: PathBuf,
    },
    /// The file system or a quota is full.
    #[error("no space left for a new {path:?}")]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// An extended attribute could not be given to the new file.
    #[error("the attribute {attribute} of {path:?} cannot be kept: {source}")]
    Attribute {
        /// The file.
        path: PathBuf,
        /// The attribute.
        attribute: String,
        /// What the system said.
        source: io::Error,
    },
    /// The new content stands, but the directory could not be synced: after a power cut the old
    /// content may be back.
    #[error("{path:?} was replaced, but that may not survive a power cut: {source}")]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system said no.
    #[error("{path:?} cannot be replaced: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Replaces an account file and keeps its old state as `<file>-`.
pub fn replace_account_file(
    lock: &AccountLock<'_>,
    file: AccountFile,
    seen: &FileStamp,
    content: &[u8],
) -> Result<FileStamp, ReplaceError> {
    let staged = stage_account_file(
        lock,
        &Replacement {
            file,
            seen,
            content,
        },
    )?;
    let link = lock.link_lock(file)?;
    let committed = staged.commit(Backup::Kept)?;
    drop(link);
    committed.sync()
}

/// Replaces account files, one fsync of the directory for all; the answers are in the order of
/// the files.
///
/// All are written before the first takes its name. Each is replaced by itself: between two of
/// them a reader sees the new one and the old other.
pub fn replace_account_files(
    lock: &AccountLock<'_>,
    files: &[Replacement<'_, AccountFile>],
) -> Vec<Result<FileStamp, ReplaceError>> {
    let staged = files
        .iter()
        .map(|new| (new.file, stage_account_file(lock, new)));
    let mut staged: Vec<_> = staged.enumerate().collect();
    staged.sort_by_key(|(_, (file, _))| *file);
    let mut links = Vec::with_capacity(files.len());
    let committed = staged.into_iter().map(|(position, (file, staged))| {
        let commit = || {
            let staged = staged?;
            links.push(lock.link_lock(file)?);
            staged.commit(Backup::Kept)
        };
        (position, commit())
    });
    let mut committed: Vec<_> = committed.collect();
    while links.pop().is_some() {} // last taken, first given back
    committed.sort_by_key(|(position, _)| *position);
    sync_all(
        committed
            .into_iter()
            .map(|(_, committed)| committed)
            .collect(),
    )
}

/// Replaces another file of the system, such as root's own file with a user's keys; no backup,
/// which some readers of a directory would take for one more file.
pub fn replace_file(
    root: &HostRoot,
    path: &Path,
    seen: &FileStamp,
    content: &[u8],
) -> Result<FileStamp, ReplaceError> {
    Staged::new(root, path, seen, content)?
        .commit(Backup::None)?
        .sync()
}

/// Replaces other files of the system, one fsync of each directory for all in it; the answers are
/// in the order of the files.
pub fn replace_files(
    root: &HostRoot,
    files: &[Replacement<'_, &Path>],
) -> Vec<Result<FileStamp, ReplaceError>> {
    let staged = files
        .iter()
        .map(|new| Staged::new(root, new.file, new.seen, new.content));
    let staged: Vec<_> = staged.collect();
    let committed = staged
        .into_iter()
        .map(|staged| staged?.commit(Backup::None));
    sync_all(committed.collect())
}

/// Removes the files that a replacement left in a directory when its process was killed; says how
/// many. Only for a time when none is under way: at the start, or under the account lock.
pub fn clean_leftovers(root: &HostRoot, dir: &Path) -> Result<usize, ReadError> {
    let failed = |source| ReadError::Io {
        path: dir.to_owned(),
        source,
    };
    let names = root.read_dir(dir, DIRECTORY_ENTRIES_MAX)?;
    let leftovers = names
        .iter()
        .filter(|name| name.as_bytes().starts_with(TEMP_PREFIX.as_bytes()));
    let (dir_fd, _) = root.open_dir(dir)?;
    let mut removed = 0;
    for name in leftovers {
        let stat = fs::stat_at(&dir_fd, name).map_err(failed)?;
        if stat.kind == FileKind::Regular {
            fs::unlink_in(&dir_fd, name).map_err(failed)?;
            removed += 1;
        }
    }
    Ok(removed)
}

const DIRECTORY_ENTRIES_MAX: usize = 200_000;

fn stage_account_file(
    lock: &AccountLock<'_>,
    new: &Replacement<'_, AccountFile>,
) -> Result<Staged, ReplaceError> {
    if !lock.covers(new.file) {
        let path = new.file.path().to_owned();
        return Err(ReplaceError::NotLocked { path });
    }
    Staged::new(lock.root(), new.file.path(), new.seen, new.content)
}

fn sync_all(
    committed: Vec<Result<Committed, ReplaceError>>,
) -> Vec<Result<FileStamp, ReplaceError>> {
    // What the one fsync of a directory said goes for every file in it.
    let mut synced: Vec<((u64, u64), Result<(), io::ErrorKind>)> = Vec::new();
    let mut sync_once = |dir: &OwnedFd| -> io::Result<()> {
        let stat = fs::fstat(dir)?;
        let id = (stat.dev, stat.ino);
        if let Some((_, earlier)) = synced.iter().find(|(known, _)| *known == id) {
            return earlier.map_err(io::Error::from);
        }
        let answer = fs::fsync(dir);
        synced.push((id, answer.as_ref().copied().map_err(io::Error::kind)));
        answer
    };
    let answers = committed.into_iter().map(|committed| {
        let committed = committed?;
        let answer = sync_once(committed.dir());
        committed.stamp(answer)
    });
    answers.collect()
}
