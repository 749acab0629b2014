//! Tables of cron(8): the system's, and those of accounts by their names.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pam_files::HostPam;
use super::{Daemons, FILE_BYTES_MAX, Gaps, listed, optional};
use crate::deferred::anacrontab::Anacrontab;
use crate::deferred::cron::{self, Kind, TableFacts};
use crate::deferred::crontab::{Crontab, Format};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::root::{HostRoot, ReadError};
use crate::paths::cron_jobs::{CronFacts, Owner, Table};
use crate::paths::pam_gate::Asks;
use crate::sys::fs::FileKind;

const PROGRAMS: [&str; 5] = [
    "/usr/sbin/cron",
    "/usr/sbin/crond",
    "/usr/bin/crond",
    "/sbin/crond",
    "/usr/sbin/fcron",
];
const SYSTEM: &str = "/etc/crontab";
const DIRECTORY: &str = "/etc/cron.d";
/// Debian, SUSE, Red Hat and Arch.
const SPOOLS: [&str; 3] = [
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/cron",
];

/// What the host has for cron.
pub struct Tables {
    /// All but the tables of accounts.
    pub facts: CronFacts,
    /// Where the tables of accounts are, by their names.
    own: Vec<(OsString, PathBuf)>,
}

impl Tables {
    /// Reads the system's tables, and which accounts have one of their own.
    pub fn read(root: &HostRoot, daemons: &mut Daemons, pam: &HostPam<'_>) -> Self {
        let mut gaps = Gaps::new();
        let daemon = daemons.first(root, &PROGRAMS).unwrap_or_else(|error| {
            gaps.push((PROGRAMS[0].into(), error.to_string()));
            None
        });
        let asks = match daemon {
            None => Asks::Unknown("which cron daemon runs is not known".into()),
            Some(daemon) if !daemon.asks_pam || daemon.kind == Kind::Busybox => Asks::Nobody,
            Some(daemon) => match daemon.kind {
                Kind::Debian => pam.asks("cron"),
                Kind::Cronie => pam.asks("crond"),
                _ => Asks::Unknown("what this cron daemon asks PAM is not known".into()),
            },
        };
        let kind = daemon.map(|daemon| daemon.kind);
        let system = system_tables(root, kind.unwrap_or(Kind::Other), &mut gaps);
        let mut own = Vec::new();
        for spool in SPOOLS.iter().filter(|spool| is_spool_of(kind, spool)) {
            for entry in listed(root, Path::new(spool), &mut gaps) {
                if entry.stat.kind != FileKind::Directory {
                    let path = Path::new(spool).join(&entry.name);
                    own.push((entry.name, path));
                }
            }
        }
        let facts = CronFacts {
            daemon: kind,
            asks,
            tables: system,
            anacrontab: optional(root, Path::new("/etc/anacrontab"), &mut gaps)
                .map(Anacrontab::parse),
            allow: optional(root, Path::new("/etc/cron.allow"), &mut gaps),
            deny: optional(root, Path::new("/etc/cron.deny"), &mut gaps),
            gaps,
        };
        Self { facts, own }
    }

    /// The tables of one account.
    pub fn of(&self, account: &Account, root: &HostRoot) -> Vec<Table> {
        let name = account.name.as_str().as_bytes();
        let own = self
            .own
            .iter()
            .filter(|(owner, _)| owner.as_bytes() == name);
        own.filter_map(|(_, path)| table(root, path, Owner::Account(name.to_vec())))
            .collect()
    }
}

/// Accounts whose tables are read at once.
const OWN_MAX: usize = 2_000;

impl Tables {
    /// The tables of all accounts that have one.
    pub fn of_all(&self, accounts: &Accounts, root: &HostRoot) -> Vec<(Account, Table)> {
        let mut all = Vec::new();
        for (owner, path) in self.own.iter().take(OWN_MAX) {
            if let Some(account) = accounts.named(owner.as_bytes()) {
                let owner = Owner::Account(account.name.as_str().as_bytes().to_vec());
                all.extend(table(root, path, owner).map(|table| (account, table)));
            }
        }
        all
    }
}

/// Debian's cron reads one directory; of the others it depends on how they were built.
fn is_spool_of(kind: Option<Kind>, spool: &str) -> bool {
    kind != Some(Kind::Debian) || spool == SPOOLS[0]
}

fn system_tables(root: &HostRoot, kind: Kind, gaps: &mut Gaps) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let read = cron::TableName::Read;
    tables.extend(table(root, Path::new(SYSTEM), Owner::Lines(read)));
    for entry in listed(root, Path::new(DIRECTORY), gaps) {
        if entry.stat.kind == FileKind::Directory {
            continue;
        }
        let owner = Owner::Lines(cron::table_name(kind, entry.name.as_bytes()));
        tables.extend(table(root, &Path::new(DIRECTORY).join(&entry.name), owner));
    }
    tables
}

fn table(root: &HostRoot, path: &Path, owner: Owner) -> Option<Table> {
    let format = match owner {
        Owner::Account(_) => Format::User,
        Owner::Lines(_) => Format::System,
    };
    let content = match content(root, path, format) {
        Ok(content) => Ok(content),
        Err(error) if error.is_missing() => return None,
        Err(error) => Err(error.to_string()),
    };
    Some(Table {
        path: path.to_owned(),
        owner,
        content,
    })
}

fn content(
    root: &HostRoot,
    path: &Path,
    format: Format,
) -> Result<(Crontab, TableFacts), ReadError> {
    let standing = root.stat(path)?;
    let file = root.read(path, FILE_BYTES_MAX)?;
    let facts = TableFacts {
        uid: file.stamp.uid,
        mode: file.stamp.mode,
        links: standing.stat.nlink,
    };
    Ok((Crontab::parse(file.bytes, format), facts))
}
