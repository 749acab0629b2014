//! A file that was not there, and one that goes: whole or not at all, and durable.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::replace::ReplaceError;
use super::root::{FileStamp, HostRoot, ReadError};
use super::staged::Temp;
use crate::sys::fs::{self, FileKind};

/// Makes a file with this mode, which belongs to whom its directory does: root, on a host. One that
/// is there is not touched: [`ReplaceError::Changed`].
pub fn create_file(
    root: &HostRoot,
    path: &Path,
    mode: u32,
    content: &[u8],
) -> Result<FileStamp, ReplaceError> {
    let (dir, name) = trusted_dir(root, path)?;
    let failed = |source: io::Error| failed(path, source);
    let temp = Temp::create(&dir).map_err(failed)?;
    let own = fs::fstat(&temp.file).map_err(failed)?;
    let like = fs::fstat(&dir).map_err(failed)?;
    if (own.uid, own.gid) != (like.uid, like.gid) {
        fs::fchown(&temp.file, Some(like.uid), Some(like.gid)).map_err(failed)?;
    }
    fs::fchmod(&temp.file, mode).map_err(failed)?;
    (&temp.file).write_all(content).map_err(failed)?;
    fs::fsync(&temp.file).map_err(failed)?;
    // A link never takes the place of what is there; the first name goes with `temp`.
    fs::link_in(&dir, &temp.name, &name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ReplaceError::Changed {
            path: path.to_owned(),
        },
        _ => failed(error),
    })?;
    drop(temp);
    sync(&dir, path)?;
    // Read once it has one name only: the number of names is part of what is compared.
    let stat = fs::stat_at(&dir, &name).map_err(failed)?;
    Ok(FileStamp::from(&stat))
}

/// Takes away a file that is still as it was seen.
pub fn remove_file(root: &HostRoot, path: &Path, seen: &FileStamp) -> Result<(), ReplaceError> {
    let (dir, name) = trusted_dir(root, path)?;
    let changed = || ReplaceError::Changed {
        path: path.to_owned(),
    };
    let stat = fs::stat_at(&dir, &name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => changed(),
        _ => failed(path, error),
    })?;
    if stat.kind != FileKind::Regular || FileStamp::from(&stat) != *seen {
        return Err(changed());
    }
    fs::unlink_in(&dir, &name).map_err(|error| failed(path, error))?;
    sync(&dir, path)
}

/// The directory of a file, where nobody but root decides what lies in it.
fn trusted_dir(
    root: &HostRoot,
    path: &Path,
) -> Result<(OwnedFd, std::ffi::OsString), ReplaceError> {
    let found = root.locate(path)?;
    if let Some((component, why)) = found.doubt {
        return Err(ReplaceError::Unreadable(ReadError::Untrusted {
            path: path.to_owned(),
            component,
            why,
        }));
    }
    let dir = fs::open_dir(&found.dir, ".").map_err(|error| failed(path, error))?;
    if let Some(guarded) = fs::guarded(&dir).map_err(|error| failed(path, error))? {
        return Err(ReplaceError::Guarded {
            path: path.to_owned(),
            guarded_path: path.parent().unwrap_or(Path::new("/")).to_owned(),
            guarded,
        });
    }
    Ok((dir, found.name))
}

fn sync(dir: &OwnedFd, path: &Path) -> Result<(), ReplaceError> {
    fs::fsync(dir).map_err(|source| ReplaceError::NotDurable {
        path: path.to_owned(),
        source,
    })
}

fn failed(path: &Path, source: io::Error) -> ReplaceError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ReplaceError::NoSpace { path },
        io::ErrorKind::ReadOnlyFilesystem => ReplaceError::ReadOnly { path },
        _ => ReplaceError::Io { path, source },
    }
}
