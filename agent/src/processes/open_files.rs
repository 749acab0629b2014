//! Which processes have which files open, by the names that /proc/PID/fd gives (proc(5)).
//!
//! Only names are read, never the files: what hangs cannot hang this. A process in another mount
//! namespace has other names for its files and is not matched.

use std::collections::{BTreeMap, BTreeSet};

use std::os::unix::ffi::OsStrExt;

use super::table::{Process, Table};
use crate::sys::process::ProcessId;
use crate::sys::{Errno, errno, fs};

/// Descriptors of one process beyond these are not looked at.
const DESCRIPTORS_MAX: usize = 65_536;

/// What is open where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// The processes of each file that was asked for and is open.
    pub by_path: BTreeMap<Vec<u8>, Vec<ProcessId>>,
    /// Processes whose descriptors could not be seen: without CAP_SYS_PTRACE, those of others.
    pub not_seen: usize,
}

impl OpenFiles {
    /// Looks at every process of a table for these paths.
    pub fn look(table: &Table, wanted: &BTreeSet<&[u8]>) -> Self {
        let mut open = Self::default();
        for process in table.processes.iter().filter(|process| !process.kernel) {
            match names_of(process) {
                Ok(names) => {
                    for name in names {
                        if wanted.contains(name.as_slice()) {
                            let holders = open.by_path.entry(name).or_default();
                            if holders.last() != Some(&process.pid) {
                                holders.push(process.pid);
                            }
                        }
                    }
                }
                // It has ended.
                Err(Errno::ENOENT | Errno::ESRCH) => {}
                Err(_) => open.not_seen += 1,
            }
        }
        open
    }
}

fn names_of(process: &Process) -> Result<BTreeSet<Vec<u8>>, Errno> {
    let dir = std::fs::File::open(format!("/proc/{}/fd", process.pid)).map_err(errno)?;
    let open = fs::open_dir(&dir, ".").map_err(errno)?;
    let (descriptors, _) = fs::names(open, DESCRIPTORS_MAX).map_err(errno)?;
    let mut names = BTreeSet::new();
    for descriptor in descriptors {
        match fs::read_link(&dir, &descriptor).map_err(errno) {
            // Sockets and pipes have names without a slash.
            Ok(name) if name.as_bytes().starts_with(b"/") => {
                names.insert(name.as_bytes().to_vec());
            }
            // Closed meanwhile.
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::table::Proc;

    #[test]
    fn a_file_that_we_have_open_is_found() {
        let path = std::env::temp_dir().join(format!("rescind-open-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        let name = std::fs::canonicalize(&path).unwrap();
        let table = Proc::open(std::path::Path::new("/proc"))
            .unwrap()
            .table()
            .unwrap();
        let wanted = BTreeSet::from([name.as_os_str().as_bytes()]);
        let open = OpenFiles::look(&table, &wanted);
        let own = std::process::id().cast_signed();
        assert_eq!(
            open.by_path.get(name.as_os_str().as_bytes()),
            Some(&vec![own])
        );
        drop(file);
        assert!(OpenFiles::look(&table, &wanted).by_path.is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
