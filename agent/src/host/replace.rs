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

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::lines::wipe;
use super::lock::{AccountFile, AccountLock};
use super::root::{FileStamp, HostRoot, ReadError};
use crate::sys::fs::{self, FileKind, Guarded};
use crate::sys::xattr;

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
    #[error("{guarded_path:?} is {guarded:?}; chattr(1) shows and lifts that")]
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
    if !lock.covers(file) {
        let path = file.path().to_owned();
        return Err(ReplaceError::NotLocked { path });
    }
    Staged::new(lock.root(), file.path(), seen, content)?
        .commit(Backup::Kept)?
        .sync()
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
    let staged = files.iter().map(|new| match lock.covers(new.file) {
        true => Staged::new(lock.root(), new.file.path(), new.seen, new.content),
        false => Err(ReplaceError::NotLocked {
            path: new.file.path().to_owned(),
        }),
    });
    commit_all(staged.collect(), Backup::Kept)
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
    commit_all(staged.collect(), Backup::None)
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

/// Names that sudo (a dot), sshd (`*.conf`) and cron (a dot) skip in their directories.
const TEMP_PREFIX: &str = ".rescind-";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backup {
    Kept,
    None,
}

/// The new file, complete and synced beside the old one; removed again if it is dropped.
struct Staged {
    target: Target,
    temp: Temp,
    seen: FileStamp,
}

/// The file that is to be replaced, open.
struct Target {
    path: PathBuf,
    dir: OwnedFd,
    name: OsString,
    file: File,
}

impl Staged {
    fn new(
        root: &HostRoot,
        path: &Path,
        seen: &FileStamp,
        content: &[u8],
    ) -> Result<Self, ReplaceError> {
        let target = Target::open(root, path, seen)?;
        let temp = Temp::beside(&target, content)?;
        Ok(Self {
            target,
            temp,
            seen: *seen,
        })
    }

    /// Gives the new file the old one's name, if the old one still is what was seen.
    fn commit(mut self, backup: Backup) -> Result<Committed, ReplaceError> {
        let target = &self.target;
        let now = fs::stat_at(&target.dir, &target.name).map_err(|e| target.failed(e))?;
        if FileStamp::from(&now) != self.seen {
            return Err(target.changed());
        }
        if backup == Backup::Kept {
            target.keep_backup()?;
        }
        fs::rename_in(&target.dir, &self.temp.name, &target.name)
            .map_err(|error| target.failed(error))?;
        self.temp.done = true;
        Ok(Committed(self))
    }
}

/// The new file in its place, but not yet for good.
#[must_use]
struct Committed(Staged);

impl Committed {
    fn sync(self) -> Result<FileStamp, ReplaceError> {
        let synced = fs::fsync(&self.0.target.dir);
        self.stamp(synced)
    }

    fn stamp(&self, synced: io::Result<()>) -> Result<FileStamp, ReplaceError> {
        let target = &self.0.target;
        synced.map_err(|source| ReplaceError::NotDurable {
            path: target.path.clone(),
            source,
        })?;
        let stat = fs::fstat(&self.0.temp.file).map_err(|error| target.failed(error))?;
        Ok(FileStamp::from(&stat))
    }
}

fn commit_all(
    staged: Vec<Result<Staged, ReplaceError>>,
    backup: Backup,
) -> Vec<Result<FileStamp, ReplaceError>> {
    let committed: Vec<_> = staged
        .into_iter()
        .map(|staged| staged?.commit(backup))
        .collect();
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
        let answer = sync_once(&committed.0.target.dir);
        committed.stamp(answer)
    });
    answers.collect()
}

impl Target {
    fn open(root: &HostRoot, path: &Path, seen: &FileStamp) -> Result<Self, ReplaceError> {
        let found = root.locate(path)?;
        if let Some((component, why)) = found.doubt {
            return Err(ReplaceError::Unreadable(ReadError::Untrusted {
                path: path.to_owned(),
                component,
                why,
            }));
        }
        let failed = |source| ReplaceError::Io {
            path: path.to_owned(),
            source,
        };
        let target = Self {
            path: found.path,
            dir: fs::open_dir(&found.dir).map_err(failed)?,
            file: fs::open_read(&found.dir, &found.name).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ReplaceError::Changed {
                    path: path.to_owned(),
                },
                _ => failed(error),
            })?,
            name: found.name,
        };
        let stat = fs::fstat(&target.file).map_err(failed)?;
        if stat.kind != FileKind::Regular || FileStamp::from(&stat) != *seen {
            return Err(target.changed());
        }
        target.refuse_guarded()?;
        Ok(target)
    }

    /// Before anything is made: in an append-only directory it could not be removed again.
    fn refuse_guarded(&self) -> Result<(), ReplaceError> {
        let dir_path = self.path.parent().unwrap_or(Path::new("/"));
        let of_file = fs::guarded(&self.file).map_err(|error| self.failed(error))?;
        let of_dir = fs::guarded(&self.dir).map_err(|error| self.failed(error))?;
        let (guarded_path, guarded) = match (of_file, of_dir) {
            (Some(guarded), _) => (self.path.clone(), guarded),
            (None, Some(guarded)) => (dir_path.to_owned(), guarded),
            (None, None) => return Ok(()),
        };
        Err(ReplaceError::Guarded {
            path: self.path.clone(),
            guarded_path,
            guarded,
        })
    }

    /// Makes `<name>-` the old file: by a link, which costs no fsync because the old file is on
    /// disk already; by a synced copy where the file system has no links.
    fn keep_backup(&self) -> Result<(), ReplaceError> {
        let mut backup_name = self.name.clone();
        backup_name.push("-");
        let link_name = temp_name();
        let mut temp = match fs::link_in(&self.dir, &self.name, &link_name) {
            Ok(()) => Temp {
                dir: self.dir.try_clone().map_err(|error| self.failed(error))?,
                name: link_name,
                file: self.file.try_clone().map_err(|error| self.failed(error))?,
                done: false,
            },
            Err(error) if has_no_links(&error) => {
                let mut old = Vec::new();
                (&self.file)
                    .read_to_end(&mut old)
                    .map_err(|error| self.failed(error))?;
                let copy = Temp::beside(self, &old);
                wipe(&mut old);
                copy?
            }
            Err(error) => return Err(self.failed(error)),
        };
        fs::rename_in(&self.dir, &temp.name, &backup_name).map_err(|error| self.failed(error))?;
        // Where the backup is this very file already, rename(2) does nothing and both names stay.
        temp.done = fs::stat_at(&self.dir, &temp.name).is_err();
        Ok(())
    }

    fn changed(&self) -> ReplaceError {
        ReplaceError::Changed {
            path: self.path.clone(),
        }
    }

    fn failed(&self, source: io::Error) -> ReplaceError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ReplaceError::NoSpace { path }
            }
            io::ErrorKind::ReadOnlyFilesystem => ReplaceError::ReadOnly { path },
            io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                ReplaceError::Mounted { path }
            }
            _ => ReplaceError::Io { path, source },
        }
    }
}

/// A file of ours in the directory of the one it shall replace; removed when dropped undone.
struct Temp {
    dir: OwnedFd,
    name: OsString,
    file: File,
    done: bool,
}

impl Temp {
    /// Writes a file that is like `target` but for its content, and syncs it.
    fn beside(target: &Target, content: &[u8]) -> Result<Self, ReplaceError> {
        let failed = |error| target.failed(error);
        let temp = Self::create(&target.dir).map_err(failed)?;
        let like = fs::fstat(&target.file).map_err(failed)?;
        let own = fs::fstat(&temp.file).map_err(failed)?;
        // The label first, so that no content ever stands under a wrong one; the mode after the
        // owner, because chown(2) takes bits away.
        xattr::copy(&target.file, &temp.file).map_err(|(attribute, source)| {
            match target.failed(source) {
                ReplaceError::Io { path, source } => ReplaceError::Attribute {
                    path,
                    attribute: attribute.to_string_lossy().into_owned(),
                    source,
                },
                known => known,
            }
        })?;
        if (own.uid, own.gid) != (like.uid, like.gid) {
            fs::fchown(&temp.file, like.uid, like.gid).map_err(failed)?;
        }
        fs::fchmod(&temp.file, like.mode).map_err(failed)?;
        (&temp.file).write_all(content).map_err(failed)?;
        fs::fsync(&temp.file).map_err(failed)?;
        Ok(temp)
    }

    fn create(dir: &OwnedFd) -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            let name = temp_name();
            match fs::create_new(dir, &name, 0o600) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 100 => {
                    attempts += 1; // left by a process that had our number before us
                }
                file => {
                    return Ok(Self {
                        dir: dir.try_clone()?,
                        name,
                        file: file?,
                        done: false,
                    });
                }
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = fs::unlink_in(&self.dir, &self.name)
        {
            tracing::warn!(file = ?self.name, %error, "stays behind until the next start");
        }
    }
}

/// A name that nobody in this process used; the directory is root's, so it need not be secret.
fn temp_name() -> OsString {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{TEMP_PREFIX}{:x}-{next:x}", std::process::id());
    OsStr::new(&name).to_owned()
}

fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks
    )
}
