//! A directory's names.

use super::message::{Entry, FileFacts, List, Listing, Step, Why};
use super::read::failed;
use super::walk::Walk;
use crate::sys::Errno;
use crate::sys::at;

/// Lists a directory with the rights this process has now.
pub(super) fn list(walk: &Walk<'_>, request: &List) -> Result<Listing, Why> {
    let dir = walk.open_directory(&request.path)?;
    // `names` consumes its descriptor; the entries are looked at through this one.
    let names_of = at::open_directory(&dir, b".").map_err(|e| walk.failed(e))?;
    let max = usize::try_from(request.max_entries).unwrap_or(usize::MAX);
    let (names, more) = at::names(names_of, max).map_err(|e| failed(Step::List, e))?;
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        match at::stat_name(&dir, &name) {
            Ok(stat) => entries.push(Entry {
                name,
                kind: stat.kind,
                facts: FileFacts::from(stat),
            }),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(walk.failed(errno)),
        }
    }
    Ok(Listing { entries, more })
}
