//! Unix sockets: who is at the other end, and with which mode they are made.

use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::{Mode, umask};

/// The uid of the process that connected, as the kernel noted it then.
pub fn peer_uid(stream: &UnixStream) -> std::io::Result<u32> {
    Ok(getsockopt(stream, PeerCredentials)?.uid())
}

/// Runs something with the umask that leaves new sockets to their owner alone. The mask is the
/// whole process's: only for its start, before other threads make files.
pub fn with_private_umask<T>(make: impl FnOnce() -> T) -> T {
    let before = umask(Mode::from_bits_truncate(0o177));
    let made = make();
    umask(before);
    made
}
