//! An order's life: accept, plan, guard, apply, verify, confirm, hold, release.
//!
//! The [`Engine`] is what the daemon's worker, and a command line without a daemon, work with. It
//! is synchronous: nothing in it can be cancelled half-way.

/// Whether an order that arrived is one to carry out.
pub mod accept;
/// Who acts as whom without logging in, and who is root by other means.
mod acting;
/// What each action means on a host.
mod actions;
/// Who can become whom.
mod becoming;
/// How an order ends; where the proof is that `verified` needs.
pub mod conclude;
/// Asking the host's own deciders.
mod confirm;
/// Accounts that a directory serves.
mod directory;
/// From an accepted order to its outcome.
mod enforce;
/// The rules that keep an order from harming the organisation.
pub mod guards;
/// The credentials that lie on the host.
pub mod held;
/// What the local command line shows of the journal.
pub mod history;
/// Holding orders in force.
mod hold;
/// The host as the orders see it: read afresh, changed step by step.
mod host;
/// What matters to the orders in force.
mod interests;
/// What an order took, kept for its release.
pub mod kept;
/// Key files, each read once in a reading.
mod key_files;
/// What was opened over ssh with one key.
mod key_sessions;
/// What an account leaves behind.
mod leavings;
/// Whether an account is in a group.
mod membership;
/// What can be asked of a host without an agent.
mod onlooker;
/// What orders have taken out of files, place by place.
mod places;
/// From an order and what is on the host to the changes to make.
pub mod plan;
/// What an order would touch, for the guards.
mod reach;
/// One fresh reading of the host.
mod reading;
/// Giving back what an order took.
mod release;
/// What the local command line asks of the host and its orders.
mod report;
/// Whether a host is as its last survey found it.
pub mod resurvey;
/// Which sshds the host has.
mod sshds;
/// Taking sudo from an account.
mod sudo_denial;
/// The survey of a host, as sections.
pub mod survey;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use rescind_protocol::PROTOCOL_VERSION;
use rescind_protocol::evidence::{ChainHead, Channel, Event, NotAccepted, SealedRecord};
use rescind_protocol::message::{Disposition, Hello, OrderAck};
use rescind_protocol::name::{AccountName, Digest, OrderId, UnixMillis};
use rescind_protocol::order::SignedOrder;

use crate::config::{Config, Trust, layout, os_name};
use crate::orders::accept::{Judgement, Rejection, Seen, Trusted};
use crate::orders::hold::WatchList;
use crate::orders::interests::Interests;
use crate::orders::places::Places;
use crate::store::{Clock, HostClock, IndexWork, Options, Sight, Store, StoreError};

pub use crate::orders::confirm::Question;
pub use crate::orders::hold::Look;
pub use crate::orders::host::Host;

/// The children that work in homes are let go after so long without work.
const CHILD_IDLE: Duration = Duration::from_secs(10);

/// Why the engine could not do something. What was accepted stays accepted.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A settings file is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The key under which secrets have fingerprints.
    #[error(transparent)]
    FingerprintKey(#[from] crate::config::FingerprintKeyError),
    /// What the host obeys could not be read.
    #[error(transparent)]
    Trust(#[from] crate::config::TrustError),
    /// What an order took could not be read back from the journal.
    #[error("record {record} does not hold what the order took: {source}")]
    Kept {
        /// The record.
        record: u64,
        /// What is wrong with it.
        source: rescind_protocol::cbor::Malformed,
    },
    /// A record of the journal is not one.
    #[error("the evidence cannot be read: {0}")]
    Evidence(#[source] rescind_protocol::cbor::Malformed),
    /// An answer could not be written as JSON.
    #[error("the answer could not be written: {0}")]
    Json(#[source] serde_json::Error),
    /// The host's own files could not be read.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// Orders need to know whom the host obeys.
    #[error("this host is not enrolled; run `rescind-agent enrol`")]
    NotEnrolled,
    /// The host does not know the order.
    #[error("there is no order {0} on this host")]
    Unknown(OrderId),
    /// The host has no such account.
    #[error("there is no account {0} in this host's /etc/passwd")]
    NoAccount(AccountName),
}

/// Everything the root half knows and does.
pub struct Engine {
    host: Host,
    store: Store,
    config: Config,
    trust: Option<Trust>,
    clock: HostClock,
    accepted: VecDeque<OrderId>,
    to_confirm: VecDeque<OrderId>,
    /// What matters to the orders in force.
    interests: Interests,
    watch_list: WatchList,
    /// What orders in force took; read from the journal when it is needed first.
    places: Option<Places>,
}

/// What became of an order on arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its id, where it could be read.
    pub order: Option<OrderId>,
    /// The digest of what came.
    pub digest: Digest,
    /// What became of it.
    pub disposition: Disposition,
    /// Why, when it was not accepted.
    pub detail: String,
    /// The host's cursor now.
    pub order_cursor: u64,
}

impl From<Receipt> for OrderAck {
    fn from(receipt: Receipt) -> Self {
        Self {
            order: receipt.order,
            digest: receipt.digest,
            disposition: receipt.disposition,
            order_cursor: receipt.order_cursor,
        }
    }
}

impl Engine {
    /// Opens the store and the settings of the host below `root` (`/`, or a directory that is not
    /// booted).
    pub fn open(root: &Path) -> Result<Self, EngineError> {
        let config = Config::load(root)?;
        let trust = Trust::load(root)?;
        let host = Host::below(root)?;
        let clock = HostClock;
        let version = env!("CARGO_PKG_VERSION");
        let options = Options {
            enrolled: trust.is_some(),
            ..Options::default()
        };
        let (store, recovery) = Store::open(&layout::agent_dir(root), clock, version, options)?;
        for what in &recovery.gaps {
            tracing::warn!(what, recorded = !recovery.unrecorded, "evidence is missing");
        }
        if let Some(cut) = recovery.cut {
            tracing::info!(
                bytes = cut.bytes,
                record = cut.index,
                "cut off what a crash left of a write; nobody had been told of it"
            );
        }
        let mut engine = Self {
            host,
            store,
            config,
            trust,
            clock,
            accepted: VecDeque::new(),
            to_confirm: VecDeque::new(),
            interests: Interests::default(),
            watch_list: WatchList::Unknown,
            places: None,
        };
        engine.note_enrolment()?;
        Ok(engine)
    }

    /// Records the start and takes up again what was begun; called once, by the daemon.
    pub fn finish_what_was_begun(&mut self) -> Result<(), EngineError> {
        match self.host.clean_leftovers() {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "took away what a killed agent left in /etc"),
            // They are in nobody's way: not to start would be worse.
            Err(error) => tracing::warn!(%error, "what a killed agent left in /etc may stay"),
        }
        let unfinished: Vec<OrderId> = self
            .store
            .state()
            .unfinished()
            .iter()
            .map(|order| order.order().id)
            .collect();
        self.store.append_synced(
            &Event::Started {
                agent_version: env!("CARGO_PKG_VERSION").into(),
                boot_id: self.host.boot_id(),
                unfinished: unfinished.clone(),
            },
            None,
        )?;
        self.accepted.extend(unfinished);
        Ok(())
    }

    /// Reads again whom the host obeys, so that an enrolment takes effect without a restart. To be
    /// called when it matters: a link has connected, or an administrator asks.
    ///
    /// What cannot be read changes nothing: the host goes on as it was.
    pub fn renew_trust(&mut self) {
        let trust = match Trust::load(self.host.root().path()) {
            Ok(trust) if trust == self.trust => return,
            Ok(trust) => trust,
            Err(error) => {
                tracing::error!(%error, "whom this host obeys stays as it was");
                return;
            }
        };
        match &trust {
            Some(trust) => tracing::info!(host = %trust.host_id, "enrolled"),
            None => tracing::warn!("not enrolled any more: orders in force are still held"),
        }
        self.trust = trust;
        if let Err(error) = self.note_enrolment() {
            tracing::error!(%error, "the enrolment could not be recorded");
        }
    }

    /// Records whom the host obeys, when that is not what the chain last said.
    fn note_enrolment(&mut self) -> Result<(), EngineError> {
        let Some(trust) = &self.trust else {
            return Ok(());
        };
        let state = self.store.state();
        if !state.is_enrolled_as(trust.host_id, &trust.order_keys) {
            self.store.append_synced(
                &Event::Enrolled {
                    host: trust.host_id,
                    order_keys: trust.order_keys.clone(),
                },
                None,
            )?;
        }
        Ok(())
    }

    /// Judges an order and, if it is good and new, has it on disk before this returns.
    pub fn receive(&mut self, bytes: &[u8], via: Channel) -> Receipt {
        let digest = Digest::of(bytes);
        let (order, disposition, detail) = match self.judge_and_record(bytes, digest, via) {
            Ok(judged) => judged,
            Err(error) => {
                // Not acknowledged as accepted, so the control plane will send it again.
                tracing::error!(%error, "an order could not be recorded");
                let why = Disposition::NotAccepted(NotAccepted::Store);
                (None, why, error.to_string())
            }
        };
        Receipt {
            order,
            digest,
            disposition,
            detail,
            order_cursor: self.store.state().order_cursor(),
        }
    }

    fn judge_and_record(
        &mut self,
        bytes: &[u8],
        digest: Digest,
        via: Channel,
    ) -> Result<(Option<OrderId>, Disposition, String), EngineError> {
        let trust = self.trust.as_ref().ok_or(EngineError::NotEnrolled)?;
        let trusted = Trusted {
            host: trust.host_id,
            order_keys: &trust.order_keys,
        };
        let state = self.store.state();
        let judgement = accept::judge(bytes, self.clock.wall(), trusted, |order| {
            match state.look(order) {
                Sight::New => Seen::Never,
                Sight::Duplicate => Seen::Same,
                Sight::Replayed | Sight::NoRoom => Seen::Conflicting,
            }
        });
        match judgement {
            Judgement::Accept { signed, signers } => {
                let order = signed.order().id;
                self.store.append_synced(
                    &Event::OrderAccepted {
                        signed: bytes.to_vec(),
                        order,
                        signers,
                        via,
                    },
                    None,
                )?;
                self.accepted.push_back(order);
                Ok((Some(order), Disposition::Accepted, String::new()))
            }
            Judgement::Duplicate(order) => Ok((Some(order), Disposition::Duplicate, String::new())),
            Judgement::Reject(Rejection {
                order,
                seq,
                why,
                detail,
            }) => {
                tracing::warn!(?order, ?why, detail, "order not accepted");
                self.store.append_synced(
                    &Event::OrderNotAccepted {
                        order,
                        digest,
                        why,
                        detail: detail.clone(),
                        via,
                        seq,
                    },
                    None,
                )?;
                Ok((order, Disposition::NotAccepted(why), detail))
            }
        }
    }

    /// The next accepted order that waits to be carried out.
    pub fn next_accepted(&mut self) -> Option<OrderId> {
        self.accepted.pop_front()
    }

    /// What the host says of itself when it connects; `None` until it is enrolled.
    pub fn hello(&self) -> Option<Hello> {
        let trust = self.trust.as_ref()?;
        let state = self.store.state();
        Some(Hello {
            protocol: PROTOCOL_VERSION,
            agent_version: env!("CARGO_PKG_VERSION").into(),
            host: trust.host_id,
            chain: self.store.head(),
            order_cursor: state.order_cursor(),
            standing: state.standing_digest(),
            boot_id: self.host.boot_id(),
            os: os_name(self.host.root().path()),
            now: self.clock.wall(),
        })
    }

    /// The ids of the orders in force.
    pub fn standing_ids(&self) -> Vec<OrderId> {
        let standing = self.store.state().standing();
        standing.map(|order| order.order().id).collect()
    }

    /// Evidence from an index on, at most so many bytes of it.
    pub fn evidence(&self, from: u64, bytes: usize) -> Result<Vec<SealedRecord>, StoreError> {
        self.store.records(from, bytes)
    }

    /// The control plane has the chain up to this head; that it has *this* chain is for it to say.
    pub fn acknowledge_evidence(&mut self, head: ChainHead) {
        self.acknowledge_up_to(head.next);
    }

    /// The control plane has kept everything before this index.
    pub fn acknowledge_up_to(&mut self, next: u64) {
        self.store.acknowledge(next.min(self.store.head().next));
    }

    /// What may wait until nothing else does: old segments compacted, the index brought up to
    /// date, an idle child let go.
    pub fn tidy(&mut self) -> Result<IndexWork, EngineError> {
        self.host.let_children_go(CHILD_IDLE);
        self.store.compact_if_due()?;
        Ok(self.store.tend_index()?)
    }

    /// Lets the children go that work in homes: nobody is about to need them.
    pub fn let_children_go(&mut self) {
        self.host.let_children_go(Duration::ZERO);
    }

    /// Microseconds since an order was accepted, by the clock that does not jump.
    fn since_accepted(&self, order: OrderId) -> u64 {
        let accepted = self.store.state().order(order);
        let begun = accepted.map_or(0, |order| order.accepted_boot_us);
        self.clock.boot_us().saturating_sub(begun)
    }

    fn signed(&self, order: OrderId) -> Result<SignedOrder, EngineError> {
        let known = self.store.state().order(order);
        known
            .map(|order| order.signed.clone())
            .ok_or(EngineError::Unknown(order))
    }

    fn wall(&self) -> UnixMillis {
        self.clock.wall()
    }
}
