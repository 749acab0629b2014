//! Holding orders in force: what puts revoked access back is undone, and reported as drift.
//!
//! The planner is the judge: an order of which a fresh reading leaves nothing to change is held.
//! Watches only say where to look at once; the survey looks everywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rescind_protocol::evidence::{Confirmation, Event};
use rescind_protocol::name::{AccountName, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Verdict;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};

use crate::orders::confirm::Question;
use crate::orders::enforce::{Applied, Checks, plan_for, see};
use crate::orders::host::Host;
use crate::orders::kept::Kept;
use crate::orders::plan::{Change, Plan};
use crate::orders::reading::Reading;
use crate::orders::{Engine, EngineError, conclude};
use crate::store::Clock;

/// Paths that one drift record names.
const DRIFT_PATHS_MAX: usize = 64;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// At every order in force.
    Everywhere,
    /// At the orders that one of these paths matters to.
    At(BTreeSet<PathBuf>),
}

/// What matters to an order in force: files, any of which may give access back.
#[derive(Debug, Clone)]
pub struct Interest {
    order: OrderId,
    files: BTreeSet<PathBuf>,
}

impl Engine {
    /// Looks at orders in force and closes what is open again.
    pub fn hold(&mut self, look: &Look) -> Result<(), EngineError> {
        let mut departing = Vec::new();
        let orders = self.to_look_at(look);
        if orders.is_empty() {
            return Ok(());
        }
        // A new account or another sshd_config brings other files that matter.
        self.watch_list_stale = true;
        let mut reading = self.host.read()?;
        for (id, action) in orders {
            let seen = see(&action, &mut reading)?;
            let plan = plan_for(&action, &seen);
            if !plan.changes.is_empty() {
                let paths = put_back(&mut reading, &action, &plan);
                departing.push((id, action, paths));
            }
        }
        drop(reading);
        for (id, action, paths) in departing {
            self.close_again(id, &action, paths)?;
        }
        Ok(())
    }

    fn to_look_at(&self, look: &Look) -> Vec<(OrderId, Action)> {
        let matters = |id: OrderId| match look {
            Look::Everywhere => true,
            Look::At(paths) => {
                let mut interests = self.interests.iter();
                let interest = interests.find(|interest| interest.order == id);
                // What matters to an order that has just ended is not known yet.
                interest.is_none_or(|interest| interest.is_touched_by(paths))
            }
        };
        let standing = self.store.state().standing();
        standing
            .filter(|order| order.outcome.is_some())
            .map(|order| order.order())
            .filter(|order| matters(order.id))
            .map(|order| (order.id, order.action.clone()))
            .collect()
    }

    fn close_again(
        &mut self,
        id: OrderId,
        action: &Action,
        paths: Vec<AccessPath>,
    ) -> Result<(), EngineError> {
        let Some(order) = self.store.state().order(id) else {
            return Ok(());
        };
        let was_done = order
            .outcome
            .as_ref()
            .is_some_and(|outcome| is_done(outcome.verdict));
        let (times, contested) = (order.drift + 1, order.contested);
        if !was_done {
            // Never reached its end: what is there now is no drift, the order goes on.
            return self.enforce_again(id, action, true);
        }
        let files: BTreeSet<String> = paths
            .iter()
            .filter_map(|path| path.source.as_ref().map(|source| source.file.clone()))
            .collect();
        tracing::warn!(order = %id, times, ?files, "drift: access was put back; closing it again");
        self.store.append_synced(
            &Event::Drift {
                order: id,
                paths,
                actor: "unknown".into(),
                times,
            },
            None,
        )?;
        if times >= self.config.hold.contested_after && !contested {
            self.store.append_synced(
                &Event::Contested {
                    order: id,
                    files: files.into_iter().collect(),
                    times,
                },
                None,
            )?;
        }
        // What was put back is not what the order took: a release does not bring it back.
        self.enforce_again(id, action, false)
    }

    fn enforce_again(
        &mut self,
        id: OrderId,
        action: &Action,
        keep: bool,
    ) -> Result<(), EngineError> {
        let before = self.clock.boot_us();
        let applied = if keep {
            // Without checks nothing can be objected to.
            let applied = self.apply(id, action, Checks::NONE)?;
            applied.unwrap_or_default()
        } else {
            self.apply_unkept(id, action)?
        };
        let finding = self.verify(action, applied.failures)?;
        let took = self.clock.boot_us().saturating_sub(before);
        let held = "closed again, every way in that was looked at is closed";
        let outcome = conclude::from_finding(id, finding, applied.changed, held, took);
        if !is_done(outcome.verdict) && self.last_verdict(id) == Some(outcome.verdict) {
            // Said before; a survey every few minutes need not say it again.
            return Ok(());
        }
        self.conclude(outcome).map(drop)
    }

    fn apply_unkept(&mut self, id: OrderId, action: &Action) -> Result<Applied, EngineError> {
        let mut applied = Applied::default();
        let root = Rc::clone(self.host.root());
        let lock = match (action, Host::lock(&root)) {
            (Action::DisableAccount { .. }, Ok(lock)) => Some(lock),
            (Action::DisableAccount { .. }, Err(error)) => {
                applied.failures.push(error.to_string());
                None
            }
            _ => None,
        };
        let mut reading = self.host.read()?;
        let plan = plan_for(action, &see(action, &mut reading)?);
        let accounts = Rc::clone(&reading.accounts);
        drop(reading);
        if !plan.changes.is_empty() {
            self.make_all(id, &plan, &Kept::default(), &accounts, lock, &mut applied)?;
        }
        Ok(applied)
    }

    fn last_verdict(&self, id: OrderId) -> Option<Verdict> {
        let order = self.store.state().order(id)?;
        order.outcome.as_ref().map(|outcome| outcome.verdict)
    }

    /// What the host's own tools are to be asked next, about an order that ended as it should.
    pub fn next_to_confirm(&mut self) -> Result<Option<Question>, EngineError> {
        while let Some(order) = self.to_confirm.pop_front() {
            let Some(account) = self.to_be_confirmed(order) else {
                continue;
            };
            let reading = self.host.read()?;
            let Some(account) = reading.accounts.by_name(&account) else {
                continue;
            };
            let (files, _) = reading.key_files_in_force(&account);
            let key_files = files.into_iter().map(|file| file.path).collect();
            return Ok(Some(Question {
                order,
                account,
                key_files,
            }));
        }
        Ok(None)
    }

    /// Records what they answered, if the order is still in force.
    pub fn confirm(
        &mut self,
        order: OrderId,
        answers: Vec<Confirmation>,
    ) -> Result<(), EngineError> {
        if self.to_be_confirmed(order).is_some() {
            self.store
                .append_synced(&Event::Confirmed { order, answers }, None)?;
        }
        Ok(())
    }

    /// The account whose being closed can be confirmed by an order.
    fn to_be_confirmed(&self, order: OrderId) -> Option<AccountName> {
        let order = self.store.state().order(order)?;
        let done = order
            .outcome
            .as_ref()
            .is_some_and(|outcome| is_done(outcome.verdict));
        match &order.order().action {
            Action::DisableAccount { account } if done && order.is_standing() => {
                self.host.is_live().then(|| account.clone())
            }
            _ => None,
        }
    }

    /// Reads anew what matters to the orders in force, and with it the directories to watch.
    pub(super) fn directories(&mut self) -> Result<BTreeSet<PathBuf>, EngineError> {
        let standing = self.store.state().standing();
        let orders: Vec<(OrderId, Action)> = standing
            .map(|order| (order.order().id, order.order().action.clone()))
            .collect();
        if orders.is_empty() || !self.host.is_live() {
            self.interests.clear();
            return Ok(BTreeSet::new());
        }
        let reading = self.host.read()?;
        self.interests = orders
            .into_iter()
            .map(|(order, action)| Interest {
                order,
                files: files_of_interest(&reading, &action),
            })
            .collect();
        let files = self.interests.iter().flat_map(|interest| &interest.files);
        Ok(files.filter_map(|file| nearest_directory(file)).collect())
    }
}

impl Interest {
    /// A path matters when it is one of the files, or a directory on the way to one that was made,
    /// moved or given other rights.
    fn is_touched_by(&self, paths: &BTreeSet<PathBuf>) -> bool {
        self.files
            .iter()
            .any(|file| file.ancestors().any(|path| paths.contains(path)))
    }
}

const fn is_done(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Verified | Verdict::Already)
}

/// The paths that the changes of a plan are about: what was put back.
fn put_back(reading: &mut Reading<'_>, action: &Action, plan: &Plan) -> Vec<AccessPath> {
    let mut names: BTreeSet<AccountName> = plan
        .changes
        .iter()
        .map(|change| match change {
            Change::Freeze(subject) | Change::EndSessions(subject) => subject.name.clone(),
            Change::SetFields(fields) | Change::RestoreFields(fields) => fields.account.clone(),
            Change::RemoveKeys(keys) | Change::RestoreKeys(keys) => keys.account.clone(),
        })
        .collect();
    if let Action::DisableAccount { account } = action {
        names.insert(account.clone());
    }
    let mut paths = Vec::new();
    for name in names {
        if let Some(account) = reading.accounts.by_name(&name) {
            paths.extend(reading.paths(&account));
        }
    }
    let key = match action {
        Action::RevokeKey { fingerprint, .. } => Some(*fingerprint),
        _ => None,
    };
    // A key that is back is drift even while the account's expiry still keeps it shut.
    let is_back = |path: &AccessPath| {
        let about_key = path.mechanism == Mechanism::SshPublicKey;
        match key {
            Some(key) => path.fingerprint == Some(key),
            None => path.state != PathState::Closed || about_key,
        }
    };
    paths.retain(is_back);
    paths.truncate(DRIFT_PATHS_MAX);
    paths
}

fn files_of_interest(reading: &Reading<'_>, action: &Action) -> BTreeSet<PathBuf> {
    let configs = reading
        .sshds
        .iter()
        .filter_map(|sshd| sshd.config.as_ref().ok());
    let mut files: BTreeSet<PathBuf> = configs
        .flat_map(|config| config.files().map(Path::to_path_buf))
        .collect();
    files.insert("/etc/passwd".into());
    let accounts: Vec<_> = match action {
        Action::DisableAccount { account } => {
            files.insert("/etc/shadow".into());
            reading.accounts.by_name(account).into_iter().collect()
        }
        Action::RevokeKey {
            account: Some(account),
            ..
        } => reading.accounts.by_name(account).into_iter().collect(),
        Action::RevokeKey { account: None, .. } => reading.accounts.iter().collect(),
        Action::EndSessions { .. } | Action::Release { .. } => Vec::new(),
    };
    for account in accounts {
        let (refs, _) = reading.key_files_in_force(&account);
        files.extend(refs.into_iter().map(|file| file.path));
    }
    files
}

/// The nearest directory on the way to a file that is there, which is the one to watch for it.
fn nearest_directory(file: &Path) -> Option<PathBuf> {
    let mut directories = file.ancestors().skip(1);
    directories.find(|dir| dir.is_dir()).map(Path::to_path_buf)
}
