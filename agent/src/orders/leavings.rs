//! What an account leaves behind, and closing it does not stop: only looked for where an account is
//! closed, to be named.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism, PathState, in_short};

use crate::host::account::Account;
use crate::orders::reading::Reading;
use crate::paths::rows::Rows;
use crate::paths::verdict::Verdict;
use crate::rights::doas;

impl Reading<'_> {
    /// All of it.
    pub fn leavings(&mut self, account: &Account) -> Vec<AccessPath> {
        let mut paths = self.adrift(account);
        self.add_left(account, &mut paths);
        self.add_by_rules(account, &mut paths);
        paths
    }

    /// What it has left to be run.
    fn add_left(&mut self, account: &Account, paths: &mut Vec<AccessPath>) {
        let left = match self.left_by(account) {
            Ok(left) => left,
            Err(error) => {
                let why = format!("what it has left to be run is not known: {error}");
                let mut rows = Rows::new(account, Mechanism::Process);
                rows.add(Verdict::unknown(why), Path::new(PROC), None);
                return rows.finish(paths);
            }
        };
        let mut jobs = Rows::new(account, Mechanism::Crontab);
        let mut units = Rows::new(account, Mechanism::SystemdUnit);
        for step in left.runs.iter().filter(|step| step.to != account.name) {
            let why = format!("{}; what it has left there is run on", step.reason);
            let Some(source) = &step.source else {
                continue;
            };
            let rows = match source.file.contains("cron") {
                true => &mut jobs,
                false => &mut units,
            };
            rows.add(Verdict::open(why), Path::new(&source.file), source.line);
        }
        if let Some(gap) = left.gaps.first() {
            let why = format!("whether jobs or units run what it has left is not known: {gap}");
            jobs.add(Verdict::unknown(why), Path::new(PROC), None);
        }
        jobs.finish(paths);
        units.finish(paths);
        let mut programs = Rows::new(account, Mechanism::SharedUid);
        for path in &left.setuid {
            let why = "others act as the account with this program (setuid)";
            let path = Path::new(OsStr::from_bytes(path));
            programs.add(Verdict::open(why), path, None);
        }
        programs.finish(paths);
    }

    /// Rules by which others become it: to be named for people, as services are others' to be.
    fn add_by_rules(&mut self, account: &Account, paths: &mut Vec<AccessPath>) {
        let acting = self.all_acting();
        let mut rows = Rows::new(account, Mechanism::Sudo);
        // What of sudo's rules could not be read is told with those for the account.
        for (file, line, who) in acting
            .sudo()
            .iter()
            .flat_map(|sudo| sudo.by_others(account))
        {
            let why = format!("sudo lets others be it: {who}");
            rows.add(Verdict::open(why), &file, Some(line));
        }
        rows.finish(paths);
        let mut rows = Rows::new(account, Mechanism::Doas);
        for (line, who) in doas::by_others(account, acting.doas()) {
            let why = format!("doas lets others be it: {who}");
            rows.add(Verdict::open(why), Path::new(doas::DOAS_CONF), Some(line));
        }
        rows.finish(paths);
    }

    /// Processes that may have been begun by the account's rights, nothing where it has none.
    fn adrift(&mut self, account: &Account) -> Vec<AccessPath> {
        let acting = self.all_acting();
        let Some(moment) = self.moment() else {
            return Vec::new();
        };
        if !acting.has_rights(account, &self.accounts) {
            return Vec::new();
        }
        let (left, gaps) = moment.adrift();
        let left = left.iter().filter(|process| process.uids[0] != account.uid);
        let told = left.map(|process| {
            let uid = process.uids[0];
            format!("{process} of uid {uid} was begun over ssh and left, for whom is not known")
        });
        let gap = gaps.first();
        let gap = gap.map(|gap| format!("what was begun over ssh and left is not known: {gap}"));
        let path = |reason| AccessPath {
            account: account.name.clone(),
            uid: account.uid,
            mechanism: Mechanism::Process,
            state: PathState::Unknown,
            reason: in_short(reason),
            source: None,
            fingerprint: None,
        };
        told.chain(gap).take(PROCESSES_MAX).map(path).collect()
    }
}

/// What has no better place.
const PROC: &str = "/proc";
/// Processes that are told one by one.
const PROCESSES_MAX: usize = 32;
