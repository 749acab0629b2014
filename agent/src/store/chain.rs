#![forbid(unsafe_code)]
//! Makes the records of the evidence chain: numbered, linked, dated, signed.

use rescind_protocol::cbor;
use rescind_protocol::evidence::{ChainHead, Event, RECORD_BYTES_MAX, RecordBody, SealedRecord};
use rescind_protocol::name::{Digest, UnixMillis};
use rescind_protocol::sign::{SigningKey, fill_random};
use zeroize::Zeroizing;

use super::checkpoint::Kept;
use super::error::StoreError;
use super::frame;
use crate::sys::clock;

/// Where records get their dates from.
pub trait Clock {
    /// The wall clock.
    fn wall(&self) -> UnixMillis;
    /// Microseconds since the host booted, time asleep included.
    fn boot_us(&self) -> u64;
}

/// The host's own clocks.
#[derive(Debug, Clone, Copy)]
pub struct HostClock;

impl Clock for HostClock {
    fn wall(&self) -> UnixMillis {
        clock::wall()
    }
    fn boot_us(&self) -> u64 {
        clock::boot_us()
    }
}

/// The random bytes that open every attachment, so that nobody who sees its digest in the chain
/// can find the contents by guessing.
const SALT_BYTES: usize = 16;

/// A record that was made, and what goes to the disk with it.
pub struct Sealed {
    /// What it says, as it was signed.
    pub body: RecordBody,
    /// The record.
    pub record: SealedRecord,
    /// The record's CBOR.
    pub bytes: Vec<u8>,
    /// The attachment with its salt; empty when there is none.
    pub private: Zeroizing<Vec<u8>>,
}

/// Makes the record that follows `head`.
pub fn seal(
    head: ChainHead,
    key: &SigningKey,
    clock: &dyn Clock,
    event: &Event,
    private: Option<&[u8]>,
) -> Result<Sealed, StoreError> {
    let private = private.map_or_else(|| Ok(Zeroizing::default()), salted)?;
    let body = RecordBody {
        index: head.next,
        prev: head.prev,
        at: clock.wall(),
        boot_us: clock.boot_us(),
        private: (!private.is_empty()).then(|| Digest::of(&private)),
        event: cbor::to_vec(event),
    };
    let record = SealedRecord::seal(&body, key);
    let bytes = cbor::to_vec(&record);
    too_large("record", bytes.len(), RECORD_BYTES_MAX)?;
    Ok(Sealed {
        body,
        record,
        bytes,
        private,
    })
}

fn salted(private: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let len = SALT_BYTES + private.len();
    too_large("private attachment", len, frame::PRIVATE_BYTES_MAX)?;
    let mut out = Zeroizing::new(vec![0; len]);
    fill_random(&mut out[..SALT_BYTES]);
    out[SALT_BYTES..].copy_from_slice(private);
    Ok(out)
}

fn too_large(what: &'static str, bytes: usize, max: usize) -> Result<(), StoreError> {
    match bytes <= max {
        true => Ok(()),
        false => Err(StoreError::TooLarge { what, bytes, max }),
    }
}

/// The contents of the attachment of a record that was looked up.
pub fn private_of(
    index: u64,
    kept: Option<Kept>,
) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let unreadable = |why| StoreError::Unreadable { index, why };
    let (record, attachment) = kept.ok_or_else(|| unreadable("no such record is kept"))?;
    let body = record.body();
    let body = body.map_err(|_| unreadable("it holds no record body"))?;
    open_private(&body, &attachment)
}

/// The contents of an attachment, checked against the digest in its record.
fn open_private(
    body: &RecordBody,
    attachment: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let unreadable = |why| StoreError::Unreadable {
        index: body.index,
        why,
    };
    match (body.private, attachment) {
        (None, []) => Ok(None),
        (None, _) => Err(unreadable("it has an attachment that it does not name")),
        (Some(digest), bytes) if Digest::of(bytes) == digest => bytes
            .get(SALT_BYTES..)
            .map(|contents| Some(Zeroizing::new(contents.to_vec())))
            .ok_or_else(|| unreadable("its attachment is too short")),
        (Some(_), _) => Err(unreadable(
            "its attachment is not the one it was signed with",
        )),
    }
}
