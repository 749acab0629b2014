//! Giving back what an order took, except what another order in force forbids.

use rescind_protocol::evidence::Event;
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Outcome;
use zeroize::Zeroizing;

use crate::host::accounts::Accounts;
use crate::orders::conclude::{self, Finding};
use crate::orders::enforce::Applied;
use crate::orders::hold::WatchList;
use crate::orders::host::{self, Host, HostError};
use crate::orders::kept::Kept;
use crate::orders::plan::{self, Forbidden, Plan};
use crate::orders::{Engine, EngineError};

impl Engine {
    /// Carries out a release.
    pub(super) fn release(&mut self, id: OrderId, of: OrderId) -> Result<Outcome, EngineError> {
        let took = |engine: &Self| engine.since_accepted(id);
        let Some(standing) = self.store.state().order(of) else {
            let why = format!("there is no order {of} on this host to release");
            return self.conclude(conclude::impossible(id, why, took(self)));
        };
        if !standing.order().action.is_standing() {
            let why = format!("order {of} is not one that stays in force");
            return self.conclude(conclude::impossible(id, why, took(self)));
        }
        // Released before: what was given back then was verified then, and is not ours any more.
        let released_before = standing.released_by.is_some_and(|by| by != id);
        let kept = if released_before {
            Kept::default()
        } else {
            self.kept_by(of)?
        };
        let (plan, held) = self.split(of, kept)?;
        let applied = self.give_back(id, of, &plan, held)?;
        if !released_before {
            self.store
                .append(&Event::Released { order: of, by: id }, None)?;
            self.watch_list = WatchList::Unknown;
        }
        let finding = self.verify_given_back(&plan, applied.failures)?;
        let reason = if plan.changes.is_empty() {
            "nothing to give back"
        } else {
            "what the order took is back"
        };
        let outcome =
            conclude::from_finding(id, finding, !plan.changes.is_empty(), reason, took(self));
        self.conclude(outcome)
    }

    /// All that an order took, over all its attempts.
    pub(super) fn kept_by(&self, order: OrderId) -> Result<Kept, EngineError> {
        let mut all = Kept::default();
        let Some(state) = self.store.state().order(order) else {
            return Ok(all);
        };
        for index in &state.planned {
            let Some(private) = self.store.private(*index)? else {
                continue;
            };
            match rescind_protocol::cbor::from_slice::<Kept>(&private) {
                Ok(kept) => all.merge(kept),
                Err(error) => {
                    return Err(EngineError::Kept {
                        record: *index,
                        source: error,
                    });
                }
            }
        }
        Ok(all)
    }

    /// What is given back now, and what goes over to the orders that still forbid it.
    fn split(&self, released: OrderId, kept: Kept) -> Result<(Plan, Kept), EngineError> {
        let others = || {
            let standing = self.store.state().standing();
            standing.filter(|order| order.order().id != released)
        };
        let account = |name: &AccountName| {
            others().any(|order| {
                matches!(&order.order().action,
                    Action::DisableAccount { account } if account == name)
            })
        };
        let key = |name: &AccountName, key: KeyFingerprint| {
            others().any(|order| {
                matches!(&order.order().action,
                    Action::RevokeKey { fingerprint, account }
                        if *fingerprint == key && account.as_ref().is_none_or(|a| a == name))
            })
        };
        Ok(plan::restore(
            kept,
            &Forbidden {
                account: &account,
                key_of_line: &host::key_of_line,
                key: &key,
            },
        ))
    }

    fn give_back(
        &mut self,
        id: OrderId,
        released: OrderId,
        plan: &Plan,
        held: Kept,
    ) -> Result<Applied, EngineError> {
        let mut applied = Applied::default();
        if !held.is_empty() {
            self.hand_over(released, held)?;
        }
        if plan.changes.is_empty() {
            return Ok(applied);
        }
        let root = std::rc::Rc::clone(self.host.root());
        let lock = match Host::lock(&root) {
            Ok(lock) => Some(lock),
            Err(error) => {
                applied.failures.push(error.to_string());
                None
            }
        };
        let accounts = Accounts::load(&root).map_err(HostError::from)?;
        self.make_all(id, plan, &Kept::default(), &accounts, lock, &mut applied)?;
        Ok(applied)
    }

    /// What another order still forbids is from now on that order's to give back.
    fn hand_over(&mut self, released: OrderId, held: Kept) -> Result<(), EngineError> {
        let heir = self.store.state().standing().find_map(|order| {
            let order = order.order();
            let forbids = match &order.action {
                Action::DisableAccount { account } => {
                    held.fields.iter().any(|fields| fields.account == *account)
                        || held.keys.iter().any(|keys| keys.account == *account)
                }
                Action::RevokeKey { .. } => held.fields.is_empty(),
                Action::EndSessions { .. }
                | Action::EndKeySessions { .. }
                | Action::Release { .. } => false,
            };
            (order.id != released && forbids).then_some(order.id)
        });
        let Some(heir) = heir else {
            return Ok(());
        };
        let private = Zeroizing::new(rescind_protocol::cbor::to_vec(&held));
        self.store.append_synced(
            &Event::Planned {
                order: heir,
                steps: Vec::new(),
            },
            Some(&private),
        )?;
        Ok(())
    }

    /// Reads the host again: a release is done when making it again would change nothing.
    fn verify_given_back(
        &mut self,
        plan: &Plan,
        failures: Vec<String>,
    ) -> Result<Finding, EngineError> {
        let mut finding = Finding {
            undone: failures,
            ..Finding::default()
        };
        for change in &plan.changes {
            if let Some(what) = self.host.still_to_restore(change) {
                finding.undone.push(what);
            }
        }
        Ok(finding)
    }
}
