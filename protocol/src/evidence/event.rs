//! What a record tells of: an order's life, and what befell the host and its store.

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::name::{Digest, HostId, OrderId};
use crate::outcome::Outcome;
use crate::path::AccessPath;
use crate::sign::{KeyId, VerifyingKey};

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
