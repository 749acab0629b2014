//! The parent's side of the child that becomes a user and signals all that is the user's.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::becomes;
use super::holdings::Subject;
use crate::sys::process::{self, Signal, Until};

/// How long the child may take.
const PATIENCE: Duration = Duration::from_millis(250);

/// A child that is ready to signal. Dropped before, it has done nothing.
#[derive(Debug)]
pub(super) struct Signaller {
    child: Child,
    go: PipeWriter,
    told: PipeReader,
}

impl Signaller {
    /// Starts the child, which gets ready while its parent does something else.
    pub fn prepare(program: &Path, subject: &Subject, signal: Signal) -> io::Result<Self> {
        let (told, tells) = io::pipe()?;
        let (waits, go) = io::pipe()?;
        let child = Command::new(program)
            .arg0("rescind-agent")
            .args([becomes::SIGNAL_ARGUMENT, &subject.uid.to_string()])
            .args([&subject.gid.to_string(), becomes::word(signal)])
            .env_clear()
            .current_dir("/")
            .stdin(waits)
            .stdout(tells)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, go, told })
    }

    /// Signals every process of the uid at once. An error says what became of the child; it may
    /// or may not have signalled.
    pub fn fire(mut self) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        self.go.write_all(b"!").map_err(words)?;
        let deadline = Instant::now() + PATIENCE;
        if !process::wait_for(&self.told, Until::Readable, deadline).map_err(words)? {
            return Err("it was stopped".into());
        }
        let mut word = [0];
        match self.told.read(&mut word).map_err(words)? {
            1 if word[0] == becomes::SENT => Ok(()),
            1 => Err("it could not become the user, or not signal".into()),
            _ => Err("it was killed".into()),
        }
    }
}

impl Drop for Signaller {
    fn drop(&mut self) {
        // It has nothing open that could keep it from dying, so waiting is short.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
