#![forbid(unsafe_code)]
//! Reading on in a journal from a record that is known, without reading what comes before it.

use std::fs::File;
use std::path::Path;

use minicbor::{Decode, Encode};
use rescind_protocol::evidence::{ChainHead, RecordBody, SealedRecord};

use super::error::StoreError;
use super::scan::{self, Step, Walk};
use super::segment::{self, Found, Frames, Kind};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Place {
    /// The first record of its segment, which names the file.
    #[n(0)]
    pub segment: u64,
    /// Where its frame begins in that file.
    #[n(1)]
    pub at: u64,
}

/// How far a journal has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Position {
    /// Where the chain stood.
    #[n(0)]
    pub head: ChainHead,
    /// Where the last record before that lies; `None` when nothing was read yet.
    #[n(1)]
    pub last: Option<Place>,
}

/// Why reading on is not possible.
#[derive(Debug, thiserror::Error)]
pub enum NoWayOn {
    /// The record to go on from is not the one that was known.
    #[error("record {0} is not the one that was known")]
    Disagrees(u64),
    /// The journal cannot be read, or something in it is damaged.
    #[error(transparent)]
    Journal(#[from] StoreError),
}

/// The first record that the segments in `dir` hold; 0 when there are none.
pub fn oldest(dir: &Path) -> Result<u64, StoreError> {
    Ok(scan::segments_in(dir)?.first().copied().unwrap_or(0))
}

/// Shows every record behind `position` and before the index `until`, and moves the position along.
/// Where the record to go on from was dropped since, that is from the oldest one on.
///
/// Whole records only; anything damaged is an error, because what lies behind it is for
/// [`scan::scan`] to judge.
pub fn follow<E: From<NoWayOn>>(
    dir: &Path,
    position: &mut Position,
    until: u64,
    mut each: impl FnMut(&Position, SealedRecord, RecordBody) -> Result<(), E>,
) -> Result<(), E> {
    let begin = position.last.map_or(0, |last| last.segment);
    let segments = scan::segments_in(dir).map_err(NoWayOn::from)?;
    let dropped = segments.first().is_none_or(|oldest| begin < *oldest);
    if position.last.is_some() && !dropped && !segments.contains(&begin) {
        return Err(NoWayOn::Disagrees(position.head.next - 1).into());
    }
    for first in segments.into_iter().filter(|first| *first >= begin) {
        let path = dir.join(segment::file_name(first));
        let failed = || StoreError::io("read", &path);
        let wrap = |error| E::from(NoWayOn::Journal(error));
        let file = File::open(&path).map_err(|e| wrap(failed()(e)))?;
        let header = segment::read_header(Kind::Segment, &file, &path).map_err(wrap)?;
        if header.is_none_or(|header| header.next != first) {
            return Err(wrap(damaged(position.head.next)));
        }
        let mut frames = Frames::new(&file, first).map_err(|e| wrap(failed()(e)))?;
        let from = match position.last.filter(|last| last.segment == first) {
            Some(last) => behind(&mut frames, last.at, position.head)
                .map_err(|e| wrap(failed()(e)))?
                .ok_or_else(|| E::from(NoWayOn::Disagrees(position.head.next - 1)))?,
            None => segment::HEADER_BYTES,
        };
        let mut walk = Walk::from(&mut frames, from, position.head.next);
        loop {
            match walk.next(&[]).map_err(|e| wrap(failed()(e)))? {
                Step::Record(entry) if entry.body.index < until => {
                    *position = Position {
                        head: ChainHead {
                            next: entry.body.index + 1,
                            prev: entry.record.digest(),
                        },
                        last: Some(Place {
                            segment: first,
                            at: entry.frame.at,
                        }),
                    };
                    each(position, entry.record, entry.body)?;
                }
                Step::Record(_) => return Ok(()),
                Step::Damage(_) => return Err(wrap(damaged(position.head.next))),
                Step::End => break,
            }
        }
    }
    Ok(())
}

/// The record that lies at a place, if it is the one with this index.
pub fn record_at(dir: &Path, place: Place, index: u64) -> Result<Option<SealedRecord>, StoreError> {
    let path = dir.join(segment::file_name(place.segment));
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    let mut frames = Frames::new(&file, place.segment).map_err(StoreError::io("read", &path))?;
    let Found::Frame(frame) = frames
        .read(place.at)
        .map_err(StoreError::io("read", &path))?
    else {
        return Ok(None);
    };
    let found = scan::parse(&frame, index);
    Ok(found
        .filter(|(_, body)| body.index == index)
        .map(|(record, _)| record))
}

/// Where the record ends that is the last before `head`; `None` when another lies there.
fn behind(frames: &mut Frames<'_>, at: u64, head: ChainHead) -> std::io::Result<Option<u64>> {
    let Found::Frame(frame) = frames.read(at)? else {
        return Ok(None);
    };
    let same = |(record, body): (SealedRecord, RecordBody)| {
        body.index + 1 == head.next && record.digest() == head.prev
    };
    Ok(scan::parse(&frame, 0)
        .is_some_and(same)
        .then_some(frame.end))
}

const fn damaged(index: u64) -> StoreError {
    StoreError::Unreadable {
        index,
        why: "its segment is damaged, or is being written",
    }
}
