#![forbid(unsafe_code)]
//! The key that signs the chain: made on the host once, never sent, never replaced by itself.

use std::path::{Path, PathBuf};

use rescind_protocol::sign::{BadKey, SigningKey};

use super::error::StoreError;
use crate::config::{Exposure, Owner, create, read};
use crate::sys::ids::effective_uid;

/// The evidence key of the store in `dir`, if it has one.
///
/// A file that others could have read or written, or that holds no key, is an error and left as
/// it is: a new key would begin a new chain.
pub fn load(dir: &Path) -> Result<Option<SigningKey>, StoreError> {
    let path = path(dir);
    let Some(pem) = read(&path, Owner::uid(effective_uid()), Exposure::Secret)? else {
        return Ok(None);
    };
    std::str::from_utf8(&pem)
        .map_err(|_| BadKey::NotPem)
        .and_then(SigningKey::from_pem)
        .map(Some)
        .map_err(|source| StoreError::Key { path, source })
}

/// Makes the evidence key of the store in `dir`, which has none. It is on the disk when this
/// returns: a key that is gone after a power cut would leave a chain that nobody can continue.
pub fn make(dir: &Path) -> Result<SigningKey, StoreError> {
    let path = path(dir);
    let (key, pem) = SigningKey::generate();
    match create(&path, pem.as_bytes(), 0o600)? {
        true => Ok(key),
        // The store's lock is held, so this is nobody who makes keys for it.
        false => Err(StoreError::Unsafe {
            path,
            why: "somebody else put a file there just now",
        }),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("evidence.key")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    use super::*;

    #[test]
    fn it_is_made_once_and_never_replaced() {
        let dir = std::env::temp_dir().join(format!("rescind-keyfile-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        assert!(load(&dir).unwrap().is_none());
        let key = make(&dir).unwrap();
        let again = load(&dir).unwrap().unwrap();
        assert_eq!(key.verifying_key(), again.verifying_key());
        assert!(make(&dir).is_err());

        let path = path(&dir);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(error.to_string().contains("chmod 0600"), "{error}");

        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(load(&dir), Err(StoreError::Key { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_dir_all(&dir).unwrap();
    }
}
