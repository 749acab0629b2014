//! The chained, signed record of what was ordered, changed and seen.
//!
//! Every record names the digest of the one before it and is signed by the host's evidence key,
//! so an edit, a deletion, a reordering or a fork shows to anybody who has the public key. The
//! digest is the leaf hash of RFC 6962 section 2.1, so that records can enter a Merkle log as
//! they are.

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::cbor::{self, Malformed};
use crate::name::{Digest, HostId, OrderId, UnixMillis};
use crate::outcome::Outcome;
use crate::path::AccessPath;
use crate::sign::{BadSignature, KeyId, PayloadType, Signature, SigningKey, VerifyingKey, sha256};

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

/// How an order reached the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Channel {
    /// Over the connection to the control plane.
    #[n(0)]
    Link,
    /// Carried in a file.
    #[n(1)]
    File,
}

/// Why an order was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum NotAccepted {
    /// Not an order this version can read.
    #[n(0)]
    Malformed,
    /// Signed by no key this host trusts, or forged.
    #[n(1)]
    Signature,
    /// For another host.
    #[n(2)]
    OtherHost,
    /// Its time is over, by this host's clock.
    #[n(3)]
    Expired,
    /// Its sequence number was used by another order.
    #[n(4)]
    Replayed,
    /// The store could not keep it.
    #[n(5)]
    Store,
}

/// A kind of change that carrying out an order makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum StepKind {
    /// Stop the account's processes (SIGSTOP), so that they cannot undo what follows.
    #[n(0)]
    FreezeProcesses,
    /// Prefix the password field with `!`.
    #[n(1)]
    LockPassword,
    /// Set the account's expiry (shadow(5) field 8) to 1.
    #[n(2)]
    ExpireAccount,
    /// Take key lines out of a file.
    #[n(3)]
    RemoveKeys,
    /// End the account's sessions and processes.
    #[n(4)]
    EndSessions,
    /// Put back what an order took.
    #[n(5)]
    Restore,
    /// Take an account out of the lists of a group.
    #[n(6)]
    LeaveGroup,
    /// Write a rule by which sudo(8) lets an account do nothing.
    #[n(7)]
    DenySudo,
}

/// One change to make.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Step {
    /// What kind of change.
    #[n(0)]
    pub kind: StepKind,
    /// To what: a file, or an account's processes.
    #[n(1)]
    pub target: String,
    /// In words, with the lines it touches; never a secret.
    #[n(2)]
    pub detail: String,
}

/// What one of the host's own deciders answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Confirmation {
    /// The command that was asked, as a person would type it.
    #[n(0)]
    pub tool: String,
    /// Whether its answer agrees with ours; `None` where it could not be asked.
    #[n(1)]
    pub agrees: Option<bool>,
    /// Its answer, in short.
    #[n(2)]
    pub answer: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The chain begins.
    #[n(0)]
    Genesis {
        /// The key that signs this chain.
        #[n(0)]
        evidence_key: VerifyingKey,
        /// The agent that began it.
        #[n(1)]
        agent_version: String,
    },
    /// The host joined a fleet.
    #[n(1)]
    Enrolled {
        /// Under this name.
        #[n(0)]
        host: HostId,
        /// The keys whose orders it obeys.
        #[n(1)]
        order_keys: Vec<VerifyingKey>,
    },
    /// The agent started.
    #[n(2)]
    Started {
        /// Its version.
        #[n(0)]
        agent_version: String,
        /// `/proc/sys/kernel/random/boot_id`.
        #[n(1)]
        boot_id: String,
        /// Orders that were begun and not ended; they are finished now.
        #[n(2)]
        unfinished: Vec<OrderId>,
    },
    /// An order was accepted; from here on it will be carried out.
    #[n(3)]
    OrderAccepted {
        /// The signed order, exactly as received.
        #[cbor(n(0), with = "minicbor::bytes")]
        #[serde(skip)]
        signed: Vec<u8>,
        /// Its id.
        #[n(1)]
        order: OrderId,
        /// The trusted keys that signed it.
        #[n(2)]
        signers: Vec<KeyId>,
        /// How it came.
        #[n(3)]
        via: Channel,
    },
    /// An order was not accepted.
    #[n(4)]
    OrderNotAccepted {
        /// The id it claimed, where it could be read.
        #[n(0)]
        order: Option<OrderId>,
        /// The digest of what came.
        #[n(1)]
        digest: Digest,
        /// Why.
        #[n(2)]
        why: NotAccepted,
        /// Why, in words.
        #[n(3)]
        detail: String,
        /// How it came.
        #[n(4)]
        via: Channel,
        /// Its sequence number, when the order was authentic and for this host: the number is
        /// used up. A forgery uses up nothing.
        #[n(5)]
        seq: Option<u64>,
    },
    /// What will be changed. The record's private data holds what is needed to undo it.
    #[n(5)]
    Planned {
        /// The order.
        #[n(0)]
        order: OrderId,
        /// The changes, in the order in which they are made.
        #[n(1)]
        steps: Vec<Step>,
    },
    /// A step begins.
    #[n(6)]
    StepBegun {
        /// The order.
        #[n(0)]
        order: OrderId,
        /// Which of its steps, from 0.
        #[n(1)]
        step: u32,
    },
    /// A step ended.
    #[n(7)]
    StepEnded {
        /// The order.
        #[n(0)]
        order: OrderId,
        /// Which of its steps, from 0.
        #[n(1)]
        step: u32,
        /// Whether it changed anything.
        #[n(2)]
        changed: bool,
        /// What went wrong, when it did.
        #[n(3)]
        error: Option<String>,
    },
    /// An order ended.
    #[n(8)]
    Concluded {
        /// How.
        #[n(0)]
        outcome: Outcome,
    },
    /// The host's own tools were asked whether they see the same.
    #[n(9)]
    Confirmed {
        /// The order.
        #[n(0)]
        order: OrderId,
        /// Their answers.
        #[n(1)]
        answers: Vec<Confirmation>,
    },
    /// Something put access back that a standing order forbids.
    #[n(10)]
    Drift {
        /// The standing order.
        #[n(0)]
        order: OrderId,
        /// What was open again.
        #[n(1)]
        paths: Vec<AccessPath>,
        /// Who did it, as far as it can be known; `unknown` otherwise.
        #[n(2)]
        actor: String,
        /// How often it has happened to this order, this time included.
        #[n(3)]
        times: u32,
    },
    /// Drift that keeps coming back; the access is kept closed, and somebody should look.
    #[n(11)]
    Contested {
        /// The standing order.
        #[n(0)]
        order: OrderId,
        /// The files that keep being changed.
        #[n(1)]
        files: Vec<String>,
        /// How often.
        #[n(2)]
        times: u32,
    },
    /// A standing order ended.
    #[n(12)]
    Released {
        /// The standing order.
        #[n(0)]
        order: OrderId,
        /// The order that released it.
        #[n(1)]
        by: OrderId,
    },
    /// Something that should be known is not.
    #[n(13)]
    Gap {
        /// What and why.
        #[n(0)]
        what: String,
    },
    /// The index was set aside and rebuilt from the journal.
    #[n(14)]
    IndexRebuilt {
        /// Why.
        #[n(0)]
        why: String,
    },
    /// What a crash or a power cut left of a write was cut off the end of the journal. It had not
    /// been synced, so nobody was told of it and nothing is missing; if it was a failing disk
    /// instead, whoever holds a later record of this chain can tell.
    #[n(15)]
    TailCut {
        /// How many bytes there were.
        #[n(0)]
        bytes: u64,
    },
}

impl Event {
    /// The order the event is about.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::OrderAccepted { order, .. }
            | Self::Planned { order, .. }
            | Self::StepBegun { order, .. }
            | Self::StepEnded { order, .. }
            | Self::Confirmed { order, .. }
            | Self::Drift { order, .. }
            | Self::Contested { order, .. }
            | Self::Released { order, .. } => Some(*order),
            Self::OrderNotAccepted { order, .. } => *order,
            Self::Concluded { outcome } => Some(outcome.order),
            Self::Genesis { .. }
            | Self::Enrolled { .. }
            | Self::Started { .. }
            | Self::Gap { .. }
            | Self::IndexRebuilt { .. }
            | Self::TailCut { .. } => None,
        }
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
