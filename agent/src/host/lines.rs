//! Files of lines, kept byte for byte.
//!
//! What is not changed comes out as it went in: comments, blank and malformed lines, NIS lines,
//! carriage returns, NULs, a line of 200 kB, a last line without its newline. One buffer holds the
//! file, edits happen in it, and it is wiped when it is let go, because it may hold hashes.

use std::fmt;
use std::ops::Range;

use memchr::memmem;
use zeroize::{Zeroize, Zeroizing};

/// A file as its lines.
pub struct Lines {
    bytes: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
}

/// Something else for some bytes of a line.
pub struct Edit {
    /// The line, from 0.
    pub index: usize,
    /// Which bytes, counted from the line's first.
    pub at: Range<usize>,
    /// What takes their place.
    pub new: Zeroizing<Vec<u8>>,
}

/// What a line of an account file is to those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind<'a> {
    /// Nothing but blanks.
    Blank,
    /// Begins with `#`, after blanks or not.
    Comment,
    /// Begins with `+` or `-`: accounts of a directory, for nsswitch's `compat` (nsswitch.conf(5)).
    Nis,
    /// Anything else, without the blanks before it, which glibc skips.
    Entry(&'a [u8]),
}

/// A line that is neither blank, comment nor NIS, and that no reader understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unparsed {
    /// The line, from 1.
    pub line: u32,
}

impl Lines {
    /// Takes a file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        let mut starts = Vec::with_capacity(bytes.len() / 64 + 1);
        let mut start = 0;
        while start < bytes.len() {
            starts.push(start);
            start = match memchr::memchr(b'\n', &bytes[start..]) {
                Some(at) => start + at + 1,
                None => bytes.len(),
            };
        }
        Self { bytes, starts }
    }

    /// The whole file as it stands, edits included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// A line by its index from 0, without its newline.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn line(&self, index: usize) -> &[u8] {
        let line = &self.bytes[self.range(index)];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// The index, from 0, of a line that people count from 1; `None` where there is none.
    pub fn index_of(&self, number: u32) -> Option<usize> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        (index < self.len()).then_some(index)
    }

    /// All lines, without their newlines.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.line(index))
    }

    /// The indexes of all lines whose first field is `name`, blanks before it skipped as glibc
    /// does. Malformed lines too: another reader may be more generous than we are.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let begin = [name, b":"].concat();
        self.containing(&begin)
            .filter(move |index| self.line(*index).trim_ascii_start().starts_with(&begin))
    }

    /// The indexes of all lines that hold these bytes, in which there is no line end: a search
    /// at the speed of memory, for those who then look at a few lines closely.
    pub fn containing<'a>(&'a self, bytes: &[u8]) -> impl Iterator<Item = usize> + use<'a> {
        let finder = memmem::Finder::new(bytes).into_owned();
        let mut from = 0;
        std::iter::from_fn(move || {
            let at = from + finder.find(self.bytes.get(from..)?)?;
            let after = self.starts.partition_point(|start| *start <= at);
            from = self.starts.get(after).copied().unwrap_or(self.bytes.len());
            after.checked_sub(1)
        })
    }

    /// The numbers, from 1, of lines that begin with `+` or `-`.
    pub fn nis(&self) -> impl Iterator<Item = u32> {
        let is_nis = |(_, line): &(usize, &[u8])| kind_of(line) == LineKind::Nis;
        self.iter()
            .enumerate()
            .filter(is_nis)
            .map(|(index, _)| number(index))
    }

    /// The lines that are neither blank, comment nor NIS, and that `is_read` does not know either.
    pub fn unparsed(
        &self,
        is_read: impl Fn(usize, &[u8]) -> bool,
    ) -> impl Iterator<Item = Unparsed> {
        self.iter().enumerate().filter_map(move |(index, line)| {
            let lost = matches!(kind_of(line), LineKind::Entry(_)) && !is_read(index, line);
            lost.then(|| Unparsed {
                line: number(index),
            })
        })
    }

    /// Puts `new` in the place of some bytes of a line, counted from the line's first byte.
    ///
    /// # Panics
    /// When the range is not in the line, or `new` would make more lines than one of it.
    pub fn splice(&mut self, index: usize, at: Range<usize>, new: &[u8]) {
        assert!(at.end <= self.line(index).len() && !new.contains(&b'\n'));
        let at = self.starts[index] + at.start..self.starts[index] + at.end;
        let (old_end, new_end) = (at.end, at.start + new.len());
        let (old_len, new_len) = (self.bytes.len(), self.bytes.len() - at.len() + new.len());
        if new_len > self.bytes.capacity() {
            self.grow(new_len + ROOM_TO_GROW);
        }
        self.bytes.resize(old_len.max(new_len), 0);
        self.bytes.copy_within(old_end..old_len, new_end);
        self.bytes[at.start..new_end].copy_from_slice(new);
        // What a shorter file leaves behind its end is wiped with the buffer.
        self.bytes.truncate(new_len);
        for start in &mut self.starts[index + 1..] {
            *start = *start + new_len - old_len;
        }
        // A last line without newline of which nothing is left is no line.
        self.starts.pop_if(|start| *start == new_len);
    }

    /// Makes several changes. They must not overlap; many take no longer than a look at the file.
    ///
    /// # Panics
    /// As [`Lines::splice`] does, or when two changes overlap.
    pub fn edit(&mut self, mut edits: Vec<Edit>) {
        edits.sort_by_key(|edit| (edit.index, edit.at.start));
        if edits.len() <= SPLICES_MAX {
            // From behind, so that those before stay where they are.
            for edit in edits.iter().rev() {
                self.splice(edit.index, edit.at.clone(), &edit.new);
            }
            return;
        }
        let more: usize = edits.iter().map(|edit| edit.new.len()).sum();
        let mut edited = Vec::with_capacity(self.bytes.len() + more + ROOM_TO_GROW);
        let mut from = 0;
        for edit in &edits {
            assert!(edit.at.end <= self.line(edit.index).len() && !edit.new.contains(&b'\n'));
            let start = self.starts[edit.index];
            edited.extend_from_slice(&self.bytes[from..start + edit.at.start]);
            edited.extend_from_slice(&edit.new);
            from = start + edit.at.end;
        }
        edited.extend_from_slice(&self.bytes[from..]);
        // The old buffer is wiped as it is let go.
        *self = Self::parse(edited);
    }

    fn range(&self, index: usize) -> Range<usize> {
        let end = self.starts.get(index + 1).copied();
        self.starts[index]..end.unwrap_or(self.bytes.len())
    }

    /// Moves to a larger buffer and wipes the old one, which `Vec` would not.
    fn grow(&mut self, capacity: usize) {
        let mut larger = Vec::with_capacity(capacity);
        larger.extend_from_slice(&self.bytes);
        std::mem::swap(&mut self.bytes, &mut larger);
        wipe(&mut larger);
    }
}

const ROOM_TO_GROW: usize = 4096;
/// Changes that are made one by one, each of which moves what is behind it.
const SPLICES_MAX: usize = 8;

impl Drop for Lines {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// Shows no content.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, bytes) = (self.len(), self.bytes.len());
        write!(f, "Lines({lines} lines, {bytes} bytes)")
    }
}

/// Overwrites a buffer, its unused capacity too.
pub(super) fn wipe(bytes: &mut Vec<u8>) {
    bytes.spare_capacity_mut().zeroize();
    bytes.as_mut_slice().zeroize();
    bytes.clear();
}

/// What a line is.
pub fn kind_of(line: &[u8]) -> LineKind<'_> {
    let line = line.trim_ascii_start();
    match line.first() {
        None => LineKind::Blank,
        Some(b'#') => LineKind::Comment,
        Some(b'+' | b'-') => LineKind::Nis,
        Some(_) => LineKind::Entry(line),
    }
}

/// The line number that people count from 1, of an index from 0.
pub fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// Up to `N` fields of a line, split at `:`, and how many there are; the last one takes the rest.
pub fn fields<const N: usize>(line: &[u8]) -> ([&[u8]; N], usize) {
    let mut fields: [&[u8]; N] = [b""; N];
    let mut count = 0;
    let mut rest = Some(line);
    while let Some(text) = rest
        && count < N
    {
        let colon = match count + 1 == N {
            true => None,
            false => memchr::memchr(b':', text),
        };
        (fields[count], rest) = match colon {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        count += 1;
    }
    (fields, count)
}

/// Where field `n`, from 0, is in a line; `None` where it has fewer.
pub fn field_range(line: &[u8], n: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for _ in 0..n {
        start += memchr::memchr(b':', &line[start..])? + 1;
    }
    let len = memchr::memchr(b':', &line[start..]).unwrap_or(line.len() - start);
    Some(start..start + len)
}

/// The text of a line as readers in C see it: it ends at the first NUL.
pub fn text_of(line: &[u8]) -> &[u8] {
    &line[..memchr::memchr(0, line).unwrap_or(line.len())]
}

/// A number as glibc's readers of account files take it.
pub fn number_field(field: &[u8]) -> Option<u32> {
    u32::try_from(strtoul(field)?).ok()
}

/// strtoul(3) over a whole field: blanks and a sign before the digits, and a number below zero is
/// counted from the end of all numbers. `None` where that is not all of the field.
pub fn strtoul(field: &[u8]) -> Option<u64> {
    let blanks = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &field[field.iter().position(|byte| !blanks(byte))?..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let next = |number: u64, digit: &u8| {
        let number = number.checked_mul(10)?;
        number.checked_add(u64::from(digit - b'0'))
    };
    let number = digits.iter().try_fold(0, next);
    Some(match number {
        Some(number) if negative => number.wrapping_neg(),
        Some(number) => number,
        None => u64::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn ugly_files_come_out_as_they_went_in() {
        let long = vec![b'x'; 200_000];
        for file in [
            &b""[..],
            b"\n",
            b"\n\n",
            b"a",
            b"a\n",
            b"a\r\nb\0c\n\n#\n+::::\n-\xff\xfe",
            &long,
        ] {
            let lines = Lines::parse(file.to_vec());
            assert_eq!(lines.bytes(), file);
            let newlines = file.iter().filter(|byte| **byte == b'\n').count();
            let unended = usize::from(!file.is_empty() && !file.ends_with(b"\n"));
            assert_eq!(lines.len(), newlines + unended);
        }
    }

    #[test]
    fn a_splice_moves_the_lines_after_it() {
        let mut lines = Lines::parse(b"one\ntwo\nthree".to_vec());
        lines.splice(1, 1..2, b"WWWW");
        lines.splice(0, 0..3, b"");
        lines.splice(2, 5..5, b"!");
        assert_eq!(lines.bytes(), b"\ntWWWWo\nthree!");
        assert_eq!(
            lines.iter().collect::<Vec<_>>(),
            [&b""[..], b"tWWWWo", b"three!"]
        );
    }

    #[test]
    fn many_edits_are_those_edits_one_by_one() {
        let file: String = (0..50).map(|n| format!("line {n}:{n}\n")).collect();
        let mut many = Lines::parse(file.clone().into_bytes());
        let mut one_by_one = Lines::parse(file.into_bytes());
        let edit = |index: usize, at: Range<usize>, new: &str| Edit {
            index,
            at,
            new: new.as_bytes().to_vec().into(),
        };
        let edits = |n: usize| {
            let end = format!("line {n}:{n}").len();
            [
                edit(n, end..end, "::"),
                edit(n, 5..end, "x"),
                edit(n, 0..0, " "),
            ]
        };
        many.edit((0..50).rev().flat_map(edits).collect());
        for n in (0..50).rev() {
            one_by_one.edit(edits(n).into());
        }
        assert_eq!(many.bytes(), one_by_one.bytes());
        assert_eq!(many.starts, one_by_one.starts);
        assert_eq!(many.line(49), b" line x::");
    }

    #[test]
    fn a_search_finds_each_line_once_and_none_across_a_line_end() {
        let lines = Lines::parse(b"abab\n\nb\na\nb a\nab".to_vec());
        let found = |bytes: &[u8]| lines.containing(bytes).collect::<Vec<_>>();
        assert_eq!(found(b"ab"), [0, 5]);
        assert_eq!(found(b"b"), [0, 2, 4, 5]);
        assert_eq!(found(b"c"), [0; 0]);
        assert_eq!(Lines::parse(Vec::new()).containing(b"a").count(), 0);
        let named = Lines::parse(b"al:\n \tal:x\nxal:\nal\nbal:al:\nal:".to_vec());
        assert_eq!(named.named(b"al").collect::<Vec<_>>(), [0, 1, 5]);
    }

    #[test]
    fn numbers_are_those_of_strtoul() {
        for (field, number) in [
            ("0", Some(0)),
            (" \t\x0b7", Some(7)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("-0", Some(0)),
            ("-18446744073709551615", Some(1)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("-1", None),
            ("99999999999999999999999", None),
            ("7 ", None),
            ("0x7", None),
            ("+", None),
            ("- 7", None),
            (" ", None),
            ("", None),
        ] {
            assert_eq!(number_field(field.as_bytes()), number, "{field:?}");
        }
    }

    #[test]
    fn fields_split_at_colons_and_the_last_takes_the_rest() {
        let ([a, b, c], n) = fields(b"x::y:z");
        assert_eq!((a, b, c, n), (&b"x"[..], &b""[..], &b"y:z"[..], 3));
        let ([a, b], n) = fields(b"x");
        assert_eq!((a, b, n), (&b"x"[..], &b""[..], 1));
        assert_eq!(field_range(b"x::y:z", 2), Some(3..4));
        assert_eq!(field_range(b"x::y:z", 4), None);
    }

    /// Random files of the characters that matter, and random edits of them.
    #[test]
    fn twenty_thousand_random_files_survive_and_an_edit_changes_its_own_bytes_only() {
        const LETTERS: &[u8] = b"\n\n::::,+-#! \t\r\0\xffalicex$0123";
        let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
        for _ in 0..20_000 {
            let file: Vec<u8> = (0..random.below(300))
                .map(|_| LETTERS[random.below(LETTERS.len())])
                .collect();
            let mut lines = Lines::parse(file.clone());
            assert_eq!(lines.bytes(), file);
            let holds = |index: &usize| lines.line(*index).windows(2).any(|two| two == b"al");
            let with_al: Vec<usize> = (0..lines.len()).filter(holds).collect();
            assert_eq!(lines.containing(b"al").collect::<Vec<_>>(), with_al);
            if lines.is_empty() {
                continue;
            }
            let index = random.below(lines.len());
            let start = random.below(lines.line(index).len() + 1);
            let end = start + random.below(lines.line(index).len() - start + 1);
            let new = &b"!$6$new:hash"[..random.below(13)];
            let (before, after) = (lines.starts[index] + start, lines.starts[index] + end);
            let want = [&file[..before], new, &file[after..]].concat();
            lines.splice(index, start..end, new);
            assert_eq!(lines.bytes(), want);
            assert_eq!(lines.starts, Lines::parse(want).starts);
        }
    }
}
