//! A file replaced by a new one in one step: a new file beside it with the same mode, group and
//! attributes, synced, renamed over it, the directory synced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use super::message::{FileFacts, Replace};
use super::read::{self, failed};
use super::walk::{Place, Walk};
use super::why::{NotOwners, Step, Why};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::{Errno, errno, xattr};

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
    let dir = match fs::open_dir(place.dir(), ".").map_err(errno) {
        Ok(dir) => dir,
        Err(Errno::EACCES) => return Err(Why::NotOwners(NotOwners::Directory)),
        Err(errno) => return Err(failed(Step::Open, errno)),
    };
    let new = NewFile::create(dir.as_fd(), &place, as_root)?;
    new.write(&request.bytes)?;
    new.take_after(&old, &stat, as_root)?;
    fs::fsync(&new.file).map_err(|e| failed(Step::Sync, e))?;
    new.rename_over(&place, &stat, as_root)?;
    fs::fsync(&dir).map_err(|e| failed(Step::Sync, e))?;
    let now = fs::fstat(&new.file).map_err(|e| failed(Step::Sync, e))?;
    Ok(FileFacts::from(now))
}

/// The file that will take the old one's place; removed when it is dropped before that.
struct NewFile<'a> {
    file: File,
    dir: BorrowedFd<'a>,
    name: OsString,
}

impl<'a> NewFile<'a> {
    /// The name follows from the old one's, so that what a crash has left is found and taken away
    /// by the next try, and does not pile up.
    fn create(dir: BorrowedFd<'a>, place: &Place<'_>, as_root: bool) -> Result<Self, Why> {
        let mut name = OsString::from(format!(".rescind-{:016x}", fnv1a(place.name().as_bytes())));
        for attempt in 0..4 {
            match fs::create_new(dir, &name, 0o600).map_err(errno) {
                Ok(file) => return Ok(Self { file, dir, name }),
                Err(Errno::EEXIST) => match fs::unlink_in(dir, &name).map_err(errno) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    // A directory, put there to be in the way: another name.
                    Err(_) => name.push(format!("-{attempt}")),
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
        (&self.file)
            .write_all(bytes)
            .map_err(|e| failed(Step::Write, e))
    }

    /// Gives it group, extended attributes (ACLs are such) and mode of the old one; root gives it
    /// the owner too. It is 0600 until the very last of these.
    fn take_after(&self, old: &File, stat: &FileStat, as_root: bool) -> Result<(), Why> {
        let refused = |not_owners| match as_root {
            true => failed(Step::Attributes, Errno::EPERM),
            false => Why::NotOwners(not_owners),
        };
        let new = fs::fstat(&self.file).map_err(|e| failed(Step::Attributes, e))?;
        let uid = (new.uid != stat.uid).then_some(stat.uid);
        let gid = (new.gid != stat.gid).then_some(stat.gid);
        if uid.is_some() || gid.is_some() {
            fs::fchown(&self.file, uid, gid).map_err(|error| match errno(error) {
                Errno::EPERM => refused(NotOwners::Group(stat.gid)),
                errno => failed(Step::Attributes, errno),
            })?;
        }
        xattr::copy(old, &self.file).map_err(|(_, error)| match errno(error) {
            Errno::EPERM | Errno::EACCES => refused(NotOwners::Attributes),
            errno => failed(Step::Attributes, errno),
        })?;
        fs::fchmod(&self.file, stat.mode).map_err(|e| failed(Step::Attributes, e))
    }

    /// Puts it in the old one's place, if the old one is still there and still the same.
    fn rename_over(&self, place: &Place<'_>, old: &FileStat, as_root: bool) -> Result<(), Why> {
        let own = fs::fstat(&self.file).map_err(|e| failed(Step::Rename, e))?;
        let still = |name: &OsStr, stat: &FileStat| match fs::stat_at(self.dir, name).map_err(errno)
        {
            Ok(now) => Ok(now.kind == FileKind::Regular
                && FileFacts::from(now).same_content(&FileFacts::from(*stat))),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(failed(Step::Rename, errno)),
        };
        if !still(place.name(), old)? || !still(&self.name, &own)? {
            return Err(Why::Changed);
        }
        fs::rename_in(self.dir, &self.name, place.name()).map_err(|error| match errno(error) {
            Errno::EPERM | Errno::EACCES if as_root => Why::Immutable,
            Errno::EPERM | Errno::EACCES => Why::NotOwners(NotOwners::Directory),
            errno => failed(Step::Rename, errno),
        })
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        // After the rename there is no such name; otherwise a next try would remove it, too.
        let _ = fs::unlink_in(self.dir, &self.name);
    }
}

/// A name's 64-bit FNV-1a hash: short, and the same at every try.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
