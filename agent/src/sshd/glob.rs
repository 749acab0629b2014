//! glob(3) as `Include` uses it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::include::{ConfigError, ConfigFiles, ReadProblem};

/// Names of one directory that a pattern is compared with.
const DIRECTORY_NAMES_MAX: usize = 65_536;
/// The longest pattern; a path cannot be longer.
const PATTERN_BYTES_MAX: usize = 4096;

/// The files that a pattern matches: sorted, hidden names only where the pattern names the dot, and a pattern without
/// wildcards matches what exists. sshd sets no flags, so `~` is a name like any other.
pub(super) fn glob(files: &dyn ConfigFiles, selector: &[u8]) -> Result<Vec<PathBuf>, ConfigError> {
    if selector.len() > PATTERN_BYTES_MAX {
        return Err(ConfigError::Unreadable {
            file: PathBuf::from(OsStr::from_bytes(&selector[..PATTERN_BYTES_MAX])),
            problem: ReadProblem::Other("is longer than a path can be".into()),
        });
    }
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for component in selector.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
        let mut next = Vec::new();
        for base in &found {
            if is_wild(component) {
                next.extend(matching_names(files, base, component)?);
            } else {
                next.push([base, b"/".as_slice(), &unescape(component)].concat());
            }
        }
        found = next;
    }
    if !selector.starts_with(b"/") {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for path in found {
        let path = PathBuf::from(OsString::from_vec(path));
        match files.read(&path) {
            Err(ReadProblem::Missing) => {}
            // sshd reads every match, and so do we: what cannot be read is an error there.
            _ => paths.push(path),
        }
    }
    paths.sort();
    Ok(paths)
}

fn matching_names(
    files: &dyn ConfigFiles,
    base: &[u8],
    pattern: &[u8],
) -> Result<Vec<Vec<u8>>, ConfigError> {
    let directory = Path::new(OsStr::from_bytes(if base.is_empty() { b"/" } else { base }));
    let unreadable = |problem| ConfigError::Unreadable {
        file: directory.to_owned(),
        problem,
    };
    let names = match files.list(directory) {
        Ok(names) => names,
        Err(ReadProblem::Missing) => return Ok(Vec::new()),
        Err(problem) => return Err(unreadable(problem)),
    };
    if names.len() > DIRECTORY_NAMES_MAX {
        return Err(unreadable(ReadProblem::Other(format!(
            "more than {DIRECTORY_NAMES_MAX} names"
        ))));
    }
    let mut found: Vec<Vec<u8>> = names
        .iter()
        .map(|name| name.as_bytes())
        .filter(|name| {
            (!name.starts_with(b".") || pattern.starts_with(b".")) && fnmatch(name, pattern)
        })
        .map(|name| [base, b"/", name].concat())
        .collect();
    found.sort();
    Ok(found)
}

fn is_wild(component: &[u8]) -> bool {
    component.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

fn unescape(component: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(component.len());
    let mut bytes = component.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    plain
}

/// fnmatch(3) without flags. A star gives up one byte after the other, and only the last one does: what stars before
/// it have matched need not change for what comes after.
fn fnmatch(name: &[u8], pattern: &[u8]) -> bool {
    let (mut n, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let width = match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(byte)) => one(&pattern[p..], *byte),
            _ => None,
        };
        if let Some(width) = width {
            (p, n) = (p + width, n + 1);
            continue;
        }
        match star {
            Some((at, from)) if from < name.len() => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the front of a pattern, in which there is no star, matches a byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match bracket(rest) {
            Some((set, negated, length)) => {
                let inside = set.iter().any(|(low, high)| (*low..=*high).contains(&byte));
                (inside != negated).then_some(1 + length)
            }
            None => (byte == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => (byte == *escaped).then_some(2),
        [plain, ..] => (byte == *plain).then_some(1),
        [] => None,
    }
}

type Ranges = Vec<(u8, u8)>;

/// The ranges of a bracket expression, whether it is negated, and its length; `None` where it is not closed.
fn bracket(text: &[u8]) -> Option<(Ranges, bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut set = Vec::new();
    loop {
        let low = *text.get(at)?;
        if low == b']' && !set.is_empty() {
            return Some((set, negated, at + 1));
        }
        match (text.get(at + 1), text.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                set.push((low, high));
                at += 3;
            }
            _ => {
                set.push((low, low));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fnmatch;

    #[test]
    fn globs() {
        for (name, pattern, expected) in [
            ("10.conf", "*.conf", true),
            ("10.conf", "[0-9][0-9].conf", true),
            ("10.conf", "[!a-z]?.conf", true),
            ("a]", "a[]]", true),
            ("a[", "a[", true),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
            ("abcab", "*ab", true),
            ("abcabd", "*ab", false),
            ("ab", "*a*b*", true),
            ("", "*", true),
            ("a", "a\\", false),
            // Tried star by star in every way, this takes longer than anybody waits.
            (&"a".repeat(255), &("*a".repeat(40) + "b"), false),
        ] {
            assert_eq!(
                fnmatch(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }
}
