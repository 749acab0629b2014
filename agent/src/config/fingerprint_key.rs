//! The host's fingerprint key: 32 random bytes, made on the host once, never sent.
//!
//! Many secrets can be guessed, so that their plain hash would give them away. Under this key a
//! fingerprint says only, and only to those who have this host's other fingerprints, whether two
//! secrets are the same.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::layout;
use super::own_file::{Exposure, FileError, Owner, create, make_dir, read};

/// Why there is no fingerprint key.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintKeyError {
    /// It cannot be read or made, or others could read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is there is not a key. It is left as it is: with a new key all fingerprints change.
    #[error("{}: not 32 bytes; put it back from a backup, or remove it and have all fingerprints change", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
    },
}

/// The host's fingerprint key beneath a root directory, made (0600, synced) if there is none yet.
///
/// Two processes that make it at once get the same key.
pub fn load_or_create_fingerprint_key(
    root: &Path,
) -> Result<Zeroizing<[u8; 32]>, FingerprintKeyError> {
    let path = layout::fingerprint_key(root);
    let owner = Owner::of(root)?;
    if let Some(key) = load(&path, owner)? {
        return Ok(key);
    }
    make_dir(&layout::agent_dir(root), 0o700)?;
    let mut key = Zeroizing::new([0; 32]);
    rescind_protocol::sign::fill_random(&mut *key);
    if create(&path, &*key, 0o600)? {
        return Ok(key);
    }
    // Somebody else was quicker: theirs is the key.
    load(&path, owner)?.ok_or(FingerprintKeyError::Bad { path })
}

fn load(path: &Path, owner: Owner) -> Result<Option<Zeroizing<[u8; 32]>>, FingerprintKeyError> {
    let Some(bytes) = read(path, owner, Exposure::Secret)? else {
        return Ok(None);
    };
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(FingerprintKeyError::Bad {
            path: path.to_owned(),
        });
    }
    key.copy_from_slice(&bytes);
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_never_replaced() {
        let root = std::env::temp_dir().join(format!("rescind-mark-key-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let key = load_or_create_fingerprint_key(&root).unwrap();
        assert_eq!(*key, *load_or_create_fingerprint_key(&root).unwrap());
        assert_ne!(*key, [0; 32]);

        let path = layout::fingerprint_key(&root);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_create_fingerprint_key(&root).is_err());

        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = load_or_create_fingerprint_key(&root).unwrap_err();
        assert!(error.to_string().contains("not 32 bytes"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"short");
        fs::remove_dir_all(&root).unwrap();
    }
}
