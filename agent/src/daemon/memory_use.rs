//! Giving memory back when nothing waits: what starting, a survey or an order needed once.

use std::time::{Duration, Instant};

use crate::sys::memory::Code;

/// How long nothing must have been done: while orders come one after the other, each would have to
/// fetch again what the one before it needed, too. A little longer than the child that works in
/// homes stays without work, so that one waking up is enough for both.
const QUIET: Duration = Duration::from_secs(11);
/// The same after a survey, behind which no other follows.
const QUIET_AFTER_SURVEY: Duration = Duration::from_millis(500);

/// When memory is to be given back.
#[derive(Debug)]
pub struct MemoryUse {
    /// `None` where /proc does not say which it is.
    code: Option<Code>,
    /// `None` when there was no work since.
    due: Option<Instant>,
}

impl MemoryUse {
    /// For a process that has just started, which is work.
    pub fn new() -> Self {
        let code = Code::of_this_process()
            .inspect_err(|error| tracing::warn!(%error, "memory will not be given back"));
        Self {
            code: code.ok(),
            due: Some(Instant::now() + QUIET),
        }
    }

    /// Something was done.
    pub fn note_work(&mut self) {
        self.due = Some(Instant::now() + QUIET);
    }

    /// A survey was made because it was time to. Says whether nothing else was done lately.
    pub fn note_survey(&mut self) -> bool {
        let soon = Instant::now() + QUIET_AFTER_SURVEY;
        let alone = self.due.is_none_or(|due| due <= soon);
        if alone {
            self.due = Some(soon);
        }
        alone
    }

    /// To be called when nothing waits; when to call it again even if nothing happens.
    pub fn give_back(&mut self) -> Option<Duration> {
        let left = self.due?.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        self.due = None;
        if let Some(code) = &self.code {
            code.release();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_alone_is_no_reason_to_keep_memory_for_long() {
        let mut memory = MemoryUse {
            code: None,
            due: None,
        };
        assert_eq!(memory.give_back(), None);
        assert!(memory.note_survey() && memory.note_survey());
        assert!(
            memory
                .give_back()
                .is_some_and(|left| left <= QUIET_AFTER_SURVEY)
        );
        memory.note_work();
        assert!(!memory.note_survey());
        assert!(
            memory
                .give_back()
                .is_some_and(|left| left > QUIET_AFTER_SURVEY)
        );
    }
}
