//! What doas(1) lets an account do.

use rescind_protocol::path::Mechanism;

use super::doas_conf::{DoasConf, Rule, Who, Wrong};
use super::right::{Asks, Reach, Right, Whom};
use crate::host::account::Account;
use crate::pam::Service;
use crate::sshd::printable::printable;
use crate::sudoers::escalation;

/// The configuration of doas.
pub const DOAS_CONF: &str = "/etc/doas.conf";

/// What a host has of doas.
#[derive(Debug)]
pub struct DoasFacts {
    /// Its rules, or why they could not be read; `None` where there is no such file.
    pub conf: Option<Result<DoasConf, String>>,
    /// Why doas gives nobody anything, if that is so: it is not there, or would not read the file.
    pub powerless: Option<&'static str>,
    /// What PAM says of its service; `None` where it does not ask PAM.
    pub service: Option<Service>,
}

/// The rules that permit the account something. Root needs none.
pub fn rights(account: &Account, facts: &DoasFacts) -> Vec<Right> {
    let Some(conf) = facts.conf.as_ref().filter(|_| account.uid != 0) else {
        return Vec::new();
    };
    let powerless = facts.powerless;
    let shut = powerless.map(|why| format!("doas gives nobody anything: {why}"));
    match conf.as_ref().map(DoasConf::rules) {
        Err(why) => vec![Right {
            doubt: Some(format!("what doas permits is not known: {why}")),
            shut,
            ..right(None)
        }],
        Ok(Err(Wrong { line })) => vec![Right {
            shut: Some("doas permits nobody anything: it does not understand this line".into()),
            ..right(Some(line))
        }],
        Ok(Ok(rules)) => {
            let fits: Vec<&Rule> = rules.iter().filter(|r| is_about(r, account)).collect();
            let permits = fits.iter().enumerate().filter(|(_, rule)| rule.permits);
            let in_force = permits.filter_map(|(at, rule)| {
                let later = fits[at + 1..].iter().find(|later| covers(later, rule));
                let denied = match later {
                    Some(later) if later.permits => return None, // it has a line of its own here
                    Some(later) => Some(format!("line {} denies it again", later.line)),
                    None => None,
                };
                Some(Right {
                    shut: shut.clone().or(denied),
                    ..permitted(rule)
                })
            });
            in_force.collect()
        }
    }
}

/// The rules by which others become an account that is named in them: the line, and by whom.
pub fn by_others(target: &Account, facts: &DoasFacts) -> Vec<(u32, String)> {
    let Some(Ok(conf)) = facts.conf.as_ref().filter(|_| facts.powerless.is_none()) else {
        return Vec::new();
    };
    let Ok(rules) = conf.rules() else {
        return Vec::new();
    };
    let uid = target.uid.to_string();
    let names = [target.name.as_str().as_bytes(), uid.as_bytes()];
    let is_named = |name: &[u8]| names.contains(&name);
    let permits = rules.iter().enumerate().filter(|(at, rule)| {
        let later = rules[at + 1..].iter();
        let denied = later
            .clone()
            .any(|later| !later.permits && later.who == rule.who && covers(later, rule));
        rule.permits && rule.target.as_deref().is_some_and(is_named) && !denied
    });
    let by = permits.filter_map(|(_, rule)| match &rule.who {
        Who::User(name) if is_named(name) => None,
        Who::User(name) => Some((rule.line, printable(name))),
        Who::Group(name) => Some((rule.line, format!(":{}", printable(name)))),
    });
    by.collect()
}

fn permitted(rule: &Rule) -> Right {
    let target = rule.target.as_deref().unwrap_or(b"anybody, root too");
    let what = match &rule.command {
        Some(command) => format!("runs {} as {}", printable(command), printable(target)),
        None => format!("becomes {}", printable(target)),
    };
    let (asks, how) = match rule.no_password {
        true => (Asks::Nothing, ", and no password is asked"),
        false => (Asks::OwnPassword, " with its own password"),
    };
    Right {
        whom: match &rule.target {
            Some(target) => Whom::Account(target.clone()),
            None => Whom::Anybody,
        },
        words: format!("by doas it {what}{how}"),
        reach: match &rule.command {
            None => Reach::Everything,
            Some(command) if !rule.has_arguments && escalation::of_program(command).is_some() => {
                Reach::Leads
            }
            Some(_) => Reach::Something,
        },
        programs: rule.command.iter().cloned().collect(),
        asks,
        ..right(Some(rule.line))
    }
}

fn right(line: Option<u32>) -> Right {
    Right {
        mechanism: Mechanism::Doas,
        whom: Whom::Anybody,
        words: String::new(),
        reach: Reach::Everything,
        programs: Vec::new(),
        asks: Asks::Nothing,
        spares: None,
        file: DOAS_CONF.into(),
        line,
        shut: None,
        doubt: None,
    }
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
    use crate::host::account::PasswordState;
    use crate::paths::account_state::tests::alice;
    use crate::paths::rights::tests::told;

    fn doas(account: &Account, conf: &str, powerless: Option<&'static str>) -> Vec<String> {
        let facts = DoasFacts {
            conf: Some(Ok(DoasConf::parse(conf.into()))),
            powerless,
            service: None,
        };
        let told = told(account, rights(account, &facts));
        let short = |line: String| line.replace("/etc/doas.conf:", "");
        told.into_iter().map(short).collect()
    }

    #[test]
    fn rules_for_the_account_and_its_groups() {
        let doas = |account: &Account, conf| doas(account, conf, None);
        assert_eq!(
            doas(
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
        let asked = doas(&locked, "permit alice\npermit nopass :50 as root\n");
        assert!(asked[0].starts_with("Open 2") && asked[1].starts_with("Closed 1"));
        locked.expire_day = Some(1);
        assert!(doas(&locked, "permit nopass alice")[0].starts_with("Closed 1 the account is"));
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let doas = |account: &Account, conf| doas(account, conf, None);
        assert_eq!(
            doas(&alice(), "permit nopass alice as root\ndeny :staff\n"),
            ["Closed 1 line 2 denies it again"]
        );
        assert_eq!(
            doas(&alice(), "permit nopass alice\npermit alice\n"),
            ["Open 2 by doas it becomes anybody, root too with its own password"]
        );
        assert_eq!(
            doas(
                &alice(),
                "permit alice as root\ndeny alice as svc\ndeny alice cmd /x\n"
            )
            .len(),
            1
        );
        assert_eq!(
            doas(&alice(), "permit alice\nrubbish\n"),
            ["Closed 2 doas permits nobody anything: it does not understand this line"]
        );
    }

    #[test]
    fn how_far_it_goes_and_whether_doas_is_there() {
        let facts = DoasFacts {
            conf: Some(Ok(DoasConf::parse(
                b"permit alice cmd /usr/bin/vim\npermit alice cmd /usr/bin/vim args /etc/motd\n\
                  permit alice cmd /opt/x\npermit alice as root\n"
                    .to_vec(),
            ))),
            powerless: None,
            service: None,
        };
        let reach: Vec<_> = rights(&alice(), &facts).iter().map(|r| r.reach).collect();
        use Reach::{Everything, Leads, Something};
        assert_eq!(reach, [Leads, Something, Something, Everything]);
        assert_eq!(
            doas(&alice(), "permit alice", Some("it is not installed")),
            ["Closed 1 doas gives nobody anything: it is not installed"]
        );
    }

    #[test]
    fn others_become_who_is_named() {
        let conf = "permit nopass bob as alice\npermit :ops as 1000 cmd id\npermit alice as alice\n\
                    permit carol as alice\ndeny carol as alice\npermit dave\npermit eve as bob\n";
        let facts = DoasFacts {
            conf: Some(Ok(DoasConf::parse(conf.into()))),
            powerless: None,
            service: None,
        };
        let told = by_others(&alice(), &facts);
        assert_eq!(told, [(1, "bob".into()), (2, ":ops".into())]);
    }
}
