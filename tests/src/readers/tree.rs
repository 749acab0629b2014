//! Several files in one input, for readers that include.
//!
//! As tail(1) shows several files: a line `==> PATH <==` begins one. What stands before the first such
//! line is the main file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::told::lines_in;

/// Files by their paths.
#[derive(Debug)]
pub struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
    lines: BTreeMap<PathBuf, u32>,
}

impl Tree {
    /// Takes an input apart.
    pub fn parse(input: &[u8], main: &str) -> Self {
        let mut files = BTreeMap::from([(PathBuf::from(main), Vec::new())]);
        let mut here = PathBuf::from(main);
        for line in input.split_inclusive(|byte| *byte == b'\n') {
            match begins(line) {
                Some(path) => here = PathBuf::from(OsStr::from_bytes(path)),
                None => files
                    .entry(here.clone())
                    .or_default()
                    .extend_from_slice(line),
            }
        }
        let count = |(path, bytes): (&PathBuf, &Vec<u8>)| (path.clone(), lines_in(bytes));
        let lines = files.iter().map(count).collect();
        Self { files, lines }
    }

    /// A file's bytes.
    pub fn get(&self, path: &Path) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// How many lines a file has.
    pub fn lines(&self, path: &Path) -> Option<u32> {
        self.lines.get(path).copied()
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files
            .iter()
            .map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
    }

    /// The names in a directory; `None` where no file lies beneath it.
    pub fn list(&self, directory: &Path) -> Option<Vec<OsString>> {
        let names: BTreeSet<OsString> = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(directory).ok()?.iter().next())
            .map(OsStr::to_owned)
            .collect();
        (!names.is_empty()).then(|| names.into_iter().collect())
    }
}

const PATH_MAX: usize = 4096;

fn begins(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let path = line.strip_prefix(b"==> ")?.strip_suffix(b" <==")?;
    // No system call takes a longer one.
    (path.len() < PATH_MAX).then_some(path)
}
