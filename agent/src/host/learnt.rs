//! What was learnt of large files that seldom change, such as programs: kept while the file stays
//! the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::root::{FileStamp, HostRoot, ReadError};

/// By path, what each file came to.
#[derive(Debug)]
pub struct Learnt<T> {
    known: BTreeMap<PathBuf, (FileStamp, T)>,
}

impl<T> Default for Learnt<T> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
        }
    }
}

impl<T: Clone> Learnt<T> {
    /// What `learn` makes of a file's content, which is read only when another file, or another
    /// state of it, is there than the last time.
    pub fn of(
        &mut self,
        root: &HostRoot,
        path: &Path,
        max_bytes: u64,
        learn: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, ReadError> {
        let stamp = FileStamp::from(&root.stat(path)?.stat);
        if let Some((known, learnt)) = self.known.get(path)
            && *known == stamp
        {
            return Ok(learnt.clone());
        }
        let file = root.read(path, max_bytes)?;
        let learnt = learn(&file.bytes);
        self.known
            .insert(path.to_owned(), (file.stamp, learnt.clone()));
        Ok(learnt)
    }
}
