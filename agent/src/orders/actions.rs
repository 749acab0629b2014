//! What each action means on a host: what to look at, what to change, which paths it closes.

use std::time::Duration;

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::order::Action;
use rescind_protocol::path::{AccessPath, PathState};

use crate::host::lock::AccountFile;
use crate::orders::host::{Host, HostError};
use crate::orders::plan::{self, Plan, Seen};
use crate::orders::reading::Reading;
use crate::processes::holdings::SudoBorn;

/// For how long the records of logins are read on before sessions are told apart by their keys.
const LOGINS_PATIENCE: Duration = Duration::from_secs(5);

/// The account files that an action changes, which are locked from reading to writing so that nobody
/// who keeps to the locks comes between.
pub const fn locked_files(action: &Action) -> &'static [AccountFile] {
    match action {
        Action::DisableAccount { .. } => &[AccountFile::Passwd, AccountFile::Shadow],
        Action::RevokeGroup { .. } => &[AccountFile::Group, AccountFile::Gshadow],
        _ => &[],
    }
}

/// Reads the host, and before that what an order needs to know of its logins.
pub fn read_for<'h>(host: &'h mut Host, action: &Action) -> Result<Reading<'h>, HostError> {
    let logins = matches!(action, Action::EndKeySessions { .. })
        .then(|| host.logins().look(LOGINS_PATIENCE));
    let mut reading = host.read()?;
    if let Some(logins) = logins {
        reading.know_logins(logins);
    }
    Ok(reading)
}

/// What an order needs to know of the host.
pub fn see(action: &Action, reading: &mut Reading<'_>) -> Result<Seen, HostError> {
    let mut seen = Seen::default();
    match action {
        Action::DisableAccount { account } => {
            if let Some(account) = reading.account(account) {
                // Of an account of a directory there are none.
                seen.fields = reading.fields(&account)?;
                (seen.key_files, seen.gaps) = reading.key_files(&account);
                seen.alive = reading.alive(&account);
            }
        }
        Action::RevokeKey {
            fingerprint,
            account,
        } => {
            let with_key = reading.with_key(*fingerprint, account.as_ref());
            seen.key_files = with_key.files.clone();
            seen.gaps = with_key.gaps.iter().cloned().collect();
            let directories = match account {
                Some(_) => Vec::new(),
                None => reading.directories()?,
            };
            if !directories.is_empty() {
                seen.gaps.push(format!(
                    "accounts of a directory are not listed: the key may stand in their homes ({})",
                    directories.join(", ")
                ));
            }
        }
        Action::EndSessions { account } => {
            if let Some(account) = reading.account(account) {
                seen.alive = reading.alive(&account);
            }
        }
        Action::EndKeySessions {
            fingerprint,
            account,
        } => {
            let sessions = reading.key_sessions(*fingerprint, account.as_ref());
            seen.opened = sessions
                .opened
                .into_iter()
                .map(|(_, subject)| subject)
                .collect();
            seen.gaps = sessions.gaps;
        }
        Action::RevokeGroup {
            account,
            group,
            end_sessions,
        } => {
            let membership = reading.membership(account, group)?;
            seen.lists = membership.lists;
            seen.gaps = membership.gaps;
            seen.alive = membership.holding.filter(|_| *end_sessions);
        }
        Action::RevokeSudo { account } => {
            let sudo = reading.sudo_of(account)?;
            seen.sudo_to_deny = sudo.to_deny.then(|| account.clone());
            seen.gaps = sudo.gaps;
        }
        Action::Release { .. } => {}
    }
    Ok(seen)
}

/// The changes an order needs, as far as it needs any.
pub fn plan(action: &Action, seen: &Seen) -> Plan {
    match action {
        Action::DisableAccount { .. } => plan::disable(seen),
        Action::RevokeKey {
            fingerprint,
            account,
        } => plan::revoke_key(*fingerprint, account.is_none(), seen),
        Action::EndSessions { .. } => plan::end_sessions(seen),
        Action::EndKeySessions { .. } => plan::end_key_sessions(seen),
        Action::RevokeGroup { .. } => plan::revoke_group(seen),
        Action::RevokeSudo { .. } => plan::revoke_sudo(seen),
        // What a release changes depends on what was kept, not on what is there.
        Action::Release { .. } => Plan::default(),
    }
}

/// The paths that an order is about, as they are.
pub fn paths(action: &Action, reading: &mut Reading<'_>) -> Result<Vec<AccessPath>, HostError> {
    let known = |reading: &Reading<'_>, account: &AccountName| reading.account(account);
    Ok(match action {
        Action::DisableAccount { account: name } => match reading.served_by_directory(name) {
            Some(account) => reading.paths_of_directory(&account)?,
            None => match known(reading, name) {
                Some(account) => reading.paths_to_close(&account),
                None => Vec::new(),
            },
        },
        Action::RevokeKey {
            fingerprint,
            account,
        } => paths_of_key(reading, *fingerprint, account.as_ref()),
        Action::EndSessions { account } => match known(reading, account) {
            Some(account) => reading.open_now(&account, SudoBorn::Seek),
            None => Vec::new(),
        },
        Action::EndKeySessions {
            fingerprint,
            account,
        } => reading.paths_of_key_sessions(*fingerprint, account.as_ref()),
        Action::RevokeGroup { account, group, .. } => reading.membership(account, group)?.paths,
        Action::RevokeSudo { account } => reading.sudo_of(account)?.paths,
        Action::Release { .. } => Vec::new(),
    })
}

/// The paths that the key opens, or opened and something else closes.
fn paths_of_key(
    reading: &mut Reading<'_>,
    fingerprint: KeyFingerprint,
    account: Option<&AccountName>,
) -> Vec<AccessPath> {
    // Only accounts in whose files the key still stands are judged, because judging all of them
    // would say nothing about this key.
    let mut paths = Vec::new();
    for account in &reading.with_key(fingerprint, account).holders {
        let all = reading.ways_in(account, None);
        let of_key = |path: &AccessPath| path.fingerprint == Some(fingerprint);
        paths.extend(all.into_iter().filter(of_key));
    }
    paths.retain(|path| path.state != PathState::Closed);
    paths
}

/// What is so when nothing departs from the order.
pub const fn as_ordered(action: &Action) -> &'static str {
    match action {
        Action::DisableAccount { .. } => "every way in that was looked at is closed",
        Action::RevokeKey { .. } => "the key stands in no key file in force",
        Action::EndSessions { .. } => "nothing runs as the account",
        Action::EndKeySessions { .. } => "nothing that the key has opened is left",
        Action::RevokeGroup { .. } => "the account is not in the group, nor is what it runs",
        Action::RevokeSudo { .. } => "sudo lets the account do nothing",
        Action::Release { .. } => "what was taken is back",
    }
}
