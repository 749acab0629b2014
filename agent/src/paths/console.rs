//! Passwords at the console and to su(1).

use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source};

use super::account_state::{self, Judge};
use super::facts::{Facts, Shell};
use super::pam_gate;
use super::verdict::{Checks, Verdict};
use crate::host::account::{Account, PasswordState};
use crate::pam::{Answer, Caller, Proof, Proved, Unix};
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
    let mut verdict = checks.verdict(open);
    let (mut file, mut line) = match account.shadow_line {
        Some(line) => ("/etc/shadow", Some(line)),
        None => ("/etc/passwd", Some(account.passwd_line)),
    };
    if verdict.state == PathState::Closed && matches!(facts.shell, Shell::Runs | Shell::Unknown(_))
    {
        let careless = [by_su(account, facts), by_login(account, facts)];
        let careless = careless.into_iter().flatten();
        if let Some((pam, found)) = careless.min_by_key(|(_, verdict)| verdict.rank()) {
            (file, line, verdict) = (pam, None, found);
        }
    }
    AccessPath {
        account: account.name.clone(),
        uid: account.uid,
        mechanism: Mechanism::ConsolePassword,
        state: verdict.state,
        reason: verdict.reason,
        source: Some(Source {
            file: file.into(),
            line,
        }),
        fingerprint: None,
    }
}

const SU: &str = "/etc/pam.d/su";
const LOGIN: &str = "/etc/pam.d/login";

/// What su(1) lets others do without the password that is not there, where its PAM does not mind.
fn by_su(account: &Account, facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    let service = facts.doors.su.as_ref()?;
    let mut checks = Checks::default();
    pam_gate::check_person(account, service, false, facts.today(), &mut checks);
    // What its lines are not known to say of the account is told by those who ask it.
    let stack = service.auth.as_ref().ok()?;
    let proof = Proof::of(account.typed_password());
    let asked = |groups| {
        let caller = Caller {
            groups,
            wants_root: account.uid == 0,
        };
        stack.wants(caller, proof)
    };
    let all = [asked(&facts.doors.groups), asked(&[])];
    let all = all.into_iter().filter_map(|wanted| {
        let mut checks = checks.clone();
        match &wanted {
            Proved::Never => return None,
            Proved::Freely(_) | Proved::WithPassword => {}
            Proved::Depends(modules) => checks.unknown(format!(
                "PAM service su leaves it to {} who passes",
                modules.join(", ")
            )),
        }
        let open = match wanted {
            Proved::Freely(_) => "su lets others be it without a password",
            _ => "su lets others be it with its password",
        };
        let verdict = checks.verdict(open);
        (verdict.state != PathState::Closed).then_some(verdict)
    });
    let best = all.min_by_key(Verdict::rank)?;
    Some((SU, best))
}

/// What login(1) does for those that have asked already, as a getty that logs in by itself: of it
/// only the account's expiry can keep them out.
fn by_login(account: &Account, facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    let service = facts.doors.login.as_ref()?;
    let mut unix = Checks::default();
    account_state::check_expiry(account, Judge::Pam, facts.today(), &mut unix);
    let stack = service.account.as_ref().ok()?;
    let minds = unix.is_sure_to_pass() || stack.answer(Unix::Expired) == Answer::Refuses;
    let why = "PAM service login may let expired accounts pass: whether anything logs it in without \
               asking, as a getty can, is not looked at";
    (!minds).then(|| (LOGIN, Verdict::unknown(why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::GroupRef;
    use crate::pam::{PamFiles, Service};
    use crate::paths::account_state::tests::alice;
    use crate::paths::facts::{Doors, Turns};

    struct One(&'static str);

    impl PamFiles for One {
        fn read(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(self.0.into()))
        }
    }

    const UNIX: &str = "auth sufficient pam_rootok.so\nauth required pam_unix.so\n\
                        account required pam_unix.so\n";

    /// Of alice, disabled.
    fn told(su: &'static str, login: &'static str) -> String {
        let service = |name: &[u8], lines| Some(Service::read(name, &mut One(lines)));
        let doors = Doors {
            login: service(b"login", login),
            su: service(b"su", su),
            groups: vec![GroupRef {
                name: b"crew".to_vec(),
                gid: 7,
            }],
        };
        let facts = Facts {
            sshds: &[],
            doors: &doors,
            shell: Shell::Runs,
            now: 20_100 * 86_400,
            utc_offset: None,
            turns: &Turns::default(),
            connection: None,
            certificate: None,
        };
        let mut account = alice();
        account.password = PasswordState::Locked;
        account.expire_day = Some(1);
        let path = path(&account, &facts);
        let source = path.source.unwrap();
        format!("{:?} {} {}", path.state, source.file, path.reason)
    }

    #[test]
    fn pam_that_minds_nothing_opens_what_lock_and_expiry_close() {
        assert!(told(UNIX, UNIX).starts_with("Closed /etc/shadow "));
        let trusts = "auth sufficient pam_wheel.so trust group=crew\nauth required pam_unix.so\n\
                      account sufficient pam_permit.so\naccount required pam_unix.so\n";
        assert_eq!(
            told(trusts, UNIX),
            "Open /etc/pam.d/su su lets others be it without a password; PAM service su lets \
             expired accounts pass (/etc/pam.d/su)"
        );
        // Nobody is let in without the password, or the account is looked at all the same.
        let expired = "auth required pam_unix.so\naccount required pam_permit.so\n";
        assert!(told(expired, UNIX).starts_with("Closed "));
        let group = "auth sufficient pam_wheel.so trust group=crew\naccount required pam_unix.so\n";
        assert!(told(group, UNIX).starts_with("Closed "));
        let others = "auth sufficient pam_wheel.so trust group=others\nauth required pam_unix.so\n\
                      account required pam_permit.so\n";
        assert!(told(others, UNIX).starts_with("Closed "));
        assert!(told(UNIX, expired).starts_with("Unknown /etc/pam.d/login "));
    }
}
