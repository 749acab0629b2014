//! Opening a file that should be a plain one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Opens a file for reading and makes sure, on the open descriptor, that it is a regular one. A
/// FIFO or a device in its place does not block.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_plain_file_is_refused_at_once() {
        for path in ["/dev/zero", "/tmp"] {
            let error = open(Path::new(path)).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file");
        }
        assert!(open(Path::new("/etc/passwd")).is_ok());
    }
}
