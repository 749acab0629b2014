//! Making files stay: space set aside, and directories on the disk.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, fallocate, fcntl};
use nix::libc;

use super::ids::effective_uid;

/// Sets aside the disk space of a file's first `bytes` bytes and makes it at least that long; what
/// was not written reads as zeros. `Ok(false)` where the file system cannot (fallocate(2)).
pub fn preallocate(file: &File, bytes: u64) -> io::Result<bool> {
    let len = i64::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(true),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Puts a directory's entries on the disk: without it, a file just made or renamed can be gone
/// after a power cut although its contents were synced (fsync(2)).
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Renames over `to`, durably: the contents must have been synced before.
pub fn rename_synced(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Takes the write lock on a file for this process; `false` when another process has it.
///
/// A POSIX lock (fcntl(2)) and not flock(2), because children do not inherit it: one that was left
/// behind in a system call that never returns must not keep the next daemon out. It is lost when
/// any descriptor of the file is closed in this process, so nothing else may open the file.
pub fn lock_for_process(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0, // to the end, wherever that is
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a file belongs to the user this process acts as.
pub fn belongs_to_us(found: &Metadata) -> bool {
    found.uid() == effective_uid()
}

/// Whether an error says that the disk, or a quota, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
