//! Waiting for the signals that end a daemon.

use nix::sys::signal::{SigSet, Signal};

/// SIGTERM and SIGINT, blocked in every thread and waited for in one.
#[derive(Debug)]
pub struct Termination(SigSet);

/// Blocks the signals in this thread and in all it starts from now on.
pub fn block_termination() -> std::io::Result<Termination> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    set.thread_block()?;
    Ok(Termination(set))
}

impl Termination {
    /// Waits until one of them comes.
    pub fn wait(&self) {
        while self.0.wait().is_err() {}
    }
}
