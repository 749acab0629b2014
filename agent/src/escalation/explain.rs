//! From an account to root, step by step.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

use super::ground::Paths;
use super::logins::{self, HeldKey, Vouched};
use super::of_rights;
use super::runs::{self, Run};
use super::setid::{self, SetId};
use super::steps::{Means, Step, Sure};
use crate::host::account::{Account, GroupRef};
use crate::host::accounts::Accounts;
use crate::rights::doas::DoasFacts;
use crate::rights::groups::GroupFacts;
use crate::rights::polkit::PolkitFacts;
use crate::rights::su::SuFacts;
use crate::rights::sudo::SudoFacts;
use crate::rights::sudo_targets::Targets;

/// Accounts, each with the groups it entered, that one explanation visits.
const VISITED_MAX: usize = 512;

/// What the steps are made of.
pub struct Ways<'a> {
    /// passwd(5), shadow(5), group(5).
    pub accounts: &'a Accounts,
    /// sudo, or why it could not be read.
    pub sudo: Result<&'a SudoFacts, &'a str>,
    /// Whom its rules were found to mean.
    pub sudo_targets: &'a Targets,
    /// doas.
    pub doas: &'a DoasFacts,
    /// polkit.
    pub polkit: &'a PolkitFacts,
    /// Groups and their passwords.
    pub groups: &'a GroupFacts,
    /// su.
    pub su: &'a SuFacts,
    /// What root and others run or read.
    pub runs: &'a [Run],
    /// Private keys that lie on the host and log in to it.
    pub keys: &'a [HeldKey],
    /// Those for whom the host or Kerberos vouches.
    pub vouched: &'a [Vouched],
    /// Programs that act as their owner.
    pub setids: &'a [SetId],
    /// What paths lead to.
    pub paths: &'a dyn Paths,
    /// Days since 1970-01-01: nobody becomes an expired account.
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
    /// What could not be read, so that there may be more.
    pub gaps: Vec<String>,
}

/// A step that leads to root, with those that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leading {
    /// The step.
    pub step: Step,
    /// What follows; empty when the step's end is root.
    pub then: Vec<Leading>,
}

/// Follows every step from an account. Each account is entered once, by the surest way and of those
/// by the shortest, so the result is a tree and ends.
pub fn explain(account: &Account, ways: &Ways<'_>) -> Explanation {
    let root = ways.accounts.by_uid(0);
    let mut nodes: Vec<Node> = Vec::new();
    let mut entered: BTreeSet<Entered> = BTreeSet::new();
    let mut leads: Vec<(usize, Step)> = Vec::new();
    let mut ahead = BinaryHeap::from([Reverse(Ahead {
        sure: Sure::Yes,
        depth: 0,
        place: 0,
    })]);
    // What is ahead, by its place in the order in which it was found.
    let mut found = vec![Some((account.clone(), None))];
    let mut cut = false;
    while let Some(Reverse(next)) = ahead.pop() {
        let Some((from, by)) = found.get_mut(next.place).and_then(Option::take) else {
            continue;
        };
        let group = by
            .as_ref()
            .and_then(|(_, step): &(usize, Step)| step.enters.clone());
        if !entered.insert((from.name.clone(), group)) {
            continue;
        }
        if nodes.len() >= VISITED_MAX {
            cut = true;
            break;
        }
        let at = nodes.len();
        nodes.push(Node { by });
        if from.uid == 0 {
            continue;
        }
        let (steps, more) = steps_from(&from, ways, &root);
        cut |= more;
        for step in steps {
            let Some(to) = after(&from, &step, ways) else {
                continue;
            };
            if to.uid == 0 {
                leads.push((at, step));
                continue;
            }
            ahead.push(Reverse(Ahead {
                sure: next.sure.max(step.sure),
                depth: next.depth + 1,
                place: found.len(),
            }));
            found.push(Some((to, Some((at, step)))));
        }
    }
    let names = entered.into_iter().map(|(name, _)| name);
    let steps = tree(&nodes, &leads, 0, &[]);
    Explanation {
        account: account.name.clone(),
        is_root: account.uid == 0,
        root: surest(&steps),
        steps,
        becomes: names.filter(|name| *name != account.name).collect(),
        cut,
        gaps: Vec::new(),
    }
}

/// An account, and the group it entered last.
type Entered = (AccountName, Option<Vec<u8>>);

/// A step that was found and not yet taken. The surest comes first, then the shortest way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ahead {
    /// How sure the way is up to and with it.
    sure: Sure,
    depth: usize,
    place: usize,
}

struct Node {
    /// The step that entered it, and from where.
    by: Option<(usize, Step)>,
}

/// Who one is after a step; `None` where the account does not exist, or is in the group already.
fn after(from: &Account, step: &Step, ways: &Ways<'_>) -> Option<Account> {
    let Some(group) = &step.enters else {
        return ways.accounts.by_name(&step.to);
    };
    let groups = ways.accounts.group().ok()?;
    let gid = groups.entries().find(|entry| entry.name == group)?.gid;
    if from.groups.iter().any(|group| group.gid == gid) {
        return None;
    }
    let mut inside = from.clone();
    inside.groups.push(GroupRef {
        name: group.clone(),
        gid,
    });
    Some(inside)
}

/// The steps from a node that lead to root, the surest first. What one could do before already is
/// not told again: `before` are the steps to root on the way to it.
fn tree(nodes: &[Node], leads: &[(usize, Step)], at: usize, before: &[&Step]) -> Vec<Leading> {
    let direct = leads.iter().filter(|(from, _)| *from == at);
    let direct = direct.map(|(_, step)| step);
    let is_new = |step: &&Step| {
        let mut before = before.iter();
        !before.any(|other| other.reason == step.reason && other.source == step.source)
    };
    let direct: Vec<&Step> = direct.filter(is_new).collect();
    let mut all: Vec<Leading> = direct
        .iter()
        .map(|step| Leading {
            step: (*step).clone(),
            then: Vec::new(),
        })
        .collect();
    let before = [before, &direct].concat();
    for (index, node) in nodes.iter().enumerate() {
        if let Some((from, step)) = &node.by
            && *from == at
        {
            let then = tree(nodes, leads, index, &before);
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

impl Leading {
    /// As sure as the weakest step of its surest chain.
    fn sure(&self) -> Sure {
        let after = surest(&self.then);
        self.step.sure.max(after.unwrap_or(Sure::Yes))
    }
}

/// What an account can do next, and whether there is more than was looked at.
fn steps_from(account: &Account, ways: &Ways<'_>, root: &[Account]) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    for twin in ways.accounts.by_uid(account.uid) {
        if twin.name != account.name {
            steps.push(Step {
                reason: format!("has the uid {} as {} has it", twin.uid, twin.name),
                source: Some(Source {
                    file: "/etc/passwd".into(),
                    line: Some(twin.passwd_line),
                }),
                to: twin.name,
                enters: None,
                means: Means::SharedUid,
                sure: Sure::Yes,
            });
        }
    }
    let (by_rights, cut) = of_rights::steps(account, ways, root);
    steps.extend(by_rights);
    runs::steps(account, ways.runs, &mut steps);
    logins::by_keys(account, ways.keys, &mut steps);
    logins::by_word(account, ways.vouched, &mut steps);
    setid::steps(account, ways.setids, &mut steps);
    (steps, cut)
}
