#![forbid(unsafe_code)]
//! Everything a journal still says about some orders: those about an account, those about a key,
//! or one by its id.
//!
//! The index says where the records lie, the journal what they say: each is read at its place and
//! its signature checked, and what came after the index was brought up to date is read to the end.
//! Where the index cannot help, the whole journal is read. Both ways give the same answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use rescind_protocol::evidence::{Event, RecordBody, SealedRecord};
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use rescind_protocol::order::{Action, SignedOrder};
use rescind_protocol::sign::{PayloadType, VerifyingKey};

use super::checkpoint::{self, Checkpoint, KeptRecords};
use super::error::StoreError;
use super::evidence_key;
use super::follow::{self, NoWayOn};
use super::index_process::{self, Found};
use super::order_state::OrderState;
use super::reader::JournalReader;

/// How often a journal is read again when the daemon compacts it meanwhile.
const TRIES_MAX: u32 = 20;

/// Which orders are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Those that name this account.
    Account(AccountName),
    /// Those that name this key.
    Key(KeyFingerprint),
    /// The one with this id.
    Order(OrderId),
}

impl Question {
    fn is_about(&self, order: OrderId, action: Option<&Action>) -> bool {
        match self {
            Self::Account(name) => action.and_then(Action::account) == Some(name),
            Self::Key(key) => action.and_then(Action::key) == Some(*key),
            Self::Order(id) => *id == order,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "the account {name}"),
            Self::Key(key) => write!(f, "the key {key}"),
            Self::Order(id) => write!(f, "the order {id}"),
        }
    }
}

/// What a journal still says about some orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The orders themselves, by id. One whose acceptance was dropped long ago is not among them,
    /// although later records about it may be.
    pub orders: Vec<OrderState>,
    /// The records about them, oldest first.
    pub records: Vec<SealedRecord>,
    /// Records among these that no key of this chain has signed.
    pub unsigned: Vec<u64>,
    /// The key that signs the chain now.
    pub evidence_key: Option<VerifyingKey>,
}

/// Looks orders up, beside a daemon that may be writing. `program` is the index's.
pub fn look_up(dir: &Path, program: &Path, question: &Question) -> Result<History, StoreError> {
    match by_index(dir, program, question) {
        Ok(Some(history)) => Ok(history),
        // Whatever is wrong with the index: it is the daemon's to mend, and nothing depends on it.
        Ok(None) | Err(_) => by_reading(dir, question),
    }
}

/// [`look_up`] without the index: reads the whole journal.
pub fn by_reading(dir: &Path, question: &Question) -> Result<History, StoreError> {
    // The daemon may write a checkpoint, and drop what is in it, between our looks at the two.
    for _ in 1..TRIES_MAX {
        match try_reading(dir, question) {
            Ok(None) => {}
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Ok(Some(history)) => return Ok(history),
            Err(error) => return Err(error),
        }
    }
    try_reading(dir, question)?.ok_or(StoreError::Unreadable {
        index: 0,
        why: "the journal changes faster than it can be read",
    })
}

fn try_reading(dir: &Path, question: &Question) -> Result<Option<History>, StoreError> {
    let loaded = checkpoint::load(&dir.join("journal"))?;
    let (checkpoint, kept) = loaded.checkpoint.unzip();
    let checkpoint = checkpoint.unwrap_or_default();
    let journal = JournalReader::open(dir)?;
    if journal.checkpoint_head() != checkpoint.head {
        return Ok(None);
    }
    let mut gathering = Gathering::new(question, &checkpoint);
    gathering.take_kept(kept.as_ref(), journal.oldest())?;
    journal.each(&mut |record, body| gathering.take(record, &body))?;
    Ok(Some(gathering.finish(journal.keys())))
}

/// [`look_up`] with nothing but the index; `None` where it cannot be relied on.
pub fn by_index(
    dir: &Path,
    program: &Path,
    question: &Question,
) -> Result<Option<History>, NoWayOn> {
    let Ok(Some(Found {
        mut position,
        places,
    })) = index_process::find(program, dir, question)
    else {
        return Ok(None);
    };
    let Some(key) = evidence_key::load(dir)?.map(|key| key.verifying_key()) else {
        return Ok(None);
    };
    let journal = dir.join("journal");
    // Asked for before the checkpoint is: what is dropped after this, it cannot miss.
    let oldest = follow::oldest(&journal)?;
    let loaded = checkpoint::load(&journal)?;
    if !loaded.damaged.is_empty() {
        return Ok(None);
    }
    let (checkpoint, kept) = loaded.checkpoint.unzip();
    let checkpoint = checkpoint.unwrap_or_default();
    let mut gathering = Gathering::new(question, &checkpoint);
    gathering.take_kept(kept.as_ref(), oldest)?;
    for (index, place) in places.into_iter().filter(|(index, _)| *index >= oldest) {
        let Some(record) = follow::record_at(&journal, place, index)? else {
            return Ok(None);
        };
        let Ok(body) = record.body() else {
            return Ok(None);
        };
        gathering.take(record, &body);
    }
    follow::follow(&journal, &mut position, u64::MAX, |_, record, body| {
        gathering.take(record, &body);
        Ok::<_, NoWayOn>(())
    })?;
    let history = gathering.finish(&[key]);
    // What an earlier key signed is for the whole journal to tell: the keys are named in it.
    Ok(history.unsigned.is_empty().then_some(history))
}

/// The records and orders that a question is about, as they come.
struct Gathering<'q> {
    question: &'q Question,
    /// From here on records change what the checkpoint says of its orders.
    folded_to: u64,
    from_checkpoint: BTreeSet<OrderId>,
    wanted: BTreeSet<OrderId>,
    orders: BTreeMap<OrderId, OrderState>,
    records: BTreeMap<u64, SealedRecord>,
}

impl<'q> Gathering<'q> {
    fn new(question: &'q Question, checkpoint: &Checkpoint) -> Self {
        let known = checkpoint.state.orders();
        let orders: BTreeMap<_, _> = known
            .map(|known| (known.order().id, known))
            .filter(|(id, known)| question.is_about(*id, Some(&known.order().action)))
            .map(|(id, known)| (id, known.clone()))
            .collect();
        let mut wanted: BTreeSet<_> = orders.keys().copied().collect();
        if let Question::Order(id) = question {
            wanted.insert(*id);
        }
        Self {
            question,
            folded_to: checkpoint.head.next,
            from_checkpoint: orders.keys().copied().collect(),
            wanted,
            orders,
            records: BTreeMap::new(),
        }
    }

    /// Takes what only the checkpoint still holds of its orders.
    fn take_kept(&mut self, kept: Option<&KeptRecords>, oldest: u64) -> Result<(), StoreError> {
        let Some(kept) = kept else { return Ok(()) };
        for order in self.orders.values() {
            for index in order.records().filter(|index| *index < oldest) {
                if let Some((record, _)) = kept.get(index)? {
                    self.records.insert(index, record);
                }
            }
        }
        Ok(())
    }

    /// Takes a record of the segments, if it is about what is asked for.
    fn take(&mut self, record: SealedRecord, body: &RecordBody) {
        let Some(event) = body.event() else { return };
        let Some(id) = event.order() else { return };
        if let Event::OrderAccepted {
            signed,
            signers,
            via,
            ..
        } = &event
            && let Ok(signed) = SignedOrder::from_bytes(signed)
            && self.question.is_about(id, Some(&signed.order().action))
        {
            self.wanted.insert(id);
            self.orders
                .entry(id)
                .or_insert_with(|| OrderState::accepted(body, signed, signers.clone(), *via));
        }
        if !self.wanted.contains(&id) {
            return;
        }
        if (body.index >= self.folded_to || !self.from_checkpoint.contains(&id))
            && let Some(order) = self.orders.get_mut(&id)
        {
            order.apply(body.index, event);
        }
        self.records.insert(body.index, record);
    }

    fn finish(self, keys: &[VerifyingKey]) -> History {
        let is_signed = |record: &SealedRecord| {
            let signed = |key: &VerifyingKey| {
                key.verify(PayloadType::Record, &record.body, &record.signature)
            };
            keys.iter().any(|key| signed(key).is_ok())
        };
        let unsigned = self.records.iter().filter(|(_, record)| !is_signed(record));
        History {
            unsigned: unsigned.map(|(index, _)| *index).collect(),
            orders: self.orders.into_values().collect(),
            records: self.records.into_values().collect(),
            evidence_key: keys.first().copied(),
        }
    }
}
