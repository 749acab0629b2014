//! Damage that a torn write cannot explain: what can still be read is kept in force, the damaged
//! file is kept aside, nothing is cut off in silence.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rescind_protocol::evidence::ChainHead;
use rescind_protocol::sign::VerifyingKey;

use super::error::StoreError;
use super::frame;
use super::scan::{Segment, Step, Walk};
use super::segment::{self, Frames, Kind};
use crate::sys::durable;

/// The most damaged files kept; the oldest go first.
const KEPT_MAX: usize = 8;

/// Replaces a damaged segment by one with the records that can still be read. The damaged file
/// stays under `damaged/`; at any moment, one of the two stands in its place.
pub fn rewrite(dir: &Path, bad: &Segment, keys: &[VerifyingKey]) -> Result<(), StoreError> {
    let path = &bad.path;
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let temporary = dir.join("salvage.tmp");
    let copy = || -> io::Result<()> {
        let out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        copy_good(&file, &out, bad.begin, keys)?;
        out.sync_all()
    };
    copy().map_err(StoreError::io("write", &temporary))?;
    keep_aside(dir, path)?;
    durable::rename_synced(&temporary, path).map_err(StoreError::io("replace", path))
}

fn copy_good(from: &File, to: &File, begin: ChainHead, keys: &[VerifyingKey]) -> io::Result<()> {
    to.write_all_at(&segment::header(Kind::Segment, begin), 0)?;
    let mut frames = Frames::new(from, begin.next)?;
    let mut good = Vec::new();
    let mut walk = Walk::new(&mut frames, begin.next);
    loop {
        match walk.next(keys)? {
            Step::Record(entry) => good.push(entry.frame.at),
            Step::Damage(_) => {}
            Step::End => break,
        }
    }
    let mut at = segment::HEADER_BYTES;
    for place in good {
        let segment::Found::Frame(found) = frames.read(place)? else {
            continue;
        };
        // All of it is on the disk when the new file takes the old one's place.
        let durable = u32::try_from(at).unwrap_or(u32::MAX);
        let private = frames.private(&found)?;
        let bytes = frame::encode(begin.next, durable, &found.record, &private);
        to.write_all_at(&bytes, at)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Gives a file a second name under `damaged/`, where it stays when the first is taken over.
pub fn keep_aside(dir: &Path, path: &Path) -> Result<PathBuf, StoreError> {
    let aside = dir.join("damaged");
    let failed = || StoreError::io("keep aside", path);
    match fs::DirBuilder::new().mode(0o700).create(&aside) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed())?,
    }
    let mut kept = numbered(&aside)?;
    let number = kept.last().map_or(1, |(last, _)| last + 1);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let to = aside.join(format!("{number:06}-{name}"));
    if fs::hard_link(path, &to).is_err() {
        // A file system without hard links.
        fs::copy(path, &to).map_err(failed())?;
        File::open(&to)
            .and_then(|f| f.sync_all())
            .map_err(failed())?;
    }
    kept.push((number, to.clone()));
    for (_, old) in &kept[..kept.len().saturating_sub(KEPT_MAX)] {
        fs::remove_file(old).map_err(StoreError::io("remove", old))?;
    }
    durable::sync_dir(&aside).map_err(failed())?;
    durable::sync_dir(dir).map_err(failed())?;
    Ok(to)
}

fn numbered(aside: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let failed = || StoreError::io("list", aside);
    let mut kept = Vec::new();
    for entry in fs::read_dir(aside).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.split_once('-'));
        kept.extend(number.and_then(|(n, _)| Some((n.parse().ok()?, entry.path()))));
    }
    kept.sort_unstable();
    Ok(kept)
}
