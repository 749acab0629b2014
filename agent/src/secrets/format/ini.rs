//! Sections and keys: INI as Python's configparser, git, MySQL, systemd and others read it, and
//! TOML as far as the tools write it.

/// One setting.
#[derive(Clone, Copy)]
pub struct Setting<'f> {
    /// What stands between the brackets above it; empty before the first.
    pub section: &'f [u8],
    /// The key, quotes taken off.
    pub key: &'f [u8],
    /// The value, blanks and one pair of quotes taken off. Empty where there is no `=`.
    pub value: &'f [u8],
}

impl Setting<'_> {
    /// Whether the key is one of these, in any case, `-` and `_` being the same.
    pub fn is(&self, keys: &[&str]) -> bool {
        let fold = |b: &u8| match b {
            b'-' => b'_',
            b => b.to_ascii_lowercase(),
        };
        keys.iter()
            .any(|key| self.key.iter().map(fold).eq(key.bytes().map(|b| fold(&b))))
    }
}

/// What begins a comment behind a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailing {
    /// Nothing: the line is the value.
    Nothing,
    /// `#` or `;` after a blank.
    Comment,
}

/// The settings of a file, in order.
pub fn settings(text: &[u8], trailing: Trailing) -> impl Iterator<Item = Setting<'_>> {
    let mut section: &[u8] = b"";
    lines(text).filter_map(move |line| {
        let line = line.trim_ascii();
        match line.first()? {
            b'#' | b';' => None,
            b'[' => {
                // `[[runners]]` of TOML; `[remote "origin"]` of git.
                let inner = line.trim_ascii_start().strip_prefix(b"[")?;
                let inner = inner.strip_prefix(b"[").unwrap_or(inner);
                let end = inner.iter().position(|b| *b == b']').unwrap_or(inner.len());
                section = &inner[..end];
                None
            }
            _ => {
                let at = line.iter().position(|b| matches!(b, b'=' | b':'));
                let (key, value) = match at {
                    Some(at) => (&line[..at], &line[at + 1..]),
                    None => (line, &b""[..]),
                };
                Some(Setting {
                    section,
                    key: unquoted(key.trim_ascii(), Trailing::Nothing),
                    value: unquoted(value.trim_ascii(), trailing),
                })
            }
        }
    })
}

/// Lines without their ends, a byte order mark taken off.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// A value without the quotes around it, or without the comment behind it.
pub fn unquoted(value: &[u8], trailing: Trailing) -> &[u8] {
    match value.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let mut escaped = false;
            let close = value[1..].iter().position(|b| {
                let closes = b == quote && !escaped;
                escaped = *b == b'\\' && !escaped && *quote == b'"';
                closes
            });
            match close {
                // Only where nothing but a comment follows; `"a" b` is a value of its own.
                Some(at)
                    if matches!(
                        value[at + 2..].trim_ascii().first(),
                        None | Some(b'#' | b';' | b',')
                    ) =>
                {
                    &value[1..=at]
                }
                _ => value,
            }
        }
        _ if trailing == Trailing::Comment => {
            let comment = value
                .windows(2)
                .position(|pair| matches!(pair, [b' ' | b'\t', b'#' | b';']));
            comment.map_or(value, |at| value[..at].trim_ascii())
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, trailing: Trailing) -> Vec<String> {
        settings(text.as_bytes(), trailing)
            .map(|setting| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                format!(
                    "{}|{}|{}",
                    text(setting.section),
                    text(setting.key),
                    text(setting.value)
                )
            })
            .collect()
    }

    #[test]
    fn the_usual_and_the_odd() {
        let text = "\u{feff}top = 1\r\n# c\n; c\n[default]\naws_secret_access_key = a=b#c\n[remote \"origin\"]\n\turl = https://u:p@h/x # not\n[[runners]]\n  token = \"t o#k\" # c\n\"quoted.key\" = 'v\"v'\nflag\nkey: v\nq = \"a\\\"b\"\nz = \"a\" b\n";
        assert_eq!(
            read(text, Trailing::Comment),
            [
                "|top|1",
                "default|aws_secret_access_key|a=b#c",
                "remote \"origin\"|url|https://u:p@h/x",
                "runners|token|t o#k",
                "runners|quoted.key|v\"v",
                "runners|flag|",
                "runners|key|v",
                "runners|q|a\\\"b",
                "runners|z|\"a\" b",
            ]
        );
        assert_eq!(read("p = a # b", Trailing::Nothing), ["|p|a # b"]);
    }

    #[test]
    fn a_url_as_key_keeps_its_colon_out() {
        // npm's `//registry/:_authToken=x` has a reader of its own.
        assert_eq!(read("a_b=1", Trailing::Nothing), ["|a_b|1"]);
        let setting = settings(b"API-Key = 1", Trailing::Nothing).next().unwrap();
        assert!(setting.is(&["api_key"]) && !setting.is(&["api"]));
    }
}
