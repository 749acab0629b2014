//! Expiry, aging and locks of an account, as pam_unix(8) and sshd(8) without PAM decide them.

use super::verdict::Checks;
use crate::host::account::{Account, Aging, PasswordState};

/// Who decides whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// PAM's account stack with pam_unix.
    Pam,
    /// sshd with `UsePAM no`.
    SshdAlone,
}

/// Expiry and, for sshd alone, the lock; else aging too.
pub fn check(account: &Account, judge: Judge, today: i64, checks: &mut Checks) {
    check_expiry(account, judge, today, checks);
    match judge {
        Judge::SshdAlone => {
            if account.password == PasswordState::Locked && !has_odd_number(account) {
                let why = "the password field begins with '!' and sshd runs without PAM";
                checks.closed(format!("{why}{}", shadow_line(account)));
            }
        }
        Judge::Pam => check_aging(account, today, checks),
    }
}

/// Expiry alone, whatever the password's age.
pub fn check_expiry(account: &Account, judge: Judge, today: i64, checks: &mut Checks) {
    if account.password == PasswordState::Unknown {
        checks.unknown(
            "shadow(5) could not be read: whether the account is expired or locked is not known",
        );
    }
    let at = shadow_line(account);
    if has_odd_number(account) {
        // Whoever skips the line finds neither an expiry nor a lock in it.
        checks.unknown(format!(
            "a number is below zero or too large{at}: some C libraries skip such a line, others \
             take it for none"
        ));
    }
    if let Some(day) = account.expire_day.filter(|day| !is_odd(*day)) {
        let expired = match judge {
            // auth-shadow.c: the day itself is still good.
            Judge::SshdAlone => day < today,
            Judge::Pam => day <= today,
        };
        if expired && !has_odd_number(account) {
            checks.closed(format!("the account is expired since day {day}{at}"));
        }
    }
    if judge == Judge::Pam && account.password == PasswordState::Missing {
        checks
            .closed("PAM refuses the account: passwd(5) says 'x' and shadow(5) has no line for it");
    }
}

/// Without a day of the last change shadow(5) calls aging off, but pam_unix before 1.6 counted from
/// the day before 1970-01-01.
fn check_never_changed(account: &Account, today: i64, checks: &mut Checks) {
    let Aging { max, inactive, .. } = account.aging;
    if let (Some(max), Some(inactive)) = (max, inactive)
        && today + 1 > max.saturating_add(inactive)
    {
        checks.unknown(format!(
            "PAM before 1.6 takes a password without a day of change for too old{}",
            shadow_line(account)
        ));
    }
}

/// Whether shadow(5) has a number for the account that nothing agrees on.
fn has_odd_number(account: &Account) -> bool {
    let aging = &account.aging;
    [
        account.expire_day,
        aging.last_change,
        aging.max,
        aging.inactive,
    ]
    .into_iter()
    .flatten()
    .any(is_odd)
}

/// glibc counts days in 32 bits. With -1 in a field, Debian 11 to 13 skip the line.
fn is_odd(day: i64) -> bool {
    i32::try_from(day).map_or(true, |day| day < 0)
}

/// pam_unix's `check_shadow_expiry`, in 1.4 to 1.7.
fn check_aging(account: &Account, today: i64, checks: &mut Checks) {
    if account.password == PasswordState::Missing {
        return;
    }
    let aging = account.aging;
    let Some(changed) = aging.last_change.filter(|day| !is_odd(*day)) else {
        check_never_changed(account, today, checks);
        return;
    };
    if changed == 0 {
        checks.note("the password must be changed at login");
        return;
    }
    let age = today - changed;
    let max = aging.max.filter(|days| *days >= 0);
    let inactive = aging.inactive.filter(|days| *days >= 0);
    if age >= 0
        && let (Some(max), Some(inactive)) = (max, inactive)
    {
        let grace = max.saturating_add(inactive);
        let why = format!(
            "the password is {age} days old, beyond its age and its days of grace{}",
            shadow_line(account)
        );
        match age.cmp(&grace) {
            std::cmp::Ordering::Greater => return checks.closed(why),
            // The last day of grace counts as over since Linux-PAM 1.6.
            std::cmp::Ordering::Equal => return checks.unknown(why),
            std::cmp::Ordering::Less => {}
        }
    }
    if max.is_some_and(|max| age > max) {
        checks.note("the password is too old and must be changed at login");
    }
}

/// Whether a password can open anything: what a prompt does with the password field.
pub fn check_password(account: &Account, checks: &mut Checks) {
    let at = shadow_line(account);
    match account.password {
        PasswordState::Usable | PasswordState::Empty => {}
        PasswordState::Locked => checks.closed(format!("the password is locked{at}")),
        PasswordState::Unusable => {
            checks.closed(format!("no password can match the password field{at}"))
        }
        PasswordState::Unknown => checks.unknown("shadow(5) could not be read"),
        PasswordState::Missing => {
            checks.closed("there is no password: shadow(5) has no line for the account")
        }
    }
}

/// Whether an administrator wants the password changed at the next login (shadow(5), field 3).
pub fn must_change(account: &Account) -> bool {
    account.aging.last_change == Some(0)
}

/// ` (/etc/shadow:12)`
pub fn shadow_line(account: &Account) -> String {
    account
        .shadow_line
        .map(|line| format!(" (/etc/shadow:{line})"))
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::host::account::GroupRef;
    use rescind_protocol::path::PathState;

    pub(crate) fn alice() -> Account {
        Account {
            name: "alice".parse().unwrap(),
            uid: 1000,
            gid: 1000,
            home: b"/home/alice".to_vec(),
            shell: b"/bin/bash".to_vec(),
            passwd_line: 20,
            password: PasswordState::Usable,
            shadow_line: Some(21),
            expire_day: None,
            aging: Aging {
                last_change: Some(20_000),
                max: Some(99_999),
                inactive: None,
            },
            groups: vec![
                GroupRef {
                    name: b"alice".to_vec(),
                    gid: 1000,
                },
                GroupRef {
                    name: b"staff".to_vec(),
                    gid: 50,
                },
            ],
        }
    }

    fn state(judge: Judge, change: impl FnOnce(&mut Account)) -> PathState {
        let mut account = alice();
        change(&mut account);
        let mut checks = Checks::default();
        check(&account, judge, 20_100, &mut checks);
        checks.verdict("").state
    }

    #[test]
    fn the_measured_table() {
        use PathState::{Closed, Open, Unknown};
        type Change = fn(&mut Account);
        let rows: [(Change, PathState, PathState); 16] = [
            (|_| {}, Open, Open),
            (|a| a.password = PasswordState::Locked, Open, Closed),
            (|a| a.password = PasswordState::Unusable, Open, Open),
            (|a| a.expire_day = Some(1), Closed, Closed),
            (|a| a.expire_day = Some(0), Closed, Closed),
            (|a| a.expire_day = Some(-1), Unknown, Unknown),
            (|a| a.expire_day = Some(20_099), Closed, Closed),
            (|a| a.expire_day = Some(20_100), Closed, Open),
            (|a| a.aging.max = Some(1 << 40), Unknown, Unknown),
            (|a| a.expire_day = Some(20_101), Open, Open),
            (|a| a.aging.last_change = Some(0), Open, Open),
            (|a| a.aging.max = Some(30), Open, Open),
            (
                |a| (a.aging.max, a.aging.inactive) = (Some(30), Some(10)),
                Closed,
                Open,
            ),
            (
                |a| (a.aging.max, a.aging.inactive) = (Some(60), Some(40)),
                Unknown,
                Open,
            ),
            (
                |a| {
                    a.aging = Aging {
                        last_change: None,
                        max: Some(10),
                        inactive: Some(1),
                    };
                },
                Unknown,
                Open,
            ),
            (|a| a.password = PasswordState::Unknown, Unknown, Unknown),
        ];
        for (row, (change, pam, alone)) in rows.into_iter().enumerate() {
            assert_eq!(state(Judge::Pam, change), pam, "row {row} with PAM");
            assert_eq!(
                state(Judge::SshdAlone, change),
                alone,
                "row {row} without PAM"
            );
        }
    }
}
