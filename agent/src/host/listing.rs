//! A directory with what is in it, for readers of many small files: each costs a stat(2), and one
//! that was read before and is the same still need not be opened.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::root::{HostRoot, ReadError, failed};
use crate::stamps::Sight;
use crate::sys::fs::{self, FileKind, FileStat};

/// A directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its path with all links resolved.
    pub path: PathBuf,
    /// What is in it, sorted by name.
    pub entries: Vec<Listed>,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: OsString,
    /// What it is; a symbolic link is not followed.
    pub stat: FileStat,
    /// What a symbolic link says.
    pub link: Option<PathBuf>,
}

impl HostRoot {
    /// Lists a directory, if it has at most `max_entries` names. A name that goes meanwhile is left
    /// out.
    pub fn list(&self, path: &Path, max_entries: usize) -> Result<Listing, ReadError> {
        self.noted(self.listing(path, max_entries))
    }

    fn listing(&self, path: &Path, max_entries: usize) -> Result<Listing, ReadError> {
        let (dir, real_path) = self.open_dir(path)?;
        let names = names_in(&dir, max_entries).map_err(|source| failed(path, source))?;
        let mut names = names.ok_or_else(|| ReadError::TooMany {
            path: path.to_owned(),
            max_entries,
        })?;
        names.sort_unstable();
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let entry = path.join(&name);
            self.see(&entry, Sight::Listed);
            let listed = look(&dir, &name).map_err(|source| failed(&entry, source))?;
            entries.extend(listed.map(|(stat, link)| Listed { name, stat, link }));
        }
        Ok(Listing {
            path: real_path,
            entries,
        })
    }
}

/// The names in an open directory, unless there are more than `max`.
fn names_in(dir: &OwnedFd, max: usize) -> io::Result<Option<Vec<OsString>>> {
    let (names, more) = fs::names(dir.try_clone()?, max)?;
    Ok((!more).then_some(names))
}

/// What a name stands for, and what it says if it is a link; `None` where it is gone.
fn look(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<(FileStat, Option<PathBuf>)>> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let stat = match fs::stat_at(dir, name) {
        Err(error) if gone(&error) => return Ok(None),
        stat => stat?,
    };
    if stat.kind != FileKind::Symlink {
        return Ok(Some((stat, None)));
    }
    match fs::read_link(dir, name) {
        Err(error) if gone(&error) => Ok(None),
        link => Ok(Some((stat, Some(link?.into())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_links_and_files() {
        let dir = std::env::temp_dir().join(format!("rescind-listing-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("d/sub")).unwrap();
        std::fs::write(dir.join("d/file"), "text").unwrap();
        std::os::unix::fs::symlink("../gone", dir.join("d/link")).unwrap();
        let root = HostRoot::at(&dir).unwrap();
        let listing = root.list(Path::new("/d"), 3).unwrap();
        let seen: Vec<_> = listing
            .entries
            .iter()
            .map(|e| (e.name.to_str().unwrap(), e.stat.kind, e.link.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                ("file", FileKind::Regular, None),
                ("link", FileKind::Symlink, Some("../gone".into())),
                ("sub", FileKind::Directory, None),
            ]
        );
        let many = root.list(Path::new("/d"), 2).unwrap_err();
        assert!(matches!(many, ReadError::TooMany { .. }));
        assert!(root.list(Path::new("/e"), 2).unwrap_err().is_missing());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
