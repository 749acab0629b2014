//! Steps by what rules let an account do as another: sudo, doas, polkit, groups, su.

use std::collections::BTreeMap;

use rescind_protocol::path::{Mechanism, PathState, Source};

use super::explain::Ways;
use super::ground::{FILE, Wants, can_run, grip, is_setuid};
use super::steps::{Means, Step, Sure};
use crate::host::account::{Account, PasswordState};
use crate::pam::Service;
use crate::paths::pam_gate;
use crate::paths::rights::{Gate, judge};
use crate::paths::verdict::{Checks, Verdict};
use crate::rights::su::May;
use crate::rights::sudo::SudoFacts;
use crate::rights::{Asks, Reach, Right, Whom, doas, groups};

/// Accounts that su(1) is followed to for one account: beyond it, they are counted only.
const SU_TARGETS_MAX: usize = 512;

/// The steps of one account, and whether there are more than were looked at.
pub(super) fn steps(account: &Account, ways: &Ways<'_>, root: &[Account]) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let superuser = root.first();
    add_sudo(account, ways, root, &mut steps);
    for right in groups::rights(account, ways.groups) {
        if right.mechanism == Mechanism::GroupPassword && !enters_groups(account, &right, ways) {
            continue;
        }
        steps.extend(step(account, &right, Gate::Nobody, ways, superuser));
    }
    for right in ways.polkit.rights(account) {
        steps.extend(step(account, &right, Gate::Nobody, ways, superuser));
    }
    let service: Vec<&Service> = ways.doas.service.iter().collect();
    let gate = match service.is_empty() {
        true => Gate::Nobody,
        false => Gate::Pam(&service, true),
    };
    for right in doas::rights(account, ways.doas) {
        steps.extend(step(account, &right, gate, ways, superuser));
    }
    let cut = add_su(account, ways, &mut steps);
    (steps, cut)
}

/// Whether an account can run what lets it into groups: newgrp(1), and for their administrators
/// gpasswd(1) besides.
fn enters_groups(account: &Account, right: &Right, ways: &Ways<'_>) -> bool {
    let runs = |program: &str| {
        let way = ways.paths.way(program.as_bytes());
        way.is_some_and(|way| is_setuid(&way) && can_run(account, &way))
    };
    runs("/usr/bin/newgrp") && (right.asks == Asks::GroupPassword || runs("/usr/bin/gpasswd"))
}

fn add_sudo(account: &Account, ways: &Ways<'_>, root: &[Account], steps: &mut Vec<Step>) {
    let sudo = match ways.sudo {
        Ok(sudo) => sudo,
        Err(why) => {
            let right = Right {
                whom: Whom::Root,
                reach: Reach::Leads,
                ..SudoFacts::unread(why)
            };
            steps.extend(step(account, &right, Gate::Nobody, ways, root.first()));
            return;
        }
    };
    let (services, asked) = sudo.asks_pam(account);
    let gate = Gate::Pam(&services, asked);
    let targets = sudo.targets(account, ways.accounts);
    for target in root.first().into_iter().chain(&targets) {
        if target.name != account.name
            && let Some(right) = sudo.becomes(account, target, root)
        {
            steps.extend(step(account, &right, gate, ways, root.first()));
        }
    }
    // Groups that it may enter, and programs that are what it makes them.
    for right in sudo.rights(account, ways.accounts, ways.sudo_targets) {
        if matches!(right.whom, Whom::Group(_)) || right.reach == Reach::Something {
            steps.extend(step(account, &right, gate, ways, root.first()));
        }
    }
}

/// What a right leads to, if it can be used and leads anywhere.
fn step(
    account: &Account,
    right: &Right,
    gate: Gate<'_>,
    ways: &Ways<'_>,
    superuser: Option<&Account>,
) -> Option<Step> {
    let verdict = judge(account, right, gate, ways.today);
    let by_itself = match right.reach {
        Reach::Everything => Sure::Yes,
        Reach::Leads => Sure::Likely,
        Reach::Something => return by_program(account, right, verdict, ways, superuser),
    };
    let sure = match (verdict.state, right.asks) {
        (PathState::Closed, _) => return None,
        (PathState::Unknown, _) => Sure::Unknown,
        (PathState::Open, Asks::Nothing | Asks::OwnPassword) => by_itself,
        (PathState::Open, Asks::PasswordOf(PasswordState::Empty)) => by_itself,
        (PathState::Open, Asks::PasswordOf(_) | Asks::GroupPassword) => Sure::WithPassword,
    };
    let (to, enters) = match &right.whom {
        Whom::Root | Whom::Anybody | Whom::Listed => (superuser?.name.clone(), None),
        Whom::Account(name) => (account_of_rule(name, ways)?.name, None),
        Whom::Group(group) => (account.name.clone(), Some(group.clone())),
    };
    if enters.is_none() && to == account.name {
        return None;
    }
    let reason = match verdict.state {
        // What is not known is no sentence about what can be done.
        PathState::Unknown if !right.words.is_empty() => {
            format!("{}; {}", right.words, verdict.reason)
        }
        _ => verdict.reason,
    };
    Some(Step {
        to,
        enters,
        means: match right.mechanism {
            Mechanism::Sudo => Means::Sudo,
            Mechanism::Doas => Means::Doas,
            Mechanism::Polkit => Means::Polkit,
            Mechanism::GroupPassword => Means::GroupPassword,
            _ => Means::Group,
        },
        reason,
        source: Some(right.source()),
        sure,
    })
}

/// A program that a right names, and that the account can put its own in the place of.
fn by_program(
    account: &Account,
    right: &Right,
    verdict: Verdict,
    ways: &Ways<'_>,
    superuser: Option<&Account>,
) -> Option<Step> {
    if verdict.state == PathState::Closed {
        return None;
    }
    let to = match &right.whom {
        Whom::Account(name) => account_of_rule(name, ways)?.name,
        Whom::Root | Whom::Anybody | Whom::Listed => superuser?.name.clone(),
        Whom::Group(_) => return None,
    };
    let (program, grip) = right.programs.iter().find_map(|program| {
        let way = ways.paths.way(program)?;
        let wants = Wants {
            executable: true,
            ..FILE
        };
        Some((program, grip(account, &way, wants)?))
    })?;
    Some(Step {
        to,
        enters: None,
        means: Means::Writes,
        reason: format!("{}; {}", verdict.reason, grip.in_words(program)),
        source: Some(right.source()),
        sure: match (verdict.state, right.asks) {
            (PathState::Open, Asks::Nothing | Asks::OwnPassword) => Sure::Yes,
            (PathState::Open, _) => Sure::WithPassword,
            _ => Sure::Unknown,
        },
    })
}

/// The account that a rule means: by its name, else by its uid, with or without `#`.
fn account_of_rule(name: &[u8], ways: &Ways<'_>) -> Option<Account> {
    ways.accounts.by_name_or_uid(name).or_else(|| {
        let uid = std::str::from_utf8(name.strip_prefix(b"#")?).ok()?;
        ways.accounts.by_uid(uid.parse().ok()?).into_iter().next()
    })
}

/// su(1), with the password of the account one becomes; whether there are more such accounts.
fn add_su(account: &Account, ways: &Ways<'_>, steps: &mut Vec<Step>) -> bool {
    // The same for all accounts that differ in nothing of this.
    let mut known: BTreeMap<(u8, bool, Vec<u8>), May> = BTreeMap::new();
    let mut found = 0;
    for other in ways.accounts.iter() {
        if other.uid == account.uid {
            continue;
        }
        let kind = (
            other.typed_password() as u8,
            other.uid == 0,
            other.shell.clone(),
        );
        let may = known
            .entry(kind)
            .or_insert_with(|| ways.su.may(account, &other));
        if *may == May::No {
            continue;
        }
        let mut checks = Checks::default();
        if let Some(service) = &ways.su.service {
            pam_gate::check_person(&other, service, false, ways.today, &mut checks);
        }
        if checks.is_closed() {
            continue;
        }
        found += 1;
        if found > SU_TARGETS_MAX {
            return true;
        }
        let unsure = !checks.is_sure_to_pass();
        steps.push(su(&other, may, unsure.then(|| checks.verdict("").reason)));
    }
    false
}

fn su(other: &Account, may: &May, unsure: Option<String>) -> Step {
    let shadow = other.shadow_line.map(|line| Source {
        file: "/etc/shadow".into(),
        line: Some(line),
    });
    let name = &other.name;
    let (reason, source, sure) = match may {
        May::No | May::WithPassword => (
            format!("may use su with the password of {name}"),
            shadow,
            Sure::WithPassword,
        ),
        May::Freely(None) => (
            match other.password {
                PasswordState::Empty => format!("may use su, and {name} has an empty password"),
                _ => "may use su, which asks for no password (/etc/pam.d/su)".into(),
            },
            shadow,
            Sure::Yes,
        ),
        May::Freely(source) => (
            "may use su without a password".into(),
            source.clone(),
            Sure::Yes,
        ),
        May::Unknown(why) => (
            format!("may use su to become {name}, for all that is known: {why}"),
            shadow,
            Sure::Unknown,
        ),
    };
    let (reason, sure) = match unsure {
        Some(why) => (format!("{reason}; {why}"), Sure::Unknown),
        None => (reason, sure),
    };
    Step {
        to: name.clone(),
        enters: None,
        means: Means::Su,
        reason,
        source,
        sure,
    }
}
