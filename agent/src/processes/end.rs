//! Freezing, ending and thawing what belongs to an account.
//!
//! Ending is not done when signals were sent but when two looks, some time apart, find nothing.
//! Before that, the whole uid is signalled in one system call, which none escapes: reading /proc
//! and signalling pid by pid misses a process that keeps forking and ending.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::holdings::{Holdings, Scope, Subject, SudoBorn};
use super::logind;
use super::moment::Moment;
use super::signaller::Signaller;
use super::table::{Gap, Proc, Process};
use crate::sys::process::{self, ProcessHandle, Signal};

/// How far apart two clean looks are at least: what had begun to log in has shown itself then.
pub const LOOKS_APART: Duration = Duration::from_millis(10);

/// How long ending goes on at most, when something cannot be ended.
const ROUNDS_TIME: Duration = Duration::from_secs(3);

/// How long root's sshd may take to close its session by itself once the account's sshd is dead.
const SSHD_GRACE: Duration = Duration::from_millis(30);

/// How often a child that signals is started anew when it fails.
const CHILD_TRIES: usize = 3;

/// How often it is looked at most, 1 ms apart, until all that was sent SIGSTOP has stopped.
const STOP_LOOKS: usize = 20;

/// The most ended processes that are listed.
const ENDED_MAX: usize = 1024;

/// Why nothing was signalled.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// A blanket signal to root's processes is one to the whole host.
    #[error("processes of uid 0 are ended by session only")]
    Root,
    /// This program was started from the account's own session.
    #[error("{0}, of the account, is an ancestor of this program: run it from elsewhere")]
    OwnAncestor(Process),
    /// The child that signals did not do it.
    #[error("the child that signals as uid {uid} failed {CHILD_TRIES} times: {last}")]
    Child {
        /// The uid.
        uid: u32,
        /// What happened the last time.
        last: String,
    },
    /// It could not be started.
    #[error("cannot start the child that signals: {0}")]
    Start(io::Error),
}

/// What was frozen.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// What there was.
    pub before: Holdings,
    /// What still ran when it was looked again.
    pub running: Vec<Process>,
    /// There was nothing, for certain: a first clean look.
    clean: bool,
}

/// What ending came to.
#[derive(Debug, Clone, Default)]
pub struct EndReport {
    /// What was there and is gone, with root's sshd; at most 1024.
    pub ended: Vec<Process>,
    /// What is still there.
    pub survivors: Vec<Process>,
    /// What the account's sudo has left; not touched.
    pub sudo_born: Vec<Process>,
    /// Processes with its uid in containers that are not its own; not touched.
    pub contained: Vec<Process>,
    /// What could not be read in the last look: then "nothing is left" is not known.
    pub gaps: Vec<String>,
    /// How often it was looked.
    pub looks: u32,
    /// How long it took.
    pub took: Duration,
}

impl EndReport {
    /// Two looks found nothing, and nothing was hidden from the last.
    pub fn is_clean(&self) -> bool {
        self.survivors.is_empty() && self.gaps.is_empty()
    }
}

/// Freezes and ends.
#[derive(Debug)]
pub struct Ender {
    proc: Proc,
    logind_dir: PathBuf,
    program: PathBuf,
}

impl Ender {
    /// For the running host. The child that signals is this program itself.
    pub fn new() -> io::Result<Self> {
        Self::with_program(Path::new("/proc/self/exe"))
    }

    /// With another program as the child, for tests: one that calls [`crate::home::hidden_entry`].
    pub fn with_program(program: &Path) -> io::Result<Self> {
        Ok(Self {
            proc: Proc::open(Path::new("/proc"))?,
            logind_dir: PathBuf::from(logind::SESSIONS_DIR),
            program: program.to_path_buf(),
        })
    }

    /// The host's processes now, for questions about many accounts.
    pub fn moment(&self) -> io::Result<Moment<'_>> {
        Ok(Moment::now(&self.proc, &self.logind_dir)?)
    }

    /// What belongs to an account now.
    pub fn look(&self, subject: &Subject, born: SudoBorn) -> Holdings {
        Holdings::look(&self.proc, &self.logind_dir, subject, born)
    }

    /// Stops all that belongs to the account, so that it cannot work against what comes next.
    pub fn freeze(&self, subject: &Subject) -> Result<Frozen, EndError> {
        let mut before = self.look(subject, SudoBorn::Skip);
        check(subject, &before)?;
        let certain = before.settled && before.gaps.is_empty();
        let mut running = before.processes.clone();
        if !before.processes.is_empty() || !certain {
            let signaller = self.prepare(subject, Signal::Stop)?;
            self.signal(subject, signaller, &before, Signal::Stop)?;
            for _ in 0..STOP_LOOKS {
                let now = self.look(subject, SudoBorn::Skip);
                running = now.processes.clone();
                // One that cannot be interrupted does nothing, and stops when it comes back.
                running.retain(|process| !process.is_stopped() && process.state != 'D');
                if before.processes.is_empty() {
                    before = now;
                }
                if running.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(Frozen {
            clean: certain && before.is_clean(),
            before,
            running,
        })
    }

    /// Lets go on what [`freeze`](Self::freeze) stopped, but not what was stopped before. Without
    /// `frozen` (it was lost in a crash), everything that is stopped goes on.
    pub fn thaw(&self, subject: &Subject, frozen: Option<&Frozen>) -> Vec<Process> {
        let was_stopped = |process: &Process| {
            let before = frozen.map_or(&[][..], |frozen| &frozen.before.processes);
            before
                .iter()
                .any(|old| same(old, process) && old.is_stopped())
        };
        let mut stopped = self.look(subject, SudoBorn::Skip).processes;
        // One that cannot be interrupted has yet to stop: going on takes that from it.
        stopped.retain(|process| {
            (process.is_stopped() || process.state == 'D') && !was_stopped(process)
        });
        for process in &stopped {
            self.signal_one(subject, process, Signal::Continue);
        }
        stopped
    }

    /// Ends all that belongs to the account, until two looks find nothing or it takes too long.
    ///
    /// If [`freeze`](Self::freeze) found nothing, that was the first look.
    pub fn end(
        &self,
        subject: &Subject,
        frozen: Option<&Frozen>,
        born: SudoBorn,
    ) -> Result<EndReport, EndError> {
        let started = Instant::now();
        let mut report = EndReport::default();
        let mut seen: Vec<Process> = Vec::new();
        let mut first_kill: Option<Instant> = None;
        let mut last_clean: Option<Instant> = None;
        let mut pause = Duration::from_millis(1);
        let quiet = frozen.is_some_and(|frozen| frozen.clean);
        let mut signaller = match quiet {
            true => None,
            false => self.prepare(subject, Signal::Kill)?,
        };
        let last = loop {
            if let Some(clean) = last_clean {
                std::thread::sleep(LOOKS_APART.saturating_sub(clean.elapsed()));
            }
            let too_long = started.elapsed() > ROUNDS_TIME;
            let after_quiet = quiet && report.looks == 0;
            let may_be_last = last_clean.is_some() || too_long || after_quiet;
            let look = match may_be_last {
                true => self.look(subject, born),
                false => self.look(subject, SudoBorn::Skip),
            };
            report.looks += 1;
            check(subject, &look)?;
            remember(&mut seen, look.processes.iter().chain(&look.sshd));
            let certain = look.settled || first_kill.is_some();
            if too_long || (may_be_last && look.is_clean() && certain) {
                break look;
            }
            if look.is_clean() && first_kill.is_some() {
                last_clean = Some(Instant::now());
                continue;
            }
            last_clean = None;
            let killed_at = *first_kill.get_or_insert_with(Instant::now);
            let ready = match signaller.take() {
                Some(ready) => Some(ready),
                None => self.prepare(subject, Signal::Kill)?,
            };
            self.signal(subject, ready, &look, Signal::Kill)?;
            if killed_at.elapsed() > SSHD_GRACE {
                for sshd in &look.sshd {
                    self.signal_one(subject, sshd, Signal::Kill);
                }
            }
            if look.is_clean() && look.settled {
                last_clean = Some(Instant::now());
                continue;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(8));
        };
        report.survivors = last.processes.iter().chain(&last.sshd).cloned().collect();
        seen.retain(|process| !report.survivors.iter().any(|left| same(left, process)));
        report.ended = seen;
        report.sudo_born = last.sudo_born;
        report.contained = last.contained;
        report.gaps = last.gaps;
        report.took = started.elapsed();
        Ok(report)
    }

    fn prepare(&self, subject: &Subject, signal: Signal) -> Result<Option<Signaller>, EndError> {
        match (subject.scope, subject.uid) {
            (Scope::SessionsOnly, _) => Ok(None),
            (Scope::WholeUid, 0) => Err(EndError::Root),
            (Scope::WholeUid, _) => Signaller::prepare(&self.program, subject, signal)
                .map(Some)
                .map_err(EndError::Start),
        }
    }

    /// Signals what belongs to the account: all at once where the uid says it, else one by one.
    fn signal(
        &self,
        subject: &Subject,
        signaller: Option<Signaller>,
        look: &Holdings,
        signal: Signal,
    ) -> Result<(), EndError> {
        // All at once would also hit containers in which the number is somebody else's.
        let signaller = signaller.filter(|_| look.contained.is_empty());
        let reached_by_uid = |process: &Process| {
            let [real, _, saved, _] = process.uids;
            real == subject.uid || saved == subject.uid
        };
        let at_once = signaller.is_some();
        if let Some(signaller) = signaller {
            self.fire(subject, signaller, signal)?;
        }
        for process in &look.processes {
            if !at_once || !reached_by_uid(process) {
                self.signal_one(subject, process, signal);
            }
        }
        Ok(())
    }

    /// Fires, and starts another child if that one fails.
    fn fire(
        &self,
        subject: &Subject,
        signaller: Signaller,
        signal: Signal,
    ) -> Result<(), EndError> {
        let mut fired = signaller.fire();
        for _ in 1..CHILD_TRIES {
            if fired.is_ok() {
                break;
            }
            let again = Signaller::prepare(&self.program, subject, signal);
            fired = again.map_err(EndError::Start)?.fire();
        }
        let uid = subject.uid;
        fired.map_err(|last| EndError::Child { uid, last })
    }

    /// Signals one process, if it is still the one that was seen.
    fn signal_one(&self, subject: &Subject, seen: &Process, signal: Signal) {
        if seen.pid <= 1 || seen.pid == process::own_pid() || seen.pid == process::parent_pid() {
            return;
        }
        let handle = match ProcessHandle::open(seen.pid) {
            Ok(handle) => handle,
            Err(_) => return, // it has ended
        };
        // Looked at after the handle was made: if this is the one, then the handle is of it.
        let still: Result<Option<Process>, Gap> = self.proc.process(seen.pid);
        let Ok(Some(now)) = still else {
            return;
        };
        if !same(&now, seen) || now.uids != seen.uids && !now.uids.contains(&subject.uid) {
            return;
        }
        // An error means that it has ended; the next look tells.
        let _ = match handle {
            Some(handle) => handle.send(signal),
            None => process::send_by_pid(seen.pid, signal),
        };
    }
}

fn check(subject: &Subject, look: &Holdings) -> Result<(), EndError> {
    match &look.own_ancestor {
        _ if subject.uid == 0 && subject.scope == Scope::WholeUid => Err(EndError::Root),
        Some(ancestor) if subject.scope == Scope::WholeUid || subject.only.is_some() => {
            Err(EndError::OwnAncestor(ancestor.clone()))
        }
        _ => Ok(()),
    }
}

fn same(a: &Process, b: &Process) -> bool {
    (a.pid, a.start_time) == (b.pid, b.start_time)
}

fn remember<'a>(seen: &mut Vec<Process>, looked: impl Iterator<Item = &'a Process>) {
    for process in looked {
        if seen.len() == ENDED_MAX {
            return;
        }
        if !seen.iter().any(|old| same(old, process)) {
            seen.push(process.clone());
        }
    }
}
