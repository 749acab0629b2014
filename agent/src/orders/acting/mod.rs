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
/// Rules of polkit(8), doas(1) and gshadow(5).
mod grants;
/// Units in the home of an account.
mod home_units;
/// Files of PAM.
mod pam_files;
/// Units of the system.
mod system_units;
/// What lies in the directories of units.
mod unit_scan;

use std::path::{Path, PathBuf};

use rescind_protocol::path::AccessPath;

use crate::home::Why;
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::root::HostRoot;
use crate::orders::key_files::UserFiles;
use crate::paths::at_jobs::{self, AtFacts};
use crate::paths::doas::{self, DoasFacts};
use crate::paths::polkit::{self, PolkitFacts};
use crate::paths::{cron_jobs, groups, units};

pub use daemons::Daemons;
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
}

/// What could not be read, and why.
type Gaps = Vec<(PathBuf, String)>;

/// What the host has of all this.
pub struct Acting {
    cron: cron_tables::Tables,
    at: AtFacts,
    units: system_units::Units,
    groups: grants::Groups,
    polkit: PolkitFacts,
    doas: DoasFacts,
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
        // What somebody else than root decides is read by nobody but them.
        let mut read_as = |uid: u32, path: &Path| {
            let account = accounts.by_uid(uid).into_iter().next();
            let account = account.ok_or_else(|| format!("{uid} is the uid of no account"))?;
            let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
            match files.once(&account, path, FILE_BYTES_MAX) {
                Ok(content) => Ok(Some(content.bytes.to_vec())),
                Err(error) if matches!(error.why, Why::Missing | Why::NotRegular(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        Self {
            cron: cron_tables::Tables::read(root, &mut memory.daemons, &pam),
            at: at_spool::read(root, &mut memory.daemons, &pam),
            units: system_units::Units::read(root, &mut memory.units, &pam, &mut read_as, now),
            groups: grants::Groups::read(root),
            polkit: grants::polkit(root),
            doas: grants::doas(root),
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
        units::add_system(account, &self.units.facts, today, &mut paths);
        if self.units.has_systemd {
            let own = home_units::read(account, root, &self.units, files);
            units::add_own(account, &self.units.facts, &own, today, &mut paths);
        }
        let group = accounts.group().map_err(ToString::to_string);
        groups::add(account, &self.groups.facts(group), today, &mut paths);
        polkit::add(account, &self.polkit, today, &mut paths);
        doas::add(account, &self.doas, today, &mut paths);
        paths
    }
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
