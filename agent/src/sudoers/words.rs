//! Words with their escapes undone.

/// A word or a piece of a quoted string: `\xHH` is that byte, `\c` is `c`, a last backslash stands.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        at += 1;
        if c != b'\\' || at == text.len() {
            out.push(c);
        } else if let Some(byte) = hex_escape(&text[at..]) {
            out.push(byte);
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    // sudo's words are C strings.
    if let Some(nul) = out.iter().position(|c| *c == 0) {
        out.truncate(nul);
    }
    out
}

fn hex_escape(after_backslash: &[u8]) -> Option<u8> {
    let [b'x', high, low, ..] = after_backslash else {
        return None;
    };
    let digit = |c: &u8| char::from(*c).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// A command's path: only escapes of sudo's own separators are undone, those of wildcards stand. A
/// path whose last part is `sudoedit` is the word `sudoedit`.
pub(super) fn command_path(text: &[u8]) -> Vec<u8> {
    if text.first() == Some(&b'^') {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(c) = bytes.next() {
        match bytes.peek() {
            Some(&next) if c == b'\\' && is_separator(next) => {
                out.push(next);
                bytes.next();
            }
            _ => out.push(c),
        }
    }
    if out.ends_with(b"/sudoedit") {
        b"sudoedit".to_vec()
    } else {
        out
    }
}

/// Bytes that separate the parts of a rule.
pub(super) fn is_separator(c: u8) -> bool {
    matches!(c, b',' | b':' | b'=' | b' ' | b'\t' | b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"al\\ ice"), b"al ice");
        assert_eq!(unescape(b"\\x41b\\x4"), b"Abx4");
        assert_eq!(unescape(b"a\\"), b"a\\");
        assert_eq!(unescape(b"a\\x00b"), b"a");
        assert_eq!(command_path(b"/bin/a\\,b\\*"), b"/bin/a,b\\*");
        assert_eq!(command_path(b"/usr/bin/sudoedit"), b"sudoedit");
        assert_eq!(command_path(b"^/bin/a\\,b$"), b"^/bin/a\\,b$");
    }
}
