//! A file replaced by a new one in one step: a new file beside it with the same mode, group and
//! attributes, synced, renamed over it, the directory synced.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::message::{FileFacts, NotOwners, Replace, Step, Why};
use super::read::{self, failed};
use super::walk::{Place, Walk};
use crate::sys::Errno;
use crate::sys::at::{self, Kind, Stat};

/// Replaces a file with the rights this process has now: those of its user, or root's.
pub(super) fn replace(walk: &Walk<'_>, request: &Replace) -> Result<FileFacts, Why> {
    let place = walk.find(&request.path, None)?;
    let Some((old, stat)) = read::open(walk, &place)? else {
        return Err(Why::Changed);
    };
    if !FileFacts::from(stat).same_content(&request.expected) {
        return Err(Why::Changed);
    }
    if stat.nlink != 1 {
        return Err(Why::HardLinks(stat.nlink));
    }
    let as_root = walk.uid == 0;
    if !as_root && stat.uid != walk.uid {
        return Err(Why::NotOwners(NotOwners::File(stat.uid)));
    }
    let dir = match at::open_directory(place.dir(), b".") {
        Ok(dir) => dir,
        Err(Errno::EACCES) => return Err(Why::NotOwners(NotOwners::Directory)),
        Err(errno) => return Err(failed(Step::Open, errno)),
    };
    let new = NewFile::create(dir.as_fd(), &place, as_root)?;
    new.write(&request.bytes)?;
    new.take_after(&old, &stat, as_root)?;
    at::sync(&new.fd).map_err(|e| failed(Step::Sync, e))?;
    new.rename_over(&place, &stat, as_root)?;
    at::sync(&dir).map_err(|e| failed(Step::Sync, e))?;
    let now = at::stat_open(&new.fd).map_err(|e| failed(Step::Sync, e))?;
    Ok(FileFacts::from(now))
}

/// The file that will take the old one's place; removed when it is dropped before that.
struct NewFile<'a> {
    fd: OwnedFd,
    dir: BorrowedFd<'a>,
    name: Vec<u8>,
}

impl<'a> NewFile<'a> {
    /// The name follows from the old one's, so that what a crash has left is found and taken away
    /// by the next try, and does not pile up.
    fn create(dir: BorrowedFd<'a>, place: &Place<'_>, as_root: bool) -> Result<Self, Why> {
        let mut name = format!(".rescind-{:016x}", fnv1a(&place.name)).into_bytes();
        for attempt in 0..4 {
            match at::create_new(dir, &name) {
                Ok(fd) => return Ok(Self { fd, dir, name }),
                Err(Errno::EEXIST) => match at::remove(dir, &name) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    // A directory, put there to be in the way: another name.
                    Err(_) => name.extend_from_slice(format!("-{attempt}").as_bytes()),
                },
                Err(Errno::EACCES | Errno::EPERM) if !as_root => {
                    return Err(Why::NotOwners(NotOwners::Directory));
                }
                Err(Errno::EPERM) => return Err(Why::Immutable),
                Err(errno) => return Err(failed(Step::Create, errno)),
            }
        }
        Err(failed(Step::Create, Errno::EEXIST))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Why> {
        let errno = |error: std::io::Error| {
            failed(
                Step::Write,
                Errno::from_raw(error.raw_os_error().unwrap_or(0)),
            )
        };
        let mut file = std::fs::File::from(self.fd.try_clone().map_err(errno)?);
        file.write_all(bytes).map_err(errno)
    }

    /// Gives it group, extended attributes (ACLs are such) and mode of the old one; root gives it
    /// the owner too. It is 0600 until the very last of these.
    fn take_after(&self, old: &OwnedFd, stat: &Stat, as_root: bool) -> Result<(), Why> {
        let refused = |not_owners| match as_root {
            true => failed(Step::Attributes, Errno::EPERM),
            false => Why::NotOwners(not_owners),
        };
        let new = at::stat_open(&self.fd).map_err(|e| failed(Step::Attributes, e))?;
        let uid = (new.uid != stat.uid).then_some(stat.uid);
        let gid = (new.gid != stat.gid).then_some(stat.gid);
        if uid.is_some() || gid.is_some() {
            at::set_owner(&self.fd, uid, gid).map_err(|errno| match errno {
                Errno::EPERM => refused(NotOwners::Group(stat.gid)),
                errno => failed(Step::Attributes, errno),
            })?;
        }
        for name in at::attribute_names(old).map_err(|e| failed(Step::Attributes, e))? {
            if NOT_COPIED.contains(&name.to_bytes()) {
                continue;
            }
            self.copy_attribute(old, &name)
                .map_err(|errno| match errno {
                    Errno::EPERM | Errno::EACCES => refused(NotOwners::Attributes),
                    errno => failed(Step::Attributes, errno),
                })?;
        }
        at::set_mode(&self.fd, stat.mode).map_err(|e| failed(Step::Attributes, e))
    }

    fn copy_attribute(&self, old: &OwnedFd, name: &CString) -> Result<(), Errno> {
        let Some(value) = at::attribute(old, name)? else {
            return Ok(());
        };
        // Often it has the right one from its directory, a label for instance, and then it does
        // not matter that the user may not set it.
        if at::attribute(&self.fd, name)?.as_deref() == Some(&value) {
            return Ok(());
        }
        at::set_attribute(&self.fd, name, &value)
    }

    /// Puts it in the old one's place, if the old one is still there and still the same.
    fn rename_over(&self, place: &Place<'_>, old: &Stat, as_root: bool) -> Result<(), Why> {
        let own = at::stat_open(&self.fd).map_err(|e| failed(Step::Rename, e))?;
        let still = |name: &[u8], stat: &Stat| match at::stat_name(self.dir, name) {
            Ok(now) => Ok(now.kind == Kind::File
                && FileFacts::from(now).same_content(&FileFacts::from(*stat))),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(failed(Step::Rename, errno)),
        };
        if !still(&place.name, old)? || !still(&self.name, &own)? {
            return Err(Why::Changed);
        }
        at::rename(self.dir, &self.name, &place.name).map_err(|errno| match errno {
            Errno::EPERM | Errno::EACCES if as_root => Why::Immutable,
            Errno::EPERM | Errno::EACCES => Why::NotOwners(NotOwners::Directory),
            errno => failed(Step::Rename, errno),
        })
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        // After the rename there is no such name; otherwise a next try would remove it, too.
        let _ = at::remove(self.dir, &self.name);
    }
}

/// Attributes that belong to the old content, not to the file: signatures and capabilities.
const NOT_COPIED: [&[u8]; 3] = [b"security.capability", b"security.evm", b"security.ima"];

/// A name's 64-bit FNV-1a hash: short, and the same at every try.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
