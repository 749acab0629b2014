#![forbid(unsafe_code)]
//! One accepted order and what became of it.

use minicbor::{Decode, Encode};
use rescind_protocol::evidence::{Channel, Event, RecordBody};
use rescind_protocol::name::{OrderId, UnixMillis};
use rescind_protocol::order::{Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::path::PathState;
use rescind_protocol::sign::KeyId;

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
    /// Whether it first ended as refused, or as impossible before anything was planned. What ends so
    /// later, when it already holds something closed, stays in force.
    #[n(13)]
    pub void: bool,
}

impl OrderState {
    /// The order itself.
    pub const fn order(&self) -> &Order {
        self.signed.order()
    }

    /// Whether it is in force: accepted, of a kind that stands, not released, and not ended as
    /// refused, or impossible altogether, which change nothing and so have nothing to hold.
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

    /// An order whose acceptance this record tells of.
    pub(super) const fn accepted(
        body: &RecordBody,
        signed: SignedOrder,
        signers: Vec<KeyId>,
        via: Channel,
    ) -> Self {
        Self {
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
        }
    }

    /// Takes in what the record with this index says of it.
    pub(super) fn apply(&mut self, index: u64, event: Event) {
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
                    // What was planned may have closed something, and goes on doing so.
                    None => match outcome.verdict {
                        Verdict::Refused => true,
                        Verdict::Impossible => self.planned.is_empty(),
                        _ => false,
                    },
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
