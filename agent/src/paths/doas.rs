//! What doas(1) grants.

use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::account_state::{self, Judge};
use super::doas_conf::{DoasConf, Rule, Who};
use super::rows::Rows;
use super::verdict::{Checks, Verdict};
use crate::host::account::{Account, PasswordState};
use crate::sshd::printable::printable;

/// The configuration of doas.
pub const DOAS_CONF: &str = "/etc/doas.conf";

/// What a host has of doas.
#[derive(Debug)]
pub struct DoasFacts {
    /// Its rules, or why they could not be read; `None` where there is no such file.
    pub conf: Option<Result<DoasConf, String>>,
    /// Why doas itself would not read the file, if that is so: it does not belong to root, or
    /// others may write to it.
    pub refused: Option<&'static str>,
}

/// Adds the rules that permit the account something.
///
/// doas is started by a process of the account, which who is expired does not get.
pub fn add(account: &Account, facts: &DoasFacts, today: i64, paths: &mut Vec<AccessPath>) {
    let Some(conf) = &facts.conf else { return };
    let mut rows = Rows::new(account, Mechanism::Doas);
    let mut gate = Checks::default();
    account_state::check(account, Judge::Pam, today, &mut gate);
    if let Some(why) = facts.refused {
        gate.closed(format!("doas does not read its rules: {why}"));
    }
    let file = Path::new(DOAS_CONF);
    match conf.as_ref().map(DoasConf::rules) {
        Err(why) => {
            gate.unknown(format!("what doas permits is not known: {why}"));
            rows.add(gate.verdict(""), file, None);
        }
        Ok(Err(wrong)) => {
            let why = "doas permits nobody anything: it does not understand this line";
            rows.add(Verdict::closed(why), file, Some(wrong.line));
        }
        Ok(Ok(rules)) => {
            let fits: Vec<&Rule> = rules.iter().filter(|r| is_about(r, account)).collect();
            for (at, rule) in fits.iter().enumerate().filter(|(_, rule)| rule.permits) {
                let later = fits[at + 1..].iter().find(|later| covers(later, rule));
                let mut checks = gate.clone();
                if let Some(later) = later.filter(|later| !later.permits) {
                    checks.closed(format!("line {} denies it again", later.line));
                } else if later.is_some() {
                    // The later one decides, and has a line of its own here.
                    continue;
                }
                rows.add(permitted(rule, account, checks), file, Some(rule.line));
            }
        }
    }
    rows.finish(paths);
}

fn permitted(rule: &Rule, account: &Account, mut checks: Checks) -> Verdict {
    let target = rule.target.as_deref().unwrap_or(b"anybody, root too");
    let what = match &rule.command {
        Some(command) => format!("runs {} as {}", printable(command), printable(target)),
        None => format!("becomes {}", printable(target)),
    };
    if rule.no_password {
        return checks.verdict(&format!("by doas it {what}, and no password is asked"));
    }
    match account.password {
        PasswordState::Usable | PasswordState::Empty => {}
        PasswordState::Unknown => checks.unknown("shadow(5) could not be read"),
        PasswordState::Locked | PasswordState::Unusable | PasswordState::Missing => {
            checks.closed("doas asks for its password, and none can match");
        }
    }
    checks.verdict(&format!("by doas it {what} with its own password"))
}

fn is_about(rule: &Rule, account: &Account) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    match &rule.who {
        Who::User(name) => {
            name == account.name.as_str().as_bytes() || number(name) == Some(account.uid)
        }
        Who::Group(name) => account
            .groups
            .iter()
            .any(|group| group.name == *name || number(name) == Some(group.gid)),
    }
}

/// Whether a later rule decides wherever an earlier one fits.
fn covers(later: &Rule, earlier: &Rule) -> bool {
    // Arguments are not kept, so a rule for a program covers none but itself, not even that one.
    later.command.is_none() && (later.target.is_none() || later.target == earlier.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    fn told(account: &Account, conf: &str) -> Vec<String> {
        let facts = DoasFacts {
            conf: Some(Ok(DoasConf::parse(conf.into()))),
            refused: None,
        };
        let mut paths = Vec::new();
        add(account, &facts, 20_100, &mut paths);
        let show = |path: AccessPath| {
            let line = path.source.and_then(|source| source.line);
            format!(
                "{:?} {} {}",
                path.state,
                line.unwrap_or_default(),
                path.reason
            )
        };
        paths.into_iter().map(show).collect()
    }

    #[test]
    fn rules_for_the_account_and_its_groups() {
        assert_eq!(
            told(
                &alice(),
                "permit bob\npermit nopass 1000 as svc\npermit :staff cmd /bin/x\n"
            ),
            [
                "Open 2 by doas it becomes svc, and no password is asked",
                "Open 3 by doas it runs /bin/x as anybody, root too with its own password",
            ]
        );
        let mut locked = alice();
        locked.password = PasswordState::Locked;
        let asked = told(&locked, "permit alice\npermit nopass :50 as root\n");
        assert!(asked[0].starts_with("Open 2") && asked[1].starts_with("Closed 1"));
        locked.expire_day = Some(1);
        assert!(told(&locked, "permit nopass alice")[0].starts_with("Closed 1 the account is"));
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        assert_eq!(
            told(&alice(), "permit nopass alice as root\ndeny :staff\n"),
            ["Closed 1 line 2 denies it again"]
        );
        assert_eq!(
            told(&alice(), "permit nopass alice\npermit alice\n"),
            ["Open 2 by doas it becomes anybody, root too with its own password"]
        );
        assert_eq!(
            told(
                &alice(),
                "permit alice as root\ndeny alice as svc\ndeny alice cmd /x\n"
            )
            .len(),
            1
        );
        assert_eq!(
            told(&alice(), "permit alice\nrubbish\n"),
            ["Closed 2 doas permits nobody anything: it does not understand this line"]
        );
    }
}
