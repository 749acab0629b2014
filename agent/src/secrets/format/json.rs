//! JSON (RFC 8259): every value with the keys that lead to it. Texts are handed over as they
//! stand, or decoded into a buffer that is erased.

use std::ops::ControlFlow;

use zeroize::Zeroizing;

/// Deeper than this nothing is read.
const DEPTH_MAX: usize = 32;

/// The keys that lead to a value; elements of a list have `""`.
pub type Keys<'k, 'f> = &'k [&'f [u8]];

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// Hands over every text, with the keys that lead to it, and whether it was a text (numbers and
/// words are handed over, too). Stops early where `each` says so.
///
/// What was read before a mistake has been handed over when this returns an error.
pub fn scalars<'f>(
    text: &'f [u8],
    mut each: impl FnMut(Keys<'_, 'f>, &[u8]) -> ControlFlow<()>,
) -> Result<(), NotJson> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = Reader { text, at: 0 };
    let mut keys = Vec::with_capacity(DEPTH_MAX);
    match reader.value(&mut keys, &mut each) {
        Ok(()) => {
            reader.blanks();
            (reader.at == text.len()).then_some(()).ok_or(NotJson)
        }
        Err(Stop::Broken) => Err(NotJson),
        Err(Stop::Enough) => Ok(()),
    }
}

/// The text at a path of keys, if there is one.
pub fn text_at(text: &[u8], path: &[&str]) -> Option<Zeroizing<Vec<u8>>> {
    let mut found = None;
    let wanted = |keys: Keys<'_, '_>| {
        keys.len() == path.len()
            && keys
                .iter()
                .zip(path)
                .all(|(key, name)| *key == name.as_bytes())
    };
    // What stands before a mistake stands there.
    let _ = scalars(text, |keys, value| {
        if !wanted(keys) {
            return ControlFlow::Continue(());
        }
        found = Some(Zeroizing::new(value.to_vec()));
        ControlFlow::Break(())
    });
    found
}

enum Stop {
    Broken,
    Enough,
}

struct Reader<'f> {
    text: &'f [u8],
    at: usize,
}

impl<'f> Reader<'f> {
    fn value(
        &mut self,
        keys: &mut Vec<&'f [u8]>,
        each: &mut impl FnMut(Keys<'_, 'f>, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        self.blanks();
        match self.peek()? {
            b'{' => self.members(b'}', keys, each),
            b'[' => self.members(b']', keys, each),
            b'"' => {
                let raw = self.string()?;
                let told = match raw.contains(&b'\\') {
                    false => each(keys, raw),
                    true => each(keys, &unescaped(raw).ok_or(Stop::Broken)?),
                };
                go_on(told)
            }
            _ => {
                let start = self.at;
                while self.at < self.text.len() && !b",]} \t\r\n".contains(&self.text[self.at]) {
                    self.at += 1;
                }
                match start == self.at {
                    true => Err(Stop::Broken),
                    false => go_on(each(keys, &self.text[start..self.at])),
                }
            }
        }
    }

    fn members(
        &mut self,
        close: u8,
        keys: &mut Vec<&'f [u8]>,
        each: &mut impl FnMut(Keys<'_, 'f>, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        if keys.len() == DEPTH_MAX {
            return Err(Stop::Broken);
        }
        self.at += 1;
        self.blanks();
        if self.peek()? == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            let key = match close {
                b'}' => {
                    let key = self.string()?;
                    self.blanks();
                    self.expect(b':')?;
                    key
                }
                _ => &b""[..],
            };
            keys.push(key);
            self.value(keys, each)?;
            keys.pop();
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                end if end == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Stop::Broken),
            }
        }
    }

    /// The bytes between the quotes, escapes as they stand.
    fn string(&mut self) -> Result<&'f [u8], Stop> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        match self.peek()? == byte {
            true => {
                self.at += 1;
                Ok(())
            }
            false => Err(Stop::Broken),
        }
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.text.get(self.at).copied().ok_or(Stop::Broken)
    }

    fn blanks(&mut self) {
        while self
            .text
            .get(self.at)
            .is_some_and(|b| b" \t\r\n".contains(b))
        {
            self.at += 1;
        }
    }
}

fn go_on(told: ControlFlow<()>) -> Result<(), Stop> {
    match told {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stop::Enough),
    }
}

/// A text without its escapes; never longer than with them.
fn unescaped(raw: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(raw.len()));
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        rest = after;
        match escape {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let high = hex4(rest)?;
                rest = &rest[4..];
                let mut code = high;
                if (0xd800..0xdc00).contains(&high)
                    && let Some(low) = rest.strip_prefix(b"\\u").and_then(hex4)
                    && (0xdc00..0xe000).contains(&low)
                {
                    rest = &rest[6..];
                    code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    Some(out)
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |code, byte| {
        Some(code << 4 | char::from(*byte).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let read = scalars(text.as_bytes(), |keys, value| {
            let keys: Vec<_> = keys.iter().map(|k| String::from_utf8_lossy(k)).collect();
            found.push(format!(
                "{}={}",
                keys.join("."),
                String::from_utf8_lossy(value)
            ));
            ControlFlow::Continue(())
        });
        (found, read.is_ok())
    }

    #[test]
    fn every_value_with_its_keys() {
        let (found, whole) = read(
            r#" {"auths": {"https://r/v1/": {"auth": "YTpi"}}, "n": [1, "a\n\"\u00e9\ud83d\ude00", true], "e": {}, "l": []} "#,
        );
        assert!(whole);
        assert_eq!(
            found,
            [
                "auths.https://r/v1/.auth=YTpi",
                "n.=1",
                "n.=a\n\"é😀",
                "n.=true"
            ]
        );
    }

    #[test]
    fn mistakes_are_noticed_and_what_stands_before_them_is_read() {
        for (text, want) in [
            (r#"{"a": "b""#, vec!["a=b"]),
            (r#"{"a": "b"} x"#, vec!["a=b"]),
            (r#"{"a": "b", "c" 1}"#, vec!["a=b"]),
            (r#"{"a": "\u12"}"#, vec![]),
            ("", vec![]),
            ("{", vec![]),
            ("\"\\", vec![]),
        ] {
            assert_eq!(
                read(text),
                (want.iter().map(ToString::to_string).collect(), false),
                "{text}"
            );
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(&deep), (vec![], false));
    }

    #[test]
    fn one_text_by_its_path() {
        let text = br#"{"type":"service_account","a":{"type":"x"}}"#;
        assert_eq!(
            text_at(text, &["a", "type"]).as_deref().map(|v| &v[..]),
            Some(&b"x"[..])
        );
        assert!(text_at(text, &["b"]).is_none());
    }
}
