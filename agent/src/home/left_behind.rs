//! Children that did not answer: what they hang at, until they can be reaped.

use std::process::Child;
use std::time::{Duration, Instant};

use super::message::Look;

/// The most children that may hang at a time; then nothing is asked any more.
pub(super) const LEFT_BEHIND_MAX: usize = 64;
/// The most children that may hang because of one uid; then nothing of that uid is asked any more.
const OF_ONE_UID_MAX: usize = 4;

/// The children that were left behind and have not ended yet.
#[derive(Debug, Default)]
pub(super) struct LeftBehind(Vec<Left>);

/// A child that did not answer.
#[derive(Debug)]
struct Left {
    child: Child,
    /// As whom it looks at what, where that is known.
    at: Option<(u32, Vec<u8>)>,
}

impl LeftBehind {
    /// Ends a child without waiting for its end: where it hangs, even SIGKILL may take for ever.
    pub fn end(&mut self, mut child: Child) {
        // Fails only for a child that has ended already.
        let _ = child.kill();
        self.0.push(Left { child, at: None });
    }

    /// Remembers what the child hangs at that was left behind last.
    pub fn note_hung(&mut self, look: &Look) {
        if let Some(left) = self.0.last_mut().filter(|left| left.at.is_none()) {
            left.at = Some((look.owner().uid, look.path().to_vec()));
        }
    }

    /// Whether a child hangs there still: another one would only hang with it. What a user makes
    /// hang costs one wait and one process, however often it is looked for.
    pub fn is_in_vain(&mut self, look: &Look) -> bool {
        // It may have been ended a moment ago, and be about to go.
        if self.hangs_at(look) {
            self.reap_soon();
        }
        self.hangs_at(look)
    }

    /// The same without waiting a moment for one that is about to go.
    pub fn hangs_at(&mut self, look: &Look) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.reap();
        let (uid, path) = (look.owner().uid, look.path());
        let of_uid = self.0.iter().filter_map(|left| left.at.as_ref());
        let of_uid = of_uid.filter(|(of, _)| *of == uid);
        let (mut all, mut here) = (0, false);
        for (_, at) in of_uid {
            all += 1;
            here |= at == path;
        }
        here || all >= OF_ONE_UID_MAX
    }

    /// How many there are, those counted that have ended since the last look.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Lets go of those that have ended.
    pub fn reap(&mut self) {
        self.0
            .retain_mut(|left| matches!(left.child.try_wait(), Ok(None)));
    }

    /// Waits a moment for children that were ended: an idle one needs no longer, one that hangs is
    /// left for later, or to init.
    pub fn reap_soon(&mut self) {
        let until = Instant::now() + Duration::from_millis(50);
        while !self.0.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
            self.reap();
        }
    }
}
