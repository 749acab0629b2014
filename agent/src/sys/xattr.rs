//! Extended attributes (xattr(7)): access control lists, security labels, and what people add.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

/// The names of a file's attributes; none on a file system that has no attributes.
///
/// The descriptor is one that was opened for reading or writing, not a mere handle.
pub fn list(fd: impl AsFd) -> io::Result<Vec<CString>> {
    let raw = fd.as_fd().as_raw_fd();
    let names = sized(|buffer| {
        // SAFETY: `buffer` is writable memory of the length that is passed with it; the
        // descriptor is borrowed and so is open.
        unsafe { libc::flistxattr(raw, buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    match names {
        Ok(names) => Ok(names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .filter_map(|name| CString::new(name).ok()) // split at NUL: holds none
            .collect()),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(Vec::new()),
        Err(errno) => Err(errno.into()),
    }
}

/// The value of an attribute, `None` where the file has none of that name.
pub fn get(fd: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let raw = fd.as_fd().as_raw_fd();
    let value = sized(|buffer| {
        // SAFETY: `name` ends in NUL; `buffer` is writable memory of the length that is passed
        // with it; the descriptor is borrowed and so is open.
        unsafe { libc::fgetxattr(raw, name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets an attribute, in the place of one of that name.
pub fn set(fd: impl AsFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    // SAFETY: `name` ends in NUL; `value` is readable memory of the length that is passed with
    // it; the descriptor is borrowed and so is open.
    let rc = unsafe { libc::fsetxattr(raw, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Ok(Errno::result(rc).map(drop)?)
}

/// Takes an attribute away.
pub fn remove(fd: impl AsFd, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends in NUL; the descriptor is borrowed and so is open.
    let rc = unsafe { libc::fremovexattr(fd.as_fd().as_raw_fd(), name.as_ptr()) };
    Ok(Errno::result(rc).map(drop)?)
}

/// Gives `to` exactly the attributes that `from` has; on failure says which one it was.
///
/// Left out is what belongs to the old content and not to the file: the kernel's own seals over it
/// (`security.ima`, `security.evm`) and the capabilities of a program. What `to` has already, a
/// label from its directory for instance, is not set again: its user might not be allowed to.
pub fn copy(from: impl AsFd, to: impl AsFd) -> Result<(), (CString, io::Error)> {
    let all = |error| (c"*".to_owned(), error);
    let wanted = list(&from).map_err(all)?;
    let present = list(&to).map_err(all)?;
    for name in wanted.iter().filter(|name| !is_of_content(name)) {
        let copy_one = || match get(&from, name)? {
            Some(value) if get(&to, name)?.as_ref() != Some(&value) => set(&to, name, &value),
            _ => Ok(()),
        };
        copy_one().map_err(|error| (name.clone(), error))?;
    }
    // A directory's default ACL falls on every file that is made in it; labels cannot be removed.
    for name in present.iter().filter(|name| !wanted.contains(name)) {
        if !name.to_bytes().starts_with(b"security.") {
            remove(&to, name).map_err(|error| (name.clone(), error))?;
        }
    }
    Ok(())
}

fn is_of_content(name: &CStr) -> bool {
    matches!(
        name.to_bytes(),
        b"security.ima" | b"security.evm" | b"security.capability"
    )
}

/// Calls until the answer fits: first with room for most, then with what the kernel asks for.
fn sized(mut call: impl FnMut(&mut [u8]) -> libc::ssize_t) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 512];
    loop {
        match Errno::result(call(&mut buffer)) {
            Ok(len) => {
                buffer.truncate(usize::try_from(len).unwrap_or(0)); // result() refused negatives
                return Ok(buffer);
            }
            // XATTR_SIZE_MAX and XATTR_LIST_MAX are 64 KiB (linux/limits.h).
            Err(Errno::ERANGE) if buffer.len() < 65_536 => buffer.resize(65_536, 0),
            Err(errno) => return Err(errno),
        }
    }
}
