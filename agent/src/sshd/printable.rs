//! Bytes of a host as text for people.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes as text that is safe to print and loses nothing: what is not printable UTF-8, and the backslash itself, is
/// escaped (`\xff`, `\n`, `\\`).
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || is_invisible(c) => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// [`printable`] for a path.
pub fn printable_path(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

/// Characters that change how their neighbours are shown: bidirectional controls, zero-width marks, line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_could_fool_a_terminal_is_escaped() {
        assert_eq!(printable(b"/home/a b"), "/home/a b");
        assert_eq!(printable("/home/ünï".as_bytes()), "/home/ünï");
        assert_eq!(printable(b"a\xffb\x1b[2J\n\\"), "a\\xffb\\u{1b}[2J\\n\\\\");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
