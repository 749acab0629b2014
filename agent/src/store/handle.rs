//! The store as the daemon holds it.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;

use rescind_protocol::evidence::{ChainHead, Event, SealedRecord};
use rescind_protocol::sign::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::chain::{self, Clock};
use super::checkpoint::{self, Checkpoint, KeptRecords};
use super::error::StoreError;
use super::index_upkeep::Upkeep;
use super::journal::Journal;
use super::state::StoreState;

/// The newest records are kept in memory up to this size, so that sending them reads no disk.
const TAIL_BYTES_MAX: usize = 256 * 1024;

/// The journal, what it adds up to, and the key that signs it. One process has it at a time, one
/// thread uses it.
pub struct Store {
    pub(super) journal_dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) state: StoreState,
    pub(super) key: SigningKey,
    pub(super) clock: Box<dyn Clock + Send>,
    /// Where the current checkpoint stands, and what only it still holds.
    pub(super) checkpoint: Checkpoint,
    pub(super) kept: Option<KeptRecords>,
    pub(super) segments_max: usize,
    pub(super) acknowledged: u64,
    pub(super) tail: Tail,
    pub(super) index: Upkeep,
    /// Held for as long as the store is open.
    pub(super) _lock: File,
}

impl Store {
    /// Appends a record; its index. It is in force in [`Self::state`] at once, but not durable
    /// before the next [`Self::sync`], and [`Self::records`] does not show it before that.
    ///
    /// `private` never leaves the host; the record carries its salted digest.
    pub fn append(
        &mut self,
        event: impl Borrow<Event>,
        private: Option<&[u8]>,
    ) -> Result<u64, StoreError> {
        let head = self.journal.head();
        let sealed = chain::seal(head, &self.key, &*self.clock, event.borrow(), private)?;
        self.journal.append(&sealed)?;
        self.state.apply(&sealed.body);
        self.tail
            .push(sealed.body.index, sealed.record, sealed.bytes.len());
        Ok(sealed.body.index)
    }

    /// Makes every record appended so far durable: one fdatasync, or none when there is nothing
    /// new.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.journal.sync()
    }

    /// [`Self::append`] and [`Self::sync`]: when this returns, the record survives a power cut.
    pub fn append_synced(
        &mut self,
        event: impl Borrow<Event>,
        private: Option<&[u8]>,
    ) -> Result<u64, StoreError> {
        let index = self.append(event, private)?;
        self.sync()?;
        Ok(index)
    }

    /// Durable records from `from` on, without a gap unless records were lost: as many as fit into
    /// `max_bytes`, at least one if there is one.
    ///
    /// Records that are not durable are held back: one that was sent and then lost in a power cut
    /// would be replaced by another under the same index, which is what a forged chain looks like.
    pub fn records(&self, from: u64, max_bytes: usize) -> Result<Vec<SealedRecord>, StoreError> {
        let durable = self.journal.durable().next;
        if from >= durable {
            return Ok(Vec::new());
        }
        if let Some(records) = self.tail.read(from, durable, max_bytes) {
            return Ok(records);
        }
        let oldest = self.oldest();
        if from < oldest
            && !self
                .checkpoint
                .lost
                .iter()
                .any(|(first, next)| (*first..*next).contains(&from))
        {
            return Err(StoreError::Dropped { oldest });
        }
        self.journal.records(from, max_bytes)
    }

    /// One record, wherever it is kept.
    pub fn record(&self, index: u64) -> Result<Option<SealedRecord>, StoreError> {
        Ok(self.kept(index)?.map(|(record, _)| record))
    }

    /// The private attachment of a record, checked against the digest that was signed.
    pub fn private(&self, index: u64) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        chain::private_of(index, self.kept(index)?)
    }

    fn kept(&self, index: u64) -> Result<Option<checkpoint::Kept>, StoreError> {
        if let Some(found) = self.journal.get(index)? {
            return Ok(Some(found));
        }
        match &self.kept {
            Some(kept) => kept.get(index),
            None => Ok(None),
        }
    }

    /// Where the durable chain stands: what may be told to others.
    pub const fn head(&self) -> ChainHead {
        self.journal.durable()
    }

    /// The oldest record that [`Self::records`] can return.
    pub fn oldest(&self) -> u64 {
        self.journal.segments().first().map_or(0, |s| s.begin.next)
    }

    /// What all records add up to.
    pub const fn state(&self) -> &StoreState {
        &self.state
    }

    /// The public half of the key that signs the chain.
    pub const fn evidence_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Whether the space kept back for a full disk is used up: time to report it.
    pub const fn is_short_of_space(&self) -> bool {
        self.journal.is_short_of_space()
    }

    /// The control plane safely keeps all evidence before `next`. Takes only what is more than
    /// before and less than what was durable here: an acknowledgement of what was never sent is
    /// none.
    pub fn acknowledge(&mut self, next: u64) {
        let next = next.min(self.journal.durable().next);
        self.acknowledged = self.acknowledged.max(next);
    }

    /// Evidence before this index is safely kept by the control plane.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Drops old records, if there are more segments than the limit and the oldest have been
    /// acknowledged; whether it did. Evidence that was not acknowledged is never dropped, nor are
    /// the records of orders that stand or are unfinished.
    pub fn compact_if_due(&mut self) -> Result<bool, StoreError> {
        let due = self.journal.segments().len() > self.segments_max;
        if !due || self.journal.droppable(self.acknowledged) == 0 {
            return Ok(false);
        }
        self.write_checkpoint()?;
        self.journal.drop_before(self.acknowledged)?;
        let oldest = self.oldest();
        self.checkpoint.lost.retain(|(_, next)| *next >= oldest);
        Ok(true)
    }

    /// Writes down what all records so far add up to.
    pub(super) fn write_checkpoint(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let checkpoint = Checkpoint {
            head: self.journal.head(),
            state: self.state.clone(),
            acknowledged: self.acknowledged,
            lost: self.checkpoint.lost.clone(),
        };
        checkpoint::write(&self.journal_dir, &checkpoint, |index| self.kept(index))?;
        let loaded = checkpoint::load(&self.journal_dir)?;
        // Records are dropped only for a checkpoint that was read back whole.
        let (read, kept) = loaded
            .checkpoint
            .filter(|(read, _)| read.head == checkpoint.head)
            .ok_or(StoreError::Unreadable {
                index: checkpoint.head.next,
                why: "the checkpoint just written cannot be read back",
            })?;
        self.checkpoint = Checkpoint {
            state: StoreState::default(),
            ..read
        };
        self.kept = Some(kept);
        Ok(())
    }
}

/// The newest records.
#[derive(Debug, Default)]
pub(super) struct Tail {
    records: VecDeque<(u64, SealedRecord, usize)>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, index: u64, record: SealedRecord, bytes: usize) {
        self.records.push_back((index, record, bytes));
        self.bytes += bytes;
        while self.bytes > TAIL_BYTES_MAX
            && let Some((_, _, bytes)) = self.records.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    /// `None` when the records begin before the tail does.
    fn read(&self, from: u64, to: u64, max_bytes: usize) -> Option<Vec<SealedRecord>> {
        let (first, _, _) = self.records.front()?;
        if from < *first {
            return None;
        }
        let skip = usize::try_from(from - first).ok()?;
        let mut room = max_bytes;
        let mut out = Vec::new();
        for (index, record, bytes) in self.records.iter().skip(skip) {
            if *index >= to || (*bytes > room && !out.is_empty()) {
                break;
            }
            room = room.saturating_sub(*bytes);
            out.push(record.clone());
        }
        Some(out)
    }
}
