#![forbid(unsafe_code)]
//! Reads a whole journal without changing it: what it holds, what it adds up to, what is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rescind_protocol::cbor;
use rescind_protocol::evidence::{ChainHead, ChainVerifier, Event, RecordBody, SealedRecord};
use rescind_protocol::name::Digest;
use rescind_protocol::sign::VerifyingKey;

use super::checkpoint::{self, Checkpoint, KeptRecords};
use super::error::StoreError;
use super::segment::{self, Found, Frame, Frames, Kind};

/// A mark is kept for every so many bytes of a segment, so that a record is found without reading
/// the segment from its beginning.
const MARK_EVERY_BYTES: u64 = 64 * 1024;

/// One segment, as it lies on the disk.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Where the chain stood at its beginning.
    pub begin: ChainHead,
    /// The index after its last record.
    pub next: u64,
    /// Where its last good frame ends in the file.
    pub end: u64,
    /// Up to where its last frame says that the file was on the disk.
    pub durable: u64,
    /// Whether something in it is bad that is not a torn write at the end of the journal.
    pub damaged: bool,
    /// Index and place of some of its records.
    marks: Vec<(u64, u64)>,
}

impl Segment {
    /// A segment that was just made.
    pub const fn new(path: PathBuf, begin: ChainHead) -> Self {
        Self {
            path,
            next: begin.next,
            begin,
            end: segment::HEADER_BYTES,
            durable: segment::HEADER_BYTES,
            damaged: false,
            marks: Vec::new(),
        }
    }

    /// Notes that a record lies there.
    pub fn note(&mut self, index: u64, at: u64, end: u64) {
        let marked = self.marks.last().map_or(0, |(_, at)| *at);
        if self.marks.is_empty() || at >= marked + MARK_EVERY_BYTES {
            self.marks.push((index, at));
        }
        self.next = index + 1;
        self.end = end;
    }

    /// A record, and its place, from which reading on comes to the record of this index.
    pub fn place_before(&self, index: u64) -> (u64, u64) {
        let later = self.marks.partition_point(|(marked, _)| *marked <= index);
        let before = self.marks.get(later.saturating_sub(1));
        *before.unwrap_or(&(self.begin.next, segment::HEADER_BYTES))
    }
}

/// The end of the journal that was cut off: a write that a power cut or a crash interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The index of the record that was being written.
    pub index: u64,
    /// How many bytes of it there were.
    pub bytes: u64,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// The checkpoint, with every later record folded into its state.
    pub checkpoint: Checkpoint,
    /// The records that only the checkpoint still holds.
    pub kept: Option<KeptRecords>,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    /// Where the chain stands.
    pub head: ChainHead,
    /// Stretches of records that are gone and were not known to be: first, and the one after the
    /// last. An empty stretch is a record that does not continue the one before it.
    pub lost: BTreeSet<(u64, u64)>,
    /// The end that was cut off.
    pub cut: Option<Cut>,
    /// Copies of the checkpoint that are damaged.
    pub damaged_checkpoints: Vec<PathBuf>,
    /// A last segment in which nothing was ever written.
    pub unborn: Option<PathBuf>,
    /// Every key that the chain was begun with, and the one it goes on with.
    pub keys: Vec<VerifyingKey>,
}

impl Scan {
    /// Whether there is a chain at all.
    pub const fn is_empty(&self) -> bool {
        self.head.next == 0
    }
}

/// Reads the journal in `dir`. A frame found behind damage is taken only if its record is signed
/// by `key`, or by a key that the chain was begun with: an attachment may hold anything.
pub fn scan(dir: &Path, key: Option<VerifyingKey>) -> Result<Scan, StoreError> {
    let loaded = checkpoint::load(dir)?;
    let (checkpoint, kept) = loaded.checkpoint.unzip();
    let mut scan = Scan {
        checkpoint: checkpoint.unwrap_or_default(),
        kept,
        damaged_checkpoints: loaded.damaged,
        keys: key.into_iter().collect(),
        ..Scan::default()
    };
    let known = std::mem::take(&mut scan.checkpoint.lost);
    let from = scan.checkpoint.head;
    let firsts = segments_in(dir)?;
    // Segments with nothing but acknowledged evidence may rightly be gone, others may not.
    let begin = firsts.first().copied().unwrap_or(u64::MAX);
    scan.head = ChainHead {
        next: begin.min(scan.checkpoint.acknowledged),
        prev: Digest::default(),
    };
    for (i, first) in firsts.iter().enumerate() {
        let last = i + 1 == firsts.len();
        scan.segment(dir, *first, last)?;
    }
    if scan.head.next < from.next {
        scan.lost.insert((scan.head.next, from.next));
        scan.head = from;
    }
    scan.lost = scan.lost.difference(&known).copied().collect();
    scan.checkpoint.lost = known;
    Ok(scan)
}

/// The segments in a directory, oldest first, by their first records.
pub fn segments_in(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let failed = || StoreError::io("list", dir);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        firsts.extend(name.to_str().and_then(segment::first_of_name));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

impl Scan {
    fn segment(&mut self, dir: &Path, first: u64, last: bool) -> Result<(), StoreError> {
        let path = dir.join(segment::file_name(first));
        let failed = || StoreError::io("read", &path);
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let header = segment::read_header(Kind::Segment, &file, &path)?
            .filter(|header| header.next == first);
        let mut frames = Frames::new(&file, first).map_err(failed())?;
        if last && header.is_none() && frames.rest(0).map_err(failed())? == 0 {
            self.unborn = Some(path);
            return Ok(());
        }
        if first > self.head.next {
            self.lost.insert((self.head.next, first));
            self.head = header.unwrap_or(ChainHead {
                next: first,
                prev: Digest::default(),
            });
        } else if self.head.prev == Digest::default()
            && let Some(header) = header
        {
            self.head = header;
        }
        let limit = match last {
            true => torn_at(&mut frames, self.head.next, &self.keys).map_err(failed())?,
            false => None,
        };
        let mut segment = Segment::new(
            path.clone(),
            ChainHead {
                next: first,
                ..self.head
            },
        );
        segment.damaged = header.is_none();
        let mut walk = Walk::new(&mut frames, self.head.next);
        while Some(walk.at) != limit {
            match walk.next(&self.keys).map_err(failed())? {
                Step::Record(entry) => {
                    segment.durable = entry.frame.durable;
                    segment.note(entry.body.index, entry.frame.at, entry.frame.end);
                    self.take(&entry.record, &entry.body);
                }
                Step::Damage(_) => segment.damaged = true,
                Step::End => break,
            }
        }
        if let Some(at) = limit {
            self.cut = Some(Cut {
                index: self.head.next,
                bytes: frames.rest(at).map_err(failed())?,
            });
        }
        self.segments.push(segment);
        Ok(())
    }

    fn take(&mut self, record: &SealedRecord, body: &RecordBody) {
        let from = self.checkpoint.head.next;
        if body.index > self.head.next {
            self.lost.insert((self.head.next, body.index));
        } else if body.prev != self.head.prev && self.head.prev != Digest::default() {
            self.lost.insert((body.index, body.index));
        }
        self.head = ChainHead {
            next: body.index + 1,
            prev: record.digest(),
        };
        if let Some(Event::Genesis { evidence_key, .. }) = body.event()
            && !self.keys.contains(&evidence_key)
        {
            self.keys.push(evidence_key);
        }
        if body.index >= from {
            self.checkpoint.state.apply(body);
        }
    }
}

/// Where the last segment was torn; `None` when it ends cleanly or what is bad in it had been on
/// the disk before, which a torn write cannot explain.
///
/// A write may be torn in any way as long as it was not synced: a later frame of the same unsynced
/// stretch can be whole where an earlier one is not. What tells the two is the frames behind the
/// bad place: if none of them was written after that place had been synced, nobody was ever told
/// that anything there was safe.
fn torn_at(
    frames: &mut Frames<'_>,
    expected: u64,
    keys: &[VerifyingKey],
) -> io::Result<Option<u64>> {
    let mut bad: Vec<u64> = Vec::new();
    let mut walk = Walk::new(frames, expected);
    loop {
        match walk.next(keys)? {
            Step::Record(entry) => bad.retain(|at| *at >= entry.frame.durable),
            Step::Damage(at) => bad.push(at),
            Step::End => return Ok(bad.first().copied()),
        }
    }
}

/// What comes next in a segment.
pub enum Step {
    /// A record.
    Record(Box<Entry>),
    /// Something bad, from this place on; reading goes on behind it.
    Damage(u64),
    /// Nothing more.
    End,
}

/// A record, and the frame in which it lies.
pub struct Entry {
    /// The frame.
    pub frame: Frame,
    /// The record.
    pub record: SealedRecord,
    /// What it says.
    pub body: RecordBody,
}

/// Goes through the records of one segment, and over what is bad in it.
pub struct Walk<'w, 'f> {
    frames: &'w mut Frames<'f>,
    /// Where the next step will be read.
    pub at: u64,
    expected: u64,
    /// Found behind damage, to be returned next.
    found: Option<Frame>,
    ended: bool,
}

impl<'w, 'f> Walk<'w, 'f> {
    /// From the first frame on; records before `expected` are not taken.
    pub const fn new(frames: &'w mut Frames<'f>, expected: u64) -> Self {
        Self::from(frames, segment::HEADER_BYTES, expected)
    }

    /// From the frame at `at` on.
    pub const fn from(frames: &'w mut Frames<'f>, at: u64, expected: u64) -> Self {
        Self {
            frames,
            at,
            expected,
            found: None,
            ended: false,
        }
    }

    /// What is walked through.
    pub const fn frames(&self) -> &Frames<'f> {
        self.frames
    }

    /// The next step.
    pub fn next(&mut self, keys: &[VerifyingKey]) -> io::Result<Step> {
        if self.ended {
            return Ok(Step::End);
        }
        let found = match self.found.take() {
            Some(frame) => Found::Frame(frame),
            None => self.frames.read(self.at)?,
        };
        match found {
            Found::End => {
                self.ended = true;
                return Ok(Step::End);
            }
            Found::Frame(frame) => {
                if let Some((record, body)) = parse(&frame, self.expected) {
                    self.expected = body.index + 1;
                    self.at = frame.end;
                    return Ok(Step::Record(Box::new(Entry {
                        frame,
                        record,
                        body,
                    })));
                }
            }
            Found::Damage => {}
        }
        let (bad, expected) = (self.at, self.expected);
        let genuine = |frame: &Frame| {
            parse(frame, expected).is_some_and(|(record, body)| is_signed(&record, &body, keys))
        };
        self.found = self.frames.seek(bad + 1, genuine)?;
        match &self.found {
            Some(frame) => self.at = frame.at,
            None => self.ended = true,
        }
        Ok(Step::Damage(bad))
    }
}

/// The record in a frame, if it is one with this index or a later one.
pub fn parse(frame: &Frame, expected: u64) -> Option<(SealedRecord, RecordBody)> {
    let record: SealedRecord = cbor::from_slice(&frame.record).ok()?;
    let body = record.body().ok()?;
    // No record could follow one with the last number there is.
    (expected..u64::MAX)
        .contains(&body.index)
        .then_some((record, body))
}

fn is_signed(record: &SealedRecord, body: &RecordBody, keys: &[VerifyingKey]) -> bool {
    let before = ChainHead {
        next: body.index,
        prev: body.prev,
    };
    keys.iter()
        .any(|key| ChainVerifier::new(*key, before).check(record).is_ok())
}
