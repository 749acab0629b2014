//! The state of many names, asked of the child: see `stamps`.

use std::ops::ControlFlow;
use std::time::Duration;

use super::message::{Answer, Ask, STAMPS_PER_ANSWER, STAMPS_PER_MESSAGE_MAX};
use super::parent::HomeChild;
use super::why::Why;
use crate::stamps::{Ask as Name, Seen, Settled};

/// Directories on the way to a name; deeper ones are not asked for.
const DEPTH_MAX: usize = STAMPS_PER_MESSAGE_MAX / 2;

impl HomeChild {
    /// Looks at the state of names and hands over what was seen of each with its place in `names`,
    /// in their order. `patience` is for a few of them at a time.
    ///
    /// # Errors
    /// The first that does not answer ends it: nothing is known of the rest.
    pub fn look_at_names(
        &mut self,
        names: &[Name],
        settled: Option<Settled>,
        patience: Duration,
        mut each: impl FnMut(usize, Seen) -> ControlFlow<()>,
    ) -> Result<(), Why> {
        let mut next = 0;
        while next < names.len() {
            // The child begins each message at the root directory.
            let mut batch = way_to(names, next).ok_or(Why::PathTooLong)?;
            let known = batch.len();
            let end = names.len().min(next + STAMPS_PER_MESSAGE_MAX - known);
            batch.extend_from_slice(&names[next..end]);
            self.ask(Ask::Stamp(&batch, settled), patience)?;
            let mut at = 0;
            while at < batch.len() {
                let seen = match self.answer(0, patience)? {
                    Answer::Stamped(seen) => seen,
                    _ => return Err(self.not_understood()),
                };
                if seen.len() != STAMPS_PER_ANSWER.min(batch.len() - at) {
                    return Err(self.not_understood());
                }
                for one in seen {
                    if at >= known && each(next + at - known, one).is_break() {
                        // The answers that are under way belong to nobody.
                        self.leave_behind();
                        return Ok(());
                    }
                    at += 1;
                }
            }
            next = end;
        }
        Ok(())
    }
}

/// The directories above a name.
fn way_to(names: &[Name], name: usize) -> Option<Vec<Name>> {
    let mut way = Vec::new();
    let mut depth = names[name].depth;
    for above in names[..name].iter().rev() {
        if depth == 0 {
            break;
        }
        if above.depth < depth {
            depth = above.depth;
            way.push(above.clone());
        }
    }
    way.reverse();
    (way.len() <= DEPTH_MAX).then_some(way)
}
