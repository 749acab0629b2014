//! The texts that stand in the product's own tests, as files for its readers.
//!
//! Each reader is tested beside its code, with whole files as string literals: tidy ones, and the
//! ugly ones that somebody thought of. Read out of the sources, none of them can be forgotten, nor
//! any that is added.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The string literals of at least [`BYTES_MIN`] bytes in all sources beneath the directories, each
/// once, in the order of their bytes.
///
/// # Panics
/// When a directory cannot be read, or a source is not UTF-8.
pub fn literals_in(directories: &[&str]) -> BTreeSet<Vec<u8>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for directory in directories {
        for file in sources(&repository.join(directory)) {
            let source = std::fs::read_to_string(&file).expect("sources can be read");
            found.extend(
                literals(&source)
                    .into_iter()
                    .filter(|text| text.len() >= BYTES_MIN),
            );
        }
    }
    found
}

/// Shorter ones are words and not files.
pub const BYTES_MIN: usize = 12;

/// The sources beneath a directory, or the one source that it is.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory of sources").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The values of the string literals in Rust source: plain, raw, and of bytes.
fn literals(source: &str) -> Vec<Vec<u8>> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let step = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some((value, length)) = raw(rest) {
            found.push(value);
            length
        } else if let Some(inside) = rest.strip_prefix('"') {
            let (value, length) = plain(inside);
            found.push(value);
            length + 1
        } else if let Some(length) = character(rest) {
            length
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
    }
    found
}

/// `r"…"`, `r#"…"#`, and so on; a `b` before it is passed by itself.
fn raw(text: &str) -> Option<(Vec<u8>, usize)> {
    let after = text.strip_prefix('r')?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)?;
    let value = inside.as_bytes()[..length].to_vec();
    Some((value, 1 + hashes + 1 + length + end.len()))
}

/// A literal from behind its first quote, and how long it is with the last.
fn plain(text: &str) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, at + 1),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push(b'\n'),
                Some('r') => value.push(b'\r'),
                Some('t') => value.push(b'\t'),
                Some('0') => value.push(0),
                Some('x') => {
                    let hex: String = chars.by_ref().take(2).map(|(_, digit)| digit).collect();
                    value.push(u8::from_str_radix(&hex, 16).expect("two hexadecimal digits"));
                }
                Some('u') => {
                    let hex: String = chars
                        .by_ref()
                        .map(|(_, c)| c)
                        .take_while(|c| *c != '}')
                        .collect();
                    let code = u32::from_str_radix(hex.trim_start_matches('{'), 16);
                    let code = code.ok().and_then(char::from_u32).expect("a character");
                    value.extend_from_slice(code.to_string().as_bytes());
                }
                // The line goes on, and its indentation is no part of it.
                Some('\n') => {
                    let rest = chars.as_str();
                    let blanks = rest.len() - rest.trim_start().len();
                    for _ in rest[..blanks].chars() {
                        chars.next();
                    }
                }
                Some(itself) => value.extend_from_slice(itself.to_string().as_bytes()),
                None => break,
            },
            c => value.extend_from_slice(c.to_string().as_bytes()),
        }
    }
    (value, text.len())
}

/// `'"'` begins no literal of text, and `'a` in a type begins none at all.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let length = match inside.strip_prefix('\\') {
        Some(escaped) => 1 + escaped.chars().next()?.len_utf8() + escaped[1..].find('\'')?,
        None => inside.chars().next()?.len_utf8(),
    };
    inside[length..].starts_with('\'').then_some(1 + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_what_the_compiler_makes_of_them() {
        // A literal of this very file, with everything that can be in one.
        let ugly = "tab\t \"quote\" \\ nul\0 \x7f \u{fc} \
            goes on\r\n";
        let here = literals(include_str!("fixtures.rs"));
        assert!(here.contains(&ugly.as_bytes().to_vec()));
        assert!(here.contains(&br#"raw "with quotes" \n and its hash"#.to_vec()));
        assert!(here.contains(&b"bytes \xff and more".to_vec()));
        let text = "let q = '\"'; let e = '\\''; fn f<'a>(x: &'a str) { g(\"found\") } // \"not\"";
        assert_eq!(literals(text), [b"found".to_vec()]);
    }
}
