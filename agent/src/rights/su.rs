//! su(1): who may use it, for whom, and what it asks.
//!
//! util-linux's su asks PAM as the service `su`, which with pam_unix asks for the password of the
//! account one becomes. pam_wheel(8) narrows who may try, or waves its group through. The shell that
//! runs is that of the account one becomes, and only where that is one of shells(5) may it be another.

use rescind_protocol::path::Source;

use crate::host::account::{Account, PasswordState, shell_refuses};
use crate::pam::{Caller, Proof, Proved, Service};

/// What a host has of su.
#[derive(Debug, Default)]
pub struct SuFacts {
    /// Whether it can make anybody of anyone.
    pub program: Program,
    /// What PAM says of its service; `None` where it does not ask PAM, but for the password itself.
    pub service: Option<Service>,
    /// The lines of shells(5); `None` where there is no such file.
    pub shells: Option<Vec<Vec<u8>>>,
}

/// A program that acts as root for others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Program {
    /// It is not there, or is not setuid root.
    #[default]
    Powerless,
    /// It is.
    Acts,
    /// That could not be looked at.
    Unknown(String),
}

/// What an account may do with su.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Nothing.
    No,
    /// Become the other with its password.
    WithPassword,
    /// Become it without a password; with what says so, where that is a line.
    Freely(Option<Source>),
    /// That is not known, and why.
    Unknown(String),
}

/// What shells(5) is taken to say where there is no such file.
const SHELLS: [&[u8]; 2] = [b"/bin/sh", b"/bin/csh"];

impl SuFacts {
    /// Whether an account may become another.
    pub fn may(&self, account: &Account, target: &Account) -> May {
        match &self.program {
            Program::Powerless => return May::No,
            Program::Unknown(why) => return May::Unknown(why.clone()),
            Program::Acts => {}
        }
        if self.shell_ends_it(&target.shell) {
            return May::No;
        }
        let password = target.typed_password();
        let Some(service) = &self.service else {
            return match password {
                PasswordState::Empty => May::Freely(None),
                PasswordState::Usable => May::WithPassword,
                PasswordState::Unknown => May::Unknown("shadow(5) could not be read".into()),
                PasswordState::Locked | PasswordState::Unusable | PasswordState::Missing => May::No,
            };
        };
        let stack = match &service.auth {
            Ok(stack) => stack,
            Err(why) => return May::Unknown(format!("PAM service {}: {why}", service.told())),
        };
        let caller = Caller {
            groups: &account.groups,
            wants_root: target.uid == 0,
        };
        let wants = stack.wants(caller, Proof::of(password));
        match wants {
            Proved::Freely(place) => May::Freely(place.map(|(service, line)| Source {
                file: format!("/etc/pam.d/{service}"),
                line: Some(line),
            })),
            Proved::Never => May::No,
            _ if password == PasswordState::Unknown => {
                May::Unknown("shadow(5) could not be read".into())
            }
            Proved::WithPassword => May::WithPassword,
            Proved::Depends(modules) => May::Unknown(format!(
                "PAM service {} leaves it to {}",
                service.told(),
                modules.join(", ")
            )),
        }
    }

    /// Whether su comes to a shell that only refuses, and takes no other.
    fn shell_ends_it(&self, shell: &[u8]) -> bool {
        let listed = match &self.shells {
            Some(shells) => shells.iter().any(|line| line == shell),
            None => SHELLS.contains(&shell),
        };
        shell_refuses(shell) && !listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::GroupRef;
    use crate::pam::PamFiles;
    use crate::paths::account_state::tests::alice;

    struct One(&'static str);

    impl PamFiles for One {
        fn read(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(self.0.into()))
        }
    }

    fn may(stack: &'static str, change: impl FnOnce(&mut Account)) -> May {
        let facts = SuFacts {
            program: Program::Acts,
            service: Some(Service::read(b"su", &mut One(stack))),
            shells: Some(vec![b"/bin/sh".to_vec(), b"/bin/true".to_vec()]),
        };
        let mut target = alice();
        target.name = "svc".parse().unwrap();
        change(&mut target);
        facts.may(&alice(), &target)
    }

    const UNIX: &str = "auth sufficient pam_rootok.so\nauth required pam_unix.so\n";

    #[test]
    fn by_password_and_shell() {
        let password = |state| move |account: &mut Account| account.password = state;
        assert_eq!(may(UNIX, |_| {}), May::WithPassword);
        assert_eq!(may(UNIX, password(PasswordState::Locked)), May::No);
        assert!(matches!(
            may(UNIX, password(PasswordState::Unknown)),
            May::Unknown(_)
        ));
        let shell = |shell: &'static str| move |account: &mut Account| account.shell = shell.into();
        assert_eq!(may(UNIX, shell("/usr/sbin/nologin")), May::No);
        assert_eq!(may(UNIX, shell("/bin/true")), May::WithPassword);
        assert_eq!(may(UNIX, shell("")), May::WithPassword);
    }

    #[test]
    fn by_wheel() {
        let wheel = "auth sufficient pam_wheel.so group=staff trust\nauth required pam_unix.so\n";
        let place = Source {
            file: "/etc/pam.d/su".into(),
            line: Some(1),
        };
        assert_eq!(may(wheel, |_| {}), May::Freely(Some(place)));
        let narrow = "auth required pam_wheel.so group=ops\nauth required pam_unix.so\n";
        assert_eq!(may(narrow, |_| {}), May::No);
        let facts = SuFacts {
            program: Program::Acts,
            ..SuFacts::default()
        };
        let mut outsider = alice();
        outsider.groups = vec![GroupRef {
            name: b"x".to_vec(),
            gid: 1,
        }];
        assert_eq!(facts.may(&outsider, &alice()), May::WithPassword);
        assert_eq!(SuFacts::default().may(&outsider, &alice()), May::No);
    }
}
