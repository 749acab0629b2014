#![forbid(unsafe_code)]
//! Keeping a survey, and reading it back, in the index's process: see `index_process`.
//!
//! What goes in and comes out are frames: the head, pieces of sections, the end. Whatever sled
//! does to that process, here it is an error.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::message::{InventoryPart, SectionDigest};
use rescind_protocol::name::{Digest, SectionName, UnixMillis};

use super::index::{Index, IndexError};
use super::index_process::{KEEP_PATIENCE, Work, unavailable};
use super::kept_survey::{self, Front, Keeping};

const HEAD: u8 = 1;
const PIECE: u8 = 2;
const END: u8 = 3;
/// Bytes of a section in one frame.
const PIECE_BYTES: usize = 64 * 1024;
/// sled keeps what was taken away; when an index has so many times the size of its contents, and
/// more than so much, it is written anew.
const BLOAT_MAX: u64 = 4;
const BLOAT_BYTES_MIN: u64 = 8 << 20;

/// What a survey begins with.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Head {
    #[n(0)]
    taken_at: UnixMillis,
    #[n(1)]
    sections: Vec<SectionDigest>,
}

/// Where the last survey of the store in `dir` lies.
fn place(dir: &Path) -> PathBuf {
    dir.join("survey")
}

/// In the index's process: takes a survey in from standard input.
pub(super) fn keep(dir: &Path) -> Result<(), IndexError> {
    let path = place(dir);
    let index = open(&path)?;
    let left = take_in(&index)?;
    match size_on_disk(&path) > (left * BLOAT_MAX).max(BLOAT_BYTES_MIN) {
        true => write_anew(&index, &path),
        false => Ok(()),
    }
}

fn open(path: &Path) -> Result<Index, IndexError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(unavailable)?;
    Index::open(path)
}

/// Copies what is kept into another index, and puts that in the place of this one. Interrupted, it
/// leaves the one or the other, or none. This one stays open: once closed, its lock is held by
/// sled's threads for a moment more, and it could not be opened again.
fn write_anew(index: &Index, path: &Path) -> Result<(), IndexError> {
    let fresh = path.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(unavailable)?;
    }
    kept_survey::copy(index, &open(&fresh)?)?;
    fs::remove_dir_all(path)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(unavailable)
}

/// Takes a survey in; how many bytes are kept then.
fn take_in(index: &Index) -> Result<u64, IndexError> {
    let mut stdin = io::stdin().lock();
    let mut frames = FrameBuffer::default();
    let mut next = || -> Result<Frame, IndexError> {
        let frame = frames.read_from(&mut stdin).map_err(unavailable)?;
        frame.ok_or_else(|| unavailable("the survey was cut off"))
    };
    let head: Head = body(&next()?, HEAD)?;
    let sections: Vec<(SectionName, Digest)> = head
        .sections
        .into_iter()
        .map(|one| (one.section, one.digest))
        .collect();
    let mut keeping = Keeping::begin(index, head.taken_at, &sections)?;
    let mut known = BTreeMap::new();
    loop {
        let frame = next()?;
        if frame.kind == END {
            return keeping.finish();
        }
        let part: InventoryPart = body(&frame, PIECE)?;
        let section = (part.section, part.digest);
        let is_known = match known.get(&section) {
            Some(is_known) => *is_known,
            None => {
                let has = keeping.has(&section.0, section.1)?;
                known.insert(section.clone(), has);
                has
            }
        };
        if !is_known {
            keeping.take(&section.0, section.1, &part.json)?;
        }
    }
}

/// In the index's process: writes what is kept to standard output.
pub(super) fn tell(dir: &Path) -> Result<(), IndexError> {
    let path = place(dir);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let none = || -> Result<(), IndexError> {
        let mut out = io::stdout().lock();
        write(&mut out, END, Vec::new())
            .and_then(|()| out.flush())
            .map_err(unavailable)
    };
    if !path.try_exists().map_err(unavailable)? {
        return none();
    }
    let index = Index::open(&path)?;
    let Some(front) = kept_survey::front(&index)? else {
        return none();
    };
    write(&mut out, HEAD, cbor::to_vec(&front)).map_err(unavailable)?;
    for (section, states) in &front.sections {
        let digests = [Some(states.now), states.before];
        for state in digests.into_iter().flatten() {
            let json = kept_survey::read(&index, section, state.digest)?;
            let json = json.unwrap_or_default();
            write_section(&mut out, section, state.digest, &json).map_err(unavailable)?;
        }
    }
    write(&mut out, END, Vec::new())
        .and_then(|()| out.flush())
        .map_err(unavailable)
}

fn body<T: for<'b> Decode<'b, ()>>(frame: &Frame, kind: u8) -> Result<T, IndexError> {
    if frame.kind != kind {
        return Err(unavailable("a frame that was not expected"));
    }
    cbor::from_slice(&frame.body).map_err(unavailable)
}

fn write(out: &mut impl Write, kind: u8, body: Vec<u8>) -> io::Result<()> {
    out.write_all(&Frame { kind, body }.to_bytes())
}

fn write_section(
    out: &mut impl Write,
    section: &SectionName,
    digest: Digest,
    json: &[u8],
) -> io::Result<()> {
    let mut at = 0;
    for piece in json.chunks(PIECE_BYTES) {
        let part = InventoryPart {
            section: section.clone(),
            digest,
            json: piece.to_vec(),
            last: at + piece.len() == json.len(),
            at: at as u64,
        };
        at += piece.len();
        write(out, PIECE, cbor::to_vec(&part))?;
    }
    Ok(())
}

/// Bytes of the files in a directory; what cannot be told counts for nothing.
fn size_on_disk(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_on_disk(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A survey to be kept: its sections, and the JSON of those whose state may not be known.
#[derive(Debug)]
pub struct Kept<'s> {
    /// When it was taken.
    pub taken_at: UnixMillis,
    /// Its sections.
    pub sections: Vec<SectionDigest>,
    /// The JSON of some of them.
    pub json: Vec<(&'s SectionDigest, &'s [u8])>,
}

/// Keeps a survey in the store in `dir`, by `program` as the index's process. A damaged index is
/// thrown away, so that the next survey can be kept.
pub fn keep_survey(program: &Path, dir: &Path, survey: &Kept<'_>) -> Result<(), IndexError> {
    let arguments = [OsStr::new("keep"), dir.as_os_str()];
    let mut work = Work::start_with_input(program, &arguments, KEEP_PATIENCE)?;
    let sent = match work.input() {
        Some(mut input) => send(&mut input, survey),
        None => Ok(()),
    };
    // Why it did not take everything, it says itself.
    let done = work.finish();
    if let Err(IndexError::Bad(_)) = &done {
        fs::remove_dir_all(place(dir)).map_err(unavailable)?;
    }
    done?;
    sent.map_err(unavailable)
}

fn send(input: &mut impl Write, survey: &Kept<'_>) -> io::Result<()> {
    let head = Head {
        taken_at: survey.taken_at,
        sections: survey.sections.clone(),
    };
    write(input, HEAD, cbor::to_vec(&head))?;
    for (of, json) in &survey.json {
        write_section(input, &of.section, of.digest, json)?;
    }
    write(input, END, Vec::new())?;
    input.flush()
}

/// The last survey as it was kept.
#[derive(Debug, Default)]
pub struct LastSurvey {
    /// Its sections and when they were so.
    pub front: Front,
    /// Their JSON, by section and digest.
    pub json: BTreeMap<(SectionName, Digest), Vec<u8>>,
}

/// Reads the last survey that was kept in the store in `dir`; `None` when there is none.
pub fn last_survey(program: &Path, dir: &Path) -> Result<Option<LastSurvey>, IndexError> {
    if !place(dir).try_exists().map_err(unavailable)? {
        return Ok(None);
    }
    let arguments = [OsStr::new("kept"), dir.as_os_str()];
    let mut work = Work::start(program, &arguments, KEEP_PATIENCE)?;
    let read = match work.output() {
        Some(output) => read_survey(output),
        None => Ok(None),
    };
    work.finish()?;
    read.map_err(unavailable)
}

fn read_survey(mut output: impl Read) -> io::Result<Option<LastSurvey>> {
    let bad = |error: cbor::Malformed| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut frames = FrameBuffer::default();
    let mut survey = None;
    while let Some(frame) = frames.read_from(&mut output)? {
        match (frame.kind, &mut survey) {
            (END, _) => return Ok(survey),
            (HEAD, None) => {
                survey = Some(LastSurvey {
                    front: cbor::from_slice(&frame.body).map_err(bad)?,
                    json: BTreeMap::new(),
                });
            }
            (PIECE, Some(survey)) => {
                let part: InventoryPart = cbor::from_slice(&frame.body).map_err(bad)?;
                let json = survey.json.entry((part.section, part.digest)).or_default();
                json.extend_from_slice(&part.json);
            }
            _ => break,
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
