#![forbid(unsafe_code)]
//! The key that signs the chain.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rescind_protocol::sign::SigningKey;
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::sys::durable;

/// The evidence key of a store, made now if there is none; and whether it was made now.
pub fn load_or_make(path: &Path) -> Result<(SigningKey, bool), StoreError> {
    match load(path)? {
        Some(key) => Ok((key, false)),
        None => Ok((make_key(path)?, true)),
    }
}

/// The evidence key of a store, if it has one.
pub fn load(path: &Path) -> Result<Option<SigningKey>, StoreError> {
    let pem = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => Zeroizing::new(read.map_err(StoreError::io("read", path))?),
    };
    let key = SigningKey::from_pem(&pem).map_err(|source| StoreError::Key {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(Some(key))
}

/// Makes a key and puts it on the disk whole: a key that is gone after a power cut would leave a
/// chain that nobody can continue.
fn make_key(path: &Path) -> Result<SigningKey, StoreError> {
    let (key, pem) = SigningKey::generate();
    let temporary = path.with_extension("key.tmp");
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        durable::rename_synced(&temporary, path)
    };
    write().map_err(StoreError::io("write", path))?;
    Ok(key)
}
