//! The lists of names in group(5) and gshadow(5): taking one name out, and undoing just that.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use rescind_protocol::name::AccountName;

use super::group::members;
use super::lines::{Edit, Lines, field_range, number};
use super::password::Restored;
use super::slots;

/// Which list of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum List {
    /// Field 4 of group(5) and of gshadow(5).
    #[n(0)]
    Members,
    /// Field 3 of gshadow(5).
    #[n(1)]
    Administrators,
}

/// A name that is taken out of one list of one line; it undoes the change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListChange {
    /// The group's name as it stands in the file: several groups can have one gid.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub group: Vec<u8>,
    /// Which of the lines of that name, from 0, in the order of the file.
    #[n(1)]
    pub nth: u32,
    /// The line when it was changed, from 1: for people, others may have added lines since.
    #[n(2)]
    pub line: u32,
    /// Which list.
    #[n(3)]
    pub list: List,
    /// The list as it stood.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub previous: Vec<u8>,
    /// The list without the name.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub written: Vec<u8>,
    /// The slots of what was taken out, see [`super::slots`]: places in the list, where nobody else
    /// took from it before.
    #[n(6)]
    pub slots: Vec<u32>,
    /// How many slots the list has.
    #[n(7)]
    pub total: u32,
    /// The slots that others hold when it is given back.
    #[cbor(skip)]
    pub still: BTreeSet<u32>,
}

impl ListChange {
    /// Whether it is the same change of the same line, whatever the others took.
    pub fn is_same_edit(&self, other: &Self) -> bool {
        let place = |change: &Self| (change.group.clone(), change.line, change.list);
        place(self) == place(other)
            && self.previous == other.previous
            && self.written == other.written
    }
}

impl List {
    /// The field, from 0.
    const fn field(self) -> usize {
        match self {
            Self::Members => 3,
            Self::Administrators => 2,
        }
    }
}

/// What taking a name out of these lists of all lines of a group comes to. Nothing is changed.
pub(super) fn removals(
    lines: &Lines,
    group: &[u8],
    lists: &[List],
    account: &AccountName,
) -> Vec<ListChange> {
    let name = account.as_str().as_bytes();
    let mut changes = Vec::new();
    for (nth, index) in (0u32..).zip(lines.named(group)) {
        for list in lists {
            let line = lines.line(index);
            let Some(field) = list_range(line, *list) else {
                continue;
            };
            let previous = &line[field];
            if members(previous).any(|member| member == name) {
                let is_name = |entry: &[u8]| entry.trim_ascii_start() == name;
                let slots = (1..).zip(entries(previous));
                let slots = slots.filter(|(_, entry)| is_name(entry));
                changes.push(ListChange {
                    group: group.to_vec(),
                    nth,
                    line: number(index),
                    list: *list,
                    previous: previous.to_vec(),
                    written: without(previous, name),
                    slots: slots.map(|(slot, _)| slot).collect(),
                    total: u32::try_from(entries(previous).count()).unwrap_or(u32::MAX),
                    still: BTreeSet::new(),
                });
            }
        }
    }
    changes
}

/// Makes changes of which [`removals`] told for these very lines.
pub(super) fn remove(lines: &mut Lines, changes: &[ListChange]) {
    let edits = changes.iter().filter_map(|change| {
        let index = change.line as usize - 1;
        let at = list_range(lines.line(index), change.list)?;
        let new = change.written.clone().into();
        Some(Edit { index, at, new })
    });
    let edits = edits.collect();
    lines.edit(edits);
}

/// Puts a name back where it was taken out. A list that somebody has changed since gets it at its
/// end, unless it is in it again.
pub(super) fn restore(
    lines: &mut Lines,
    account: &AccountName,
    changes: &[ListChange],
) -> Vec<Restored> {
    let name = account.as_str().as_bytes();
    let mut edits = Vec::new();
    let mut answers = Vec::new();
    for change in changes {
        let index = lines.named(&change.group).nth(change.nth as usize);
        let place = index.and_then(|index| {
            let at = list_range(lines.line(index), change.list)?;
            Some((index, at))
        });
        let Some((index, at)) = place else {
            answers.push(Restored::Gone);
            continue;
        };
        let now = &lines.line(index)[at.clone()];
        let new = if now == change.written && change.still.is_empty() {
            change.previous.clone()
        } else if let Some(whole) = change.put_back(now, name) {
            whole
        } else if members(now).any(|member| member == name) {
            answers.push(Restored::NothingToDo);
            continue;
        } else if now.trim_ascii().is_empty() {
            name.to_vec()
        } else {
            [now, b",", name].concat()
        };
        let new = new.into();
        edits.push(Edit { index, at, new });
        answers.push(Restored::Yes);
    }
    lines.edit(edits);
    answers
}

impl ListChange {
    /// The list with each entry that was taken out at its place; `None` where it is not the list they
    /// were taken out of.
    fn put_back(&self, now: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        if members(now).any(|member| member == name) {
            return None;
        }
        let is_name = |entry: &&[u8]| entry.trim_ascii_start() == name;
        let taken = entries(&self.previous).filter(is_name);
        let back = self.slots.iter().copied().zip(taken);
        let now: Vec<&[u8]> = entries(now).collect();
        let whole = slots::put_back(now.into_iter(), back, &self.still, self.total)?;
        Some(whole.join(&b','))
    }
}

/// The entries of a list as they stand; none of an empty one.
fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = list.split(|byte| *byte == b',');
    all.filter(move |_| !list.is_empty())
}

/// Whether a list has the name that was taken out of it.
pub(super) fn is_back(lines: &Lines, account: &AccountName, change: &ListChange) -> bool {
    let name = account.as_str().as_bytes();
    let index = lines.named(&change.group).nth(change.nth as usize);
    index.is_some_and(|index| {
        let line = lines.line(index);
        list_range(line, change.list)
            .is_some_and(|at| members(&line[at]).any(|member| member == name))
    })
}

/// Where a list is in a line: the members, which come last, are all the rest of it.
fn list_range(line: &[u8], list: List) -> Option<std::ops::Range<usize>> {
    let field = field_range(line, list.field())?;
    Some(match list {
        List::Members => field.start..line.len(),
        List::Administrators => field,
    })
}

/// A list without a name, each other one as it stands.
fn without(list: &[u8], name: &[u8]) -> Vec<u8> {
    let others = list
        .split(|byte| *byte == b',')
        .filter(|entry| entry.trim_ascii_start() != name);
    others.collect::<Vec<_>>().join(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> AccountName {
        "alice".parse().unwrap()
    }

    #[test]
    fn a_name_leaves_each_list_and_comes_back_to_the_byte() {
        for (before, after) in [
            ("docker:x:9:alice\n", "docker:x:9:\n"),
            ("docker:x:9:alice,bob\n", "docker:x:9:bob\n"),
            ("docker:x:9:bob,alice", "docker:x:9:bob"),
            (
                "docker:x:9:bob, alice ,alice,\n",
                "docker:x:9:bob, alice ,\n",
            ),
            ("docker:x:9:b,\talice,c\n", "docker:x:9:b,c\n"),
            ("docker:x:9:alice,alice\n", "docker:x:9:\n"),
            (
                " docker:x:9:alice\nother:x:8:alice\ndocker:x:9:bob\ndocker:x:9:c,alice\n",
                " docker:x:9:\nother:x:8:alice\ndocker:x:9:bob\ndocker:x:9:c\n",
            ),
            ("#docker:x:9:alice\n", "#docker:x:9:alice\n"),
            ("docker:x:9:alicea,malice\n", "docker:x:9:alicea,malice\n"),
            ("docker:x:9\n", "docker:x:9\n"),
            ("docker:x:9:a:b,alice\n", "docker:x:9:a:b\n"),
        ] {
            let mut lines = Lines::parse(before.into());
            let changes = removals(&lines, b"docker", &[List::Members], &alice());
            remove(&mut lines, &changes);
            assert_eq!(lines.bytes(), after.as_bytes());
            assert_eq!(
                removals(&lines, b"docker", &[List::Members], &alice()),
                [],
                "{before}"
            );
            assert!(
                changes
                    .iter()
                    .all(|change| !is_back(&lines, &alice(), change))
            );
            let answers = restore(&mut lines, &alice(), &changes);
            assert!(answers.iter().all(|answer| *answer == Restored::Yes));
            assert_eq!(lines.bytes(), before.as_bytes());
            assert!(
                changes
                    .iter()
                    .all(|change| is_back(&lines, &alice(), change))
            );
        }
    }

    #[test]
    fn administrators_are_a_list_of_their_own() {
        let before = "docker:!:alice,bob:carol,alice\n";
        let mut lines = Lines::parse(before.into());
        let lists = [List::Administrators, List::Members];
        let changes = removals(&lines, b"docker", &lists, &alice());
        remove(&mut lines, &changes);
        assert_eq!(lines.bytes(), b"docker:!:bob:carol\n");
        let _ = restore(&mut lines, &alice(), &changes);
        assert_eq!(lines.bytes(), before.as_bytes());
    }

    #[test]
    fn what_others_did_since_stays() {
        let change = |text: &str| {
            let lines = Lines::parse(text.into());
            removals(&lines, b"g", &[List::Members], &alice())
        };
        for (now, want, answer) in [
            (
                "g:x:1:bob,carol\n",
                "g:x:1:bob,carol,alice\n",
                Restored::Yes,
            ),
            ("g:x:1:\n", "g:x:1:alice\n", Restored::Yes),
            ("g:x:1:alice\n", "g:x:1:alice\n", Restored::NothingToDo),
            ("h:x:1:bob\n", "h:x:1:bob\n", Restored::Gone),
        ] {
            let mut lines = Lines::parse(now.into());
            let answers = restore(&mut lines, &alice(), &change("g:x:1:alice,bob\n"));
            assert_eq!(answers, [answer], "{now}");
            assert_eq!(lines.bytes(), want.as_bytes());
        }
    }
}
