#![forbid(unsafe_code)]
//! The index: what can be looked up without reading the journal, and a few things that are worth
//! remembering and no evidence. All of it can be made again. The only file that names sled.
//!
//! sled 0.34.7 lives in a process of its own, started for one piece of work and gone after it
//! (`index_process`), because of what it costs and does to the one it lives in, whatever its
//! settings (measured, release build):
//! - 21.5 MB of memory that is never given back: opening it makes 41 histograms of half a megabyte,
//!   also without its metrics; the agent as a whole is to stay below 8 MB;
//! - seven threads that wake up once a second each, for ever, also after the database was closed;
//! - it panics on some damage (sled issues 1166, 1387), which would end the whole agent.
//!
//! Its settings here: a cache of 1 MiB and segments of 64 KiB, as the index is small; no flushing
//! thread, as every process flushes once, at its end; `LowSpace`. Its `flush` does not reach
//! fsync, which does not matter for what can be made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::evidence::ChainHead;
use rescind_protocol::name::{AccountName, Digest, KeyFingerprint, OrderId};

use super::order_state::{OrderState, account_of, key_of};
use super::state::StoreState;

/// The most that may be remembered, names and values together, in bytes.
pub const REMEMBERED_BYTES_MAX: usize = 32 * 1024;

const CACHE_BYTES: u64 = 1024 * 1024;
const SEGMENT_BYTES: usize = 64 * 1024;

/// `F`: the [`Front`]. `A` account NUL order, `K` fingerprint order: orders in force.
const FRONT: &[u8] = b"F";
const ACCOUNT: u8 = b'A';
const KEY: u8 = b'K';

/// What the index says of itself, and what it remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Front {
    /// Where the journal stood when the index was brought up to it.
    #[n(0)]
    pub built_to: ChainHead,
    /// [`StoreState::standing_digest`] at that point.
    #[n(1)]
    pub standing: Digest,
    /// Evidence before this index had been acknowledged.
    #[n(2)]
    pub acknowledged: u64,
    /// What the agent wanted to have remembered: digests of its last survey and the like.
    #[n(3)]
    pub remembered: BTreeMap<String, Remembered>,
}

/// One remembered value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Remembered(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is damaged: to be set aside and made again.
    #[error("the index is damaged: {0}")]
    Bad(String),
    /// It cannot be used now; that says nothing about its contents.
    #[error("the index cannot be used: {0}")]
    Unavailable(String),
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match &error {
            // Its lock, another kernel, a full disk. Reading past the end of a file is damage.
            sled::Error::Io(io) if io.kind() != std::io::ErrorKind::UnexpectedEof => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Bad(error.to_string()),
        }
    }
}

/// The index, open. To be used in its own process only.
pub struct Index {
    db: sled::Db,
}

impl Index {
    /// Opens the index in `dir`, or makes an empty one.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace)
            .open()?;
        Ok(Self { db })
    }

    /// What it says of itself; `None` when it is empty.
    pub fn front(&self) -> Result<Option<Front>, IndexError> {
        let Some(bytes) = self.db.get(FRONT)? else {
            return Ok(None);
        };
        let front = cbor::from_slice(&bytes).map_err(|e| IndexError::Bad(e.to_string()))?;
        Ok(Some(front))
    }

    /// Brings it up to a state of the journal, all or nothing.
    pub fn bring_up_to(&self, state: &StoreState, front: &Front) -> Result<(), IndexError> {
        let wanted: BTreeSet<Vec<u8>> = state.standing().flat_map(keys_of).collect();
        let mut batch = sled::Batch::default();
        let mut present = BTreeSet::new();
        for prefix in [ACCOUNT, KEY] {
            for key in self.db.scan_prefix([prefix]).keys() {
                let key = key?.to_vec();
                match wanted.contains(&key) {
                    true => drop(present.insert(key)),
                    false => batch.remove(key),
                }
            }
        }
        for key in wanted.difference(&present) {
            batch.insert(key.as_slice(), &[]);
        }
        batch.insert(FRONT, cbor::to_vec(front));
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        Ok(())
    }

    /// The orders in force that name this account.
    pub fn standing_for_account(&self, name: &AccountName) -> Result<Vec<OrderId>, IndexError> {
        self.orders(account_key(name))
    }

    /// The orders in force that name this key.
    pub fn standing_for_key(&self, key: KeyFingerprint) -> Result<Vec<OrderId>, IndexError> {
        self.orders(key_key(key))
    }

    fn orders(&self, prefix: Vec<u8>) -> Result<Vec<OrderId>, IndexError> {
        let mut orders = Vec::new();
        for key in self.db.scan_prefix(&prefix).keys() {
            let key = key?;
            let id = key[prefix.len()..].try_into();
            let id = id.map_err(|_| IndexError::Bad("a key of the wrong length".into()))?;
            orders.push(OrderId::from_bytes(id));
        }
        Ok(orders)
    }
}

fn keys_of(order: &OrderState) -> Vec<Vec<u8>> {
    let action = &order.order().action;
    let account = account_of(action).map(account_key);
    let key = key_of(action).map(key_key);
    let with_order = |mut key: Vec<u8>| {
        key.extend_from_slice(order.order().id.as_bytes());
        key
    };
    account.into_iter().chain(key).map(with_order).collect()
}

fn account_key(name: &AccountName) -> Vec<u8> {
    // A name holds no NUL, so no account's key is the beginning of another's.
    [&[ACCOUNT], name.as_str().as_bytes(), &[0]].concat()
}

fn key_key(key: KeyFingerprint) -> Vec<u8> {
    [&[KEY], key.as_bytes().as_slice()].concat()
}
