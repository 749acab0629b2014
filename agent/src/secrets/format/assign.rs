//! Assignments: `NAME=value` as shells, dotenv files and systemd's environment files have them.

use super::ini::{Trailing, lines, unquoted};

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file of assignments and nothing else: the line is the value.
    Env,
    /// A script: `export`, `setenv`, fish's `set -x`, and what follows on the line.
    Shell,
}

/// The assignments of a file, names and values as they stand between quotes.
pub fn assignments(text: &[u8], dialect: Dialect) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(text).filter_map(move |line| {
        let line = line.trim_ascii();
        if matches!(line.first(), None | Some(b'#' | b';')) {
            return None;
        }
        match dialect {
            Dialect::Env => {
                let line = line
                    .strip_prefix(b"export ")
                    .unwrap_or(line)
                    .trim_ascii_start();
                let (name, value) = split(line)?;
                let value = value.trim_ascii();
                Some((name, unquoted(value, Trailing::Comment)))
            }
            Dialect::Shell => shell(line),
        }
    })
}

fn shell(line: &[u8]) -> Option<(&[u8], &[u8])> {
    for word in [&b"set "[..], b"setenv "] {
        if let Some(rest) = line.strip_prefix(word) {
            let mut rest = rest.trim_ascii_start();
            while rest.first() == Some(&b'-') {
                rest = rest[rest.iter().position(|b| *b == b' ')?..].trim_ascii_start();
            }
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            let name = &rest[..end];
            return is_name(name).then(|| (name, word_of(rest[end..].trim_ascii())));
        }
    }
    let mut rest = line;
    for word in [
        &b"export "[..],
        b"declare -x ",
        b"typeset -x ",
        b"readonly ",
        b"local ",
    ] {
        rest = rest.strip_prefix(word).unwrap_or(rest).trim_ascii_start();
    }
    // In a shell nothing may stand around the sign.
    let (name, value) = split(rest)?;
    Some((name, word_of(value)))
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|b| *b == b'=')?;
    let name = line[..equals].trim_ascii_end();
    is_name(name).then(|| (name, &line[equals + 1..]))
}

/// The first word of a shell's line.
fn word_of(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let end = text[1..].iter().position(|b| b == quote);
            end.map_or(text, |end| &text[1..=end])
        }
        Some(b'$') if text.get(1) == Some(&b'(') => text,
        Some(b'`') => text,
        _ => {
            let end = text
                .iter()
                .position(|b| b.is_ascii_whitespace() || b";&|<>".contains(b));
            &text[..end.unwrap_or(text.len())]
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, dialect: Dialect) -> Vec<String> {
        assignments(text.as_bytes(), dialect)
            .map(|(name, value)| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                )
            })
            .collect()
    }

    #[test]
    fn environment_files() {
        let text = "A=b c\r\n# X=y\nexport D = \"e f\" # g\nH='i#j'\nK=l#m\nN=Server=x;Password=y\nno line\n=z\nO=\n";
        assert_eq!(
            read(text, Dialect::Env),
            [
                "A=b c",
                "D=e f",
                "H=i#j",
                "K=l#m",
                "N=Server=x;Password=y",
                "O="
            ]
        );
    }

    #[test]
    fn shells() {
        let text = "export A=b; echo\nif [ x = y ]; then\nB='c d' cmd\nC=$(pass show x)\nset -gx D e\nsetenv F \"g h\"\n  export G=`cat x`\ndeclare -x H=i&\n";
        assert_eq!(
            read(text, Dialect::Shell),
            [
                "A=b",
                "B=c d",
                "C=$(pass show x)",
                "D=e",
                "F=g h",
                "G=`cat x`",
                "H=i"
            ]
        );
    }
}
