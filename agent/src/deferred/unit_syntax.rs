//! systemd.syntax(7): sections and assignments of a unit file, line by line and byte for byte.

use std::borrow::Cow;

use crate::host::lines::{Lines, number};

/// A unit file or drop-in, kept as it stands.
#[derive(Debug)]
pub struct UnitText {
    lines: Lines,
}

/// `Key=value` in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// The line it begins on, from 1.
    pub line: u32,
    /// The section, without its brackets; empty before the first one.
    pub section: &'a [u8],
    /// What stands before the `=`.
    pub key: Cow<'a, [u8]>,
    /// What stands after it, lines that were continued made one.
    pub value: Cow<'a, [u8]>,
}

impl UnitText {
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

    /// The assignments, in the order of the file. What is none is passed over, as systemd does.
    pub fn assignments(&self) -> Vec<Assignment<'_>> {
        let mut found = Vec::new();
        let mut section: &[u8] = b"";
        let mut lines = self.lines.iter().enumerate();
        while let Some((index, line)) = lines.next() {
            let line = trim_start(line);
            if is_comment(line) {
                continue;
            }
            if !is_continued(line) {
                if let Some(name) = section_name(trim(line)) {
                    section = name;
                } else if let Some((key, value)) = split(line) {
                    found.push(Assignment {
                        line: number(index),
                        section,
                        key: Cow::Borrowed(key),
                        value: Cow::Borrowed(value),
                    });
                }
                continue;
            }
            let mut text = line.to_vec();
            while is_continued(&text) {
                text.pop();
                text.push(b' ');
                // Comments in between are no part of it; the end of the file ends it.
                let mut next = lines.by_ref().map(|(_, line)| trim_start(line));
                text.extend_from_slice(next.find(|line| !is_comment(line)).unwrap_or_default());
            }
            if let Some((key, value)) = split(&text) {
                found.push(Assignment {
                    line: number(index),
                    section,
                    key: Cow::Owned(key.to_vec()),
                    value: Cow::Owned(value.to_vec()),
                });
            }
        }
        found
    }
}

fn is_comment(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'#' | b';'))
}

/// Whether a line ends in a backslash that no other backslash takes the meaning of.
fn is_continued(line: &[u8]) -> bool {
    let backslashes = line.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', text)?;
    Some((trim(&text[..at]), trim(&text[at + 1..])))
}

fn section_name(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"[")?.strip_suffix(b"]")
}

/// Without the white space, as systemd knows it, at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|byte| !is_space(byte));
    end.map_or(b"", |end| &text[..=end])
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(byte));
    start.map_or(b"", |start| &text[start..])
}

const fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The words of a value that lists names: split at blanks, quotes taken off.
pub fn words(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let mut word = Vec::new();
        let mut quote = None;
        let mut end = rest.len();
        for (at, byte) in rest.iter().enumerate() {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(*byte),
                (Some(open), byte) if open == *byte => quote = None,
                (None, byte) if byte.is_ascii_whitespace() => {
                    end = at;
                    break;
                }
                (_, byte) => word.push(*byte),
            }
        }
        rest = &rest[end..];
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn show(bytes: &[u8]) -> Vec<String> {
        let unit = UnitText::parse(bytes.to_vec());
        assert_eq!(unit.to_bytes(), bytes);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let show = |a: Assignment<'_>| {
            let (section, key) = (text(a.section), text(&a.key));
            format!("{}[{section}]{key}={}", a.line, text(&a.value))
        };
        unit.assignments().into_iter().map(show).collect()
    }

    #[test]
    fn assignments_in_sections() {
        assert_eq!(
            show(
                b"# c\nX=0\n[Unit]\nWants = a.service  b.target\r\n;c\n\n  [Service]\nUser=\n\
                ExecStart=/bin/x \\\n  --one \\\n# not part\n  --two\nUser=al\xff\nrubbish\n\
                [Broken\nK=v=w\nKey\\\n =x\\\\\nE=1 \\ \nLast=\\"
            ),
            [
                "2[]X=0",
                "4[Unit]Wants=a.service  b.target",
                "8[Service]User=",
                "9[Service]ExecStart=/bin/x  --one  --two",
                "13[Service]User=al\\xff",
                "16[Service]K=v=w",
                "17[Service]Key=x\\\\\\\\",
                "19[Service]E=1 \\\\",
                "20[Service]Last=",
            ]
        );
        assert_eq!(show(b""), [""; 0]);
    }

    #[test]
    fn lists_of_names() {
        let words: Vec<Vec<u8>> = words(b" a.service\t\"b c\" d'e'f ").collect();
        assert_eq!(words, [&b"a.service"[..], b"b c", b"def"]);
    }

    #[test]
    fn random_files_come_out_as_they_went_in() {
        const LETTERS: &[u8] = b"[]=\\#;\n\n\n \t\r\0\xffUser\"'";
        let mut random = Random::new(0x2545_F491_4F6C_DD1D);
        for _ in 0..20_000 {
            let bytes = random.file(LETTERS, 80);
            let unit = UnitText::parse(bytes.clone());
            assert_eq!(unit.to_bytes(), bytes);
            for assignment in unit.assignments() {
                let _ = words(&assignment.value).count();
            }
        }
    }
}
