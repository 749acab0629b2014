//! A file tree in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::files::{Dialect, ReadProblem, SUDOERS, SudoersFiles};
use super::tree::Sudoers;

/// Paths and what reading them gives.
#[derive(Default)]
pub(super) struct Files(BTreeMap<PathBuf, Result<Vec<u8>, ReadProblem>>);

impl Files {
    pub(super) fn sudoers(text: impl AsRef<[u8]>) -> Self {
        Self::default().with(SUDOERS, text)
    }

    pub(super) fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.insert(path.into(), Ok(text.as_ref().to_vec()));
        self
    }

    pub(super) fn without(mut self, path: &str, problem: ReadProblem) -> Self {
        self.0.insert(path.into(), Err(problem));
        self
    }

    pub(super) fn parse(&self, dialect: Dialect) -> Sudoers {
        super::parse(self, Path::new(SUDOERS), b"web1", dialect)
    }
}

impl SudoersFiles for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        self.0
            .get(path)
            .cloned()
            .unwrap_or(Err(ReadProblem::Missing))
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem> {
        if let Some(Err(problem)) = self.0.get(dir) {
            return Err(problem.clone());
        }
        let names: BTreeSet<OsString> = self
            .0
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| path.file_name().map(OsString::from))
            .collect();
        if names.is_empty() {
            Err(ReadProblem::Missing)
        } else {
            Ok(names.into_iter().rev().collect())
        }
    }
}
