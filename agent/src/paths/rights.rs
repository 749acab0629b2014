//! What rules let an account do as another, and whether that is open to it.

use rescind_protocol::path::{AccessPath, Mechanism};

use super::account_state::{self, Judge};
use super::pam_gate;
use super::rows::Rows;
use super::verdict::{Checks, Verdict};
use crate::host::account::{Account, PasswordState};
use crate::pam::{Caller, Proof, Proved, Service};
use crate::rights::{Asks, Right};

/// Who is asked before a right can be used.
#[derive(Debug, Clone, Copy)]
pub enum Gate<'a> {
    /// Nobody.
    Nobody,
    /// Nobody. But it takes a process of the account to make use of it, and who is expired gets
    /// none; what runs as the account nevertheless is a path of its own.
    Process,
    /// PAM, as one of these services: the one that asks least decides. With whether it is asked if
    /// the account may be used.
    Pam(&'a [&'a Service], bool),
}

/// Adds rights of one mechanism.
pub fn add(
    account: &Account,
    mechanism: Mechanism,
    rights: &[Right],
    gate: Gate<'_>,
    today: i64,
    paths: &mut Vec<AccessPath>,
) {
    let mut rows = Rows::new(account, mechanism);
    for right in rights.iter().filter(|right| right.mechanism == mechanism) {
        rows.add(judge(account, right, gate, today), &right.file, right.line);
    }
    rows.finish(paths);
}

/// Whether a right is open to its account.
pub fn judge(account: &Account, right: &Right, gate: Gate<'_>, today: i64) -> Verdict {
    let alone = |service: Option<&Service>, asked: bool| {
        let mut checks = Checks::default();
        if let Some(why) = &right.shut {
            checks.closed(why.clone());
        }
        match service {
            Some(service) if asked => {
                let exempt = right.asks == Asks::Nothing;
                pam_gate::check_person(account, service, exempt, today, &mut checks);
            }
            Some(_) => {}
            None if matches!(gate, Gate::Nobody) => {}
            None => account_state::check(account, Judge::Pam, today, &mut checks),
        }
        if let Some(why) = &right.doubt {
            checks.unknown(why.clone());
        }
        check_password(account, right, service, &mut checks);
        checks.verdict(&right.words)
    };
    match gate {
        Gate::Pam(services, asked) if !services.is_empty() => {
            let all = services.iter().map(|service| alone(Some(service), asked));
            // Open comes first, then what is not known.
            all.min_by_key(Verdict::rank)
                .unwrap_or_else(|| Verdict::unknown("no PAM service is known"))
        }
        _ => alone(None, true),
    }
}

/// Whether what is asked can be given.
fn check_password(
    account: &Account,
    right: &Right,
    service: Option<&Service>,
    checks: &mut Checks,
) {
    let (whose, state) = match right.asks {
        Asks::Nothing | Asks::GroupPassword => return,
        Asks::OwnPassword => ("its password", account.typed_password()),
        Asks::PasswordOf(state) => ("another's password", state),
    };
    let mut asked = Checks::default();
    let unknown = state == PasswordState::Unknown;
    match service.map(|service| (service.told(), &service.auth)) {
        None => match state {
            PasswordState::Usable | PasswordState::Empty => {}
            PasswordState::Unknown => asked.unknown("shadow(5) could not be read"),
            PasswordState::Locked | PasswordState::Unusable | PasswordState::Missing => {
                asked.closed(format!("it asks for {whose}, and none can match"));
            }
        },
        Some((name, Err(why))) => asked.unknown(format!("PAM service {name}: {why}")),
        Some((name, Ok(stack))) => {
            let caller = Caller {
                groups: &account.groups,
                wants_root: true,
            };
            match stack.wants(caller, Proof::of(state)) {
                Proved::Freely(_) if state != PasswordState::Empty => {
                    asked.note(format!(
                        "PAM service {name} asks for none (/etc/pam.d/{name})"
                    ));
                }
                Proved::Freely(_) => {}
                Proved::Never if Proof::of(state) == Proof::None => {
                    asked.closed(format!("it asks for {whose}, and none can match"));
                }
                Proved::Never => asked.closed(format!("PAM service {name} lets nobody pass")),
                _ if unknown => asked.unknown("shadow(5) could not be read"),
                Proved::WithPassword => {}
                Proved::Depends(modules) => asked.unknown(format!(
                    "PAM service {name} leaves it to {} who passes",
                    modules.join(", ")
                )),
            }
        }
    }
    match &right.spares {
        Some(why) if asked.is_closed() => checks.unknown(why.clone()),
        Some(why) => {
            checks.add(&asked);
            checks.note(why.clone());
        }
        None => checks.add(&asked),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pam::PamFiles;
    use crate::paths::account_state::tests::alice;
    use crate::rights::{Reach, Whom};

    /// Rights in the words of paths, by mechanism and what is open first.
    pub(crate) fn told(account: &Account, rights: Vec<Right>) -> Vec<String> {
        let mut paths = Vec::new();
        let mut mechanisms: Vec<Mechanism> = rights.iter().map(|right| right.mechanism).collect();
        mechanisms.dedup();
        for mechanism in mechanisms {
            add(
                account,
                mechanism,
                &rights,
                Gate::Process,
                20_100,
                &mut paths,
            );
        }
        let show = |path: AccessPath| {
            let source = path.source.unwrap();
            let line = source.line.unwrap_or_default();
            format!("{:?} {}:{line} {}", path.state, source.file, path.reason)
        };
        paths.into_iter().map(show).collect()
    }

    struct One(&'static str);

    impl PamFiles for One {
        fn read(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(self.0.into()))
        }
    }

    const UNIX: &str = "auth required pam_unix.so\naccount required pam_unix.so\n";
    const OPEN: &str = "auth required pam_permit.so\naccount required pam_permit.so\n";
    const OTHER: &str = "auth required pam_x.so\naccount sufficient pam_x.so\n\
        account required pam_unix.so\n";

    fn judged(
        stacks: &[&'static str],
        asks: Asks,
        spares: Option<&str>,
        change: impl FnOnce(&mut Account),
    ) -> String {
        let services: Vec<Service> = stacks
            .iter()
            .map(|text| Service::read(b"sudo", &mut One(text)))
            .collect();
        let services: Vec<&Service> = services.iter().collect();
        let right = Right {
            mechanism: Mechanism::Sudo,
            whom: Whom::Root,
            words: "may".into(),
            reach: Reach::Everything,
            programs: Vec::new(),
            asks,
            spares: spares.map(str::to_owned),
            file: "/etc/sudoers".into(),
            line: Some(1),
            shut: None,
            doubt: None,
        };
        let mut account = alice();
        change(&mut account);
        let verdict = judge(&account, &right, Gate::Pam(&services, true), 20_100);
        format!("{:?} {}", verdict.state, verdict.reason)
    }

    #[test]
    fn an_expired_account_is_refused_by_pam() {
        let expired = |account: &mut Account| account.expire_day = Some(1);
        let why = "Closed the account is expired since day 1 (/etc/shadow:21)";
        assert_eq!(judged(&[UNIX], Asks::Nothing, None, expired), why);
        assert_eq!(judged(&[UNIX, UNIX], Asks::OwnPassword, None, expired), why);
        assert_eq!(
            judged(&[UNIX, OPEN], Asks::Nothing, None, expired),
            "Open may; PAM service sudo lets expired accounts pass (/etc/pam.d/sudo)"
        );
        assert_eq!(
            judged(&[OTHER], Asks::Nothing, None, expired),
            "Unknown PAM service sudo may let it pass: pam_x decides (/etc/pam.d/sudo)"
        );
        // Without PAM nobody asks, but who is expired gets no process that could start it.
        assert_eq!(judged(&[], Asks::Nothing, None, expired), why);
    }

    #[test]
    fn passwords_that_are_asked() {
        let locked = |account: &mut Account| account.password = PasswordState::Locked;
        let asked =
            |stacks: &[&'static str], spares| judged(stacks, Asks::OwnPassword, spares, locked);
        assert_eq!(
            asked(&[UNIX], None),
            "Closed it asks for its password, and none can match"
        );
        assert_eq!(asked(&[UNIX], Some("ticket")), "Unknown ticket");
        assert_eq!(
            asked(&[OPEN], None),
            "Open may; PAM service sudo asks for none (/etc/pam.d/sudo)"
        );
        assert_eq!(
            asked(&[OTHER], None),
            "Unknown PAM service sudo leaves it to pam_x who passes"
        );
        assert_eq!(judged(&[UNIX], Asks::OwnPassword, None, |_| {}), "Open may");
        let roots = Asks::PasswordOf(PasswordState::Locked);
        assert_eq!(
            judged(&[UNIX], roots, None, |_| {}),
            "Closed it asks for another's password, and none can match"
        );
        let old = |account: &mut Account| {
            (account.aging.max, account.aging.inactive) = (Some(30), Some(10));
        };
        assert!(judged(&[UNIX], Asks::OwnPassword, None, old).starts_with("Closed"));
        assert!(judged(&[UNIX], Asks::Nothing, None, old).starts_with("Unknown"));
        let change = |account: &mut Account| account.aging.last_change = Some(0);
        assert_eq!(
            judged(&[UNIX], Asks::OwnPassword, None, change),
            "Open may; the password must be changed at login"
        );
    }
}
