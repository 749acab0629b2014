//! Programs, told by what is in them: which cron this is, and whether it asks PAM.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::deferred::cron::Kind;
use crate::host::root::{FileStamp, HostRoot, ReadError};

const PROGRAM_BYTES_MAX: u64 = 64 << 20;

/// What was learnt of programs, kept while the file stays the same.
#[derive(Debug, Default)]
pub struct Daemons {
    known: BTreeMap<PathBuf, (FileStamp, Daemon)>,
}

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Daemon {
    /// Which cron it is, if it is one.
    pub kind: Kind,
    /// Whether it is linked with PAM.
    pub asks_pam: bool,
}

impl Daemons {
    /// The first of these programs that is installed.
    pub fn first(
        &mut self,
        root: &HostRoot,
        programs: &[&str],
    ) -> Result<Option<Daemon>, ReadError> {
        for program in programs {
            match self.one(root, Path::new(program)) {
                Err(error) if error.is_missing() => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    fn one(&mut self, root: &HostRoot, program: &Path) -> Result<Daemon, ReadError> {
        let standing = root.stat(program)?;
        let stamp = FileStamp::from(&standing.stat);
        if let Some((known, daemon)) = self.known.get(program)
            && *known == stamp
        {
            return Ok(*daemon);
        }
        let file = root.read(program, PROGRAM_BYTES_MAX)?;
        let daemon = Daemon {
            kind: Kind::of_program(&file.bytes),
            asks_pam: memchr::memmem::find(&file.bytes, b"libpam.so").is_some(),
        };
        self.known.insert(program.to_owned(), (file.stamp, daemon));
        Ok(daemon)
    }
}
