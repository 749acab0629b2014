//! All that decides what a path leads to: every directory and link on the way to it, with their
//! owners and modes. Nothing is opened that is not a directory, but to ask for its ACL.
//!
//! Links are followed whoever made them, for that is what programs do that use the path. Nothing of
//! what is found is read.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::looked::{Looked, PARTS_MAX, Part, Trace};
use super::read::failed;
use super::why::{LinkTrouble, Step, Why};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::{Errno, errno, xattr};

/// Links followed in one path (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Looks at a path with the rights this process has now.
pub(super) fn trace(root: BorrowedFd<'_>, trace: &Trace) -> Result<Looked, Why> {
    let stat = fs::fstat(root).map_err(|error| failed(Step::Walk, error))?;
    let mut way = Way {
        root,
        parts: Vec::new(),
        entered: Vec::new(),
    };
    way.add(b"", None, &stat, Vec::new());
    let mut ahead = components(&trace.path);
    let mut links = 0;
    // The end, when it is a directory that was entered already.
    let mut last = (0, b".".to_vec());
    while let Some(name) = ahead.pop() {
        if name == b".." {
            way.entered.pop();
            last = (way.here(), b".".to_vec());
            continue;
        }
        let handle = match fs::open_handle(way.fd(), OsStr::from_bytes(&name)).map_err(errno) {
            Ok(handle) => handle,
            Err(Errno::ENOENT) if ahead.is_empty() => return Ok(way.ends(None, name)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(Why::Missing),
            Err(Errno::EACCES | Errno::EPERM) => return Err(Why::Denied { uid: 0 }),
            Err(errno) => return Err(failed(Step::Walk, errno)),
        };
        let stat = fs::fstat(&handle).map_err(|error| failed(Step::Walk, error))?;
        if way.parts.len() >= PARTS_MAX {
            return Err(Why::PathTooLong);
        }
        let acl = acl_of(way.fd(), &name, &stat)?;
        let part = way.add(&name, Some(way.here()), &stat, acl);
        match stat.kind {
            FileKind::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Why::Links(LinkTrouble::TooMany));
                }
                let text = fs::read_link(&handle, OsStr::new(""));
                let text = text.map_err(|error| failed(Step::Walk, error))?;
                if text.as_bytes().first() == Some(&b'/') {
                    way.entered.clear();
                }
                ahead.extend(components(text.as_bytes()));
                last = (way.here(), b".".to_vec());
            }
            FileKind::Directory => {
                last = (way.here(), name);
                way.entered.push((part, handle));
                if ahead.is_empty() {
                    let (directory, name) = last;
                    return Ok(Looked {
                        end: Some(part),
                        directory,
                        name,
                        parts: way.parts,
                    });
                }
            }
            _ if ahead.is_empty() => return Ok(way.ends(Some(part), name)),
            _ => return Err(Why::Missing),
        }
    }
    let (directory, name) = last;
    Ok(Looked {
        end: Some(way.here()),
        directory,
        name,
        parts: way.parts,
    })
}

/// The way that was gone.
struct Way<'r> {
    root: BorrowedFd<'r>,
    parts: Vec<Part>,
    /// The directories we are in, by their places among the parts.
    entered: Vec<(u32, OwnedFd)>,
}

impl Way<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }

    fn here(&self) -> u32 {
        self.entered.last().map_or(0, |(part, _)| *part)
    }

    fn add(&mut self, name: &[u8], within: Option<u32>, stat: &FileStat, acl: Vec<u8>) -> u32 {
        let place = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.push(Part {
            name: name.to_vec(),
            within,
            kind: stat.kind,
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
            acl,
        });
        place
    }

    fn ends(self, end: Option<u32>, name: Vec<u8>) -> Looked {
        Looked {
            end,
            directory: self.here(),
            name,
            parts: self.parts,
        }
    }
}

/// The ACL of a file or directory, where its mode leaves room for one that matters: the group's
/// bits are then the most that it can give.
fn acl_of(dir: BorrowedFd<'_>, name: &[u8], stat: &FileStat) -> Result<Vec<u8>, Why> {
    let group = stat.mode >> 3 & 0o7;
    if group & !(stat.mode & 0o7) == 0 {
        return Ok(Vec::new());
    }
    let name = OsStr::from_bytes(name);
    let opened: OwnedFd = match stat.kind {
        FileKind::Directory => fs::open_dir(dir, name).map_err(not_opened)?,
        FileKind::Regular => fs::open_read(dir, name).map_err(not_opened)?.into(),
        _ => return Ok(Vec::new()),
    };
    let acl = xattr::get(opened, c"system.posix_acl_access");
    let acl = acl.map_err(|error| failed(Step::Read, error))?;
    Ok(acl.unwrap_or_default())
}

/// Why what was there a moment ago could not be opened.
fn not_opened(error: io::Error) -> Why {
    match errno(error) {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => Why::Unsteady,
        Errno::EACCES | Errno::EPERM => Why::Denied { uid: 0 },
        errno => failed(Step::Open, errno),
    }
}

/// The names of a path, last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
