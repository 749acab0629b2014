//! Giving memory back when nothing waits: what starting, a survey or an order needed once.

use std::time::{Duration, Instant};

use crate::sys::memory::Code;

/// How long nothing must have been done: while orders come one after the other, each would have to
/// fetch again what the one before it needed, too. A little longer than the child that works in
/// homes stays without work, so that one waking up is enough for both.
const QUIET: Duration = Duration::from_secs(11);

/// Whether there was work since memory was given back.
#[derive(Debug)]
pub struct MemoryUse {
    /// `None` where /proc does not say which it is.
    code: Option<Code>,
    worked: Option<Instant>,
}

impl MemoryUse {
    /// For a process that has just started, which is work.
    pub fn new() -> Self {
        let code = Code::of_this_process()
            .inspect_err(|error| tracing::warn!(%error, "memory will not be given back"));
        Self {
            code: code.ok(),
            worked: Some(Instant::now()),
        }
    }

    /// Something was done.
    pub fn note_work(&mut self) {
        self.worked = Some(Instant::now());
    }

    /// To be called when nothing waits; when to call it again even if nothing happens.
    pub fn give_back(&mut self) -> Option<Duration> {
        let left = QUIET.saturating_sub(self.worked?.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        self.worked = None;
        if let Some(code) = &self.code {
            code.release();
        }
        None
    }
}
