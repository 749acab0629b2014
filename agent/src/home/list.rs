//! A directory's names.

use std::os::unix::ffi::OsStringExt;

use super::message::{Entry, FileFacts, List, Listing};
use super::read::failed;
use super::walk::Walk;
use super::why::{Step, Why};
use crate::sys::fs;
use crate::sys::{Errno, errno};

/// Lists a directory with the rights this process has now.
pub(super) fn list(walk: &Walk<'_>, request: &List) -> Result<Listing, Why> {
    let dir = walk.open_directory(&request.path)?;
    // `names` consumes its descriptor; the entries are looked at through this one.
    let names_of = fs::open_dir(&dir, ".").map_err(|e| walk.failed(e))?;
    let max = usize::try_from(request.max_entries).unwrap_or(usize::MAX);
    let (names, more) = fs::names(names_of, max).map_err(|e| failed(Step::List, e))?;
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        // A user may have mounted something that never answers on one of them.
        match fs::stat_remembered(&dir, &name).map_err(errno) {
            Ok(stat) => entries.push(Entry {
                name: name.into_vec(),
                kind: stat.kind,
                facts: FileFacts::from(stat),
            }),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(walk.failed(errno)),
        }
    }
    Ok(Listing { entries, more })
}
