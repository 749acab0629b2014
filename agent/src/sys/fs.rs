//! Files and directories by descriptor.
//!
//! Names are opened relative to an open directory, one at a time and never through a symbolic
//! link, so that what was checked is what is used. Nothing here is newer than Linux 3.10: no
//! openat2(2), no renameat2(2).

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{self, AT_FDCWD, AtFlags, OFlag};
use nix::libc;
use nix::sys::stat::{self, Mode};
use nix::sys::statfs;
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::Errno;

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum FileKind {
    /// A regular file.
    #[n(0)]
    Regular,
    /// A directory.
    #[n(1)]
    Directory,
    /// A symbolic link.
    #[n(2)]
    Symlink,
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

impl FileKind {
    fn of_mode(mode: libc::mode_t) -> Self {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Self::Regular,
            libc::S_IFDIR => Self::Directory,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Fifo,
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFCHR => Self::CharDevice,
            libc::S_IFBLK => Self::BlockDevice,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Other => "something unknown",
        })
    }
}

/// An instant of a file system: seconds since 1970 and nanoseconds.
pub type FileTime = (i64, i64);

/// What stat(2) says of a file, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Device that holds it.
    pub dev: u64,
    /// Inode number on that device.
    pub ino: u64,
    /// Names it has.
    pub nlink: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of content.
    pub mtime: FileTime,
    /// Last change of content, owner, mode, names or attributes; cannot be set back by a user.
    pub ctime: FileTime,
}

impl FileStat {
    /// Whether both are the same file (not: the same content).
    pub fn same_file(&self, other: &FileStat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

// The fields of `struct stat` are narrower on 32-bit targets, where these conversions do work.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
impl From<stat::FileStat> for FileStat {
    fn from(st: stat::FileStat) -> Self {
        Self {
            kind: FileKind::of_mode(st.st_mode),
            dev: st.st_dev as u64,
            ino: st.st_ino as u64,
            nlink: st.st_nlink as u64,
            uid: st.st_uid,
            gid: st.st_gid,
            mode: st.st_mode & 0o7777,
            // Negative sizes do not exist; a file system that says so has an empty file.
            size: u64::try_from(st.st_size).unwrap_or(0),
            mtime: (i64::from(st.st_mtime), i64::from(st.st_mtime_nsec)),
            ctime: (i64::from(st.st_ctime), i64::from(st.st_ctime_nsec)),
        }
    }
}

impl From<libc::statx> for FileStat {
    fn from(st: libc::statx) -> Self {
        Self {
            kind: FileKind::of_mode(st.stx_mode.into()),
            dev: libc::makedev(st.stx_dev_major, st.stx_dev_minor),
            ino: st.stx_ino,
            nlink: st.stx_nlink.into(),
            uid: st.stx_uid,
            gid: st.stx_gid,
            mode: u32::from(st.stx_mode) & 0o7777,
            size: st.stx_size,
            mtime: (st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec.into()),
            ctime: (st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec.into()),
        }
    }
}

/// Opens a directory for listing and fsync, following links: for paths that an administrator gave.
pub fn open_root_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(AT_FDCWD, path, flags, Mode::empty())?)
}

/// Opens a name in a directory as a mere handle (`O_PATH`): nothing is read, no device wakes up,
/// and of a symbolic link it is the link itself that is held.
pub fn open_handle(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name, flags, Mode::empty())?)
}

/// Opens a directory as a mere handle, to walk on from; `ENOTDIR` when it is a link.
pub fn step_into(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name, flags, Mode::empty())?)
}

/// Opens a directory (`.`: `dir` itself, also where that is a mere handle) for listing and fsync.
pub fn open_dir(dir: impl AsFd, name: impl AsRef<OsStr>) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name.as_ref(), flags, Mode::empty())?)
}

/// Opens a name in a directory for reading: never a link, not waiting for a FIFO's writer or a
/// lease, never taking a terminal. The caller checks what was opened.
pub fn open_read(dir: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NONBLOCK
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name, flags, Mode::empty())?.into())
}

/// Makes a new file, for reading and writing, that did not exist before in any form.
pub fn create_new(dir: impl AsFd, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_RDWR
        | OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name, flags, mode_bits(mode))?.into())
}

/// Opens a lock file for writing, making it where it is missing; what it holds stays.
pub fn open_or_create(dir: impl AsFd, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(dir, name, flags, mode_bits(mode))?.into())
}

/// The text of the symbolic link of that name, or of the one that `dir` is a handle on where the
/// name is empty; `EINVAL` when it is none.
pub fn read_link(dir: impl AsFd, name: &OsStr) -> io::Result<OsString> {
    Ok(fcntl::readlinkat(dir, name)?)
}

/// What an open file or handle is.
pub fn fstat(fd: impl AsFd) -> io::Result<FileStat> {
    Ok(stat::fstat(fd)?.into())
}

/// What a name in a directory is, links not followed.
pub fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<FileStat> {
    Ok(stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.into())
}

/// The same, as far as it is known without asking a server: a file system that does not answer
/// (NFS, FUSE) is not waited for (statx(2), AT_STATX_DONT_SYNC). Its kind is always right; size and
/// times may be old. Before Linux 4.11 as [`stat_at`].
pub fn stat_remembered(dir: impl AsFd, name: &OsStr) -> io::Result<FileStat> {
    let dir = dir.as_fd();
    let text = CString::new(name.as_bytes())?;
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the name is NUL-terminated, and there is room for the answer. (The function of that
    // name is missing in the oldest glibc that we run on.)
    let done = unsafe {
        libc::syscall(
            libc::SYS_statx,
            dir.as_raw_fd(),
            text.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS,
            found.as_mut_ptr(),
        )
    };
    match Errno::result(done) {
        // SAFETY: the kernel has filled it in, and any bytes are a value of it.
        Ok(_) => Ok(unsafe { found.assume_init() }.into()),
        Err(Errno::ENOSYS | Errno::EPERM) => stat_at(dir, name),
        Err(errno) => Err(errno.into()),
    }
}

/// The names in an open directory (which is consumed) without `.` and `..`, in the order of the
/// file system, at most `max`; the flag says that there are more.
pub fn names(dir: OwnedFd, max: usize) -> io::Result<(Vec<OsString>, bool)> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(dir)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == max {
            return Ok((names, true));
        }
        names.push(OsStr::from_bytes(name).to_owned());
    }
    Ok((names, false))
}

/// Reads some bytes; 0 at the end.
pub fn read(fd: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    Ok(unistd::read(fd, into)?)
}

/// Whether an open directory is on procfs, whose names are not files: its links lead to what a
/// process has open, without any walk. Unknown (before Linux 3.12, for `O_PATH`) is an error.
pub fn is_procfs(fd: impl AsFd) -> io::Result<bool> {
    Ok(statfs::fstatfs(fd)?.filesystem_type() == statfs::PROC_SUPER_MAGIC)
}

/// What the change times of a file system are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// Every change of anything sets them, by this kernel's clock.
    OnDisk,
    /// The same, but for what is written through a mapping.
    InMemory,
    /// Nothing; but all names on it are the kernel's own: terminals, processes.
    Kernels,
    /// Another machine, a user's program or nobody sets them.
    No,
}

/// File systems on which this kernel sets the change time of everything (linux/magic.h). Not among
/// them: those of a network, FUSE, and those without change times, as FAT.
const ON_DISK: [i64; 13] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0x794c_7630, // overlayfs: those of what lies below
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
    0x3434,      // NILFS2
    0x7371_7368, // SquashFS
    0xe0f5_e1e2, // EROFS
    0x9660,      // ISO 9660
];
/// tmpfs, which devtmpfs is too, ramfs, mqueue and hugetlbfs.
const IN_MEMORY: [i64; 4] = [0x0102_1994, 0x8584_58f6, 0x1980_0202, 0x9584_58f6];

/// proc, devpts, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, configfs: they are come by
/// where all directories of `/` are looked into, or of `/dev`, the home of an account on Debian.
const KERNELS: [i64; 9] = [
    0x9fa0,
    0x1cd1,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6265_6570,
];

/// What the change times of the file system are worth on which something open is, be it a mere
/// handle. An error before Linux 3.12.
#[allow(clippy::useless_conversion)] // the type's width differs between targets
pub fn local(fd: impl AsFd) -> io::Result<Local> {
    let of_type = i64::from(statfs::fstatfs(fd)?.filesystem_type().0);
    // The kernel's numbers have 32 bits; where the type is as narrow, large ones are negative.
    let of_type = of_type & 0xffff_ffff;
    Ok(match of_type {
        of_type if ON_DISK.contains(&of_type) => Local::OnDisk,
        of_type if IN_MEMORY.contains(&of_type) => Local::InMemory,
        of_type if KERNELS.contains(&of_type) => Local::Kernels,
        _ => Local::No,
    })
}

/// Waits until content and attributes of a file, or the names in a directory, are on disk.
///
/// An error is final: the kernel may have dropped the dirty pages with it, and a second call that
/// succeeds says nothing about them (fsync(2), NOTES).
pub fn fsync(fd: impl AsFd) -> io::Result<()> {
    Ok(unistd::fsync(fd)?)
}

/// Gives a file to an owner and a group; `None` leaves one as it is.
pub fn fchown(fd: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    Ok(unistd::fchown(
        fd,
        uid.map(Uid::from_raw),
        gid.map(Gid::from_raw),
    )?)
}

/// Sets the permission bits of a file.
pub fn fchmod(fd: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(stat::fchmod(fd, mode_bits(mode))?)
}

/// Gives a file another name in the same directory, at once, in the place of what had it before.
pub fn rename_in(dir: impl AsFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(fcntl::renameat(dir.as_fd(), from, dir.as_fd(), to)?)
}

/// Gives a file one more name in the same directory; fails where that name is taken.
pub fn link_in(dir: impl AsFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(unistd::linkat(
        dir.as_fd(),
        from,
        dir.as_fd(),
        to,
        AtFlags::empty(),
    )?)
}

/// Takes a name, not that of a directory, out of a directory.
pub fn unlink_in(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    Ok(unistd::unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
}

/// Why the file system lets nobody change a file, root included: chattr(1) `+i` and `+a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// `+i`: neither content nor names can change.
    Immutable,
    /// `+a`: it can only grow; no name in such a directory can be taken away.
    AppendOnly,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Immutable => "immutable (+i)",
            Self::AppendOnly => "append-only (+a)",
        })
    }
}

/// Whether an open file or directory (not a mere handle) is guarded; a file system that knows no
/// such flags guards nothing.
pub fn guarded(fd: impl AsFd) -> io::Result<Option<Guarded>> {
    let mut flags: libc::c_int = 0;
    // SAFETY: FS_IOC_GETFLAGS writes one int (ioctl_iflags(2)) to the address of `flags`, which
    // lives until the call returns; the descriptor is borrowed and so is open.
    let rc = unsafe {
        libc::ioctl(
            fd.as_fd().as_raw_fd(),
            libc::FS_IOC_GETFLAGS,
            &raw mut flags,
        )
    };
    match Errno::result(rc) {
        Ok(_) if flags & FS_IMMUTABLE_FL != 0 => Ok(Some(Guarded::Immutable)),
        Ok(_) if flags & FS_APPEND_FL != 0 => Ok(Some(Guarded::AppendOnly)),
        Ok(_) => Ok(None),
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn mode_bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

/// linux/fs.h
const FS_IMMUTABLE_FL: libc::c_int = 0x10;
/// linux/fs.h
const FS_APPEND_FL: libc::c_int = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_asking_say_the_same() {
        let dir = File::open("/proc/self").unwrap();
        let etc = File::open("/etc").unwrap();
        for (dir, name) in [(&etc, "passwd"), (&etc, "."), (&dir, "exe"), (&dir, "fd")] {
            let asked = stat_at(dir, name.as_ref()).unwrap();
            let remembered = stat_remembered(dir, name.as_ref()).unwrap();
            // The times of /proc are those of the question.
            let FileStat { mtime, ctime, .. } = asked;
            assert_eq!(
                FileStat {
                    mtime,
                    ctime,
                    ..remembered
                },
                asked,
                "{name}"
            );
        }
        let none = stat_remembered(&etc, "rescind-none".as_ref());
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
