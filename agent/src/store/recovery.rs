//! Opening a store: what a crash, a power cut or a bad disk left is mended, and named.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rescind_protocol::evidence::Event;
use rescind_protocol::name::OrderId;
use rescind_protocol::sign::SigningKey;

use super::chain::Clock;
use super::error::StoreError;
use super::evidence_key;
use super::handle::{Store, Tail};
use super::index_process;
use super::index_upkeep::{self, Upkeep};
use super::journal::{Journal, Limits};
use super::salvage;
use super::scan::{self, Cut, Scan};
use crate::config::make_dir;
use crate::sys::durable;

/// How long enrolment waits for a running agent to have made its evidence key.
const KEY_PATIENCE: Duration = Duration::from_secs(5);

/// What was found at opening, for the agent to act on and to report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no chain: this is a new host, or the store was lost.
    pub fresh: bool,
    /// The evidence key was gone although there was a chain: it goes on under a new one.
    pub new_key: bool,
    /// Orders that were accepted and not carried out to their end, in the order of acceptance.
    pub unfinished: Vec<OrderId>,
    /// The torn write that was cut off the end of the journal: recorded, and no gap.
    pub cut: Option<Cut>,
    /// What is lost, in words; each is recorded in the chain as a gap.
    pub gaps: Vec<String>,
    /// There was no space left to record them: they are in the log of this start only.
    pub unrecorded: bool,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How large the journal's files get.
    pub limits: Limits,
    /// Whether the host is enrolled: then there was a store before.
    pub enrolled: bool,
    /// The program in which the index lives: one that calls [`super::hidden_entry`].
    pub index_program: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            enrolled: false,
            index_program: index_process::this_program(),
        }
    }
}

impl Store {
    /// Begins the store in `dir` if there is none yet, for enrolment, which proves possession of
    /// the key that this returns. Beside a running agent the store is its own, and begun.
    ///
    /// Begun before the host is enrolled, so that whoever finds an enrolled host, or a key, without
    /// a journal knows that one was lost.
    pub fn begin(
        dir: &Path,
        clock: impl Clock + Send + 'static,
        agent_version: &str,
        options: Options,
    ) -> Result<SigningKey, StoreError> {
        let path = match Self::open(dir, clock, agent_version, options) {
            Ok((store, _)) => return Ok(store.key),
            Err(StoreError::InUse { path }) => path,
            Err(error) => return Err(error),
        };
        // An agent that has just been started may not have come to making it.
        let until = Instant::now() + KEY_PATIENCE;
        loop {
            match evidence_key::load(dir)? {
                Some(key) => return Ok(key),
                None if Instant::now() >= until => return Err(StoreError::InUse { path }),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Opens the store in `dir`, which is made if it is not there. What was found damaged has been
    /// mended and recorded, durably, when this returns.
    pub fn open(
        dir: &Path,
        clock: impl Clock + Send + 'static,
        agent_version: &str,
        options: Options,
    ) -> Result<(Self, Recovery), StoreError> {
        let limits = options.limits;
        own_directory(dir)?;
        let lock = lock(dir)?;
        let journal_dir = dir.join("journal");
        own_directory(&journal_dir)?;
        remove_unfinished(&journal_dir)?;
        let old_key = evidence_key::load(dir)?;
        let old_public = old_key.as_ref().map(SigningKey::verifying_key);
        let found = scan::scan(&journal_dir, old_public)?;

        let mut recovery = Recovery {
            fresh: found.is_empty(),
            new_key: old_key.is_none() && !found.is_empty(),
            cut: found.cut,
            gaps: gaps(&found),
            ..Recovery::default()
        };
        if let Some(lost) = lost_whole(&found, old_key.is_some(), options.enrolled) {
            recovery.gaps.push(lost.into());
        }
        if recovery.new_key {
            recovery.gaps.push(
                "the evidence key was lost: the chain goes on under a new key, \
                 which the control plane learns when this host is enrolled again"
                    .into(),
            );
        }
        let moved = found.segments.iter().any(|segment| segment.damaged);
        let damaged = moved || !found.damaged_checkpoints.is_empty();
        if moved {
            // What is left of a damaged segment is written anew, elsewhere in its file.
            index_upkeep::forget(dir)?;
        }
        let lost = found.lost.clone();
        let news = !lost.is_empty();
        let mut scan = mend(&journal_dir, found, old_public)?;
        let journal = Journal::open(&journal_dir, limits, &scan)?;
        // The first segment is made before the key: a key without one had a journal that is lost.
        let key = old_key.map_or_else(|| evidence_key::make(dir), Ok)?;
        scan.checkpoint.lost.extend(lost);
        let mut store = Self {
            journal_dir,
            journal,
            state: std::mem::take(&mut scan.checkpoint.state),
            acknowledged: scan.checkpoint.acknowledged.min(scan.head.next),
            checkpoint: scan.checkpoint,
            kept: scan.kept,
            key,
            clock: Box::new(clock),
            segments_max: limits.segments_max,
            tail: Tail::default(),
            index: Upkeep::new(dir, options.index_program),
            _lock: lock,
        };
        recovery.unfinished = store
            .state
            .unfinished()
            .iter()
            .map(|o| o.order().id)
            .collect();
        match store.record_recovery(&recovery, agent_version) {
            // An agent that does not start on a full disk holds nothing closed any more.
            Err(error) if error.is_full() && !recovery.fresh && !recovery.new_key => {
                recovery.unrecorded = true;
            }
            recorded => recorded?,
        }
        if (damaged || news) && !recovery.unrecorded {
            // What is known to be lost is not reported again at every start; without space for
            // that, it is.
            match store.write_checkpoint() {
                Err(error) if error.is_full() => {}
                written => written?,
            }
        }
        Ok((store, recovery))
    }

    fn record_recovery(
        &mut self,
        recovery: &Recovery,
        agent_version: &str,
    ) -> Result<(), StoreError> {
        if recovery.fresh || recovery.new_key {
            let genesis = Event::Genesis {
                evidence_key: self.key.verifying_key(),
                agent_version: agent_version.to_owned(),
            };
            self.append(&genesis, None)?;
        }
        for what in &recovery.gaps {
            self.append(&Event::Gap { what: what.clone() }, None)?;
        }
        if let Some(Cut { bytes, .. }) = recovery.cut {
            self.append(&Event::TailCut { bytes }, None)?;
        }
        self.sync()
    }
}

/// Whether there was a chain here of which nothing is left, and how that shows. Not when this is
/// the first time, nor when the first time was interrupted.
fn lost_whole(found: &Scan, has_key: bool, enrolled: bool) -> Option<&'static str> {
    let never_made = found.segments.is_empty() && found.unborn.is_none();
    match (has_key && never_made, enrolled) {
        _ if !found.is_empty() => None,
        (true, _) => Some(
            "the journal was lost: the evidence key is there and its chain is not; \
             orders accepted before are not known here",
        ),
        (false, true) => Some(
            "the store was lost: this host is enrolled and has no journal; \
             orders accepted before are not known here",
        ),
        (false, false) => None,
    }
}

fn gaps(found: &Scan) -> Vec<String> {
    let lost = found.lost.iter().map(|(first, next)| match next - first {
        0 => format!("record {first} does not continue the record before it"),
        1 => format!("record {first} is lost"),
        _ => format!("records {first} to {} are lost", next - 1),
    });
    let damaged = found
        .segments
        .iter()
        .filter(|segment| segment.damaged)
        .map(|segment| {
            format!(
                "the journal file {} was damaged; what could be read is in force",
                name(&segment.path)
            )
        });
    let checkpoints = found.damaged_checkpoints.iter().map(|path| {
        let rest = match found.kept {
            Some(_) => "its other copy was whole",
            None => "standing orders that only it held are lost",
        };
        format!("the journal file {} was damaged; {rest}", name(path))
    });
    lost.chain(damaged).chain(checkpoints).collect()
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Brings damaged files into a state that can be written on, and reads the result.
fn mend(
    dir: &Path,
    found: Scan,
    key: Option<rescind_protocol::sign::VerifyingKey>,
) -> Result<Scan, StoreError> {
    let damaged: Vec<_> = found.segments.iter().filter(|s| s.damaged).collect();
    if damaged.is_empty() && found.damaged_checkpoints.is_empty() {
        return Ok(found);
    }
    for segment in damaged {
        salvage::rewrite(dir, segment, &found.keys)?;
    }
    for path in &found.damaged_checkpoints {
        salvage::keep_aside(dir, path)?;
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
    }
    scan::scan(dir, key)
}

/// Makes a directory that is its owner's alone, or checks that it is.
fn own_directory(dir: &Path) -> Result<(), StoreError> {
    make_dir(dir, 0o700)?;
    // Also when it was there: whoever made it may not have, or may have been interrupted.
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        durable::sync_dir(parent).map_err(StoreError::io("sync", parent))?;
    }
    let found = fs::symlink_metadata(dir).map_err(StoreError::io("look at", dir))?;
    let refuse = |why| {
        Err(StoreError::Unsafe {
            path: dir.to_path_buf(),
            why,
        })
    };
    if !found.is_dir() {
        return refuse("it is not a directory");
    }
    if found.permissions().mode() & 0o077 != 0 {
        return refuse("its mode lets others in");
    }
    if !durable::belongs_to_us(&found) {
        return refuse("it belongs to another user");
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match durable::lock_for_process(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(StoreError::InUse { path }),
        Err(error) => Err(StoreError::io("lock", &path)(error)),
    }
}

/// Files that a crash left half-written and that nothing refers to.
fn remove_unfinished(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    Ok(())
}
