//! `<file>.lock`: a hard link to a file with our pid in it, as shadow-utils makes it
//! (`lib/commonio.c`, `do_lock_file`), for tools that know only these and not lckpwdf(3).
//!
//! It is held only while files take their new names, after they were synced and before their
//! directory is: so no sync carries it to disk. Held over a sync it would come back after a power
//! cut as an empty file, and shadow-utils waits for ever for one that names nobody.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lock::{AccountFile, LockError};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::lock as flock;

/// `<file>.lock`, ours until it is dropped.
pub(super) struct LinkLock<'etc> {
    etc: &'etc OwnedFd,
    name: OsString,
    stat: FileStat,
}

impl<'etc> LinkLock<'etc> {
    /// Makes the link, waiting for whoever has it.
    pub(super) fn take(
        etc: &'etc OwnedFd,
        file: AccountFile,
        live: bool,
        patience: &Patience,
    ) -> Result<Self, LockError> {
        let name = lock_name(file);
        let failed = |source| LockError::of(etc, &name, source);
        let ours = OwnPidFile::create(etc, file).map_err(failed)?;
        loop {
            match fs::link_in(etc, &ours.name, &name) {
                Ok(()) => {
                    let stat = fs::fstat(&ours.content).map_err(failed)?;
                    // From here on dropping the value takes the link away.
                    let lock = Self { etc, name, stat };
                    // A network file system may lose the answer, or the link.
                    return match stat.nlink {
                        2 => Ok(lock),
                        _ => Err(LockError::of(
                            etc,
                            &lock.name,
                            io::Error::other("no link made"),
                        )),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    wait_for(etc, file, live, patience)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for LinkLock<'_> {
    fn drop(&mut self) {
        // Whoever took it for stale has it now.
        let still_ours =
            fs::stat_at(self.etc, &self.name).is_ok_and(|stat| stat.same_file(&self.stat));
        if still_ours && let Err(error) = fs::unlink_in(self.etc, &self.name) {
            tracing::error!(lock = ?self.name, %error, "lock stays in /etc; remove it by hand");
        }
    }
}

/// Waits until nobody has `<file>.lock`, and removes one that a dead process left.
pub(super) fn wait_for(
    etc: &OwnedFd,
    file: AccountFile,
    live: bool,
    patience: &Patience,
) -> Result<(), LockError> {
    let name = lock_name(file);
    let failed = |source| LockError::of(etc, &name, source);
    loop {
        let holder = match Holder::of(etc, &name).map_err(failed)? {
            Holder::Nobody => return Ok(()),
            Holder::Dead => {
                fs::unlink_in(etc, &name).map_err(failed)?;
                tracing::warn!(lock = ?name, "removed a lock whose process is gone");
                continue;
            }
            Holder::FromBeforeBoot if live => {
                fs::unlink_in(etc, &name).map_err(failed)?;
                tracing::warn!(lock = ?name, "removed an empty lock from before this boot");
                continue;
            }
            Holder::FromBeforeBoot | Holder::Unnamed => None,
            Holder::Alive(pid) => Some(pid),
        };
        if !patience.pause() {
            let path = Path::new("/etc").join(&name);
            return Err(LockError::Busy { path, holder });
        }
    }
}

fn lock_name(file: AccountFile) -> OsString {
    format!("{}.lock", file.name()).into()
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
    fn of(etc: &OwnedFd, name: &OsStr) -> io::Result<Self> {
        let stat = match fs::stat_at(etc, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nobody),
            stat => stat?,
        };
        if stat.kind != FileKind::Regular {
            return Ok(Self::Unnamed);
        }
        let mut text = Vec::new();
        match fs::open_read(etc, name) {
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

/// How long is still waited, in steps that grow.
pub(super) struct Patience {
    until: Instant,
    step: Cell<Duration>,
}

impl Patience {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            until: Instant::now() + deadline,
            step: Cell::new(Duration::from_millis(1)),
        }
    }

    /// Waits a little; `false` when the time is over.
    pub(super) fn pause(&self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        sleep(self.step.get().min(left));
        self.step
            .set((self.step.get() * 2).min(Duration::from_millis(10)));
        true
    }
}
