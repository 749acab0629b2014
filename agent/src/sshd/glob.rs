//! glob(3) as `Include` uses it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::include::{ConfigError, ConfigFiles, ReadProblem};

/// Names of one directory that a pattern is compared with.
const DIRECTORY_NAMES_MAX: usize = 65_536;

/// The files that a pattern matches: sorted, hidden names only where the pattern names the dot, and a pattern without
/// wildcards matches what exists. sshd sets no flags, so `~` is a name like any other.
pub(super) fn glob(files: &dyn ConfigFiles, selector: &[u8]) -> Result<Vec<PathBuf>, ConfigError> {
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

/// fnmatch(3) for one path component in the C locale: `*`, `?`, `[…]` with ranges, `[!…]`, `\`.
fn fnmatch(name: &[u8], pattern: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        b'*' => {
            let rest = &pattern[pattern
                .iter()
                .position(|b| *b != b'*')
                .unwrap_or(pattern.len())..];
            (0..=name.len()).any(|at| fnmatch(&name[at..], rest))
        }
        b'?' => !name.is_empty() && fnmatch(&name[1..], rest),
        b'[' => match bracket(rest) {
            Some((set, negated, length)) => {
                let Some((byte, name)) = name.split_first() else {
                    return false;
                };
                set.iter().any(|(low, high)| (low..=high).contains(&byte)) != negated
                    && fnmatch(name, &rest[length..])
            }
            None => name.first() == Some(&b'[') && fnmatch(&name[1..], rest),
        },
        b'\\' if !rest.is_empty() => {
            name.first() == rest.first() && fnmatch(&name[1..], &rest[1..])
        }
        byte => name.first() == Some(&byte) && fnmatch(&name[1..], rest),
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
        ] {
            assert_eq!(
                fnmatch(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }
}
