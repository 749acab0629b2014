//! What PAM says to an sshd with `UsePAM yes` (auth-pam.c).

use super::account_state::{self, Judge};
use super::verdict::Checks;
use crate::host::account::Account;
use crate::pam::{Answer, Service, Stack, Unix};
use crate::sshd::effective::Effective;
use crate::sshd::printable::printable;

/// `SSHD_PAM_SERVICE`
pub const SERVICE: &[u8] = b"sshd";

/// Whether PAM lets the account in, however it logs in.
pub fn check_account(
    account: &Account,
    settings: &Effective,
    services: &[Service],
    today: i64,
    checks: &mut Checks,
) {
    let mut unix = Checks::default();
    account_state::check(account, Judge::Pam, today, &mut unix);
    let name = name(settings);
    let stack = match stack(services, name, |service| &service.account) {
        Ok(stack) => stack,
        Err(why) => {
            checks.add(&unix.unless_sure(&why));
            return;
        }
    };
    let told = printable(name);
    if stack.answer(Unix::Fine) == Answer::Refuses {
        checks.closed(format!(
            "PAM service {told} refuses everybody (/etc/pam.d/{told})"
        ));
    }
    match stack.answer(Unix::Expired) {
        Answer::Refuses => checks.add(&unix),
        Answer::LetsPass if unix.is_sure_to_pass() => checks.add(&unix),
        Answer::LetsPass => checks.note(format!(
            "PAM service {told} lets expired accounts pass (/etc/pam.d/{told})"
        )),
        Answer::Depends(modules) => checks.add(&unix.unless_sure(&depends(&told, &modules))),
    }
}

/// Whether a password can open the account: as a rule, whether pam_unix takes one.
pub fn check_password(
    unix: Checks,
    settings: &Effective,
    services: &[Service],
    checks: &mut Checks,
) {
    let name = name(settings);
    let stack = match stack(services, name, |service| &service.auth) {
        Ok(stack) => stack,
        Err(why) => {
            checks.add(&unix.unless_sure(&why));
            return;
        }
    };
    let told = printable(name);
    if stack.answer(Unix::Fine) == Answer::Refuses {
        checks.closed(format!(
            "PAM service {told} refuses every password (/etc/pam.d/{told})"
        ));
    }
    match stack.answer(Unix::WrongPassword) {
        Answer::Refuses => checks.add(&unix),
        Answer::LetsPass => checks.note(format!(
            "PAM service {told} takes any password (/etc/pam.d/{told})"
        )),
        Answer::Depends(modules) => checks.add(&unix.unless_sure(&depends(&told, &modules))),
    }
}

fn depends(service: &str, modules: &[String]) -> String {
    format!(
        "PAM service {service} may let it pass: {} decides (/etc/pam.d/{service})",
        modules.join(", ")
    )
}

fn name(settings: &Effective) -> &[u8] {
    settings
        .pam_service_name
        .value
        .as_deref()
        .unwrap_or(SERVICE)
}

fn stack<'s>(
    services: &'s [Service],
    name: &[u8],
    lines: impl Fn(&'s Service) -> &'s Result<Stack, String>,
) -> Result<&'s Stack, String> {
    let told = printable(name);
    let service = services.iter().find(|service| service.name == name);
    let service = service.ok_or_else(|| format!("PAM service {told} was not read"))?;
    let lines = lines(service).as_ref();
    lines.map_err(|why| format!("PAM service {told}: {why}"))
}
