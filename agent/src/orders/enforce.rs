//! From an accepted order to its outcome: plan, guard, apply, verify, conclude.

use std::rc::Rc;
use std::time::Duration;

use rescind_protocol::evidence::Event;
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Outcome;
use rescind_protocol::path::{AccessPath, PathState};

use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::lock::AccountLock;
use crate::orders::conclude::{self, Finding};
use crate::orders::guards::{self, Refusal};
use crate::orders::hold::account_of;
use crate::orders::host::{ChangeError, Host, HostError};
use crate::orders::kept::Kept;
use crate::orders::plan::{self, Change, Plan, PutOff, Seen};
use crate::orders::reading::Reading;
use crate::orders::{Engine, EngineError, confirm, reach};
use crate::paths::key_files::KeyFileRef;

/// How often an order is planned anew because somebody changed a file meanwhile.
const ROUNDS_MAX: usize = 5;
/// For how long the records of logins are read on before sessions are told apart by their keys.
const LOGINS_PATIENCE: Duration = Duration::from_secs(5);

/// What applying an order came to, before it is verified.
#[derive(Debug, Default)]
pub struct Applied {
    /// Whether anything was changed, now or by an attempt that was cut off.
    pub changed: bool,
    /// Changes that could not be made, and why.
    pub failures: Vec<String>,
}

/// What is looked at before the first change.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// Whether the guards are asked.
    pub guards: bool,
    /// Whether the account must be one of this host's own.
    pub must_be_local: bool,
}

impl Checks {
    /// For what was allowed before.
    pub const NONE: Self = Self {
        guards: false,
        must_be_local: false,
    };
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum Objection {
    /// A guard says no.
    Refused(Refusal),
    /// passwd(5) does not know the account.
    NotLocal(AccountName),
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
        let mut checks = Checks {
            guards: !begun,
            must_be_local: !begun && self.host.is_live(),
        };
        let applied = loop {
            match self.apply(id, action, checks)? {
                Ok(applied) => break applied,
                Err(Objection::Refused(refusal)) => return self.refuse(id, refusal),
                Err(Objection::NotLocal(account)) => {
                    if confirm::served_by_directory(&account) {
                        return self.not_ours(id, &account);
                    }
                    // Nobody's account: there is nothing to close.
                    checks.must_be_local = false;
                }
            }
        };
        let changed = applied.changed || begun;
        let finding = self.verify(action, applied.failures)?;
        let took = self.since_accepted(id);
        let outcome = conclude::from_finding(id, finding, changed, as_ordered(action), took);
        self.conclude(outcome)
    }

    fn not_ours(&mut self, id: OrderId, account: &AccountName) -> Result<Outcome, EngineError> {
        let why = format!(
            "{account} is not in /etc/passwd; a directory serves it (nsswitch.conf(5)), \
             disable it there"
        );
        let took = self.since_accepted(id);
        self.conclude(conclude::impossible(id, why, took))
    }

    /// Plans and applies until nothing departs from the order, or something stands in the way.
    ///
    /// What is checked first is checked in the very reading that the first plan is made from.
    pub(super) fn apply(
        &mut self,
        id: OrderId,
        action: &Action,
        checks: Checks,
    ) -> Result<Result<Applied, Objection>, EngineError> {
        let mut applied = Applied::default();
        let mut put_off = PutOff::default();
        for round in 0..ROUNDS_MAX {
            applied.failures.clear();
            let root = Rc::clone(self.host.root());
            // Held from reading to writing, so that nobody who keeps to it comes between.
            let lock = match action {
                Action::DisableAccount { .. } => match Host::lock(&root) {
                    Ok(lock) => Some(lock),
                    Err(error) => {
                        applied.failures.push(error.to_string());
                        None
                    }
                },
                _ => None,
            };
            let (recently, now) = (reach::recently_closed(self, action), self.wall());
            let mut reading = read_for(&mut self.host, action)?;
            if round == 0 {
                if checks.must_be_local
                    && let Some(account) = not_local(action, &reading)
                {
                    return Ok(Err(Objection::NotLocal(account)));
                }
                if checks.guards {
                    let reach = reach::of(&mut reading, action, recently, now)?;
                    if let Err(refusal) = guards::judge(&reach, &self.config.guards) {
                        return Ok(Err(Objection::Refused(refusal)));
                    }
                }
            }
            let mut plan = plan_for(action, &see(action, &mut reading)?);
            let accounts = Rc::clone(&reading.accounts);
            drop(reading);
            if lock.is_none() {
                plan.changes
                    .retain(|change| !matches!(change, Change::SetFields(_)));
            }
            put_off = plan.put_off(true);
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
        let mut stale = false;
        for (step, change) in (0u32..).zip(&plan.changes) {
            let uses_lock = matches!(change, Change::SetFields(_) | Change::RestoreFields(_));
            let later = &plan.changes[step as usize..];
            if !later
                .iter()
                .any(|c| matches!(c, Change::SetFields(_) | Change::RestoreFields(_)))
            {
                // Others wait for it; what follows does not need it.
                lock = None;
            }
            self.store
                .append(&Event::StepBegun { order: id, step }, None)?;
            let owner = owner_of(change, accounts);
            let lock = lock.as_ref().filter(|_| uses_lock);
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
        let mut reading = read_for(&mut self.host, action)?;
        let mut finding = Finding::default();
        let seen = see(action, &mut reading)?;
        finding.gaps = seen.gaps.clone();
        let undone = plan_for(action, &seen);
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
        finding.paths = match action {
            Action::DisableAccount { account } => match reading.accounts.by_name(account) {
                Some(account) => reading.paths_to_close(&account),
                None => Vec::new(),
            },
            Action::RevokeKey {
                fingerprint,
                account,
            } => paths_of_key(&mut reading, *fingerprint, account.as_ref()),
            Action::EndSessions { account } => match reading.accounts.by_name(account) {
                Some(account) => reading.open_now(&account),
                None => Vec::new(),
            },
            Action::EndKeySessions {
                fingerprint,
                account,
            } => reading.paths_of_key_sessions(*fingerprint, account.as_ref()),
            Action::Release { .. } => Vec::new(),
        };
        let account = account_of(action).and_then(|name| reading.accounts.by_name(name));
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

/// The account as whose file a change is made, where it is about a file of an account.
fn owner_of(change: &Change, accounts: &Accounts) -> Option<Account> {
    match change {
        Change::RemoveKeys(keys) | Change::RestoreKeys(keys) => accounts.by_name(&keys.account),
        _ => None,
    }
}

/// The account that an order is about, when it is not this host's own.
fn not_local(action: &Action, reading: &Reading<'_>) -> Option<AccountName> {
    match action {
        Action::DisableAccount { account } | Action::EndSessions { account } => {
            let ours = reading.accounts.by_name(account).is_some();
            (!ours).then(|| account.clone())
        }
        _ => None,
    }
}

/// Reads the host, and before that what an order needs to know of its logins.
fn read_for<'h>(host: &'h mut Host, action: &Action) -> Result<Reading<'h>, HostError> {
    let logins = matches!(action, Action::EndKeySessions { .. })
        .then(|| host.logins().look(LOGINS_PATIENCE));
    let mut reading = host.read()?;
    if let Some(logins) = logins {
        reading.know_logins(logins);
    }
    Ok(reading)
}

/// What an order needs to know of the host.
pub(super) fn see(action: &Action, reading: &mut Reading<'_>) -> Result<Seen, HostError> {
    let mut seen = Seen::default();
    match action {
        Action::DisableAccount { account } => {
            if let Some(account) = reading.accounts.by_name(account) {
                seen.fields = reading.fields(&account)?;
                (seen.key_files, seen.gaps) = reading.key_files(&account);
                seen.alive = reading.alive(&account);
            }
        }
        Action::RevokeKey {
            fingerprint,
            account,
        } => {
            let with_key = reading.with_key(*fingerprint, account.as_ref());
            seen.key_files = with_key.files.clone();
            seen.gaps = with_key.gaps.iter().cloned().collect();
        }
        Action::EndSessions { account } => {
            if let Some(account) = reading.accounts.by_name(account) {
                seen.alive = reading.alive(&account);
            }
        }
        Action::EndKeySessions {
            fingerprint,
            account,
        } => {
            let sessions = reading.key_sessions(*fingerprint, account.as_ref());
            seen.opened = sessions
                .opened
                .into_iter()
                .map(|(_, subject)| subject)
                .collect();
            seen.gaps = sessions.gaps;
        }
        Action::Release { .. } => {}
    }
    Ok(seen)
}

/// The changes an order needs, as far as it needs any.
pub(super) fn plan_for(action: &Action, seen: &Seen) -> Plan {
    match action {
        Action::DisableAccount { .. } => plan::disable(seen),
        Action::RevokeKey {
            fingerprint,
            account,
        } => plan::revoke_key(*fingerprint, account.is_none(), seen),
        Action::EndSessions { .. } => plan::end_sessions(seen),
        Action::EndKeySessions { .. } => plan::end_key_sessions(seen),
        // What a release changes depends on what was kept, not on what is there.
        Action::Release { .. } => Plan::default(),
    }
}

/// The paths that the key opens, or opened and something else closes.
fn paths_of_key(
    reading: &mut Reading<'_>,
    fingerprint: KeyFingerprint,
    account: Option<&AccountName>,
) -> Vec<AccessPath> {
    // Only accounts in whose files the key still stands are judged, because judging all of them
    // would say nothing about this key.
    let mut paths = Vec::new();
    for account in &reading.with_key(fingerprint, account).holders {
        let all = reading.ways_in(account, None);
        let of_key = |path: &AccessPath| path.fingerprint == Some(fingerprint);
        paths.extend(all.into_iter().filter(of_key));
    }
    paths.retain(|path| path.state != PathState::Closed);
    paths
}

fn as_ordered(action: &Action) -> &'static str {
    match action {
        Action::DisableAccount { .. } => "every way in that was looked at is closed",
        Action::RevokeKey { .. } => "the key stands in no key file in force",
        Action::EndSessions { .. } => "nothing runs as the account",
        Action::EndKeySessions { .. } => "nothing that the key has opened is left",
        Action::Release { .. } => "what was taken is back",
    }
}
