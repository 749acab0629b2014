//! What can go wrong with the store, told to the operator.

use std::io;
use std::path::{Path, PathBuf};

use rescind_protocol::cbor::Malformed;
use rescind_protocol::sign::BadKey;

use crate::config::FileError;
use crate::sys::durable;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk or a quota is full. What was acknowledged is safe; nothing new can be.
    #[error("no space left to {doing} {path}: free some; what was acknowledged is safe")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
    },
    /// Nothing was ever recorded here.
    #[error("there is no journal in {path}: rescind-agent has not run on this host")]
    NoJournal {
        /// The store's directory.
        path: PathBuf,
    },
    /// Another process has the store.
    #[error("{path} is in use: another rescind-agent runs on this directory")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// An earlier write did not reach the disk, and what the disk holds is not known until the
    /// store is opened again.
    #[error("an earlier write to {path} failed ({cause}): restart the agent")]
    Poisoned {
        /// The segment.
        path: PathBuf,
        /// The first error.
        cause: String,
    },
    /// A later version wrote this; it is left untouched.
    #[error("{path} has format {found}, this version knows {known}: install a newer rescind-agent")]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The newest known.
        known: u8,
    },
    /// The store's directory is not the root user's own.
    #[error("{path} can be changed by others ({why}): make it root's, mode 0700")]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// In which way.
        why: &'static str,
    },
    /// The evidence key's file holds no key.
    #[error(
        "{path} is not the evidence key: {source}; put it back from a backup, or move it away and enrol this host again"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BadKey,
    },
    /// A directory could not be made, or the evidence key's file cannot be read or made, or others
    /// could read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record that should be there cannot be read.
    #[error("record {index} cannot be read: {why}")]
    Unreadable {
        /// The record.
        index: u64,
        /// Why.
        why: &'static str,
    },
    /// What was kept to undo an order cannot be understood.
    #[error("the private attachment of record {index} is not what its order left there: {source}")]
    Attachment {
        /// The record.
        index: u64,
        /// What is wrong with it.
        source: Malformed,
    },
    /// Records that were asked for have been dropped after they were acknowledged.
    #[error("records before {oldest} were dropped after the control plane had acknowledged them")]
    Dropped {
        /// The first that is left.
        oldest: u64,
    },
    /// More than a record or its attachment may hold.
    #[error("{what} has {bytes} bytes, more than {max}")]
    TooLarge {
        /// The record or its attachment.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
}

impl StoreError {
    /// Wraps a system error, telling a full disk from everything else.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match durable::is_full(&source) {
            true => Self::Full { doing, path },
            false => Self::Io {
                doing,
                path,
                source,
            },
        }
    }

    /// For the attachment of a record that decodes as nothing its reader knows.
    pub const fn unreadable_private(index: u64, source: Malformed) -> Self {
        Self::Attachment { index, source }
    }

    /// Whether space is what is missing.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
