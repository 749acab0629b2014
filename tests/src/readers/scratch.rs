//! A directory for readers that open their files themselves.

use std::cell::RefCell;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// One for each thread, gone when the thread is.
pub struct Scratch(PathBuf);

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

impl Scratch {
    /// Runs something with this thread's directory, in which lies what lay there before.
    pub fn with<T>(run: impl FnOnce(&Self) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| run(scratch.get_or_insert_with(Self::new)))
    }

    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Memory where there is some: thousands of files are made each second.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = base.join(format!("rescind-readers-{}-{number}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&path).expect("a directory for the readers");
        Self(path)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn put(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(path);
        let mut builder = std::fs::DirBuilder::new();
        let above = path.parent().expect("it lies in the directory");
        builder
            .recursive(true)
            .mode(0o700)
            .create(above)
            .expect("a directory for a file");
        let mut options = std::fs::OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let file = options.open(&path);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.expect("a file for a reader");
        path
    }

    /// No file or directory of that name.
    pub fn remove(&self, path: &str) {
        let path = self.0.join(path);
        let gone = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        gone.or_else(|error| if missing(&error) { Ok(()) } else { Err(error) })
            .expect("it can be removed");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in memory, until the machine is started again.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
