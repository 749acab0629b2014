//! Giving back what an order took, except what another order in force forbids.

use std::collections::BTreeSet;

use rescind_protocol::evidence::Event;
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Outcome;
use zeroize::Zeroizing;

use crate::host::accounts::Accounts;
use crate::host::lock::AccountFile;
use crate::orders::conclude::{self, Finding};
use crate::orders::enforce::{Applied, lock_for};
use crate::orders::hold::WatchList;
use crate::orders::host::{self, HostError};
use crate::orders::kept::{Kept, KeptKeys, KeptMembers};
use crate::orders::places::Places;
use crate::orders::plan::{self, Change, Forbidden, Plan};
use crate::orders::{Engine, EngineError};
use crate::store::OrderState;

impl Engine {
    /// Carries out a release.
    pub(super) fn release(&mut self, id: OrderId, of: OrderId) -> Result<Outcome, EngineError> {
        let took = |engine: &Self| engine.since_accepted(id);
        let Some(standing) = self.store.state().order(of) else {
            let why = format!("there is no order {of} on this host to release");
            return self.conclude(conclude::impossible(
                id,
                why,
                Finding::default(),
                took(self),
            ));
        };
        if !standing.order().action.is_standing() {
            let why = format!("order {of} is not one that stays in force");
            return self.conclude(conclude::impossible(
                id,
                why,
                Finding::default(),
                took(self),
            ));
        }
        // Released before: what was given back then was verified then, and is not ours any more.
        let released_before = standing.released_by.is_some_and(|by| by != id);
        let kept = if released_before {
            Kept::default()
        } else {
            self.kept_by(of)?
        };
        let (mut plan, held) = self.split(of, kept)?;
        self.places()?.tell(&mut plan);
        let applied = self.give_back(id, of, &plan, held)?;
        if !released_before {
            self.store
                .append(&Event::Released { order: of, by: id }, None)?;
            self.places = None;
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

    /// What the orders in force have taken, place by place.
    pub(super) fn places(&mut self) -> Result<&Places, EngineError> {
        if self.places.is_none() {
            let standing = self.store.state().standing();
            let standing: Vec<OrderId> = standing.map(|order| order.order().id).collect();
            let mut places = Places::default();
            for order in standing {
                places.add(&self.kept_by(order)?);
            }
            self.places = Some(places);
        }
        Ok(self.places.get_or_insert_default())
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
        let member = |name: &AccountName, list: &[u8]| {
            others().any(|order| {
                matches!(&order.order().action,
                    Action::RevokeGroup { account, group, .. }
                        if account == name && group.as_str().as_bytes() == list)
            })
        };
        let sudo = |name: &AccountName| {
            others().any(|order| {
                matches!(&order.order().action,
                    Action::RevokeSudo { account } if account == name)
            })
        };
        Ok(plan::restore(
            kept,
            &Forbidden {
                account: &account,
                key_of_line: &host::key_of_line,
                key: &key,
                member: &member,
                sudo: &sudo,
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
        let files: BTreeSet<AccountFile> = plan
            .changes
            .iter()
            .filter_map(Change::locked_file)
            .collect();
        let files: Vec<AccountFile> = files.into_iter().collect();
        let lock = lock_for(&root, &files, &mut applied);
        let accounts = Accounts::load(&root).map_err(HostError::from)?;
        self.make_all(id, plan, &Kept::default(), &accounts, lock, &mut applied)?;
        Ok(applied)
    }

    /// What other orders still forbid is from now on theirs to give back, each piece that of the
    /// first which forbids it.
    fn hand_over(&mut self, released: OrderId, mut held: Kept) -> Result<(), EngineError> {
        let standing = self.store.state().standing().map(OrderState::order);
        let others: Vec<(OrderId, Action)> = standing
            .filter(|order| order.id != released)
            .map(|order| (order.id, order.action.clone()))
            .collect();
        for (heir, action) in others {
            let inherits = inheritance(&action, &mut held);
            if inherits.is_empty() {
                continue;
            }
            let private = Zeroizing::new(rescind_protocol::cbor::to_vec(&inherits));
            self.store.append_synced(
                &Event::Planned {
                    order: heir,
                    steps: Vec::new(),
                },
                Some(&private),
            )?;
        }
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

/// What an action forbids of what was kept, which is taken out of it.
fn inheritance(action: &Action, held: &mut Kept) -> Kept {
    let mut inherits = Kept::default();
    match action {
        Action::DisableAccount { account } => {
            inherits.fields = take(&mut held.fields, |fields| fields.account == *account);
            inherits.keys = take(&mut held.keys, |keys| keys.account == *account);
        }
        Action::RevokeKey {
            fingerprint,
            account,
        } => {
            for keys in &mut held.keys {
                let is_about = account.as_ref().is_none_or(|name| *name == keys.account);
                let lines = take(&mut keys.lines, |line| {
                    is_about && host::key_of_line(&line.bytes) == Some(*fingerprint)
                });
                if !lines.is_empty() {
                    let keys = KeptKeys {
                        lines,
                        ..keys.clone()
                    };
                    inherits.keys.push(keys);
                }
            }
            held.keys.retain(|keys| !keys.lines.is_empty());
        }
        Action::RevokeGroup { account, group, .. } => {
            let name = group.as_str().as_bytes();
            for members in &mut held.members {
                let is_about = members.account == *account;
                let changes = take(&mut members.changes, |change| {
                    is_about && change.group == name
                });
                if !changes.is_empty() {
                    let members = KeptMembers {
                        changes,
                        ..members.clone()
                    };
                    inherits.members.push(members);
                }
            }
            held.members.retain(|members| !members.changes.is_empty());
        }
        Action::RevokeSudo { account } => {
            inherits.sudo = take(&mut held.sudo, |name| name == account);
        }
        Action::EndSessions { .. } | Action::EndKeySessions { .. } | Action::Release { .. } => {}
    }
    inherits
}

/// Takes out of a list what is wanted of it.
fn take<T>(from: &mut Vec<T>, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    from.extract_if(.., |one| is_wanted(one)).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::sshd::authorized_keys::RemovedLine;

    fn line(byte: u8) -> RemovedLine {
        let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", [byte; 32].as_slice()].concat();
        RemovedLine {
            line: byte.into(),
            slot: byte.into(),
            bytes: format!("ssh-ed25519 {}\n", STANDARD.encode(blob)).into_bytes(),
        }
    }

    fn keys(account: &str, lines: &[u8]) -> KeptKeys {
        KeptKeys {
            path: format!("/keys/{account}").into_bytes(),
            account: account.parse().unwrap(),
            lines: lines.iter().map(|byte| line(*byte)).collect(),
            total: 9,
            still: BTreeSet::new(),
        }
    }

    #[test]
    fn each_piece_goes_to_the_first_order_that_forbids_it() {
        let mut held = Kept {
            keys: vec![
                keys("alice", &[1, 2]),
                keys("bob", &[1, 2]),
                keys("carol", &[1]),
            ],
            sudo: vec!["alice".parse().unwrap(), "bob".parse().unwrap()],
            ..Kept::default()
        };
        let account = |name: &str| name.parse::<AccountName>().unwrap();
        let key = host::key_of_line(&line(1).bytes).unwrap();
        let mut of = |action| inheritance(&action, &mut held);
        assert_eq!(
            of(Action::DisableAccount {
                account: account("alice")
            })
            .keys,
            [keys("alice", &[1, 2])]
        );
        assert_eq!(
            of(Action::RevokeKey {
                fingerprint: key,
                account: Some(account("bob"))
            })
            .keys,
            [keys("bob", &[1])]
        );
        assert_eq!(
            of(Action::RevokeKey {
                fingerprint: key,
                account: None
            })
            .keys,
            [keys("carol", &[1])]
        );
        let sudo = of(Action::RevokeSudo {
            account: account("bob"),
        });
        assert_eq!(sudo.sudo, [account("bob")]);
        assert_eq!(held.keys, [keys("bob", &[2])]);
        assert_eq!(held.sudo, [account("alice")]);
    }
}
