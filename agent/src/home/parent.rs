//! The parent's side: one warm child, a deadline for every answer, and nothing that a user's file
//! system does can make the parent wait longer.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::left_behind::{LEFT_BEHIND_MAX, LeftBehind};
use super::looked::{Looked, Trace};
use super::message::{
    ANSWER_EXTRA_BYTES_MAX, Answer, Ask, Content, FileFacts, LOOKS_PER_MESSAGE_MAX, List, Listing,
    Look, Read, Replace, Reply, Seen, Sending,
};
use super::running::Running;
use super::why::Why;
use crate::stamps::{Sight, Tree};
use crate::sys::process;

/// The most that is read of a user's file, unless something else is asked for.
pub const READ_BYTES_MAX: u64 = 10 << 20;

/// How long an answer may take, unless something else is said.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How many uids may hang in one pass until the others are given only a part of the patience: a
/// server that is gone takes the homes of many with it.
const PATIENT_WITH: usize = 4;
/// And which part.
const IMPATIENCE: u32 = 8;

/// Why something asked for about a user's file was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {why}", path.escape_ascii())]
pub struct HomeError {
    /// The path as it was asked for.
    pub path: Vec<u8>,
    /// Why.
    #[source]
    pub why: Why,
}

/// The child that becomes the owner of users' files, started when it is needed first.
///
/// The child dies with the *thread* that started it: keep one of these per thread that lives as
/// long as it does.
#[derive(Debug)]
pub struct HomeChild {
    program: PathBuf,
    root: OwnedFd,
    running: Option<Running>,
    /// What was asked for ahead of time; its answers are under way.
    ahead: Vec<Look>,
    left_behind: LeftBehind,
    /// What was looked at, for those who want to know.
    seen: Option<Tree>,
}

impl HomeChild {
    /// For the files of the host whose root directory is `root` (open for reading, or `O_PATH`).
    /// The child is this program itself.
    pub fn new(root: OwnedFd) -> Self {
        Self::with_program(root, Path::new("/proc/self/exe"))
    }

    /// With another program as the child, for tests: one that calls [`super::hidden_entry`].
    pub fn with_program(root: OwnedFd, program: &Path) -> Self {
        Self {
            program: program.to_path_buf(),
            root,
            running: None,
            ahead: Vec::new(),
            left_behind: LeftBehind::default(),
            seen: None,
        }
    }

    /// From now on remembers what is looked at, until [`HomeChild::take_seen`].
    pub fn note_seen(&mut self) {
        self.seen = Some(Tree::default());
    }

    /// What was looked at, and whether another look could see something else although nothing is
    /// another way.
    pub fn take_seen(&mut self) -> Tree {
        self.seen.take().unwrap_or_default()
    }

    /// Remembers a look, and what does not tell whether it would come out so again.
    fn note<T>(&mut self, path: &[u8], result: &Result<T, HomeError>) {
        let Some(tree) = &mut self.seen else {
            return;
        };
        tree.see(path, Sight::Whole);
        if let Err(error) = result
            && !error.why.is_of_the_path()
        {
            tree.doubt(error.to_string());
        }
    }

    /// Reads a file.
    pub fn read(&mut self, read: &Read, patience: Duration) -> Result<Content, HomeError> {
        let look = Look::Read(read.clone());
        match self.look(&look, patience)? {
            Seen::Content(content) => Ok(content),
            Seen::Listing(_) => Err(error(&read.path, self.not_understood())),
        }
    }

    /// Lists a directory.
    pub fn list(&mut self, list: &List, patience: Duration) -> Result<Listing, HomeError> {
        let look = Look::List(list.clone());
        match self.look(&look, patience)? {
            Seen::Listing(listing) => Ok(listing),
            Seen::Content(_) => Err(error(&list.path, self.not_understood())),
        }
    }

    fn look(&mut self, look: &Look, patience: Duration) -> Result<Seen, HomeError> {
        if self.left_behind.is_in_vain(look) {
            let hung = Err(error(look.path(), Why::Hung));
            self.note(look.path(), &hung);
            return hung;
        }
        let ask = Ask::Look(std::slice::from_ref(look), Sending::OneByOne);
        let answer = match self.ask(ask, patience) {
            Ok(()) => self.seen(look, patience),
            Err(why) => Err(why),
        };
        if answer == Err(Why::Hung) {
            self.left_behind.note_hung(look);
        }
        let answer = answer.map_err(|why| error(look.path(), why));
        self.note(look.path(), &answer);
        answer
    }

    /// Looks at many files and directories, at each with its own deadline, and hands over each
    /// result with its place in `looks`, in their order.
    ///
    /// Once something of a uid has hung, what else is to be seen of that uid is reported as hung,
    /// too, without another wait. So one user costs all others at most one `patience`, and the
    /// first such user two: only then are answers sent one by one, so that it is known whose hangs.
    pub fn look_at_many(
        &mut self,
        looks: &[Look],
        patience: Duration,
        mut each: impl FnMut(usize, Result<Seen, HomeError>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut hung = HashSet::new();
        let mut sending = Sending::Together;
        let mut next = 0;
        while next < looks.len() {
            let uid = looks[next].owner().uid;
            if hung.contains(&uid) || self.left_behind.is_in_vain(&looks[next]) {
                hung.insert(uid);
                let result = Err(error(looks[next].path(), Why::Hung));
                self.note(looks[next].path(), &result);
                each(next, result)?;
                next += 1;
                continue;
            }
            let run = looks[next..]
                .iter()
                .take(LOOKS_PER_MESSAGE_MAX)
                .take_while(|look| {
                    !hung.contains(&look.owner().uid) && !self.left_behind.hangs_at(look)
                })
                .count()
                .max(1);
            let patience = match hung.len() < PATIENT_WITH {
                true => patience,
                false => patience / IMPATIENCE,
            };
            let batch = &looks[next..next + run];
            if let Err(why) = self.begin(batch, sending, patience) {
                let result = Err(error(batch[0].path(), why));
                self.note(batch[0].path(), &result);
                each(next, result)?;
                next += 1;
                continue;
            }
            for look in batch {
                let result = self.seen(look, patience);
                let lost = self.running.is_none();
                if lost && sending == Sending::Together {
                    sending = Sending::OneByOne;
                    break;
                }
                if result == Err(Why::Hung) {
                    hung.insert(look.owner().uid);
                    self.left_behind.note_hung(look);
                }
                let result = result.map_err(|why| error(look.path(), why));
                self.note(look.path(), &result);
                let go_on = each(next, result);
                next += 1;
                if go_on.is_break() {
                    // Its remaining answers belong to nobody.
                    self.leave_behind();
                    return ControlFlow::Break(());
                }
                if lost {
                    break;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Asks for what [`HomeChild::look_at_many`] is about to be asked for, so that the child works
    /// on it meanwhile. If something else is asked for before, this was in vain.
    pub fn look_ahead(&mut self, looks: &[Look], patience: Duration) {
        let batch = &looks[..looks.len().min(LOOKS_PER_MESSAGE_MAX)];
        let ask = Ask::Look(batch, Sending::Together);
        // If it fails, the one who comes for the answers finds out.
        if !batch.is_empty() && self.ask(ask, patience).is_ok() {
            self.ahead = batch.to_vec();
        }
    }

    /// Asks for a batch, unless that was done before.
    fn begin(&mut self, batch: &[Look], sending: Sending, patience: Duration) -> Result<(), Why> {
        if !batch.is_empty() && self.ahead == batch {
            self.ahead.clear();
            return Ok(());
        }
        self.ask(Ask::Look(batch, sending), patience)
    }

    /// [`HomeChild::look_at_many`] for files.
    pub fn read_many(
        &mut self,
        reads: &[Read],
        patience: Duration,
        mut each: impl FnMut(usize, Result<Content, HomeError>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let looks: Vec<Look> = reads.iter().cloned().map(Look::Read).collect();
        self.look_at_many(&looks, patience, |nth, result| {
            let result = result.and_then(|seen| match seen {
                Seen::Content(content) => Ok(content),
                Seen::Listing(_) => Err(error(&reads[nth].path, mixed_up())),
            });
            each(nth, result)
        })
    }

    /// The answer to a look.
    fn seen(&mut self, look: &Look, patience: Duration) -> Result<Seen, Why> {
        match (self.answer(look.bytes_max(), patience)?, look) {
            (Answer::Seen(seen @ Seen::Content(_)), Look::Read(_))
            | (Answer::Seen(seen @ Seen::Listing(_)), Look::List(_)) => Ok(seen),
            _ => Err(self.not_understood()),
        }
    }

    /// Replaces a file, durably.
    pub fn replace(
        &mut self,
        replace: &Replace,
        patience: Duration,
    ) -> Result<FileFacts, HomeError> {
        let answer = match self.ask(Ask::Replace(replace), patience) {
            Ok(()) => self.answer(0, patience),
            Err(why) => Err(why),
        };
        answer
            .and_then(|answer| match answer {
                Answer::Replaced(facts) => Ok(facts),
                Answer::Seen(_) | Answer::Traced(_) | Answer::Stamped(_) => {
                    Err(self.not_understood())
                }
            })
            .map_err(|why| error(&replace.path, why))
    }

    /// Looks at what decides about paths as root, and hands over each result with its place in `traces`. After so many
    /// that do not answer the rest is not asked for.
    pub fn trace_many(
        &mut self,
        traces: &[Trace],
        patience: Duration,
        hangs_max: usize,
        mut each: impl FnMut(usize, Result<Looked, HomeError>),
    ) {
        let (mut next, mut hangs) = (0, 0);
        while next < traces.len() {
            let batch = &traces[next..traces.len().min(next + LOOKS_PER_MESSAGE_MAX)];
            let asked = match hangs < hangs_max {
                true => self.ask(Ask::Trace(batch), patience),
                false => Err(Why::Hung),
            };
            if let Err(why) = asked {
                each(next, Err(error(&traces[next].path, why)));
                next += 1;
                continue;
            }
            for trace in batch {
                let result = match self.answer(0, patience) {
                    Ok(Answer::Traced(looked)) => Ok(looked),
                    Ok(_) => Err(self.not_understood()),
                    Err(why) => Err(why),
                };
                hangs += usize::from(result == Err(Why::Hung));
                each(next, result.map_err(|why| error(&trace.path, why)));
                next += 1;
                if self.running.is_none() {
                    break;
                }
            }
        }
    }

    /// Lets the child go if nothing was asked of it for `idle`.
    pub fn retire_if_idle(&mut self, idle: Duration) {
        self.left_behind.reap();
        if let Some(running) = &self.running
            && running.last_used.elapsed() >= idle
        {
            self.leave_behind();
            // Nobody may look for it again for an hour.
            self.left_behind.reap_soon();
        }
    }

    /// How many children hang and could not be ended yet.
    pub fn hanging(&mut self) -> usize {
        self.left_behind.reap();
        self.left_behind.len()
    }

    /// The child's pid while there is one: for tests and for those who must not signal it.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    pub(super) fn ask(&mut self, ask: Ask<'_>, patience: Duration) -> Result<(), Why> {
        let mut message = Zeroizing::new(vec![0; 4]);
        minicbor::encode(ask, &mut *message).map_err(|e| Why::Child(e.to_string()))?;
        let len = u32::try_from(message.len() - 4).map_err(|e| Why::Child(e.to_string()))?;
        message[..4].copy_from_slice(&len.to_le_bytes());

        if !self.ahead.is_empty() {
            self.leave_behind(); // its answers belong to nobody
        }
        let sent = match self.start_if_needed() {
            Ok(running) => running.send(&message, Instant::now() + patience),
            Err(why) => Err(why),
        };
        if sent.is_err() {
            self.leave_behind();
        }
        sent
    }

    /// Waits for the next answer; without one, the child is left behind.
    pub(super) fn answer(&mut self, bytes: u64, patience: Duration) -> Result<Answer, Why> {
        let Some(running) = &mut self.running else {
            return Err(Why::Child("it is gone".into()));
        };
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        let most = most.saturating_add(ANSWER_EXTRA_BYTES_MAX);
        match running.receive(most, Instant::now() + patience) {
            Ok(Reply::Done(answer)) => Ok(answer),
            Ok(Reply::Not(why)) => Err(why),
            Err(why) => {
                self.leave_behind();
                Err(why)
            }
        }
    }

    pub(super) fn not_understood(&mut self) -> Why {
        self.leave_behind();
        mixed_up()
    }

    fn start_if_needed(&mut self) -> Result<&mut Running, Why> {
        self.left_behind.reap();
        if let Some(running) = &self.running
            && process::is_hung_up(&running.socket)
        {
            self.leave_behind();
        }
        if self.running.is_none() {
            if self.left_behind.len() >= LEFT_BEHIND_MAX {
                return Err(Why::Child(format!(
                    "{LEFT_BEHIND_MAX} of them hang already; see their paths in the log"
                )));
            }
            let started = Running::start(&self.program, &self.root);
            self.running = Some(started.map_err(|e| Why::Child(format!("cannot start: {e}")))?);
        }
        match &mut self.running {
            Some(running) => Ok(running),
            None => Err(Why::Child("it is gone".into())),
        }
    }

    /// Ends the child without waiting for its end: where it hangs, even SIGKILL may take for ever.
    pub(super) fn leave_behind(&mut self) {
        self.ahead.clear();
        if let Some(running) = self.running.take() {
            self.left_behind.end(running.child);
        }
        self.left_behind.reap();
    }
}

impl Drop for HomeChild {
    fn drop(&mut self) {
        self.leave_behind();
        self.left_behind.reap_soon();
    }
}

fn mixed_up() -> Why {
    Why::Child("it answered something that was not asked".into())
}

fn error(path: &[u8], why: Why) -> HomeError {
    HomeError {
        path: path.to_vec(),
        why,
    }
}
