//! Keeps the index in step with the journal, from the side of the daemon: when to read it, when to
//! bring it up to date, when to throw it away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_protocol::evidence::Event;

use super::error::StoreError;
use super::handle::Store;
use super::index::{Front, IndexError, REMEMBERED_BYTES_MAX, Remembered};
use super::index_process::{self, Work};
use crate::sys::durable;

/// How long the index may stay behind the journal: nothing depends on it meanwhile.
const SAVE_EVERY_US: u64 = 5 * 60 * 1_000_000;

/// What the daemon knows of the index.
#[derive(Debug)]
pub(super) struct Upkeep {
    store_dir: PathBuf,
    program: PathBuf,
    phase: Phase,
    front: Front,
    /// What the index says of itself now, as far as is known.
    saved: Front,
    next_save_us: u64,
    /// Set aside once: if the new one is bad as well, the index stays off until the next start,
    /// because then the fault is not in the file.
    set_aside: bool,
    trouble: Option<String>,
}

#[derive(Debug)]
enum Phase {
    NotRead,
    Ready,
    Saving(Work, Box<Front>),
    Off,
}

impl Upkeep {
    pub(super) fn new(store_dir: &Path, program: PathBuf) -> Self {
        Self {
            store_dir: store_dir.to_path_buf(),
            program,
            phase: Phase::NotRead,
            front: Front::default(),
            saved: Front::default(),
            next_save_us: 0,
            set_aside: false,
            trouble: None,
        }
    }
}

impl Store {
    /// Lets the index catch up, if it is time to. To be called when nothing else waits: it starts
    /// a process every few minutes at most, and only when something changed.
    ///
    /// The index is never needed: errors are about recording in the journal what became of it.
    pub fn tend_index(&mut self) -> Result<(), StoreError> {
        match &mut self.index.phase {
            Phase::NotRead => self.read_index(),
            Phase::Ready => self.save_if_due(),
            Phase::Saving(work, _) => {
                let ended = work.wait(Duration::ZERO);
                self.saving_ended(ended)
            }
            Phase::Off => Ok(()),
        }
    }

    /// Why the index could not be used lately, if so.
    pub fn index_trouble(&self) -> Option<&str> {
        self.index.trouble.as_deref()
    }

    /// Something remembered earlier, perhaps by an earlier process.
    pub fn remembered(&mut self, name: &str) -> Result<Option<&[u8]>, StoreError> {
        if matches!(self.index.phase, Phase::NotRead) {
            self.read_index()?;
        }
        Ok(self
            .index
            .front
            .remembered
            .get(name)
            .map(|value| value.0.as_slice()))
    }

    /// Remembers something that is worth keeping and can be made again: it survives a restart if
    /// the index has been brought up to date since, and may be gone at any time.
    pub fn remember(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if matches!(self.index.phase, Phase::NotRead) {
            self.read_index()?;
        }
        let others = self
            .index
            .front
            .remembered
            .iter()
            .filter(|(other, _)| *other != name);
        let size: usize = others.map(|(name, value)| name.len() + value.0.len()).sum();
        let bytes = size + name.len() + value.len();
        if bytes > REMEMBERED_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "what the index remembers",
                bytes,
                max: REMEMBERED_BYTES_MAX,
            });
        }
        let value = Remembered(value.to_vec());
        self.index.front.remembered.insert(name.to_owned(), value);
        Ok(())
    }

    /// Ends the use of the store: everything durable, the index up to date if that does not take
    /// long.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.sync()?;
        if matches!(self.index.phase, Phase::NotRead) {
            self.read_index()?;
        }
        self.index.next_save_us = 0;
        if matches!(self.index.phase, Phase::Ready) {
            self.save_if_due()?;
        }
        if let Phase::Saving(work, _) = &mut self.index.phase {
            let ended = work.wait(Duration::from_secs(2));
            self.saving_ended(ended)?;
        }
        Ok(())
    }

    fn read_index(&mut self) -> Result<(), StoreError> {
        self.index.phase = Phase::Ready;
        self.index.next_save_us = self.clock.boot_us().saturating_add(SAVE_EVERY_US);
        if !self.index_dir().exists() {
            self.index.next_save_us = 0;
            return Ok(());
        }
        let read = index_process::ask_load(&self.index.program, &self.index.store_dir);
        let checked = read.and_then(|front| match self.disagreement(&front)? {
            None => Ok(front),
            Some(why) => Err(IndexError::Bad(why)),
        });
        match checked {
            Ok(front) => {
                self.acknowledge(front.acknowledged);
                self.index.front.remembered.clone_from(&front.remembered);
                self.index.saved = front;
                Ok(())
            }
            Err(error) => self.index_failed(&error),
        }
    }

    /// In what the index contradicts the journal. Being behind is no contradiction.
    fn disagreement(&self, front: &Front) -> Result<Option<String>, IndexError> {
        let (built, head) = (front.built_to, self.head());
        if built.next > head.next {
            return Ok(Some(format!(
                "it was built to record {}, the journal ends before {}",
                built.next, head.next
            )));
        }
        if built == head {
            let same = front.standing == self.state().standing_digest();
            return Ok((!same).then(|| "it names other orders in force than the journal".into()));
        }
        let Some(last) = built.next.checked_sub(1) else {
            return Ok(None);
        };
        let record = self.record(last);
        let record = record.map_err(|error| IndexError::Unavailable(error.to_string()))?;
        let other = record.is_some_and(|record| record.digest() != built.prev);
        Ok(other.then(|| format!("record {last} is not the one it was built to")))
    }

    fn save_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.clock.boot_us();
        let front = Front {
            acknowledged: self.acknowledged,
            ..self.index.front.clone()
        };
        let saved = &self.index.saved;
        let same = saved.built_to == self.head()
            && saved.acknowledged == front.acknowledged
            && saved.remembered == front.remembered;
        if same || now < self.index.next_save_us {
            return Ok(());
        }
        self.index.next_save_us = now.saturating_add(SAVE_EVERY_US);
        // The index is not to know records that a power cut could still take away.
        self.sync()?;
        let front = Front {
            built_to: self.head(),
            standing: self.state().standing_digest(),
            ..front
        };
        match index_process::start_save(&self.index.program, &self.index.store_dir, &front) {
            Ok(work) => {
                self.index.phase = Phase::Saving(work, Box::new(front));
                Ok(())
            }
            Err(error) => self.index_failed(&error),
        }
    }

    fn saving_ended(
        &mut self,
        ended: Result<Option<Vec<u8>>, IndexError>,
    ) -> Result<(), StoreError> {
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                if let Phase::Saving(_, front) =
                    std::mem::replace(&mut self.index.phase, Phase::Ready)
                {
                    self.index.saved = *front;
                }
                self.index.trouble = None;
                Ok(())
            }
            Err(error) => {
                self.index.phase = Phase::Ready;
                self.index_failed(&error)
            }
        }
    }

    fn index_failed(&mut self, error: &IndexError) -> Result<(), StoreError> {
        let why = error.to_string();
        self.index.trouble = Some(why.clone());
        match error {
            IndexError::Unavailable(_) => Ok(()),
            IndexError::Bad(_) if self.index.set_aside => {
                self.index.phase = Phase::Off;
                Ok(())
            }
            IndexError::Bad(_) => {
                self.set_index_aside()?;
                self.append_synced(Event::IndexRebuilt { why }, None)?;
                self.index.saved = Front::default();
                self.index.next_save_us = 0;
                self.save_if_due()
            }
        }
    }

    /// Keeps the bad index, as the only one, for whoever wants to know what happened to it.
    fn set_index_aside(&mut self) -> Result<(), StoreError> {
        self.index.set_aside = true;
        let (index, dir) = (self.index_dir(), &self.index.store_dir);
        let mut number = 0;
        for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
            let entry = entry.map_err(StoreError::io("list", dir))?;
            let name = entry.file_name();
            let old = name
                .to_str()
                .and_then(|name| name.strip_prefix("index.bad-"));
            if let Some(old) = old {
                number = number.max(old.parse::<u64>().unwrap_or(0));
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        let aside = dir.join(format!("index.bad-{}", number + 1));
        match fs::rename(&index, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved
                .and_then(|()| durable::sync_dir(dir))
                .map_err(StoreError::io("set aside", &index)),
        }
    }

    fn index_dir(&self) -> PathBuf {
        self.index.store_dir.join("index")
    }
}

#[cfg(test)]
mod tests {
    use rescind_protocol::evidence::ChainHead;

    use super::*;

    #[test]
    fn what_is_remembered_always_fits_into_a_pipe() {
        let mut front = Front {
            built_to: ChainHead {
                next: u64::MAX,
                ..ChainHead::default()
            },
            acknowledged: u64::MAX,
            ..Front::default()
        };
        // Many short values have the largest overhead: a name and a value of a byte each.
        for i in 0..REMEMBERED_BYTES_MAX / 4 {
            front
                .remembered
                .insert(format!("{i:03x}"), Remembered(vec![0]));
        }
        assert!(rescind_protocol::cbor::to_vec(&front).len() < 60 * 1024);
    }
}
