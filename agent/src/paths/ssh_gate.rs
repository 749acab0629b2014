//! What stands before every ssh login (`allowed_user` of auth.c, then PAM's account stack).

use super::account_state::{self, Judge};
use super::facts::{Facts, Shell};
use super::ssh_pam;
use super::verdict::Checks;
use super::verdict::limits::{FORCED, NO_SHELL};
use crate::host::account::Account;
use crate::pam::Service;
use crate::sshd::effective::{Effective, List, RootLogin};
use crate::sshd::matching::{ConnectionCriterion, Decide};
use crate::sshd::pattern;
use crate::sshd::printable::printable;

/// How somebody authenticates, as PermitRootLogin tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A key or certificate; whether its options force a command.
    Key {
        /// `command=` or `force-command`.
        forced_command: bool,
    },
    /// A password, asked by sshd or by PAM.
    Password,
    /// Host-based or GSSAPI.
    Trust,
}

/// Everything that does not depend on the means. Asks the connection for `AllowUsers user@host`.
pub fn check(
    account: &Account,
    settings: &Effective,
    facts: &Facts<'_>,
    pam: &[Service],
    connection: &mut dyn Decide,
) -> Checks {
    let mut checks = Checks::default();
    if let Some(wrong) = &settings.wrong {
        checks.closed(format!(
            "sshd drops the connection: {} ({})",
            wrong.value, wrong.origin
        ));
    }
    if settings.refuse_connection.value {
        checks.closed(format!(
            "RefuseConnection yes ({})",
            settings.refuse_connection.origin
        ));
    }
    if settings.use_pam.value {
        ssh_pam::check_account(account, settings, pam, facts.today(), &mut checks);
    } else {
        account_state::check(account, Judge::SshdAlone, facts.today(), &mut checks);
    }
    check_shell(account, settings, &facts.shell, &mut checks);
    if settings.force_command.value.is_some() {
        // Not which: a command line may hold a secret, and reasons leave the host.
        checks.note(format!("{FORCED}({})", settings.force_command.origin));
    }
    check_lists(account, settings, connection, &mut checks);
    checks
}

/// `auth_root_allowed`: every account with uid 0 is root.
pub fn check_root(account: &Account, settings: &Effective, means: Means, checks: &mut Checks) {
    if account.uid != 0 {
        return;
    }
    let allowed = match settings.permit_root_login.value {
        RootLogin::Yes => true,
        RootLogin::No => false,
        RootLogin::ProhibitPassword => means != Means::Password,
        RootLogin::ForcedCommandsOnly => {
            means
                == Means::Key {
                    forced_command: true,
                }
        }
    };
    if !allowed {
        let setting = &settings.permit_root_login;
        checks.closed(format!(
            "PermitRootLogin {} ({})",
            setting.value.word(),
            setting.origin
        ));
    }
}

fn check_shell(account: &Account, settings: &Effective, shell: &Shell, checks: &mut Checks) {
    let name = match account.shell.as_slice() {
        b"" => "/bin/sh".into(),
        shell => printable(shell),
    };
    // Under ChrootDirectory sshd does not look at the shell.
    let looked_at = settings.chroot_directory.value.is_none();
    match shell {
        Shell::Runs => {}
        Shell::Refuses => checks.note(format!("{NO_SHELL}{name}), but forwarding and sftp")),
        Shell::Missing if looked_at => checks.closed(format!("the shell {name} does not exist")),
        Shell::NotExecutable if looked_at => {
            checks.closed(format!("the shell {name} is not executable"))
        }
        Shell::Missing | Shell::NotExecutable => {
            checks.note(format!(
                "{NO_SHELL}{name}), but ChrootDirectory lets forwarding and internal-sftp through"
            ));
        }
        Shell::Unknown(why) => {
            checks.unknown(format!("the shell {name} could not be looked at: {why}"))
        }
    }
}

fn check_lists(
    account: &Account,
    settings: &Effective,
    connection: &mut dyn Decide,
    checks: &mut Checks,
) {
    let mut matches_user = |list: &List| {
        list.iter()
            .find(|entry| user_matches(account.name.as_str().as_bytes(), &entry.value, connection))
            .cloned()
    };
    if let Some(entry) = matches_user(&settings.deny_users) {
        checks.closed(format!(
            "DenyUsers {} ({})",
            printable(&entry.value),
            entry.origin
        ));
        return;
    }
    if !settings.allow_users.is_empty() && matches_user(&settings.allow_users).is_none() {
        checks.closed(format!(
            "not in AllowUsers ({})",
            settings.allow_users[0].origin
        ));
        return;
    }
    let names: Vec<&[u8]> = account
        .groups
        .iter()
        .map(|g| g.name.as_slice())
        .filter(|name| !name.is_empty())
        .collect();
    let matches_group = |list: &List| {
        list.iter()
            .find(|entry| {
                names
                    .iter()
                    .any(|name| pattern::matches(name, &entry.value))
            })
            .cloned()
    };
    let lists = [&settings.deny_groups, &settings.allow_groups];
    if names.is_empty() && lists.iter().any(|list| !list.is_empty()) {
        checks.closed(
            "DenyGroups or AllowGroups is set and the account is in no group that has a name",
        );
        return;
    }
    if let Some(entry) = matches_group(&settings.deny_groups) {
        checks.closed(format!(
            "DenyGroups {} ({})",
            printable(&entry.value),
            entry.origin
        ));
        return;
    }
    if !settings.allow_groups.is_empty() && matches_group(&settings.allow_groups).is_none() {
        checks.closed(format!(
            "in none of AllowGroups ({})",
            settings.allow_groups[0].origin
        ));
    }
}

/// `match_user`: a name, or `name@hosts`.
fn user_matches(name: &[u8], pattern: &[u8], connection: &mut dyn Decide) -> bool {
    match pattern.iter().rposition(|b| *b == b'@') {
        None => pattern::matches(name, pattern),
        Some(at) => {
            pattern::matches(name, &pattern[..at])
                && connection.decide(&ConnectionCriterion::From(pattern[at + 1..].to_vec()))
        }
    }
}
