//! What can be asked of a host without an agent and without its store, as JSON with stable names.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use serde_json::{Value, json};

use crate::host::account::Account;
use crate::host::root::HostRoot;
use crate::orders::EngineError;
use crate::orders::becoming;
use crate::orders::host::{Host, HostError};
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
        let mut reading = self.read()?;
        let accounts: Vec<Account> = match account {
            Some(name) => reading.accounts.by_name(name).into_iter().collect(),
            None => reading.accounts.iter().collect(),
        };
        if let (Some(name), true) = (account, accounts.is_empty()) {
            return Err(EngineError::NoAccount(name.clone()));
        }
        let mut all = Vec::new();
        reading.pass_over(&accounts, |reading, account| {
            all.extend(reading.paths(account))
        });
        Ok(all)
    }

    /// The accounts, each with how many ways in are open and what runs as it.
    pub fn inventory(&mut self) -> Result<Value, EngineError> {
        let mut reading = self.read()?;
        let all: Vec<Account> = reading.accounts.iter().collect();
        let running = match reading.moment() {
            Some(moment) => services(moment, HostClock.boot_us() / 1_000_000).0,
            None => BTreeMap::new(),
        };
        let mut rows = Vec::with_capacity(all.len());
        reading.pass_over(&all, |reading, account| {
            let paths = reading.paths(account);
            let count = |state| paths.iter().filter(|path| path.state == state).count();
            let keys = paths
                .iter()
                .filter(|path| path.mechanism == Mechanism::SshPublicKey);
            let of_uid = running.get(&account.uid).map_or(&[][..], Vec::as_slice);
            let mut row = json!(accounts::Row::new(account, &paths, of_uid));
            row["keys"] = keys.count().into();
            row["open"] = count(PathState::Open).into();
            row["unknown"] = count(PathState::Unknown).into();
            rows.push(row);
        });
        Ok(rows.into())
    }

    /// Why an account can become root, step by step.
    pub fn explain(&mut self, name: &AccountName) -> Result<Value, EngineError> {
        let mut reading = self.read()?;
        let account = reading.accounts.by_name(name);
        let account = account.ok_or_else(|| EngineError::NoAccount(name.clone()))?;
        Ok(becoming::explain(&mut reading, &account).to_json())
    }
}
