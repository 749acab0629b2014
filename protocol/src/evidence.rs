//! The chained, signed record of what was ordered, changed and seen.
//!
//! Every record names the digest of the one before it and is signed by the host's evidence key,
//! so an edit, a deletion, a reordering or a fork shows to anybody who has the public key. The
//! digest is the leaf hash of RFC 6962 section 2.1, so that records can enter a Merkle log as
//! they are.

/// What a record tells of.
mod event;

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::cbor::{self, Malformed};
use crate::name::{Digest, UnixMillis};
use crate::sign::{BadSignature, PayloadType, Signature, SigningKey, VerifyingKey, sha256};

pub use event::{Channel, Confirmation, Event, NotAccepted, Step, StepKind};

/// The largest sealed record, in bytes.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// What a record says, as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct RecordBody {
    /// Its place in the chain, from 0.
    #[n(0)]
    pub index: u64,
    /// The digest of the record before it; all zero for the first.
    #[n(1)]
    pub prev: Digest,
    /// The host's wall clock when it was written.
    #[n(2)]
    pub at: UnixMillis,
    /// Microseconds since the host booted, time asleep included (`CLOCK_BOOTTIME`).
    #[n(3)]
    pub boot_us: u64,
    /// The digest of data that belongs to the record and never leaves the host.
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<Digest>,
    /// The CBOR of an [`Event`], kept raw: a chain with events of a later version still verifies.
    #[cbor(n(5), with = "minicbor::bytes")]
    #[serde(skip)]
    pub event: Vec<u8>,
}

impl RecordBody {
    /// The event, or `None` when it is of a kind this version does not know.
    pub fn event(&self) -> Option<Event> {
        cbor::from_slice(&self.event).ok()
    }
}

/// A record as it is kept and sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SealedRecord {
    /// The CBOR of a [`RecordBody`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// By the host's evidence key.
    #[n(1)]
    pub signature: Signature,
}

impl SealedRecord {
    /// Signs a record.
    pub fn seal(body: &RecordBody, key: &SigningKey) -> Self {
        let body = cbor::to_vec(body);
        let signature = key.sign(PayloadType::Record, &body);
        Self { body, signature }
    }

    /// What the next record names as its predecessor: SHA-256 over a zero byte and the body.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(sha256(&[&[0], &self.body]))
    }

    /// Reads the body. Neither the signature nor the chain is checked: [`ChainVerifier`] does.
    pub fn body(&self) -> Result<RecordBody, Malformed> {
        cbor::from_slice(&self.body)
    }
}

/// Where a chain stands: what the next record must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Default)]
#[cbor(map)]
pub struct ChainHead {
    /// The index of the next record; equally, how many there are.
    #[n(0)]
    pub next: u64,
    /// The digest of the last record; all zero when there is none.
    #[n(1)]
    pub prev: Digest,
}

/// Why a record does not continue a chain.
#[derive(Debug, thiserror::Error)]
pub enum BrokenChain {
    /// The record cannot be read.
    #[error("record {at}: {source}")]
    Malformed {
        /// The index that was expected.
        at: u64,
        /// What is wrong.
        source: Malformed,
    },
    /// A record is missing, repeated or out of order.
    #[error("expected record {want}, found {found}")]
    Index {
        /// The index that was expected.
        want: u64,
        /// The index that came.
        found: u64,
    },
    /// The record continues another chain: its predecessor was changed, or the chain was forked.
    #[error("record {at} does not continue the record before it")]
    Link {
        /// Its index.
        at: u64,
    },
    /// The record was not signed by the host's evidence key.
    #[error("record {at}: {source}")]
    Signature {
        /// Its index.
        at: u64,
        /// What is wrong.
        source: BadSignature,
    },
}

/// Checks records one after the other.
#[derive(Debug, Clone)]
pub struct ChainVerifier {
    key: VerifyingKey,
    head: ChainHead,
}

impl ChainVerifier {
    /// Begins after `head`; a whole chain begins at `ChainHead::default()`.
    pub const fn new(key: VerifyingKey, head: ChainHead) -> Self {
        Self { key, head }
    }

    /// Where the chain stands after the records checked so far.
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    /// Checks the next record; on an error the head stays where it was.
    pub fn check(&mut self, record: &SealedRecord) -> Result<RecordBody, BrokenChain> {
        let at = self.head.next;
        self.key
            .verify(PayloadType::Record, &record.body, &record.signature)
            .map_err(|source| BrokenChain::Signature { at, source })?;
        let body = record
            .body()
            .map_err(|source| BrokenChain::Malformed { at, source })?;
        if body.index != at {
            return Err(BrokenChain::Index {
                want: at,
                found: body.index,
            });
        }
        if body.prev != self.head.prev {
            return Err(BrokenChain::Link { at });
        }
        self.head = ChainHead {
            next: at + 1,
            prev: record.digest(),
        };
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(key: &SigningKey, events: usize) -> Vec<SealedRecord> {
        let mut head = ChainHead::default();
        (0..events)
            .map(|i| {
                let body = RecordBody {
                    index: head.next,
                    prev: head.prev,
                    at: UnixMillis(1000 + i as u64),
                    boot_us: i as u64,
                    private: None,
                    event: cbor::to_vec(&Event::Gap {
                        what: format!("event {i}"),
                    }),
                };
                let record = SealedRecord::seal(&body, key);
                head = ChainHead {
                    next: head.next + 1,
                    prev: record.digest(),
                };
                record
            })
            .collect()
    }

    fn verify(key: &SigningKey, records: &[SealedRecord]) -> Result<u64, BrokenChain> {
        let mut verifier = ChainVerifier::new(key.verifying_key(), ChainHead::default());
        for record in records {
            verifier.check(record)?;
        }
        Ok(verifier.head().next)
    }

    #[test]
    fn every_tampering_with_a_chain_shows() {
        let (key, _) = SigningKey::generate();
        let (thief, _) = SigningKey::generate();
        let good = chain(&key, 5);
        assert_eq!(verify(&key, &good).unwrap(), 5);

        let mut missing = good.clone();
        missing.remove(2);
        assert!(matches!(
            verify(&key, &missing),
            Err(BrokenChain::Index { want: 2, found: 3 })
        ));

        let mut swapped = good.clone();
        swapped.swap(1, 2);
        assert!(matches!(
            verify(&key, &swapped),
            Err(BrokenChain::Index { .. })
        ));

        let mut edited = good.clone();
        *edited[3].body.last_mut().unwrap() ^= 1;
        assert!(matches!(
            verify(&key, &edited),
            Err(BrokenChain::Signature { at: 3, .. })
        ));

        let mut forked = good.clone();
        let mut body = good[3].body().unwrap();
        body.at = UnixMillis(9);
        forked[3] = SealedRecord::seal(&body, &key);
        assert!(matches!(
            verify(&key, &forked),
            Err(BrokenChain::Link { at: 4 })
        ));
        forked[3] = SealedRecord::seal(&body, &thief);
        assert!(matches!(
            verify(&key, &forked),
            Err(BrokenChain::Signature { at: 3, .. })
        ));
    }

    #[test]
    fn an_event_of_a_later_version_leaves_the_chain_readable() {
        let body = RecordBody {
            index: 0,
            prev: Digest::default(),
            at: UnixMillis(0),
            boot_us: 0,
            private: None,
            event: vec![0x82, 0x18, 0x63, 0xa0], // variant 99
        };
        assert_eq!(body.event(), None);
    }
}
