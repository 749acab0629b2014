//! Field 8 of shadow(5), the day on which an account expires: setting it, and undoing just that.

use std::collections::HashSet;
use std::fmt;

use minicbor::{Decode, Encode};
use rescind_protocol::name::AccountName;
use zeroize::Zeroizing;

use super::lines::{Edit, Lines, field_range, number};
use super::password::Restored;

/// The expiry day that disables an account: 1970-01-02. shadow(5) advises against 0, which some
/// programs take for "never".
pub const DISABLED_DAY: i64 = 1;

/// What setting an expiry did to one line of an account; it undoes the change.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ExpiryChange {
    /// Which of the account's lines, from 0, in the order of the file.
    #[n(0)]
    pub nth: u32,
    /// The line when it was changed, from 1: for people, others may have added lines since.
    #[n(1)]
    pub line: u32,
    /// Field 8 before, bytes as they stood.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub previous: Vec<u8>,
    /// Field 8 after.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub written: Vec<u8>,
    /// How many fields the line had: one with fewer than 9 was filled up with empty ones.
    #[n(4)]
    pub fields: u32,
}

/// Shows the previous field only where it is a day: in a line that lost a field it may be a hash.
impl fmt::Debug for ExpiryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b' ');
        let previous = match self.previous.iter().all(day) {
            true => String::from_utf8_lossy(&self.previous),
            false => "(not a day)".into(),
        };
        f.debug_struct("ExpiryChange")
            .field("nth", &self.nth)
            .field("line", &self.line)
            .field("previous", &previous)
            .field("written", &String::from_utf8_lossy(&self.written))
            .field("fields", &self.fields)
            .finish()
    }
}

/// Whether [`changes`] would leave a line alone.
pub(super) fn is_set(line: &[u8], day: i64) -> bool {
    let field = field_range(line, EXPIRE).map_or(&b""[..], |field| &line[field]);
    count_fields(line) >= FIELDS && field == day.to_string().as_bytes()
}

/// What setting field 8 of every line of an account comes to. Nothing is changed.
pub(super) fn changes(lines: &Lines, name: &AccountName, day: Option<i64>) -> Vec<ExpiryChange> {
    let written = day.map_or_else(Vec::new, |day| day.to_string().into_bytes());
    let change = |(nth, index): (u32, usize)| {
        let line = lines.line(index);
        let previous = field_range(line, EXPIRE).map_or(&b""[..], |field| &line[field]);
        ExpiryChange {
            nth,
            line: number(index),
            previous: previous.to_vec(),
            written: written.clone(),
            fields: u32::try_from(count_fields(line)).unwrap_or(u32::MAX),
        }
    };
    let named = lines.named(name.as_str().as_bytes());
    (0..).zip(named).map(change).collect()
}

/// Sets what [`changes`] says.
pub(super) fn set(lines: &mut Lines, name: &AccountName, day: Option<i64>) -> Vec<ExpiryChange> {
    let changes = changes(lines, name, day);
    let mut edits = Vec::new();
    for change in &changes {
        let index = change.line as usize - 1;
        let line = lines.line(index);
        let (end, fields) = (line.len(), count_fields(line));
        let missing = FIELDS.saturating_sub(fields);
        let new = |parts: &[&[u8]]| Zeroizing::new(parts.concat());
        match field_range(line, EXPIRE) {
            Some(field) => {
                let new = new(&[&change.written]);
                edits.push(Edit {
                    index,
                    at: field,
                    new,
                });
                if missing > 0 {
                    let new = Zeroizing::new(b":".repeat(missing));
                    edits.push(Edit {
                        index,
                        at: end..end,
                        new,
                    });
                }
            }
            // Empty fields up to it, and the ones behind it.
            None => {
                let before = EXPIRE - (fields - 1);
                let (before, behind) = (b":".repeat(before), b":".repeat(missing - before));
                let new = new(&[&before, &change.written, &behind]);
                edits.push(Edit {
                    index,
                    at: end..end,
                    new,
                });
            }
        }
    }
    lines.edit(edits);
    changes
}

/// Takes back what [`set`] did where the field still is what that wrote.
pub(super) fn restore(
    lines: &mut Lines,
    name: &AccountName,
    changes: &[ExpiryChange],
) -> Vec<Restored> {
    let indexes: Vec<usize> = lines.named(name.as_str().as_bytes()).collect();
    let mut edits: Vec<Edit> = Vec::new();
    let mut undone = HashSet::new();
    let mut undo = |change: &ExpiryChange| {
        let Some(index) = indexes.get(change.nth as usize).copied() else {
            return Restored::Gone;
        };
        let line = lines.line(index);
        let Some(field) = field_range(line, EXPIRE) else {
            return Restored::ChangedSince;
        };
        if line[field.clone()] != change.written || !is_field(&change.previous) {
            return Restored::ChangedSince;
        }
        if change.previous == change.written && change.fields as usize >= FIELDS {
            return Restored::NothingToDo;
        }
        if !undone.insert(index) {
            return Restored::ChangedSince;
        }
        let parts = [&line[..field.start], &change.previous, &line[field.end..]];
        let mut new = Zeroizing::new(parts.concat());
        drop_empty_fields(&mut new, change.fields as usize);
        let at = 0..line.len();
        edits.push(Edit { index, at, new });
        Restored::Yes
    };
    let restored = changes.iter().map(&mut undo).collect();
    lines.edit(edits);
    restored
}

/// Takes the fields beyond the first `keep` off a line, unless somebody filled one of them.
fn drop_empty_fields(line: &mut Vec<u8>, keep: usize) {
    let filling = FIELDS.saturating_sub(keep);
    let start = line.len().saturating_sub(filling);
    if count_fields(line) == FIELDS && line[start..].iter().all(|byte| *byte == b':') {
        line.truncate(start);
    }
}

/// Fields of a line of shadow(5).
const FIELDS: usize = 9;
/// The expiry among them, from 0.
const EXPIRE: usize = 7;

fn count_fields(line: &[u8]) -> usize {
    memchr::memchr_iter(b':', line).count() + 1
}

/// Whether bytes can stand in a field. A NUL can: what was there is given back as it was.
fn is_field(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b':' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::shadow::Shadow;

    fn name() -> AccountName {
        "u".parse().unwrap()
    }

    #[test]
    fn setting_and_restoring_expiry_gives_the_same_bytes_for_every_shape_of_line() {
        for (before, after) in [
            ("u:x:1:0:99999:7:::", "u:x:1:0:99999:7::1:"),
            ("u:x:1:0:99999:7::20000:", "u:x:1:0:99999:7::1:"),
            ("u:x:1:0:99999:7::-1:\r\n", "u:x:1:0:99999:7::1:\r\n"),
            ("u:x:1:0:99999:7:: 7:0\n", "u:x:1:0:99999:7::1:0\n"),
            (" u:x:1:0:99999\n#u\n", " u:x:1:0:99999:::1:\n#u\n"),
            ("u:x\nw:x:::::::", "u:x::::::1:\nw:x:::::::"),
            ("u:", "u:::::::1:"),
            ("u:x:1:0:99999:7:\n", "u:x:1:0:99999:7::1:\n"),
            ("u:x:1:0:99999:7::3", "u:x:1:0:99999:7::1:"),
            (
                "u:x:1:0:99999:7:::\nu:y:1:0:9:7::5:\n",
                "u:x:1:0:99999:7::1:\nu:y:1:0:9:7::1:\n",
            ),
            ("u:x:::::::extra:more", "u:x::::::1:extra:more"),
            ("u:x:1:0:99999:7::1:", "u:x:1:0:99999:7::1:"),
            ("u:x:1:0:99999:7::\0:", "u:x:1:0:99999:7::1:"),
        ] {
            let mut shadow = Shadow::parse(before.as_bytes().to_vec());
            let changes = shadow.set_expiry(&name(), Some(DISABLED_DAY));
            assert_eq!(shadow.to_bytes(), after.as_bytes());
            let done = shadow.restore_expiry(&name(), &changes);
            assert!(
                done.iter()
                    .all(|d| matches!(d, Restored::Yes | Restored::NothingToDo))
            );
            assert_eq!(
                shadow.to_bytes().escape_ascii().to_string(),
                before.as_bytes().escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn restoring_expiry_leaves_what_others_did_since() {
        let mut shadow = Shadow::parse(b"u:x:1:0:9\n".to_vec());
        let changes = shadow.set_expiry(&name(), Some(1));
        for (since, after, restored) in [
            (
                "u:x:1:0:9:::30000:\n",
                "u:x:1:0:9:::30000:\n",
                Restored::ChangedSince,
            ),
            ("u:x:1:0:9::::\n", "u:x:1:0:9::::\n", Restored::ChangedSince),
            ("w:x:1:0:9:::1:\n", "w:x:1:0:9:::1:\n", Restored::Gone),
            ("u:x:1:0:9:7::1:\n", "u:x:1:0:9:7:::\n", Restored::Yes),
        ] {
            let mut shadow = Shadow::parse(since.as_bytes().to_vec());
            assert_eq!(shadow.restore_expiry(&name(), &changes), [restored]);
            assert_eq!(shadow.to_bytes(), after.as_bytes());
        }
        let mut forged = changes.clone();
        forged[0].previous = b"\nroot::0:0".to_vec();
        assert_eq!(
            shadow.restore_expiry(&name(), &forged),
            [Restored::ChangedSince]
        );
    }

    #[test]
    fn an_account_of_many_lines_is_closed_and_opened_as_fast_as_the_file_is_read() {
        let lines = 200_000;
        let before = "u:$6$s$h:1:0:9:7:::\nu:\n".repeat(lines / 2).into_bytes();
        let mut shadow = Shadow::parse(before.clone());
        let locks = shadow.lock_password(&name());
        let changes = shadow.set_expiry(&name(), Some(1));
        let after = b"u:!$6$s$h:1:0:9:7::1:\nu:!::::::1:\n".repeat(lines / 2);
        assert!(shadow.to_bytes() == after);
        assert_eq!(
            shadow.unlock_password(&name(), &locks),
            vec![Restored::Yes; lines]
        );
        assert_eq!(
            shadow.restore_expiry(&name(), &changes),
            vec![Restored::Yes; lines]
        );
        assert!(shadow.to_bytes() == before);
    }

    #[test]
    fn a_record_of_a_change_shows_no_hash() {
        let mut torn = Shadow::parse(b"u:x:1:1:1:1:1:$6$h:".to_vec());
        assert!(!format!("{:?}", torn.set_expiry(&name(), None)).contains("$6$"));
    }
}
