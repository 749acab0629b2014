//! The hidden subcommand that gives root up for a user's uid and signals, in one system call, every
//! process that user may signal. The kernel walks its own list: no process that forks meanwhile
//! escapes, as it would from one that reads /proc and signals pid by pid.
//!
//! It is started beforehand and waits for a byte on its standard input: until then it is root's,
//! and the user's processes cannot stop or end it.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use crate::sys::Errno;
use crate::sys::ids;
use crate::sys::process::{self, Limits, Signal};

/// The hidden argument of this subcommand: `__signal UID GID SIGNAL`.
pub const SIGNAL_ARGUMENT: &str = "__signal";

/// What it writes to its standard output when the signal was sent. It cannot say whether to
/// anybody: kill(2) with pid -1 succeeds as long as there are any other processes.
pub(super) const SENT: u8 = b'+';
/// What it writes when it could not become the user, or not signal.
pub(super) const FAILED: u8 = b'-';

const LIMITS: Limits = Limits {
    descriptors: 16,
    address_space: 512 << 20,
    file_size: 0,
};

/// The word for a signal on the command line.
pub(super) fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Stop => "stop",
        Signal::Continue => "continue",
        Signal::Kill => "kill",
    }
}

/// The program as this subcommand.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let done = run(args);
    let mut out = std::io::stdout();
    let word = match done {
        Ok(()) => SENT,
        Err(_) => FAILED,
    };
    let told = out.write_all(&[word]);
    match done.is_ok() && told.is_ok() && out.flush().is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(args: impl Iterator<Item = OsString>) -> Result<(), Errno> {
    let args: Vec<String> = args.filter_map(|arg| arg.into_string().ok()).collect();
    let [uid, gid, signal] = args.as_slice() else {
        return Err(Errno::EINVAL);
    };
    let uid: u32 = uid.parse().map_err(|_| Errno::EINVAL)?;
    let gid: u32 = gid.parse().map_err(|_| Errno::EINVAL)?;
    let signal = [Signal::Stop, Signal::Continue, Signal::Kill]
        .into_iter()
        .find(|known| word(*known) == signal)
        .ok_or(Errno::EINVAL)?;
    if uid == 0 || uid == u32::MAX {
        return Err(Errno::EPERM);
    }
    process::confine(LIMITS)?;
    let mut go = [0];
    let told = std::io::stdin().read_exact(&mut go);
    told.map_err(|_| Errno::ECANCELED)?; // the parent needs it no more
    ids::become_signaller_for(uid, gid)?;
    match process::send_to_all_of_mine(signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()), // ESRCH: we are alone with init
        Err(errno) => Err(errno),
    }
}
