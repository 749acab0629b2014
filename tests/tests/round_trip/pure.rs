//! Readers that are not lossless, because what they read is never written back: they are held to the
//! lines and bytes they name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use rescind_agent::sshd::lexer::logical_lines;
use rescind_agent::sshd::revoked_keys::plain_keys;
use rescind_agent::sudoers::files::SUDOERS;
use rescind_agent::sudoers::tree::{FindingKind, Span};
use rescind_agent::sudoers::{Dialect, ReadProblem, SudoersFiles, parse};

/// One of them.
pub struct Pure {
    /// What it reads.
    #[expect(dead_code, reason = "said here, where it is looked for")]
    pub reads: &'static str,
    /// Why it does not keep the file.
    #[expect(dead_code, reason = "said here, where it is looked for")]
    pub why: &'static str,
    /// Holds it to the lines it names.
    pub check: fn(&[u8]),
}

/// All of them that name lines.
pub const PURE: &[Pure] = &[
    Pure {
        reads: "sshd_config(5)",
        why: "Rescind never writes sshd's configuration; quotes, comments and blanks are taken off as sshd does",
        check: sshd_config,
    },
    Pure {
        reads: "sudoers(5)",
        why: "Rescind never writes sudo's policy; it is kept as a tree with places, not as text",
        check: sudoers,
    },
    Pure {
        reads: "keys without options: revoked keys, CA keys",
        why: "they are looked at, never changed",
        check: keys,
    },
    // PAM's stacks, login.defs, nsswitch.conf, sudo.conf and os-release name no lines: they come to an
    // answer, which their fuzz targets check.
];

/// Every byte of the file is in exactly one logical line, but for the white space before it, what is
/// behind a NUL, comments of old releases, and the line ends.
fn sshd_config(file: &[u8]) {
    for comments_end_anywhere in [false, true] {
        let lines = logical_lines(file, comments_end_anywhere);
        assert!(
            lines.iter().is_sorted_by(|a, b| a.0 < b.0),
            "each line once, in order"
        );
        let mut physical = (1_u32..)
            .zip(file.split_inclusive(|byte| *byte == b'\n'))
            .peekable();
        for (at, (number, text)) in lines.iter().enumerate() {
            let next = lines.get(at + 1).map_or(u32::MAX, |(number, _)| *number);
            let mut seen = Vec::new();
            while let Some((_, raw)) = physical.next_if(|(here, _)| *here < next) {
                seen.extend_from_slice(visible(raw, comments_end_anywhere));
            }
            assert_eq!(
                text,
                &seen,
                "line {number} of {:?}",
                file.escape_ascii().to_string()
            );
        }
        assert!(physical.next().is_none(), "no line is left out");
    }
}

fn visible(raw: &[u8], comments_end_anywhere: bool) -> &[u8] {
    let until = |text: &'static [u8]| move |byte: &u8| text.contains(byte);
    let mut text = raw.split(until(b"\0\n")).next().unwrap_or_default();
    if comments_end_anywhere {
        text = text.split(until(b"#")).next().unwrap_or_default();
    }
    let start = text.iter().position(|byte| !b" \t\r".contains(byte));
    &text[start.unwrap_or(text.len())..]
}

struct Alone<'f>(&'f [u8]);

impl SudoersFiles for Alone<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        match path == Path::new(SUDOERS) {
            true => Ok(self.0.to_vec()),
            false => Err(ReadProblem::Missing),
        }
    }

    fn list(&self, _: &Path) -> Result<Vec<OsString>, ReadProblem> {
        Err(ReadProblem::Missing)
    }
}

/// Statements do not overlap, each is on the lines it says it is on, and what is in none of them is
/// blank, a comment, an include, the name of an alias's kind, or named by a finding.
fn sudoers(file: &[u8]) {
    // A file that includes itself is read again and again: another test's matter.
    if file
        .windows(7)
        .any(|word| word.eq_ignore_ascii_case(b"include"))
    {
        return;
    }
    let policy = parse(
        &Alone(file),
        Path::new(SUDOERS),
        b"web1",
        Dialect::Sudo1_9_16,
    );
    let line_of = |at: u32| {
        1 + file[..at as usize]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    };
    let mut statements: BTreeMap<(u32, u32), Span> = BTreeMap::new();
    let specs = policy.specs.iter().map(|spec| spec.span);
    let aliases = policy
        .aliases
        .values()
        .flat_map(|names| names.values())
        .map(|alias| alias.span);
    // Settings of one line have it in common.
    let defaults = policy.defaults.iter().map(|default| default.line_span);
    for span in specs.chain(aliases).chain(defaults) {
        statements.insert((span.start, span.end), span);
    }
    let mut before = 0;
    for span in statements.values() {
        let text = file[span.start as usize..span.end as usize].escape_ascii();
        assert!(before <= span.start, "{text} overlaps what is before it");
        assert!(span.start < span.end, "nothing is a statement");
        assert_eq!(line_of(span.start), span.line as usize, "{text}");
        assert_eq!(line_of(span.end), span.last_line as usize, "{text}");
        before = span.end;
    }
    for finding in &policy.findings {
        if let (Some(span), FindingKind::LineIgnored(_)) = (finding.at, &finding.kind) {
            assert_eq!(line_of(span.start), span.line as usize, "{}", finding.kind);
        }
    }
}

/// Keys are on the lines they say they are on.
fn keys(file: &[u8]) {
    let release = "OpenSSH_9.2p1 Debian-2".parse().unwrap();
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, key) in plain_keys(file, &release) {
        let line = lines[number as usize - 1];
        if let Ok(key) = key {
            assert!(!line.trim_ascii().is_empty());
            assert_eq!(key.line, number);
            assert!(key.comment.end <= line.len());
        }
    }
}
