//! Where a host's files are: `/`, or the directory of one that is not booted.
//!
//! How a path is walked, and which links are followed, is in `walk`.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::capabilities;
use super::not_read::{NotRead, Notes};
pub use super::walk::Keeping;
use super::walk::{self, Kept, Located};
use crate::stamps::{Sight, Tree};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::{Errno, errno, ids, xattr};

/// The root directory of one host.
#[derive(Debug)]
pub struct HostRoot {
    pub(super) dir: Rc<OwnedFd>,
    path: PathBuf,
    live: bool,
    /// Whose files are trusted besides root's own: see [`HostRoot::trusts`].
    also_trusted: Option<u32>,
    /// What could not be read, for those who want to know: see [`HostRoot::note_not_read`].
    notes: RefCell<Option<Notes>>,
    /// Directories that are held open: see [`HostRoot::keep_directories`].
    pub(super) kept: RefCell<Option<Kept>>,
    /// What was looked at, for those who want to know: see [`HostRoot::note_seen`].
    seen: RefCell<Option<Tree>>,
}

/// A file, read whole. `Debug` shows no content.
pub struct SystemFile {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Which state of which file that is.
    pub stamp: FileStamp,
    /// Its path on the host with all links resolved.
    pub path: PathBuf,
}

impl fmt::Debug for SystemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// One state of one file: equal stamps mean that nobody changed or replaced it between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
}

impl From<&FileStat> for FileStamp {
    fn from(stat: &FileStat) -> Self {
        Self {
            dev: stat.dev,
            ino: stat.ino,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
        }
    }
}

impl FileStamp {
    /// When anything of it changed last, in seconds since 1970-01-01T00:00:00Z.
    pub const fn changed_s(&self) -> i64 {
        self.ctime.0
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its path on the host with all links resolved.
    pub path: PathBuf,
    /// What it is.
    pub stat: FileStat,
}

/// Why a file could not be read. `Missing` is the only one that says there is nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file, or a directory on the way is not there.
    #[error("{path:?} does not exist")]
    Missing {
        /// The path as it was asked for.
        path: PathBuf,
    },
    /// There is something else than a regular file (or a directory, where one was wanted).
    #[error("{path:?} is not what it should be but {kind}")]
    NotRegular {
        /// The path as it was asked for.
        path: PathBuf,
        /// What is there.
        kind: FileKind,
    },
    /// A file with more bytes than its reader takes.
    #[error("{path:?} is larger than {max_bytes} bytes")]
    TooLarge {
        /// The path as it was asked for.
        path: PathBuf,
        /// The limit.
        max_bytes: u64,
    },
    /// A directory with more names than its reader takes.
    #[error("{path:?} holds more than {max_entries} names")]
    TooMany {
        /// The path as it was asked for.
        path: PathBuf,
        /// The limit.
        max_entries: usize,
    },
    /// Somebody else than root decides what the path leads to.
    #[error("{path:?} is not read: {component:?} {why}; give it to root or take the link away")]
    Untrusted {
        /// The path as it was asked for.
        path: PathBuf,
        /// The link or directory on the way.
        component: PathBuf,
        /// What is wrong with it.
        why: Distrust,
    },
    /// It was written to at each of several attempts to read it.
    #[error("{path:?} changes while it is read; try again")]
    Changing {
        /// The path as it was asked for.
        path: PathBuf,
    },
    /// The system said no.
    #[error("{path:?} cannot be read: {source}")]
    Io {
        /// The path as it was asked for.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl ReadError {
    /// Whether there is simply nothing at that path.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Whether the state of the path is the reason, so that it stays as long as that does.
    fn is_of_the_path(&self) -> bool {
        match self {
            Self::Changing { .. } => false,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidFilename
                    // Too many links, which this program counts itself.
                    | io::ErrorKind::Other
            ),
            _ => true,
        }
    }

    /// The path that was asked for.
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::NotRegular { path, .. }
            | Self::TooLarge { path, .. }
            | Self::TooMany { path, .. }
            | Self::Untrusted { path, .. }
            | Self::Changing { path }
            | Self::Io { path, .. } => path,
        }
    }
}

/// Why a component of a path is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to this uid, not to root.
    Owner(u32),
    /// Its group, this gid, may write to it.
    GroupWritable(u32),
    /// Everybody may write to it.
    WorldWritable,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => write!(f, "belongs to uid {uid}, not to root"),
            Self::GroupWritable(gid) => write!(f, "can be written to by group {gid}"),
            Self::WorldWritable => f.write_str("can be written to by everybody"),
        }
    }
}

impl HostRoot {
    /// The system that is running.
    pub fn live() -> Result<Self, ReadError> {
        Self::at(Path::new("/"))
    }

    /// The system in a directory. It is the live one where that directory is `/`.
    pub fn at(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let dir = fs::open_root_dir(path).map_err(failed)?;
        let stat = fs::fstat(&dir).map_err(failed)?;
        let slash = fs::open_root_dir(Path::new("/")).and_then(fs::fstat);
        Ok(Self {
            dir: Rc::new(dir),
            path: path.to_owned(),
            live: stat.same_file(&slash.map_err(failed)?),
            also_trusted: (ids::effective_uid() != 0).then_some(stat.uid),
            notes: RefCell::default(),
            kept: RefCell::default(),
            seen: RefCell::default(),
        })
    }

    /// From now on remembers what could not be read, until [`HostRoot::take_not_read`]. That there
    /// is nothing at a path is no such thing.
    pub fn note_not_read(&self) {
        self.notes.borrow_mut().get_or_insert_default();
    }

    /// What could not be read since the last call.
    pub fn take_not_read(&self) -> Vec<NotRead> {
        let mut notes = self.notes.borrow_mut();
        notes.as_mut().map(Notes::take).unwrap_or_default()
    }

    /// From now on remembers what is looked at, until [`HostRoot::take_seen`].
    pub fn note_seen(&self) {
        *self.seen.borrow_mut() = Some(Tree::default());
    }

    /// What was looked at, and whether another look could see something else although nothing is
    /// another way.
    pub fn take_seen(&self) -> Tree {
        self.seen.borrow_mut().take().unwrap_or_default()
    }

    /// Remembers a look, if anybody wants to know.
    pub(super) fn see(&self, path: &Path, sight: Sight) {
        if let Some(seen) = &mut *self.seen.borrow_mut() {
            seen.see(path.as_os_str().as_bytes(), sight);
            if path.starts_with("/proc") {
                seen.doubt(format!("{} is no file", path.display()));
            }
        }
    }

    /// Remembers an error that does not come from the state of what was looked at.
    pub(super) fn doubted<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(error) = &read
            && !error.is_of_the_path()
            && let Some(seen) = &mut *self.seen.borrow_mut()
        {
            seen.doubt(error.to_string());
        }
        read
    }

    /// Remembers that something was not read, if anybody wants to know.
    pub(super) fn noted<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(error) = &read
            && !error.is_missing()
            && let Some(notes) = &mut *self.notes.borrow_mut()
        {
            notes.add(NotRead::of_host(error));
        }
        self.doubted(read)
    }

    /// Whether this is the running system, so that its processes and sessions can be asked about.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Where the root directory is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root directory, open for as long as this value lives.
    pub fn dir_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Reads a regular file whole, if it has at most `max_bytes`.
    ///
    /// `path` is as the host names it, from its root. A file that is replaced or written to
    /// meanwhile is read again, at most [`READ_ATTEMPTS`] times.
    pub fn read(&self, path: &Path, max_bytes: u64) -> Result<SystemFile, ReadError> {
        self.noted(self.read_whole(path, max_bytes))
    }

    fn read_whole(&self, path: &Path, max_bytes: u64) -> Result<SystemFile, ReadError> {
        for _ in 0..READ_ATTEMPTS {
            let found = self.locate(path)?;
            let stat = found.stat.ok_or_else(|| missing(path))?;
            if stat.kind != FileKind::Regular {
                return Err(not_regular(path, stat.kind));
            }
            let file = match fs::open_read(&found.dir, &found.name).map_err(errno) {
                // Replaced since it was located: a link stands there now, or nothing.
                Err(Errno::ENOENT | Errno::ELOOP) => continue,
                file => file.map_err(|source| failed(path, source.into()))?,
            };
            let before = fs::fstat(&file).map_err(|source| failed(path, source))?;
            if !before.same_file(&stat) {
                continue;
            }
            let bytes = read_at_most(&file, before.size, max_bytes)
                .map_err(|source| failed(path, source))?
                .ok_or_else(|| ReadError::TooLarge {
                    path: path.to_owned(),
                    max_bytes,
                })?;
            let after = fs::fstat(&file).map_err(|source| failed(path, source))?;
            let (stamp, now) = (FileStamp::from(&before), FileStamp::from(&after));
            if stamp == now || content_stood_still(&before, &after, bytes.len()) {
                return Ok(SystemFile {
                    bytes,
                    stamp: now,
                    path: found.path,
                });
            }
        }
        Err(ReadError::Changing {
            path: path.to_owned(),
        })
    }

    /// Opens a regular file for those who read it a part at a time, as logs are read; it may be
    /// written to meanwhile.
    pub fn open(&self, path: &Path) -> Result<(File, FileStat), ReadError> {
        for _ in 0..READ_ATTEMPTS {
            let found = self.locate(path)?;
            let stat = found.stat.ok_or_else(|| missing(path))?;
            if stat.kind != FileKind::Regular {
                return Err(not_regular(path, stat.kind));
            }
            let file = match fs::open_read(&found.dir, &found.name).map_err(errno) {
                // Replaced since it was located: a link stands there now, or nothing.
                Err(Errno::ENOENT | Errno::ELOOP) => continue,
                file => file.map_err(|source| failed(path, source.into()))?,
            };
            let now = fs::fstat(&file).map_err(|source| failed(path, source))?;
            if now.same_file(&stat) {
                return Ok((file, now));
            }
        }
        Err(ReadError::Changing {
            path: path.to_owned(),
        })
    }

    /// What a path leads to, links followed where they can be trusted.
    pub fn stat(&self, path: &Path) -> Result<Standing, ReadError> {
        let found = self.locate(path)?;
        Ok(Standing {
            stat: found.stat.ok_or_else(|| missing(path))?,
            path: found.path,
        })
    }

    /// Whether there is something at a path; not being able to tell is an error.
    pub fn exists(&self, path: &Path) -> Result<bool, ReadError> {
        self.see(path, Sight::There);
        match self.find(path) {
            Ok(found) => Ok(found.stat.is_some()),
            Err(ReadError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The capabilities of a program that make root of who runs it; none where it has none. A value
    /// that is not understood is an error: it may hold any.
    pub fn capabilities(&self, path: &Path) -> Result<Vec<&'static str>, ReadError> {
        let found = self.locate(path)?;
        let file = fs::open_read(&found.dir, &found.name).map_err(|e| failed(path, e))?;
        let value = xattr::get(&file, c"security.capability").map_err(|e| failed(path, e))?;
        capabilities::of_file(value.as_deref()).map_err(|error| failed(path, error))
    }

    /// The names in a directory, sorted by their bytes, if there are at most `max_entries`.
    pub fn read_dir(&self, path: &Path, max_entries: usize) -> Result<Vec<OsString>, ReadError> {
        self.noted(self.names_of(path, max_entries))
    }

    fn names_of(&self, path: &Path, max_entries: usize) -> Result<Vec<OsString>, ReadError> {
        let (dir, _) = self.open_dir(path)?;
        let (mut names, more) = fs::names(dir, max_entries).map_err(|e| failed(path, e))?;
        if more {
            return Err(ReadError::TooMany {
                path: path.to_owned(),
                max_entries,
            });
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a directory for listing, changing and fsync; also gives its resolved path.
    pub(super) fn open_dir(&self, path: &Path) -> Result<(OwnedFd, PathBuf), ReadError> {
        let found = self.locate(path)?;
        let stat = found.stat.ok_or_else(|| missing(path))?;
        if stat.kind != FileKind::Directory {
            return Err(not_regular(path, stat.kind));
        }
        let dir = fs::open_dir(&found.dir, &found.name).map_err(|source| failed(path, source))?;
        Ok((dir, found.path))
    }

    /// Finds the directory and the name in it that a path leads to in the end.
    pub(super) fn locate(&self, path: &Path) -> Result<Located, ReadError> {
        self.see(path, Sight::Whole);
        self.find(path)
    }

    fn find(&self, path: &Path) -> Result<Located, ReadError> {
        let found = walk::walk(self, path).map_err(|error| match error {
            ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                missing(path)
            }
            error => error,
        });
        self.doubted(found)
    }

    /// Whose word about names is taken: root's, and for a process that is not root (a look at a
    /// directory of its own, as in tests) that of the root directory's owner.
    pub fn trusts(&self, uid: u32) -> bool {
        uid == 0 || Some(uid) == self.also_trusted
    }
}

/// How often a file that changes under the reader's eyes is read again.
const READ_ATTEMPTS: usize = 4;

/// Reads to the end; `None` where there are more than `max` bytes. The buffer is made once, so
/// that no copy of a secret is left behind by its growth.
fn read_at_most(file: &File, expected: u64, max: u64) -> io::Result<Option<Vec<u8>>> {
    if expected > max {
        return Ok(None);
    }
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let capacity = usize::try_from(expected).map_err(|_| too_large())?;
    let mut bytes = Vec::with_capacity(capacity.saturating_add(ROOM_TO_GROW));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// Bytes beyond the size that stat(2) gave: the end is noticed without growing, and an edit of a
/// few bytes fits in place.
const ROOM_TO_GROW: usize = 4096;

/// Whether only owner, mode, names or attributes changed while the content was read.
fn content_stood_still(before: &FileStat, after: &FileStat, read: usize) -> bool {
    before.mtime == after.mtime && before.size == after.size && after.size == read as u64
}

fn missing(path: &Path) -> ReadError {
    ReadError::Missing {
        path: path.to_owned(),
    }
}

fn not_regular(path: &Path, kind: FileKind) -> ReadError {
    ReadError::NotRegular {
        path: path.to_owned(),
        kind,
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io {
        path: path.to_owned(),
        source,
    }
}
