//! What `@include` and `@includedir` name.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::files::{DEPTH_MAX, Dialect, ReadProblem};
use super::source::Sources;
use super::tree::{FindingKind, Span};

/// Whether sudo went on into the included file, or sees nothing wrong with there being none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Included {
    Fine,
    Failed,
}

/// Opens the file after `@include`.
pub(super) fn file(sources: &mut Sources<'_>, written: &[u8], host: &[u8], at: Span) -> Included {
    let Some(paths) = expand(sources, written, host) else {
        return Included::Failed;
    };
    if is_too_deep(sources, at) {
        return Included::Failed;
    }
    let mut missing = None;
    for path in paths {
        match sources.open(&path, VecDeque::new()) {
            Ok(()) => return Included::Fine,
            Err((ReadProblem::Missing, _)) => {
                missing.get_or_insert(path);
            }
            Err((problem, _)) => {
                sources.not_included(Some(at), &path, problem);
                return Included::Failed;
            }
        }
    }
    if let Some(path) = missing {
        sources.not_included(Some(at), &path, ReadProblem::Missing);
    }
    Included::Failed
}

/// Opens the files of the directory after `@includedir`: by name, without those whose name has a
/// dot or ends in a tilde. A directory that is missing or unsafe is no error to sudo.
pub(super) fn dir(sources: &mut Sources<'_>, written: &[u8], host: &[u8], at: Span) -> Included {
    let Some(dirs) = expand(sources, written, host) else {
        return Included::Failed;
    };
    if is_too_deep(sources, at) {
        return Included::Failed;
    }
    for dir in dirs {
        let names = match sources.reader().list(&dir) {
            Ok(names) => names,
            Err(ReadProblem::Missing) => continue,
            Err(problem) => {
                sources.not_included(Some(at), &dir, problem);
                return Included::Fine;
            }
        };
        let mut files = in_force(sources, &dir, names, at);
        while let Some(path) = files.pop_front() {
            match sources.open(&path, std::mem::take(&mut files)) {
                Ok(()) => return Included::Fine,
                Err((problem, rest)) => {
                    files = rest;
                    sources.not_included(Some(at), &path, problem);
                }
            }
        }
        return Included::Fine;
    }
    Included::Fine
}

fn is_too_deep(sources: &mut Sources<'_>, at: Span) -> bool {
    let deep = sources.depth() > DEPTH_MAX;
    if deep {
        sources.finding(Some(at), FindingKind::TooDeep);
    }
    deep
}

fn in_force(
    sources: &mut Sources<'_>,
    dir: &Path,
    mut names: Vec<OsString>,
    at: Span,
) -> VecDeque<PathBuf> {
    names.sort_unstable();
    let mut files = VecDeque::new();
    for name in names {
        // As sudo joins them, slash by slash: its messages and ours name the same path.
        let path = PathBuf::from(OsString::from_vec(
            [dir.as_os_str().as_bytes(), b"/", name.as_bytes()].concat(),
        ));
        match name.as_bytes() {
            [] | [b'.', ..] => {}
            [.., b'~'] => sources.finding(Some(at), FindingKind::NameIgnored { path }),
            bytes if bytes.contains(&b'.') => {
                sources.finding(Some(at), FindingKind::NameIgnored { path });
            }
            _ => files.push_back(path),
        }
    }
    files
}

/// The paths to try, in order: `%h` is the short host name, a relative path lies beside the
/// including file. `None` for a path that is empty.
fn expand(sources: &Sources<'_>, written: &[u8], host: &[u8]) -> Option<Vec<PathBuf>> {
    let bare = match written {
        [b'"', inside @ .., b'"'] => inside,
        plain => plain,
    };
    if bare.is_empty() {
        return None;
    }
    let search = sources.dialect.includes_are_search_paths();
    let mut path = Vec::new();
    if bare[0] != b'/' {
        let current = sources.current_path().as_os_str().as_bytes();
        let dir = current
            .iter()
            .rposition(|c| *c == b'/')
            .map_or(0, |slash| slash + 1);
        path.extend_from_slice(&current[..dir]);
    }
    let mut rest = bare;
    while let Some((&c, after)) = rest.split_first() {
        if c == b'%' && after.first() == Some(&b'h') {
            path.extend(host_in_path(host, sources.dialect));
            rest = &after[1..];
        } else {
            path.push(c);
            rest = after;
        }
    }
    let as_path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    Some(if search {
        path.split(|c| *c == b':')
            .filter(|part| !part.is_empty())
            .map(as_path)
            .collect()
    } else {
        vec![as_path(&path)]
    })
}

fn host_in_path(host: &[u8], dialect: Dialect) -> Vec<u8> {
    let replace = dialect.includes_are_search_paths();
    host.iter()
        .map(|c| if *c == b'/' && replace { b'_' } else { *c })
        .collect()
}
