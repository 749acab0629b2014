//! fnmatch(3), as far as sudo uses it.

/// How a pattern is compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    /// `*`, `?` and brackets do not match a slash (FNM_PATHNAME).
    pub(super) pathname: bool,
    /// Case does not count (FNM_CASEFOLD).
    pub(super) casefold: bool,
}

/// Holds a character that makes a text a pattern.
pub(super) fn has_meta(text: &[u8]) -> bool {
    text.iter()
        .any(|c| matches!(c, b'\\' | b'?' | b'*' | b'[' | b']'))
}

/// Whether `text` matches `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8], rules: Rules) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and the text it gave up so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(_) => text.get(t).and_then(|c| one(&pattern[p..], *c, rules)),
        };
        if let Some(width) = step {
            p += width;
            t += 1;
            continue;
        }
        match star {
            Some((at, taken))
                if text
                    .get(taken)
                    .is_some_and(|c| !(rules.pathname && *c == b'/')) =>
            {
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
            _ => return false,
        }
    }
}

/// How much of the pattern's front matches exactly one character, if it does.
fn one(pattern: &[u8], c: u8, rules: Rules) -> Option<usize> {
    let is_slash = rules.pathname && c == b'/';
    match pattern {
        [b'?', ..] => (!is_slash).then_some(1),
        [b'[', ..] => match bracket(pattern, c, rules) {
            Some((width, inside)) => (inside && !is_slash).then_some(width),
            None => same(b'[', c, rules).then_some(1),
        },
        [b'\\', escaped, ..] => same(*escaped, c, rules).then_some(2),
        [plain, ..] => same(*plain, c, rules).then_some(1),
        [] => None,
    }
}

fn same(a: u8, b: u8, rules: Rules) -> bool {
    a == b || (rules.casefold && a.eq_ignore_ascii_case(&b))
}

/// Width of a bracket expression and whether `c` is in it; `None` for one that is never closed.
fn bracket(pattern: &[u8], c: u8, rules: Rules) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let mut at = if negated { 2 } else { 1 };
    let first = at;
    let mut inside = false;
    loop {
        match *pattern.get(at)? {
            b']' if at > first => return Some((at + 1, inside != negated)),
            b'/' if rules.pathname => return None,
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let name = &pattern[at + 2..];
                let end = name.windows(2).position(|pair| pair == b":]")?;
                inside |= class(&name[..end], c);
                at += end + 4;
            }
            _ => {
                let (low, width) = literal(&pattern[at..])?;
                at += width;
                let mut high = low;
                if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|c| *c != b']')
                {
                    let (end, width) = literal(&pattern[at + 1..])?;
                    high = end;
                    at += 1 + width;
                }
                let fits = |c: u8| (low..=high).contains(&c);
                inside |= fits(c)
                    || (rules.casefold
                        && (fits(c.to_ascii_lowercase()) || fits(c.to_ascii_uppercase())));
            }
        }
    }
}

fn literal(pattern: &[u8]) -> Option<(u8, usize)> {
    match pattern {
        [b'\\', c, ..] => Some((*c, 2)),
        [c, ..] => Some((*c, 1)),
        [] => None,
    }
}

fn class(name: &[u8], c: u8) -> bool {
    match name {
        b"alpha" => c.is_ascii_alphabetic(),
        b"digit" => c.is_ascii_digit(),
        b"alnum" => c.is_ascii_alphanumeric(),
        b"upper" => c.is_ascii_uppercase(),
        b"lower" => c.is_ascii_lowercase(),
        b"space" => c.is_ascii_whitespace() || c == 0x0b,
        b"blank" => c == b' ' || c == b'\t',
        b"punct" => c.is_ascii_punctuation(),
        b"print" => (0x20..0x7f).contains(&c),
        b"graph" => c.is_ascii_graphic(),
        b"cntrl" => c.is_ascii_control(),
        b"xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let path = Rules {
            pathname: true,
            ..Rules::default()
        };
        for (pattern, text, rules, expected) in [
            ("/bin/*", "/bin/ls", path, true),
            ("/bin/*", "/bin/a/b", path, false),
            ("/bin/*", "/bin/a/b", Rules::default(), true),
            ("/*/ls", "/usr/bin/ls", path, false),
            ("/u*r/*n/l?", "/usr/bin/ls", path, true),
            ("[!r]*", "root", Rules::default(), false),
            ("[^r]*", "alice", Rules::default(), true),
            ("[a-c]x[[:digit:]]", "bx7", Rules::default(), true),
            ("[]]", "]", Rules::default(), true),
            ("a\\*", "a*", Rules::default(), true),
            ("a\\*", "ab", Rules::default(), false),
            ("a[b", "a[b", Rules::default(), true),
            (
                "WEB*",
                "web01",
                Rules {
                    casefold: true,
                    ..Rules::default()
                },
                true,
            ),
            ("*a*b*c", "xxaxxbxxc", Rules::default(), true),
            ("", "", Rules::default(), true),
            ("*", "", Rules::default(), true),
        ] {
            let got = matches(pattern.as_bytes(), text.as_bytes(), rules);
            assert_eq!(got, expected, "{pattern} {text}");
        }
    }
}
