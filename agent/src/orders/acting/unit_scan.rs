//! What lies in the directories of units, by stat(2) alone: two scans that are equal mean that
//! nothing needs to be read again.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{Gaps, NAMES_MAX};
use crate::deferred::unit_path::{NameIn, name_in_directory};
use crate::host::listing::{Listed, Listing};
use crate::host::root::{Distrust, FileStamp, HostRoot, ReadError};
use crate::sys::fs::FileKind;

/// Directories in their order.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Scan {
    /// Those that are there.
    pub directories: Vec<Scanned>,
    /// Whether every change of any of it shows in its stamps: nothing was changed just now.
    pub settled: bool,
}

/// A directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Its path, as it is in the search path.
    pub path: PathBuf,
    /// Whether it is of the system's own manager, not of users'.
    pub of_system: bool,
    /// What is in it.
    pub entries: Vec<Found>,
}

/// What is in a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A file by a unit's name.
    File(Vec<u8>, PathBuf, FileStamp),
    /// A link by a unit's name.
    Link(Vec<u8>, PathBuf, LinkTo),
    /// A drop-in of a directory of drop-ins.
    DropIn(Vec<u8>, Vec<u8>, PathBuf, LinkTo),
    /// A name in a directory such as `x.target.wants`.
    Starts(Vec<u8>, Vec<u8>),
}

/// Where something leads.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkTo {
    /// To nothing, or to `/dev/null`.
    Nothing,
    /// To a unit of this name in the search path.
    Name(Vec<u8>),
    /// To a file.
    File(FileStamp),
    /// Through what this uid owns, which is this; root does not follow it.
    Anothers(u32, PathBuf),
}

/// Names of directories whose own stamp has not changed.
#[derive(Debug, Default)]
pub struct Names(HashMap<PathBuf, (FileStamp, Vec<Vec<u8>>)>);

/// Looks into directories.
pub struct Scanner<'r> {
    root: &'r HostRoot,
    known: &'r mut Names,
    seen: Names,
    now: i64,
    newest: i64,
    read: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub gaps: Gaps,
}

/// A file changed this shortly before it is read may change again without its times showing it.
const SETTLED_S: i64 = 2;

/// Whether another change would show in a stamp taken now.
pub const fn is_settled(stamp: FileStamp, now: i64) -> bool {
    stamp.changed_s().saturating_add(SETTLED_S) < now
}

impl<'r> Scanner<'r> {
    /// `now` in seconds since 1970.
    pub fn new(root: &'r HostRoot, known: &'r mut Names, now: i64) -> Self {
        Self {
            root,
            known,
            seen: Names::default(),
            now,
            newest: i64::MIN,
            read: Vec::new(),
            gaps: Gaps::new(),
        }
    }

    /// Whether all that was looked at has been as it is for a while.
    pub fn finish(self) -> (bool, Gaps) {
        *self.known = self.seen;
        let settled = self.newest.saturating_add(SETTLED_S) < self.now;
        (settled, self.gaps)
    }

    /// One directory of a search path; `None` where it is not there, or is one read before by
    /// another name (`/lib` is `/usr/lib` on most hosts).
    pub fn directory(&mut self, path: &Path, search: &[&str], of_system: bool) -> Option<Scanned> {
        let listing = self.list(path)?;
        if self.read.contains(&listing.path) {
            return None;
        }
        self.read.push(listing.path.clone());
        let mut entries = Vec::with_capacity(listing.entries.len());
        for listed in listing.entries {
            let name = listed.name.as_bytes();
            if is_passing(name) {
                continue;
            }
            match name_in_directory(name) {
                NameIn::Other => {}
                NameIn::Unit => entries.extend(self.unit(path, &listed, search)),
                NameIn::DropIns => self.drop_ins(path, &listed, &mut entries),
                NameIn::Starts(by) => {
                    for linked in self.names(&path.join(&listed.name), &listed) {
                        entries.push(Found::Starts(by.to_vec(), linked));
                    }
                }
            }
        }
        Some(Scanned {
            path: path.to_owned(),
            of_system,
            entries,
        })
    }

    /// Files of one kind in a directory, links followed.
    pub fn files(&mut self, path: &Path, end: &[u8]) -> Vec<(PathBuf, FileStamp)> {
        let listing = self.list(path);
        let mut found = Vec::new();
        for listed in listing.into_iter().flat_map(|listing| listing.entries) {
            if listed.name.as_bytes().ends_with(end) {
                let file = path.join(&listed.name);
                if let LinkTo::File(stamp) = self.followed(&file, &listed) {
                    found.push((file, stamp));
                }
            }
        }
        found
    }

    fn unit(&mut self, above: &Path, listed: &Listed, search: &[&str]) -> Option<Found> {
        let name = listed.name.as_bytes().to_vec();
        let path = above.join(&listed.name);
        let Some(link) = &listed.link else {
            let regular = listed.stat.kind == FileKind::Regular;
            let stamp = self.stamp(&listed.stat);
            return regular.then_some(Found::File(name, path, stamp));
        };
        let target = resolve(above, link);
        let in_search = |above: &Path| search.iter().any(|path| Path::new(path) == above);
        let to = if target == Path::new("/dev/null") {
            LinkTo::Nothing
        } else if target.parent().is_some_and(in_search) {
            LinkTo::Name(target.file_name()?.as_bytes().to_vec())
        } else {
            // A unit that lies elsewhere (systemctl link): it has the link's name.
            self.followed(&path, listed)
        };
        Some(Found::Link(name, path, to))
    }

    fn drop_ins(&mut self, above: &Path, listed: &Listed, entries: &mut Vec<Found>) {
        let path = above.join(&listed.name);
        let listing = self.list(&path);
        for drop_in in listing.into_iter().flat_map(|listing| listing.entries) {
            if crate::deferred::unit_path::is_drop_in(drop_in.name.as_bytes()) {
                let file = path.join(&drop_in.name);
                let to = self.followed(&file, &drop_in);
                let (directory, name) = (listed.name.as_bytes(), drop_in.name.as_bytes());
                entries.push(Found::DropIn(directory.to_vec(), name.to_vec(), file, to));
            }
        }
    }

    /// The file that something listed is, or leads to.
    fn followed(&mut self, path: &Path, listed: &Listed) -> LinkTo {
        if listed.link.is_none() {
            let stamp = self.stamp(&listed.stat);
            return match listed.stat.kind {
                FileKind::Regular => LinkTo::File(stamp),
                _ => LinkTo::Nothing,
            };
        }
        match self.root.stat(path) {
            Ok(found) if found.stat.kind == FileKind::Regular => {
                LinkTo::File(self.stamp(&found.stat))
            }
            // Links to what was removed stay about everywhere.
            Ok(_) | Err(ReadError::Missing { .. }) => LinkTo::Nothing,
            Err(ReadError::Untrusted {
                component,
                why: Distrust::Owner(uid),
                ..
            }) => LinkTo::Anothers(uid, component),
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                LinkTo::Nothing
            }
        }
    }

    /// The names in a directory; they are what they were while its stamp is.
    fn names(&mut self, path: &Path, listed: &Listed) -> Vec<Vec<u8>> {
        let stamp = self.stamp(&listed.stat);
        let is_directory = listed.stat.kind == FileKind::Directory;
        if let Some((known, names)) = self.known.0.get(path)
            && *known == stamp
            && is_directory
        {
            let names = names.clone();
            self.seen.0.insert(path.to_owned(), (stamp, names.clone()));
            return names;
        }
        let names: Vec<Vec<u8>> = match self.root.read_dir(path, NAMES_MAX) {
            Ok(names) => names.iter().map(|name| name.as_bytes().to_vec()).collect(),
            Err(ReadError::Missing { .. } | ReadError::NotRegular { .. }) => Vec::new(),
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                return Vec::new();
            }
        };
        if is_directory && is_settled(stamp, self.now) {
            self.seen.0.insert(path.to_owned(), (stamp, names.clone()));
        }
        names
    }

    fn stamp(&mut self, stat: &crate::sys::fs::FileStat) -> FileStamp {
        let stamp = FileStamp::from(stat);
        self.newest = self.newest.max(stamp.changed_s());
        stamp
    }

    fn list(&mut self, path: &Path) -> Option<Listing> {
        match self.root.list(path, NAMES_MAX) {
            Ok(listing) => Some(listing),
            // What is named like a directory and is none is read by nobody.
            Err(ReadError::Missing { .. } | ReadError::NotRegular { .. }) => None,
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                None
            }
        }
    }
}

/// Sessions, slices and devices come and go, and none of them runs a command.
fn is_passing(name: &[u8]) -> bool {
    let name = [&b".d"[..], b".wants", b".requires", b".upholds"]
        .iter()
        .find_map(|end| name.strip_suffix(*end))
        .unwrap_or(name);
    [&b".scope"[..], b".slice", b".device"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// The path a link leads to by its text alone.
fn resolve(above: &Path, link: &Path) -> PathBuf {
    let mut path = PathBuf::from("/");
    for component in above.join(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_by_their_text() {
        for (link, want) in [
            ("/lib/x.service", "/lib/x.service"),
            ("x.service", "/etc/systemd/system/x.service"),
            ("../user/./x.service", "/etc/systemd/user/x.service"),
            ("../../../../../dev/null", "/dev/null"),
        ] {
            let found = resolve(Path::new("/etc/systemd/system"), Path::new(link));
            assert_eq!(found, Path::new(want));
        }
    }
}
