//! Giving memory back when nothing waits: what starting, a survey or an order needed once.

use std::time::{Duration, Instant};

use crate::sys::memory::Code;

/// Not more often than this: what is given back has to be fetched again by the next order.
const EVERY: Duration = Duration::from_secs(60);

/// When memory was given back, and whether there was work since.
#[derive(Debug)]
pub struct MemoryUse {
    /// `None` where /proc does not say which it is.
    code: Option<Code>,
    worked: bool,
    next: Instant,
}

impl MemoryUse {
    /// For a process that has just started: its first work is worth giving back at once.
    pub fn new() -> Self {
        let code = Code::of_this_process()
            .inspect_err(|error| tracing::warn!(%error, "memory will not be given back"));
        Self {
            code: code.ok(),
            worked: false,
            next: Instant::now(),
        }
    }

    /// Something was done.
    pub fn note_work(&mut self) {
        self.worked = true;
    }

    /// To be called when nothing waits.
    pub fn give_back(&mut self) {
        let now = Instant::now();
        if !self.worked || now < self.next {
            return;
        }
        self.worked = false;
        self.next = now + EVERY;
        if let Some(code) = &self.code {
            code.release();
        }
    }
}
