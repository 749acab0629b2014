//! YAML, as far as the tools of this world write it: block mappings and lists, plain and quoted
//! values, block texts. What is written in flow style inside a line is handed over as it stands;
//! a file that is JSON, which YAML allows, is read as JSON.

use std::ops::ControlFlow;

use zeroize::Zeroizing;

use super::json;

/// Deeper than this nothing is read.
const DEPTH_MAX: usize = 32;

/// A value with its place.
#[derive(Clone, Copy)]
pub struct Entry<'e, 'f> {
    /// The keys that lead to it; elements of a list have `""`.
    pub keys: &'e [&'f [u8]],
    /// Which element of the outermost list it is in, counted over the whole file from 1; 0 outside.
    pub element: u32,
    /// The value without its quotes.
    pub value: &'e [u8],
}

impl Entry<'_, '_> {
    /// Whether it stands at this path of keys, `*` being any one.
    pub fn is_at(&self, path: &[&str]) -> bool {
        self.keys.len() == path.len()
            && (self.keys.iter().zip(path))
                .all(|(key, name)| *name == "*" || *key == name.as_bytes())
    }
}

/// Hands over every value.
pub fn scalars<'f>(text: &'f [u8], mut each: impl FnMut(Entry<'_, 'f>)) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii_start().starts_with(b"{") {
        // What stands before a mistake stands there.
        let _ = json::scalars(text, |keys, value| {
            let element = 0;
            each(Entry {
                keys,
                element,
                value,
            });
            ControlFlow::Continue(())
        });
        return;
    }
    Reader {
        text,
        stack: Vec::with_capacity(DEPTH_MAX),
        element: 0,
    }
    .read(&mut each);
}

struct Reader<'f> {
    text: &'f [u8],
    /// Where each key on the way begins in its line, and the key.
    stack: Vec<(usize, &'f [u8])>,
    element: u32,
}

impl<'f> Reader<'f> {
    fn read(mut self, each: &mut impl FnMut(Entry<'_, 'f>)) {
        let mut at = 0;
        while let Some((line, next)) = line_at(self.text, at) {
            at = next;
            let blanks = line.iter().take_while(|b| **b == b' ').count();
            let (mut indent, mut rest) = (blanks, line[blanks..].trim_ascii_end());
            if rest.is_empty() || matches!(rest[0], b'#' | b'%') || rest.starts_with(b"---") {
                continue;
            }
            while rest == b"-" || rest.starts_with(b"- ") {
                // A list may stand as far left as the key it belongs to.
                self.leave(indent + 1, true);
                if self.stack.len() >= DEPTH_MAX {
                    return;
                }
                if self.stack.iter().all(|(_, key)| !key.is_empty()) {
                    self.element += 1;
                }
                self.stack.push((indent, b""));
                let skipped = rest.len() - rest[1..].trim_ascii_start().len();
                indent += skipped;
                rest = &rest[skipped..];
            }
            let Some((key, value)) = key_and_value(rest) else {
                if !rest.is_empty() {
                    self.tell(None, rest, each);
                }
                continue;
            };
            self.leave(indent, false);
            if self.stack.len() >= DEPTH_MAX {
                return;
            }
            let tagged = value.strip_prefix(b"!vault").map(<[u8]>::trim_ascii_start);
            match tagged.unwrap_or(value).first() {
                None | Some(b'#') => self.stack.push((indent, key)),
                Some(b'|' | b'>') if tagged.is_some() => {
                    self.tell(Some(key), value, each);
                    at = self.end_of_block(at, indent);
                }
                Some(b'|' | b'>') => {
                    let end = self.end_of_block(at, indent);
                    self.tell(Some(key), &self.text[at..end], each);
                    at = end;
                }
                Some(_) => self.tell(Some(key), value, each),
            }
        }
    }

    /// Leaves everything that begins as far right as `indent`, or further.
    fn leave(&mut self, indent: usize, for_element: bool) {
        while let Some((at, key)) = self.stack.last() {
            // A new element ends the one before it, but not the key that both belong to.
            let ends = match for_element {
                true => *at + 1 > indent || (*at + 1 == indent && key.is_empty()),
                false => *at >= indent,
            };
            if !ends {
                return;
            }
            self.stack.pop();
        }
    }

    fn tell(&self, key: Option<&'f [u8]>, value: &[u8], each: &mut impl FnMut(Entry<'_, 'f>)) {
        let keys: Vec<&[u8]> = self.stack.iter().map(|(_, key)| *key).chain(key).collect();
        let listed = self.stack.iter().any(|(_, key)| key.is_empty());
        let element = if listed { self.element } else { 0 };
        let plain = plain(value);
        let (keys, value) = (&keys[..], plain.as_slice());
        each(Entry {
            keys,
            element,
            value,
        });
    }

    /// Where a block text that begins at `at` ends: at the first line that is not further right.
    fn end_of_block(&self, mut at: usize, indent: usize) -> usize {
        while let Some((line, next)) = line_at(self.text, at) {
            let blanks = line.iter().take_while(|b| **b == b' ').count();
            if blanks <= indent && !line.trim_ascii().is_empty() {
                break;
            }
            at = next;
        }
        at
    }
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line_at(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let len = memchr::memchr(b'\n', rest);
    let line = &rest[..len.unwrap_or(rest.len())];
    Some((
        line.strip_suffix(b"\r").unwrap_or(line),
        at + len.map_or(rest.len(), |len| len + 1),
    ))
}

/// `key: value`, the key without quotes.
fn key_and_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let quoted = matches!(text.first(), Some(b'"' | b'\''))
        .then(|| text[1..].iter().position(|b| *b == text[0]))
        .flatten();
    let (key, colon) = match quoted {
        Some(end) => (&text[1..=end], end + 2),
        None => {
            let colon = (0..text.len()).find(|at| {
                text[*at] == b':' && matches!(text.get(at + 1), None | Some(b' ' | b'\t'))
            })?;
            (text[..colon].trim_ascii_end(), colon)
        }
    };
    let rest = text.get(colon..)?.strip_prefix(b":")?;
    (rest.is_empty() || matches!(rest[0], b' ' | b'\t')).then(|| (key, rest.trim_ascii()))
}

enum Plain<'v> {
    AsItStands(&'v [u8]),
    Decoded(Zeroizing<Vec<u8>>),
}

impl Plain<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::AsItStands(value) => value,
            Self::Decoded(value) => value,
        }
    }
}

/// A value without quotes, or without the comment behind it.
fn plain(value: &[u8]) -> Plain<'_> {
    let value = value.trim_ascii();
    match value.first() {
        Some(b'\'') => {
            let close = value[1..].iter().rposition(|b| *b == b'\'');
            Plain::AsItStands(close.map_or(value, |at| &value[1..=at]))
        }
        Some(b'"') => {
            let mut inner = &value[1..];
            let mut at = 0;
            while at < inner.len() && inner[at] != b'"' {
                at += 1 + usize::from(inner[at] == b'\\');
            }
            inner = &inner[..at.min(inner.len())];
            if !inner.contains(&b'\\') {
                return Plain::AsItStands(inner);
            }
            let mut out = Zeroizing::new(Vec::with_capacity(inner.len()));
            let mut bytes = inner.iter();
            while let Some(byte) = bytes.next() {
                match (byte, *byte == b'\\') {
                    (_, true) => match bytes.next() {
                        Some(b'n') => out.push(b'\n'),
                        Some(b't') => out.push(b'\t'),
                        Some(b'r') => out.push(b'\r'),
                        Some(other) => out.push(*other),
                        None => {}
                    },
                    (byte, false) => out.push(*byte),
                }
            }
            Plain::Decoded(out)
        }
        _ => {
            let comment = value
                .windows(2)
                .position(|pair| matches!(pair, [b' ' | b'\t', b'#']));
            Plain::AsItStands(comment.map_or(value, |at| value[..at].trim_ascii_end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        scalars(text.as_bytes(), |entry| {
            let keys: Vec<_> = entry
                .keys
                .iter()
                .map(|k| String::from_utf8_lossy(k))
                .collect();
            let value = String::from_utf8_lossy(entry.value);
            found.push(format!("{} {}={value}", entry.element, keys.join(".")));
        });
        found
    }

    #[test]
    fn a_kubeconfig() {
        let text = "apiVersion: v1\nusers:\n- name: admin # me\n  user:\n    token: \"t:k#1\"\n- name: 'two'\n  user:\n    client-key-data: TEtL\n    exec:\n      args:\n      - a\n      - b: c\ncurrent-context: x\n";
        assert_eq!(
            read(text),
            [
                "0 apiVersion=v1",
                "1 users..name=admin",
                "1 users..user.token=t:k#1",
                "2 users..name=two",
                "2 users..user.client-key-data=TEtL",
                "2 users..user.exec.args.=a",
                "2 users..user.exec.args..b=c",
                "0 current-context=x",
            ]
        );
    }

    #[test]
    fn what_else_tools_write() {
        let text = "---\n:rubygems_api_key: rubygems_1\ngithub.com:\n  - user: a\n    oauth_token: b\n\"//r.test\":\n    token: \"a\\\"b\\n\"\nkey: |\n  line 1\n\n  line 2\nlast: !vault |\n  $ANSIBLE\nempty:\nend: \n";
        assert_eq!(
            read(text),
            [
                "0 :rubygems_api_key=rubygems_1",
                "1 github.com..user=a",
                "1 github.com..oauth_token=b",
                "0 //r.test.token=a\"b\n",
                "0 key=line 1\n\n  line 2",
                "0 last=!vault |",
            ]
        );
        assert_eq!(read("{\"a\": {\"b\": \"c\"}}"), ["0 a.b=c"]);
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in [
            "-",
            "- - - x: y",
            ":",
            "\"",
            "a: \"b\\",
            "a: |",
            &"- ".repeat(9999),
            "\t: x",
            "'a': 'b'c'",
        ] {
            let _ = read(text);
        }
        assert_eq!(read("- - x: y"), ["1 ..x=y"]);
    }
}
