#![forbid(unsafe_code)]
//! What the records add up to: a pure fold, the same from the first record or from a checkpoint.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use rescind_protocol::evidence::{Channel, Event, RecordBody};
use rescind_protocol::message::standing_digest;
use rescind_protocol::name::{Digest, HostId, OrderId};
use rescind_protocol::order::{Order, SignedOrder};
use rescind_protocol::sign::{KeyId, VerifyingKey};

use super::order_state::OrderState;
use super::seen::{Seen, Sight};

/// Orders that ended and do not stand are kept for the last so many; older ones only as numbers.
const ENDED_ORDERS_KEPT: usize = 64;

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
    /// The keys whose orders the host obeys.
    #[n(4)]
    order_keys: Option<Vec<VerifyingKey>>,
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
            Event::Enrolled { host, order_keys } => {
                self.facts.host = Some(host);
                self.facts.order_keys = Some(order_keys);
            }
            Event::Started { boot_id, .. } => self.facts.boot_id = Some(boot_id),
            Event::OrderNotAccepted { seq: None, .. }
            | Event::Genesis { .. }
            | Event::Gap { .. }
            | Event::IndexRebuilt { .. }
            | Event::TailCut { .. }
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
        self.orders
            .entry(id)
            .or_insert_with(|| OrderState::accepted(body, signed, signers, via));
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

    /// Whether the host was last enrolled under this id, to obey these keys.
    pub fn is_enrolled_as(&self, host: HostId, order_keys: &[VerifyingKey]) -> bool {
        self.facts.host == Some(host) && self.facts.order_keys.as_deref() == Some(order_keys)
    }

    /// Orders that were accepted by a later version of the agent and that this one cannot read:
    /// they are in force and not held.
    pub fn unreadable(&self) -> &[OrderId] {
        &self.facts.unreadable
    }
}

#[cfg(test)]
mod tests {
    use rescind_protocol::cbor;
    use rescind_protocol::evidence::{NotAccepted, Step, StepKind};
    use rescind_protocol::name::UnixMillis;
    use rescind_protocol::order::{Action, Authority};
    use rescind_protocol::outcome::{Outcome, Verdict};
    use rescind_protocol::path::{AccessPath, Mechanism, PathState};
    use rescind_protocol::sign::SigningKey;

    use super::*;

    fn id(n: u8) -> OrderId {
        OrderId::from_bytes([n; 16])
    }

    fn accepted(n: u8, seq: u64, action: Action) -> Event {
        let (key, _) = SigningKey::generate();
        let order = Order {
            id: id(n),
            host: HostId::from_bytes([2; 16]),
            seq,
            issued_at: UnixMillis(1000),
            expires_at: UnixMillis(2000),
            action,
            authority: Authority {
                asked_by: "dana@example.com".into(),
                approved_by: vec![],
                ticket: "OFF-1".into(),
                reason: "left the company".into(),
                source: "cli".into(),
            },
        };
        Event::OrderAccepted {
            signed: SignedOrder::seal(order, &key).to_bytes(),
            order: id(n),
            signers: vec![],
            via: Channel::Link,
        }
    }

    fn disable(name: &str) -> Action {
        Action::DisableAccount {
            account: name.parse().unwrap(),
        }
    }

    fn planned(n: u8, steps: usize) -> Event {
        let step = Step {
            kind: StepKind::LockPassword,
            target: "/etc/shadow".into(),
            detail: "alice".into(),
        };
        Event::Planned {
            order: id(n),
            steps: vec![step; steps],
        }
    }

    fn begun(n: u8, step: u32) -> Event {
        Event::StepBegun { order: id(n), step }
    }

    fn ended(n: u8, step: u32, error: Option<&str>) -> Event {
        Event::StepEnded {
            order: id(n),
            step,
            changed: true,
            error: error.map(str::to_owned),
        }
    }

    fn concluded(n: u8, verdict: Verdict, paths: Vec<AccessPath>) -> Event {
        Event::Concluded {
            outcome: Outcome {
                order: id(n),
                verdict,
                guard: None,
                reason: "read again".into(),
                paths,
                paths_left_out: 0,
                gaps: vec![],
                took_us: 1,
            },
        }
    }

    fn released(n: u8, by: u8) -> Event {
        Event::Released {
            order: id(n),
            by: id(by),
        }
    }

    fn fold(state: &mut StoreState, events: Vec<Event>) {
        for event in events {
            let body = RecordBody {
                index: 0,
                prev: Digest::default(),
                at: UnixMillis(5),
                boot_us: 6,
                private: None,
                event: cbor::to_vec(&event),
            };
            state.apply(&body);
        }
    }

    /// One line per order, as a person would sum it up.
    fn describe(state: &StoreState) -> String {
        let line = |order: &OrderState| {
            let words = [
                (order.is_standing(), "standing"),
                (order.is_unfinished(), "unfinished"),
                (order.released_by.is_some(), "released"),
                (order.contested, "contested"),
            ];
            let words: Vec<_> = words
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, w)| *w)
                .collect();
            format!(
                "{} {} {:?} {:?} drift {}",
                order.order().seq,
                words.join("+"),
                order.outcome.as_ref().map(|outcome| outcome.verdict),
                order.steps,
                order.drift
            )
        };
        let lines: Vec<_> = state.orders().map(line).collect();
        format!("{} | cursor {}", lines.join(" | "), state.order_cursor())
    }

    #[track_caller]
    fn check(events: Vec<Event>, want: &str) {
        let mut state = StoreState::default();
        fold(&mut state, events);
        assert_eq!(describe(&state), want);
    }

    #[test]
    fn records_add_up_to_what_is_in_force_and_what_is_left_to_do() {
        check(vec![], " | cursor 0");
        check(
            vec![
                accepted(1, 1, disable("alice")),
                planned(1, 3),
                begun(1, 0),
                ended(1, 0, None),
                begun(1, 1),
                ended(1, 1, Some("read-only file system")),
                begun(1, 2),
                begun(1, 7),
            ],
            "1 standing+unfinished None [Done, Failed, Begun] drift 0 | cursor 1",
        );
        check(
            vec![
                accepted(1, 1, disable("alice")),
                planned(1, 1),
                concluded(1, Verdict::Partial, vec![]),
                accepted(
                    2,
                    2,
                    Action::EndSessions {
                        account: "bob".parse().unwrap(),
                    },
                ),
                concluded(2, Verdict::Verified, vec![]),
                accepted(4, 4, disable("root")),
                concluded(4, Verdict::Refused, vec![]),
            ],
            "1 standing Some(Partial) [] drift 0 | 2  Some(Verified) [] drift 0 | \
             4  Some(Refused) [] drift 0 | cursor 2",
        );
    }

    #[test]
    fn drift_and_later_failures_do_not_end_an_order_and_a_release_does() {
        let drift = Event::Drift {
            order: id(1),
            paths: vec![],
            actor: "unknown".into(),
            times: 3,
        };
        let contested = Event::Contested {
            order: id(1),
            files: vec![],
            times: 3,
        };
        let mut events = vec![
            accepted(1, 1, disable("alice")),
            concluded(1, Verdict::Verified, vec![]),
            drift,
            contested,
            concluded(1, Verdict::Impossible, vec![]),
        ];
        let held = "1 standing+contested Some(Impossible) [] drift 3 | cursor 1";
        check(events.clone(), held);
        events.push(released(1, 2));
        check(
            events,
            "1 released+contested Some(Impossible) [] drift 3 | cursor 1",
        );
    }

    #[test]
    fn an_authentic_order_that_was_refused_uses_up_its_number_and_a_forged_one_does_not() {
        let refused = |seq| Event::OrderNotAccepted {
            order: Some(id(7)),
            digest: Digest::default(),
            why: NotAccepted::Expired,
            detail: String::new(),
            via: Channel::Link,
            seq,
        };
        check(vec![refused(None)], " | cursor 0");
        check(vec![refused(Some(1))], " | cursor 1");
    }

    #[test]
    fn memory_stays_bounded_and_replays_are_known_for_what_they_are() {
        let mut state = StoreState::default();
        let path = AccessPath {
            account: "alice".parse().unwrap(),
            uid: 1000,
            mechanism: Mechanism::SshPublicKey,
            state: PathState::Open,
            reason: "listed".into(),
            source: None,
            fingerprint: None,
        };
        for n in 1..=200_u8 {
            let sessions = Action::EndSessions {
                account: "bob".parse().unwrap(),
            };
            let end = concluded(n, Verdict::Partial, vec![path.clone(); 100]);
            fold(&mut state, vec![accepted(n, n.into(), sessions), end]);
        }
        assert_eq!(state.orders().count(), ENDED_ORDERS_KEPT);
        let outcome = state.order(id(200)).unwrap().outcome.clone().unwrap();
        assert_eq!((outcome.paths.len(), outcome.paths_left_out), (16, 84));
        let Event::OrderAccepted { signed, .. } = accepted(9, 9, disable("x")) else {
            unreachable!()
        };
        let mut order = SignedOrder::from_bytes(&signed).unwrap().order().clone();
        assert_eq!(
            state.look(&order),
            Sight::Duplicate,
            "forgotten but for its number"
        );
        order.id = id(222);
        assert_eq!(state.look(&order), Sight::Replayed);
        order.seq = 201;
        assert_eq!(state.look(&order), Sight::New);
    }

    #[test]
    fn an_order_of_a_later_version_is_not_forgotten() {
        let newer = Event::OrderAccepted {
            signed: vec![0xa0],
            order: id(1),
            signers: vec![],
            via: Channel::File,
        };
        let mut state = StoreState::default();
        fold(&mut state, vec![newer.clone(), newer]);
        assert_eq!(state.unreadable(), [id(1)]);
    }
}
