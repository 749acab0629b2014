//! The locks that shadow-utils and glibc take before they change account files.
//!
//! Two of them, in this order, as everybody who edits these files expects:
//!
//! 1. `/etc/.pwd.lock`, the write lock of lckpwdf(3). It falls with its process. A tool that took
//!    it loses nothing to others that do; one that only takes `<file>.lock` makes useradd(8) fail
//!    at once.
//! 2. `<file>.lock` of each file, for tools that know only these: see `link_lock`. It is waited
//!    for here, and taken by `replace` for the moment in which files take their new names.
//!
//! A tool that knows only the second can change a file between our reading it and our taking its
//! lock. `replace` sees that and says [`Changed`](super::replace::ReplaceError::Changed).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::link_lock::{self, LinkLock, Patience};
use super::root::{HostRoot, ReadError, SystemFile};
use crate::sys::fs::{self, FileKind, Guarded};
use crate::sys::lock::{self as flock, LockAnswer};

/// The largest account file that is read: a million accounts have room in it.
pub const ACCOUNT_FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A file that these locks guard, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum AccountFile {
    /// `/etc/passwd`
    #[n(0)]
    Passwd,
    /// `/etc/shadow`
    #[n(1)]
    Shadow,
    /// `/etc/group`
    #[n(2)]
    Group,
    /// `/etc/gshadow`
    #[n(3)]
    Gshadow,
}

impl AccountFile {
    /// Its path on the host.
    pub fn path(self) -> &'static Path {
        Path::new(match self {
            Self::Passwd => "/etc/passwd",
            Self::Shadow => "/etc/shadow",
            Self::Group => "/etc/group",
            Self::Gshadow => "/etc/gshadow",
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Passwd => "passwd",
            Self::Shadow => "shadow",
            Self::Group => "group",
            Self::Gshadow => "gshadow",
        }
    }
}

/// The right to change some account files: whoever writes one needs this value.
///
/// Dropped, it gives the lock back.
#[derive(Debug)]
pub struct AccountLock<'root> {
    root: &'root HostRoot,
    etc: OwnedFd,
    password_lock: File,
    files: Vec<AccountFile>,
    deadline: Duration,
}

/// Why the locks could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody kept a lock until the deadline; nothing was taken from them.
    #[error("{path:?} is held by {}", holder_text(*.holder))]
    Busy {
        /// The lock.
        path: PathBuf,
        /// The process that holds it, where it can be told.
        holder: Option<u32>,
    },
    /// `/etc` cannot be opened.
    #[error(transparent)]
    Directory(#[from] ReadError),
    /// `/etc` is on a file system that is mounted read-only.
    #[error("{path:?} is on a read-only file system")]
    ReadOnly {
        /// The lock.
        path: PathBuf,
    },
    /// chattr(1) forbids making or removing the lock.
    #[error("{path:?} is {guarded}; lsattr(1) shows and chattr(1) lifts that")]
    Guarded {
        /// The lock or its directory.
        path: PathBuf,
        /// How.
        guarded: Guarded,
    },
    /// The lock could not be made.
    #[error("{path:?} cannot be locked: {source}")]
    Io {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    /// What an error with a lock of `/etc` comes to.
    pub(super) fn of(etc: &OwnedFd, name: &OsStr, source: io::Error) -> Self {
        let path = Path::new(ETC).join(name);
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => {
                let guarded = fs::open_read(etc, name).and_then(fs::guarded);
                match guarded {
                    Ok(Some(guarded)) => Self::Guarded { path, guarded },
                    _ => Self::Io { path, source },
                }
            }
            _ => Self::Io { path, source },
        }
    }
}

fn holder_text(holder: Option<u32>) -> String {
    match holder {
        Some(pid) => format!("process {pid}; end it or wait for it"),
        None => "somebody it does not name; look who edits accounts, or remove a stale one".into(),
    }
}

impl<'root> AccountLock<'root> {
    /// Takes the lock for some files, waiting for others at most until `deadline` has passed;
    /// whoever then still has one of these files' own locks is waited for as long again.
    pub fn acquire(
        root: &'root HostRoot,
        files: &[AccountFile],
        deadline: Duration,
    ) -> Result<Self, LockError> {
        let patience = Patience::new(deadline);
        let (etc, _) = root.open_dir(Path::new(ETC))?;
        // Nothing could be removed again from a directory that is append-only.
        if let Ok(Some(guarded)) = fs::guarded(&etc) {
            let path = PathBuf::from(ETC);
            return Err(LockError::Guarded { path, guarded });
        }
        let mut files = files.to_vec();
        files.sort_unstable();
        files.dedup();
        // From here on dropping the value gives back what was taken.
        let lock = Self {
            root,
            password_lock: take_password_lock(&etc, &patience)?,
            etc,
            files,
            deadline,
        };
        for file in &lock.files {
            link_lock::wait_for(&lock.etc, *file, root.is_live(), &patience)?;
        }
        Ok(lock)
    }

    /// The host whose files are locked.
    pub fn root(&self) -> &'root HostRoot {
        self.root
    }

    /// Whether a file is among those that were locked.
    pub fn covers(&self, file: AccountFile) -> bool {
        self.files.contains(&file)
    }

    /// Reads a file as it stands under the lock: what was read before may be out of date.
    pub fn read(&self, file: AccountFile) -> Result<SystemFile, ReadError> {
        self.root.read(file.path(), ACCOUNT_FILE_BYTES_MAX)
    }

    /// Takes a file's own lock; whoever takes several does so in the order of [`AccountFile`].
    pub(super) fn link_lock(&self, file: AccountFile) -> Result<LinkLock<'_>, LockError> {
        let patience = Patience::new(self.deadline);
        LinkLock::take(&self.etc, file, self.root.is_live(), &patience)
    }
}

impl Drop for AccountLock<'_> {
    fn drop(&mut self) {
        if let Err(error) = flock::unlock(&self.password_lock) {
            tracing::error!(%error, "/etc/.pwd.lock is given back only when the program ends");
        }
    }
}

const ETC: &str = "/etc";

fn take_password_lock(etc: &OwnedFd, patience: &Patience) -> Result<File, LockError> {
    let name = OsStr::new(".pwd.lock");
    let failed = |source| LockError::of(etc, name, source);
    let file = fs::open_or_create(etc, name, 0o600).map_err(failed)?;
    if fs::fstat(&file).map_err(failed)?.kind != FileKind::Regular {
        return Err(failed(io::Error::other("not a regular file")));
    }
    loop {
        match flock::try_write_lock(&file).map_err(failed)? {
            LockAnswer::Taken => return Ok(file),
            LockAnswer::Held(_) if patience.pause() => {}
            LockAnswer::Held(holder) => {
                let path = Path::new(ETC).join(name);
                return Err(LockError::Busy { path, holder });
            }
        }
    }
}
