//! The host's evidence key: made on the host once, never sent, never replaced by itself.

use std::path::{Path, PathBuf};

use rescind_protocol::sign::{BadKey, SigningKey};

use super::layout;
use super::own_file::{Exposure, FileError, Owner, create, make_dir, read};

/// Why there is no evidence key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made, or others could read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is there is not a key. It is left as it is: a new key would start a new chain.
    #[error("{}: {why}; put it back from a backup, or move it away and enrol this host again", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What it is not.
        why: BadKey,
    },
}

/// The host's evidence key beneath a root directory, made (0600, synced) if there is none yet.
///
/// Two processes that make it at once get the same key.
pub fn load_or_create_evidence_key(root: &Path) -> Result<SigningKey, KeyFileError> {
    let path = layout::evidence_key(root);
    let owner = Owner::of(root)?;
    if let Some(key) = load(&path, owner)? {
        return Ok(key);
    }
    make_dir(&layout::agent_dir(root), 0o700)?;
    let (key, pem) = SigningKey::generate();
    if create(&path, pem.as_bytes(), 0o600)? {
        return Ok(key);
    }
    // Somebody else was quicker: theirs is the key.
    load(&path, owner)?.ok_or(KeyFileError::Bad {
        path,
        why: BadKey::NotPem,
    })
}

fn load(path: &Path, owner: Owner) -> Result<Option<SigningKey>, KeyFileError> {
    let Some(pem) = read(path, owner, Exposure::Secret)? else {
        return Ok(None);
    };
    std::str::from_utf8(&pem)
        .map_err(|_| BadKey::NotPem)
        .and_then(SigningKey::from_pem)
        .map(Some)
        .map_err(|why| KeyFileError::Bad {
            path: path.to_owned(),
            why,
        })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_never_replaced() {
        let root = std::env::temp_dir().join(format!("rescind-keyfile-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let key = load_or_create_evidence_key(&root).unwrap();
        let again = load_or_create_evidence_key(&root).unwrap();
        assert_eq!(key.verifying_key(), again.verifying_key());

        let path = layout::evidence_key(&root);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&layout::agent_dir(&root)), 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = load_or_create_evidence_key(&root).unwrap_err();
        assert!(error.to_string().contains("chmod 0600"), "{error}");

        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            load_or_create_evidence_key(&root),
            Err(KeyFileError::Bad { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_dir_all(&root).unwrap();
    }
}
