//! A new file on its way into the place of an old one: written and synced beside it, then renamed,
//! then made durable by its directory. Each step is a type, so that none can be left out.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::lines::wipe;
use super::replace::ReplaceError;
use super::root::{FileStamp, HostRoot, ReadError};
use crate::sys::fs::{self, FileKind};
use crate::sys::xattr;

/// Names that sudo (a dot), sshd (`*.conf`) and cron (a dot) skip in their directories.
pub(super) const TEMP_PREFIX: &str = ".rescind-";

/// Whether the old file stays as `<name>-`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backup {
    /// It does.
    Kept,
    /// It goes.
    None,
}

/// The new file, complete and synced beside the old one; removed again if it is dropped.
pub(super) struct Staged {
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
    /// Writes and syncs the new file.
    pub(super) fn new(
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
    pub(super) fn commit(mut self, backup: Backup) -> Result<Committed, ReplaceError> {
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
pub(super) struct Committed(Staged);

impl Committed {
    /// The directory that must be synced.
    pub(super) fn dir(&self) -> &OwnedFd {
        &self.0.target.dir
    }

    /// Syncs the directory and gives the state of the new file.
    pub(super) fn sync(self) -> Result<FileStamp, ReplaceError> {
        let synced = fs::fsync(&self.0.target.dir);
        self.stamp(synced)
    }

    /// The state of the new file, once it is known what syncing its directory came to.
    pub(super) fn stamp(&self, synced: io::Result<()>) -> Result<FileStamp, ReplaceError> {
        let target = &self.0.target;
        synced.map_err(|source| ReplaceError::NotDurable {
            path: target.path.clone(),
            source,
        })?;
        let stat = fs::fstat(&self.0.temp.file).map_err(|error| target.failed(error))?;
        Ok(FileStamp::from(&stat))
    }
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
            dir: fs::open_dir(&found.dir, ".").map_err(failed)?,
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
pub(super) struct Temp {
    dir: OwnedFd,
    pub(super) name: OsString,
    pub(super) file: File,
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
            fs::fchown(&temp.file, Some(like.uid), Some(like.gid)).map_err(failed)?;
        }
        fs::fchmod(&temp.file, like.mode).map_err(failed)?;
        (&temp.file).write_all(content).map_err(failed)?;
        fs::fsync(&temp.file).map_err(failed)?;
        Ok(temp)
    }

    /// An empty file with a name that readers of the directory skip.
    pub(super) fn create(dir: &OwnedFd) -> io::Result<Self> {
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
    format!("{TEMP_PREFIX}{:x}-{next:x}", std::process::id()).into()
}

fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks
    )
}
