//! What polkit(8) grants an account by name or by group.

use std::path::{Path, PathBuf};

use rescind_protocol::path::Mechanism;

use super::polkit_files::{KeyFile, Section, first_naming};
use super::polkit_rules::{Asked, Holds, Outcome, Return, Rules};
use super::right::{Asks, Reach, Right, Whom};
use crate::host::account::Account;
use crate::sshd::printable::{printable, printable_path};

/// What a host has of polkit.
#[derive(Debug, Default)]
pub struct PolkitFacts {
    /// Which polkit decides.
    pub daemon: Daemon,
    /// Rules, in the order polkit reads them.
    pub rules: Vec<RuleFile>,
    /// Key files of the local authority.
    pub authorities: Vec<(PathBuf, KeyFile)>,
    /// Files that tell the local authority who administrators are; the last one that does counts.
    pub administrators: Vec<(PathBuf, KeyFile)>,
    /// What could not be read, and why.
    pub gaps: Vec<(PathBuf, String)>,
}

/// Which polkit decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Daemon {
    /// None is installed.
    #[default]
    Missing,
    /// One that runs rules (0.106 and later), and where the flag is set asks the local authority's
    /// files besides.
    Rules {
        /// `pkla-check-authorization` is installed.
        local_authority: bool,
    },
    /// One of before, which knows the local authority only.
    LocalAuthority,
    /// That is not known.
    Unknown,
}

/// A file of rules.
#[derive(Debug)]
pub struct RuleFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it.
    pub text: Vec<u8>,
    /// What that means, where it is understood.
    pub rules: Option<Rules>,
}

impl RuleFile {
    /// Takes a file's content.
    pub fn new(path: PathBuf, text: Vec<u8>) -> Self {
        let rules = Rules::read(&text);
        Self { path, text, rules }
    }
}

/// Running any program as anybody (pkexec(1)), and what comes to the same.
const EVERYTHING: [&[u8]; 3] = [
    b"org.freedesktop.policykit.exec",
    b"org.freedesktop.machine1.host-shell",
    b"org.freedesktop.systemd1.manage-units",
];
/// What leads to it.
const LEADS: [&[u8]; 6] = [
    b"org.freedesktop.systemd1.manage-unit-files",
    b"org.freedesktop.machine1.shell",
    b"org.freedesktop.accounts.user-administration",
    b"org.freedesktop.packagekit.package-install-untrusted",
    b"org.freedesktop.packagekit.package-install",
    b"org.libvirt.unix.manage",
];

impl PolkitFacts {
    /// What is granted to the account, or may be. Root needs nothing.
    pub fn rights(&self, account: &Account) -> Vec<Right> {
        if account.uid == 0 {
            return Vec::new();
        }
        let (rules, authority, sure) = match self.daemon {
            Daemon::Missing => return Vec::new(),
            Daemon::Rules { local_authority } => (true, local_authority, true),
            Daemon::LocalAuthority => (false, true, true),
            Daemon::Unknown => (true, true, false),
        };
        let mut rights = Vec::new();
        if rules {
            self.add_rules(account, &mut rights);
        }
        if authority {
            self.add_authorities(account, &mut rights);
        }
        for (path, why) in &self.gaps {
            rights.push(Right {
                doubt: Some(format!("what polkit grants is not known: {why}")),
                ..right(path, None)
            });
        }
        if !sure {
            for right in &mut rights {
                let why = "which polkit is installed is not known";
                right.doubt.get_or_insert_with(|| why.to_owned());
            }
        }
        rights
    }

    fn add_rules(&self, account: &Account, rights: &mut Vec<Right>) {
        let groups: Vec<&[u8]> = account.groups.iter().map(|g| g.name.as_slice()).collect();
        let user = account.name.as_str().as_bytes();
        let asking = |action| Asked {
            user,
            groups: &groups,
            action,
        };
        let mut administrators = None;
        for file in &self.rules {
            let Some(rules) = &file.rules else {
                let names = std::iter::once(user).chain(groups.iter().copied());
                if may_grant(&file.text)
                    && let Some(line) = first_naming(&file.text, names)
                {
                    let why = "a rule of polkit names it or a group of it; what it grants is not \
                               known, rules are programs";
                    rights.push(Right {
                        doubt: Some(why.into()),
                        ..right(&file.path, Some(line))
                    });
                }
                continue;
            };
            for found in &rules.returns {
                rights.extend(self.granted_by(file, found, &asking));
            }
            administrators = administrators.or(rules
                .administrators
                .first()
                .map(|(line, names)| (file, *line, names)));
        }
        if let Some((file, line, names)) = administrators
            && names.iter().any(|who| is(who, account))
        {
            rights.push(administrator(&file.path, line));
        }
    }

    /// What a result of a rule is for the account.
    fn granted_by<'a>(
        &self,
        file: &RuleFile,
        found: &'a Return,
        asking: &dyn Fn(&'a [u8]) -> Asked<'a>,
    ) -> Option<Right> {
        let asks = match found.result {
            Outcome::Free => Asks::Nothing,
            Outcome::OwnPassword => Asks::OwnPassword,
            Outcome::No | Outcome::NotHandled => return None,
        };
        let mut actions = Vec::new();
        found
            .conditions
            .iter()
            .for_each(|c| c.actions(&mut actions));
        // Those that matter most first, then what it names itself, then any other.
        let known = EVERYTHING.iter().map(|action| (*action, Reach::Everything));
        let known = known.chain(LEADS.iter().map(|action| (*action, Reach::Leads)));
        let named = actions.iter().map(|(name, _)| (*name, Reach::Something));
        let tried = known.chain(named).chain([(&b"*"[..], Reach::Something)]);
        let mut decided = None;
        let mut free = None;
        for (action, reach) in tried {
            let asked = asking(action);
            let all = found.conditions.iter().map(|one| one.holds(asked));
            let holds = all.min().unwrap_or(Holds::Yes);
            if holds == Holds::No {
                continue;
            }
            match self.decided_before(file, found, asked) {
                Some(by) => decided = decided.or(Some(by)),
                None => {
                    free = Some((reach, holds));
                    break;
                }
            }
        }
        let shut = match (free, decided) {
            (None, None) => return None,
            (None, Some(by)) => Some(format!("{by} decides before")),
            (Some(_), _) => None,
        };
        let (reach, holds) = free.unwrap_or((Reach::Something, Holds::Yes));
        let what = actions_in_words(&actions);
        let how = match asks {
            Asks::Nothing => "without a password",
            _ => "with its own password",
        };
        let seat = match holds {
            Holds::Seated => ", at the console",
            _ => "",
        };
        Some(Right {
            words: format!("polkit lets it do {what} {how}{seat}"),
            reach: match (reach, holds) {
                (Reach::Everything, Holds::Seated) => Reach::Leads,
                (reach, _) => reach,
            },
            asks,
            shut,
            ..right(&file.path, Some(found.line))
        })
    }

    /// Where a rule before this result has decided about an action, if one surely has.
    fn decided_before(&self, file: &RuleFile, found: &Return, asked: Asked<'_>) -> Option<String> {
        for before in &self.rules {
            for result in before.rules.iter().flat_map(|rules| &rules.returns) {
                if std::ptr::eq(result, found) && std::ptr::eq(before, file) {
                    return None;
                }
                let all = result.conditions.iter().map(|one| one.holds(asked));
                let decides = result.result != Outcome::NotHandled;
                if decides && all.min().unwrap_or(Holds::Yes) == Holds::Yes {
                    return Some(format!("{}:{}", printable_path(&before.path), result.line));
                }
            }
        }
        None
    }

    fn add_authorities(&self, account: &Account, rights: &mut Vec<Right>) {
        for (path, file) in &self.authorities {
            for section in file.sections() {
                if section.list(b"Identity").any(|who| is(who, account)) {
                    rights.extend(granted(&section, path));
                }
            }
        }
        let mut administrators = self.administrators.iter().rev().flat_map(|(path, file)| {
            let sections = file.sections().into_iter();
            let naming = sections.filter(|section| section.value(b"AdminIdentities").is_some());
            naming.map(move |section| (path, section))
        });
        if let Some((path, section)) = administrators.next()
            && section.list(b"AdminIdentities").any(|who| is(who, account))
        {
            rights.push(administrator(path, section.line));
        }
    }
}

fn actions_in_words(actions: &[(&[u8], bool)]) -> String {
    if actions.is_empty() {
        return "anything".into();
    }
    let shown = actions.iter().map(|(name, begins)| match begins {
        true => format!("{}*", printable(name)),
        false => printable(name),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Whether a file that is not understood could grant anything at all: some word of it says so.
fn may_grant(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    [
        &b"yes"[..],
        b"self",
        b"spawn",
        b"eval",
        b"result[",
        b"addadminrule",
    ]
    .iter()
    .any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// Whether an identity of polkit's is the account; `*` may stand in it.
fn is(identity: &[u8], account: &Account) -> bool {
    if let Some(user) = identity.strip_prefix(b"unix-user:") {
        return glob(user, account.name.as_str().as_bytes()) || is_number(user, account.uid);
    }
    if let Some(group) = identity.strip_prefix(b"unix-group:") {
        let mut groups = account.groups.iter();
        return groups.any(|g| glob(group, &g.name) || is_number(group, g.gid));
    }
    // A netgroup may hold it.
    identity.starts_with(b"unix-netgroup:") || identity == b"*" || identity == b"default"
}

fn is_number(text: &[u8], id: u32) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse() == Ok(id))
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    crate::sshd::pattern::matches(text, pattern)
}

/// What a section grants without an administrator's password.
fn granted(section: &Section<'_>, path: &Path) -> Option<Right> {
    let results = [&b"ResultAny"[..], b"ResultInactive", b"ResultActive"];
    let values: Vec<&[u8]> = results
        .iter()
        .filter_map(|key| section.value(key))
        .collect();
    let own = values.iter().any(|value| value.starts_with(b"auth_self"));
    let free = values.iter().any(|value| *value == b"yes");
    let (how, asks) = match (free, own) {
        (true, _) => ("without a password", Asks::Nothing),
        (false, true) => ("with its own password", Asks::OwnPassword),
        (false, false) => return None,
    };
    let patterns: Vec<&[u8]> = section.list(b"Action").collect();
    let covers = |action: &&[u8]| patterns.iter().any(|pattern| glob(pattern, action));
    let reach = match () {
        () if EVERYTHING.iter().any(&covers) => Reach::Everything,
        () if LEADS.iter().any(&covers) => Reach::Leads,
        () => Reach::Something,
    };
    let actions: Vec<String> = patterns.iter().map(|pattern| printable(pattern)).collect();
    Some(Right {
        words: format!("polkit lets it do {} {how}", actions.join(", ")),
        reach,
        asks,
        ..right(path, Some(section.line))
    })
}

fn administrator(path: &Path, line: u32) -> Right {
    let words = "it is an administrator to polkit: its own password lets it act as root (pkexec)";
    Right {
        words: words.into(),
        reach: Reach::Everything,
        asks: Asks::OwnPassword,
        ..right(path, Some(line))
    }
}

fn right(path: &Path, line: Option<u32>) -> Right {
    Right {
        mechanism: Mechanism::Polkit,
        whom: Whom::Root,
        words: String::new(),
        reach: Reach::Leads,
        programs: Vec::new(),
        asks: Asks::Nothing,
        spares: None,
        file: path.to_owned(),
        line,
        shut: None,
        doubt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;
    use crate::paths::rights::tests::told;

    fn facts(rules: &[&str], authority: &str, administrators: &[&str]) -> PolkitFacts {
        let file = |(at, text): (usize, &&str)| {
            let path = PathBuf::from(format!("/c{at}"));
            (path, KeyFile::parse(text.as_bytes().to_vec()))
        };
        let rules = rules.iter().enumerate();
        PolkitFacts {
            daemon: Daemon::Rules {
                local_authority: true,
            },
            rules: rules
                .map(|(at, text)| RuleFile::new(format!("/r{at}").into(), text.as_bytes().to_vec()))
                .collect(),
            authorities: vec![("/a".into(), KeyFile::parse(authority.into()))],
            administrators: administrators.iter().enumerate().map(file).collect(),
            gaps: Vec::new(),
        }
    }

    fn rule(body: &str) -> String {
        format!("polkit.addRule(function(action, subject) {{\n{body}\n}});\n")
    }

    #[test]
    fn what_rules_grant() {
        let free = rule("if (subject.isInGroup('staff')) return polkit.Result.YES;");
        for (rules, want) in [
            (
                vec![free.clone()],
                &["Open /r0:2 polkit lets it do anything without a password"][..],
            ),
            (
                vec![rule("if (subject.user == 'alice') return 'no';"), free.clone()],
                &["Closed /r1:2 /r0:2 decides before"],
            ),
            (
                vec![rule(
                    "if (action.id == 'org.y' && subject.user == 'alice') return 'yes';",
                )],
                &["Open /r0:2 polkit lets it do org.y without a password"],
            ),
            (vec![rule("if (subject.user == 'bob') return 'yes';")], &[]),
            (vec![rule("if (subject.user == 'alice') return 'no';")], &[]),
            (
                vec![rule(
                    "if (action.lookup('x') && subject.user == 'alice') return 'yes';",
                )],
                &[
                    "Unknown /r0:2 a rule of polkit names it or a group of it; what it grants is not known, rules are programs",
                ],
            ),
            (
                vec![rule(
                    "if (action.lookup('x') && subject.user == 'alice') return 'no';",
                )],
                &[],
            ),
            (
                vec!["polkit.addAdminRule(function(action, subject) { return ['unix-group:staff']; });".into()],
                &["Open /r0:1 it is an administrator to polkit: its own password lets it act as root (pkexec)"],
            ),
        ] {
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            let facts = facts(&rules, "", &[]);
            assert_eq!(told(&alice(), facts.rights(&alice())), want, "{rules:?}");
        }
        let reach = |body: &str| {
            let facts = facts(&[&rule(body)], "", &[]);
            facts.rights(&alice()).first().map(|right| right.reach)
        };
        assert_eq!(reach("return 'yes';"), Some(Reach::Everything));
        assert_eq!(
            reach("if (action.id.indexOf('org.freedesktop.systemd1.') == 0) return 'yes';"),
            Some(Reach::Everything)
        );
        assert_eq!(
            reach("if (action.id == 'org.libvirt.unix.manage') return 'yes';"),
            Some(Reach::Leads)
        );
        assert_eq!(
            reach("if (subject.active && subject.local) return 'yes';"),
            Some(Reach::Leads)
        );
        assert_eq!(
            reach("if (action.id == 'org.freedesktop.timedate1.set-time') return 'yes';"),
            Some(Reach::Something)
        );
    }

    #[test]
    fn what_the_local_authority_grants() {
        let mut all = facts(
            &[],
            "[A]\nIdentity=unix-user:al*\nAction=org.x.*;org.y\nResultAny=yes\n\
             [B]\nIdentity=unix-group:staff\nAction=z\nResultActive=auth_self_keep\n\
             [C]\nIdentity=unix-user:alice\nAction=z\nResultAny=auth_admin\n\
             [D]\nIdentity=unix-user:bob\nAction=z\nResultAny=yes\n",
            &[
                "[Configuration]\nAdminIdentities=unix-group:staff\n",
                "[Configuration]\n",
            ],
        );
        assert_eq!(
            told(&alice(), all.rights(&alice())),
            [
                "Open /a:1 polkit lets it do org.x.*, org.y without a password",
                "Open /a:5 polkit lets it do z with its own password",
                "Open /c0:1 it is an administrator to polkit: its own password lets it act as root (pkexec)",
            ]
        );
        let expired = Account {
            expire_day: Some(1),
            ..alice()
        };
        let closed = told(&expired, all.rights(&expired));
        assert!(closed.iter().all(|path| path.starts_with("Closed")));
        all.daemon = Daemon::Rules {
            local_authority: false,
        };
        assert_eq!(all.rights(&alice()), []);
        all = facts(
            &[],
            "",
            &[
                "[C]\nAdminIdentities=unix-user:alice",
                "[C]\nAdminIdentities=unix-user:0",
            ],
        );
        assert_eq!(all.rights(&alice()), []);
        all.daemon = Daemon::Missing;
        all.gaps.push(("/x".into(), "io".into()));
        assert_eq!(all.rights(&alice()), []);
    }
}
