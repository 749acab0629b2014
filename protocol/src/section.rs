//! A section of what a host's survey found, as JSON.
//!
//! A survey is a set of sections with names: accounts, keys, rules of sudo, and so on. Each is one
//! JSON text, written so that the same findings are the same bytes: no blanks, keys in the order
//! below, rows in a fixed order. Its digest is the SHA-256 of those bytes, and nothing in it
//! changes by itself (no time of the survey, no process ids), so that an unchanged host has
//! unchanged digests and sends nothing.
//!
//! ```json
//! {"section":"ssh_keys","format":1,
//!  "rows":[{"account":"alice","uid":1000,"mechanism":"ssh_public_key","state":"open","reason":"…",
//!           "source":{"file":"/home/alice/.ssh/authorized_keys","line":1},"fingerprint":"SHA256:…"}],
//!  "left_out":0,
//!  "not_read":{"total":1,"listed":[{"account":"bob","path":"/home/bob/.ssh/authorized_keys",
//!                                   "cause":"hang","why":"…"}]}}
//! ```
//!
//! `not_read` is what the section does not cover: it may lack whatever stands there. What a row
//! holds depends on the section; this crate only looks at what tells one row from another.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::name::SectionName;

/// The version of the form above.
pub const FORMAT: u32 = 1;
/// The longest section, all pieces together.
pub const SECTION_BYTES_MAX: usize = 32 << 20;
/// The most sections of one host.
pub const SECTIONS_MAX: usize = 16;
/// The longest piece of a section in one message.
pub const PIECE_BYTES_MAX: usize = 256 << 10;
/// The most rows of one section.
pub const ROWS_MAX: usize = 500_000;
/// The longest row.
pub const ROW_BYTES_MAX: usize = 256 << 10;
/// How deep objects and lists may be nested in a row.
const ROW_DEPTH_MAX: u32 = 16;

/// A section, taken apart. Rows are kept as the text that came.
#[derive(Debug, Deserialize)]
pub struct Document<'a> {
    /// Which one it is.
    pub section: SectionName,
    /// [`FORMAT`] of the sender.
    pub format: u32,
    /// What was found.
    #[serde(borrow)]
    pub rows: Vec<&'a RawValue>,
    /// Rows that were found and left out because there were too many.
    #[serde(default)]
    pub left_out: u64,
    /// What could not be read.
    #[serde(borrow)]
    pub not_read: NotRead<'a>,
}

/// What could not be read. Each has `account` (whose, or null), `path` (or null), `cause` and
/// `why`.
#[derive(Debug, Deserialize)]
pub struct NotRead<'a> {
    /// All of it.
    pub total: u64,
    /// The first ones.
    #[serde(borrow)]
    pub listed: Vec<&'a RawValue>,
}

/// Why bytes are not a section.
#[derive(Debug, thiserror::Error)]
pub enum BadSection {
    /// Longer than [`SECTION_BYTES_MAX`].
    #[error("{0} bytes, a section has at most {SECTION_BYTES_MAX}")]
    TooLong(usize),
    /// Not JSON, or not of that form.
    #[error("not a section: {}", beginning(.0))]
    Form(#[from] serde_json::Error),
    /// It is another one than the message said.
    #[error("it calls itself {0}")]
    Name(SectionName),
    /// Of a form this version does not know.
    #[error("format {0}, this version knows {FORMAT}")]
    Format(u32),
    /// More than [`ROWS_MAX`].
    #[error("{0} rows, a section has at most {ROWS_MAX}")]
    TooMany(usize),
    /// A row that is no object, too long or too deep.
    #[error("row {0} is no object, or too long or too deep")]
    Row(usize),
}

/// What JSON says of a mistake. It quotes what it did not want, which may be all of a section and
/// hold anything.
fn beginning(error: &serde_json::Error) -> String {
    const CHARS_MAX: usize = 200;
    let text = error.to_string();
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let mut shown: String = text.chars().take(CHARS_MAX).map(printable).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push_str(&format!(
            "… (line {} column {})",
            error.line(),
            error.column()
        ));
    }
    shown
}

impl<'a> Document<'a> {
    /// Takes apart the section of this name.
    pub fn parse(name: &SectionName, json: &'a [u8]) -> Result<Self, BadSection> {
        if json.len() > SECTION_BYTES_MAX {
            return Err(BadSection::TooLong(json.len()));
        }
        let document: Self = serde_json::from_slice(json)?;
        if document.section != *name {
            return Err(BadSection::Name(document.section));
        }
        if document.format != FORMAT {
            return Err(BadSection::Format(document.format));
        }
        let rows = document.rows.len() + document.not_read.listed.len();
        if rows > ROWS_MAX {
            return Err(BadSection::TooMany(rows));
        }
        let all = document.rows.iter().chain(&document.not_read.listed);
        match all.enumerate().find(|(_, row)| !is_plain(row)) {
            Some((nth, _)) => Err(BadSection::Row(nth)),
            None => Ok(document),
        }
    }
}

/// Whether a row is an object that every reader can take: not too long, not too deep.
fn is_plain(row: &RawValue) -> bool {
    let text = row.get();
    text.starts_with('{') && text.len() <= ROW_BYTES_MAX && depth(text.as_bytes()) <= ROW_DEPTH_MAX
}

/// How deep objects and lists are nested in JSON that is known to be well-formed.
fn depth(json: &[u8]) -> u32 {
    let (mut depth, mut deepest) = (0_u32, 0);
    let mut bytes = json.iter();
    let mut in_text = false;
    while let Some(byte) = bytes.next() {
        match (byte, in_text) {
            (b'\\', true) => {
                bytes.next();
            }
            (b'"', _) => in_text = !in_text,
            (b'{' | b'[', false) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (b'}' | b']', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<(usize, u64), String> {
        Document::parse(&"ssh_keys".parse().unwrap(), json.as_bytes())
            .map(|document| (document.rows.len(), document.not_read.total))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_section_is_told_from_one() {
        let good = r#"{"section":"ssh_keys","format":1,"rows":[{"account":"a"},{}],"left_out":0,"not_read":{"total":3,"listed":[]},"later":1}"#;
        assert_eq!(parse(good), Ok((2, 3)));
        let deep = format!(
            r#"{{"section":"ssh_keys","format":1,"rows":[{{"a":{}{}}}],"not_read":{{"total":0,"listed":[]}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        for (json, why) in [
            ("", "EOF while parsing"),
            ("[]", "not a section"),
            (&good[..good.len() - 1], "EOF while parsing"),
            (&good.replace("ssh_keys", "sudo"), "it calls itself sudo"),
            (&good.replace("ssh_keys", "SUDO"), "want 1 to 32"),
            (&good.replace(r#""format":1"#, r#""format":2"#), "format 2"),
            (&good.replace("{}]", "7]"), "row 1 is no object"),
            (&good.replace(r#""rows""#, r#""rowz""#), "missing field"),
            (&good.replace(r#""later":1"#, r#""format":1"#), "duplicate"),
            (&good.replace("total\":3", "total\":-3"), "not a section"),
            (&deep, "too deep"),
            (&format!("\"{}\"", "x".repeat(5000)), "x… (line 1 column"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.len() < 300, "{} bytes", error.len());
            assert!(error.contains(why), "{error}, want {why}");
        }
    }

    #[test]
    fn brackets_in_texts_are_no_depth() {
        assert_eq!(depth(br#"{"a\"[[[":["}",[]],"b":"\\"}"#), 3);
    }
}
