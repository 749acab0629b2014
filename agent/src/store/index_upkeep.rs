//! Keeps the index in step with the journal, from the side of the daemon: when to bring it up to
//! date, when to throw it away. The daemon itself never asks it anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rescind_protocol::evidence::Event;

use super::error::StoreError;
use super::handle::Store;
use super::index::IndexError;
use super::index_process::{self, Work};
use crate::sys::durable;

/// How long the index may stay behind the journal: whoever asks it reads the rest there.
const UPDATE_EVERY_US: u64 = 5 * 60 * 1_000_000;

/// What the daemon knows of the index.
#[derive(Debug)]
pub(super) struct Upkeep {
    store_dir: PathBuf,
    program: PathBuf,
    phase: Phase,
    /// The record before which it was brought up to date; not known before the first time.
    built_to: Option<u64>,
    next_update_us: u64,
    /// Set aside once: if the new one is bad as well, the index stays off until the next start,
    /// because then the fault is not in the file.
    set_aside: bool,
    trouble: Option<String>,
}

#[derive(Debug)]
enum Phase {
    Resting,
    Updating(Work, u64),
    Off,
}

impl Upkeep {
    pub(super) fn new(store_dir: &Path, program: PathBuf) -> Self {
        Self {
            store_dir: store_dir.to_path_buf(),
            program,
            phase: Phase::Resting,
            built_to: None,
            next_update_us: 0,
            set_aside: false,
            trouble: None,
        }
    }
}

/// What the index is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexWork {
    /// Nothing; it need not be tended before something new is recorded.
    None,
    /// It is being brought up to date: worth another look soon.
    UnderWay,
}

impl Store {
    /// Lets the index catch up, if it is time to. To be called when nothing else waits: it starts
    /// a process every few minutes at most, only when something new was recorded, and never waits
    /// for it.
    ///
    /// The index is never needed: errors are about recording in the journal what became of it.
    pub fn tend_index(&mut self) -> Result<IndexWork, StoreError> {
        match &mut self.index.phase {
            Phase::Off => {}
            Phase::Resting => self.update_if_due()?,
            Phase::Updating(work, built_to) => {
                let built_to = *built_to;
                match work.is_done() {
                    Ok(false) => {}
                    Ok(true) => {
                        self.index.phase = Phase::Resting;
                        self.index.built_to = Some(built_to);
                        self.index.trouble = None;
                    }
                    Err(error) => {
                        self.index.phase = Phase::Resting;
                        self.index_failed(&error)?;
                    }
                }
            }
        }
        Ok(match self.index.phase {
            Phase::Updating(..) => IndexWork::UnderWay,
            Phase::Resting | Phase::Off => IndexWork::None,
        })
    }

    /// Why the index could not be used lately, if so.
    pub fn index_trouble(&self) -> Option<&str> {
        self.index.trouble.as_deref()
    }

    fn update_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.clock.boot_us();
        // Records that a power cut could still take away are not for the index.
        let head = self.head().next;
        if self.index.built_to == Some(head) || now < self.index.next_update_us {
            return Ok(());
        }
        self.index.next_update_us = now.saturating_add(UPDATE_EVERY_US);
        match index_process::start_update(&self.index.program, &self.index.store_dir, head) {
            Ok(work) => {
                self.index.phase = Phase::Updating(work, head);
                Ok(())
            }
            Err(error) => self.index_failed(&error),
        }
    }

    fn index_failed(&mut self, error: &IndexError) -> Result<(), StoreError> {
        let why = error.to_string();
        tracing::warn!(
            why,
            "the index could not be brought up to date; orders do not need it"
        );
        self.index.trouble = Some(why.clone());
        match error {
            IndexError::Unavailable(_) => Ok(()),
            IndexError::Bad(_) if self.index.set_aside => {
                self.index.phase = Phase::Off;
                Ok(())
            }
            IndexError::Bad(_) => {
                self.index.set_aside = true;
                set_aside(&self.index.store_dir)?;
                self.append_synced(Event::IndexRebuilt { why }, None)?;
                self.index.built_to = None;
                self.index.next_update_us = 0;
                self.update_if_due()
            }
        }
    }
}

/// Keeps the bad index of a store, as the only one, for whoever wants to know what happened to it.
fn set_aside(dir: &Path) -> Result<(), StoreError> {
    let (index, aside) = (dir.join("index"), dir.join("index.bad"));
    remove(&aside)?;
    match fs::rename(&index, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved
            .and_then(|()| durable::sync_dir(dir))
            .map_err(StoreError::io("set aside", &index)),
    }
}

/// Removes the index of a store: its places are no longer those of the journal.
pub(super) fn forget(dir: &Path) -> Result<(), StoreError> {
    remove(&dir.join("index"))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(StoreError::io("remove", path)),
    }
}
