//! Why an account can become root: a tree of steps, as a host answers it (JSON) and people read it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::AccountName;
use crate::path::Source;

/// Where an account can get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The account.
    pub account: AccountName,
    /// It is root already.
    pub is_root: bool,
    /// How sure it is that it becomes root, as its surest chain is; `None` where no chain leads
    /// there.
    pub root: Option<String>,
    /// The steps it can take that lead to root.
    pub steps: Vec<Step>,
    /// The accounts it can become on the way, whether or not they lead to root.
    pub becomes: Vec<AccountName>,
    /// There is more than was followed.
    pub cut: bool,
    /// What could not be read, so that there may be more.
    #[serde(default)]
    pub gaps: Vec<String>,
}

/// A step, with those that follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Whom it becomes; itself where it only enters a group.
    pub to: AccountName,
    /// That group.
    #[serde(default)]
    pub group: Option<String>,
    /// By what means: `sudo`, `su`, `writes` … Newer hosts may have more.
    pub means: String,
    /// What it is that can be done.
    pub reason: String,
    /// Where that is configured.
    pub source: Option<Source>,
    /// Whether it can be done: `yes`, `likely`, `with_password`, `unknown`.
    pub sure: String,
    /// What follows; empty when the step's end is root.
    pub then: Vec<Self>,
}

/// A tree for people. What came over the wire and is not printable stands as `?`.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        match (self.is_root, &self.root) {
            (true, _) => writeln!(f, "{account} is root: its uid is 0")?,
            (_, None) => writeln!(f, "{account}: no step to root was found")?,
            (_, Some(sure)) => writeln!(f, "{account} becomes root ({})", spaced(sure))?,
        }
        branches(f, &self.steps, "", DEPTH_MAX)?;
        if self.cut {
            writeln!(f, "There is more than was followed.")?;
        }
        if !self.gaps.is_empty() {
            writeln!(f, "What could not be read may hold more:")?;
        }
        for gap in &self.gaps {
            writeln!(f, "  {}", plain(gap))?;
        }
        Ok(())
    }
}

/// The most steps behind each other that are shown: no host has as many, and whoever shows them
/// goes down as deep.
const DEPTH_MAX: usize = 100;

/// The steps below each other, those that follow a step indented behind it.
fn branches(f: &mut fmt::Formatter<'_>, steps: &[Step], indent: &str, left: usize) -> fmt::Result {
    if left == 0 && !steps.is_empty() {
        return writeln!(f, "{indent}└─ and so on");
    }
    for (index, step) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        let (branch, below) = if last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let group = step.group.as_ref();
        let group = group.map_or_else(String::new, |group| format!(" in group {}", plain(group)));
        let place = match &step.source {
            Some(Source {
                file,
                line: Some(line),
            }) => format!("   {}:{line}", plain(file)),
            Some(Source { file, line: None }) => format!("   {}", plain(file)),
            None => String::new(),
        };
        let (reason, sure) = (plain(&step.reason), spaced(&step.sure));
        let to = &step.to;
        writeln!(f, "{indent}{branch} {reason} → {to}{group} ({sure}){place}")?;
        branches(f, &step.then, &format!("{indent}{below}"), left - 1)?;
    }
    Ok(())
}

fn spaced(word: &str) -> String {
    plain(word).replace('_', " ")
}

fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_for_people_and_for_programs() {
        let step = |to: &str, sure: &str, then: Vec<Step>| Step {
            to: to.parse().unwrap(),
            group: None,
            means: "sudo".into(),
            reason: format!("may become {to}\u{1b}"),
            source: Some(Source {
                file: "/etc/sudoers".into(),
                line: Some(3),
            }),
            sure: sure.into(),
            then,
        };
        let mut explained = Explanation {
            account: "alice".parse().unwrap(),
            is_root: false,
            root: Some("with_password".into()),
            steps: vec![
                step(
                    "bob",
                    "with_password",
                    vec![step("root", "yes", Vec::new())],
                ),
                Step {
                    group: Some("docker".into()),
                    source: None,
                    ..step("alice", "unknown", Vec::new())
                },
            ],
            becomes: vec!["bob".parse().unwrap()],
            cut: true,
            gaps: vec!["/home/x is not read".into()],
        };
        assert_eq!(
            explained.to_string(),
            "alice becomes root (with password)\n\
             ├─ may become bob? → bob (with password)   /etc/sudoers:3\n\
             │  └─ may become root? → root (yes)   /etc/sudoers:3\n\
             └─ may become alice? → alice in group docker (unknown)\n\
             There is more than was followed.\n\
             What could not be read may hold more:\n  /home/x is not read\n"
        );
        let json = serde_json::to_value(&explained).unwrap();
        assert_eq!(json["steps"][0]["then"][0]["to"], "root");
        assert_eq!(
            serde_json::from_value::<Explanation>(json).unwrap(),
            explained
        );
        for _ in 0..DEPTH_MAX {
            let then = std::mem::take(&mut explained.steps);
            explained.steps = vec![step("bob", "yes", then)];
        }
        let deep = explained.to_string();
        assert_eq!(deep.matches("may become bob").count(), DEPTH_MAX);
        assert!(deep.contains("└─ and so on\n"), "{deep}");
        (explained.root, explained.steps, explained.cut) = (None, Vec::new(), false);
        explained.gaps.clear();
        assert_eq!(explained.to_string(), "alice: no step to root was found\n");
    }
}
