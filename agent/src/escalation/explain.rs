//! From an account to root, step by step.

use std::collections::{BTreeSet, VecDeque};

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;
use serde_json::{Value, json};

use super::groups;
use super::steps::{Means, Step, Sure};
use super::su::{May, SuRules};
use super::sudo::HostSudo;
use crate::host::account::{Account, PasswordState};
use crate::host::accounts::Accounts;

/// Accounts that one explanation visits.
const VISITED_MAX: usize = 512;
/// Accounts that su(1) is followed to for one account: beyond it, they are counted only.
const SU_TARGETS_MAX: usize = 64;

/// What the steps are made of.
pub struct Ways<'a> {
    /// passwd(5), shadow(5), group(5).
    pub accounts: &'a Accounts,
    /// The policy of sudo.
    pub sudo: &'a HostSudo,
    /// What su asks.
    pub su: &'a SuRules,
    /// Days since 1970-01-01: su lets nobody become an expired account.
    pub today: i64,
}

/// Where an account can get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The account.
    pub account: AccountName,
    /// Whether it is root already, with no step to take.
    pub is_root: bool,
    /// How sure it is that it becomes root: the weakest step of its surest chain; `None` when no
    /// chain leads there.
    pub root: Option<Sure>,
    /// The steps it can take that lead to root, each with those that follow.
    pub steps: Vec<Leading>,
    /// Other accounts it can become on the way, whether or not they lead to root.
    pub becomes: BTreeSet<AccountName>,
    /// Not everything was followed.
    pub cut: bool,
}

/// A step that leads to root, with those that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leading {
    /// The step.
    pub step: Step,
    /// What follows; empty when the step's end is root.
    pub then: Vec<Leading>,
}

/// Follows every step from an account. Each account is entered once, by the shortest way, so the
/// result is a tree and ends.
pub fn explain(account: &Account, ways: &Ways<'_>) -> Explanation {
    let root = ways.accounts.by_uid(0);
    let mut nodes = vec![Node {
        account: account.clone(),
        by: None,
    }];
    let mut entered: BTreeSet<AccountName> = BTreeSet::from([account.name.clone()]);
    let mut leads: Vec<(usize, Step)> = Vec::new();
    let mut queue = VecDeque::from([0]);
    let mut cut = false;
    while let Some(at) = queue.pop_front() {
        let from = nodes[at].account.clone();
        if from.uid == 0 {
            continue;
        }
        let (steps, more) = steps_from(&from, ways, &root);
        cut |= more;
        for step in steps {
            let Some(to) = ways.accounts.by_name(&step.to) else {
                continue;
            };
            if to.uid == 0 {
                leads.push((at, step));
            } else if entered.insert(to.name.clone()) {
                if nodes.len() >= VISITED_MAX {
                    cut = true;
                    continue;
                }
                queue.push_back(nodes.len());
                nodes.push(Node {
                    account: to,
                    by: Some((at, step)),
                });
            }
        }
    }
    let becomes = entered.into_iter().filter(|name| *name != account.name);
    let steps = tree(&nodes, &leads, 0);
    Explanation {
        account: account.name.clone(),
        is_root: account.uid == 0,
        root: surest(&steps),
        steps,
        becomes: becomes.collect(),
        cut,
    }
}

struct Node {
    account: Account,
    /// The step that entered it, and from where.
    by: Option<(usize, Step)>,
}

/// The steps from a node that lead to root, the surest first.
fn tree(nodes: &[Node], leads: &[(usize, Step)], at: usize) -> Vec<Leading> {
    let direct = leads.iter().filter(|(from, _)| *from == at);
    let mut all: Vec<Leading> = direct
        .map(|(_, step)| Leading {
            step: step.clone(),
            then: Vec::new(),
        })
        .collect();
    for (index, node) in nodes.iter().enumerate() {
        if let Some((from, step)) = &node.by
            && *from == at
        {
            let then = tree(nodes, leads, index);
            if !then.is_empty() {
                all.push(Leading {
                    step: step.clone(),
                    then,
                });
            }
        }
    }
    all.sort_by_key(Leading::sure);
    all
}

/// As sure as the surest chain.
fn surest(steps: &[Leading]) -> Option<Sure> {
    steps.iter().map(Leading::sure).min()
}

/// What an account can do next, and whether there is more than was looked at.
fn steps_from(account: &Account, ways: &Ways<'_>, root: &[Account]) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let mut cut = false;
    for twin in ways.accounts.by_uid(account.uid) {
        if twin.name != account.name {
            steps.push(Step {
                reason: format!("has the uid {} as {} has it", twin.uid, twin.name),
                source: Some(Source {
                    file: "/etc/passwd".into(),
                    line: Some(twin.passwd_line),
                }),
                to: twin.name,
                means: Means::SharedUid,
                sure: Sure::Yes,
            });
        }
    }
    let superuser = root.first();
    let targets = ways.sudo.targets(account, ways.accounts);
    for target in superuser.into_iter().chain(&targets) {
        if target.name != account.name {
            steps.extend(ways.sudo.step(account, target, root));
        }
    }
    if let Some(superuser) = superuser {
        for membership in groups::memberships(account, ways.accounts) {
            steps.push(Step {
                to: superuser.name.clone(),
                means: Means::Group,
                reason: membership.reason,
                source: membership.source,
                sure: if membership.likely {
                    Sure::Likely
                } else {
                    Sure::Yes
                },
            });
        }
    }
    match ways.su.may(account) {
        May::No => {}
        May::Freely(source) => steps.extend(superuser.map(|superuser| Step {
            to: superuser.name.clone(),
            means: Means::Su,
            reason: "may use su without a password".into(),
            source: Some(source),
            sure: Sure::Yes,
        })),
        May::WithPassword => {
            let can_be = |other: &Account| {
                let expired = other.expire_day.is_some_and(|day| day <= ways.today);
                let password =
                    matches!(other.password, PasswordState::Usable | PasswordState::Empty);
                other.name != account.name && password && !expired
            };
            let mut others = ways.accounts.iter().filter(can_be);
            for other in others.by_ref().take(SU_TARGETS_MAX) {
                steps.push(su(&other));
            }
            cut = others.next().is_some();
        }
    }
    (steps, cut)
}

fn su(other: &Account) -> Step {
    let empty = other.password == PasswordState::Empty;
    Step {
        reason: if empty {
            format!("may use su, and {} has an empty password", other.name)
        } else {
            format!("may use su with the password of {}", other.name)
        },
        source: other.shadow_line.map(|line| Source {
            file: "/etc/shadow".into(),
            line: Some(line),
        }),
        to: other.name.clone(),
        means: Means::Su,
        sure: if empty { Sure::Yes } else { Sure::WithPassword },
    }
}

impl Explanation {
    /// The answer for programs, with stable names.
    pub fn to_json(&self) -> Value {
        json!({
            "account": self.account,
            "is_root": self.is_root,
            "root": self.root.map(Sure::word),
            "steps": self.steps.iter().map(Leading::to_json).collect::<Vec<_>>(),
            "becomes": self.becomes,
            "cut": self.cut,
        })
    }
}

impl Leading {
    /// As sure as the weakest step of its surest chain.
    fn sure(&self) -> Sure {
        let after = surest(&self.then);
        self.step.sure.max(after.unwrap_or(Sure::Yes))
    }

    fn to_json(&self) -> Value {
        json!({
            "to": self.step.to,
            "means": self.step.means.word(),
            "reason": self.step.reason,
            "source": self.step.source,
            "sure": self.step.sure.word(),
            "then": self.then.iter().map(Self::to_json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::host::account::Aging;
    use crate::host::root::HostRoot;

    /// An account with nothing but a name and a uid.
    pub fn account(name: &str, uid: u32) -> Account {
        Account {
            name: name.parse().unwrap(),
            uid,
            gid: uid,
            home: Vec::new(),
            shell: Vec::new(),
            passwd_line: 1,
            password: PasswordState::Locked,
            shadow_line: None,
            expire_day: None,
            aging: Aging::default(),
            groups: Vec::new(),
        }
    }

    /// A host's files; alice, bob and svc-db have passwords unless `shadow` says otherwise.
    struct Files(PathBuf);

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n\
        bob:x:1001:1001::/home/bob:/bin/sh\nsvc-db:x:900:900::/srv/db:/bin/sh\n\
        deploy:x:901:901::/srv/deploy:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nalice:x:1000:\nbob:x:1001:\nsvc-db:x:900:\ndeploy:x:901:\n\
        docker:x:998:\nops:x:997:deploy\nshadow:x:42:\nwheel:x:10:\n";
    const SHADOW: &str = "root:!:19000::::::\nalice:!:19000::::::\nbob:!:19000::::::\n\
        svc-db:!:19000::::::\ndeploy:!:19000::::::\n";

    impl Files {
        fn with(changed: &[(&str, &str)]) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "rescind-explain-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            );
            let files = Self(std::env::temp_dir().join(name));
            let usual = [
                ("etc/passwd", PASSWD),
                ("etc/group", GROUP),
                ("etc/shadow", SHADOW),
                ("etc/sudoers", ""),
                ("usr/bin/sudo", "ELF\x00\x31.9.13p3\0"),
            ];
            for (path, text) in usual.iter().chain(changed) {
                let path = files.0.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            files
        }

        /// The tree in words, an indented line for each step.
        fn explain(&self, name: &str) -> Vec<String> {
            let root = HostRoot::at(&self.0).unwrap();
            let accounts = Accounts::load(&root).unwrap();
            let ways = Ways {
                accounts: &accounts,
                sudo: &HostSudo::read(&root, &mut Default::default(), 1_700_000_000).unwrap(),
                su: &SuRules::read(&root).unwrap(),
                today: 19_675,
            };
            let account = accounts.by_name(&name.parse().unwrap()).unwrap();
            let explained = explain(&account, &ways);
            assert_eq!(explained.root.is_some(), !explained.steps.is_empty());
            let mut lines = Vec::new();
            words(&explained.steps, 0, &mut lines);
            lines
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(Path::new(&self.0));
        }
    }

    fn words(steps: &[Leading], depth: usize, lines: &mut Vec<String>) {
        for Leading { step, then } in steps {
            let source = step.source.as_ref().map_or_else(String::new, |source| {
                format!(" {}:{}", source.file, source.line.unwrap_or_default())
            });
            lines.push(format!(
                "{}{} [{}]{source}",
                "  ".repeat(depth),
                step.reason,
                step.sure.word()
            ));
            words(then, depth + 1, lines);
        }
    }

    const SU: (&str, &str) = ("etc/pam.d/su", "auth sufficient pam_rootok.so\n");

    #[test]
    fn chains_of_sudo() {
        for (sudoers, want) in [
            (
                "deploy ALL=(ALL) NOPASSWD: ALL\n",
                &["may run any command as root, without a password [yes] /etc/sudoers:1"][..],
            ),
            (
                "%ops ALL=(ALL:ALL) ALL\n",
                &[
                    "may run any command as root, with its own password [with_password] /etc/sudoers:1",
                ],
            ),
            (
                "#901 ALL=(root) NOPASSWD: /usr/bin/vim\n",
                &[
                    "may run /usr/bin/vim (a program that writes any file) as root, without a password [likely] /etc/sudoers:1",
                ],
            ),
            (
                "User_Alias CREW = bob, deploy\nRunas_Alias DB = svc-db\n\
                 CREW ALL=(DB) NOPASSWD: ALL\nsvc-db ALL=(root) NOPASSWD: /bin/bash\n",
                &[
                    "may run any command as svc-db, without a password [yes] /etc/sudoers:3",
                    "  may run /bin/bash (a program that runs any other) as root, without a password [likely] /etc/sudoers:4",
                ],
            ),
            (
                "deploy ALL=(#900) NOPASSWD: ALL\nsvc-db ALL=(%ops) NOPASSWD: ALL\n\
                 bob ALL=(ALL) NOPASSWD: ALL\n",
                &[],
            ),
            ("deploy ALL=(ALL, !root) NOPASSWD: ALL\n", &[]),
            ("deploy ALL=(ALL) NOPASSWD: /usr/bin/id\n", &[]),
        ] {
            let files = Files::with(&[("etc/sudoers", sudoers)]);
            assert_eq!(files.explain("deploy"), want, "{sudoers}");
        }
    }

    #[test]
    fn without_sudo_its_rules_are_nothing() {
        let files = Files::with(&[("etc/sudoers", "deploy ALL=(ALL) NOPASSWD: ALL\n")]);
        fs::remove_file(files.0.join("usr/bin/sudo")).unwrap();
        assert_eq!(files.explain("deploy"), [""; 0]);
    }

    #[test]
    fn chains_of_groups_and_uids() {
        let group = GROUP.replace("docker:x:998:", "docker:x:998:deploy");
        let files = Files::with(&[("etc/group", &group)]);
        assert_eq!(
            files.explain("deploy"),
            [
                "is in the group docker, which can start a container with the host's files in it [yes] /etc/group:6"
            ]
        );
        let passwd = PASSWD.replace("deploy:x:901:901", "deploy:x:901:42");
        let files = Files::with(&[("etc/passwd", &passwd)]);
        assert_eq!(
            files.explain("deploy"),
            ["is in the group shadow, which can read the password hashes [likely] /etc/passwd:5"]
        );
        let passwd = PASSWD.replace("bob:x:1001:", "bob:x:901:");
        let files = Files::with(&[
            ("etc/passwd", &passwd),
            ("etc/sudoers", "bob ALL=(ALL) NOPASSWD: ALL\n"),
        ]);
        assert_eq!(
            files.explain("deploy"),
            [
                "has the uid 901 as bob has it [yes] /etc/passwd:3",
                "  may run any command as root, without a password [yes] /etc/sudoers:1",
            ]
        );
    }

    #[test]
    fn chains_of_su() {
        let shadow = SHADOW.replace("svc-db:!", "svc-db:$6$a$b");
        let rules = ("etc/sudoers", "svc-db ALL=(ALL) NOPASSWD: ALL\n");
        let files = Files::with(&[("etc/shadow", &shadow), rules, SU]);
        let chain = [
            "may use su with the password of svc-db [with_password] /etc/shadow:4",
            "  may run any command as root, without a password [yes] /etc/sudoers:1",
        ];
        assert_eq!(files.explain("alice"), chain);

        let empty = SHADOW.replace("svc-db:!", "svc-db:");
        let files = Files::with(&[("etc/shadow", &empty), rules, SU]);
        assert_eq!(
            files.explain("alice")[0],
            "may use su, and svc-db has an empty password [yes] /etc/shadow:4"
        );

        let expired = shadow.replace("svc-db:$6$a$b:19000::::::", "svc-db:$6$a$b:19000:::::1:");
        let files = Files::with(&[("etc/shadow", &expired), rules, SU]);
        assert_eq!(files.explain("alice"), [""; 0]);

        // alice, su, svc-db, sudo, bob, group: three steps.
        let group = GROUP.replace("docker:x:998:", "docker:x:998:bob");
        let files = Files::with(&[
            ("etc/shadow", &shadow),
            ("etc/group", &group),
            ("etc/sudoers", "svc-db ALL=(bob) NOPASSWD: ALL\n"),
            SU,
        ]);
        assert_eq!(
            files.explain("alice"),
            [
                "may use su with the password of svc-db [with_password] /etc/shadow:4",
                "  may run any command as bob, without a password [yes] /etc/sudoers:1",
                "    is in the group docker, which can start a container with the host's files in it [yes] /etc/group:6",
            ]
        );

        let only_wheel = ("etc/pam.d/su", "auth required pam_wheel.so\n");
        let files = Files::with(&[("etc/shadow", &shadow), rules, only_wheel]);
        assert_eq!(files.explain("alice"), [""; 0]);
        let group = GROUP.replace("wheel:x:10:", "wheel:x:10:alice");
        let trusted = ("etc/pam.d/su", "auth sufficient pam_wheel.so trust\n");
        let files = Files::with(&[("etc/group", &group), trusted]);
        assert_eq!(
            files.explain("alice"),
            ["may use su without a password [yes] /etc/pam.d/su:1"]
        );
    }
}
