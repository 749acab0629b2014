//! The control plane's own directory: keys, certificates and the database.
//!
//! Only the service's user may look into it, one server at a time may use it, and a file in it is
//! either whole and on the disk or not there at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The largest file read from the directory (the database is not read through here).
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// A system call failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// Others than the service's user can look into it.
    #[error("{}: mode {mode:04o} lets others in; run chmod 0700 on it", path.display())]
    TooOpen {
        /// The directory or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{}: belongs to uid {uid}; run as that user or give it another --data-dir", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Another server uses it.
    #[error("{}: another `rescind serve` uses this directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file is larger than any we wrote.
    #[error("{}: larger than {FILE_BYTES_MAX} bytes; it is not a file of ours", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// The data directory, locked for this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // Held until the process ends; the kernel gives the lock back however that happens.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it (mode 0700) when it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, DirError> {
        let io = |source| DirError::Io {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(path)
                .map_err(io)?;
        }
        let dir = File::open(path).map_err(io)?;
        let metadata = dir.metadata().map_err(io)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(DirError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(DirError::NotOurs {
                path: path.to_owned(),
                uid: metadata.uid(),
            });
        }
        let lock = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .map_err(|source| DirError::Io {
                path: lock.clone(),
                source,
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: file,
            }),
            Err(TryLockError::WouldBlock) => Err(DirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(DirError::Io { path: lock, source }),
        }
    }

    /// Where a file of this name lies.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file; `None` only when it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, DirError> {
        let path = self.path_of(name);
        let io = |source| DirError::Io {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(DirError::TooOpen { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(io)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(DirError::TooLarge { path });
        }
        Ok(Some(text))
    }

    /// Puts a file (mode 0600) in place: written beside it, synced, renamed, directory synced.
    pub fn write(&self, name: &str, content: &str) -> Result<(), DirError> {
        let path = self.path_of(name);
        let io = |source| DirError::Io {
            path: path.clone(),
            source,
        };
        let temporary = self.path_of(&format!(".{name}.new"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => (),
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(io)?;
        file.write_all(content.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&temporary, &path).map_err(io)?;
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time_and_nobody_else_looks_in() {
        let base = std::env::temp_dir().join(format!("rescind-dir-{}", std::process::id()));
        let path = base.join("data");
        let dir = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DirError::InUse { .. })));
        assert!(dir.read("key").unwrap().is_none());
        dir.write("key", "secret").unwrap();
        dir.write("key", "other").unwrap();
        assert_eq!(dir.read("key").unwrap().unwrap().as_str(), "other");
        let mode = fs::metadata(dir.path_of("key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(dir.path_of("key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(dir.read("key"), Err(DirError::TooOpen { .. })));
        drop(dir);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(
            DataDir::open(&path),
            Err(DirError::TooOpen { mode: 0o750, .. })
        ));
        fs::remove_dir_all(&base).unwrap();
    }
}
