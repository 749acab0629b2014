//! File calls relative to an open directory, one name at a time and never through a link.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::dir::Dir;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::libc;
use nix::sys::stat::{self, FileStat, Mode, SFlag};
use nix::sys::statfs;
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::Errno;

/// What kind of thing a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// A regular file.
    #[n(0)]
    File,
    /// A directory.
    #[n(1)]
    Directory,
    /// A symbolic link.
    #[n(2)]
    Link,
    /// A FIFO.
    #[n(3)]
    Fifo,
    /// A socket.
    #[n(4)]
    Socket,
    /// A character device.
    #[n(5)]
    CharDevice,
    /// A block device.
    #[n(6)]
    BlockDevice,
    /// A kind this program does not know.
    #[n(7)]
    Other,
}

/// An instant of a file system: seconds since 1970 and nanoseconds.
pub type FileTime = (i64, i64);

/// What stat(2) says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits (07777), without the kind.
    pub mode: u32,
    /// Hard links.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Device.
    pub dev: u64,
    /// Inode number.
    pub inode: u64,
    /// Last change of the content.
    pub mtime: FileTime,
    /// Last change of anything; cannot be set back by a user.
    pub ctime: FileTime,
}

impl From<FileStat> for Stat {
    fn from(s: FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Link,
            SFlag::S_IFIFO => Kind::Fifo,
            SFlag::S_IFSOCK => Kind::Socket,
            SFlag::S_IFCHR => Kind::CharDevice,
            SFlag::S_IFBLK => Kind::BlockDevice,
            _ => Kind::Other,
        };
        Self {
            kind,
            uid: s.st_uid,
            gid: s.st_gid,
            mode: s.st_mode & 0o7777,
            nlink: s.st_nlink,
            size: u64::try_from(s.st_size).unwrap_or(0),
            dev: s.st_dev,
            inode: s.st_ino,
            mtime: (s.st_mtime, s.st_mtime_nsec),
            ctime: (s.st_ctime, s.st_ctime_nsec),
        }
    }
}

/// Opens the directory `name` for walking only (`O_PATH`); `ENOTDIR` when it is a link.
pub fn step_into(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fcntl::openat(dir, name, flags, Mode::empty())
}

/// Opens the file `name` for reading: not through a link, not waiting for a FIFO's writer or a
/// lease, not as a controlling terminal.
pub fn open_file(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    fcntl::openat(dir, name, flags, Mode::empty())
}

/// Opens the directory `name` itself (`.` for `dir`), to list it or to sync it.
pub fn open_directory(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_DIRECTORY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC;
    fcntl::openat(dir, name, flags, Mode::empty())
}

/// Makes the file `name`, which must not exist in any form, mode 0600.
pub fn create_new(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    fcntl::openat(dir, name, flags, Mode::from_bits_truncate(0o600))
}

/// What the name `name` is, itself, if it is a link.
pub fn stat_name(dir: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(Stat::from)
}

/// What an open descriptor is.
pub fn stat_open(fd: impl AsFd) -> Result<Stat, Errno> {
    stat::fstat(fd).map(Stat::from)
}

/// The text of the link `name`; `EINVAL` when it is none.
pub fn read_link(dir: impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    fcntl::readlinkat(dir, name).map(OsStringExt::into_vec)
}

/// Renames within a directory, replacing what has the new name.
pub fn rename(dir: impl AsFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
    let dir = dir.as_fd();
    fcntl::renameat(dir, from, dir, to)
}

/// Removes a name that is not a directory.
pub fn remove(dir: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    unistd::unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
}

/// Sets the permission bits of an open file.
pub fn set_mode(fd: impl AsFd, mode: u32) -> Result<(), Errno> {
    stat::fchmod(fd, Mode::from_bits_truncate(mode))
}

/// Sets owner and group of an open file; `None` leaves one as it is.
pub fn set_owner(fd: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    unistd::fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
}

/// Waits until an open file or directory is on the disk.
pub fn sync(fd: impl AsFd) -> Result<(), Errno> {
    unistd::fsync(fd)
}

/// Reads some bytes; 0 at the end.
pub fn read(fd: impl AsFd, into: &mut [u8]) -> Result<usize, Errno> {
    unistd::read(fd, into)
}

/// Whether an open directory is on procfs, whose names are not files: its links lead to what a
/// process has open, without any walk. Unknown (before Linux 3.12, for `O_PATH`) is an error.
pub fn is_procfs(fd: impl AsFd) -> Result<bool, Errno> {
    statfs::fstatfs(fd).map(|fs| fs.filesystem_type() == statfs::PROC_SUPER_MAGIC)
}

/// The names in an open directory (which is consumed), without `.` and `..`, in the directory's
/// own order, at most `max`; the flag says that there were more.
pub fn names(dir: OwnedFd, max: usize) -> Result<(Vec<Vec<u8>>, bool), Errno> {
    let mut dir = Dir::from_fd(dir)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == max {
            return Ok((names, true));
        }
        names.push(name.to_vec());
    }
    Ok((names, false))
}

/// The longest list of extended attribute names, and the longest value: XATTR_LIST_MAX and
/// XATTR_SIZE_MAX of linux/limits.h.
const XATTR_BYTES_MAX: usize = 65_536;

/// The names of an open file's extended attributes; none where the file system has no such thing.
pub fn attribute_names(fd: impl AsFd) -> Result<Vec<CString>, Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: a null buffer of length 0 asks only for the length.
    let len = Errno::result(unsafe { libc::flistxattr(fd, std::ptr::null_mut(), 0) });
    match len {
        Ok(0) | Err(Errno::ENOTSUP | Errno::ENOSYS) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(errno) => return Err(errno),
    }
    let mut list = vec![0_u8; XATTR_BYTES_MAX];
    // SAFETY: the buffer is writable for the length given.
    let len = unsafe { libc::flistxattr(fd, list.as_mut_ptr().cast(), list.len()) };
    let len = usize::try_from(Errno::result(len)?).unwrap_or(0);
    Ok(list[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok()) // split at NUL: none is left inside
        .collect())
}

/// The value of an extended attribute; `None` when the file has none of that name.
pub fn attribute(fd: impl AsFd, name: &CString) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0_u8; XATTR_BYTES_MAX];
    // SAFETY: the name is NUL-terminated and the buffer writable for the length given.
    let len = unsafe {
        libc::fgetxattr(
            fd.as_fd().as_raw_fd(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    match Errno::result(len) {
        Ok(len) => {
            value.truncate(usize::try_from(len).unwrap_or(0));
            Ok(Some(value))
        }
        Err(Errno::ENODATA | Errno::ENOTSUP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Sets an extended attribute.
pub fn set_attribute(fd: impl AsFd, name: &CString, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the name is NUL-terminated and the value readable for the length given.
    let done = unsafe {
        libc::fsetxattr(
            fd.as_fd().as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    Errno::result(done).map(drop)
}
