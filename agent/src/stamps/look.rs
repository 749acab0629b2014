//! The child's side: looks at the names of a tree, one directory after the other.
//!
//! It does so as root, without becoming the owner of what it looks at. That keeps what the owner's
//! ids are for: nothing is opened but directories, as mere handles (and, for their ACL, those on the
//! way to what was looked at); each by its name in a directory that is held, never through a
//! symbolic link; so nobody is read for who could not be, and whatever somebody puts in the way
//! meanwhile can only show as another state. What it gives up is that a file system of the owner's
//! own is asked by root: it may not answer. Therefore this runs in a child that is left behind then.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use minicbor::{Decode, Encode};
use rescind_protocol::sign::sha256;

use super::tree::{Ask, MISSING, Seen, Sight, Stamp};
use crate::sys::fs::{self, FileKind, FileStat, Local};
use crate::sys::{Errno, errno, ids, xattr};

/// How old a change must be to be the one that was read, in seconds since 1970.
///
/// The clock of file systems is coarse; that is all for directories, links and what is root's. The
/// content of a user's file can be changed through a mapping of it without any change of its times,
/// until the kernel writes it to the disk (after half a minute, usually) and notices the next write
/// again. On a file system in memory it never does, and nothing of a user's is trusted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Settled {
    /// Before this, for all but users' files.
    #[n(0)]
    pub before_s: i64,
    /// Before this, for users' files.
    #[n(1)]
    pub users_before_s: i64,
}

/// Looks at names, and hands over what was seen of each. `settled` is for stamps that are taken;
/// where stamps are compared, a change is another stamp.
pub fn look<E>(
    root: BorrowedFd<'_>,
    asks: &[Ask],
    settled: Option<Settled>,
    mut each: impl FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    let mut looking = Looking {
        root,
        entered: Vec::new(),
        judge: Judge {
            settled,
            local: BTreeMap::new(),
        },
    };
    for (nth, ask) in asks.iter().enumerate() {
        let goes_on = asks
            .get(nth + 1)
            .is_some_and(|next| next.depth == ask.depth + 1);
        let seen = looking.one(ask, goes_on).unwrap_or_else(|error| Seen {
            stamp: MISSING,
            link: None,
            doubt: Some(format!("cannot be looked at: {error}")),
        });
        each(seen)?;
    }
    Ok(())
}

struct Looking<'r> {
    root: BorrowedFd<'r>,
    /// The directories we are in below the root; `None` for one that is none.
    entered: Vec<Option<OwnedFd>>,
    judge: Judge,
}

impl Looking<'_> {
    fn one(&mut self, ask: &Ask, goes_on: bool) -> io::Result<Seen> {
        let Some(above) = (ask.depth as usize).checked_sub(1) else {
            let stat = fs::fstat(self.root)?;
            return self.judge.seen(self.root, OsStr::new("."), ask, &stat);
        };
        self.entered.truncate(above);
        let dir = match self.entered.last() {
            None => self.root,
            Some(Some(dir)) => dir.as_fd(),
            Some(None) => {
                self.entered.push(None);
                return Ok(missing());
            }
        };
        let name = OsStr::from_bytes(&ask.name);
        let entered = match goes_on {
            false => Err(Errno::ENOTDIR),
            true => fs::step_into(dir, name).map_err(errno),
        };
        let stat = match &entered {
            Ok(entered) => fs::fstat(entered).map_err(errno),
            // What it is instead of a directory.
            Err(Errno::ENOTDIR | Errno::ELOOP) => fs::stat_at(dir, name).map_err(errno),
            Err(errno) => Err(*errno),
        };
        let seen = match &stat {
            Ok(stat) => self.judge.seen(dir, name, ask, stat),
            Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Ok(missing()),
            Err(errno) => Err((*errno).into()),
        };
        // What is below is neither a user's nor read: links that lead there are not followed.
        let entered = entered.ok().filter(|_| {
            let dev = stat.as_ref().map_or(0, |stat| stat.dev);
            self.judge.local.get(&dev) != Some(&Local::Kernels)
        });
        self.entered.push(entered);
        seen
    }
}

struct Judge {
    settled: Option<Settled>,
    /// The file systems that were met.
    local: BTreeMap<u64, Local>,
}

impl Judge {
    fn seen(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        ask: &Ask,
        stat: &FileStat,
    ) -> io::Result<Seen> {
        let link = match stat.kind {
            FileKind::Symlink => Some(fs::read_link(dir, name)?.into_vec()),
            _ => None,
        };
        let local = self.local(dir, name, stat)?;
        let sight = match local {
            Local::Kernels => ask.sight.min(Sight::Listed),
            _ => ask.sight,
        };
        Ok(Seen {
            stamp: stamp(dir, name, sight, stat)?,
            link,
            doubt: self.doubt(local, stat).map(str::to_owned),
        })
    }

    fn doubt(&self, local: Local, stat: &FileStat) -> Option<&'static str> {
        if local == Local::No || (local == Local::Kernels && stat.kind == FileKind::Regular) {
            return Some("lies on a file system whose times are not trusted");
        }
        let settled = self.settled.filter(|_| local != Local::Kernels)?;
        let is_users =
            stat.kind == FileKind::Regular && stat.uid != 0 && stat.uid != ids::effective_uid();
        if is_users && local == Local::InMemory {
            return Some("is a user's file on a file system in memory");
        }
        let before = match is_users {
            true => settled.users_before_s,
            false => settled.before_s,
        };
        (stat.ctime.0 >= before).then_some("was changed just before")
    }

    /// Where the change times of something come from.
    fn local(&mut self, dir: BorrowedFd<'_>, name: &OsStr, stat: &FileStat) -> io::Result<Local> {
        if let Some(local) = self.local.get(&stat.dev) {
            return Ok(*local);
        }
        let local = fs::local(fs::open_handle(dir, name)?)?;
        self.local.insert(stat.dev, local);
        Ok(local)
    }
}

fn missing() -> Seen {
    Seen {
        stamp: MISSING,
        link: None,
        doubt: None,
    }
}

/// The state of something as one number. A hash that nobody can aim at: users set most of what
/// goes into it as they like.
fn stamp(dir: BorrowedFd<'_>, name: &OsStr, sight: Sight, stat: &FileStat) -> io::Result<Stamp> {
    let mut bytes = Vec::with_capacity(128);
    let mut add = |number: u64| bytes.extend_from_slice(&number.to_le_bytes());
    add(stat.kind as u64);
    add(stat.dev);
    add(stat.ino);
    add(u64::from(stat.mode));
    add(u64::from(stat.uid) << 32 | u64::from(stat.gid));
    let whole = match stat.kind {
        FileKind::Symlink => true,
        FileKind::Regular => sight >= Sight::Listed,
        FileKind::Directory => sight == Sight::Whole,
        // Devices, FIFOs and sockets are not read; the times of a device say who has used it.
        _ => false,
    };
    if whole {
        add(stat.size);
        for (seconds, nanoseconds) in [stat.mtime, stat.ctime] {
            add(seconds.cast_unsigned());
            add(nanoseconds.cast_unsigned());
        }
    } else if stat.kind == FileKind::Directory && sight != Sight::Listed {
        // Names come and go in it; but who may pass can change without its mode.
        let acl = xattr::get(fs::open_dir(dir, name)?, c"system.posix_acl_access")?;
        bytes.extend(acl.unwrap_or_default());
    }
    let mut stamp = [0; 16];
    stamp.copy_from_slice(&sha256(&[&[sight as u8], &bytes])[..16]);
    Ok(stamp)
}
