//! The regular expressions of sudo's scanner, each as a function.
//!
//! A function returns how many bytes of the front of `s` its pattern can take at most, as the
//! longest match of a scanner generator would; 0 is no match. Every text ends in a newline.

/// Space or tab.
pub(super) fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// A run of blanks.
pub(super) fn blanks(s: &[u8]) -> usize {
    s.iter().take_while(|c| is_blank(**c)).count()
}

fn run(s: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    s.iter().take_while(|c| accept(**c)).count()
}

/// `literal`, or nothing.
pub(super) fn literal(s: &[u8], literal: &[u8]) -> usize {
    if s.starts_with(literal) {
        literal.len()
    } else {
        0
    }
}

/// `!` and more of it.
pub(super) fn bangs(s: &[u8]) -> usize {
    run(s, |c| c == b'!')
}

/// A newline, with the carriage return before it.
pub(super) fn newline(s: &[u8]) -> usize {
    literal(s, b"\r\n").max(literal(s, b"\n"))
}

/// A backslash, blanks, and the newline it hides.
pub(super) fn continuation(s: &[u8]) -> usize {
    if s.first() != Some(&b'\\') {
        return 0;
    }
    let end = 1 + blanks(&s[1..]);
    match newline(&s[end..]) {
        0 => 0,
        n => end + n,
    }
}

/// The same inside quotes, where the indentation of the next line goes as well.
pub(super) fn continuation_in_quotes(s: &[u8]) -> usize {
    match continuation(s) {
        0 => 0,
        n => n + blanks(&s[n..]),
    }
}

/// Units of a plain byte or a backslash and one more byte, as long as they are accepted.
fn units(s: &[u8], plain: impl Fn(u8) -> bool, escaped: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(&c) = s.get(at) {
        if plain(c) {
            at += 1;
        } else if c == b'\\' && s.get(at + 1).is_some_and(|next| escaped(*next)) {
            at += 2;
        } else {
            break;
        }
    }
    at
}

/// A user, group or host.
pub(super) fn word(s: &[u8]) -> usize {
    units(
        s,
        |c| {
            !matches!(
                c,
                b'#' | b'>'
                    | b'!'
                    | b'='
                    | b':'
                    | b','
                    | b'('
                    | b')'
                    | b' '
                    | b'\t'
                    | b'\r'
                    | b'\n'
                    | b'\\'
                    | b'"'
            )
        },
        |c| c != b'\t' && c != b'\n',
    )
}

/// `#` and a number.
pub(super) fn id(s: &[u8]) -> usize {
    if s.first() != Some(&b'#') {
        return 0;
    }
    let sign = 1 + literal(&s[1..], b"-");
    match run(&s[sign..], |c| c.is_ascii_digit()) {
        0 => 0,
        n => sign + n,
    }
}

/// A path.
pub(super) fn path(s: &[u8]) -> usize {
    if s.first() != Some(&b'/') {
        return 0;
    }
    let n = units(
        &s[1..],
        |c| {
            !matches!(
                c,
                b',' | b':' | b'=' | b'\\' | b' ' | b'\t' | b'\r' | b'\n' | b'#'
            )
        },
        |c| matches!(c, b',' | b':' | b'=' | b' ' | b'\t' | b'#'),
    );
    if n == 0 { 0 } else { 1 + n }
}

/// `^`, anything, `$`. A dollar or a hash goes on when a backslash stands before it.
pub(super) fn regex(s: &[u8]) -> usize {
    if s.first() != Some(&b'^') {
        return 0;
    }
    let mut longest = 0;
    let mut escaped = false;
    for (at, &c) in s.iter().enumerate().skip(1) {
        match c {
            b'\r' | b'\n' => break,
            b'$' => {
                longest = at + 1;
                if !escaped {
                    break;
                }
            }
            b'#' if !escaped => break,
            _ => {}
        }
        escaped = c == b'\\';
    }
    longest
}

/// The value of a setting.
pub(super) fn value(s: &[u8]) -> usize {
    let first = units(
        &s[..s.len().min(2)],
        |c| {
            !matches!(
                c,
                b'#' | b'!' | b'=' | b',' | b' ' | b'\t' | b'\r' | b'\n' | b'\\' | b'"'
            )
        },
        |c| c != b'\r' && c != b'\n',
    );
    if first == 0 {
        return 0;
    }
    units(
        s,
        |c| {
            !matches!(
                c,
                b'#' | b'=' | b',' | b' ' | b'\t' | b'\r' | b'\n' | b'\\' | b'"'
            )
        },
        |c| c != b'\r' && c != b'\n',
    )
}

/// The name of a setting.
pub(super) fn setting(s: &[u8]) -> usize {
    run(s, |c| c.is_ascii_lowercase() || c == b'_')
}

/// An upper-case name.
pub(super) fn alias(s: &[u8]) -> usize {
    if !s.first().is_some_and(u8::is_ascii_uppercase) {
        return 0;
    }
    run(s, |c| {
        c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_'
    })
}

/// A tag and its colon, blanks between them allowed.
pub(super) fn tag(s: &[u8], name: &[u8]) -> usize {
    match literal(s, name) {
        0 => 0,
        n => {
            let colon = n + blanks(&s[n..]);
            if s.get(colon) == Some(&b':') {
                colon + 1
            } else {
                0
            }
        }
    }
}

/// A comment up to and with its newline. `#` before a number is an id and matches alone.
pub(super) fn comment(s: &[u8]) -> usize {
    if s.first() != Some(&b'#') {
        return 0;
    }
    let line = run(s, |c| c != b'\n');
    let starts_text = match (s.get(1), s.get(2)) {
        (Some(b'-'), Some(c)) => !matches!(c, b'\r' | b'\n' | b'0'..=b'9'),
        (Some(c), _) => !matches!(c, b'\r' | b'\n' | b'-' | b'0'..=b'9'),
        (None, _) => false,
    };
    if starts_text {
        line + literal(&s[line..], b"\n")
    } else {
        1 + newline(&s[1..])
    }
}

/// `#include` or `#includedir`, blanks, and the rest of the line.
pub(super) fn hash_include(s: &[u8], keyword: &[u8]) -> usize {
    let n = literal(s, keyword);
    if n == 0 || blanks(&s[n..]) == 0 {
        return 0;
    }
    let line = run(s, |c| c != b'\n');
    line + literal(&s[line..], b"\n")
}

/// `Defaults` at the start of a line, with what it is bound to if that is there.
pub(super) fn defaults(s: &[u8]) -> usize {
    let blank = blanks(s);
    let bare = match literal(&s[blank..], b"Defaults") {
        0 => return 0,
        n => blank + n,
    };
    if !s
        .get(bare)
        .is_some_and(|c| matches!(c, b':' | b'@' | b'>' | b'!'))
    {
        return bare;
    }
    let mut at = bare + 1;
    at += blanks(&s[at..]);
    at += bangs(&s[at..]);
    at += literal(&s[at..], b"\"");
    match id(&s[at..]).max(word(&s[at..])) {
        0 => bare,
        n => at + n,
    }
}

/// `User_Alias` and its like at the start of a line.
pub(super) fn alias_keyword(s: &[u8]) -> usize {
    let blank = blanks(s);
    for kind in [&b"Host"[..], b"Cmnd", b"Cmd", b"User", b"Runas"] {
        let n = literal(&s[blank..], kind);
        if n != 0 {
            return match literal(&s[blank + n..], b"_Alias") {
                0 => 0,
                m => blank + n + m,
            };
        }
    }
    0
}

/// A path after an include, where a blank goes on when a backslash stands before it.
pub(super) fn include_path(s: &[u8]) -> usize {
    let space = |c: u8| matches!(c, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    if s.first().is_none_or(|c| *c == b'"' || space(*c)) {
        return 0;
    }
    let mut at = 1;
    while let Some(&c) = s.get(at) {
        let goes_on = !space(c) || (is_blank(c) && at >= 2 && s[at - 1] == b'\\');
        if !goes_on {
            break;
        }
        at += 1;
    }
    at
}

/// Hexadecimal digits.
pub(super) fn hex(s: &[u8]) -> usize {
    run(s, |c| c.is_ascii_hexdigit())
}

/// Base64.
pub(super) fn base64(s: &[u8]) -> usize {
    run(s, |c| {
        c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_paths() {
        assert_eq!(word(b"al\\ ice,"), 7);
        assert_eq!(word(b"al\\\tice"), 2);
        assert_eq!(path(b"/bin/l\\,s,"), 9);
        assert_eq!(path(b"/bin/l\\as,"), 6);
        assert_eq!(path(b"/ "), 0);
        assert_eq!(comment(b"#123\n"), 1);
        assert_eq!(comment(b"#-x\n"), 4);
        assert_eq!(comment(b"#\r\n"), 3);
        assert_eq!(regex(b"^/bin/\\$x$ y$\n"), 10);
        assert_eq!(defaults(b"  Defaults:!alice x"), 17);
        assert_eq!(defaults(b"Defaults: "), 8);
        assert_eq!(include_path(b"a\\ b c"), 4);
    }
}
