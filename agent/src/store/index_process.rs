#![forbid(unsafe_code)]
//! The process in which the index lives: this program, started for one piece of work.
//!
//! `rescind-agent __index load DIR` prints what the index remembers; `save DIR` reads that from
//! its input, reads the journal itself, and brings the index up to it; `account DIR NAME` and
//! `key DIR FINGERPRINT` print the orders in force that name one. `DIR` is the store's. A crash, a panic or a hang of the index ends this process and nothing else.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rescind_protocol::cbor;

use super::index::{Front, Index, IndexError};
use super::reader::JournalReader;

/// The argument that makes this program the index's process.
pub const ARGUMENT: &str = "__index";

/// How long a piece of work may take: a few hundredths of a second are usual.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than a front can be long; both directions fit into a pipe, so that nobody waits to write.
const FRONT_BYTES_MAX: u64 = 60 * 1024;

const EXIT_BAD: u8 = 3;
const EXIT_UNAVAILABLE: u8 = 4;

/// To be called first in `main` with the program's arguments, without its name: does the work and
/// says how it ended, if they ask for the index's process.
pub fn hidden_entry(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let work = match (arguments.next(), arguments.next()) {
        (Some(what), Some(dir)) if what == "load" => load(Path::new(&dir)),
        (Some(what), Some(dir)) if what == "save" => save(Path::new(&dir)),
        (Some(what), Some(dir)) => find(&what, Path::new(&dir), arguments.next()),
        _ => Err(unknown_work()),
    };
    Some(match work {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Goes to the parent, which records it.
            print!("{error}");
            ExitCode::from(match error {
                IndexError::Bad(_) => EXIT_BAD,
                IndexError::Unavailable(_) => EXIT_UNAVAILABLE,
            })
        }
    })
}

fn load(dir: &Path) -> Result<(), IndexError> {
    let front = Index::open(&dir.join("index"))?
        .front()?
        .unwrap_or_default();
    std::io::stdout()
        .write_all(&cbor::to_vec(&front))
        .map_err(unavailable)
}

fn save(dir: &Path) -> Result<(), IndexError> {
    let mut bytes = Vec::new();
    let input = std::io::stdin();
    input
        .take(FRONT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unavailable)?;
    let mut front: Front = cbor::from_slice(&bytes).map_err(unavailable)?;
    let journal = JournalReader::open(dir).map_err(unavailable)?;
    front.built_to = journal.head();
    front.standing = journal.state().standing_digest();
    Index::open(&dir.join("index"))?.bring_up_to(journal.state(), &front)
}

fn find(what: &OsStr, dir: &Path, name: Option<OsString>) -> Result<(), IndexError> {
    let name = name
        .and_then(|name| name.into_string().ok())
        .ok_or_else(unknown_work)?;
    let index = || Index::open(&dir.join("index"));
    let orders = match what.to_str() {
        Some("account") => index()?.standing_for_account(&name.parse().map_err(unavailable)?)?,
        Some("key") => index()?.standing_for_key(name.parse().map_err(unavailable)?)?,
        _ => return Err(unknown_work()),
    };
    let lines: String = orders.iter().map(|order| format!("{order}\n")).collect();
    std::io::stdout()
        .write_all(lines.as_bytes())
        .map_err(unavailable)
}

fn unknown_work() -> IndexError {
    IndexError::Unavailable("want load, save, account or key, and a directory".into())
}

fn unavailable(error: impl std::error::Error) -> IndexError {
    IndexError::Unavailable(error.to_string())
}

/// What the index remembers; an empty front when there is none.
pub fn ask_load(program: &Path, dir: &Path) -> Result<Front, IndexError> {
    let mut work = Work::start(program, "load", dir, &[])?;
    let output = work.wait(PATIENCE)?.unwrap_or_default();
    cbor::from_slice(&output).map_err(unavailable)
}

/// Starts to bring the index up to the journal.
pub fn start_save(program: &Path, dir: &Path, front: &Front) -> Result<Work, IndexError> {
    Work::start(program, "save", dir, &cbor::to_vec(front))
}

/// A piece of work that has been started. Ended when it is dropped.
#[derive(Debug)]
pub struct Work {
    child: Child,
    until: Instant,
}

impl Work {
    fn start(program: &Path, what: &str, dir: &Path, input: &[u8]) -> Result<Self, IndexError> {
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .arg(what)
            .arg(dir)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(unavailable)?;
        let stdin = child.stdin.take();
        let work = Self {
            child,
            until: Instant::now() + PATIENCE,
        };
        if let Some(mut stdin) = stdin {
            // A process that ended early says why by the way it ended.
            let _ = stdin.write_all(input);
        }
        Ok(work)
    }

    /// How it ended and what it printed; `None` when it has not ended after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, IndexError> {
        let until = Instant::now() + patience;
        let status = loop {
            match self.child.try_wait().map_err(unavailable)? {
                Some(status) => break status,
                None if Instant::now() >= self.until => {
                    return Err(IndexError::Unavailable("no answer in time".into()));
                }
                None if Instant::now() >= until => return Ok(None),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut output = Vec::new();
        if let Some(stdout) = self.child.stdout.take() {
            stdout
                .take(FRONT_BYTES_MAX)
                .read_to_end(&mut output)
                .map_err(unavailable)?;
        }
        let said = || String::from_utf8_lossy(&output).into_owned();
        match (status.code().map(u8::try_from), status.signal()) {
            (Some(Ok(0)), _) => Ok(Some(output)),
            (Some(Ok(EXIT_BAD | PANICKED)), _) => Err(IndexError::Bad(said())),
            // An abort is how a panic ends in a release build; the others are plain crashes.
            (_, Some(SIGABRT | SIGBUS | SIGSEGV | SIGILL)) => {
                Err(IndexError::Bad("it crashed".into()))
            }
            _ => Err(IndexError::Unavailable(said())),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Fails only for a process that has ended and was waited for. One that hangs in a system
        // call is not waited for: it must not take this process along.
        let _ = self.child.kill();
        for _ in 0..50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The exit status of a Rust program whose main thread panicked.
const PANICKED: u8 = 101;
const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGSEGV: i32 = 11;

/// This program itself, also after an upgrade has replaced its file.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
