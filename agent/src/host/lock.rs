//! The locks that shadow-utils and glibc take before they change account files.
//!
//! Two of them, in this order, as everybody who edits these files expects:
//!
//! 1. `/etc/.pwd.lock`, the write lock of lckpwdf(3). It falls with its process. Whoever holds
//!    only `<file>.lock` makes useradd(8) fail at once; whoever holds only this one loses nothing
//!    to tools that also take it.
//! 2. `<file>.lock` of each file, a hard link to a file with our pid in it (shadow's
//!    `lib/commonio.c`, `do_lock_file`), for tools that know only these.
//!
//! The link is not synced: that would double the price of an edit. A power cut in the middle of
//! one may so leave a `<file>.lock` that is empty, which shadow-utils never removes; the next
//! [`AccountLock::acquire`] does, because a lock from before this boot is nobody's.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::root::{HostRoot, ReadError, SystemFile};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::lock::{self as flock, LockAnswer};

/// The largest account file that is read: a million accounts have room in it.
pub const ACCOUNT_FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A file that these locks guard, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountFile {
    /// `/etc/passwd`
    Passwd,
    /// `/etc/shadow`
    Shadow,
    /// `/etc/group`
    Group,
    /// `/etc/gshadow`
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

    fn name(self) -> &'static str {
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
/// Dropped, it gives the locks back in reverse order.
#[derive(Debug)]
pub struct AccountLock<'root> {
    root: &'root HostRoot,
    etc: OwnedFd,
    password_lock: File,
    links: Vec<LinkLock>,
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
    /// `/etc` cannot be opened, or others than root can change names in it.
    #[error(transparent)]
    Directory(#[from] ReadError),
    /// The lock could not be made.
    #[error("{path:?} cannot be locked: {source}")]
    Io {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder_text(holder: Option<u32>) -> String {
    match holder {
        Some(pid) => format!("process {pid}; end it or wait for it"),
        None => "somebody it does not name; look who edits accounts, or remove a stale one".into(),
    }
}

impl<'root> AccountLock<'root> {
    /// Takes the locks for some files, waiting for others at most until `deadline` has passed.
    pub fn acquire(
        root: &'root HostRoot,
        files: &[AccountFile],
        deadline: Duration,
    ) -> Result<Self, LockError> {
        let patience = Patience::new(deadline);
        let (etc, _) = root.open_dir(Path::new(ETC))?;
        let password_lock = take_password_lock(&etc, &patience)?;
        // From here on dropping the value gives back what was taken.
        let mut lock = Self {
            root,
            etc,
            password_lock,
            links: Vec::with_capacity(files.len()),
        };
        let mut files = files.to_vec();
        files.sort_unstable();
        files.dedup();
        for file in files {
            lock.take_link_lock(file, &patience)?;
        }
        Ok(lock)
    }

    /// The host whose files are locked.
    pub fn root(&self) -> &'root HostRoot {
        self.root
    }

    /// Whether a file is among those that were locked.
    pub fn covers(&self, file: AccountFile) -> bool {
        self.links.iter().any(|link| link.file == file)
    }

    /// Reads a file as it stands under the lock: what was read before may be out of date.
    pub fn read(&self, file: AccountFile) -> Result<SystemFile, ReadError> {
        self.root.read(file.path(), ACCOUNT_FILE_BYTES_MAX)
    }

    fn take_link_lock(&mut self, file: AccountFile, patience: &Patience) -> Result<(), LockError> {
        let path = Path::new(ETC).join(format!("{}.lock", file.name()));
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let ours = OwnPidFile::create(&self.etc, file).map_err(failed)?;
        let name = OsString::from(format!("{}.lock", file.name()));
        loop {
            match fs::link_in(&self.etc, &ours.name, &name) {
                Ok(()) => {
                    let stat = fs::fstat(&ours.content).map_err(failed)?;
                    self.links.push(LinkLock { file, name, stat });
                    // Some network file systems make the link and lose the answer, or the reverse.
                    return match stat.nlink {
                        2 => Ok(()),
                        _ => Err(failed(io::Error::other("the link was not made"))),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            let holder = match Holder::of(&self.etc, &name).map_err(failed)? {
                Holder::Nobody => continue,
                Holder::Dead => {
                    fs::unlink_in(&self.etc, &name).map_err(failed)?;
                    tracing::warn!(lock = ?path, "removed a stale lock");
                    continue;
                }
                Holder::FromBeforeBoot if self.root.is_live() => {
                    fs::unlink_in(&self.etc, &name).map_err(failed)?;
                    tracing::warn!(lock = ?path, "removed an empty lock from before this boot");
                    continue;
                }
                Holder::FromBeforeBoot | Holder::Unnamed => None,
                Holder::Alive(pid) => Some(pid),
            };
            if !patience.pause() {
                return Err(LockError::Busy { path, holder });
            }
        }
    }
}

impl Drop for AccountLock<'_> {
    fn drop(&mut self) {
        for link in self.links.drain(..).rev() {
            // Whoever took it for stale has it now.
            let still_ours =
                fs::stat_at(&self.etc, &link.name).is_ok_and(|stat| stat.same_file(&link.stat));
            if still_ours && let Err(error) = fs::unlink_in(&self.etc, &link.name) {
                tracing::error!(lock = ?link.name, %error, "lock stays behind; remove it by hand");
            }
        }
        if let Err(error) = flock::unlock(&self.password_lock) {
            tracing::error!(%error, "/etc/.pwd.lock is given back only when the program ends");
        }
    }
}

const ETC: &str = "/etc";

#[derive(Debug)]
struct LinkLock {
    file: AccountFile,
    name: OsString,
    stat: FileStat,
}

/// How long is still waited, in steps that grow.
struct Patience {
    until: Instant,
    step: std::cell::Cell<Duration>,
}

impl Patience {
    fn new(deadline: Duration) -> Self {
        Self {
            until: Instant::now() + deadline,
            step: std::cell::Cell::new(Duration::from_millis(1)),
        }
    }

    /// Waits a little; `false` when the time is over.
    fn pause(&self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        sleep(self.step.get().min(left));
        self.step
            .set((self.step.get() * 2).min(Duration::from_millis(50)));
        true
    }
}

fn take_password_lock(etc: &OwnedFd, patience: &Patience) -> Result<File, LockError> {
    let path = Path::new(ETC).join(".pwd.lock");
    let failed = |source| LockError::Io {
        path: path.clone(),
        source,
    };
    let file = fs::open_or_create(etc, ".pwd.lock".as_ref(), 0o600).map_err(failed)?;
    if fs::fstat(&file).map_err(failed)?.kind != FileKind::Regular {
        return Err(failed(io::Error::other("not a regular file")));
    }
    loop {
        match flock::try_write_lock(&file).map_err(failed)? {
            LockAnswer::Taken => return Ok(file),
            LockAnswer::Held(_) if patience.pause() => {}
            LockAnswer::Held(holder) => return Err(LockError::Busy { path, holder }),
        }
    }
}

/// `<file>.<pid>`, the file that becomes `<file>.lock` by a link; its own name goes with it.
struct OwnPidFile<'etc> {
    etc: &'etc OwnedFd,
    name: OsString,
    content: File,
}

impl<'etc> OwnPidFile<'etc> {
    fn create(etc: &'etc OwnedFd, file: AccountFile) -> io::Result<Self> {
        let pid = std::process::id();
        let name = OsString::from(format!("{}.{pid}", file.name()));
        let content = match fs::create_new(etc, &name, 0o600) {
            // Left behind by a process that had our number before us.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::unlink_in(etc, &name)?;
                fs::create_new(etc, &name, 0o600)?
            }
            content => content?,
        };
        let mut ours = Self { etc, name, content };
        // With the NUL that shadow-utils writes too.
        write!(ours.content, "{pid}\0")?;
        Ok(ours)
    }
}

impl Drop for OwnPidFile<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::unlink_in(self.etc, &self.name) {
            tracing::warn!(file = ?self.name, %error, "stays behind in /etc");
        }
    }
}

/// Whose a `<file>.lock` is.
enum Holder {
    /// It has gone meanwhile.
    Nobody,
    /// A process that is no more, or had our number before us: nobody else here has it.
    Dead,
    /// It names nobody, and is older than the running system.
    FromBeforeBoot,
    /// It names nobody: not ours to remove.
    Unnamed,
    Alive(u32),
}

impl Holder {
    fn of(etc: impl AsFd, name: &std::ffi::OsStr) -> io::Result<Self> {
        let stat = match fs::stat_at(&etc, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nobody),
            stat => stat?,
        };
        if stat.kind != FileKind::Regular {
            return Ok(Self::Unnamed);
        }
        let mut text = Vec::new();
        match fs::open_read(&etc, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nobody),
            file => file?.take(32).read_to_end(&mut text)?,
        };
        let digits = text.split(|byte| !byte.is_ascii_digit()).next();
        let pid = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Ok(match pid {
            Some(pid) if pid == std::process::id() => Self::Dead,
            Some(pid) if flock::process_exists(pid) => Self::Alive(pid),
            Some(_) => Self::Dead,
            None if stat.mtime.0 < flock::boot_time()? => Self::FromBeforeBoot,
            None => Self::Unnamed,
        })
    }
}
