//! System calls: the only room that names `nix` and the only one with `unsafe`.
//!
//! Everything here says what the kernel said and decides nothing.

/// Files and directories by descriptor: opened one component at a time, checked, renamed, synced.
pub mod fs;
/// Becoming another user: for a moment (effective ids) or for good.
pub mod ids;
/// The write lock on a file that lckpwdf(3) takes, and whether a process is alive.
pub mod lock;
/// Signals, pidfds, limits and waiting.
pub mod process;
/// Extended attributes, which also are access control lists and security labels.
pub mod xattr;

pub use nix::errno::Errno;

/// The number of an error that came from the system; of any other, `UnknownErrno`.
pub fn errno(error: std::io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Giving memory back that only starting needed.
pub mod memory;
/// Opening a file that should be a plain one.
pub mod plain_file;
/// What a process gives up: user, privileges, system calls.
pub mod sandbox;
/// Telling the service manager (sd_notify(3)).
pub mod service;

/// The host's clocks.
pub mod clock;
/// Asking another program.
pub mod command;
/// Making files stay: space set aside, and directories on the disk.
pub mod durable;
/// Waiting for the signals that end a daemon.
pub mod signals;
/// Unix sockets: who is at the other end.
pub mod sockets;
/// The time zone of this machine.
pub mod zone;
