//! The root half: it owns the store, the orders and every change, and has no network.
//!
//! Threads carry things to one worker and from it; the worker alone decides and edits, one piece
//! of work after the other, never cancelled half-way.

/// The local command line's door.
pub mod admin;
/// Explanations, beside the worker.
mod aside;
/// The Unix sockets and who may connect to them.
mod listen;
/// Giving memory back when nothing waits.
mod memory_use;
/// When the host is surveyed, and what of it is sent.
mod survey;
/// The process in which a survey is taken.
mod survey_process;
/// The connection to the control plane.
mod uplink;
/// File watches.
mod watch;
/// What the worker can be given to do.
mod work;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rescind_protocol::frame::Frame;

use crate::config::layout;
use crate::daemon::memory_use::MemoryUse;
use crate::daemon::survey::Surveys;
use crate::daemon::uplink::Uplink;
use crate::daemon::watch::Watch;
use crate::daemon::work::{ConnectionId, Work};
use crate::orders::{Engine, Look};
use crate::store::IndexWork;
use crate::sys::{service, signals};

pub use crate::daemon::survey_process::hidden_entry;

/// Pieces of work waiting for the worker.
const WORK_MAX: usize = 256;
/// How often in a row what is newly watched may show that still more is to be watched: `~/.ssh` is
/// made, then the key file in it.
const WATCH_ROUNDS_MAX: usize = 8;
/// Orders that the host's own tools are asked about at once.
const ASKING_MAX: usize = 8;
/// Questions that wait for the records of logins at once.
const LOOKING_MAX: usize = 4;
/// How long after a change the watch list is brought up to date at the latest.
const IDLE: Duration = Duration::from_secs(3600);
/// How often the index's process is looked at while it works, which it does for a moment every few
/// minutes at most.
const INDEX_LOOK: Duration = Duration::from_millis(50);

/// Why the root half cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The engine could not be opened.
    #[error(transparent)]
    Engine(#[from] crate::orders::EngineError),
    /// A socket could not be made.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// The socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A thread or the signal handling could not be set up.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
pub fn run(root: &Path, mut engine: Engine, survey_every: Duration) -> Result<(), DaemonError> {
    let (work, queue) = sync_channel(WORK_MAX);
    // Before any other thread starts, so that all of them inherit the mask.
    let signals = signals::block_termination()?;
    spawn("signals", {
        let work = work.clone();
        move || {
            signals.wait();
            let _ = work.send(Work::Stop);
        }
    })?;
    listen::start(root, &work, engine.logins())?;
    let watch = match Watch::start(work.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            // Out of inotify instances, or a kernel without: the survey alone holds then.
            tracing::warn!(%error, "files cannot be watched; changes are found by the survey only");
            None
        }
    };
    engine.finish_what_was_begun()?;
    tell("READY=1");
    tracing::info!(
        store = %layout::agent_dir(root).display(),
        standing = engine.standing_ids().len(),
        "ready"
    );
    let mut worker = Worker {
        engine,
        watch,
        uplink: None,
        connections: 0,
        work,
        survey_every,
        next_survey: Instant::now(),
        surveys: Surveys::new(root, survey_every),
        index: IndexWork::None,
        memory: MemoryUse::new(),
        asking: 0,
        looking: Arc::default(),
    };
    worker.run(&queue);
    tell("STOPPING=1");
    Ok(())
}

struct Worker {
    engine: Engine,
    watch: Option<Watch>,
    uplink: Option<Uplink>,
    connections: u64,
    work: SyncSender<Work>,
    survey_every: Duration,
    next_survey: Instant,
    surveys: Surveys,
    index: IndexWork,
    memory: MemoryUse,
    /// How many orders the host's own tools are being asked about.
    asking: usize,
    /// How many questions wait for the records of logins to be read.
    looking: Arc<AtomicUsize>,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Work>) {
        // The first survey is due at once: whatever happened while nobody looked.
        loop {
            let piece = match queue.try_recv() {
                Ok(piece) => Ok(piece),
                // Whether it is empty or at its end, the look that waits tells.
                Err(_) => {
                    self.when_nothing_waits();
                    queue.recv_timeout(self.idle_for())
                }
            };
            match piece {
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(piece) => {
                    match piece {
                        Work::Surveyed(_) => drop(self.memory.note_survey()),
                        _ => self.memory.note_work(),
                    }
                    self.take(piece);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.carry_out_accepted();
            self.look_again();
            self.push_evidence();
        }
    }

    /// How long to wait for work, at most.
    fn idle_for(&mut self) -> Duration {
        let survey = self.next_survey.saturating_duration_since(Instant::now());
        let memory = self.memory.give_back().unwrap_or(IDLE);
        let survey = survey.min(self.surveys.due_in());
        survey.min(memory).min(match self.index {
            IndexWork::None => IDLE,
            IndexWork::UnderWay => INDEX_LOOK,
        })
    }

    fn take(&mut self, piece: Work) {
        match piece {
            Work::LinkUp(stream) => {
                // One connection at a time: the newest, as after a restart of the link.
                self.connections += 1;
                let id = ConnectionId(self.connections);
                self.engine.renew_trust();
                let Some(hello) = self.engine.hello() else {
                    tracing::info!("the link connected, but this host is not enrolled");
                    return;
                };
                match Uplink::start(id, stream, self.work.clone(), hello.into()) {
                    Ok(uplink) => self.uplink = Some(uplink),
                    Err(error) => tracing::warn!(%error, "the link's connection could not be used"),
                }
            }
            Work::Frame(id, frame) if uplink::tells_logins(&frame) && self.look(id, &frame) => {}
            Work::Frame(id, frame) | Work::Looked(id, frame) => {
                let Some(uplink) = self.uplink.as_mut().filter(|uplink| uplink.id == id) else {
                    return;
                };
                if let Err(error) = uplink.handle(&mut self.engine, &mut self.surveys, &frame) {
                    tracing::warn!(%error, "connection dropped");
                    self.uplink = None;
                }
            }
            Work::LinkDown(id) => {
                if self.uplink.as_ref().is_some_and(|uplink| uplink.id == id) {
                    self.uplink = None;
                }
            }
            Work::Admin(request, reply) => {
                self.engine.renew_trust();
                let _ = reply.send(admin::answer(&mut self.engine, request));
            }
            Work::Confirmed(order, answers) => {
                self.asking = self.asking.saturating_sub(1);
                if let Err(error) = self.engine.confirm(order, answers) {
                    tracing::error!(%order, %error, "what the host's own tools said is lost");
                }
            }
            Work::Surveyed(ended) => self.surveys.end(ended, self.uplink.as_mut()),
            Work::Changed | Work::Stop => {}
        }
    }

    /// Sends somebody to read the records of logins, who then hands the question back; no order
    /// waits for it. Whether somebody went: else the answer is as of the last look.
    fn look(&mut self, id: ConnectionId, frame: &Frame) -> bool {
        if self.looking.load(Ordering::SeqCst) >= LOOKING_MAX {
            return false;
        }
        let (work, looking) = (self.work.clone(), Arc::clone(&self.looking));
        let (logins, frame) = (Arc::clone(self.engine.logins()), frame.clone());
        looking.fetch_add(1, Ordering::SeqCst);
        let went = spawn("logins", move || {
            logins.look(listen::LOGINS_PATIENCE);
            looking.fetch_sub(1, Ordering::SeqCst);
            let _ = work.send(Work::Looked(id, frame));
        });
        if went.is_err() {
            self.looking.fetch_sub(1, Ordering::SeqCst);
        }
        went.is_ok()
    }

    /// Carries out what was accepted, one order after the other, evidence going out in between.
    fn carry_out_accepted(&mut self) {
        while let Some(id) = self.engine.next_accepted() {
            self.push_evidence();
            match self.engine.carry_out(id) {
                Ok(outcome) => tracing::info!(
                    order = %id,
                    verdict = ?outcome.verdict,
                    reason = outcome.reason,
                    took_us = outcome.took_us,
                    "order concluded"
                ),
                // It stays unfinished in the journal and is taken up again by the next survey.
                Err(error) => tracing::error!(order = %id, %error, "order not concluded"),
            }
            self.push_evidence();
        }
    }

    /// Holds: at once where a watch saw something, everywhere when the survey is due.
    fn look_again(&mut self) {
        let mut look = None;
        if let Some(hints) = self.watch.as_ref().map(Watch::take) {
            if hints.lost {
                look = Some(Look::Everywhere);
            } else if !hints.paths.is_empty() {
                look = Some(Look::At(hints.paths));
            }
        }
        let due = Instant::now() >= self.next_survey;
        if due {
            self.next_survey = Instant::now() + spread(self.survey_every);
            look = Some(Look::Everywhere);
        }
        if let Some(look) = look {
            self.hold(&look);
        }
        if due && self.memory.note_survey() {
            self.engine.let_children_go();
        }
    }

    fn hold(&mut self, look: &Look) {
        if let Err(error) = self.engine.hold(look) {
            tracing::error!(%error, "standing orders could not be checked");
        }
    }

    /// Watches what matters now, and looks once at what was not watched before.
    fn watch_what_matters(&mut self) {
        for _ in 0..WATCH_ROUNDS_MAX {
            let Some(watch) = &mut self.watch else { return };
            let Some(directories) = self.engine.directories_to_watch() else {
                return;
            };
            let begun = watch.set(directories);
            if !begun.is_empty() {
                self.hold(&Look::At(begun));
            }
        }
    }

    /// Sends somebody to ask the host's own tools: they take a second, and no order waits for them.
    fn have_confirmed(&mut self) {
        while self.asking < ASKING_MAX {
            let question = match self.engine.next_to_confirm() {
                Ok(Some(question)) => question,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the host's own tools could not be asked");
                    return;
                }
            };
            let work = self.work.clone();
            let asked = spawn("confirm", move || {
                let answers = question.ask();
                let _ = work.send(Work::Confirmed(question.order, answers));
            });
            match asked {
                Ok(()) => self.asking += 1,
                Err(error) => tracing::error!(%error, "nobody could be sent to ask"),
            }
        }
    }

    /// What may wait until no order does.
    fn when_nothing_waits(&mut self) {
        self.watch_what_matters();
        self.have_confirmed();
        self.surveys.start_if_due(self.uplink.as_ref(), &self.work);
        match self.engine.tidy() {
            Ok(index) => self.index = index,
            Err(error) => {
                self.index = IndexWork::None;
                tracing::error!(%error, "the store could not be tidied");
            }
        }
        self.push_evidence();
    }

    fn push_evidence(&mut self) {
        if let Some(uplink) = &mut self.uplink
            && let Err(error) = uplink.push_evidence(&self.engine)
        {
            tracing::warn!(%error, "connection dropped");
            self.uplink = None;
        }
    }
}

/// An interval with up to a tenth of jitter, so that a fleet does not survey in step.
fn spread(interval: Duration) -> Duration {
    let mut byte = [0];
    rescind_protocol::sign::fill_random(&mut byte);
    interval + interval.mul_f64(f64::from(byte[0]) / 2550.0)
}

/// Tells the service manager; that it does not listen is no reason to stop.
fn tell(state: &str) {
    if let Err(error) = service::notify(state) {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(128 * 1024)
        .spawn(body)
        .map(drop)
}
