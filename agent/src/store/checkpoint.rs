//! What is kept of records that were dropped: the state they added up to, and the few of them
//! that are still needed.
//!
//! A file of frames like a segment, each frame's record opened by a letter that says what it is:
//! what concerns no single order, one frame per order, the kept records with their attachments,
//! and the end. It is written twice, so that one bad block cannot take the standing orders along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::evidence::{ChainHead, SealedRecord};
use zeroize::Zeroizing;

use super::error::StoreError;
use super::frame;
use super::order_state::OrderState;
use super::segment::{self, Found, Frame, Frames, Kind};
use super::state::{Facts, StoreState};
use crate::sys::durable;

/// The two copies, in the order in which they are read; they are written in the other.
pub const NAMES: [&str; 2] = ["checkpoint", "checkpoint.copy"];

const FRONT: u8 = b'F';
const ORDER: u8 = b'O';
const KEPT: u8 = b'K';
const END: u8 = b'E';

/// What a checkpoint says; the kept records are read from it when they are needed.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// Where the chain stood.
    pub head: ChainHead,
    /// What the records before it add up to.
    pub state: StoreState,
    /// Evidence before this index had been acknowledged.
    pub acknowledged: u64,
    /// Stretches of records known to be lost: first, and the one after the last.
    pub lost: BTreeSet<(u64, u64)>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Front {
    #[n(0)]
    facts: Facts,
    #[n(1)]
    acknowledged: u64,
    #[n(2)]
    lost: Vec<(u64, u64)>,
}

/// A record with its attachment, salt included.
pub type Kept = (SealedRecord, Zeroizing<Vec<u8>>);

/// The kept records of one checkpoint file.
#[derive(Debug)]
pub struct KeptRecords {
    path: PathBuf,
    file: File,
    number: u64,
    places: BTreeMap<u64, u64>,
}

impl KeptRecords {
    /// A kept record, if this file keeps it.
    pub fn get(&self, index: u64) -> Result<Option<Kept>, StoreError> {
        let Some(at) = self.places.get(&index) else {
            return Ok(None);
        };
        let failed = || StoreError::io("read", &self.path);
        let unreadable = |why| StoreError::Unreadable { index, why };
        let mut frames = Frames::new(&self.file, self.number).map_err(failed())?;
        let Found::Frame(frame) = frames.read(*at).map_err(failed())? else {
            return Err(unreadable("its frame in the checkpoint is damaged"));
        };
        let record = cbor::from_slice(&frame.record[1..])
            .map_err(|_| unreadable("its frame in the checkpoint holds something else"))?;
        Ok(Some((record, frames.private(&frame).map_err(failed())?)))
    }
}

/// What reading a journal's checkpoint came to.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest whole copy.
    pub checkpoint: Option<(Checkpoint, KeptRecords)>,
    /// Copies that are there and damaged.
    pub damaged: Vec<PathBuf>,
}

/// Reads the newest whole copy in a directory.
pub fn load(dir: &Path) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    for path in NAMES.map(|name| dir.join(name)) {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(StoreError::io("open", &path))?,
        };
        let newest = loaded.checkpoint.as_ref().map(|(best, _)| best.head.next);
        match read(file, &path)? {
            None => loaded.damaged.push(path),
            Some(copy) if newest.is_none_or(|newest| newest < copy.0.head.next) => {
                loaded.checkpoint = Some(copy);
            }
            Some(_) => {}
        }
    }
    Ok(loaded)
}

/// Writes both copies, each durable before the next is begun.
pub fn write(
    dir: &Path,
    checkpoint: &Checkpoint,
    mut keep: impl FnMut(u64) -> Result<Option<Kept>, StoreError>,
) -> Result<(), StoreError> {
    for name in NAMES.into_iter().rev() {
        let path = dir.join(name);
        let temporary = dir.join("checkpoint.tmp");
        let failed = || StoreError::io("write", &path);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed())?;
        let written = write_copy(file, &path, checkpoint, &mut keep);
        if let Err(error) = written {
            // Half a checkpoint is worth nothing, and on a full disk its space is.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        durable::rename_synced(&temporary, &path).map_err(failed())?;
    }
    Ok(())
}

fn write_copy(
    mut file: File,
    path: &Path,
    checkpoint: &Checkpoint,
    keep: &mut impl FnMut(u64) -> Result<Option<Kept>, StoreError>,
) -> Result<(), StoreError> {
    let failed = || StoreError::io("write", path);
    // Frames are written one by one: a buffer between would keep copies of attachments.
    file.write_all(&segment::header(Kind::Checkpoint, checkpoint.head))
        .map_err(failed())?;
    let mut frame = |tag: u8, body: &[u8], private: &[u8]| {
        let record = [&[tag], body].concat();
        if record.len() > frame::RECORD_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "a part of the checkpoint",
                bytes: record.len(),
                max: frame::RECORD_BYTES_MAX,
            });
        }
        file.write_all(&frame::encode(checkpoint.head.next, 0, &record, private))
            .map_err(failed())
    };
    let front = Front {
        facts: checkpoint.state.facts.clone(),
        acknowledged: checkpoint.acknowledged,
        lost: checkpoint.lost.iter().copied().collect(),
    };
    frame(FRONT, &cbor::to_vec(&front), &[])?;
    let mut needed = BTreeSet::new();
    for order in checkpoint.state.orders.values() {
        frame(ORDER, &cbor::to_vec(order), &[])?;
        if order.is_standing() || order.is_unfinished() {
            needed.extend(order.records());
        }
    }
    for index in needed {
        if let Some((record, private)) = keep(index)? {
            frame(KEPT, &cbor::to_vec(&record), &private)?;
        }
    }
    frame(END, &[], &[])?;
    file.sync_all().map_err(failed())
}

/// Reads one copy to its end, so that what is needed later is known to be there; `None` when any
/// of it is damaged.
fn read(file: File, path: &Path) -> Result<Option<(Checkpoint, KeptRecords)>, StoreError> {
    let Some(head) = segment::read_header(Kind::Checkpoint, &file, path)? else {
        return Ok(None);
    };
    let failed = || StoreError::io("read", path);
    let mut read = Checkpoint {
        head,
        ..Checkpoint::default()
    };
    let mut places = BTreeMap::new();
    let mut front = false;
    let mut frames = Frames::new(&file, head.next).map_err(failed())?;
    let mut at = segment::HEADER_BYTES;
    loop {
        let Found::Frame(frame) = frames.read(at).map_err(failed())? else {
            return Ok(None);
        };
        match take(&mut read, &mut places, &frame) {
            Some(FRONT) => front = true,
            Some(END) => break,
            Some(_) => {}
            None => return Ok(None),
        }
        at = frame.end;
    }
    let kept = KeptRecords {
        path: path.to_path_buf(),
        number: head.next,
        places,
        file,
    };
    Ok(front.then_some((read, kept)))
}

/// Takes in one frame; its letter, or `None` when it is not what the letter says.
fn take(read: &mut Checkpoint, places: &mut BTreeMap<u64, u64>, frame: &Frame) -> Option<u8> {
    let (tag, body) = frame.record.split_first()?;
    match *tag {
        FRONT => {
            let front: Front = cbor::from_slice(body).ok()?;
            read.state.facts = front.facts;
            read.acknowledged = front.acknowledged;
            read.lost = front.lost.into_iter().collect();
        }
        ORDER => {
            let order: OrderState = cbor::from_slice(body).ok()?;
            read.state.orders.insert(order.order().id, order);
        }
        KEPT => {
            let record: SealedRecord = cbor::from_slice(body).ok()?;
            places.insert(record.body().ok()?.index, frame.at);
        }
        // What a later version adds under another letter is passed over.
        _ => {}
    }
    Some(*tag)
}
