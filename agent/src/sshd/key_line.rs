//! One line of an authorized_keys file, as `auth_check_authkey_line` takes it apart.

use std::fmt;
use std::ops::Range;

use rescind_protocol::name::KeyFingerprint;

use super::algorithms::{self, KeyType};
use super::key_blob::{BlobKey, BlobProblem, decode_base64};
use super::key_options::{BadOptions, KeyOptions};

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing but blanks.
    Blank,
    /// Begins with `#`.
    Comment,
    /// Holds a public key.
    Key(Box<KeyLine>),
    /// Neither; lets nobody in, but somebody meant something by it.
    Unparsed(Unparsed),
}

/// A line with a public key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyLine {
    /// The line, from 1.
    pub line: u32,
    /// The options before the key, or why sshd does not use the key.
    pub options: Result<KeyOptions, BadOptions>,
    /// What kind of key.
    pub kind: LineKey,
    /// Whether its type is called by a short name inside, which OpenSSH takes up to 9.8.
    pub short_name: bool,
    /// The key's fingerprint, as `ssh-keygen -lf` prints it.
    pub fingerprint: KeyFingerprint,
    /// The same with SHA-1, by which a KRL may name a key; of a foreign key there is none.
    pub sha1: Option<[u8; 20]>,
    /// Where in the line the comment stands; empty where there is none.
    pub comment: Range<usize>,
}

/// The key of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKey {
    /// A key that OpenSSH knows.
    Plain {
        /// Its type.
        key_type: KeyType,
        /// Its length.
        bits: usize,
    },
    /// A certificate where a key should be; sshd never compares it with anything.
    Certificate,
    /// A key of a type that no OpenSSH up to 10.0 knows, by the blob as it stands.
    Foreign,
}

/// A line that sshd cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unparsed {
    /// The line, from 1.
    pub line: u32,
    /// Why.
    pub why: UnparsedWhy,
}

impl Unparsed {
    /// Whether the line holds nothing worse than an RSA key that is too short.
    pub const fn is_short_rsa(&self) -> bool {
        matches!(self.why, UnparsedWhy::Blob(BlobProblem::TooShort(_)))
    }
}

/// Why a line is not a key line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnparsedWhy {
    /// A quote in the options is never closed.
    #[error("a quote is not closed")]
    OpenQuote,
    /// No type of key where one should stand.
    #[error("no key found")]
    NoKey,
    /// There is a type, but what follows is no key.
    #[error("{0}")]
    Blob(BlobProblem),
    /// The key inside is of another type than the line says.
    #[error("the key is of another type than the line says")]
    TypeMismatch,
}

/// Options and comments of users may hold secrets.
impl fmt::Debug for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLine")
            .field("line", &self.line)
            .field("kind", &self.kind)
            .field("fingerprint", &self.fingerprint.to_string())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Takes a line apart; `raw` may end with its line feed.
    pub fn parse(line: u32, raw: &[u8]) -> Self {
        match raw.trim_ascii() {
            // Nobody meant a key by it.
            b"" if raw.contains(&b'\r') => Self::Blank,
            _ => Self::parse_with(line, raw, read_with_options),
        }
    }

    /// Takes a line of a plain list of keys apart, where no options may stand, and where a line with nothing but a
    /// carriage return is none that is blank (`sshkey_in_file`).
    pub fn parse_without_options(line: u32, raw: &[u8]) -> Self {
        Self::parse_with(line, raw, |_, _, why| Err(why))
    }

    fn parse_with(
        line: u32,
        raw: &[u8],
        otherwise: impl Fn(&[u8], usize, UnparsedWhy) -> ReadKey,
    ) -> Self {
        // C strings end at a NUL.
        let text = &raw[..raw.iter().position(|b| *b == 0).unwrap_or(raw.len())];
        let start = blanks(text);
        match text[start..].first() {
            None | Some(b'\n') => return Self::Blank,
            Some(b'#') => return Self::Comment,
            Some(_) => {}
        }
        let found = match read_key(&text[start..]) {
            Ok((key, comment)) => Ok((key, Ok(KeyOptions::default()), start + comment)),
            Err(first) => otherwise(text, start, first),
        };
        match found {
            Ok((key, options, comment)) => {
                let end = text.trim_ascii_end().len().max(comment);
                let (kind, (fingerprint, sha1)) = (key.kind(), key.fingerprints());
                Self::Key(Box::new(KeyLine {
                    line,
                    options,
                    kind,
                    short_name: key.has_short_name(),
                    fingerprint,
                    sha1,
                    comment: comment..end,
                }))
            }
            Err(why) => Self::Unparsed(Unparsed { line, why }),
        }
    }
}

/// A key, its options, and where the comment begins.
type ReadKey = Result<(FoundKey, Result<KeyOptions, BadOptions>, usize), UnparsedWhy>;

fn read_with_options(text: &[u8], start: usize, first: UnparsedWhy) -> ReadKey {
    let length = skip_options(&text[start..]).ok_or(UnparsedWhy::OpenQuote)?;
    let at = start + length + blanks(&text[start + length..]);
    match read_key(&text[at..]) {
        Ok((key, comment)) => Ok((key, KeyOptions::parse(&text[start..]), at + comment)),
        // Where the line begins with a type of key, that failure is the one to tell.
        Err(_) if first != UnparsedWhy::NoKey => Err(first),
        Err(second) => Err(second),
    }
}

enum FoundKey {
    Known(BlobKey),
    Foreign(KeyFingerprint),
}

impl FoundKey {
    const fn kind(&self) -> LineKey {
        match self {
            Self::Known(key) if key.certificate => LineKey::Certificate,
            Self::Known(BlobKey { key_type, bits, .. }) => LineKey::Plain {
                key_type: *key_type,
                bits: *bits,
            },
            Self::Foreign(_) => LineKey::Foreign,
        }
    }

    const fn has_short_name(&self) -> bool {
        matches!(
            self,
            Self::Known(BlobKey {
                short_name: true,
                ..
            })
        )
    }

    const fn fingerprints(&self) -> (KeyFingerprint, Option<[u8; 20]>) {
        match self {
            Self::Known(key) => (key.fingerprint, Some(key.sha1)),
            Self::Foreign(fingerprint) => (*fingerprint, None),
        }
    }
}

/// `sshkey_read`: a type, blanks, base64; also where the comment begins.
fn read_key(text: &[u8]) -> Result<(FoundKey, usize), UnparsedWhy> {
    let name_end = word(text);
    let name = &text[..name_end];
    let blob_start = name_end + blanks(&text[name_end..]);
    if name_end == text.len() || blob_start == text.len() {
        return Err(UnparsedWhy::NoKey);
    }
    let blob_end = blob_start + word(&text[blob_start..]);
    let comment = blob_end + blanks(&text[blob_end..]);
    let base64 = &text[blob_start..blob_end];
    let Some((key_type, certificate)) = algorithms::key_type_of_name(name) else {
        return foreign_key(name, base64)
            .map(|key| (key, comment))
            .ok_or(UnparsedWhy::NoKey);
    };
    let blob = decode_base64(base64).map_err(UnparsedWhy::Blob)?;
    let key = BlobKey::parse(&blob).map_err(UnparsedWhy::Blob)?;
    if (key.key_type, key.certificate) != (key_type, certificate) {
        return Err(UnparsedWhy::TypeMismatch);
    }
    Ok((FoundKey::Known(key), comment))
}

/// A blob that begins with the very name that stands before it is a key, even if nobody here knows the type.
fn foreign_key(name: &[u8], base64: &[u8]) -> Option<FoundKey> {
    let blob = decode_base64(base64).ok()?;
    let (length, rest) = blob.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    (length == name.len() && rest.get(..length)? == name)
        .then(|| FoundKey::Foreign(KeyFingerprint::of_blob(&blob)))
}

/// `sshkey_advance_past_options`: the length of the options; `None` where a quote is not closed.
fn skip_options(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b' ' | b'\t' if !quoted => return Some(at),
            b'\\' if text.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(text.len())
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .position(|b| !matches!(b, b' ' | b'\t'))
        .unwrap_or(text.len())
}

fn word(text: &[u8]) -> usize {
    text.iter()
        .position(|b| matches!(b, b' ' | b'\t'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn parse(line: &str) -> Entry {
        Entry::parse(
            1,
            line.replace("KEY", &format!("ssh-ed25519 {BLOB}"))
                .as_bytes(),
        )
    }

    #[test]
    fn the_lines_that_sshd_accepted_in_a_real_login() {
        // Each form was written to an authorized_keys file and logged in with, OpenSSH 9.2p1.
        for line in [
            "KEY me@host\n",
            "  KEY me@host",
            "ssh-ed25519\tBLOB me",
            "ssh-ed25519  BLOB me",
            "KEY me\r\n",
            "command=\"echo \\\"hi, there\\\"\",no-pty KEY",
            "NO-PTY KEY me",
            "environment=\"A=b # c\" KEY",
            "KEY",
            "\tKEY me",
            "restrict\tKEY",
            "command=\"a b c\" KEY me",
            "KEY trailing  \t ",
            "KEY \"quoted comment\"",
        ] {
            let Entry::Key(key) = parse(&line.replace("BLOB", BLOB)) else {
                panic!("{line}")
            };
            assert!(key.options.is_ok(), "{line}");
            assert_eq!(
                key.fingerprint.to_string(),
                "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
            );
        }
    }

    #[test]
    fn comments_are_found_as_bytes() {
        let raw = [
            format!("no-pty ssh-ed25519 {BLOB} m").as_bytes(),
            b"\xfc\xff x \r\n",
        ]
        .concat();
        let Entry::Key(key) = Entry::parse(7, &raw) else {
            panic!()
        };
        assert_eq!(&raw[key.comment.clone()], b"m\xfc\xff x");
        assert_eq!(format!("{key:?}").matches("m\\xfc").count(), 0);
    }

    #[test]
    fn what_is_no_key_says_why() {
        for (line, why) in [
            ("nonsense", UnparsedWhy::NoKey),
            ("ssh-ed25519", UnparsedWhy::NoKey),
            ("ssh-ed25519 AAAA", UnparsedWhy::Blob(BlobProblem::Damaged)),
            (
                "ssh-ed25519 %%%%",
                UnparsedWhy::Blob(BlobProblem::NotBase64),
            ),
            (&format!("ssh-rsa {BLOB}"), UnparsedWhy::TypeMismatch),
            ("command=\"x KEY", UnparsedWhy::OpenQuote),
            ("1024 35 1234567890", UnparsedWhy::NoKey),
            ("no-pty no-pty KEY", UnparsedWhy::NoKey),
        ] {
            assert_eq!(
                parse(line),
                Entry::Unparsed(Unparsed { line: 1, why }),
                "{line}"
            );
        }
        for line in ["", "\n", "  \t", "\r\n", "\0KEY"] {
            assert_eq!(parse(line), Entry::Blank, "{line:?}");
        }
        assert_eq!(parse("  # KEY"), Entry::Comment);
    }

    #[test]
    fn a_nul_ends_the_line() {
        assert!(matches!(
            parse("KEY\0 and what sshd never sees"),
            Entry::Key(_)
        ));
        assert!(matches!(parse("ssh-ed25519\0 AAAA"), Entry::Unparsed(_)));
    }

    #[test]
    fn unknown_types_keep_a_fingerprint() {
        // "ssh-future" and four bytes.
        let Entry::Key(key) = parse("restrict ssh-future AAAACnNzaC1mdXR1cmUAAAAEAQIDBA== x")
        else {
            panic!()
        };
        assert_eq!(key.kind, LineKey::Foreign);
        let Entry::Key(key) = parse("no-such-option KEY") else {
            panic!()
        };
        assert!(key.options.is_err());
    }
}
