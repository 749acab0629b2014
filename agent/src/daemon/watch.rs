//! File watches: a hint that something changed, never the judge of it.
//!
//! Directories are watched, not files: a file replaced by rename is a new inode that a watch on
//! the old one never hears of. The kernel's queue overflows silently for the watcher of a path,
//! and says only that it did: then everything is looked at again. Names, network file systems and
//! mounts escape watches altogether; the periodic survey is for them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::daemon::work::Work;

/// Directories watched at once; beyond it the survey has to do.
const DIRECTORIES_MAX: usize = 8192;

/// Changed paths remembered at once; beyond it everything is looked at.
const PATHS_MAX: usize = 1024;

/// What the watches have seen and nobody has looked at yet.
#[derive(Debug, Default)]
pub struct Hints {
    /// Paths that changed.
    pub paths: BTreeSet<PathBuf>,
    /// Events were lost, by the kernel or by us: everything may have changed.
    pub lost: bool,
}

impl Hints {
    fn add(&mut self, paths: Vec<PathBuf>) {
        self.paths.extend(paths);
        if self.paths.len() > PATHS_MAX {
            self.paths.clear();
            self.lost = true;
        }
    }
}

/// The directories watched now.
pub struct Watch {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    hints: Arc<Mutex<Hints>>,
}

impl Watch {
    /// Starts with nothing watched; the worker is woken when there is a hint to take.
    pub fn start(work: SyncSender<Work>) -> notify::Result<Self> {
        let hints = Arc::new(Mutex::new(Hints::default()));
        let shared = Arc::clone(&hints);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let mut hints = lock(&shared);
            match event {
                // Asked before the paths are looked at: a lost event has none.
                Ok(event) if event.need_rescan() => hints.lost = true,
                Ok(event) if tells_of_change(&event.kind) => hints.add(event.paths),
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "watching files failed; looking at everything");
                    hints.lost = true;
                }
            }
            drop(hints);
            // A full queue is no loss: the worker takes the hints after every piece of work.
            let _ = work.try_send(Work::Changed);
        })?;
        Ok(Self {
            watcher,
            watched: BTreeSet::new(),
            hints,
        })
    }

    /// Takes what was seen since the last call.
    pub fn take(&self) -> Hints {
        std::mem::take(&mut *lock(&self.hints))
    }

    /// Watches exactly these directories from now on; those that are not there are passed over.
    /// Returns those that were not watched before: what happened in them so far went unseen.
    #[must_use]
    pub fn set(&mut self, wanted: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let wanted: BTreeSet<PathBuf> = wanted.into_iter().take(DIRECTORIES_MAX).collect();
        for gone in self.watched.difference(&wanted) {
            let _ = self.watcher.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&wanted).cloned().collect();
        let mut begun = BTreeSet::new();
        for new in wanted.difference(&self.watched) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    begun.insert(new.clone());
                }
                Err(error) => {
                    tracing::debug!(directory = %new.display(), %error, "not watched");
                }
            }
        }
        watched.extend(begun.iter().cloned());
        self.watched = watched;
        begun
    }
}

/// The hints stay whole whatever a panicking holder did: they are only ever added to or taken.
fn lock(hints: &Mutex<Hints>) -> MutexGuard<'_, Hints> {
    hints.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an event can mean that access was put back: contents, names or modes changed.
fn tells_of_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(_))
}
