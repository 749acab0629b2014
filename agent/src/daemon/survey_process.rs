//! The process in which a survey is taken: this program, started for one survey.
//!
//! It reads files that users have prepared, with every parser there is, and needs memory that the
//! daemon shall not keep: what goes wrong there ends that process and nothing else, and when it has
//! ended all of its memory is back. Orders do not wait for it.
//!
//! `rescind-agent __survey ROOT all|SECTION [--keep] [--no-pieces] [--avoid=UID …] [NAME=DIGEST …]`
//! takes the survey of the host below `ROOT`, keeps it in the store, and prints frames: the digest of
//! each section, then the pieces of those that are not in the state that is named, then the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::message::{InventoryPart, SectionDigest};
use rescind_protocol::name::{Digest, SectionName};

use crate::config::layout;
use crate::orders::survey;
use crate::processes::table::Proc;
use crate::sections::{Finished, Section};
use crate::store::{self, Clock, HostClock, Kept};
use crate::sys::process::{self, Limits, ProcessId};

/// The argument that makes this program the survey's process.
const ARGUMENT: &str = "__survey";

/// A section, and its digest.
const DIGEST: u8 = 1;
/// A piece of a section.
const PIECE: u8 = 2;
/// That is all.
const END: u8 = 3;

/// Bytes of a section in one frame. Small, because on a slow line evidence waits for the one that
/// is under way.
const PIECE_BYTES: usize = 32 * 1024;
/// The longest a survey may take, with sending it over the slowest line.
const PATIENCE: Duration = Duration::from_secs(900);

/// Many times what a host of 10,000 accounts needs.
const LIMITS: Limits = Limits {
    descriptors: 1024,
    address_space: 2 << 30,
    file_size: 1 << 30,
};

/// Which states of sections somebody has.
pub type Digests = BTreeMap<SectionName, Digest>;

/// How a survey ended.
#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
struct End {
    /// Why it was not taken.
    #[n(0)]
    error: Option<String>,
    /// Why it was not kept.
    #[n(1)]
    not_kept: Option<String>,
    /// Whose file systems did not answer.
    #[n(2)]
    hung: Vec<u32>,
    /// Processes that wait for them and cannot be ended.
    #[n(3)]
    stuck: Vec<Stuck>,
}

/// A process that waits for a file system and cannot be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stuck {
    #[n(0)]
    pid: ProcessId,
    /// In clock ticks since boot.
    #[n(1)]
    start_time: u64,
}

impl Stuck {
    /// Whether it is still there.
    pub fn is_there(self) -> bool {
        let found = Proc::open(Path::new("/proc")).map(|proc| proc.process(self.pid));
        matches!(found, Ok(Ok(Some(process))) if process.start_time == self.start_time)
    }
}

/// What is wanted of a survey.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The host's root directory.
    pub root: PathBuf,
    /// One section; all, unless said.
    pub only: Option<SectionName>,
    /// To keep it in the store, when it is of all sections.
    pub keep: bool,
    /// The states of sections that need not be told in full; none is, where this is `None`.
    pub known: Option<Digests>,
    /// Uids whose file systems are known not to answer.
    pub avoid: BTreeSet<u32>,
}

/// What came of a survey.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// The sections and their digests.
    pub digests: Digests,
    /// Why it was not kept, where it was to be.
    pub not_kept: Option<String>,
    /// Whose file systems did not answer.
    pub hung: BTreeSet<u32>,
    /// Processes that still wait for them.
    pub stuck: Vec<Stuck>,
}

/// To be called first in `main` with the program's arguments, without its name: takes a survey and
/// says how it ended, if they ask for it.
pub fn hidden_entry(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let taken = process::bound(LIMITS)
        .map_err(io::Error::from)
        .and_then(|()| child(&arguments));
    Some(match taken {
        Ok(()) => ExitCode::SUCCESS,
        // The parent sees that there was no end; nobody else listens.
        Err(_) => ExitCode::FAILURE,
    })
}

fn child(arguments: &[OsString]) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidInput);
    let [root, which, options @ ..] = arguments else {
        return Err(bad());
    };
    let root = Path::new(root);
    let only = match which.to_str() {
        Some("all") => None,
        Some(name) => Some(Section::of_name(name).ok_or_else(bad)?),
        None => return Err(bad()),
    };
    let has = |option: &str| options.iter().any(|word| word == option);
    let (mut known, mut avoid) = (Digests::new(), BTreeSet::new());
    for option in options {
        if let Some(uid) = option
            .to_str()
            .and_then(|word| word.strip_prefix("--avoid="))
        {
            avoid.insert(uid.parse().map_err(|_| bad())?);
        } else if let Some((name, digest)) = option.to_str().and_then(|word| word.split_once('=')) {
            let name = name.parse().map_err(|_| bad())?;
            known.insert(name, digest.parse().map_err(|_| bad())?);
        }
    }
    process::end_after(PATIENCE);
    // Orders go first, and whatever else the host is for; but users' files are waited for only so
    // long, and a process that hardly runs would seem to hang.
    process::lower_priority(5);
    let mut out = io::stdout().lock();
    let mut end = End::default();
    let mut sections: Vec<Finished> = Vec::new();
    match survey::take(root, only, &avoid, |finished| sections.push(finished)) {
        Ok(hung) => end.hung = hung.into_iter().collect(),
        Err(error) => {
            end.error = Some(error.to_string());
            return write(&mut out, END, cbor::to_vec(&end));
        }
    }
    // What is left of our children now waits for a file system.
    end.stuck = children();
    let digests: Vec<SectionDigest> = sections
        .iter()
        .map(|finished| SectionDigest {
            section: finished.section.name(),
            digest: finished.digest,
        })
        .collect();
    if has("--keep") && only.is_none() {
        end.not_kept = keep(root, &digests, &sections).err();
    }
    for digest in &digests {
        write(&mut out, DIGEST, cbor::to_vec(digest))?;
    }
    for (digest, finished) in digests.iter().zip(sections) {
        if has("--no-pieces") || known.get(&digest.section) == Some(&digest.digest) {
            continue;
        }
        let mut at = 0;
        for piece in finished.json.chunks(PIECE_BYTES) {
            let part = InventoryPart {
                section: digest.section.clone(),
                digest: digest.digest,
                json: piece.to_vec(),
                last: at + piece.len() == finished.json.len(),
                at: at as u64,
            };
            at += piece.len();
            write(&mut out, PIECE, cbor::to_vec(&part))?;
        }
    }
    write(&mut out, END, cbor::to_vec(&end))
}

/// The processes that this one has started and that have not ended.
fn children() -> Vec<Stuck> {
    let table = Proc::open(Path::new("/proc")).map(|proc| proc.table());
    // Not to know them costs a process more at the next survey.
    let Ok(Ok(table)) = table else {
        return Vec::new();
    };
    let own = process::own_pid();
    let ours = table.processes.iter().filter(|process| process.ppid == own);
    ours.map(|process| Stuck {
        pid: process.pid,
        start_time: process.start_time,
    })
    .collect()
}

fn keep(root: &Path, digests: &[SectionDigest], sections: &[Finished]) -> Result<(), String> {
    let survey = Kept {
        taken_at: HostClock.wall(),
        sections: digests.to_vec(),
        json: digests
            .iter()
            .zip(sections)
            .map(|(digest, finished)| (digest, finished.json.as_slice()))
            .collect(),
    };
    store::keep_survey(&store::this_program(), &layout::agent_dir(root), &survey)
        .map_err(|error| error.to_string())
}

fn write(out: &mut impl Write, kind: u8, body: Vec<u8>) -> io::Result<()> {
    out.write_all(&Frame { kind, body }.to_bytes())?;
    out.flush()
}

/// Has a survey taken and hands over its pieces as they come. Waits until it is over.
pub fn take(wanted: &Wanted, mut each: impl FnMut(InventoryPart)) -> Result<Surveyed, SurveyError> {
    let mut running = Running(start(wanted).map_err(SurveyError::Start)?);
    let mut output = running.0.stdout.take().ok_or(SurveyError::CutOff)?;
    let mut frames = FrameBuffer::default();
    let mut surveyed = Surveyed::default();
    loop {
        let frame = frames.read_from(&mut output).map_err(SurveyError::Start)?;
        let frame = frame.ok_or(SurveyError::CutOff)?;
        let malformed = |_| SurveyError::CutOff;
        match frame.kind {
            DIGEST => {
                let one: SectionDigest = cbor::from_slice(&frame.body).map_err(malformed)?;
                surveyed.digests.insert(one.section, one.digest);
            }
            PIECE => each(cbor::from_slice(&frame.body).map_err(malformed)?),
            _ => {
                let end: End = cbor::from_slice(&frame.body).map_err(malformed)?;
                surveyed.not_kept = end.not_kept;
                surveyed.hung = end.hung.into_iter().collect();
                surveyed.stuck = end.stuck;
                return match end.error {
                    Some(why) => Err(SurveyError::NotTaken(why)),
                    None => Ok(surveyed),
                };
            }
        }
    }
}

/// Why there is no survey.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// Its process could not be started or heard.
    #[error("the survey's process could not be used: {0}")]
    Start(#[source] io::Error),
    /// Its process ended before its end: it crashed, or took too long.
    #[error("the survey's process ended too early; it crashed, or took more than 15 minutes")]
    CutOff,
    /// The host could not be read.
    #[error("{0}")]
    NotTaken(String),
}

fn start(wanted: &Wanted) -> io::Result<Child> {
    let only = wanted.only.as_ref();
    let mut command = Command::new(store::this_program());
    command
        .arg0("rescind-agent")
        .arg(ARGUMENT)
        .arg(&wanted.root)
        .arg(only.map_or(OsStr::new("all"), |name| OsStr::new(name.as_str())));
    if wanted.keep {
        command.arg("--keep");
    }
    command.args(wanted.avoid.iter().map(|uid| format!("--avoid={uid}")));
    match &wanted.known {
        None => {
            command.arg("--no-pieces");
        }
        Some(known) => {
            command.args(
                known
                    .iter()
                    .map(|(name, digest)| format!("{name}={digest}")),
            );
        }
    }
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// Ended when it is not waited for any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a process that has ended. Its own children may hang, it does not.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
