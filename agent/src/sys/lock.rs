//! The write lock on a file that lckpwdf(3) takes, and whether a process is alive.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::kill;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// What asking for a lock brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum LockAnswer {
    /// It is ours until [`unlock`] or until the last copy of the descriptor is closed.
    Taken,
    /// Somebody has it: the process, where the kernel names one.
    Held(Option<u32>),
}

/// Asks once for the write lock on a whole file; never waits.
///
/// An open file description lock (fcntl(2), Linux 3.15): it conflicts with the POSIX lock that
/// lckpwdf(3) takes, but does not fall when some other part of this process closes the same file.
/// Older kernels answer EINVAL and get the POSIX lock, whose one trap is just that.
pub fn try_write_lock(file: &File) -> io::Result<LockAnswer> {
    let whole = whole_file(libc::F_WRLCK);
    let asked = match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Err(Errno::EINVAL) => fcntl(file, FcntlArg::F_SETLK(&whole)),
        answer => answer,
    };
    match asked {
        Ok(_) => Ok(LockAnswer::Taken),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(LockAnswer::Held(holder(file))),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives the lock back, also where a forked child still has a copy of the descriptor.
pub fn unlock(file: &File) -> io::Result<()> {
    let whole = whole_file(libc::F_UNLCK);
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Err(Errno::EINVAL) => fcntl(file, FcntlArg::F_SETLK(&whole)),
        answer => answer,
    }?;
    Ok(())
}

/// Whether a process of that number exists. One that we may not signal exists.
pub fn process_exists(pid: u32) -> bool {
    match i32::try_from(pid) {
        // 0 and -1 would ask about groups of processes.
        Ok(pid) if pid > 0 => kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH),
        _ => false,
    }
}

/// When this system was booted, in seconds since 1970 by the wall clock as it stands now.
pub fn boot_time() -> io::Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    Ok(now.tv_sec() - up.tv_sec())
}

/// The process that holds a conflicting lock: for a message, so that not knowing is no error.
/// Open file description locks have no process; the kernel says -1.
fn holder(file: &File) -> Option<u32> {
    let mut asked = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut asked)).ok()?;
    u32::try_from(asked.l_pid).ok().filter(|pid| *pid > 0)
}

#[allow(clippy::cast_possible_truncation)] // the constants are 0, 1 and 2
fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0, // to the end, however far that moves
        l_pid: 0, // open file description locks demand it
    }
}
