//! From an accepted order to its outcome: plan, guard, apply, verify, conclude.

use std::rc::Rc;

use rescind_protocol::evidence::Event;
use rescind_protocol::name::OrderId;
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Outcome;

use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::lock::{AccountFile, AccountLock};
use crate::host::root::HostRoot;
use crate::orders::actions;
use crate::orders::conclude::{self, Finding};
use crate::orders::guards::{self, Refusal};
use crate::orders::host::{ChangeError, Host};
use crate::orders::kept::Kept;
use crate::orders::plan::{Change, Plan, PutOff};
use crate::orders::{Engine, EngineError, directory, reach};
use crate::paths::key_files::KeyFileRef;

/// How often an order is planned anew because somebody changed a file meanwhile.
const ROUNDS_MAX: usize = 5;

/// What applying an order came to, before it is verified.
#[derive(Debug, Default)]
pub struct Applied {
    /// Whether anything was changed, now or by an attempt that was cut off.
    pub changed: bool,
    /// Changes that could not be made, and why.
    pub failures: Vec<String>,
}

/// Whether the guards are asked before the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guards {
    /// They are.
    Ask,
    /// It was allowed before.
    Passed,
}

impl Engine {
    /// Carries out an accepted order to its outcome, which is on disk when this returns.
    pub fn carry_out(&mut self, id: OrderId) -> Result<Outcome, EngineError> {
        let action = self.signed(id)?.order().action.clone();
        if let Err(refusal) = guards::ceiling(&action, &self.config.ceiling) {
            return self.refuse(id, refusal);
        }
        match &action {
            Action::Release { order } => self.release(id, *order),
            _ => self.enforce(id, &action),
        }
    }

    fn enforce(&mut self, id: OrderId, action: &Action) -> Result<Outcome, EngineError> {
        // What was begun was allowed when it began; half an order is worse than either end.
        let begun = self
            .store
            .state()
            .order(id)
            .is_some_and(|order| !order.planned.is_empty());
        let guards = if begun { Guards::Passed } else { Guards::Ask };
        let applied = match self.apply(id, action, guards)? {
            Ok(applied) => applied,
            Err(refusal) => return self.refuse(id, refusal),
        };
        let changed = applied.changed || begun;
        let finding = self.verify(action, applied.failures)?;
        let took = self.since_accepted(id);
        let as_ordered = actions::as_ordered(action);
        let outcome = self.ending(id, finding, changed, as_ordered, took)?;
        self.conclude(outcome)
    }

    /// How an order ends of which a fresh reading found this.
    pub(super) fn ending(
        &mut self,
        id: OrderId,
        finding: Finding,
        changed: bool,
        as_ordered: &str,
        took: u64,
    ) -> Result<Outcome, EngineError> {
        let Some(why) = finding.not_ours.clone() else {
            return Ok(conclude::from_finding(
                id, finding, changed, as_ordered, took,
            ));
        };
        // In force, although not all of it is for this host to do: that it was planned tells so.
        let order = self.store.state().order(id);
        if order.is_some_and(|order| order.planned.is_empty()) {
            let steps = Vec::new();
            self.store
                .append(&Event::Planned { order: id, steps }, None)?;
        }
        Ok(conclude::impossible(id, why, finding, took))
    }

    /// Plans and applies until nothing departs from the order, or something stands in the way.
    ///
    /// What is checked first is checked in the very reading that the first plan is made from.
    pub(super) fn apply(
        &mut self,
        id: OrderId,
        action: &Action,
        guards: Guards,
    ) -> Result<Result<Applied, Refusal>, EngineError> {
        let mut applied = Applied::default();
        let mut put_off = PutOff::default();
        for round in 0..ROUNDS_MAX {
            applied.failures.clear();
            let root = Rc::clone(self.host.root());
            // Held from reading to writing, so that nobody who keeps to it comes between.
            let lock = lock_for(&root, actions::locked_files(action), &mut applied);
            let (recently, now) = (reach::recently_closed(self, action), self.wall());
            let mut reading = actions::read_for(&mut self.host, action)?;
            if round == 0 && guards == Guards::Ask {
                let reach = reach::of(&mut reading, action, recently, now)?;
                if let Err(refusal) = guards::judge(&reach, &self.config.guards) {
                    return Ok(Err(refusal));
                }
            }
            let mut plan = actions::plan(action, &actions::see(action, &mut reading)?);
            let accounts = Rc::clone(&reading.accounts);
            drop(reading);
            if lock.is_none() {
                plan.changes.retain(|change| !change.needs_lock());
            }
            put_off = plan.put_off(true);
            if plan.changes.iter().any(Change::takes_from_a_place) {
                let own = self.kept_by(id)?;
                self.places()?.assign(&mut plan, &own);
            }
            let stale = match plan.changes.is_empty() {
                true => false,
                false => self.make_all(id, &plan, &plan.kept(), &accounts, lock, &mut applied)?,
            };
            if !stale && !put_off.can_follow {
                applied.failures.append(&mut put_off.what);
                return Ok(Ok(applied));
            }
        }
        if put_off.can_follow {
            // They are drift until all are done.
            applied.failures.append(&mut put_off.what);
        } else {
            let why = "files kept changing while they were edited";
            applied.failures.push(why.into());
        }
        Ok(Ok(applied))
    }

    /// Journals a plan with what undoes it, and makes its changes. Says whether it was out of date.
    pub(super) fn make_all(
        &mut self,
        id: OrderId,
        plan: &Plan,
        kept: &Kept,
        accounts: &Accounts,
        mut lock: Option<AccountLock<'_>>,
        applied: &mut Applied,
    ) -> Result<bool, EngineError> {
        let undo = (!kept.is_empty())
            .then(|| zeroize::Zeroizing::new(rescind_protocol::cbor::to_vec(kept)));
        // On disk before the first change: whatever happens from here, the next start knows what
        // was begun and what there was before.
        self.store.append_synced(
            &Event::Planned {
                order: id,
                steps: plan.steps(),
            },
            undo.as_ref().map(|undo| undo.as_slice()),
        )?;
        if let Some(places) = &mut self.places {
            places.add(kept);
        }
        let mut stale = false;
        for (step, change) in (0u32..).zip(&plan.changes) {
            let later = &plan.changes[step as usize..];
            if !later.iter().any(Change::needs_lock) {
                // Others wait for it; what follows does not need it.
                lock = None;
            }
            self.store
                .append(&Event::StepBegun { order: id, step }, None)?;
            let owner = owner_of(change, accounts, self.host.is_live());
            let lock = lock.as_ref().filter(|_| change.needs_lock());
            let made = self.host.make(change, owner.as_ref(), lock);
            let (changed, error) = match made {
                Ok(changed) => (changed, None),
                Err(error) => {
                    stale |= matches!(error, ChangeError::Stale(_));
                    (false, Some(error.to_string()))
                }
            };
            applied.changed |= changed;
            applied.failures.extend(error.clone());
            self.store.append(
                &Event::StepEnded {
                    order: id,
                    step,
                    changed,
                    error,
                },
                None,
            )?;
        }
        Ok(stale)
    }

    /// Reads the host again and says what departs from the order.
    pub(super) fn verify(
        &mut self,
        action: &Action,
        failures: Vec<String>,
    ) -> Result<Finding, EngineError> {
        let mut reading = actions::read_for(&mut self.host, action)?;
        let mut finding = Finding::default();
        let seen = actions::see(action, &mut reading)?;
        finding.gaps = seen.gaps.clone();
        let undone = actions::plan(action, &seen);
        finding.undone = undone
            .steps()
            .into_iter()
            .map(|step| format!("{}: still to {}", step.target, step.detail))
            .collect();
        // What a failure to edit a file left undone is seen in the file. Processes come and go: that
        // one could not be ended counts, whatever is seen of them later.
        if !finding.undone.is_empty() || matches!(action, Action::EndKeySessions { .. }) {
            finding.undone.extend(failures);
        }
        finding.paths = actions::paths(action, &mut reading)?;
        if let Action::DisableAccount { account } = action {
            finding.not_ours = reading.why_not_ours(account)?;
        }
        let account = action.account().and_then(|name| reading.account(name));
        let files = account.map_or_else(Vec::new, |account| {
            let (files, _) = reading.key_files_in_force(&account);
            let named = |file: KeyFileRef| (account.name.clone(), file.path);
            files.into_iter().map(named).collect()
        });
        drop(reading);
        if action.is_standing() {
            self.note_interest(action, &files);
        }
        Ok(finding)
    }

    fn refuse(&mut self, id: OrderId, refusal: Refusal) -> Result<Outcome, EngineError> {
        let took = self.since_accepted(id);
        self.conclude(conclude::refused(id, refusal.guard, refusal.reason, took))
    }

    /// Puts an outcome on disk and lets the host's own tools be asked later.
    pub(super) fn conclude(&mut self, outcome: Outcome) -> Result<Outcome, EngineError> {
        self.store.append_synced(
            &Event::Concluded {
                outcome: outcome.clone(),
            },
            None,
        )?;
        self.to_confirm.push_back(outcome.order);
        Ok(outcome)
    }
}

/// The account as whose file a change is made, where it is about a file of an account: this host's
/// own, or that of a directory.
fn owner_of(change: &Change, accounts: &Accounts, is_live: bool) -> Option<Account> {
    match change {
        Change::RemoveKeys(keys) | Change::RestoreKeys(keys) => {
            directory::find(accounts, &keys.account, is_live)
        }
        _ => None,
    }
}

/// The lock of these files; that it cannot be had is a failure that is told.
pub(super) fn lock_for<'r>(
    root: &'r HostRoot,
    files: &[AccountFile],
    applied: &mut Applied,
) -> Option<AccountLock<'r>> {
    if files.is_empty() {
        return None;
    }
    match Host::lock(root, files) {
        Ok(lock) => Some(lock),
        Err(error) => {
            applied.failures.push(error.to_string());
            None
        }
    }
}
