//! What PAM says to those that ask it before they start something as an account: daemons, and
//! programs that somebody is at.

use super::account_state::{self, Judge, MustChange};
use super::verdict::Checks;
use crate::host::account::Account;
use crate::pam::{Answer, Service, Stack, Unix};
use crate::sshd::printable::printable;

/// Whom a daemon asks before it starts something as an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Nobody: an account that is expired is as good as any.
    Nobody,
    /// PAM, as this service.
    Pam {
        /// The service.
        service: String,
        /// Its account lines, or why they are not known.
        stack: Result<Stack, String>,
    },
    /// That is not known, and why.
    Unknown(String),
}

/// Adds whether the daemon starts something as the account, as far as that is the account's.
pub fn check(account: &Account, asks: &Asks, today: i64, checks: &mut Checks) {
    let mut unix = Checks::default();
    account_state::check(account, Judge::Pam, today, &mut unix);
    let (service, stack) = match asks {
        Asks::Nobody => {
            if !unix.is_sure_to_pass() {
                checks.note("it does not ask PAM, so that neither expiry nor lock stops it");
            }
            return;
        }
        Asks::Unknown(why) => return turn_unknown(&unix, why, checks),
        Asks::Pam { service, stack } => (printable(service.as_bytes()), stack),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(why) => {
            return turn_unknown(&unix, &format!("PAM service {service}: {why}"), checks);
        }
    };
    // pam_unix looks at expiry first.
    if unix.is_sure_to_pass() {
        let due = account_state::must_change(account, today);
        return check_due(account, due, stack, &service, checks);
    }
    through(stack, &service, &unix, checks);
}

/// Whether the service starts something where the password must be changed: nobody is there to be
/// asked for a new one.
fn check_due(
    account: &Account,
    due: MustChange,
    stack: &Stack,
    service: &str,
    checks: &mut Checks,
) {
    if due == MustChange::No {
        return;
    }
    let at = account_state::shadow_line(account);
    let of = format!("{at} (PAM service {service})");
    match (stack.answer(Unix::MustChange), due) {
        (Answer::LetsPass, _) => {}
        (Answer::Refuses, MustChange::SomePam) => checks.unknown(format!(
            "some releases of PAM want the password to be changed first{of}"
        )),
        (Answer::Refuses, _) => {
            checks.closed(format!("the password must be changed first{of}"));
        }
        (Answer::Depends(modules), _) => checks.unknown(format!(
            "the password must be changed, and {} decides whether first{of}",
            modules.join(", ")
        )),
    }
}

/// What a service's stack makes of what pam_unix says.
fn through(stack: &Stack, service: &str, unix: &Checks, checks: &mut Checks) {
    match stack.answer(Unix::Expired) {
        Answer::Refuses => checks.add(unix),
        Answer::LetsPass => {
            if !unix.is_sure_to_pass() {
                checks.note(format!(
                    "PAM service {service} lets expired accounts pass (/etc/pam.d/{service})"
                ));
            }
        }
        Answer::Depends(modules) => {
            let why = format!(
                "PAM service {service} may let it pass: {} decides (/etc/pam.d/{service})",
                modules.join(", ")
            );
            turn_unknown(unix, &why, checks);
        }
    }
}

/// Adds whether a service that somebody is at lets the account be used. `exempt` says that it asks
/// for no password and minds no old one, as sudo does with NOPASSWD.
pub fn check_person(
    account: &Account,
    service: &Service,
    exempt: bool,
    today: i64,
    checks: &mut Checks,
) {
    let mut unix = Checks::default();
    if exempt {
        account_state::check_expiry(account, Judge::Pam, today, &mut unix);
        let mut aging = Checks::default();
        account_state::check(account, Judge::Pam, today, &mut aging);
        if unix.is_sure_to_pass() && !aging.is_sure_to_pass() {
            unix.unknown(format!(
                "whether it minds a password that is too old is not known{}",
                account_state::shadow_line(account)
            ));
        }
    } else {
        account_state::check(account, Judge::Pam, today, &mut unix);
    }
    let name = &printable(&service.name);
    let stack = match &service.account {
        Ok(stack) => stack,
        Err(why) => return turn_unknown(&unix, &format!("PAM service {name}: {why}"), checks),
    };
    through(stack, name, &unix, checks);
}

/// What would close the way is not known to do so here.
fn turn_unknown(unix: &Checks, why: &str, checks: &mut Checks) {
    if !unix.is_sure_to_pass() {
        checks.unknown(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam::{PamFiles, account_stack};
    use crate::paths::account_state::tests::alice;

    struct One(&'static str);

    impl PamFiles for One {
        fn read(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(self.0.into()))
        }
    }

    fn told(asks: &Asks, change: impl FnOnce(&mut Account)) -> String {
        let mut account = alice();
        change(&mut account);
        let mut checks = Checks::default();
        check(&account, asks, 20_100, &mut checks);
        let verdict = checks.verdict("runs");
        format!("{:?} {}", verdict.state, verdict.reason)
    }

    #[test]
    fn expiry_closes_what_asks_pam() {
        let pam = |lines| Asks::Pam {
            service: "cron".into(),
            stack: account_stack(b"cron", &mut One(lines)),
        };
        let expired = |account: &mut Account| account.expire_day = Some(1);
        let unix = pam("account required pam_unix.so");
        assert_eq!(told(&unix, |_| {}), "Open runs");
        assert_eq!(
            told(&unix, expired),
            "Closed the account is expired since day 1 (/etc/shadow:21)"
        );
        assert_eq!(
            told(&unix, |account| account.aging.last_change = Some(0)),
            "Closed the password must be changed first (/etc/shadow:21) (PAM service cron)"
        );
        assert_eq!(
            told(&unix, |account| account.aging.max = Some(99)),
            "Closed the password must be changed first (/etc/shadow:21) (PAM service cron)"
        );
        assert_eq!(
            told(&unix, |account| {
                account.aging.last_change = None;
                account.aging.max = Some(90);
            }),
            "Unknown some releases of PAM want the password to be changed first (/etc/shadow:21) \
             (PAM service cron)"
        );
        assert_eq!(
            told(&unix, |account| account.aging.max = Some(100)),
            "Unknown some releases of PAM want the password to be changed first (/etc/shadow:21) \
             (PAM service cron)"
        );
        assert_eq!(
            told(&unix, |account| account.aging.max = Some(101)),
            "Open runs"
        );
        assert_eq!(
            told(
                &pam("account sufficient pam_x.so\naccount required pam_unix.so"),
                |account| account.aging.last_change = Some(0)
            ),
            "Unknown the password must be changed, and pam_x decides whether first \
             (/etc/shadow:21) (PAM service cron)"
        );
        let both = |account: &mut Account| {
            account.aging.last_change = Some(0);
            account.expire_day = Some(1);
        };
        let minds_expiry = pam("account [acct_expired=die default=ignore] pam_unix.so\n\
                                account required pam_permit.so");
        assert_eq!(
            told(&minds_expiry, both),
            "Closed the account is expired since day 1 (/etc/shadow:21)"
        );
        assert_eq!(
            told(&pam("account required pam_permit.so"), expired),
            "Open runs; PAM service cron lets expired accounts pass (/etc/pam.d/cron)"
        );
        assert_eq!(
            told(
                &pam("account sufficient pam_x.so\naccount required pam_unix.so"),
                expired
            ),
            "Unknown PAM service cron may let it pass: pam_x decides (/etc/pam.d/cron)"
        );
        assert_eq!(
            told(&pam("account required"), expired),
            "Unknown PAM service cron: cron: a line of account has no module"
        );
        assert_eq!(told(&pam("account required"), |_| {}), "Open runs");
        assert_eq!(
            told(&Asks::Nobody, expired),
            "Open runs; it does not ask PAM, so that neither expiry nor lock stops it"
        );
    }
}
