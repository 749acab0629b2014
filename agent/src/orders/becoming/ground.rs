//! What paths lead to, looked at in a child, each once.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::gaps::Gaps;
use crate::home::{HomeChild, Looked, Trace, Why};
use crate::host::root::HostRoot;
use crate::sshd::printable::printable;

/// How long one path may take.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Paths that do not answer; then nothing more is asked.
const HANGS_MAX: usize = 3;
/// Paths of which what they lead to is kept.
const KNOWN_MAX: usize = 200_000;

/// Looks at paths.
pub struct Ground {
    homes: RefCell<HomeChild>,
    known: RefCell<HashMap<Vec<u8>, Answer>>,
    hangs: RefCell<usize>,
    /// What those who follow paths asked for and could not be told.
    not_known: RefCell<Gaps>,
}

/// What a path leads to; `None` where a directory on the way is missing, or why it is not known.
pub type Answer = Result<Option<Rc<Looked>>, String>;

impl Ground {
    /// With a child of its own; nothing is looked at yet.
    pub fn new(root: &HostRoot) -> std::io::Result<Self> {
        let homes = HomeChild::new(root.dir_fd().try_clone_to_owned()?);
        Ok(Self {
            homes: RefCell::new(homes),
            known: RefCell::default(),
            hangs: RefCell::default(),
            not_known: RefCell::default(),
        })
    }

    /// The child, for others who read.
    pub fn homes(&self) -> RefMut<'_, HomeChild> {
        self.homes.borrow_mut()
    }

    /// What could not be told to those who follow paths, since the last call.
    pub fn take_not_known(&self) -> Gaps {
        self.not_known.take()
    }

    /// What a path leads to. One that does not begin at `/` leads nowhere that is known here.
    pub fn look(&self, path: &[u8]) -> Answer {
        if !path.starts_with(b"/") {
            return Err(format!("{} does not begin with '/'", printable(path)));
        }
        if let Some(known) = self.known.borrow().get(path) {
            return known.clone();
        }
        self.look_at(vec![path.to_vec()]);
        let known = self.known.borrow().get(path).cloned();
        known.unwrap_or_else(|| Err("too many paths are looked at".into()))
    }

    /// Looks at paths that will be asked for, in few messages.
    pub fn look_at(&self, mut paths: Vec<Vec<u8>>) {
        paths.sort_unstable();
        paths.dedup();
        let mut known = self.known.borrow_mut();
        paths.retain(|path| path.starts_with(b"/") && !known.contains_key(path));
        paths.truncate(KNOWN_MAX.saturating_sub(known.len()));
        let traces: Vec<Trace> = paths.into_iter().map(|path| Trace { path }).collect();
        let mut hangs = self.hangs.borrow_mut();
        let left = HANGS_MAX.saturating_sub(*hangs);
        self.homes
            .borrow_mut()
            .trace_many(&traces, PATIENCE, left, |nth, result| {
                let answer = match result {
                    Ok(looked) => Ok(Some(Rc::new(looked))),
                    Err(error) if error.why == Why::Missing => Ok(None),
                    Err(error) => {
                        *hangs += usize::from(error.why == Why::Hung);
                        Err(error.to_string())
                    }
                };
                known.insert(traces[nth].path.clone(), answer);
            });
    }
}

impl crate::escalation::ground::Paths for Ground {
    fn way(&self, path: &[u8]) -> Option<Rc<Looked>> {
        // What a rule names that is no path is no file that anybody could change.
        if !path.starts_with(b"/") {
            return None;
        }
        let found = self.look(path);
        self.not_known.borrow_mut().known(found).flatten()
    }
}
