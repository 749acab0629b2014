//! A file's bytes, with the facts of it and of the way to it.

use std::fs::File;
use std::io;

use zeroize::Zeroizing;

use super::message::{Content, FileBytes, FileFacts, Read};
use super::walk::{Place, Walk};
use super::why::{Step, Why};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::{Errno, errno};

/// How often a file that changes while it is read is read again.
const TRIES: usize = 4;

/// Reads a file with the rights this process has now.
pub(super) fn read(walk: &Walk<'_>, request: &Read) -> Result<Content, Why> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            walk.forget(); // the directories may have been changed for others, too
        }
        let place = walk.find(&request.path, request.home.as_deref())?;
        let Some((file, stat)) = open(walk, &place)? else {
            continue;
        };
        let before = FileFacts::from(stat);
        if before.size > request.max_bytes {
            return Err(Why::TooLarge(request.max_bytes));
        }
        let bytes = read_whole(&file, before.size, request.max_bytes)?;
        let after = FileFacts::from(fs::fstat(&file).map_err(|e| failed(Step::Read, e))?);
        if !after.same_content(&before) || bytes.len() as u64 != after.size {
            continue;
        }
        return Ok(Content {
            bytes: FileBytes(bytes),
            facts: after,
            real_path: place.real_path(),
            links: place.links(),
            dirs: place.dir_facts(),
            home_at: place.home_at(),
        });
    }
    Err(Why::Unsteady)
}

/// Opens the regular file at `place` and says what it is; `None` when it was changed for another meanwhile.
///
/// Only what stat(2) has called regular is opened at all: opening a FIFO wakes its writer, and
/// opening a device may move it.
pub(super) fn open(walk: &Walk<'_>, place: &Place<'_>) -> Result<Option<(File, FileStat)>, Why> {
    if place.stat.kind != FileKind::Regular {
        return Err(Why::NotRegular(place.stat.kind));
    }
    let file = match fs::open_read(place.dir(), place.name()).map_err(errno) {
        Ok(file) => file,
        // What has taken its place is a link, or a socket.
        Err(Errno::ELOOP | Errno::ENXIO) => return Ok(None),
        Err(Errno::EACCES | Errno::EPERM) => return Err(Why::Denied { uid: walk.uid }),
        Err(Errno::ENOENT) => return Err(Why::Missing),
        Err(errno) => return Err(failed(Step::Open, errno)),
    };
    let stat = fs::fstat(&file).map_err(|e| failed(Step::Open, e))?;
    let same = stat.kind == FileKind::Regular && stat.same_file(&place.stat);
    Ok(same.then_some((file, stat)))
}

/// Reads to the end, but not more than `max` bytes. `size` bytes are taken for the whole file: the
/// caller asks afterwards whether that is still its size.
fn read_whole(file: &File, size: u64, max: u64) -> Result<Zeroizing<Vec<u8>>, Why> {
    // One more than there should be, so that a file that has grown shows it.
    let room = usize::try_from(size.min(max)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut len = 0;
    loop {
        if len == bytes.len() {
            if len as u64 > max {
                return Err(Why::TooLarge(max));
            }
            let most = usize::try_from(max).unwrap_or(usize::MAX - 1) + 1;
            // A new buffer, not a grown one: growing would leave a copy that nobody erases.
            let mut longer = Zeroizing::new(vec![0; (2 * len).max(4096).min(most)]);
            longer[..len].copy_from_slice(&bytes);
            bytes = longer;
        }
        match fs::read(file, &mut bytes[len..]).map_err(errno) {
            Ok(0) => break,
            Ok(more) => {
                len += more;
                if len as u64 == size {
                    break;
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(Step::Read, errno)),
        }
    }
    if len as u64 > max {
        return Err(Why::TooLarge(max));
    }
    bytes.truncate(len);
    Ok(bytes)
}

pub(super) fn failed(step: Step, error: impl Into<io::Error>) -> Why {
    match errno(error.into()) {
        Errno::EROFS => Why::ReadOnly,
        errno => Why::Io {
            step,
            errno: errno as i32,
        },
    }
}
