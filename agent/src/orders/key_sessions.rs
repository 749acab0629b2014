//! What was opened over ssh with one key.
//!
//! Which key opened a connection stands in what its sshd has written about it, nowhere else. A
//! connection of which there is no such line may have been opened with any key: it is told as not
//! known, and left alone.

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::path::AccessPath;

use crate::host::account::Account;
use crate::logins::How;
use crate::orders::reading::Reading;
use crate::processes::{Leader, Scope, Subject};

/// Connections, account by account.
#[derive(Debug, Default)]
pub struct KeySessions {
    /// Each with its connections that the key opened.
    pub opened: Vec<(Account, Subject)>,
    /// Of which that cannot be told.
    pub gaps: Vec<String>,
}

impl Reading<'_> {
    /// The connections that a key opened, for one account or for all. Nothing where the host is not
    /// booted.
    pub fn key_sessions(&self, key: KeyFingerprint, account: Option<&AccountName>) -> KeySessions {
        let mut found = KeySessions::default();
        let Some(moment) = self.moment() else {
            return found;
        };
        let accounts = self.accounts.iter();
        for account in accounts.filter(|one| account.is_none_or(|name| one.name == *name)) {
            let mut only = Vec::new();
            for leader in moment.serving(&account.name, account.uid) {
                match self.is_opened_with(&account.name, leader, key) {
                    Some(true) => only.push(leader),
                    Some(false) => {}
                    None => found.gaps.push(format!(
                        "which key opened the connection of {} that process {} serves is not on record",
                        account.name, leader.pid
                    )),
                }
            }
            if !only.is_empty() {
                let subject = Subject {
                    name: account.name.clone(),
                    uid: account.uid,
                    gid: account.gid,
                    subuids: Vec::new(),
                    scope: Scope::SessionsOnly,
                    only: Some(only),
                };
                found.opened.push((account, subject));
            }
        }
        found
    }

    /// What of that is open, as paths.
    pub fn paths_of_key_sessions(
        &self,
        key: KeyFingerprint,
        account: Option<&AccountName>,
    ) -> Vec<AccessPath> {
        let opened = self.key_sessions(key, account).opened;
        let paths = opened
            .iter()
            .flat_map(|(account, _)| self.open_now(account));
        paths.filter(|path| path.fingerprint == Some(key)).collect()
    }

    fn is_opened_with(
        &self,
        account: &AccountName,
        leader: Leader,
        key: KeyFingerprint,
    ) -> Option<bool> {
        let opened = self
            .logins()?
            .opening(account, leader.pid, leader.start_time)?;
        match (opened.how, opened.key) {
            (_, Some(with)) => Some(with == key),
            // A line as of an old sshd, or with a digest that we do not compare.
            (How::PublicKey | How::Certificate, None) => None,
            (_, None) => Some(false),
        }
    }
}
