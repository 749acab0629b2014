//! gshadow(5): group passwords and administrators, kept line by line and never shown.

use std::fmt;

use rescind_protocol::name::AccountName;

use super::account::PasswordState;
use super::group::members;
use super::lines::{LineKind, Lines, Unparsed, fields, kind_of, number};
use super::membership::{self, List, ListChange};
use super::password::Restored;

/// `/etc/gshadow`. Its buffer is wiped when it is dropped.
#[derive(Debug)]
pub struct Gshadow {
    lines: Lines,
}

/// A line of gshadow(5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GshadowEntry<'a> {
    /// The line, from 1.
    pub line: u32,
    /// Field 1, without blanks before it; never empty.
    pub name: &'a [u8],
    /// Field 2: whoever knows it can become a member by newgrp(1).
    pub password: &'a [u8],
    /// Field 3, as it stands.
    pub administrator_list: &'a [u8],
    /// Field 4, as it stands.
    pub member_list: &'a [u8],
}

impl Gshadow {
    /// Takes the file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = GshadowEntry<'_>> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| entry(index, line))
    }

    /// Lines that should be entries and are not.
    pub fn unparsed(&self) -> impl Iterator<Item = Unparsed> {
        self.lines
            .unparsed(|index, line| entry(index, line).is_some())
    }

    /// What taking an account out of the lists of a group comes to; nothing is changed.
    pub fn removals(&self, group: &[u8], account: &AccountName) -> Vec<ListChange> {
        membership::removals(
            &self.lines,
            group,
            &[List::Administrators, List::Members],
            account,
        )
    }

    /// Makes changes that [`Gshadow::removals`] has told of this very file.
    pub fn remove(&mut self, changes: &[ListChange]) {
        membership::remove(&mut self.lines, changes);
    }

    /// Puts an account back into the lists it was taken out of.
    pub fn restore(&mut self, account: &AccountName, changes: &[ListChange]) -> Vec<Restored> {
        membership::restore(&mut self.lines, account, changes)
    }

    /// Whether it is in a list again that it was taken out of.
    pub fn is_back(&self, account: &AccountName, change: &ListChange) -> bool {
        membership::is_back(&self.lines, account, change)
    }
}

impl<'a> GshadowEntry<'a> {
    /// Those who may change the group.
    pub fn administrators(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        members(self.administrator_list)
    }

    /// Its members.
    pub fn members(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        members(self.member_list)
    }
}

/// Shows no password.
impl fmt::Debug for GshadowEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GshadowEntry")
            .field("line", &self.line)
            .field("name", &self.name.escape_ascii().to_string())
            .field("password", &PasswordState::of_field(self.password))
            .finish_non_exhaustive()
    }
}

fn entry(index: usize, line: &[u8]) -> Option<GshadowEntry<'_>> {
    let LineKind::Entry(line) = kind_of(line) else {
        return None;
    };
    let ([name, password, administrator_list, member_list], count) = fields(line);
    // Readers in C end a line at a NUL, each in its own way.
    if name.is_empty() || count < 2 || memchr::memchr(0, line).is_some() {
        return None;
    }
    Some(GshadowEntry {
        line: number(index),
        name,
        password,
        administrator_list,
        member_list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_administrators_and_members() {
        let ugly = b"root:*::\nsudo:$6$h:alice:alice,bob\nword\n# c\nlast:!";
        let gshadow = Gshadow::parse(ugly.to_vec());
        let seen: Vec<_> = gshadow
            .entries()
            .map(|g| (g.line, g.administrators().count(), g.members().count()))
            .collect();
        assert_eq!(seen, [(1, 0, 0), (2, 1, 2), (5, 0, 0)]);
        assert_eq!(gshadow.unparsed().map(|u| u.line).collect::<Vec<_>>(), [3]);
        assert_eq!(gshadow.to_bytes(), ugly);
        assert!(!format!("{:?}", gshadow.entries().collect::<Vec<_>>()).contains("$6$"));
    }
}
