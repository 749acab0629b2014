//! What was opened over ssh with one key.
//!
//! Which key opened a connection stands in what its sshd has written about it, nowhere else. A
//! connection of which there is no such line may have been opened with any key: it is told as not
//! known, and left alone.

use std::sync::Arc;

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::path::AccessPath;

use crate::host::account::Account;
use crate::logins::{History, How, Opened, booted_at};
use crate::orders::reading::Reading;
use crate::processes::holdings::SudoBorn;
use crate::processes::{Moment, Only, Scope, Subject};

/// Connections, account by account.
#[derive(Debug, Default)]
pub struct KeySessions {
    /// Each with its connections that the key opened.
    pub opened: Vec<(Account, Subject)>,
    /// Of which that cannot be told.
    pub gaps: Vec<String>,
}

impl Reading<'_> {
    /// The connections that a key opened, for one account or for all, and what is left of those
    /// whose sshd has ended. Nothing where the host is not booted.
    pub fn key_sessions(&self, key: KeyFingerprint, account: Option<&AccountName>) -> KeySessions {
        let mut found = KeySessions::default();
        let Some(moment) = self.moment() else {
            return found;
        };
        let accounts = self.accounts.iter();
        for account in accounts.filter(|one| account.is_none_or(|name| one.name == *name)) {
            if moment.has_nothing_of(&sessions_of(&account, None)) {
                continue;
            }
            let mut only = Only::default();
            for leader in moment.serving(&account.name, account.uid) {
                let opened = |logins: &'_ Arc<History>| {
                    let opened = logins.opening(&account.name, leader.pid, leader.start_time)?;
                    opened.is_with(key)
                };
                match self.logins().and_then(opened) {
                    Some(true) => only.leaders.push(leader),
                    Some(false) => {}
                    None => found.gaps.push(format!(
                        "which key opened the connection of {} that process {} serves is not on record",
                        account.name, leader.pid
                    )),
                }
            }
            self.look_left_behind(moment, &account, key, &mut only, &mut found.gaps);
            if only != Only::default() {
                let subject = sessions_of(&account, Some(only));
                found.opened.push((account, subject));
            }
        }
        found
    }

    /// Processes that have outlived the sshd that began their session.
    fn look_left_behind(
        &self,
        moment: &Moment<'_>,
        account: &Account,
        key: KeyFingerprint,
        only: &mut Only,
        gaps: &mut Vec<String>,
    ) {
        if !moment.has_logind() {
            // Nothing on such a host tells which login a process comes from.
            let strays = moment.strays(account.uid).count();
            let logged_in = self
                .logins()
                .is_none_or(|logins| logins.may_have_logged_in(&account.name, booted_at()));
            if strays > 0 && logged_in {
                gaps.push(format!(
                    "which login has begun {strays} processes of {} that no sshd serves is not on \
                     record: the host has no logind",
                    account.name
                ));
            }
            return;
        }
        let all = moment.holdings(&sessions_of(account, None), SudoBorn::Skip);
        for session in all.sessions {
            let (Some(id), true, None) = (&session.id, session.is_of_sshd(), session.leader_start)
            else {
                continue;
            };
            let opened = self
                .logins()
                .and_then(|logins| logins.opening_of_session(&account.name, &session));
            match opened.and_then(|opened| opened.is_with(key)) {
                Some(true) => only.left_behind.push(id.clone()),
                Some(false) => {}
                None => gaps.push(format!(
                    "which key opened session {} of {}, whose sshd has ended, is not on record",
                    id.escape_default(),
                    account.name
                )),
            }
        }
        gaps.extend(all.gaps);
    }

    /// What of that is open, as paths.
    pub fn paths_of_key_sessions(
        &self,
        key: KeyFingerprint,
        account: Option<&AccountName>,
    ) -> Vec<AccessPath> {
        let Some(moment) = self.moment() else {
            return Vec::new();
        };
        let opened = self.key_sessions(key, account).opened;
        let paths = opened.iter().flat_map(|(_, subject)| {
            let mut holdings = moment.holdings(subject, SudoBorn::Skip);
            for session in &mut holdings.sessions {
                session.key = Some(key);
            }
            holdings.paths(subject)
        });
        paths.collect()
    }
}

/// The sessions of an account, all or some.
fn sessions_of(account: &Account, only: Option<Only>) -> Subject {
    Subject {
        name: account.name.clone(),
        uid: account.uid,
        gid: account.gid,
        subuids: Vec::new(),
        scope: Scope::SessionsOnly,
        only,
    }
}

impl Opened {
    /// Whether it was this key; `None` where the record does not say which one it was.
    fn is_with(&self, key: KeyFingerprint) -> Option<bool> {
        match (self.how, self.key) {
            (_, Some(with)) => Some(with == key),
            // A line as of an old sshd, or with a digest that we do not compare.
            (How::PublicKey | How::Certificate, None) => None,
            (_, None) => Some(false),
        }
    }
}
