//! The process in which a survey is taken: this program, started for one survey.
//!
//! It reads files that users have prepared, with every parser there is, and needs memory that the
//! daemon shall not keep: what goes wrong there ends that process and nothing else, and when it has
//! ended all of its memory is back. Orders do not wait for it.
//!
//! `rescind-agent __survey ROOT all|SECTION [--keep [--if-changed]] [--no-pieces] [--avoid=UID …]
//! [NAME=DIGEST …]` takes the survey of the host below `ROOT`, keeps it in the store, and prints
//! frames: the digest of each section, then the pieces of those that are not in the state that is
//! named, then the end. `--if-changed` takes none where the stamps of the last one say that nothing
//! is another way: then the digests are those of that one.

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
use crate::orders::resurvey::{self, Noting};
use crate::orders::{Host, survey};
use crate::processes::table::Proc;
use crate::sections::{Finished, Section};
use crate::stamps;
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
    /// It was not taken, because everything is as the last one found it.
    #[n(4)]
    unchanged: bool,
    /// Why it was taken although the last one could have held still.
    #[n(5)]
    whole_because: Option<String>,
    /// Why the next one will be taken whole.
    #[n(6)]
    no_stamps: Option<String>,
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
    /// To keep it in the store, when it is of all sections, unless everything is as it was.
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
    /// Everything is as the survey before found it, which tells metadata alone.
    pub unchanged: bool,
    /// Why not all of the survey before could be taken over.
    pub whole_because: Option<String>,
    /// Why none of it can be taken over by the next one.
    pub no_stamps: Option<String>,
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
        // The parent sees that there was no end, and tells so; standard error leads nowhere.
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
    let keeps = has("--keep") && only.is_none();
    if keeps && has("--if-changed") {
        match unchanged(root, &avoid, has("--no-pieces"), &known) {
            Ok(digests) => {
                for digest in &digests {
                    write(&mut out, DIGEST, cbor::to_vec(digest))?;
                }
                end.unchanged = true;
                return write(&mut out, END, cbor::to_vec(&end));
            }
            Err(why) => end.whole_because = Some(why),
        }
    }
    let mut sections: Vec<Finished> = Vec::new();
    let take_in = |finished| sections.push(finished);
    let taken = match keeps {
        true => survey::take_and_note(root, &avoid, take_in)
            .map(|(hung, host, noting)| (hung, Some((host, noting)))),
        false => survey::take(root, only, &avoid, take_in).map(|hung| (hung, None)),
    };
    let noted = match taken {
        Ok((hung, noted)) => {
            end.hung = hung.into_iter().collect();
            noted
        }
        Err(error) => {
            end.error = Some(error.to_string());
            return write(&mut out, END, cbor::to_vec(&end));
        }
    };
    let digests: Vec<SectionDigest> = sections
        .iter()
        .map(|finished| SectionDigest {
            section: finished.section.name(),
            digest: finished.digest,
        })
        .collect();
    if let Some((mut host, noting)) = noted {
        let kept = keep(root, &digests, &sections);
        end.no_stamps = match kept {
            Ok(()) => keep_stamps(root, &mut host, noting, &digests).err(),
            // Why not is told beside it.
            Err(_) => Some("the survey was not kept".into()),
        };
        end.not_kept = kept.err();
    }
    // What is left of our children now waits for a file system.
    end.stuck = children();
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

/// The digests of the sections, if everything is as the last survey found it and nobody wants more
/// of it than these. Else why the survey has to be taken.
fn unchanged(
    root: &Path,
    avoid: &BTreeSet<u32>,
    no_pieces: bool,
    known: &Digests,
) -> Result<Vec<SectionDigest>, String> {
    if !avoid.is_empty() {
        return Err("a file system does not answer".into());
    }
    let digests = resurvey::unchanged(root)?;
    let is_known = |one: &SectionDigest| known.get(&one.section) == Some(&one.digest);
    match digests.iter().find(|one| !no_pieces && !is_known(one)) {
        Some(one) => Err(format!("{} is wanted in whole", one.section)),
        None => Ok(digests),
    }
}

/// Takes the stamps of a survey that was kept, for the next one.
fn keep_stamps(
    root: &Path,
    host: &mut Host,
    noting: Noting,
    digests: &[SectionDigest],
) -> Result<(), String> {
    let kept = noting.stamps(host, digests)?;
    stamps::keep(&layout::agent_dir(root), &kept)
        .map_err(|error| format!("the stamps cannot be kept: {error}"))
}

fn keep(root: &Path, digests: &[SectionDigest], sections: &[Finished]) -> Result<(), String> {
    // Those of the survey before are not of this one.
    stamps::forget(&layout::agent_dir(root))
        .map_err(|error| format!("the stamps of the one before cannot be removed: {error}"))?;
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
                surveyed.unchanged = end.unchanged;
                surveyed.whole_because = end.whole_because;
                surveyed.no_stamps = end.no_stamps;
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
        command.args(["--keep", "--if-changed"]);
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
