//! Signals, pidfds, limits and waiting with a deadline.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::resource::{self, Resource};
use nix::sys::signal;
use nix::unistd::{self, Pid};

use super::Errno;

/// A process id.
pub type ProcessId = i32;

/// The signals this program sends to processes of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGSTOP: cannot be caught.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGKILL: cannot be caught.
    Kill,
}

impl Signal {
    fn raw(self) -> signal::Signal {
        match self {
            Self::Stop => signal::Signal::SIGSTOP,
            Self::Continue => signal::Signal::SIGCONT,
            Self::Kill => signal::Signal::SIGKILL,
        }
    }
}

/// A handle on one process that a later process with the same pid cannot take over (pidfd_open(2),
/// Linux 5.3).
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// `Ok(None)` when the kernel, or a filter, does not let us have one.
    pub fn open(pid: ProcessId) -> Result<Option<Self>, Errno> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match Errno::result(fd) {
            Ok(fd) => {
                let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
                // SAFETY: the descriptor was just made for us and has no other owner.
                Ok(Some(Self(unsafe { OwnedFd::from_raw_fd(fd) })))
            }
            Err(Errno::ENOSYS | Errno::EPERM) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Sends a signal to exactly this process.
    pub fn send(&self, signal: Signal) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and a null siginfo is allowed (pidfd_send_signal(2)).
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal.raw() as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        Errno::result(done).map(drop)
    }
}

/// Sends a signal to a pid; whose it is must have been looked at just before.
pub fn send_by_pid(pid: ProcessId, signal: Signal) -> Result<(), Errno> {
    if pid <= 1 {
        return Err(Errno::EINVAL); // 0, -1 and groups are not one process; 1 is init
    }
    signal::kill(Pid::from_raw(pid), signal.raw())
}

/// Sends a signal to every process this one may signal, except itself and init: kill(2), pid -1.
///
/// Refused with `EPERM` while any of this process's ids is root's, because then that would be
/// every process of the host.
pub fn send_to_all_of_mine(signal: Signal) -> Result<(), Errno> {
    let ids = unistd::getresuid()?;
    if ids.real.is_root() || ids.effective.is_root() || ids.saved.is_root() {
        return Err(Errno::EPERM);
    }
    signal::kill(Pid::from_raw(-1), signal.raw())
}

/// This process and its ancestors up to init's child, as far as /proc tells: none of them is ever
/// signalled.
pub fn own_pid() -> ProcessId {
    unistd::getpid().as_raw()
}

/// The pid of the process that started this one.
pub fn parent_pid() -> ProcessId {
    unistd::getppid().as_raw()
}

/// Limits for a child that works on what a user has prepared.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open descriptors.
    pub descriptors: u64,
    /// Bytes of address space.
    pub address_space: u64,
    /// Bytes of a file it writes.
    pub file_size: u64,
}

/// Makes this process one that leaves no core dump, gains no privilege by exec, dies with its
/// parent, cannot be traced by users, and has `limits`.
pub fn confine(limits: Limits) -> Result<(), Errno> {
    bound(limits)?;
    prctl::set_dumpable(false)
}

/// Makes this process one that leaves no core dump, gains no privilege by exec, dies with its
/// parent, and has `limits`.
pub fn bound(limits: Limits) -> Result<(), Errno> {
    let lower = |resource, want: u64| {
        let (_, hard) = resource::getrlimit(resource)?;
        let want = want.min(hard);
        resource::setrlimit(resource, want, want)
    };
    lower(Resource::RLIMIT_CORE, 0)?;
    lower(Resource::RLIMIT_NOFILE, limits.descriptors)?;
    lower(Resource::RLIMIT_AS, limits.address_space)?;
    lower(Resource::RLIMIT_FSIZE, limits.file_size)?;
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(signal::Signal::SIGKILL)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Ends this process after so long (SIGALRM), in whole seconds.
pub fn end_after(time: Duration) {
    unistd::alarm::set(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
}

/// Lets other processes go first (a nice value, up to 19), as far as there are not enough
/// processors.
pub fn lower_priority(nice: i32) {
    // SAFETY: setpriority(2) takes three integers. It cannot fail for the calling process itself
    // and a lower priority; if it did, the work would be done all the same.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
    }
}

/// Makes sure that no core dump of this process is written. As root it also cannot be traced by
/// users any more; to others that would take their own /proc/self away.
pub fn leave_no_core() -> Result<(), Errno> {
    resource::setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    match unistd::geteuid().is_root() {
        true => prctl::set_dumpable(false),
        false => Ok(()),
    }
}

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// There is something to read, or the other end is closed.
    Readable,
    /// There is room to write, or the other end is closed.
    Writable,
}

/// Waits for a descriptor until a deadline; false when the deadline came first.
pub fn wait_for(fd: impl AsFd, until: Until, deadline: Instant) -> io::Result<bool> {
    let events = match until {
        Until::Readable => PollFlags::POLLIN,
        Until::Writable => PollFlags::POLLOUT,
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a wait that ends early would spin.
        let left_ms = (left + Duration::from_micros(999)).as_millis();
        let timeout = PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(fd.as_fd(), events)];
        match nix::poll::poll(&mut fds, timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether the other end of a socket is gone.
pub fn is_hung_up(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    // Idle, nothing is ever to be read: data would be an answer nobody asked for.
    !matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(0) | Err(_))
}
