//! Expiry, aging and locks of an account, as pam_unix(8) and sshd(8) without PAM decide them.

use super::verdict::Checks;
use crate::host::account::{Account, Aging, HashShape, PasswordState};

/// Who decides whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// PAM's account stack with pam_unix.
    Pam,
    /// sshd with `UsePAM no`.
    SshdAlone,
}

/// What of shadow(5) and passwd(5) somebody looks at.
struct Seen {
    password: PasswordState,
    hash: HashShape,
    expire_day: Option<i64>,
    odd_number: bool,
}

fn seen(account: &Account, judge: Judge) -> Seen {
    match (judge, account.oddities.unasked_shadow) {
        // It asks shadow(5) first, whatever stands in passwd(5).
        (Judge::SshdAlone, Some(shadow)) => Seen {
            password: shadow.password,
            hash: shadow.hash,
            expire_day: shadow.expire_day,
            odd_number: shadow.odd_number,
        },
        _ => Seen {
            password: account.password,
            hash: account.oddities.hash,
            expire_day: account.expire_day,
            odd_number: account.oddities.number,
        },
    }
}

/// Expiry and, for sshd alone, the lock; else aging too.
pub fn check(account: &Account, judge: Judge, today: i64, checks: &mut Checks) {
    check_expiry(account, judge, today, checks);
    let Seen {
        password,
        odd_number,
        ..
    } = seen(account, judge);
    if odd_number {
        return;
    }
    match judge {
        Judge::SshdAlone => {
            if password == PasswordState::Locked {
                let at = shadow_line(account);
                let why = "the password field begins with '!' and sshd runs without PAM";
                checks.closed(format!("{why}{at}"));
            }
        }
        Judge::Pam => check_aging(account, today, checks),
    }
}

/// Expiry alone, and for PAM that there is a line at all, whatever the password's age.
pub fn check_expiry(account: &Account, judge: Judge, today: i64, checks: &mut Checks) {
    let Seen {
        password,
        expire_day,
        odd_number,
        ..
    } = seen(account, judge);
    if password == PasswordState::Unknown {
        checks.unknown(
            "shadow(5) could not be read: whether the account is expired or locked is not known",
        );
    }
    let at = shadow_line(account);
    if odd_number {
        checks.unknown(odd_number_at(account));
        return;
    }
    if let Some(day) = expire_day {
        let expired = match judge {
            // auth-shadow.c: the day itself is still good.
            Judge::SshdAlone => day < today,
            Judge::Pam => day <= today,
        };
        if expired {
            checks.closed(format!("the account is expired since day {day}{at}"));
        }
    }
    if judge == Judge::Pam && password == PasswordState::Missing {
        checks.closed(format!(
            "PAM refuses the account: passwd(5) says 'x' and shadow(5) has no line for it that can \
             be read{at}"
        ));
    }
}

/// Without a day of the last change shadow(5) calls aging off, but pam_unix before 1.6 counted from
/// the day before 1970-01-01.
fn check_never_changed(account: &Account, today: i64, checks: &mut Checks) {
    let Aging { max, inactive, .. } = account.aging;
    let age = today + 1;
    if let (Some(max), Some(inactive)) = (max, inactive)
        && age > max + inactive
    {
        checks.unknown(format!(
            "PAM before 1.6 takes a password without a day of change for too old{}",
            shadow_line(account)
        ));
    } else if max.is_some_and(|max| age > max) {
        checks.note("PAM before 1.6 wants the password to be changed at login");
    }
}

/// pam_unix's `check_shadow_expiry`, in 1.4 to 1.7.
fn check_aging(account: &Account, today: i64, checks: &mut Checks) {
    let at = shadow_line(account);
    if account.password == PasswordState::Missing {
        return;
    }
    let Aging {
        last_change,
        max,
        inactive,
    } = account.aging;
    let Some(changed) = last_change else {
        check_never_changed(account, today, checks);
        return;
    };
    if changed == 0 {
        checks.note("the password must be changed at login");
        return;
    }
    let age = today - changed;
    if age >= 0
        && let (Some(max), Some(inactive)) = (max, inactive)
    {
        let why =
            format!("the password is {age} days old, beyond its age and its days of grace{at}");
        match age.cmp(&(max + inactive)) {
            std::cmp::Ordering::Greater => return checks.closed(why),
            // The last day of grace counts as over since Linux-PAM 1.6.
            std::cmp::Ordering::Equal => return checks.unknown(why),
            std::cmp::Ordering::Less => {}
        }
    }
    match max.map(|max| age.cmp(&max)) {
        Some(std::cmp::Ordering::Greater) => {
            checks.note("the password is too old and must be changed at login");
        }
        Some(std::cmp::Ordering::Equal) => {
            checks.note("PAM since 1.6 wants the password to be changed at login");
        }
        Some(std::cmp::Ordering::Less) | None => {}
    }
}

/// Whether a password can open anything: what a prompt of PAM does with the password field.
pub fn check_password(account: &Account, checks: &mut Checks) {
    check_password_for(account, Judge::Pam, checks);
}

/// The same, for a prompt of PAM or of sshd's own.
pub fn check_password_for(account: &Account, judge: Judge, checks: &mut Checks) {
    let at = shadow_line(account);
    let seen = seen(account, judge);
    if seen.odd_number {
        checks.unknown(odd_number_at(account));
        return;
    }
    match seen.password {
        PasswordState::Usable => match seen.hash {
            HashShape::Possible => {}
            HashShape::Impossible => checks.closed(format!(
                "no password can match the password field, a hash that is damaged{at}"
            )),
            HashShape::OfUnknownKind => checks.unknown(format!(
                "the password is kept as a hash of a kind that is not known{at}"
            )),
        },
        PasswordState::Empty => {}
        PasswordState::Locked => checks.closed(format!("the password is locked{at}")),
        PasswordState::Unusable => {
            checks.closed(format!("no password can match the password field{at}"))
        }
        PasswordState::Unknown => checks.unknown("shadow(5) could not be read"),
        PasswordState::Missing => checks.closed(format!(
            "there is no password: shadow(5) has no line for the account that can be read{at}"
        )),
    }
}

/// Whoever skips the line finds neither a password nor a lock nor an expiry in it.
fn odd_number_at(account: &Account) -> String {
    format!(
        "a number is below zero or too large{}: some C libraries skip such a line, others take it \
         for none",
        shadow_line(account)
    )
}

/// Whether PAM wants the password changed before it lets the account be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustChange {
    /// No.
    No,
    /// An administrator wants it (shadow(5), field 3), or it is too old.
    Yes,
    /// Linux-PAM before 1.6 does, of a password without a day of change; or since 1.6 does, on the
    /// last day of its age.
    SomePam,
}

/// See [`MustChange`].
pub fn must_change(account: &Account, today: i64) -> MustChange {
    let Aging {
        last_change, max, ..
    } = account.aging;
    match (last_change, max) {
        (Some(0), _) => MustChange::Yes,
        (Some(day), Some(max)) if today - day > max => MustChange::Yes,
        (Some(day), Some(max)) if today - day == max => MustChange::SomePam,
        (None, Some(max)) if today + 1 > max => MustChange::SomePam,
        _ => MustChange::No,
    }
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
    use crate::host::account::{GroupRef, Oddities, UnaskedShadow};
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
            oddities: Oddities::default(),
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
        let rows: [(Change, PathState, PathState); 18] = [
            (|_| {}, Open, Open),
            (|a| a.password = PasswordState::Locked, Open, Closed),
            (|a| a.password = PasswordState::Unusable, Open, Open),
            (|a| a.expire_day = Some(1), Closed, Closed),
            (|a| a.expire_day = Some(0), Closed, Closed),
            (|a| a.oddities.number = true, Unknown, Unknown),
            (|a| a.expire_day = Some(20_099), Closed, Closed),
            (|a| a.expire_day = Some(20_100), Closed, Open),
            (|a| a.password = PasswordState::Missing, Closed, Open),
            (
                |a| {
                    a.oddities.unasked_shadow = Some(UnaskedShadow {
                        password: PasswordState::Locked,
                        hash: HashShape::Impossible,
                        expire_day: None,
                        odd_number: false,
                    });
                },
                Open,
                Closed,
            ),
            (
                |a| {
                    a.password = PasswordState::Locked;
                    a.oddities.unasked_shadow = Some(UnaskedShadow {
                        password: PasswordState::Usable,
                        hash: HashShape::Possible,
                        expire_day: Some(20_099),
                        odd_number: false,
                    });
                },
                Open,
                Closed,
            ),
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

    #[test]
    fn when_a_password_must_be_changed() {
        let told = |last_change, max| {
            let mut account = alice();
            (account.aging.last_change, account.aging.max) = (last_change, max);
            let mut checks = Checks::default();
            check(&account, Judge::Pam, 20_100, &mut checks);
            let due = must_change(&account, 20_100);
            (due, checks.verdict("").reason)
        };
        for (last_change, max, due, reason) in [
            (Some(20_000), None, MustChange::No, ""),
            (Some(20_000), Some(101), MustChange::No, ""),
            (
                Some(20_000),
                Some(100),
                MustChange::SomePam,
                "PAM since 1.6 wants the password to be changed at login",
            ),
            (
                Some(20_000),
                Some(99),
                MustChange::Yes,
                "the password is too old and must be changed at login",
            ),
            (
                Some(0),
                None,
                MustChange::Yes,
                "the password must be changed at login",
            ),
            (None, None, MustChange::No, ""),
            (None, Some(99_999), MustChange::No, ""),
            (
                None,
                Some(20_100),
                MustChange::SomePam,
                "PAM before 1.6 wants the password to be changed at login",
            ),
        ] {
            let (is_due, told) = told(last_change, max);
            assert_eq!(is_due, due, "{last_change:?} {max:?}");
            assert_eq!(told, reason, "{last_change:?} {max:?}");
        }
    }
}
