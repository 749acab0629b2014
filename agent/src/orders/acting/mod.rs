//! Who acts as whom without logging in, and who is root by other means: the files that say so,
//! read once in a reading and only when somebody asks.
//!
//! What cannot be read is kept as a gap beside what can, and becomes paths that are unknown.

/// The spool of at(1).
mod at_spool;
/// Tables of cron(8).
mod cron_tables;
/// Programs, told by what is in them.
mod daemons;
/// Rules of polkit(8), doas(1) and gshadow(5), what su(1) asks.
mod grants;
/// Units in the home of an account.
mod home_units;
/// Files of PAM.
mod pam_files;
/// Programs that act as root for others.
mod programs;
/// What sudo(8) reads.
pub mod sudo_policy;
/// Units of the system.
mod system_units;
/// What lies in the directories of units.
mod unit_scan;

use std::path::{Path, PathBuf};

use rescind_protocol::path::{AccessPath, Mechanism};

use crate::deferred::anacrontab::Anacrontab;
use crate::deferred::cron::Kind;
use crate::deferred::unit_set::Unit;
use crate::home::Why;
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::root::HostRoot;
use crate::orders::key_files::UserFiles;
use crate::pam::Service;
use crate::paths::at_jobs::{self, AtFacts};
use crate::paths::cron_jobs::Table;
use crate::paths::pam_gate::Asks;
use crate::paths::rights::{self as open_rights, Gate};
use crate::paths::{cron_jobs, units as unit_paths};
use crate::rights::doas::{self, DoasFacts};
use crate::rights::polkit::PolkitFacts;
use crate::rights::su::SuFacts;
use crate::rights::sudo::SudoFacts;
use crate::rights::sudo_targets::Targets;
use crate::rights::{Right, groups};

pub use daemons::Daemons;
pub use pam_files::HostPam;
pub use system_units::UnitCache;

/// Names in one directory; beyond it is a gap.
const NAMES_MAX: usize = 16_384;
/// A file of settings, rules or jobs.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What was learnt of files before, kept while they stay the same.
#[derive(Debug, Default)]
pub struct Memory {
    /// Programs.
    pub daemons: Daemons,
    /// Unit files.
    pub units: UnitCache,
    /// Programs that act as root for others.
    pub programs: programs::Programs,
    /// sudo.
    pub sudo: sudo_policy::Known,
}

/// Tables of jobs, whoever they run as.
pub struct JobTables<'a> {
    /// The cron that is installed.
    pub daemon: Option<Kind>,
    /// Whom it asks before it runs a job.
    pub asks: &'a Asks,
    /// The system's.
    pub system: &'a [Table],
    /// Those of accounts.
    pub own: Vec<(Account, Table)>,
    /// anacron's.
    pub anacrontab: Option<&'a Anacrontab>,
}

/// What could not be read, and why.
type Gaps = Vec<(PathBuf, String)>;

/// What the host has of all this.
pub struct Acting {
    cron: cron_tables::Tables,
    at: AtFacts,
    units: system_units::Units,
    groups: groups::GroupFacts,
    polkit: PolkitFacts,
    doas: DoasFacts,
    /// Or why it could not be read.
    sudo: Result<SudoFacts, String>,
    /// Whom its rules were found to mean.
    sudo_targets: Targets,
}

impl Acting {
    /// Reads it; `now` in seconds since 1970.
    pub fn read(
        root: &HostRoot,
        memory: &mut Memory,
        accounts: &Accounts,
        files: &mut UserFiles<'_>,
        now: i64,
    ) -> Self {
        let pam = pam_files::HostPam::new(root);
        let mut read_as = |uid: u32, path: &Path| read_as(accounts, files, uid, path);
        Self {
            cron: cron_tables::Tables::read(root, &mut memory.daemons, &pam),
            at: at_spool::read(root, &mut memory.daemons, &pam),
            units: system_units::Units::read(root, &mut memory.units, &pam, &mut read_as, now),
            groups: grants::groups(root, accounts),
            polkit: grants::polkit(root, &mut memory.programs),
            doas: grants::doas(root, &mut memory.programs, &pam),
            sudo: sudo_policy::read(root, &mut memory.sudo, Some(&pam), now)
                .map_err(|error| error.to_string()),
            sudo_targets: Targets::default(),
        }
    }

    /// The directories of an account that are looked at for its paths, and up to how many names of
    /// each.
    pub fn looked_at(&self, account: &Account) -> Vec<(Vec<u8>, u32)> {
        match self.units.has_systemd {
            true => home_units::looked_at(account),
            false => Vec::new(),
        }
    }

    /// The paths of one account that it tells of.
    pub fn paths(
        &self,
        account: &Account,
        root: &HostRoot,
        accounts: &Accounts,
        files: &mut UserFiles<'_>,
        today: i64,
    ) -> Vec<AccessPath> {
        let mut paths = Vec::new();
        let own = self.cron.of(account, root);
        cron_jobs::add(account, &self.cron.facts, &own, today, &mut paths);
        let asked_as = accounts.first_of_its_uid(account);
        at_jobs::add(account, &asked_as, &self.at, today, &mut paths);
        unit_paths::add_system(account, &self.units.facts, today, &mut paths);
        if self.units.has_systemd {
            let own = home_units::read(account, root, &self.units, files);
            unit_paths::add_own(account, &self.units.facts, &own, today, &mut paths);
        }
        self.add_rights(account, accounts, today, &mut paths);
        paths
    }

    /// Tables of jobs; those of accounts are read for it.
    pub fn job_tables(&self, accounts: &Accounts, root: &HostRoot) -> JobTables<'_> {
        JobTables {
            daemon: self.cron.facts.daemon,
            asks: &self.cron.facts.asks,
            system: &self.cron.facts.tables,
            own: self.cron.of_all(accounts, root),
            anacrontab: self.cron.facts.anacrontab.as_ref(),
        }
    }

    /// sudo, or why it could not be read.
    pub fn sudo(&self) -> Result<&SudoFacts, &str> {
        self.sudo.as_ref().map_err(String::as_str)
    }

    /// Whom sudo's rules were found to mean.
    pub const fn sudo_targets(&self) -> &Targets {
        &self.sudo_targets
    }

    /// doas.
    pub const fn doas(&self) -> &DoasFacts {
        &self.doas
    }

    /// polkit.
    pub const fn polkit(&self) -> &PolkitFacts {
        &self.polkit
    }

    /// Groups.
    pub const fn groups(&self) -> &groups::GroupFacts {
        &self.groups
    }

    /// What sudo lets an account do.
    pub fn sudo_paths(
        &self,
        account: &Account,
        accounts: &Accounts,
        today: i64,
    ) -> Vec<AccessPath> {
        let mut paths = Vec::new();
        self.add_sudo(account, accounts, today, &mut paths);
        paths
    }

    fn add_sudo(
        &self,
        account: &Account,
        accounts: &Accounts,
        today: i64,
        paths: &mut Vec<AccessPath>,
    ) {
        let (rights, (services, asked)) = match &self.sudo {
            Ok(sudo) => (
                sudo.rights(account, accounts, &self.sudo_targets),
                sudo.asks_pam(account),
            ),
            Err(why) => (vec![SudoFacts::unread(why)], (Vec::new(), true)),
        };
        let gate = Gate::Pam(&services, asked);
        open_rights::add(account, Mechanism::Sudo, &rights, gate, today, paths);
    }

    /// Whether any rule lets the account do something as another, whatever else it takes; also
    /// where that is not known.
    pub fn has_rights(&self, account: &Account, accounts: &Accounts) -> bool {
        let by_sudo = match &self.sudo {
            Ok(sudo) => !sudo
                .rights(account, accounts, &self.sudo_targets)
                .is_empty(),
            Err(_) => true,
        };
        by_sudo
            || !doas::rights(account, &self.doas).is_empty()
            || !self.polkit.rights(account).is_empty()
    }

    /// What rules let the account do as another.
    fn add_rights(
        &self,
        account: &Account,
        accounts: &Accounts,
        today: i64,
        paths: &mut Vec<AccessPath>,
    ) {
        let by_groups = groups::rights(account, &self.groups);
        let by_polkit = self.polkit.rights(account);
        let by_doas = doas::rights(account, &self.doas);
        let doas: Vec<&Service> = self.doas.service.iter().collect();
        let mut add = |mechanism, rights: &[Right], gate| {
            open_rights::add(account, mechanism, rights, gate, today, paths);
        };
        add(Mechanism::RootEquivalentGroup, &by_groups, Gate::Process);
        add(Mechanism::GroupPassword, &by_groups, Gate::Process);
        self.add_sudo(account, accounts, today, paths);
        let mut add = |mechanism, rights: &[Right], gate| {
            open_rights::add(account, mechanism, rights, gate, today, paths);
        };
        add(Mechanism::Polkit, &by_polkit, Gate::Process);
        add(Mechanism::Doas, &by_doas, Gate::Pam(&doas, true));
    }
}

/// Reads a file with the rights of a uid: what somebody else than root decides is read by nobody but
/// them.
fn read_as(
    accounts: &Accounts,
    files: &mut UserFiles<'_>,
    uid: u32,
    path: &Path,
) -> Result<Option<Vec<u8>>, String> {
    let account = accounts.by_uid(uid).into_iter().next();
    let account = account.ok_or_else(|| format!("{uid} is the uid of no account"))?;
    let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    match files.once(&account, path, FILE_BYTES_MAX) {
        Ok(content) => Ok(Some(content.bytes.to_vec())),
        Err(error) if matches!(error.why, Why::Missing | Why::NotRegular(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// All units of the system that run something, and what could not be read.
pub fn units(
    root: &HostRoot,
    cache: &mut UnitCache,
    accounts: &Accounts,
    files: &mut UserFiles<'_>,
    now: i64,
) -> (Vec<Unit>, Vec<String>) {
    let mut read_as = |uid: u32, path: &Path| read_as(accounts, files, uid, path);
    let (units, gaps) = system_units::all(root, cache, &mut read_as, now);
    (units, gaps.into_iter().map(|(_, why)| why).collect())
}

/// What su(1) asks.
pub fn su(root: &HostRoot) -> SuFacts {
    let pam = pam_files::HostPam::new(root);
    grants::su(root, &mut programs::Programs::default(), &pam)
}

/// Reads a file that may be missing; that it cannot be read is a gap.
fn optional(root: &HostRoot, path: &Path, gaps: &mut Gaps) -> Option<Vec<u8>> {
    match root.read(path, FILE_BYTES_MAX) {
        Ok(file) => Some(file.bytes),
        Err(error) if error.is_missing() => None,
        Err(error) => {
            gaps.push((path.to_owned(), error.to_string()));
            None
        }
    }
}

/// Lists a directory that may be missing; that it cannot be listed is a gap.
fn listed(root: &HostRoot, path: &Path, gaps: &mut Gaps) -> Vec<crate::host::listing::Listed> {
    match root.list(path, NAMES_MAX) {
        Ok(listing) => listing.entries,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => {
            gaps.push((path.to_owned(), error.to_string()));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
