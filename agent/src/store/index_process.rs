#![forbid(unsafe_code)]
//! The process in which the index lives: this program, started for one piece of work.
//!
//! `rescind-agent __index update DIR RECORD` brings the index of the store in `DIR` up to the
//! journal, as far as before `RECORD`; `find DIR account|key|order NAME` prints where the records
//! about some orders lie; `keep DIR` takes a survey in, `kept DIR` gives it out. A crash, a panic or a hang of the index ends this process and nothing
//! else.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::evidence::{Event, RecordBody};
use rescind_protocol::order::SignedOrder;

use super::follow::{self, NoWayOn, Place, Position, follow};
use super::index::{Entry, Front, Index, IndexError};
use super::lookup::Question;
use super::survey_process;
use crate::sys::process::{self, Limits};

/// The argument that makes this program the index's process.
pub const ARGUMENT: &str = "__index";

/// How long a lookup may take: a few hundredths of a second are usual.
const FIND_PATIENCE: Duration = Duration::from_secs(5);
/// How long bringing it up to date may take: what was done until then is kept.
const UPDATE_PATIENCE: Duration = Duration::from_secs(60);
/// How long keeping a survey may take, or reading it back.
pub(super) const KEEP_PATIENCE: Duration = Duration::from_secs(60);
/// The most that a lookup may answer, in bytes: some half a million places.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Records taken in at a time.
const BATCH_RECORDS: usize = 4096;

/// Many times what it uses: its sizes are those of the journal and of a small database.
const LIMITS: Limits = Limits {
    descriptors: 256,
    address_space: 1 << 30,
    file_size: 1 << 30,
};

const EXIT_BAD: u8 = 3;
const EXIT_UNAVAILABLE: u8 = 4;

/// What a lookup found.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct Found {
    /// How far the journal was known when it was looked up.
    #[n(0)]
    pub position: Position,
    /// Index and place of the records.
    #[n(1)]
    pub places: Vec<(u64, Place)>,
}

/// To be called first in `main` with the program's arguments, without its name: does the work and
/// says how it ended, if they ask for the index's process.
pub fn hidden_entry(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let done = process::confine(LIMITS)
        .map_err(unavailable)
        .and_then(|()| work(&words));
    Some(match done {
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

fn work(words: &[&OsStr]) -> Result<(), IndexError> {
    let unknown = || IndexError::Unavailable("want update or find, a directory and what".into());
    let text = |word: &OsStr| word.to_str().map(str::to_owned).ok_or_else(unknown);
    match words {
        [what, dir, until] if *what == "update" => {
            // Orders go first, and whatever else the host is for.
            process::lower_priority(19);
            update(Path::new(dir), text(until)?.parse().map_err(unavailable)?)
        }
        [what, dir, of, name] if *what == "find" => {
            let name = text(name)?;
            let question = match of.to_str() {
                Some("account") => Question::Account(name.parse().map_err(unavailable)?),
                Some("key") => Question::Key(name.parse().map_err(unavailable)?),
                Some("order") => Question::Order(name.parse().map_err(unavailable)?),
                _ => return Err(unknown()),
            };
            print_found(Path::new(dir), &question)
        }
        [what, dir] if *what == "keep" => {
            process::end_after(KEEP_PATIENCE);
            process::lower_priority(19);
            survey_process::keep(Path::new(dir))
        }
        [what, dir] if *what == "kept" => {
            process::end_after(KEEP_PATIENCE);
            survey_process::tell(Path::new(dir))
        }
        _ => Err(unknown()),
    }
}

/// Brings the index up to the journal, as far as before the record `until`.
fn update(dir: &Path, until: u64) -> Result<(), IndexError> {
    let (journal, path) = (dir.join("journal"), of_this_boot(dir)?);
    forget_other_boots(&path)?;
    let index = Index::open(&path)?;
    let mut front = index.front()?;
    let oldest = follow::oldest(&journal).map_err(unavailable)?;
    if front.position.head.next > until {
        return Err(IndexError::Bad(format!(
            "it was built to record {}, the journal ends before {until}",
            front.position.head.next
        )));
    }
    if front
        .position
        .last
        .is_some_and(|last| last.segment < oldest)
    {
        // All that it knows was dropped since.
        index.clear()?;
        front = Front::default();
    } else if front.oldest < oldest {
        front.oldest = oldest;
        index.forget_before(oldest, &front)?;
    }
    front.oldest = oldest;
    let mut position = front.position;
    let mut entries = Vec::new();
    follow(&journal, &mut position, until, |position, _, body| {
        front.position = *position;
        entries.extend(position.last.and_then(|place| entry(place, &body)));
        if entries.len() == BATCH_RECORDS {
            index.take_in(&entries, &front)?;
            entries.clear();
        }
        Ok::<_, IndexError>(())
    })?;
    index.take_in(&entries, &front)?;
    index.flush()
}

impl From<NoWayOn> for IndexError {
    fn from(error: NoWayOn) -> Self {
        match error {
            NoWayOn::Disagrees(_) => Self::Bad(error.to_string()),
            NoWayOn::Journal(_) => unavailable(error),
        }
    }
}

fn entry(place: Place, body: &RecordBody) -> Option<Entry> {
    let event = body.event()?;
    let order = event.order()?;
    let mut entry = Entry {
        order,
        record: body.index,
        place,
        account: None,
        key: None,
    };
    if let Event::OrderAccepted { signed, .. } = &event
        && let Ok(signed) = SignedOrder::from_bytes(signed)
    {
        let action = &signed.order().action;
        entry.account = action.account().cloned();
        entry.key = action.key();
    }
    Some(entry)
}

fn print_found(dir: &Path, question: &Question) -> Result<(), IndexError> {
    let path = of_this_boot(dir)?;
    if !path.exists() {
        return Err(IndexError::Unavailable("there is none yet".into()));
    }
    let index = Index::open(&path)?;
    let found = Found {
        position: index.front()?.position,
        places: index.places(question)?,
    };
    let mut out = io::stdout();
    out.write_all(&cbor::to_vec(&found))
        .and_then(|()| out.flush())
        .map_err(unavailable)
}

/// Where the index of the store in `dir` lies: see `index` for why the boot is in it.
fn of_this_boot(dir: &Path) -> Result<PathBuf, IndexError> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(unavailable)?;
    Ok(dir.join("index").join(boot.trim()))
}

/// Removes what lies beside this boot's index, and makes the directory for it.
fn forget_other_boots(path: &Path) -> Result<(), IndexError> {
    let dir = path.parent().unwrap_or(path);
    if dir.exists() && !dir.is_dir() {
        return Err(IndexError::Bad("it is not a directory".into()));
    }
    let forget = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for entry in fs::read_dir(dir)? {
            let other = entry?.path();
            if other != path {
                match other.is_dir() {
                    true => fs::remove_dir_all(&other)?,
                    false => fs::remove_file(&other)?,
                }
            }
        }
        Ok(())
    };
    forget().map_err(unavailable)
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> IndexError {
    IndexError::Unavailable(error.to_string())
}

/// Asks the index, and waits for its answer; `None` when it did not answer in time.
pub fn find(program: &Path, dir: &Path, question: &Question) -> Result<Option<Found>, IndexError> {
    let (of, name) = match question {
        Question::Account(name) => ("account", name.to_string()),
        Question::Key(key) => ("key", key.to_string()),
        Question::Order(id) => ("order", id.to_string()),
    };
    let arguments = [
        OsStr::new("find"),
        dir.as_os_str(),
        of.as_ref(),
        name.as_ref(),
    ];
    let mut work = Work::start(program, &arguments, FIND_PATIENCE)?;
    // More than a pipe holds: it is read while the process still writes.
    let Some(stdout) = work.child.stdout.take() else {
        return Ok(None);
    };
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        read.map(|_| bytes)
    });
    let status = loop {
        if let Some(status) = work.ended()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    // The process has ended and has no children, so that nothing keeps the pipe open.
    let bytes = reading.join().map_err(|_| unavailable("not read"))?;
    let bytes = bytes.map_err(unavailable)?;
    judge(status, &bytes)?;
    cbor::from_slice(&bytes).map(Some).map_err(unavailable)
}

/// Starts to bring the index up to the journal, as far as before the record `until`.
pub fn start_update(program: &Path, dir: &Path, until: u64) -> Result<Work, IndexError> {
    let until = until.to_string();
    let arguments = [OsStr::new("update"), dir.as_os_str(), until.as_ref()];
    Work::start(program, &arguments, UPDATE_PATIENCE)
}

/// A piece of work that has been started. Ended when it is dropped.
#[derive(Debug)]
pub struct Work {
    child: Child,
    until: Instant,
}

impl Work {
    pub(super) fn start(
        program: &Path,
        arguments: &[&OsStr],
        patience: Duration,
    ) -> Result<Self, IndexError> {
        Self::spawn(program, arguments, patience, Stdio::null())
    }

    /// With something to write to it.
    pub(super) fn start_with_input(
        program: &Path,
        arguments: &[&OsStr],
        patience: Duration,
    ) -> Result<Self, IndexError> {
        Self::spawn(program, arguments, patience, Stdio::piped())
    }

    fn spawn(
        program: &Path,
        arguments: &[&OsStr],
        patience: Duration,
        input: Stdio,
    ) -> Result<Self, IndexError> {
        let child = Command::new(program)
            .arg(ARGUMENT)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(unavailable)?;
        Ok(Self {
            child,
            until: Instant::now() + patience,
        })
    }

    /// Where to write to it, once.
    pub(super) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Where to read what it says, once.
    pub(super) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until it has ended; whether it did so well.
    pub(super) fn finish(mut self) -> Result<(), IndexError> {
        while !self.is_done()? {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether it has ended well; `false` when it has not ended yet.
    pub fn is_done(&mut self) -> Result<bool, IndexError> {
        let Some(status) = self.ended()? else {
            return Ok(false);
        };
        let mut said = Vec::new();
        if let Some(stdout) = self.child.stdout.take() {
            stdout
                .take(4096)
                .read_to_end(&mut said)
                .map_err(unavailable)?;
        }
        judge(status, &said).map(|()| true)
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, IndexError> {
        match self.child.try_wait().map_err(unavailable)? {
            None if Instant::now() >= self.until => Err(unavailable("no answer in time")),
            status => Ok(status),
        }
    }
}

/// What the way in which the process ended says of the index.
fn judge(status: ExitStatus, said: &[u8]) -> Result<(), IndexError> {
    let said = || String::from_utf8_lossy(said).into_owned();
    match (status.code().map(u8::try_from), status.signal()) {
        (Some(Ok(0)), _) => Ok(()),
        (Some(Ok(EXIT_BAD)), _) => Err(IndexError::Bad(said())),
        (Some(Ok(PANICKED)), _) => Err(IndexError::Bad("it panicked".into())),
        // An abort is how a panic ends in a release build; the others are plain crashes.
        (_, Some(SIGABRT | SIGBUS | SIGSEGV | SIGILL)) => Err(IndexError::Bad("it crashed".into())),
        _ => Err(IndexError::Unavailable(said())),
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
