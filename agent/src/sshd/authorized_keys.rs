//! An authorized_keys file, kept byte for byte.

use std::collections::BTreeSet;
use std::fmt;

use minicbor::{Decode, Encode};
use rescind_protocol::name::KeyFingerprint;

use crate::host::slots::put_back;

use super::key_line::{Entry, KeyLine, LineKey};

/// A file of keys: its bytes, and what its lines are.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    bytes: Vec<u8>,
    /// Lines that are neither blank nor comments, and where they begin.
    lines: Vec<(usize, Entry)>,
    left_out: LeftOut,
}

/// Lines that are not kept one by one: a user's file can hold millions, and memory is not theirs. None of them holds a
/// key of a type that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines without a key, beyond [`UNPARSED_MAX`].
    pub unparsed: usize,
    /// Keys of types that are not known, beyond [`FOREIGN_MAX`]: a later sshd may know them.
    pub foreign: usize,
}

/// The most lines without a key that are kept.
pub const UNPARSED_MAX: usize = 1000;
/// The most keys of unknown types that are kept; one takes eleven bytes of a file. Of known types the shortest takes
/// eighty, so that the size of a file bounds them.
pub const FOREIGN_MAX: usize = 50_000;

/// A line that was taken out.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RemovedLine {
    /// The line it was, from 1.
    #[n(0)]
    pub line: u32,
    /// Its bytes, line feed included where it had one. They can hold secrets.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// Its slot, see [`crate::host::slots`]: its line, where nobody else took lines before.
    #[n(2)]
    pub slot: u32,
}

impl RemovedLine {
    /// Whether it is the same line, taken from the same place in what there was.
    pub fn is_same(&self, other: &Self) -> bool {
        self.line == other.line && self.bytes == other.bytes
    }
}

/// A file without some of its lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Removed {
    /// How many lines the file had.
    pub lines: u32,
    /// The file as it should be now.
    pub new_bytes: Vec<u8>,
    /// What was taken out, in order.
    pub removed: Vec<RemovedLine>,
}

/// Options of key lines (`environment=`, `command=`) can hold secrets.
impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("bytes", &self.bytes.len())
            .field("lines", &self.lines.len())
            .finish()
    }
}

impl fmt::Debug for RemovedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemovedLine")
            .field("line", &self.line)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl fmt::Debug for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removed")
            .field("new_bytes", &self.new_bytes.len())
            .field("removed", &self.removed)
            .finish()
    }
}

impl KeyFile {
    /// Reads a file; every sequence of bytes is one.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let mut lines = Vec::new();
        let (mut unparsed, mut foreign) = (0_usize, 0_usize);
        let mut start = 0;
        for (number, raw) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
            let entry = Entry::parse(number, raw);
            let is_kept = match &entry {
                Entry::Blank | Entry::Comment => false,
                Entry::Unparsed(_) => {
                    unparsed += 1;
                    unparsed <= UNPARSED_MAX
                }
                Entry::Key(key) if key.kind == LineKey::Foreign => {
                    foreign += 1;
                    foreign <= FOREIGN_MAX
                }
                Entry::Key(_) => true,
            };
            if is_kept {
                lines.push((start, entry));
            }
            start += raw.len();
        }
        Self {
            bytes,
            lines,
            left_out: LeftOut {
                unparsed: unparsed.saturating_sub(UNPARSED_MAX),
                foreign: foreign.saturating_sub(FOREIGN_MAX),
            },
        }
    }

    /// The file as it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is not among [`Self::entries`], though it is in the file.
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The lines that are neither blank nor comments, from the first to the last.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.lines.iter().map(|(_, entry)| entry)
    }

    /// The lines that hold a key, whether sshd would accept it or not.
    pub fn keys(&self) -> impl Iterator<Item = &KeyLine> {
        self.entries().filter_map(|entry| match entry {
            Entry::Key(key) => Some(key.as_ref()),
            _ => None,
        })
    }

    /// The raw bytes of a line's comment.
    pub fn comment(&self, key: &KeyLine) -> &[u8] {
        let line_of = |(_, entry): &(usize, Entry)| match entry {
            Entry::Key(key) => key.line,
            Entry::Unparsed(unparsed) => unparsed.line,
            Entry::Blank | Entry::Comment => 0, // not kept
        };
        let found = self.lines.binary_search_by_key(&key.line, line_of);
        let line = found.ok().and_then(|at| self.bytes.get(self.lines[at].0..));
        let comment = line.and_then(|line| line.get(key.comment.clone()));
        comment.unwrap_or_default()
    }

    /// The file without every line that holds this key, whatever its options.
    pub fn remove(&self, fingerprint: &KeyFingerprint) -> Removed {
        self.without(|key| key.fingerprint == *fingerprint)
    }

    /// The file without any key. Comments, blanks and lines that are no keys stay.
    pub fn remove_all_keys(&self) -> Removed {
        self.without(|_| true)
    }

    /// Reads the lines again: it is seldom done, and must not miss one that was left out.
    fn without(&self, goes: impl Fn(&KeyLine) -> bool) -> Removed {
        let mut result = Removed {
            new_bytes: Vec::with_capacity(self.bytes.len()),
            removed: Vec::new(),
            lines: 0,
        };
        for (number, raw) in (1..).zip(self.bytes.split_inclusive(|b| *b == b'\n')) {
            match Entry::parse(number, raw) {
                Entry::Key(key) if goes(&key) => {
                    result.removed.push(RemovedLine {
                        line: number,
                        bytes: raw.to_vec(),
                        slot: number,
                    });
                }
                _ => result.new_bytes.extend_from_slice(raw),
            }
            result.lines = number;
        }
        result
    }
}

/// Puts lines back into a file that had `total` slots for lines, of which `still` are held by others.
///
/// Where it has as many lines as it should, every line comes back to its place: a file that nobody
/// else changed is byte for byte what it was. Where it has not, lines that are already there are passed
/// over and the others go to the end.
pub fn restore(
    current: &[u8],
    removed: &[RemovedLine],
    still: &BTreeSet<u32>,
    total: u32,
) -> Vec<u8> {
    let lines: Vec<&[u8]> = current.split_inclusive(|b| *b == b'\n').collect();
    let is_there = removed
        .iter()
        .any(|line| lines.contains(&line.bytes.as_slice()));
    let back = removed
        .iter()
        .map(|line| (line.slot, line.bytes.as_slice()));
    match put_back(lines.into_iter(), back, still, total) {
        Some(whole) if !is_there => joined(&whole),
        _ => append(current, removed),
    }
}

/// Lines one after the other: one without a line feed gets it, unless it is the last.
fn joined(lines: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::new();
    for line in lines {
        if !whole.is_empty() && !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        whole.extend_from_slice(line);
    }
    whole
}

fn append(current: &[u8], removed: &[RemovedLine]) -> Vec<u8> {
    let bare = |line: &[u8]| line.strip_suffix(b"\n").unwrap_or(line).to_vec();
    let present: std::collections::HashSet<Vec<u8>> =
        current.split_inclusive(|b| *b == b'\n').map(bare).collect();
    let mut whole = current.to_vec();
    for line in removed
        .iter()
        .map(|line| bare(&line.bytes))
        .filter(|line| !present.contains(line))
    {
        if !whole.is_empty() && !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        whole.extend_from_slice(&line);
        whole.push(b'\n');
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn fingerprint(key: &str) -> KeyFingerprint {
        KeyFile::parse(key).keys().next().unwrap().fingerprint
    }

    #[test]
    fn only_the_key_goes_and_comes_back_to_its_place() {
        let ugly = format!(
            "# keys of alice \u{fc}\r\n\r\n{A} laptop\r\n  no-pty,command=\"x\" {A}\n{B} other\nnonsense line\n\t#{A}\n\
             from=\"10.*\" {A} no line feed"
        );
        let file = KeyFile::parse(ugly.as_bytes());
        assert_eq!(file.bytes(), ugly.as_bytes());
        let removed = file.remove(&fingerprint(A));
        let expected = format!("# keys of alice \u{fc}\r\n\r\n{B} other\nnonsense line\n\t#{A}\n");
        assert_eq!(
            String::from_utf8(removed.new_bytes.clone()).unwrap(),
            expected
        );
        assert_eq!(
            removed.removed.iter().map(|r| r.line).collect::<Vec<_>>(),
            [3, 4, 8]
        );
        let back = restore(
            &removed.new_bytes,
            &removed.removed,
            &BTreeSet::new(),
            removed.lines,
        );
        assert_eq!(String::from_utf8(back).unwrap(), ugly);
        assert!(!format!("{file:?} {removed:?}").contains("command"));
    }

    #[test]
    fn a_file_of_millions_of_lines_takes_little_more_than_its_bytes() {
        let idle = format!(
            "{}{}{A} last\n",
            "\n".repeat(3_000_000),
            "x\n".repeat(2_000_000)
        );
        let file = KeyFile::parse(idle.into_bytes());
        assert_eq!(file.entries().count(), UNPARSED_MAX + 1);
        let left_out = LeftOut {
            unparsed: 2_000_000 - UNPARSED_MAX,
            foreign: 0,
        };
        assert_eq!(file.left_out(), left_out);
        let last = file.keys().next().unwrap();
        assert_eq!((last.line, file.comment(last)), (5_000_001, &b"last"[..]));
        // "a" and one byte, in base64.
        let foreign = "a AAAAAWE=\n".repeat(FOREIGN_MAX + 7);
        let file = KeyFile::parse(format!("{foreign}{A}\n").into_bytes());
        assert_eq!(
            (file.left_out().foreign, file.keys().count()),
            (7, FOREIGN_MAX + 1)
        );
        // None is left in, though.
        assert_eq!(file.remove_all_keys().removed.len(), FOREIGN_MAX + 8);
    }

    #[test]
    fn a_file_that_changed_gets_the_lines_at_its_end() {
        let removed = KeyFile::parse(format!("{A} x\n{B} y").as_bytes()).remove_all_keys();
        assert_eq!(removed.new_bytes, b"");
        let changed = format!("# new\n{B} y");
        let back = restore(
            changed.as_bytes(),
            &removed.removed,
            &BTreeSet::new(),
            removed.lines,
        );
        assert_eq!(
            String::from_utf8(back).unwrap(),
            format!("# new\n{B} y\n{A} x\n")
        );
    }

    #[test]
    fn every_file_comes_back_whatever_is_in_it() {
        let pieces = [
            A,
            B,
            "\n",
            "\r\n",
            "#",
            " ",
            "\t",
            "\0",
            "\"",
            "\\",
            "no-pty ",
            "command=\"a b\" ",
            "ü",
        ];
        let mut state: u64 = 7;
        let mut next = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for _ in 0..5000 {
            let text: String = (0..next(12)).map(|_| pieces[next(pieces.len())]).collect();
            let file = KeyFile::parse(text.as_bytes());
            assert_eq!(file.bytes(), text.as_bytes());
            for removed in [file.remove(&fingerprint(A)), file.remove_all_keys()] {
                let left = removed.new_bytes.split_inclusive(|b| *b == b'\n').count();
                let all = text.split_inclusive('\n').count();
                assert_eq!(left + removed.removed.len(), all);
                let back = restore(
                    &removed.new_bytes,
                    &removed.removed,
                    &BTreeSet::new(),
                    removed.lines,
                );
                assert_eq!(back, text.as_bytes(), "{text:?}");
            }
        }
    }
}
