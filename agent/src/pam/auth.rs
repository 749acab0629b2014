//! Who proves what, as the `auth` lines want it.

use super::lines::{Module, Stack, Step};
use super::stack::{Answer, anything};
use super::told;
use crate::host::account::{GroupRef, PasswordState};

/// Somebody who wants something of a service, not root.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The groups they are in.
    pub groups: &'a [GroupRef],
    /// Whether it is root whom they want to be (pam_wheel(8), `root_only`).
    pub wants_root: bool,
}

/// What is known of the password that pam_unix(8) asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing that is typed is right.
    None,
    /// None is asked, where the line says `nullok`.
    Empty,
    /// The right one is typed.
    Right,
}

impl Proof {
    /// What can be typed where the password is this; what is not known is taken for a right one.
    pub const fn of(state: PasswordState) -> Self {
        match state {
            PasswordState::Usable | PasswordState::Unknown => Self::Right,
            PasswordState::Empty => Self::Empty,
            PasswordState::Locked | PasswordState::Unusable | PasswordState::Missing => Self::None,
        }
    }
}

/// What a service wants of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// No password. With the line that waves its group through, where there is one.
    Freely(Option<(String, u32)>),
    /// The password.
    WithPassword,
    /// More than can be had.
    Never,
    /// It depends on these modules.
    Depends(Vec<String>),
}

impl Stack {
    /// What it wants of a caller where the password is `proof` and can be known: with
    /// [`Proof::None`] there is none that is right.
    pub fn wants(&self, caller: Caller<'_>, proof: Proof) -> Proved {
        let with = |proof| self.come_to(&|module| answers(module, caller, proof));
        let nothing = match proof {
            Proof::Empty => Proof::Empty,
            Proof::None | Proof::Right => Proof::None,
        };
        match (with(nothing), with(proof)) {
            (Answer::LetsPass, _) => Proved::Freely(self.waves_through(caller)),
            (_, Answer::LetsPass) => Proved::WithPassword,
            (Answer::Refuses, Answer::Refuses) => Proved::Never,
            (_, Answer::Depends(modules)) | (Answer::Depends(modules), _) => {
                Proved::Depends(modules)
            }
        }
    }

    /// The first line of pam_wheel(8) that trusts a group of the caller's.
    fn waves_through(&self, caller: Caller<'_>) -> Option<(String, u32)> {
        let found = self.steps.iter().find_map(|step| match step {
            Step::Module(module) if module.name == b"pam_wheel" => {
                (wheel(module, caller) == b"success").then_some(&module.place)
            }
            _ => None,
        })?;
        Some((told(&found.0), found.1))
    }
}

/// What a module may answer to a caller.
fn answers<'m>(module: &'m Module, caller: Caller<'_>, proof: Proof) -> Vec<&'m [u8]> {
    let has = |option: &[u8]| module.options.iter().any(|word| word == option);
    match module.name.as_slice() {
        b"pam_unix" => {
            let null_is_ok = has(b"nullok") || has(b"nullok_secure");
            match proof {
                Proof::Right => vec![b"success"],
                Proof::Empty if null_is_ok => vec![b"success"],
                Proof::Empty | Proof::None => vec![b"auth_err"],
            }
        }
        b"pam_permit" | b"pam_env" | b"pam_faildelay" => vec![b"success"],
        b"pam_deny" | b"pam_rootok" => vec![b"auth_err"],
        // A lock after wrong passwords passes by itself.
        b"pam_faillock" if has(b"preauth") => vec![b"success"],
        b"pam_wheel" => vec![wheel(module, caller)],
        _ => {
            let mut all = anything(module);
            // That a password is too old is no answer to who somebody is.
            all.retain(|answer| *answer != b"new_authtok_reqd");
            all
        }
    }
}

/// pam_wheel(8). Without a group it is `wheel`, or where there is none root's.
fn wheel(module: &Module, caller: Caller<'_>) -> &'static [u8] {
    let has = |option: &[u8]| module.options.iter().any(|word| word == option);
    let groups = || caller.groups.iter();
    let mut named = module.options.iter();
    let is_in = match named.find_map(|word| word.strip_prefix(b"group=")) {
        Some(name) => groups().any(|group| group.name == name),
        None => groups().any(|group| group.name == b"wheel" || group.gid == 0),
    };
    match (is_in, has(b"deny"), has(b"trust")) {
        _ if has(b"root_only") && !caller.wants_root => b"ignore",
        (true, true, _) | (false, false, _) => b"perm_denied",
        (true, false, true) | (false, true, true) => b"success",
        (true, false, false) | (false, true, false) => b"ignore",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PamFiles, auth_stack};
    use super::*;

    struct Files(&'static str);

    impl PamFiles for Files {
        fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok(match service {
                b"su" => Some(self.0.into()),
                b"common-auth" => Some(
                    b"auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite \
                      pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n"
                        .to_vec(),
                ),
                _ => None,
            })
        }
    }

    fn wants(stack: &'static str, groups: &[&str], proof: Proof) -> Proved {
        let groups: Vec<GroupRef> = groups
            .iter()
            .map(|name| GroupRef {
                name: name.as_bytes().to_vec(),
                gid: 99,
            })
            .collect();
        let caller = Caller {
            groups: &groups,
            wants_root: true,
        };
        auth_stack(b"su", &mut Files(stack))
            .unwrap()
            .wants(caller, proof)
    }

    #[test]
    fn passwords() {
        let debian =
            "auth sufficient pam_rootok.so\nsession required pam_x.so\n@include common-auth\n";
        assert_eq!(wants(debian, &[], Proof::Right), Proved::WithPassword);
        assert_eq!(wants(debian, &[], Proof::None), Proved::Never);
        assert_eq!(wants(debian, &[], Proof::Empty), Proved::Freely(None));
        let strict = "auth required pam_unix.so\n";
        assert_eq!(wants(strict, &[], Proof::Empty), Proved::Never);
        let red_hat = "auth required pam_env.so\nauth required pam_faillock.so preauth silent\n\
            auth sufficient pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\n\
            auth required pam_deny.so\n";
        assert_eq!(wants(red_hat, &[], Proof::Right), Proved::WithPassword);
        assert_eq!(wants(red_hat, &[], Proof::None), Proved::Never);
        let open = "auth required pam_permit.so\n";
        assert_eq!(wants(open, &[], Proof::None), Proved::Freely(None));
        let agent = "auth sufficient pam_ssh_agent_auth.so file=~/.ssh/authorized_keys\n\
            @include common-auth\n";
        assert!(matches!(wants(agent, &[], Proof::None), Proved::Depends(_)));
    }

    #[test]
    fn wheel_narrows_or_trusts() {
        let wants = |stack, groups: &[&str]| wants(stack, groups, Proof::Right);
        let narrow = "auth required pam_wheel.so group=staff\n@include common-auth\n";
        assert_eq!(wants(narrow, &[]), Proved::Never);
        assert_eq!(wants(narrow, &["staff"]), Proved::WithPassword);
        let deny = "auth required pam_wheel.so deny group=nosu\n@include common-auth\n";
        assert_eq!(wants(deny, &["nosu"]), Proved::Never);
        assert_eq!(wants(deny, &["staff"]), Proved::WithPassword);
        let trust = "auth sufficient pam_wheel.so trust\n@include common-auth\n";
        assert_eq!(
            wants(trust, &["wheel"]),
            Proved::Freely(Some(("su".into(), 1)))
        );
        assert_eq!(wants(trust, &["staff"]), Proved::WithPassword);
        let others = "auth required pam_wheel.so root_only\n@include common-auth\n";
        assert_eq!(wants(others, &[]), Proved::Never);
    }
}
