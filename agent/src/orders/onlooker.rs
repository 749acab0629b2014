//! What can be asked of a host without an agent and without its store, as JSON with stable names.

use std::path::Path;
use std::rc::Rc;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use serde_json::{Value, json};

use crate::host::account::{Account, PasswordState};
use crate::host::root::HostRoot;
use crate::orders::EngineError;
use crate::orders::becoming;
use crate::orders::host::{Host, HostError};
use crate::sshd::printable::printable;

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
        reading.paths_of_each(&accounts, |_, paths| all.extend(paths));
        Ok(all)
    }

    /// The accounts, each with how many ways in are open.
    pub fn inventory(&mut self) -> Result<Value, EngineError> {
        let mut reading = self.read()?;
        let accounts: Vec<Account> = reading.accounts.iter().collect();
        let mut rows = Vec::with_capacity(accounts.len());
        reading.paths_of_each(&accounts, |account, paths| {
            let count = |state| paths.iter().filter(|path| path.state == state).count();
            let keys = paths
                .iter()
                .filter(|path| path.mechanism == Mechanism::SshPublicKey);
            rows.push(json!({
                "account": account.name,
                "uid": account.uid,
                "password": password(account.password),
                "expires": account.expire_day,
                "shell": printable(&account.shell),
                "home": printable(&account.home),
                "keys": keys.count(),
                "open": count(PathState::Open),
                "unknown": count(PathState::Unknown),
            }));
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

const fn password(state: PasswordState) -> &'static str {
    match state {
        PasswordState::Empty => "empty",
        PasswordState::Usable => "set",
        PasswordState::Locked => "locked",
        PasswordState::Unusable => "none",
        PasswordState::Missing => "missing",
        PasswordState::Unknown => "unknown",
    }
}
