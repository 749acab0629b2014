//! Files that only the administrator may have written, and their atomic replacement.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::sys::{durable, plain_file};

/// The largest file of our own that is read: 256 KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What is wrong with one of the agent's own files.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: `read`, `write`, ….
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else owns it, who could write anything into it.
    #[error("{} belongs to uid {found}, not to uid {wanted}: chown {wanted} it if you trust what it says", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it should be.
        wanted: u32,
        /// Whose it is.
        found: u32,
    },
    /// Others may do to it what they must not.
    #[error("{} has mode {mode:04o}: others could change or read it; chmod {wanted} it if you trust what it says", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What would do.
        wanted: &'static str,
    },
    /// Larger than any such file is.
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// Whose files are believed beneath a root directory: root's, and where the root directory is not
/// `/` (an image, a test) also those of whoever owns that directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u32);

impl Owner {
    /// Whose files are believed beneath `root`.
    pub fn of(root: &Path) -> Result<Self, FileError> {
        if root == Path::new("/") {
            return Ok(Self(0));
        }
        let found = fs::metadata(root).map_err(FileError::io("look at", root))?;
        Ok(Self(found.uid()))
    }

    /// Exactly this user, and root.
    pub const fn uid(uid: u32) -> Self {
        Self(uid)
    }

    fn is(self, uid: u32) -> bool {
        uid == 0 || uid == self.0
    }
}

/// Who may do what to a file that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Everybody may read it, only the owner may write it.
    Public,
    /// Nobody but the owner may do anything.
    Secret,
}

/// Reads one of the agent's own public files, `None` where there is none.
///
/// Owner and mode are checked on the open descriptor; the directory it lies in must not be open to
/// others either, or they could put another file in its place.
pub fn read_own(path: &Path, owner: Owner) -> Result<Option<String>, FileError> {
    let Some(text) = read(path, owner, Exposure::Public)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&text).map_err(|_| {
        FileError::io("read", path)(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
    })?;
    Ok(Some(text.to_owned()))
}

/// Reads one of the agent's own files, `None` where there is none; see [`read_own`].
pub fn read(
    path: &Path,
    owner: Owner,
    exposure: Exposure,
) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let file = match plain_file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", path)(error)),
    };
    let found = file.metadata().map_err(FileError::io("look at", path))?;
    check(path, &found, owner, exposure)?;
    if let Some(dir) = path.parent() {
        let found = fs::metadata(dir).map_err(FileError::io("look at", dir))?;
        check(dir, &found, owner, Exposure::Public)?;
    }
    // Room for all of it at once: a buffer that grows would leave copies of a secret behind.
    if found.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    Ok(Some(bytes))
}

fn check(path: &Path, found: &Metadata, owner: Owner, exposure: Exposure) -> Result<(), FileError> {
    if !owner.is(found.uid()) {
        return Err(FileError::Owner {
            path: path.to_owned(),
            wanted: owner.0,
            found: found.uid(),
        });
    }
    let (forbidden, wanted) = match exposure {
        Exposure::Public => (0o022, "go-w"),
        Exposure::Secret => (0o077, "0600"),
    };
    match found.mode() & 0o7777 {
        mode if mode & forbidden != 0 => Err(FileError::Mode {
            path: path.to_owned(),
            mode,
            wanted,
        }),
        _ => Ok(()),
    }
}

/// Makes a directory, and those above it, where there is none, with this mode whatever the umask.
/// An existing one is left as it is.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let made = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| DirBuilder::new().mode(0o700).create(path))
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    made.map_err(FileError::io("make", path))
}

/// Replaces a file by another in one step: whoever looks, now or after a power cut, finds the old
/// one or the new one. The new one has this mode whatever the umask, and this owner where one is
/// given.
///
/// Safe in a directory that somebody else owns: the temporary file is made, never opened, and
/// owned by its descriptor.
pub fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), FileError> {
    let temporary = write_beside(path, bytes, mode, owner)?;
    durable::rename_synced(&temporary, path).map_err(FileError::io("replace", path))
}

/// Puts a file where there is none yet; `false` when one was there, which is left alone.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, FileError> {
    let temporary = write_beside(path, bytes, mode, None)?;
    // Unlike rename(2), link(2) fails when the name is taken.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(FileError::io("remove", &temporary))?;
    match linked {
        Ok(()) => durable::sync_dir(path.parent().unwrap_or(Path::new(".")))
            .map(|()| true)
            .map_err(FileError::io("sync", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FileError::io("write", path)(error)),
    }
}

fn write_beside(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<PathBuf, FileError> {
    let Some(name) = path.file_name() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it names no file");
        return Err(FileError::io("write", path)(error));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".new-{}", std::process::id()));
    let temporary = path.with_file_name(hidden);
    let write = || -> io::Result<()> {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(temporary),
        Err(error) => {
            // Best effort: nobody reads what is left behind, and its mode is 0600.
            let _ = fs::remove_file(&temporary);
            Err(FileError::io("write", path)(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ids::effective_uid;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("rescind-own-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn what_names_no_file_is_not_written() {
        let error = create(Path::new("/tmp/.."), b"", 0o644).unwrap_err();
        assert!(error.to_string().contains("it names no file"), "{error}");
    }

    #[test]
    fn a_file_that_others_could_have_written_is_refused() {
        let dir = dir("modes");
        let path = dir.join("f");
        let own = Owner::uid(effective_uid());
        let mut seen = Vec::new();
        for mode in [0o644, 0o600, 0o664, 0o646] {
            replace(&path, b"x", mode, None).unwrap();
            seen.push((
                read(&path, own, Exposure::Public).is_ok(),
                read(&path, own, Exposure::Secret).is_ok(),
            ));
        }
        assert_eq!(
            seen,
            [(true, false), (true, true), (false, false), (false, false)]
        );
        replace(&path, b"x", 0o644, None).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(read_own(&path, own), Err(FileError::Mode { path, .. }) if path == dir));
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(read_own(&dir.join("none"), own), Ok(None)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        let path = Path::new("/etc/passwd");
        assert!(read_own(path, Owner::uid(0)).is_ok());
        // Root's file is believed whoever else is.
        assert!(read_own(path, Owner::uid(12345)).is_ok());
        if effective_uid() == 0 {
            let dir = dir("owner");
            let path = dir.join("f");
            replace(&path, b"x", 0o644, Some((12345, 12345))).unwrap();
            assert!(matches!(
                read_own(&path, Owner::uid(0)),
                Err(FileError::Owner { found: 12345, .. })
            ));
            fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn a_link_put_in_the_way_is_replaced_not_followed() {
        let dir = dir("links");
        let (path, victim) = (dir.join("f"), dir.join("victim"));
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let temporary = dir.join(format!(".f.new-{}", std::process::id()));
        std::os::unix::fs::symlink(&victim, &temporary).unwrap();
        replace(&path, b"new", 0o600, None).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!temporary.exists());
        assert!(!create(&path, b"other", 0o600).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(&dir).unwrap();
    }
}
