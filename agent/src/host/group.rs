//! group(5): groups and their members, kept line by line.

use std::fmt;

use rescind_protocol::name::AccountName;

use super::lines::{LineKind, Lines, Unparsed, fields, kind_of, number, number_field};
use super::membership::{self, List, ListChange};
use super::password::Restored;

/// `/etc/group`.
#[derive(Debug)]
pub struct Group {
    lines: Lines,
}

/// A line as glibc's getgrent(3) understands it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GroupEntry<'a> {
    /// The line, from 1.
    pub line: u32,
    /// Field 1, without blanks before it; never empty.
    pub name: &'a [u8],
    /// Field 2: `x` where gshadow(5) has the password, else a hash.
    pub password: &'a [u8],
    /// Field 3.
    pub gid: u32,
    /// Field 4, as it stands.
    pub member_list: &'a [u8],
}

impl Group {
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

    /// The groups, in the order of the file. A group may be spread over several lines.
    pub fn entries(&self) -> impl Iterator<Item = GroupEntry<'_>> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| entry(index, line))
    }

    /// The group of a line, from 1.
    pub fn entry_at(&self, line: u32) -> Option<GroupEntry<'_>> {
        let index = self.lines.index_of(line)?;
        entry(index, self.lines.line(index))
    }

    /// The groups of one gid.
    pub fn of_gid(&self, gid: u32) -> impl Iterator<Item = GroupEntry<'_>> {
        // However it is written, with blanks, a `+` or zeros before it, these bytes are in it.
        self.holding(gid.to_string().as_bytes())
            .filter(move |group| group.gid == gid)
    }

    /// The groups among whose members a name is.
    pub fn with_member<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = GroupEntry<'a>> {
        self.holding(name)
            .filter(move |group| group.members().any(|member| member == name))
    }

    fn holding<'a>(&'a self, bytes: &[u8]) -> impl Iterator<Item = GroupEntry<'a>> + use<'a> {
        let candidates = self.lines.containing(bytes);
        candidates.filter_map(|index| entry(index, self.lines.line(index)))
    }

    /// Lines that should be groups and are not.
    pub fn unparsed(&self) -> impl Iterator<Item = Unparsed> {
        self.lines
            .unparsed(|index, line| entry(index, line).is_some())
    }

    /// The numbers of lines that begin with `+` or `-`.
    pub fn nis(&self) -> impl Iterator<Item = u32> {
        self.lines.nis()
    }

    /// What taking an account out of the lists of a group comes to; nothing is changed.
    pub fn removals(&self, group: &[u8], account: &AccountName) -> Vec<ListChange> {
        membership::removals(&self.lines, group, &[List::Members], account)
    }

    /// Makes changes that [`Group::removals`] has told of this very file.
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

impl<'a> GroupEntry<'a> {
    /// Its members.
    pub fn members(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        members(self.member_list)
    }
}

/// Shows no password field, which may be a hash.
impl fmt::Debug for GroupEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupEntry")
            .field("line", &self.line)
            .field("name", &self.name.escape_ascii().to_string())
            .field("gid", &self.gid)
            .field("member_list", &self.member_list.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// A list of names as glibc splits it: at commas, blanks before a name skipped, empty ones too.
pub(super) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii_start)
        .filter(|name| !name.is_empty())
}

fn entry(index: usize, line: &[u8]) -> Option<GroupEntry<'_>> {
    let LineKind::Entry(line) = kind_of(line) else {
        return None;
    };
    let ([name, password, gid, member_list], _) = fields(line);
    // Readers in C end a line at a NUL, each in its own way.
    if name.is_empty() || memchr::memchr(0, line).is_some() {
        return None;
    }
    Some(GroupEntry {
        line: number(index),
        name,
        password,
        gid: number_field(gid)?,
        member_list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_what_getgrent_gives() {
        let ugly = b"root:x:0:\nsudo:x:27:alice,bob\n# c\nsudo:x:27:, carol,,dave \nshort:x:5\n\
            bad:x:y:alice\n+:::\nlast:$1$h:6:alice";
        let group = Group::parse(ugly.to_vec());
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let seen: Vec<_> = group
            .entries()
            .map(|g| {
                (
                    g.line,
                    text(g.name),
                    g.members().map(text).collect::<Vec<_>>().join("|"),
                )
            })
            .collect();
        let want = |line, name: &str, members: &str| (line, name.to_owned(), members.to_owned());
        assert_eq!(
            seen,
            [
                want(1, "root", ""),
                want(2, "sudo", "alice|bob"),
                want(4, "sudo", "carol|dave "),
                want(5, "short", ""),
                want(8, "last", "alice"),
            ]
        );
        assert_eq!(group.unparsed().map(|u| u.line).collect::<Vec<_>>(), [6]);
        assert_eq!(group.nis().collect::<Vec<_>>(), [7]);
        assert_eq!(group.to_bytes(), ugly);
        assert!(!format!("{:?}", group.entries().last()).contains("$1$"));
    }
}
