//! Whether a host is as its last survey found it, told from metadata alone.
//!
//! What a survey depends on is, first, files: their stamps, see `stamps`. What is no file is put
//! into facts, which are cheap to have again: the agent itself, the boot, the day, the time zone,
//! the host's names, the sshds that run and the services by their uids. And there is the first
//! instant at which something is over that was said: a key's expiry, a sudo rule's, a ticket's.
//!
//! Nothing is held to be unchanged from doubt. Where anything was read that cannot be compared so,
//! or was changed just before it was read, the survey leaves no stamps and the next one is whole
//! again; and so it is from time to time, whatever the stamps say: for what changes without a trace
//! in any of this, as a security module's policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_protocol::message::SectionDigest;
use rescind_protocol::name::{Digest, UnixMillis};

use crate::config::{self, layout};
use crate::orders::EngineError;
use crate::orders::host::Host;
use crate::orders::key_files::PATIENCE;
use crate::orders::reading::now;
use crate::orders::sshds;
use crate::processes::Moment;
use crate::processes::services::services;
use crate::stamps::{self, Kept, Settled, Tree};
use crate::store::{Clock, HostClock};
use crate::sys::zone;

/// A survey is whole when the last whole one is so old, whatever the stamps say.
pub const WHOLE_EVERY: Duration = Duration::from_secs(4 * 3600);
/// Changes within so long before a survey may not show in times, which file systems take from a
/// clock that ticks seldom; and so far a clock may be set back unnoticed.
const SETTLED_S: i64 = 2;
/// The same for the content of users' files, see [`Settled`]: four times as long as the kernel
/// usually lets a page of a file be dirty.
const USERS_SETTLED_S: i64 = 120;

/// A survey that begins, and what it depends on.
#[derive(Debug)]
pub struct Noting {
    begun: (UnixMillis, u64),
    /// The mounts at its beginning.
    mounts: std::io::Result<Vec<u8>>,
    /// What it depends on that is no file.
    pub facts: BTreeMap<String, Digest>,
    /// When something it said is over, in seconds since 1970.
    pub turns_at: Option<i64>,
    /// What it looked at.
    pub tree: Tree,
}

impl Noting {
    /// To be called before anything of the host is read.
    pub fn begin() -> Self {
        Self {
            begun: moment(),
            mounts: mounts(),
            facts: BTreeMap::new(),
            turns_at: None,
            tree: Tree::default(),
        }
    }

    /// Takes the stamps of everything that was looked at, when all of it has been.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn stamps(mut self, host: &mut Host, sections: &[SectionDigest]) -> Result<Kept, String> {
        let begun_s = i64::try_from(self.begun.0.0 / 1000).unwrap_or(0);
        let settled = Settled {
            before_s: begun_s - SETTLED_S,
            users_before_s: begun_s - USERS_SETTLED_S,
        };
        for _ in 0..Tree::rounds_max() {
            let names = self.tree.asks();
            if names.is_empty() {
                break;
            }
            let mut all = Vec::with_capacity(names.len());
            let looked = host
                .homes()
                .look_at_names(&names, Some(settled), PATIENCE, |_, seen| {
                    all.push(seen);
                    ControlFlow::Continue(())
                });
            looked.map_err(|why| format!("one of the names looked at {why}"))?;
            self.tree.take(all);
            if let Some(why) = self.tree.take_doubt() {
                return Err(why);
            }
        }
        if let Some(why) = self.tree.take_doubt() {
            return Err(why);
        }
        // Something mounted over what was read has old stamps, too.
        let Ok(mounts) = self.mounts.and_then(|before| Ok((before, mounts()?))) else {
            return Err("the mounts cannot be read".into());
        };
        if let Some(at) = mounted_meanwhile(&mounts.0, &mounts.1, host.root().path(), &self.tree) {
            return Err(format!("{at} was mounted or unmounted meanwhile"));
        }
        if is_set_back(self.begun) {
            return Err("the clock was set back meanwhile".into());
        }
        Ok(Kept::new(
            self.begun,
            self.facts,
            self.turns_at,
            sections.to_vec(),
            self.tree.stamped(),
        ))
    }
}

/// What a survey depends on that is no file.
pub fn facts(root: &Path, boot_id: &str, moment: Option<&Moment<'_>>) -> BTreeMap<String, Digest> {
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, text: String| {
        facts.insert(name.to_owned(), Digest::of(text.as_bytes()));
    };
    // Its rules are the program's.
    add("the agent", state_of(Path::new("/proc/self/exe")));
    // Not among the names that are looked at: beside it lies what a survey itself changes.
    let key = layout::fingerprint_key(root);
    add("the key of the fingerprints", state_of(&key));
    add("the boot", boot_id.to_owned());
    add("the day", now().div_euclid(86_400).to_string());
    let name = config::host_name(root);
    add(
        "the host's name",
        format!("{name:?} {}", config::os_name(root)),
    );
    if let Some(moment) = moment {
        add("the time zone", format!("{:?}", zone::utc_offset(now())));
        add(
            "the sshds that run",
            format!("{:?}", sshds::running_configs(moment)),
        );
        let (services, gaps) = services(moment, HostClock.boot_us() / 1_000_000);
        let mut text = format!("{gaps:?}");
        for (uid, services) in services {
            // To memory, which cannot fail.
            let _ = write!(text, "\n{uid} {services:?}");
        }
        add("what runs as whom", text);
    }
    facts
}

/// The state of a file of the agent's own; another one each time where it cannot be looked at.
fn state_of(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(found) => {
            let changed = (found.ctime(), found.ctime_nsec());
            format!("{:?}", (found.dev(), found.ino(), found.size(), changed))
        }
        Err(error) => format!("{error} {:?}", HostClock.wall()),
    }
}

/// Whether the host below `root` is as the survey found it whose stamps lie in its store: then the
/// digests of its sections.
///
/// # Errors
/// Why it has to be surveyed again.
pub fn unchanged(root: &Path) -> Result<Vec<SectionDigest>, String> {
    let dir = layout::agent_dir(root);
    let kept = stamps::read(&dir).map_err(|error| error.to_string())?;
    let words = |error: EngineError| format!("the host cannot be read: {error}");
    let mut host = Host::below(root).map_err(|error| words(error.into()))?;
    let facts = {
        let moment = host.moment().map_err(|error| words(error.into()))?;
        facts(root, &boot_id(), moment.as_ref())
    };
    if let Some(name) = another(&kept.facts, &facts) {
        return Err(format!("{name} is another"));
    }
    // The boot is the same, so that this clock can be compared.
    let age = moment().1.saturating_sub(kept.begun_boot_us);
    if age >= u64::try_from(WHOLE_EVERY.as_micros()).unwrap_or(u64::MAX) {
        let hours = WHOLE_EVERY.as_secs() / 3600;
        return Err(format!("the last whole survey is {hours} hours old"));
    }
    if is_set_back((kept.begun, kept.begun_boot_us)) {
        return Err("the clock was set back".into());
    }
    if kept.turns_at.is_some_and(|at| now() >= at) {
        return Err("something that was said is over by now".into());
    }
    let mut other = None;
    let looked = host
        .homes()
        .look_at_names(&kept.names, None, PATIENCE, |nth, seen| {
            let why = match seen.doubt {
                Some(why) => why,
                None if kept.stamp(nth) == Some(seen.stamp) => return ControlFlow::Continue(()),
                None => "is another way".to_owned(),
            };
            other = Some(format!("{} {why}", path_of(&kept, nth).display()));
            ControlFlow::Break(())
        });
    match (looked, other) {
        (Err(why), _) => Err(format!("one of the names looked at {why}")),
        (Ok(()), Some(why)) => Err(why),
        (Ok(()), None) => {
            // That the time cannot be set is no change.
            let _ = stamps::confirm(&dir);
            Ok(kept.sections)
        }
    }
}

/// The first of the facts that is not the same.
fn another(before: &BTreeMap<String, Digest>, now: &BTreeMap<String, Digest>) -> Option<String> {
    let names = before.keys().chain(now.keys());
    let mut others = names.filter(|name| before.get(*name) != now.get(*name));
    others.next().cloned()
}

fn path_of(kept: &Kept, nth: usize) -> PathBuf {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut depth = u32::MAX;
    for name in kept.names[..=nth].iter().rev() {
        if name.depth < depth && name.depth > 0 {
            depth = name.depth;
            names.push(&name.name);
        }
    }
    names.reverse();
    let path = [b"/".as_slice(), &names.join(&b'/')].concat();
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(path))
}

/// The wall clock, and the time since boot in microseconds.
fn moment() -> (UnixMillis, u64) {
    (HostClock.wall(), HostClock.boot_us())
}

/// Whether the wall clock has lost time since a moment of this boot.
fn is_set_back(then: (UnixMillis, u64)) -> bool {
    let now = moment();
    let passed_ms = now.1.saturating_sub(then.1) / 1000;
    let should = then.0.0.saturating_add(passed_ms);
    now.0.0.saturating_add(SETTLED_S.unsigned_abs() * 1000) < should
}

/// The kernel's boot id, of this machine also where the root directory is of another.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    // Another each time where it cannot be told.
    id.unwrap_or_else(|error| format!("{error} {:?}", HostClock.wall()))
}

fn mounts() -> std::io::Result<Vec<u8>> {
    std::fs::read("/proc/self/mountinfo")
}

/// A directory where something was looked at that is in only one of two lists of mounts
/// (proc_pid_mountinfo(5)); those of containers that come and go are elsewhere.
fn mounted_meanwhile(before: &[u8], after: &[u8], root: &Path, tree: &Tree) -> Option<String> {
    let lines = |list| <[u8]>::split(list, |byte| *byte == b'\n').collect();
    let (before, after): (BTreeSet<&[u8]>, BTreeSet<&[u8]>) = (lines(before), lines(after));
    // The mount points are named without links.
    let root = root.canonicalize();
    let matters = |point: &[u8]| {
        let Ok(root) = &root else { return true };
        // What is written with an escape is not looked for.
        let path = Path::new(<std::ffi::OsStr as OsStrExt>::from_bytes(point));
        match path.strip_prefix(root) {
            _ if point.contains(&b'\\') => true,
            Ok(below) => tree.has(below.as_os_str().as_bytes()),
            Err(_) => false,
        }
    };
    before
        .symmetric_difference(&after)
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .find(|point| matters(point))
        .map(|point| point.escape_ascii().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_over_what_was_read_matter() {
        let mut tree = Tree::default();
        tree.see(b"/home/a/x", crate::stamps::Sight::Whole);
        let line = |point: &str| format!("36 35 98:0 / {point} rw - ext4 /dev/x rw\n");
        let before = line("/") + &line("/proc");
        for (point, want) in [
            ("/home", Some("/home")),
            ("/home/a/x", Some("/home/a/x")),
            ("/home/b", None),
            ("/var/lib/docker/overlay2/1/merged", None),
            (r"/a\040b", Some(r"/a\\040b")),
        ] {
            let after = before.clone() + &line(point);
            for (one, other) in [(&before, &after), (&after, &before)] {
                let found =
                    mounted_meanwhile(one.as_bytes(), other.as_bytes(), Path::new("/"), &tree);
                assert_eq!(found.as_deref(), want, "{point}");
            }
        }
    }
}
