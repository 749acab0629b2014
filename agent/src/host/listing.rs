//! A directory with what is in it, for readers of many small files: each costs a stat(2), and one
//! that was read before and is the same still need not be opened.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::root::{HostRoot, ReadError, failed};
use crate::sys::fs::{self, FileStat};

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
}

impl HostRoot {
    /// Lists a directory, if it has at most `max_entries` names. A name that goes meanwhile is left
    /// out.
    pub fn list(&self, path: &Path, max_entries: usize) -> Result<Listing, ReadError> {
        let (dir, real_path) = self.open_dir(path)?;
        let names = self.read_dir(path, max_entries)?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            match fs::stat_at(&dir, &name) {
                Ok(stat) => entries.push(Listed { name, stat }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path.join(&name), error)),
            }
        }
        Ok(Listing {
            path: real_path,
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::FileKind;

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
            .map(|listed| (listed.name.to_str().unwrap(), listed.stat.kind))
            .collect();
        assert_eq!(
            seen,
            [
                ("file", FileKind::Regular),
                ("link", FileKind::Symlink),
                ("sub", FileKind::Directory),
            ]
        );
        let many = root.list(Path::new("/d"), 2).unwrap_err();
        assert!(matches!(many, ReadError::TooMany { .. }));
        assert!(root.list(Path::new("/e"), 2).unwrap_err().is_missing());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
