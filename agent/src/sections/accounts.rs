//! Rows of the section `accounts`: each account, and what runs as it, so that nobody takes away
//! what a service needs without knowing.

use std::collections::BTreeSet;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source};
use serde::Serialize;

use crate::host::account::{Account, PasswordState};
use crate::host::lock::AccountFile;
use crate::processes::services::Service;
use crate::sshd::printable::{printable, printable_path};

/// What runs as one account is named up to here; the rest is counted.
const RUNS_MAX: usize = 64;

/// An account.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    account: &'a AccountName,
    uid: u32,
    gid: u32,
    groups: Vec<String>,
    home: String,
    shell: String,
    password: &'static str,
    /// The day from which it is expired, counted from 1970-01-01.
    expires: Option<i64>,
    runs: Vec<Runs>,
    source: Source,
}

/// What runs as an account without a login.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Runs {
    /// `crontab`, `at_job`, `systemd_unit`, `systemd_user_unit`, `process`; `more` for a count of
    /// what is not named.
    by: &'static str,
    /// The file that says so; of a process the unit it belongs to, or its name.
    what: String,
    /// Whether it can run now; a process does.
    state: PathState,
}

impl<'a> Row<'a> {
    /// An account with its paths and the services that run as its uid.
    pub fn new(account: &'a Account, paths: &[AccessPath], services: &[Service]) -> Self {
        Self {
            account: &account.name,
            uid: account.uid,
            gid: account.gid,
            groups: account
                .groups
                .iter()
                .map(|group| printable(&group.name))
                .filter(|name| !name.is_empty())
                .collect(),
            home: printable(&account.home),
            shell: printable(&account.shell),
            password: password(account.password),
            expires: account.expire_day,
            runs: runs(paths, services),
            source: Source {
                file: printable_path(AccountFile::Passwd.path()),
                line: Some(account.passwd_line),
            },
        }
    }
}

/// What runs as an account, each once.
pub fn runs(paths: &[AccessPath], services: &[Service]) -> Vec<Runs> {
    let mut all: BTreeSet<Runs> = BTreeSet::new();
    for path in paths {
        let by = match path.mechanism {
            Mechanism::Crontab => "crontab",
            Mechanism::AtJob => "at_job",
            Mechanism::SystemdUnit => "systemd_unit",
            Mechanism::SystemdUserUnit => "systemd_user_unit",
            _ => continue,
        };
        let file = path.source.as_ref().map(|source| source.file.clone());
        all.insert(Runs {
            by,
            what: file.unwrap_or_default(),
            state: path.state,
        });
    }
    all.extend(services.iter().map(|service| Runs {
        by: "process",
        what: match service.contained {
            true => format!("{} (in a container)", printable(&service.name)),
            false => printable(&service.name),
        },
        state: PathState::Open,
    }));
    let more = all.len().saturating_sub(RUNS_MAX);
    let mut runs: Vec<Runs> = all.into_iter().take(RUNS_MAX).collect();
    if more > 0 {
        runs.push(Runs {
            by: "more",
            what: more.to_string(),
            state: PathState::Unknown,
        });
    }
    runs
}

/// The stable word for the state of a password.
pub const fn password(state: PasswordState) -> &'static str {
    match state {
        PasswordState::Empty => "empty",
        PasswordState::Usable => "set",
        PasswordState::Locked => "locked",
        PasswordState::Unusable => "none",
        PasswordState::Missing => "missing",
        PasswordState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    #[test]
    fn an_account_with_what_runs_as_it() {
        let path = |mechanism, state, file: &str, line| AccessPath {
            account: "alice".parse().unwrap(),
            uid: 1000,
            mechanism,
            state,
            reason: String::new(),
            source: Some(Source {
                file: file.into(),
                line,
            }),
            fingerprint: None,
        };
        let tab = "/var/spool/cron/crontabs/alice";
        let paths = [
            path(Mechanism::Crontab, PathState::Open, tab, Some(1)),
            path(Mechanism::Crontab, PathState::Open, tab, Some(2)),
            path(Mechanism::SshPublicKey, PathState::Open, "/k", Some(2)),
            path(Mechanism::SystemdUnit, PathState::Closed, "/u", None),
        ];
        let services = [Service {
            name: b"app\x1b.service".to_vec(),
            contained: false,
        }];
        let row = serde_json::to_string(&Row::new(&alice(), &paths, &services)).unwrap();
        assert_eq!(
            row,
            r#"{"account":"alice","uid":1000,"gid":1000,"groups":["alice","staff"],"home":"/home/alice","shell":"/bin/bash","password":"set","expires":null,"runs":[{"by":"crontab","what":"/var/spool/cron/crontabs/alice","state":"open"},{"by":"process","what":"app\\u{1b}.service","state":"open"},{"by":"systemd_unit","what":"/u","state":"closed"}],"source":{"file":"/etc/passwd","line":20}}"#
        );
    }
}
