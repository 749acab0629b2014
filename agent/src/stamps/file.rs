//! The stamps of a survey in a file beside it: with what else it depended on, and its sections'
//! digests.
//!
//! Its own SHA-256 stands before it: a file that was damaged is none.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::message::SectionDigest;
use rescind_protocol::name::{Digest, UnixMillis};

use super::tree::{Ask, Stamp};
use crate::sys::{durable, plain_file};

/// Changes with what the fields below, or the stamps, mean.
const FORMAT: u32 = 1;
/// Many times what a host of 10,000 accounts has.
const BYTES_MAX: u64 = 256 << 20;
const DIGEST_BYTES: usize = 32;

/// What is kept of a survey.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Kept {
    #[n(0)]
    format: u32,
    /// When the survey began.
    #[n(1)]
    pub begun: UnixMillis,
    /// Microseconds since boot when it began.
    #[n(2)]
    pub begun_boot_us: u64,
    /// What it depended on that is no file.
    #[n(3)]
    pub facts: BTreeMap<String, Digest>,
    /// When something it said is over, in seconds since 1970.
    #[n(4)]
    pub turns_at: Option<i64>,
    /// Its sections.
    #[n(5)]
    pub sections: Vec<SectionDigest>,
    /// What it looked at.
    #[n(6)]
    pub names: Vec<Ask>,
    /// The states of these, one after the other.
    #[cbor(n(7), with = "minicbor::bytes")]
    stamps: Vec<u8>,
}

impl Kept {
    /// Puts it together; `stamps` are those of `names`.
    pub fn new(
        begun: (UnixMillis, u64),
        facts: BTreeMap<String, Digest>,
        turns_at: Option<i64>,
        sections: Vec<SectionDigest>,
        (names, stamps): (Vec<Ask>, Vec<Stamp>),
    ) -> Self {
        Self {
            format: FORMAT,
            begun: begun.0,
            begun_boot_us: begun.1,
            facts,
            turns_at,
            sections,
            names,
            stamps: stamps.concat(),
        }
    }

    /// The state of a name; `None` where it is not kept.
    pub fn stamp(&self, nth: usize) -> Option<Stamp> {
        self.stamps.as_chunks().0.get(nth).copied()
    }
}

/// Why there are no stamps to compare with.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// No survey has left any.
    #[error("there are no stamps of an earlier survey")]
    None,
    /// They are of another agent, or damaged.
    #[error("the stamps of the survey before cannot be used")]
    Unusable,
    /// The system said no.
    #[error("the stamps of the survey before cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Where they lie in the agent's directory.
fn place(dir: &Path) -> PathBuf {
    dir.join("survey.stamps")
}

/// Reads what the last survey has left.
pub fn read(dir: &Path) -> Result<Kept, KeptError> {
    let file = match plain_file::open(&place(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeptError::None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let (digest, body) = bytes
        .split_at_checked(DIGEST_BYTES)
        .ok_or(KeptError::Unusable)?;
    if Digest::of(body).as_bytes() != digest {
        return Err(KeptError::Unusable);
    }
    let kept: Kept = cbor::from_slice(body).map_err(|_| KeptError::Unusable)?;
    let is_whole = kept.stamps.len() == kept.names.len() * size_of::<Stamp>();
    match kept.format == FORMAT && is_whole {
        true => Ok(kept),
        false => Err(KeptError::Unusable),
    }
}

/// Leaves them for the next survey, durably.
pub fn keep(dir: &Path, kept: &Kept) -> io::Result<()> {
    let place = place(dir);
    let fresh = place.with_extension("stamps.new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let body = cbor::to_vec(kept);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(Digest::of(&body).as_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    durable::rename_synced(&fresh, &place)
}

/// They hold no longer.
pub fn forget(dir: &Path) -> io::Result<()> {
    match fs::remove_file(place(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Says, by the file's own time, that they held now.
pub fn confirm(dir: &Path) -> io::Result<()> {
    File::options()
        .write(true)
        .open(place(dir))?
        .set_modified(SystemTime::now())
}
