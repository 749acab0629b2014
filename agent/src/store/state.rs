#![forbid(unsafe_code)]
//! What the records add up to: a pure fold, the same from the first record or from a checkpoint.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use rescind_protocol::evidence::{Channel, Event, RecordBody};
use rescind_protocol::message::standing_digest;
use rescind_protocol::name::{AccountName, Digest, HostId, KeyFingerprint, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::path::PathState;
use rescind_protocol::sign::KeyId;

use super::seen::{Seen, Sight};

/// Orders that ended and do not stand are kept for the last so many; older ones only as numbers.
const ENDED_ORDERS_KEPT: usize = 64;
/// An outcome is remembered with its first so many paths that are not closed; the whole of it
/// stands in its record.
const OUTCOME_PATHS_KEPT: usize = 16;
/// Plans of one order that are remembered: the first half, which knows what was there before
/// anything was changed, and the latest. Only an order that is fought over gets so many.
const PLANS_KEPT: usize = 512;
/// The most steps of one plan whose progress is followed.
const STEPS_MAX: usize = 4096;

/// How far a step of a plan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum StepState {
    /// Not begun.
    #[n(0)]
    Planned,
    /// Begun, not ended: perhaps done, perhaps not, perhaps half.
    #[n(1)]
    Begun,
    /// Done.
    #[n(2)]
    Done,
    /// Tried; it went wrong.
    #[n(3)]
    Failed,
}

/// One accepted order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OrderState {
    /// The order, exactly as received.
    #[cbor(n(0), with = "as_bytes")]
    pub signed: SignedOrder,
    /// The trusted keys that had signed it.
    #[n(1)]
    pub signers: Vec<KeyId>,
    /// How it came.
    #[n(2)]
    pub via: Channel,
    /// The record of its acceptance.
    #[n(3)]
    pub accepted: u64,
    /// When that was, by the host's clock.
    #[n(4)]
    pub accepted_at: UnixMillis,
    /// Microseconds since boot at its acceptance: with the boot id, where durations begin.
    #[n(5)]
    pub accepted_boot_us: u64,
    /// The records of its plans. The first knows what was there before anything was changed.
    #[n(6)]
    pub planned: Vec<u64>,
    /// The steps of the latest plan, until the order is concluded.
    #[n(7)]
    pub steps: Vec<StepState>,
    /// How it ended; of its paths, the first few that are not closed.
    #[n(8)]
    pub outcome: Option<Outcome>,
    /// The record of its (latest) end.
    #[n(9)]
    pub concluded: Option<u64>,
    /// The order that released it.
    #[n(10)]
    pub released_by: Option<OrderId>,
    /// How often something put back what it closed.
    #[n(11)]
    pub drift: u32,
    /// Whether that was reported as a contest.
    #[n(12)]
    pub contested: bool,
    /// Whether it first ended as refused or impossible. What ends so later, when it already
    /// holds something closed, stays in force.
    #[n(13)]
    pub void: bool,
}

impl OrderState {
    /// The order itself.
    pub const fn order(&self) -> &Order {
        self.signed.order()
    }

    /// Whether it is in force: accepted, of a kind that stands, not released, and not ended as
    /// refused or impossible, which change nothing and so have nothing to hold.
    pub const fn is_standing(&self) -> bool {
        self.order().action.is_standing() && self.released_by.is_none() && !self.void
    }

    /// Whether it still has to be carried out to its end.
    pub const fn is_unfinished(&self) -> bool {
        self.outcome.is_none() && self.released_by.is_none()
    }

    /// The records without which it could not be finished, held or released.
    pub fn records(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::once(self.accepted)
            .chain(self.planned.iter().copied())
            .chain(self.concluded)
    }
}

/// What all records up to some point add up to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreState {
    pub(super) orders: BTreeMap<OrderId, OrderState>,
    pub(super) facts: Facts,
}

/// The part of the state that is not about one order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub(super) struct Facts {
    #[n(0)]
    pub(super) seen: Seen,
    #[n(1)]
    boot_id: Option<String>,
    #[n(2)]
    host: Option<HostId>,
    /// Accepted orders that this version cannot read, although they are in force.
    #[n(3)]
    unreadable: Vec<OrderId>,
}

impl StoreState {
    /// Takes in the next record.
    pub fn apply(&mut self, body: &RecordBody) {
        // An event of a later version changes nothing that this version knows about.
        if let Some(event) = body.event() {
            self.apply_event(body, event);
        }
    }

    fn apply_event(&mut self, body: &RecordBody, event: Event) {
        match event {
            Event::OrderAccepted {
                signed,
                order,
                signers,
                via,
            } => match SignedOrder::from_bytes(&signed) {
                Ok(signed) => self.accept(body, signed, signers, via),
                Err(_) if !self.facts.unreadable.contains(&order) => {
                    self.facts.unreadable.push(order);
                }
                Err(_) => {}
            },
            Event::OrderNotAccepted {
                seq: Some(seq),
                order,
                ..
            } => self.facts.seen.mark(seq, order),
            Event::Enrolled { host, .. } => self.facts.host = Some(host),
            Event::Started { boot_id, .. } => self.facts.boot_id = Some(boot_id),
            Event::OrderNotAccepted { seq: None, .. }
            | Event::Genesis { .. }
            | Event::Gap { .. }
            | Event::IndexRebuilt { .. }
            | Event::Confirmed { .. } => {}
            event => {
                if let Some(order) = event.order().and_then(|id| self.orders.get_mut(&id)) {
                    order.apply(body.index, event);
                    if !order.is_standing() && !order.is_unfinished() {
                        self.forget_ended();
                    }
                }
            }
        }
    }

    fn accept(
        &mut self,
        body: &RecordBody,
        signed: SignedOrder,
        signers: Vec<KeyId>,
        via: Channel,
    ) {
        let (id, seq) = (signed.order().id, signed.order().seq);
        self.facts.seen.mark(seq, Some(id));
        self.orders.entry(id).or_insert_with(|| OrderState {
            signed,
            signers,
            via,
            accepted: body.index,
            accepted_at: body.at,
            accepted_boot_us: body.boot_us,
            planned: Vec::new(),
            steps: Vec::new(),
            outcome: None,
            concluded: None,
            released_by: None,
            drift: 0,
            contested: false,
            void: false,
        });
    }

    fn forget_ended(&mut self) {
        let ended = |order: &OrderState| !order.is_standing() && !order.is_unfinished();
        let mut oldest: Vec<(u64, OrderId)> = self
            .orders
            .iter()
            .filter(|(_, order)| ended(order))
            .map(|(id, order)| (order.accepted, *id))
            .collect();
        if oldest.len() > ENDED_ORDERS_KEPT {
            oldest.sort_unstable();
            for (_, id) in &oldest[..oldest.len() - ENDED_ORDERS_KEPT] {
                self.orders.remove(id);
            }
        }
    }

    /// An order that stands, is unfinished, or ended lately.
    pub fn order(&self, id: OrderId) -> Option<&OrderState> {
        self.orders.get(&id)
    }

    /// All of those, by id, which is by the time they were issued.
    pub fn orders(&self) -> impl Iterator<Item = &OrderState> {
        self.orders.values()
    }

    /// The orders in force.
    pub fn standing(&self) -> impl Iterator<Item = &OrderState> {
        self.orders.values().filter(|order| order.is_standing())
    }

    /// The orders in force that close this account, or a key in this account.
    pub fn standing_for_account<'s>(
        &'s self,
        name: &'s AccountName,
    ) -> impl Iterator<Item = &'s OrderState> {
        self.standing()
            .filter(move |order| account_of(&order.order().action) == Some(name))
    }

    /// The orders in force that close this key, for one account or for all.
    pub fn standing_for_key(&self, key: KeyFingerprint) -> impl Iterator<Item = &OrderState> {
        self.standing()
            .filter(move |order| key_of(&order.order().action) == Some(key))
    }

    /// The digest of the orders in force, to compare with the control plane's.
    pub fn standing_digest(&self) -> Digest {
        standing_digest(self.standing().map(|order| order.order().id))
    }

    /// The orders to finish, in the order in which they were accepted.
    pub fn unfinished(&self) -> Vec<&OrderState> {
        let mut orders: Vec<_> = self.orders.values().filter(|o| o.is_unfinished()).collect();
        orders.sort_unstable_by_key(|order| order.accepted);
        orders
    }

    /// Whether an order that came is new.
    pub fn look(&self, order: &Order) -> Sight {
        match self.orders.get(&order.id) {
            Some(known) if known.order().seq == order.seq => Sight::Duplicate,
            Some(_) => Sight::Replayed,
            None => self.facts.seen.look(order.seq, order.id),
        }
    }

    /// Every order up to and including this sequence number has been seen.
    pub const fn order_cursor(&self) -> u64 {
        self.facts.seen.cursor()
    }

    /// The boot id of the latest start.
    pub fn boot_id(&self) -> Option<&str> {
        self.facts.boot_id.as_deref()
    }

    /// The host's id, as it was enrolled last.
    pub const fn host(&self) -> Option<HostId> {
        self.facts.host
    }

    /// Orders that were accepted by a later version of the agent and that this one cannot read:
    /// they are in force and not held.
    pub fn unreadable(&self) -> &[OrderId] {
        &self.facts.unreadable
    }
}

impl OrderState {
    fn apply(&mut self, index: u64, event: Event) {
        match event {
            Event::Planned { steps, .. } => {
                if self.planned.len() == PLANS_KEPT {
                    self.planned.remove(PLANS_KEPT / 2);
                }
                self.planned.push(index);
                self.steps = vec![StepState::Planned; steps.len().min(STEPS_MAX)];
            }
            Event::StepBegun { step, .. } => self.set_step(step, StepState::Begun),
            Event::StepEnded { step, error, .. } => self.set_step(
                step,
                match error {
                    None => StepState::Done,
                    Some(_) => StepState::Failed,
                },
            ),
            Event::Concluded { outcome } => {
                self.void = match self.outcome {
                    None => matches!(outcome.verdict, Verdict::Refused | Verdict::Impossible),
                    Some(_) => self.void,
                };
                self.outcome = Some(condensed(outcome));
                self.concluded = Some(index);
                self.steps = Vec::new();
            }
            Event::Drift { times, .. } => self.drift = self.drift.max(times),
            Event::Contested { .. } => self.contested = true,
            Event::Released { by, .. } => self.released_by = Some(by),
            _ => {}
        }
    }

    fn set_step(&mut self, step: u32, state: StepState) {
        let known = usize::try_from(step).ok();
        if let Some(slot) = known.and_then(|step| self.steps.get_mut(step)) {
            *slot = state;
        }
    }
}

fn condensed(mut outcome: Outcome) -> Outcome {
    let all = outcome.paths.len();
    outcome.paths.retain(|path| path.state != PathState::Closed);
    outcome.paths.truncate(OUTCOME_PATHS_KEPT);
    let left_out = u32::try_from(all - outcome.paths.len()).unwrap_or(u32::MAX);
    outcome.paths_left_out = outcome.paths_left_out.saturating_add(left_out);
    outcome.gaps.truncate(OUTCOME_PATHS_KEPT);
    outcome.paths.shrink_to_fit();
    outcome
}

/// The account that an action is about.
pub fn account_of(action: &Action) -> Option<&AccountName> {
    match action {
        Action::DisableAccount { account } | Action::EndSessions { account } => Some(account),
        Action::RevokeKey { account, .. } => account.as_ref(),
        Action::Release { .. } => None,
    }
}

/// The key that an action is about.
pub const fn key_of(action: &Action) -> Option<KeyFingerprint> {
    match action {
        Action::RevokeKey { fingerprint, .. } => Some(*fingerprint),
        Action::DisableAccount { .. } | Action::EndSessions { .. } | Action::Release { .. } => None,
    }
}

mod as_bytes {
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};
    use rescind_protocol::order::SignedOrder;

    pub fn encode<C, W: Write>(
        order: &SignedOrder,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&order.to_bytes())?.ok()
    }

    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<SignedOrder, Error> {
        let at = d.position();
        SignedOrder::from_bytes(d.bytes()?).map_err(|error| Error::custom(error).at(at))
    }
}
