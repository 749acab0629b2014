#![forbid(unsafe_code)]
//! The index: where in the journal the records about an order lie, and which orders are about an
//! account or a key. Everything in it can be made again. The only file that names sled; the last
//! survey lies in another such index, see `kept_survey`.
//!
//! sled 0.34.7 lives in a process of its own, started for one piece of work and gone after it
//! (`index_process`), because of what it costs and does to the one it lives in, whatever its
//! settings (measured, release build):
//! - 21.5 MB of memory that is never given back: opening it makes 41 histograms of half a megabyte,
//!   also without its metrics; the agent as a whole is to stay below 8 MB;
//! - seven threads that wake up once a second each, for ever, also after the database was closed;
//! - it panics on some damage (sled issues 1166, 1387), which would end the whole agent.
//!
//! Its `flush` does not reach fsync: after a power cut records can be missing, and nothing says so.
//! An index is therefore believed only in the boot in which it was made; after the next it is made
//! anew. Until then the page cache holds what was written, whoever is killed.
//!
//! Its settings here: a cache of 1 MiB and segments of 64 KiB, as the index is small; no flushing
//! thread, as every process flushes once, at its end; `LowSpace`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};

use super::follow::{Place, Position};
use super::lookup::Question;

const CACHE_BYTES: u64 = 1024 * 1024;
const SEGMENT_BYTES: usize = 64 * 1024;
/// Changes with what the keys and values below mean.
const FORMAT: u32 = 1;

/// `F`: the [`Front`]. `A` account NUL order, `K` fingerprint order: nothing. `O` order record
/// (big-endian): index and place of that record and of others about the order, taken in together.
/// Together because sled writes half a kilobyte for each key.
const FRONT: &[u8] = b"F";
const ACCOUNT: u8 = b'A';
const KEY: u8 = b'K';
const ORDER: u8 = b'O';

/// What the index says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Front {
    #[n(0)]
    format: u32,
    /// How far the journal is in it.
    #[n(1)]
    pub position: Position,
    /// The first record that it knows of: older ones had been dropped.
    #[n(2)]
    pub oldest: u64,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            format: FORMAT,
            position: Position::default(),
            oldest: 0,
        }
    }
}

/// A record to be found again.
#[derive(Debug)]
pub struct Entry {
    /// The order it is about.
    pub order: OrderId,
    /// Its index.
    pub record: u64,
    /// Where it lies.
    pub place: Place,
    /// The account that the order is about, when the record is its acceptance.
    pub account: Option<AccountName>,
    /// The key that the order is about, when the record is its acceptance.
    pub key: Option<KeyFingerprint>,
}

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

    /// What it says of itself; nothing known when it is empty.
    pub fn front(&self) -> Result<Front, IndexError> {
        let Some(bytes) = self.db.get(FRONT)? else {
            return Ok(Front::default());
        };
        let front: Front = cbor::from_slice(&bytes).map_err(|e| IndexError::Bad(e.to_string()))?;
        match front.format {
            FORMAT => Ok(front),
            other => Err(IndexError::Bad(format!("it has format {other}"))),
        }
    }

    /// Takes in some records and what the index then says of itself, all or nothing.
    pub fn take_in(&self, entries: &[Entry], front: &Front) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        let mut places: BTreeMap<OrderId, Vec<(u64, Place)>> = BTreeMap::new();
        for entry in entries {
            let of_order = places.entry(entry.order).or_default();
            of_order.push((entry.record, entry.place));
            let subjects = [
                entry.account.as_ref().map(account_key),
                entry.key.map(key_key),
            ];
            for mut key in subjects.into_iter().flatten() {
                key.extend_from_slice(entry.order.as_bytes());
                batch.insert(key, &[]);
            }
        }
        for (order, places) in places {
            let first = places.first().map_or(0, |(record, _)| *record);
            batch.insert(record_key(order, first), cbor::to_vec(&places));
        }
        batch.insert(FRONT, cbor::to_vec(front));
        self.db.apply_batch(batch)?;
        Ok(())
    }

    /// Forgets records before `oldest`, which the journal has dropped, though not each of them, and
    /// the orders of which nothing is left.
    pub fn forget_before(&self, oldest: u64, front: &Front) -> Result<(), IndexError> {
        let mut left = BTreeSet::new();
        let mut batch = sled::Batch::default();
        for entry in self.db.scan_prefix([ORDER]) {
            let (key, places) = entry?;
            match read_places(&places)?.last() {
                Some((record, _)) if *record >= oldest => {
                    let order = key.get(1..17).ok_or_else(wrong_length)?;
                    left.insert(order_at_end(order)?);
                }
                _ => batch.remove(key),
            }
        }
        for prefix in [ACCOUNT, KEY] {
            for key in self.db.scan_prefix([prefix]).keys() {
                let key = key?;
                if !left.contains(&order_at_end(&key)?) {
                    batch.remove(key);
                }
            }
        }
        batch.insert(FRONT, cbor::to_vec(front));
        self.db.apply_batch(batch)?;
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&self) -> Result<(), IndexError> {
        Ok(self.db.clear()?)
    }

    /// To be called before the process ends.
    pub fn flush(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        Ok(())
    }

    /// Index and place of the records about the orders asked for, oldest first.
    pub fn places(&self, question: &Question) -> Result<Vec<(u64, Place)>, IndexError> {
        let orders = match question {
            Question::Account(name) => self.orders(account_key(name))?,
            Question::Key(key) => self.orders(key_key(*key))?,
            Question::Order(id) => vec![*id],
        };
        let mut places = Vec::new();
        for order in orders {
            let prefix = [&[ORDER], order.as_bytes().as_slice()].concat();
            for value in self.db.scan_prefix(prefix).values() {
                places.extend(read_places(&value?)?);
            }
        }
        places.sort_unstable_by_key(|(record, _)| *record);
        Ok(places)
    }

    /// What stands under a key.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.db.get(key)?.map(|value| value.to_vec()))
    }

    /// The keys that begin so, in their order.
    pub fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, IndexError> {
        let keys = self.db.scan_prefix(prefix).keys();
        Ok(keys
            .map(|key| Ok::<_, sled::Error>(key?.to_vec()))
            .collect::<Result<_, _>>()?)
    }

    /// Puts values under keys and takes others away, all or nothing.
    pub fn change(&self, put: &[(Vec<u8>, Vec<u8>)], gone: &[Vec<u8>]) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in put {
            batch.insert(key.as_slice(), value.as_slice());
        }
        for key in gone {
            batch.remove(key.as_slice());
        }
        Ok(self.db.apply_batch(batch)?)
    }

    fn orders(&self, prefix: Vec<u8>) -> Result<Vec<OrderId>, IndexError> {
        let mut orders = Vec::new();
        for key in self.db.scan_prefix(&prefix).keys() {
            orders.push(order_at_end(&key?)?);
        }
        Ok(orders)
    }
}

fn account_key(name: &AccountName) -> Vec<u8> {
    // A name holds no NUL, so no account's key is the beginning of another's.
    [&[ACCOUNT], name.as_str().as_bytes(), &[0]].concat()
}

fn key_key(key: KeyFingerprint) -> Vec<u8> {
    [&[KEY], key.as_bytes().as_slice()].concat()
}

fn record_key(order: OrderId, record: u64) -> Vec<u8> {
    [&[ORDER], order.as_bytes().as_slice(), &record.to_be_bytes()].concat()
}

fn order_at_end(key: &[u8]) -> Result<OrderId, IndexError> {
    let (_, id) = key.split_last_chunk().ok_or_else(wrong_length)?;
    Ok(OrderId::from_bytes(*id))
}

fn read_places(bytes: &[u8]) -> Result<Vec<(u64, Place)>, IndexError> {
    cbor::from_slice(bytes).map_err(|error| IndexError::Bad(error.to_string()))
}

fn wrong_length() -> IndexError {
    IndexError::Bad("an entry of the wrong length".into())
}
