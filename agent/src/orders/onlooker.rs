//! What can be asked of a host without an agent and without its store, as JSON with stable names.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rescind_protocol::explanation::Explanation;
use rescind_protocol::name::AccountName;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use serde::Serialize;
use serde_json::Value;

use crate::host::account::Account;
use crate::host::root::HostRoot;
use crate::logins::quiet::Quiet;
use crate::logins::report::Told;
use crate::orders::EngineError;
use crate::orders::becoming;
use crate::orders::host::{Host, HostError};
use crate::orders::reading::Reading;
use crate::processes::services::services;
use crate::sections::accounts;
use crate::store::{Clock, HostClock};

impl Host {
    /// The host below `root`: `/`, or a directory that is not booted.
    pub fn below(root: &Path) -> Result<Self, HostError> {
        let root = match root == Path::new("/") {
            true => HostRoot::live(),
            false => HostRoot::at(root),
        };
        Self::new(Rc::new(root?))
    }

    /// Every way in, of one account or of all.
    pub fn paths(&mut self, account: Option<&AccountName>) -> Result<Vec<AccessPath>, EngineError> {
        paths_of(self.read()?, account)
    }

    /// The same as JSON, each key with its last use and each session with the key that opened it,
    /// as far as the last look at the records of logins has shown.
    pub fn paths_and_use(&mut self, account: Option<&AccountName>) -> Result<Value, EngineError> {
        let history = self.logins().remembered();
        let mut reading = self.read()?;
        reading.know_logins(Arc::clone(&history));
        let quiet = Quiet::of(&reading.sshds);
        let told = Told::new(&history, &quiet);
        let rows = paths_of(reading, account)?;
        Ok(rows.iter().map(|path| told.path(path)).collect())
    }

    /// Who came in last, and which keys were used, as far as the last look has shown.
    pub fn last_used(&mut self) -> Result<Value, EngineError> {
        let history = self.logins().remembered();
        let quiet = Quiet::of(&self.read()?.sshds);
        Ok(Told::new(&history, &quiet).everything(HostClock.wall()))
    }

    /// The accounts, each with how many ways in are open, what runs as it, and its last login: the
    /// text of a JSON array, because there may be many.
    pub fn inventory(&mut self) -> Result<String, EngineError> {
        let history = self.logins().remembered();
        let mut reading = self.read()?;
        let quiet = Quiet::of(&reading.sshds);
        let told = Told::new(&history, &quiet);
        let known_since = told.known_since();
        let all: Vec<Account> = reading.accounts.iter().collect();
        let running = match reading.moment() {
            Some(moment) => services(moment, HostClock.boot_us() / 1_000_000).0,
            None => BTreeMap::new(),
        };
        let (mut rows, mut failed) = (vec![b'['], None);
        reading.pass_over(&all, |reading, account| {
            let paths = reading.paths(account);
            let count = |state| paths.iter().filter(|path| path.state == state).count();
            let keys = paths
                .iter()
                .filter(|path| path.mechanism == Mechanism::SshPublicKey);
            let of_uid = running.get(&account.uid).map_or(&[][..], Vec::as_slice);
            let row = InventoryRow {
                account: accounts::Row::new(account, &paths, of_uid),
                keys: keys.clone().count(),
                open: count(PathState::Open),
                unknown: count(PathState::Unknown),
                last_used: told.account(&account.name),
                known_since: &known_since,
                keys_used: told.keys_used(keys.filter_map(|path| path.fingerprint)),
            };
            if rows.len() > 1 {
                rows.push(b',');
            }
            if let Err(error) = serde_json::to_writer(&mut rows, &row) {
                failed.get_or_insert(error);
            }
        });
        rows.push(b']');
        match failed {
            Some(error) => Err(EngineError::Json(error)),
            None => String::from_utf8(rows).map_err(|error| {
                let error = serde_json::Error::io(std::io::Error::other(error));
                EngineError::Json(error)
            }),
        }
    }

    /// Why an account can become root, step by step.
    pub fn explain(&mut self, name: &AccountName) -> Result<Explanation, EngineError> {
        let mut reading = self.read()?;
        let account = reading.accounts.by_name(name);
        let account = account.ok_or_else(|| EngineError::NoAccount(name.clone()))?;
        Ok((&becoming::explain(&mut reading, &account)?).into())
    }
}

/// An account, its ways in counted.
#[derive(Debug, Serialize)]
struct InventoryRow<'a> {
    #[serde(flatten)]
    account: accounts::Row<'a>,
    keys: usize,
    open: usize,
    unknown: usize,
    last_used: Value,
    known_since: &'a Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys_used: Vec<Value>,
}

fn paths_of(
    mut reading: Reading<'_>,
    account: Option<&AccountName>,
) -> Result<Vec<AccessPath>, EngineError> {
    let accounts: Vec<Account> = match account {
        Some(name) => reading.accounts.by_name(name).into_iter().collect(),
        None => reading.accounts.iter().collect(),
    };
    if let (Some(name), true) = (account, accounts.is_empty()) {
        return Err(EngineError::NoAccount(name.clone()));
    }
    let mut all = Vec::new();
    reading.pass_over(&accounts, |reading, account| {
        all.extend(reading.paths(account));
    });
    Ok(all)
}
