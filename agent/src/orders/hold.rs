//! Holding orders in force: what puts revoked access back is undone, and reported as drift.
//!
//! The planner is the judge: an order of which a fresh reading leaves nothing to change is held.
//! Watches only say where to look at once; the survey looks everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use rescind_protocol::evidence::{Confirmation, Event};
use rescind_protocol::name::{AccountName, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Verdict;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};

use crate::host::account::Account;
use crate::host::expiry::DISABLED_DAY;
use crate::host::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile};
use crate::host::shadow::Shadow;
use crate::orders::actions;
use crate::orders::confirm::{Question, What};
use crate::orders::enforce::{Applied, Guards, lock_for};
use crate::orders::interests::{Interests, Touched};
use crate::orders::kept::Kept;
use crate::orders::plan::{Change, Plan};
use crate::orders::reading::Reading;
use crate::orders::{Engine, EngineError, membership, sudo_denial};
use crate::store::{Clock, OrderState};

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

/// What is known of the directories to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WatchList {
    /// They are what they were.
    Current,
    /// Some came, went, or came into being.
    Moved,
    /// Other files than before may matter.
    Unknown,
}

impl Engine {
    /// Looks at orders in force and closes what is open again.
    pub fn hold(&mut self, look: &Look) -> Result<(), EngineError> {
        let touched = match look {
            Look::At(paths) if self.watch_list != WatchList::Unknown => {
                self.interests.touched_by(paths)
            }
            _ => Touched::everything(),
        };
        if touched.everything {
            // A new account or another sshd_config brings other files that matter.
            self.watch_list = WatchList::Unknown;
        } else if !touched.accounts.is_empty() {
            // A directory that came into being is nearer to a file than the one watched so far.
            self.watch_list = self.watch_list.max(WatchList::Moved);
        }
        let orders = self.to_look_at(&touched)?;
        if orders.is_empty() {
            return Ok(());
        }
        let mut departing = Vec::new();
        let mut reading = self.host.read()?;
        let keys = orders.iter().filter_map(|(_, action)| match action {
            Action::RevokeKey { fingerprint, .. } => Some(*fingerprint),
            _ => None,
        });
        let keys_of = (!touched.everything).then(|| touched.accounts.clone());
        reading.expect_keys(keys.collect(), keys_of);
        for (id, action) in orders {
            let seen = actions::see(&action, &mut reading)?;
            let plan = actions::plan(&action, &seen);
            let departs = match is_about_rules(&action) {
                // What gives a right back may be nothing that an order changes.
                true => {
                    !plan.changes.is_empty() || !put_back(&mut reading, &action, &plan)?.is_empty()
                }
                false => !plan.changes.is_empty() && !is_only_knocking(&reading, &action, &plan),
            };
            // What once stood in the way may be gone, though there is nothing to change.
            let unfinished = || {
                self.store
                    .state()
                    .order(id)
                    .is_some_and(|one| !was_done(one))
            };
            if departs || (touched.everything && unfinished()) {
                let paths = put_back(&mut reading, &action, &plan)?;
                let files = files_of(&paths, &plan);
                departing.push((id, action, paths, files));
            }
        }
        drop(reading);
        for (id, action, paths, files) in departing {
            self.close_again(id, &action, paths, files)?;
        }
        Ok(())
    }

    /// The orders that what was touched may matter to. A change of shadow(5) is looked into here:
    /// each order that closes an account is one, and all of them are touched by it.
    fn to_look_at(&self, touched: &Touched) -> Result<Vec<(OrderId, Action)>, EngineError> {
        if touched.is_nothing() {
            return Ok(Vec::new());
        }
        let not_closed = match touched.shadow && !touched.everything {
            true => self.not_closed_in_shadow()?,
            false => BTreeSet::new(),
        };
        let matters = |order: &OrderState| {
            let is_about = |account: &AccountName| touched.accounts.contains(account);
            touched.everything
                || match &order.order().action {
                    Action::DisableAccount { account } => {
                        is_about(account) || not_closed.contains(account)
                    }
                    Action::RevokeKey { account, .. } => match account {
                        Some(account) => is_about(account),
                        None => !touched.accounts.is_empty(),
                    },
                    Action::RevokeGroup { .. } | Action::RevokeSudo { .. } => touched.rules,
                    Action::EndSessions { .. }
                    | Action::EndKeySessions { .. }
                    | Action::Release { .. } => false,
                }
        };
        let standing = self.store.state().standing();
        Ok(standing
            .filter(|order| order.outcome.is_some() && matters(order))
            .map(|order| (order.order().id, order.order().action.clone()))
            .collect())
    }

    /// The accounts that orders close and shadow(5) does not, or of which it cannot be told.
    fn not_closed_in_shadow(&self) -> Result<BTreeSet<AccountName>, EngineError> {
        let mut closing: BTreeMap<&[u8], &OrderState> = BTreeMap::new();
        for order in self.store.state().standing() {
            if let Action::DisableAccount { account } = &order.order().action {
                closing.insert(account.as_str().as_bytes(), order);
            }
        }
        let account = |order: &&OrderState| match &order.order().action {
            Action::DisableAccount { account } => Some(account.clone()),
            _ => None,
        };
        let root = self.host.root();
        let shadow = match root.read(AccountFile::Shadow.path(), ACCOUNT_FILE_BYTES_MAX) {
            Ok(file) => Shadow::parse(file.bytes),
            Err(_) => return Ok(closing.values().filter_map(account).collect()),
        };
        let not_closed = shadow.not_closed(DISABLED_DAY, |name| closing.contains_key(name));
        let not_closed = not_closed.filter_map(|name| closing.get(name));
        // An order that did not reach its end is looked at whatever changes.
        let unfinished = closing.values().filter(|order| !was_done(order));
        Ok(not_closed.chain(unfinished).filter_map(account).collect())
    }

    fn close_again(
        &mut self,
        id: OrderId,
        action: &Action,
        paths: Vec<AccessPath>,
        files: BTreeSet<String>,
    ) -> Result<(), EngineError> {
        let Some(order) = self.store.state().order(id) else {
            return Ok(());
        };
        let was_done = was_done(order);
        let (times, contested) = (order.drift + 1, order.contested);
        if !was_done {
            // Never reached its end: what is there now is no drift, the order goes on.
            return self.enforce_again(id, action, true);
        }
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
            // Without guards nothing is refused.
            let applied = self.apply(id, action, Guards::Passed)?;
            applied.unwrap_or_default()
        } else {
            self.apply_unkept(id, action)?
        };
        let finding = self.verify(action, applied.failures)?;
        let took = self.clock.boot_us().saturating_sub(before);
        let held = "closed again, every way in that was looked at is closed";
        let outcome = self.ending(id, finding, applied.changed, held, took)?;
        if !is_done(outcome.verdict) && self.last_verdict(id) == Some(outcome.verdict) {
            // Said before; a survey every few minutes need not say it again.
            return Ok(());
        }
        self.conclude(outcome).map(drop)
    }

    fn apply_unkept(&mut self, id: OrderId, action: &Action) -> Result<Applied, EngineError> {
        let mut applied = Applied::default();
        let root = Rc::clone(self.host.root());
        let lock = lock_for(&root, actions::locked_files(action), &mut applied);
        let mut reading = self.host.read()?;
        let mut plan = actions::plan(action, &actions::see(action, &mut reading)?);
        let accounts = Rc::clone(&reading.accounts);
        drop(reading);
        let put_off = plan.put_off(false);
        if !plan.changes.is_empty() {
            self.make_all(id, &plan, &Kept::default(), &accounts, lock, &mut applied)?;
        }
        // It is drift again at the next look.
        applied.failures.extend(put_off.what);
        Ok(applied)
    }

    fn last_verdict(&self, id: OrderId) -> Option<Verdict> {
        let order = self.store.state().order(id)?;
        order.outcome.as_ref().map(|outcome| outcome.verdict)
    }

    /// What the host's own tools are to be asked next, about an order that ended as it should.
    pub fn next_to_confirm(&mut self) -> Result<Option<Question>, EngineError> {
        while let Some(order) = self.to_confirm.pop_front() {
            let Some(action) = self.to_be_confirmed(order) else {
                continue;
            };
            let reading = self.host.read()?;
            let Some(account) = action
                .account()
                .and_then(|name| reading.accounts.by_name(name))
            else {
                continue;
            };
            let what = match action {
                Action::RevokeGroup { group, .. } => What::NotIn(group),
                Action::RevokeSudo { .. } => What::NoSudo,
                _ => {
                    let (files, _) = reading.key_files_in_force(&account);
                    What::Closed(files.into_iter().map(|file| file.path).collect())
                }
            };
            return Ok(Some(Question {
                order,
                account,
                what,
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

    /// What an order did, where the host's own tools can be asked about it.
    fn to_be_confirmed(&self, order: OrderId) -> Option<Action> {
        let order = self.store.state().order(order)?;
        let action = &order.order().action;
        let can_be_asked = matches!(
            action,
            Action::DisableAccount { .. } | Action::RevokeGroup { .. } | Action::RevokeSudo { .. }
        );
        let is_to_be = can_be_asked && was_done(order) && order.is_standing();
        (is_to_be && self.host.is_live()).then(|| action.clone())
    }

    /// The directories to watch, when they are not what they were at the last call.
    pub fn directories_to_watch(&mut self) -> Option<BTreeSet<PathBuf>> {
        let known = std::mem::replace(&mut self.watch_list, WatchList::Current);
        if known == WatchList::Unknown {
            match self.read_interests() {
                Ok(interests) => self.interests = interests,
                Err(error) => {
                    self.watch_list = WatchList::Unknown;
                    tracing::warn!(%error, "what to watch could not be read; the survey goes on");
                    return None;
                }
            }
        }
        (known != WatchList::Current).then(|| self.interests.directories())
    }

    /// Reads anew what matters to the orders in force.
    fn read_interests(&mut self) -> Result<Interests, EngineError> {
        let standing = self.store.state().standing();
        let actions: Vec<Action> = standing.map(|order| order.order().action.clone()).collect();
        if actions.is_empty() || !self.host.is_live() {
            return Ok(Interests::default());
        }
        let reading = self.host.read()?;
        let mut interests = Interests::of_everybody(reading.config_files());
        if actions.iter().any(is_about_rules) {
            interests.add_rules(membership::files().into_iter().chain(sudo_denial::files()));
        }
        let on_all = |action: &Action| matches!(action, Action::RevokeKey { account: None, .. });
        if actions.iter().any(on_all) {
            for account in reading.accounts.iter() {
                add_key_files(&mut interests, &reading, &account);
            }
            return Ok(interests);
        }
        for action in &actions {
            let account = action.account().filter(|_| !is_about_rules(action));
            let account = account.and_then(|name| reading.account(name));
            if let Some(account) = account {
                add_key_files(&mut interests, &reading, &account);
            }
        }
        Ok(interests)
    }

    /// What matters to an order that has been verified, without reading all of the others' again.
    pub(super) fn note_interest(&mut self, action: &Action, files: &[(AccountName, PathBuf)]) {
        let on_all = matches!(action, Action::RevokeKey { account: None, .. });
        let new_rules = is_about_rules(action) && !self.interests.has_rules();
        if on_all || new_rules || self.interests.is_empty() {
            self.watch_list = WatchList::Unknown;
        }
        for (account, file) in files {
            if self.interests.add(account, file) {
                self.watch_list = self.watch_list.max(WatchList::Moved);
            }
        }
    }
}

fn add_key_files(interests: &mut Interests, reading: &Reading<'_>, account: &Account) {
    let (refs, _) = reading.key_files_in_force(account);
    for file in refs {
        interests.add(&account.name, &file.path);
    }
}

fn was_done(order: &OrderState) -> bool {
    let outcome = order.outcome.as_ref();
    outcome.is_some_and(|outcome| is_done(outcome.verdict))
}

const fn is_done(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Verified | Verdict::Already)
}

/// Whether all that stands against the order is an sshd to which somebody has said the account's
/// name: nothing runs as it, and what lets it in is closed.
fn is_only_knocking(reading: &Reading<'_>, action: &Action, plan: &Plan) -> bool {
    let Action::DisableAccount { account } = action else {
        return false;
    };
    let of_processes =
        |change: &Change| matches!(change, Change::Freeze(_) | Change::EndSessions(_));
    let account = reading.account(account);
    plan.changes.iter().all(of_processes)
        && account.is_some_and(|account| !reading.has_processes(&account))
}

/// The files that make the paths, and those that are to be changed again though another order
/// keeps the path shut.
fn files_of(paths: &[AccessPath], plan: &Plan) -> BTreeSet<String> {
    let sources = paths.iter().filter_map(|path| path.source.as_ref());
    let sources = sources.map(|source| source.file.clone());
    let changed = plan.changes.iter();
    let changed = changed.filter(|c| !matches!(c, Change::Freeze(_) | Change::EndSessions(_)));
    sources
        .chain(changed.map(|change| change.step().target))
        .collect()
}

/// Whether an action is about what rules and groups say, not about ways in.
const fn is_about_rules(action: &Action) -> bool {
    matches!(
        action,
        Action::RevokeGroup { .. } | Action::RevokeSudo { .. }
    )
}

/// The paths that the changes of a plan are about: what was put back.
fn put_back(
    reading: &mut Reading<'_>,
    action: &Action,
    plan: &Plan,
) -> Result<Vec<AccessPath>, EngineError> {
    if is_about_rules(action) {
        let mut paths = actions::paths(action, reading)?;
        paths.retain(|path| path.state != PathState::Closed);
        paths.truncate(DRIFT_PATHS_MAX);
        return Ok(paths);
    }
    let mut names: BTreeSet<AccountName> = plan
        .changes
        .iter()
        .map(|change| change.account().clone())
        .collect();
    if let Action::DisableAccount { account } = action {
        names.insert(account.clone());
    }
    let mut paths = Vec::new();
    for name in names {
        if let Some(account) = reading.account(&name) {
            paths.extend(reading.paths_to_close(&account));
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
    Ok(paths)
}
