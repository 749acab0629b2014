//! The order key: who holds it may command, within each host's own ceiling.

use rescind_protocol::sign::{BadKey, SigningKey};

use crate::data_dir::{DataDir, DirError};

const FILE: &str = "order.key";

/// Why there is no order key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The file holds something else.
    #[error("{FILE}: {0}; restore it from a backup, hosts obey no other key")]
    Bad(#[from] BadKey),
}

/// Reads the order key, or makes it when `first_start` says that no host can know one yet.
///
/// A key that was lost is never silently replaced: the hosts would refuse every order of the new
/// one, and nobody would know why.
pub fn order_key(dir: &DataDir, first_start: FirstStart) -> Result<SigningKey, OrderKeyError> {
    match (dir.read(FILE).map_err(KeyError::from)?, first_start) {
        (Some(pem), _) => Ok(SigningKey::from_pem(&pem).map_err(KeyError::from)?),
        (None, FirstStart::Yes) => {
            let (key, pem) = SigningKey::generate();
            dir.write(FILE, &pem).map_err(KeyError::from)?;
            Ok(key)
        }
        (None, FirstStart::No) => Err(OrderKeyError::Lost),
    }
}

/// Whether this data directory has ever served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStart {
    /// No host has been enrolled from it.
    Yes,
    /// Hosts trust what it holds.
    No,
}

/// Why the order key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OrderKeyError {
    /// The file or its content.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Hosts are enrolled and the key they obey is gone.
    #[error("{FILE} is missing although hosts are enrolled; restore it from a backup")]
    Lost,
}
