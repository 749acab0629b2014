//! What a stack comes to, as libpam's `_pam_dispatch_aux` puts answers together.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::lines::{Action, Module, Stack, Step};
use super::told;

/// What pam_unix(8) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unix {
    /// That the account may be used, or that the password is right.
    Fine,
    /// Of an `auth` stack: that the password is wrong, as every password is where none can match.
    WrongPassword,
    /// The account is expired, or its password is beyond its days of grace.
    Expired,
    /// The password must be changed first.
    MustChange,
}

/// How many of these there are.
const UNIX_ANSWERS: usize = Unix::MustChange as usize + 1;

/// Whether a stack lets somebody pass of whom pam_unix says that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It does not, whatever other modules say.
    Refuses,
    /// It does, whatever other modules say.
    LetsPass,
    /// It depends on modules whose answer is not known; these could turn it.
    Depends(Vec<String>),
}

/// What a stack answers, once it was asked: for all accounts the same. Two stacks of the same
/// lines are the same, whatever was asked of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Known([OnceLock<Answer>; UNIX_ANSWERS]);

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

/// Where the answers have led so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Impression {
    /// No answer counted yet.
    None,
    /// Success.
    Good,
    /// An answer that counted was neither success nor failure: `new_authtok_reqd=ok`.
    Other,
    /// Failure.
    Bad,
}

impl Stack {
    /// Whether the service lets the account pass.
    pub fn answer(&self, unix: Unix) -> Answer {
        let known = &self.known.0[unix as usize];
        let answer = known.get_or_init(|| self.come_to(&|module| answers(module, unix)));
        answer.clone()
    }

    /// What the stack comes to when each module answers one of these.
    pub(super) fn come_to(&self, answers: &Answers<'_>) -> Answer {
        let start = BTreeSet::from([Impression::None]);
        let ends = run(&self.steps, &start, answers);
        let passes = ends.contains(&Impression::Good);
        if !passes {
            return Answer::Refuses;
        }
        if ends.len() == 1 {
            return Answer::LetsPass;
        }
        let mut names = Vec::new();
        unknown_modules(&self.steps, &mut names);
        Answer::Depends(names)
    }
}

/// What a module may answer.
pub(super) type Answers<'a> = dyn for<'m> Fn(&'m Module) -> Vec<&'m [u8]> + 'a;

/// The impressions a list of lines can end with, for those it can begin with.
fn run(
    steps: &[Step],
    start: &BTreeSet<Impression>,
    answers: &Answers<'_>,
) -> BTreeSet<Impression> {
    // What can hold before each line. Jumps lead forwards only, so one pass is enough.
    let mut before = vec![BTreeSet::new(); steps.len() + 1];
    before[0] = start.clone();
    let mut decided = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        let here = std::mem::take(&mut before[at]);
        match step {
            Step::Substack(inner) => before[at + 1].extend(run(inner, &here, answers)),
            Step::Module(module) => {
                for answer in answers(module) {
                    let action = module.action(answer);
                    for next in here
                        .iter()
                        .flat_map(|now| after(*now, action, answer, start))
                    {
                        let decides = match action {
                            Action::Die => true,
                            Action::Done => next != Impression::Bad && next != Impression::None,
                            _ => false,
                        };
                        if decides {
                            decided.insert(next);
                            continue;
                        }
                        let skip = match action {
                            Action::Jump(count) => count,
                            _ => 0,
                        };
                        before[at.saturating_add(1 + skip).min(steps.len())].insert(next);
                    }
                }
            }
        }
    }
    let mut ends = std::mem::take(&mut before[steps.len()]);
    ends.append(&mut decided);
    ends
}

/// What an answer makes of an impression. `start` is what there was when the stack began.
fn after(
    now: Impression,
    action: Action,
    answer: &[u8],
    start: &BTreeSet<Impression>,
) -> Vec<Impression> {
    let next = match action {
        Action::Ignore | Action::Jump(_) => now,
        Action::Reset => return start.iter().copied().collect(),
        Action::Bad | Action::Die => Impression::Bad,
        Action::Ok | Action::Done => match (now, answer) {
            (Impression::Bad | Impression::Other, _) | (_, b"ignore") => now,
            (_, b"success") => Impression::Good,
            _ => Impression::Other,
        },
    };
    vec![next]
}

/// What a module may answer about an account.
fn answers(module: &Module, unix: Unix) -> Vec<&[u8]> {
    match (module.name.as_slice(), unix) {
        (b"pam_unix", Unix::Fine) => vec![b"success"],
        (b"pam_unix", Unix::WrongPassword) => vec![b"auth_err"],
        // What has a line in passwd(5) is all that is asked about.
        (b"pam_localuser", _) => vec![b"success"],
        (b"pam_unix", Unix::Expired) => vec![b"acct_expired"],
        (b"pam_unix", Unix::MustChange) => vec![b"new_authtok_reqd"],
        (b"pam_permit", _) => vec![b"success"],
        (b"pam_deny", _) => vec![b"auth_err"],
        _ => anything(module),
    }
}

/// All that a module could answer; `other` stands for what its line does not name.
pub(super) fn anything(module: &Module) -> Vec<&[u8]> {
    let mut all: Vec<&[u8]> = vec![b"success", b"ignore", b"other"];
    all.extend(module.actions.keys().map(Vec::as_slice));
    all
}

/// Modules that are told by their names.
const NAMED_MAX: usize = 16;

fn unknown_modules(steps: &[Step], names: &mut Vec<String>) {
    for step in steps {
        if names.len() > NAMED_MAX {
            return;
        }
        match step {
            Step::Substack(inner) => unknown_modules(inner, names),
            Step::Module(module) => {
                let known = [
                    &b"pam_unix.so"[..],
                    b"pam_permit.so",
                    b"pam_deny.so",
                    b"pam_localuser.so",
                ];
                let file = module.file.as_slice();
                let name = file.strip_suffix(b".so").unwrap_or(file);
                let name = told(name);
                if known.contains(&file) || names.contains(&name) {
                    continue;
                }
                if names.len() == NAMED_MAX {
                    names.push("others".into());
                    return;
                }
                names.push(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PamFiles, account_stack, auth_stack};
    use super::*;

    struct Files(&'static [(&'static str, &'static str)]);

    impl PamFiles for Files {
        fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
            let file = self.0.iter().find(|(name, _)| name.as_bytes() == service);
            match file {
                Some((_, "unreadable")) => Err("io error".into()),
                file => Ok(file.map(|(_, text)| text.as_bytes().to_vec())),
            }
        }
    }

    fn answer(files: &'static [(&'static str, &'static str)], unix: Unix) -> String {
        match account_stack(b"cron", &mut Files(files)) {
            Ok(stack) => format!("{:?}", stack.answer(unix)),
            Err(error) => error,
        }
    }

    #[test]
    fn includes_that_multiply_are_not_followed_for_ever() {
        struct Blanks;
        impl PamFiles for Blanks {
            fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
                Ok(Some(match service {
                    b"cron" => b"@include blanks\n".repeat(5000),
                    _ => vec![b'\n'; 100_000],
                }))
            }
        }
        let error = account_stack(b"cron", &mut Blanks).unwrap_err();
        assert_eq!(error, "blanks: more than 4194304 bytes");
        struct Empty;
        impl PamFiles for Empty {
            fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
                Ok(Some(match service {
                    b"cron" => b"@include a\n".repeat(5000),
                    b"a" => b"@include b\n".repeat(100),
                    _ => Vec::new(),
                }))
            }
        }
        let error = account_stack(b"cron", &mut Empty).unwrap_err();
        assert_eq!(error, "a: more than 4096 lines");
    }

    const DEBIAN: &str = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n\
        account requisite pam_deny.so\naccount required pam_permit.so\n";

    #[test]
    fn stacks_of_distributions() {
        for (files, expired, must_change) in [
            // Seen on Debian 11, 12 and 13: cron and atd refuse both.
            (
                &[
                    (
                        "cron",
                        "auth x y\n@include common-account # c\nsession x y\n",
                    ),
                    ("common-account", DEBIAN),
                ][..],
                "Refuses",
                "Refuses",
            ),
            // Red Hat
            (
                &[
                    (
                        "cron",
                        "account required pam_access.so\naccount include password-auth\n",
                    ),
                    (
                        "password-auth",
                        "account required pam_unix.so\naccount sufficient pam_localuser.so\n\
                         account sufficient pam_usertype.so issystem\naccount required pam_permit.so\n",
                    ),
                ],
                "Refuses",
                "Refuses",
            ),
            // libnss-ldapd's, for accounts that a directory may know.
            (
                &[(
                    "cron",
                    "account [success=2 default=ignore] pam_unix.so\n\
                     account [success=1 default=ignore] pam_ldap.so\n\
                     account requisite pam_deny.so\naccount required pam_permit.so\n",
                )],
                "Depends([\"pam_ldap\"])",
                "Depends([\"pam_ldap\"])",
            ),
            (
                &[(
                    "cron",
                    "account sufficient pam_rootok.so\naccount required pam_unix.so",
                )],
                "Depends([\"pam_rootok\"])",
                "Depends([\"pam_rootok\"])",
            ),
            (
                &[("cron", "account required pam_permit.so")],
                "LetsPass",
                "LetsPass",
            ),
            (
                &[(
                    "cron",
                    "account optional pam_unix.so\n-account required \\\n pam_permit.so",
                )],
                "LetsPass",
                "Refuses",
            ),
            // Another module of the same name, perhaps one that is not there.
            (
                &[(
                    "cron",
                    "account [default=ignore] /opt/pam_unix.so\naccount required pam_permit.so",
                )],
                "LetsPass",
                "LetsPass",
            ),
            (
                &[("cron", "account required /opt/pam_unix.so")],
                "Depends([\"/opt/pam_unix\"])",
                "Depends([\"/opt/pam_unix\"])",
            ),
            // No lines of its own: those of `other` count; without any, nothing passes.
            (
                &[
                    ("cron", "auth required pam_permit.so"),
                    ("other", "account required pam_deny.so"),
                ],
                "Refuses",
                "Refuses",
            ),
            (&[], "Refuses", "Refuses"),
            // What ends a substack does not end the stack.
            (
                &[
                    ("cron", "account substack in\naccount required pam_unix.so"),
                    ("in", "account sufficient pam_permit.so"),
                ],
                "Refuses",
                "Refuses",
            ),
            (
                &[
                    ("cron", "account include in\naccount required pam_unix.so"),
                    ("in", "account sufficient pam_permit.so"),
                ],
                "LetsPass",
                "LetsPass",
            ),
        ] {
            assert_eq!(answer(files, Unix::Expired), expired, "{files:?}");
            assert_eq!(answer(files, Unix::MustChange), must_change, "{files:?}");
        }
    }

    #[test]
    fn who_gets_in_with_a_wrong_password() {
        let wrong = |text: &'static str| {
            let files = [("sshd", text)];
            struct One([(&'static str, &'static str); 1]);
            impl PamFiles for One {
                fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
                    let file = self.0.iter().find(|(name, _)| name.as_bytes() == service);
                    Ok(file.map(|(_, text)| text.as_bytes().to_vec()))
                }
            }
            let stack = auth_stack(b"sshd", &mut One(files)).unwrap();
            format!("{:?}", stack.answer(Unix::WrongPassword))
        };
        for (text, answer) in [
            // Debian, Red Hat without a directory, and with one.
            (
                "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n\
                 auth required pam_permit.so\naccount required pam_permit.so\n",
                "Refuses",
            ),
            (
                "auth required pam_env.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n",
                "Refuses",
            ),
            (
                "auth required pam_env.so\nauth sufficient pam_unix.so\n\
                 auth sufficient pam_sss.so forward_pass\nauth required pam_deny.so\n",
                "Depends([\"pam_env\", \"pam_sss\"])",
            ),
            (
                "auth sufficient pam_permit.so\nauth required pam_unix.so\n",
                "LetsPass",
            ),
            (
                "auth [default=ignore] pam_unix.so\nauth required pam_permit.so\n",
                "LetsPass",
            ),
            ("account required pam_unix.so\n", "Refuses"),
        ] {
            assert_eq!(wrong(text), answer, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for (files, want) in [
            (&[("cron", "unreadable")][..], "io error"),
            (
                &[("cron", "account include gone")],
                "gone is included, but is not there",
            ),
            (
                &[("cron", "account maybe pam_unix.so")],
                "cron: a control is not understood",
            ),
            (
                &[("cron", "account required")],
                "cron: a line of account has no module",
            ),
            (
                &[("cron", "@include cron")],
                "cron: includes within includes without end",
            ),
            (
                &[("cron", "account include /etc/x")],
                "/etc/x cannot be included",
            ),
        ] {
            assert_eq!(answer(files, Unix::Expired), want);
        }
    }
}
