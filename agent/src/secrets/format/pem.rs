//! Textual encoding of keys (RFC 7468, RFC 1421 headers): blocks between `-----BEGIN X-----` and
//! `-----END X-----`, with anything around them.

use zeroize::Zeroizing;

use super::base64;

/// Blocks beyond these are not looked at.
const BLOCKS_MAX: usize = 256;

/// One block.
#[derive(Clone, Copy)]
pub struct Block<'f> {
    /// What stands between `BEGIN` and the dashes: `RSA PRIVATE KEY`.
    pub label: &'f [u8],
    /// Between the two lines: headers and base64.
    text: &'f [u8],
    /// There is an `END` line of the same label.
    pub ended: bool,
}

impl<'f> Block<'f> {
    /// The lines `Name: value` before the base64.
    pub fn header(&self, name: &[u8]) -> Option<&'f [u8]> {
        self.headers()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn headers(&self) -> impl Iterator<Item = (&'f [u8], &'f [u8])> {
        let lines = self.text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
        lines.skip_while(|line| line.is_empty()).map_while(|line| {
            let colon = line.iter().position(|b| *b == b':')?;
            Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
        })
    }

    /// The decoded bytes; `None` where they are not base64.
    pub fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        base64::decode(self.base64())
    }

    /// What is left behind the headers. A checksum line of OpenPGP's armour (`=abcd`) is no part
    /// of it.
    pub fn base64(&self) -> &'f [u8] {
        let mut text = self.text;
        let mut headers = false;
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line = text[..end].trim_ascii();
            let is_header = line.contains(&b':');
            // A long header goes on in lines that begin with a blank (RFC 1421 section 4.6).
            let goes_on = headers && text.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
            if !(line.is_empty() || is_header || goes_on) {
                break;
            }
            headers |= is_header;
            text = &text[end + 1..];
        }
        let checksum = text.windows(2).rposition(|pair| pair == b"\n=");
        match checksum {
            Some(at) if text.len() - at <= 8 => &text[..at],
            _ => text,
        }
    }
}

/// The blocks of a text, in order.
pub fn blocks(text: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = find(rest, b"-----BEGIN ")?;
        let after = &rest[begin + 11..];
        let line = after
            .iter()
            .position(|b| *b == b'\n')
            .unwrap_or(after.len());
        let Some(label_end) = find(&after[..line], b"-----") else {
            rest = after;
            return Some(None);
        };
        let (label, body) = (&after[..label_end], &after[label_end + 5..]);
        // The next dashes are this block's end, or it has none.
        let end = find(body, b"-----");
        let ended = end.is_some_and(|end| {
            let closing = &body[end + 5..];
            closing.strip_prefix(b"END ").is_some_and(|rest| {
                rest.strip_prefix(label)
                    .is_some_and(|rest| rest.starts_with(b"-----"))
            })
        });
        let text = &body[..end.unwrap_or(body.len())];
        rest = match (end, ended) {
            (Some(end), true) => &body[end + 5 + 4 + label.len() + 5..],
            (Some(end), false) => &body[end..],
            (None, _) => &[],
        };
        Some(Some(Block { label, text, ended }))
    })
    .take(BLOCKS_MAX)
    .flatten()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_anything_around_them() {
        let text = b"Bag Attributes\r\n-----BEGIN A B-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES,00\r\n\r\nYWJj\r\nZA==\r\n-----END A B-----\r\n-----BEGIN C-----\nYWJj\n-----BEGIN D-----\n\nYWJj\n=abcd\n-----END D-----\n-----BEGIN E";
        let found: Vec<(String, bool, Option<String>)> = blocks(text)
            .map(|block| {
                let label = String::from_utf8_lossy(block.label).into_owned();
                let bytes = block.decode();
                let bytes = bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
                (label, block.ended, bytes)
            })
            .collect();
        let block =
            |label: &str, ended, bytes: &str| (label.to_owned(), ended, Some(bytes.to_owned()));
        assert_eq!(
            found,
            [
                block("A B", true, "abcd"),
                block("C", false, "abc"),
                block("D", true, "abc")
            ]
        );
        let first = blocks(text).next().unwrap();
        assert_eq!(first.header(b"proc-type"), Some(&b"4,ENCRYPTED"[..]));
        assert_eq!(first.header(b"Comment"), None);
    }

    #[test]
    fn what_is_no_base64_is_not_decoded() {
        let text = b"-----BEGIN X-----\nMIIEpAIBAAKCAQEA...\n-----END X-----\n";
        assert!(blocks(text).next().unwrap().decode().is_none());
    }
}
