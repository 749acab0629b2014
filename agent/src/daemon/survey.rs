//! When the host is surveyed, and what of it goes to the control plane: sections that it does not
//! have in this state, after everything else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rescind_protocol::message::{Answer, SectionDigest};
use rescind_protocol::name::SectionName;

use crate::daemon::survey_process::{self, Digests, Stuck, SurveyError, Surveyed, Wanted};
use crate::daemon::uplink::{Lane, Uplink};
use crate::daemon::work::{ConnectionId, Work};
use crate::daemon::{IDLE, spawn, spread};

/// A survey that took so long is followed by a rest so many times as long.
const REST_FACTOR: u32 = 10;
/// Sections that are surveyed for somebody who asks, at once.
const QUESTIONS_MAX: usize = 2;
/// The names of threads are short.
const THREAD: &str = "survey";

/// The surveys of this host.
pub struct Surveys {
    root: PathBuf,
    every: Duration,
    due: Instant,
    /// No survey begins before.
    rest_until: Instant,
    begun: Option<Instant>,
    last: Option<Digests>,
    /// Whose file systems did not answer, as long as processes wait for them that cannot be ended:
    /// another survey would only add one.
    hung: Arc<Mutex<Hung>>,
    asked: Arc<AtomicUsize>,
}

/// Whose file systems do not answer.
#[derive(Debug, Default)]
struct Hung {
    uids: BTreeSet<u32>,
    stuck: Vec<Stuck>,
}

impl Hung {
    /// Whose files need not be tried.
    fn avoid(&mut self) -> BTreeSet<u32> {
        self.stuck.retain(|stuck| stuck.is_there());
        if self.stuck.is_empty() {
            self.uids.clear();
        }
        self.uids.clone()
    }

    fn note(&mut self, surveyed: &Surveyed) {
        self.uids.extend(&surveyed.hung);
        self.stuck.extend(&surveyed.stuck);
    }
}

/// What came of a survey, for the worker.
#[derive(Debug)]
pub struct Ended {
    /// The connection over which it was sent.
    over: Option<ConnectionId>,
    /// The sections that were sent whole.
    sent: Vec<SectionDigest>,
    result: Result<Surveyed, SurveyError>,
}

impl Surveys {
    /// The first one is due at once.
    pub fn new(root: &Path, every: Duration) -> Self {
        let now = Instant::now();
        Self {
            root: root.to_owned(),
            every,
            due: now,
            rest_until: now,
            begun: None,
            last: None,
            hung: Arc::default(),
            asked: Arc::default(),
        }
    }

    /// How long until the next one is due.
    pub fn due_in(&self) -> Duration {
        match self.begun {
            Some(_) => IDLE,
            None => self
                .due
                .max(self.rest_until)
                .saturating_duration_since(Instant::now()),
        }
    }

    /// Starts the next one, if it is due.
    pub fn start_if_due(&mut self, uplink: Option<&Uplink>, work: &SyncSender<Work>) {
        if !self.due_in().is_zero() {
            return;
        }
        self.due = Instant::now() + spread(self.every);
        let uplink = uplink.and_then(|uplink| Some((uplink, uplink.sections_known()?)));
        let over = uplink.as_ref().map(|(uplink, _)| uplink.id);
        let (lane, known) = match uplink {
            Some((uplink, known)) => (Some(uplink.lane()), Some(known)),
            None => (None, None),
        };
        let wanted = Wanted {
            root: self.root.clone(),
            only: None,
            keep: true,
            known,
            avoid: lock(&self.hung).avoid(),
        };
        let (work, hung) = (work.clone(), Arc::clone(&self.hung));
        let started = spawn(THREAD, move || {
            let mut sent = Vec::new();
            let result = survey_process::take(&wanted, |part| {
                let whole = part.last.then(|| SectionDigest {
                    section: part.section.clone(),
                    digest: part.digest,
                });
                let taken = lane.as_ref().is_some_and(|lane| lane.send(part));
                sent.extend(whole.filter(|_| taken));
            });
            if let Ok(surveyed) = &result {
                lock(&hung).note(surveyed);
            }
            let _ = work.send(Work::Surveyed(Ended { over, sent, result }));
        });
        match started {
            Ok(()) => self.begun = Some(Instant::now()),
            Err(error) => tracing::warn!(%error, "the host could not be surveyed"),
        }
    }

    /// One has ended.
    pub fn end(&mut self, ended: Ended, uplink: Option<&mut Uplink>) {
        let took = self
            .begun
            .take()
            .map_or(Duration::ZERO, |begun| begun.elapsed());
        self.rest_until = Instant::now() + took * REST_FACTOR;
        match ended.result {
            Ok(surveyed) => {
                if let Some(why) = surveyed.not_kept {
                    tracing::warn!(why, "the survey could not be kept to compare the next with");
                }
                let whole_because = surveyed.whole_because.as_deref();
                let no_stamps = surveyed.no_stamps.as_deref();
                match surveyed.unchanged {
                    true => tracing::debug!(?took, "the host is as the last survey found it"),
                    false => tracing::debug!(
                        ?took,
                        sent = ended.sent.len(),
                        whole_because,
                        next_whole_because = no_stamps,
                        "the host was surveyed"
                    ),
                }
                self.last = Some(surveyed.digests);
            }
            Err(error) => tracing::warn!(%error, "the host could not be surveyed"),
        }
        let Some(uplink) = uplink else { return };
        if ended.over == Some(uplink.id) {
            uplink.note_sent(ended.sent);
        } else {
            // It came while the survey was on its way.
            self.compare(uplink);
        }
    }

    /// The control plane has said what it has: a survey is due if that is not what there was.
    pub fn compare(&mut self, uplink: &Uplink) {
        if self.last.as_ref().is_some_and(|last| uplink.lacks(last)) {
            self.due = Instant::now();
        }
    }

    /// Takes a section now, for somebody at the control plane who asked.
    pub fn answer(&self, lane: Lane, id: u64, section: SectionName) {
        let refuse = move |lane: &Lane, error: String| {
            lane.send(Answer {
                id,
                json: Vec::new(),
                last: true,
                error: Some(error),
            });
        };
        let asked = Arc::clone(&self.asked);
        let (root, hung) = (self.root.clone(), Arc::clone(&self.hung));
        let answered = spawn(THREAD, move || {
            if asked.fetch_add(1, Ordering::SeqCst) >= QUESTIONS_MAX {
                refuse(&lane, "it is being surveyed for others; try again".into());
            } else if crate::sections::Section::of_name(section.as_str()).is_none() {
                refuse(&lane, format!("its surveys have no section {section}"));
            } else {
                let wanted = Wanted {
                    root,
                    only: Some(section),
                    keep: false,
                    known: Some(Digests::new()),
                    avoid: lock(&hung).avoid(),
                };
                let taken = survey_process::take(&wanted, |part| {
                    lane.send(Answer {
                        id,
                        json: part.json,
                        last: part.last,
                        error: None,
                    });
                });
                match taken {
                    Ok(surveyed) => lock(&hung).note(&surveyed),
                    Err(error) => refuse(&lane, error.to_string()),
                }
            }
            asked.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = answered {
            tracing::warn!(%error, "a question could not be answered");
        }
    }
}

/// It is whole whatever a panicking holder did: it is only ever added to or pruned.
fn lock(hung: &Mutex<Hung>) -> MutexGuard<'_, Hung> {
    hung.lock().unwrap_or_else(PoisonError::into_inner)
}
