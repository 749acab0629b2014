//! Passwords at the console and to su(1).

use rescind_protocol::path::{AccessPath, Mechanism, Source};

use super::account_state::{self, Judge};
use super::facts::{Facts, Shell};
use super::verdict::Checks;
use crate::host::account::{Account, PasswordState};
use crate::sshd::printable::printable;

/// The way in with a password where no sshd is asked: login(1), su(1), display managers.
pub fn path(account: &Account, facts: &Facts<'_>) -> AccessPath {
    let mut checks = Checks::default();
    account_state::check(account, Judge::Pam, facts.today(), &mut checks);
    account_state::check_password(account, &mut checks);
    let shell = printable(if account.shell.is_empty() {
        b"/bin/sh"
    } else {
        &account.shell
    });
    match &facts.shell {
        Shell::Runs => {}
        Shell::Refuses => checks.closed(format!("the shell {shell} refuses")),
        Shell::Missing => checks.closed(format!("the shell {shell} does not exist")),
        Shell::NotExecutable => checks.closed(format!("the shell {shell} is not executable")),
        Shell::Unknown(why) => {
            checks.unknown(format!("the shell {shell} could not be looked at: {why}"))
        }
    }
    let open = match account.password {
        PasswordState::Empty => "no password is asked",
        _ => "the password opens it",
    };
    let verdict = checks.verdict(open);
    let (file, line) = match account.shadow_line {
        Some(line) => ("/etc/shadow", line),
        None => ("/etc/passwd", account.passwd_line),
    };
    AccessPath {
        account: account.name.clone(),
        uid: account.uid,
        mechanism: Mechanism::ConsolePassword,
        state: verdict.state,
        reason: verdict.reason,
        source: Some(Source {
            file: file.into(),
            line: Some(line),
        }),
        fingerprint: None,
    }
}
