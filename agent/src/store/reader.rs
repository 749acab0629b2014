//! Reading a journal while the daemon writes it.

use std::io::ErrorKind;
use std::path::Path;

use rescind_protocol::evidence::{ChainHead, RecordBody, SealedRecord};
use rescind_protocol::sign::VerifyingKey;
use zeroize::Zeroizing;

use super::chain;
use super::checkpoint::Kept;
use super::error::StoreError;
use super::evidence_key;
use super::journal::{self, Damage};
use super::scan::{self, Scan};
use super::state::StoreState;

/// How often a journal is read again when the daemon drops a segment meanwhile.
const TRIES_MAX: u32 = 5;
/// Records are read in pieces of this size.
const EACH_BYTES: usize = 256 * 1024;

/// A journal as it stood when it was opened. It takes no lock and changes nothing; a record that
/// is just being written is not there yet.
#[derive(Debug)]
pub struct JournalReader {
    scan: Scan,
}

impl JournalReader {
    /// Reads the journal of the store in `dir`. Whoever may not look into it is told so.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let key = evidence_key::load(dir)?.map(|key| key.verifying_key());
        let journal_dir = dir.join("journal");
        if matches!(journal_dir.try_exists(), Ok(false)) {
            return Err(StoreError::NoJournal {
                path: dir.to_path_buf(),
            });
        }
        // The daemon may drop segments between our reading of the checkpoint and of them; then
        // something seems to be missing that a second look does not miss.
        for _ in 1..TRIES_MAX {
            match scan::scan(&journal_dir, key) {
                Ok(scan) if scan.lost.is_empty() => return Ok(Self { scan }),
                Ok(_) => {}
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            scan: scan::scan(&journal_dir, key)?,
        })
    }

    /// Where the chain stands. Its last records may not be durable yet.
    pub const fn head(&self) -> ChainHead {
        self.scan.head
    }

    /// What all records add up to.
    pub const fn state(&self) -> &StoreState {
        &self.scan.checkpoint.state
    }

    /// Where the chain stood at the checkpoint that this was read from.
    pub(super) const fn checkpoint_head(&self) -> ChainHead {
        self.scan.checkpoint.head
    }

    /// The keys that signed the chain: its present one first, then those it was begun with.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.scan.keys
    }

    /// Stretches of records that are lost: first, and the one after the last. An empty stretch is
    /// a record that does not continue the one before it.
    pub fn lost(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let known = self.scan.checkpoint.lost.iter();
        known.chain(&self.scan.lost).copied()
    }

    /// The oldest record that [`Self::records`] can return.
    pub fn oldest(&self) -> u64 {
        self.scan.segments.first().map_or(0, |s| s.begin.next)
    }

    /// Records from `from` on: as many as fit into `max_bytes`, at least one if there is one.
    pub fn records(&self, from: u64, max_bytes: usize) -> Result<Vec<SealedRecord>, StoreError> {
        let damage = Damage::PassOver(&self.scan.keys);
        let to = self.scan.head.next;
        journal::records(&self.scan.segments, damage, from, to, max_bytes)
    }

    /// Shows every record that [`Self::records`] can return, oldest first.
    pub(super) fn each(
        &self,
        each: &mut dyn FnMut(SealedRecord, RecordBody),
    ) -> Result<(), StoreError> {
        let mut next = self.oldest();
        loop {
            let before = next;
            for record in self.records(next, EACH_BYTES)? {
                if let Ok(body) = record.body() {
                    next = body.index + 1;
                    each(record, body);
                }
            }
            if next == before {
                return Ok(());
            }
        }
    }

    /// One record, wherever it is kept.
    pub fn record(&self, index: u64) -> Result<Option<SealedRecord>, StoreError> {
        Ok(self.kept(index)?.map(|(record, _)| record))
    }

    /// The private attachment of a record, checked against the digest that was signed.
    pub fn private(&self, index: u64) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        chain::private_of(index, self.kept(index)?)
    }

    fn kept(&self, index: u64) -> Result<Option<Kept>, StoreError> {
        let damage = Damage::PassOver(&self.scan.keys);
        if let Some(found) = journal::get(&self.scan.segments, damage, index)? {
            return Ok(Some(found));
        }
        match &self.scan.kept {
            Some(kept) => kept.get(index),
            None => Ok(None),
        }
    }
}
