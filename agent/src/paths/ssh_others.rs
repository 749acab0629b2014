//! Passwords over ssh, and keys that a program hands to sshd.

use rescind_protocol::path::{AccessPath, Mechanism};

use super::account_state::{self, Judge};
use super::evaluate::{Situation, View};
use super::methods;
use super::ssh_gate::{self, Means};
use super::ssh_keys::check_public_key_login;
use super::ssh_pam;
use super::verdict::{Checks, merge};
use crate::host::account::PasswordState;
use crate::sshd::effective::Effective;
use crate::sshd::printable::printable;

/// Adds paths for passwords, and for a command where one is set up.
pub fn add(view: &View<'_>, paths: &mut Vec<AccessPath>) {
    add_password(view, paths);
    add_keys_command(view, paths);
}

fn add_password(view: &View<'_>, paths: &mut Vec<AccessPath>) {
    let verdicts = view.worlds.iter().map(|situation| {
        let mut either: Vec<_> = ["password", "keyboard-interactive"]
            .into_iter()
            .map(|method| {
                let mut checks = situation.gate.clone();
                check_password(view, situation, method, &mut checks);
                methods::check(
                    &situation.settings,
                    method,
                    |other| usable(view, situation, other),
                    &mut checks,
                );
                checks.verdict(&format!("the password is accepted, as {method}"))
            })
            .collect();
        // Open sorts first, and unknown last, in PathState's order: pick by hand.
        let best = [
            rescind_protocol::path::PathState::Open,
            rescind_protocol::path::PathState::Unknown,
        ]
        .into_iter()
        .find_map(|state| either.iter().position(|v| v.state == state))
        .unwrap_or(0);
        (&situation.world, either.swap_remove(best))
    });
    let verdict = merge(verdicts.collect());
    let origin = &view.worlds[0].settings.password_authentication.origin;
    paths.push(view.path(
        Mechanism::SshPassword,
        verdict,
        view.source_of(origin),
        None,
    ));
}

/// A password by one of the two methods.
fn check_password(view: &View<'_>, situation: &Situation, method: &str, checks: &mut Checks) {
    let settings = &situation.settings;
    let (name, setting) = match method {
        "password" => ("PasswordAuthentication", &settings.password_authentication),
        _ => (
            "KbdInteractiveAuthentication",
            &settings.kbd_interactive_authentication,
        ),
    };
    if !setting.value {
        checks.closed(format!("{name} no ({})", setting.origin));
    }
    if method != "password" {
        let second = &settings.challenge_response_authentication;
        if !second.value {
            checks.closed(format!(
                "ChallengeResponseAuthentication no ({})",
                second.origin
            ));
        }
        if !settings.use_pam.value {
            checks.closed("keyboard-interactive needs UsePAM");
        }
    }
    let mut own = Checks::default();
    let judge = match settings.use_pam.value {
        true => Judge::Pam,
        false => Judge::SshdAlone,
    };
    account_state::check_password_for(view.account, judge, &mut own);
    if view.account.password == PasswordState::Empty && !settings.permit_empty_passwords.value {
        let origin = &settings.permit_empty_passwords.origin;
        own.closed(format!(
            "the password is empty and PermitEmptyPasswords is no ({origin})"
        ));
    }
    if settings.use_pam.value {
        ssh_pam::check_password(own, settings, &view.sshd.pam, checks);
    } else {
        checks.add(&own);
    }
    ssh_gate::check_root(view.account, settings, Means::Password, checks);
}

/// Whether another method that AuthenticationMethods wants can succeed for this account.
pub fn usable(view: &View<'_>, situation: &Situation, method: &str) -> bool {
    let settings = &situation.settings;
    match method {
        "publickey" => settings.pubkey_authentication.value,
        "password" | "keyboard-interactive" => {
            let mut checks = Checks::default();
            check_password(view, situation, method, &mut checks);
            !checks.is_closed()
        }
        "hostbased" => settings.hostbased_authentication.value,
        "gssapi-with-mic" => settings.gssapi_authentication.value,
        // gssapi-keyex has its own switch, which is not read: it may succeed.
        _ => true,
    }
}

fn add_keys_command(view: &View<'_>, paths: &mut Vec<AccessPath>) {
    let command = |settings: &Effective| {
        let setting = &settings.authorized_keys_command;
        let set = setting
            .value
            .as_ref()
            .filter(|c| !c.eq_ignore_ascii_case(b"none"))?;
        // Without a user sshd passes the command over.
        settings.authorized_keys_command_user.value.as_ref()?;
        Some((printable(set), setting.origin.clone()))
    };
    let Some((_, origin)) = view
        .worlds
        .iter()
        .find_map(|situation| command(&situation.settings))
    else {
        return;
    };
    let verdicts = view.worlds.iter().map(|situation| {
        let mut checks = situation.gate.clone();
        check_public_key_login(view, situation, &mut checks);
        ssh_gate::check_root(
            view.account,
            &situation.settings,
            Means::Key {
                forced_command: true,
            },
            &mut checks,
        );
        match command(&situation.settings) {
            Some((text, _)) => checks.unknown(format!("{text} decides which keys are accepted")),
            None => checks.closed("no AuthorizedKeysCommand"),
        }
        (&situation.world, checks.verdict(""))
    });
    let verdict = merge(verdicts.collect());
    paths.push(view.path(
        Mechanism::SshKeysCommand,
        verdict,
        view.source_of(&origin),
        None,
    ));
}
