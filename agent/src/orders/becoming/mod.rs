//! What is read to tell who can become whom.

/// What could not be looked at.
mod gaps;
/// What paths lead to.
mod ground;
/// What jobs of cron run.
mod jobs;
/// What an account leaves to others.
pub mod left;
/// Logins from the host to itself.
mod logins;
/// What root and other accounts run or read.
mod runs;
/// Programs that act as their owner.
mod setids;
/// What units run and read.
mod unit_runs;
/// Those for whom the host or Kerberos vouches.
mod vouched;

use std::rc::Rc;

use crate::escalation::explain::{Explanation, Ways, explain as follow};
use crate::host::account::Account;
use crate::orders::acting;
use crate::orders::host::HostError;
use crate::orders::reading::{self, Reading};

/// Why an account can become root, step by step.
pub fn explain(reading: &mut Reading<'_>, account: &Account) -> Result<Explanation, HostError> {
    let now = reading::now();
    let today = now.div_euclid(86_400);
    let acting = reading.all_acting();
    let (accounts, root) = (Rc::clone(&reading.accounts), Rc::clone(reading.root()));
    let ground = ground::Ground::new(&root)?;
    let su = acting::su(&root);
    let jobs = acting.job_tables(&accounts, &root);
    let (units, mut gaps) = reading.units(now);
    let mut found = runs::collect(&root, &accounts, &jobs, &units, &ground, today);
    gaps.append(&mut found.gaps);
    let keys = logins::keys(reading, &ground, &accounts, &mut gaps);
    let (key_files, more) = logins::key_files(reading, &ground, &accounts, &mut gaps);
    found.runs.extend(key_files);
    let (vouched, more_vouched) = vouched::collect(reading, &accounts, &root, &mut gaps);
    let mounts = match root.is_live() {
        // As the host sees them, not this process in its sandbox. Unread means that setuid counts
        // everywhere, so that more is told and nothing is left out.
        true => std::fs::read("/proc/1/mountinfo").unwrap_or_default(),
        false => Vec::new(),
    };
    let nosuid = setids::nosuid(&mounts);
    let (setids, more_setids) = setids::collect(&root, &accounts, &ground, &nosuid, &mut gaps);
    let ways = Ways {
        accounts: &accounts,
        sudo: acting.sudo(),
        sudo_targets: acting.sudo_targets(),
        doas: acting.doas(),
        polkit: acting.polkit(),
        groups: acting.groups(),
        su: &su,
        runs: &found.runs,
        keys: &keys,
        vouched: &vouched,
        setids: &setids,
        paths: &ground,
        today,
    };
    let mut explained = follow(account, &ways);
    gaps.extend(ground.take_not_known().told("programs of rules"));
    gaps.sort_unstable();
    gaps.dedup();
    explained.cut |= found.cut || more || more_vouched || more_setids;
    explained.gaps = gaps;
    Ok(explained)
}
