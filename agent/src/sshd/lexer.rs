//! The words of a configuration line, in both of OpenSSH's ways.
//!
//! Up to 8.6 every word came from `strdelim`, which also splits at one `=`; from 8.7 on the words after the keyword
//! come from `argv_split`, which quotes much like a shell (both in misc.c).

/// What `strchr(WHITESPACE …)` of servconf.c takes for blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Quotes do not balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// The lines of a file as `load_server_config` and `getline` see them: number (from 1) and bytes without the line
/// feed. A NUL ends a line's text and swallows its line feed, as C strings do.
pub fn logical_lines(bytes: &[u8], comments_end_anywhere: bool) -> Vec<(u32, Vec<u8>)> {
    let mut lines: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut joined = false;
    for (number, raw) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        let nul = raw.iter().position(|b| *b == 0);
        let mut text = &raw[..nul.unwrap_or(raw.len())];
        let mut ends_line = text.ends_with(b"\n");
        text = text.strip_suffix(b"\n").unwrap_or(text);
        if comments_end_anywhere && let Some(hash) = text.iter().position(|b| *b == b'#') {
            (text, ends_line) = (&text[..hash], true);
        }
        let start = text
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t' | b'\r'))
            .unwrap_or(text.len());
        match lines.last_mut() {
            Some((_, last)) if joined => last.extend_from_slice(&text[start..]),
            _ => lines.push((number, text[start..].to_vec())),
        }
        joined = !ends_line;
    }
    lines
}

/// Without blanks and form feeds at its end; the first byte always stays.
pub fn trim_end(line: &[u8]) -> &[u8] {
    let mut len = line.len();
    while len > 1 && (is_blank(line[len - 1]) || line[len - 1] == 0x0c) {
        len -= 1;
    }
    &line[..len]
}

/// Without blanks at its start.
pub fn trim_start(text: &[u8]) -> &[u8] {
    &text[text
        .iter()
        .position(|b| !is_blank(*b))
        .unwrap_or(text.len())..]
}

/// `strdelim` of misc.c: words are cut off one after the other.
#[derive(Debug, Clone)]
pub struct Delimited<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Delimited<'a> {
    /// Begins at the start of a text.
    pub const fn new(text: &'a [u8]) -> Self {
        Self { rest: Some(text) }
    }

    /// What has not been cut off yet; `None` behind the last word.
    pub const fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }

    /// The next word; it may be empty. `None` at the end, and where a quote is never closed.
    pub fn word(&mut self) -> Option<Vec<u8>> {
        let text = self.rest?;
        let Some(at) = text
            .iter()
            .position(|b| is_blank(*b) || matches!(b, b'"' | b'='))
        else {
            self.rest = None;
            return Some(text.to_vec());
        };
        if text[at] == b'"' {
            let Some(length) = text[at + 1..].iter().position(|b| *b == b'"') else {
                self.rest = None;
                return None;
            };
            let close = at + 1 + length;
            self.rest = Some(trim_start(&text[close + 1..]));
            return Some([&text[..at], &text[at + 1..close]].concat());
        }
        let mut rest = trim_start(&text[at + 1..]);
        if text[at] != b'=' && rest.first() == Some(&b'=') {
            rest = trim_start(&rest[1..]);
        }
        self.rest = Some(rest);
        Some(text[..at].to_vec())
    }

    /// All words that are left.
    pub fn words(mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.word()).collect()
    }
}

/// `argv_split(…, terminate_on_comment = 1)` of misc.c.
pub fn argv_split(text: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(first) = bytes.peek().copied() {
        match first {
            b' ' | b'\t' => {
                bytes.next();
            }
            b'#' => break,
            _ => words.push(argv_word(&mut bytes)?),
        }
    }
    Ok(words)
}

fn argv_word(
    bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
) -> Result<Vec<u8>, UnbalancedQuotes> {
    let mut word = Vec::new();
    let mut quote = None;
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => match bytes.peek() {
                Some(&next)
                    if matches!(next, b'\'' | b'"' | b'\\')
                        || (quote.is_none() && next == b' ') =>
                {
                    word.push(next);
                    bytes.next();
                }
                _ => word.push(b'\\'),
            },
            (b' ' | b'\t', None) => return Ok(word),
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (byte, _) => word.push(byte),
        }
    }
    if quote.is_some() {
        Err(UnbalancedQuotes)
    } else {
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: Vec<Vec<u8>>) -> Vec<String> {
        words
            .into_iter()
            .map(|w| String::from_utf8(w).unwrap())
            .collect()
    }

    #[test]
    fn strdelim_words() {
        for (line, words) in [
            ("a b  c", vec!["a", "b", "c"]),
            ("a = b", vec!["a", "b"]),
            ("a=b=c", vec!["a", "b", "c"]),
            ("a==b", vec!["a", "", "b"]),
            ("a \"b c\" d", vec!["a", "b c", "d"]),
            ("a x\"b c\"y d", vec!["a", "xb c", "y", "d"]),
            ("a \"b", vec!["a"]),
            ("a #b", vec!["a", "#b"]),
            ("", vec![""]),
            ("a ", vec!["a", ""]),
        ] {
            assert_eq!(
                text(Delimited::new(line.as_bytes()).words()),
                words,
                "{line}"
            );
        }
    }

    #[test]
    fn argv_words() {
        for (line, words) in [
            ("a b  c\t", vec!["a", "b", "c"]),
            ("a # b", vec!["a"]),
            ("a#b", vec!["a#b"]),
            ("\"a b\" 'c d'", vec!["a b", "c d"]),
            ("x\"a b\"y", vec!["xa by"]),
            (
                r#"a\ b "c\"d" 'e\'f' g\h"#,
                vec!["a b", "c\"d", "e'f", "g\\h"],
            ),
            ("\"\" a", vec!["", "a"]),
            ("a=b", vec!["a=b"]),
            ("", vec![]),
        ] {
            assert_eq!(text(argv_split(line.as_bytes()).unwrap()), words, "{line}");
        }
        assert_eq!(argv_split(b"a \"b"), Err(UnbalancedQuotes));
        assert_eq!(argv_split(b"it's"), Err(UnbalancedQuotes));
    }

    #[test]
    fn lines_as_c_reads_them() {
        let bytes = b"  a b\r\n#c\n\nd\0e\nf\nlast";
        let line = |n: u32, t: &str| (n, t.as_bytes().to_vec());
        assert_eq!(
            logical_lines(bytes, false),
            [
                line(1, "a b\r"),
                line(2, "#c"),
                line(3, ""),
                line(4, "df"),
                line(6, "last")
            ]
        );
        assert_eq!(
            logical_lines(b"a # b\nc", true),
            [line(1, "a "), line(2, "c")]
        );
        assert_eq!(trim_end(b"a \x0c\r "), b"a");
    }
}
