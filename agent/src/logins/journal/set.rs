//! The files of this host's journal, and how far each was read.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rescind_protocol::name::UnixMillis;

use super::file::{JournalError, JournalFile};
use super::lines::{IDENTIFIERS, Line, Lines, Program, Seen};
use crate::host::root::{FileStamp, HostRoot, ReadError};
use crate::logins::tail::{Deadline, Span};
use crate::sshd::printable::printable_path;

/// Where journald keeps its files: those that stay, and those that a boot ends.
const DIRECTORIES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Files of one journal that are looked at; journald keeps a hundred.
const FILES_MAX: usize = 4096;
const NAMES_MAX: usize = 65_536;
/// How often the files may be renamed under the reader's eyes.
const ROTATIONS_MAX: usize = 3;
/// Entries between two looks at the clock.
const ENTRIES_AT_ONCE: u64 = 64;
/// Entries of one list that cannot be read before it is given up.
const DAMAGED_MAX: u32 = 64;
/// 2010-01-01: there was no journal before. A file that begins earlier was begun by a host whose
/// clock was not set yet.
const CLOCK_SET_US: u64 = 1_262_304_000_000_000;
/// Troubles that are told.
const TROUBLES_MAX: usize = 8;

/// The journal of one host, with what of it was read.
#[derive(Debug, Default)]
pub struct Journals {
    /// By the files' own ids, which stay when they are renamed.
    files: HashMap<[u8; 16], Progress>,
    /// What was read whole and does not change any more is not even opened.
    done: HashMap<PathBuf, (FileStamp, [u8; 16])>,
}

/// What a reading of the journal came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reach {
    /// How many files there are; 0 for a host that keeps no journal.
    pub files: usize,
    /// Since when everything was read; `None` where nothing was.
    pub since: Option<UnixMillis>,
    /// Whether everything there is was read.
    pub whole: bool,
    /// Whether another look would read no more than this one has.
    pub finished: bool,
    /// Whether what is new was read to its end.
    pub caught_up: bool,
    /// Whether a boot ends it: there are only files in /run.
    pub volatile: bool,
    /// Lines of sshd that were not read, because they are compressed.
    pub compressed: u64,
    /// When the newest entry was written.
    pub newest: Option<UnixMillis>,
    /// What could not be read.
    pub troubles: Vec<String>,
}

#[derive(Debug)]
struct Progress {
    head_us: u64,
    tail_us: u64,
    lists: [List; IDENTIFIERS.len()],
    compressed: u64,
    trouble: Option<String>,
}

/// The lines of one identifier in one file.
#[derive(Debug, Clone, Copy, Default)]
struct List {
    span: Option<Span>,
    /// Everything since then was read.
    floor_us: u64,
    damaged: u32,
    caught_up: bool,
}

impl List {
    fn is_whole(&self) -> bool {
        self.damaged == 0 && self.span.is_some_and(|span| span.is_whole())
    }

    /// Whether there is nothing more that could be read.
    fn is_finished(&self) -> bool {
        self.damaged >= DAMAGED_MAX || self.span.is_some_and(|span| span.is_whole())
    }

    /// Notes an entry that was read, or could not be.
    fn note(&mut self, read: Result<u64, ()>) {
        match read {
            // Once something was left out, the rest is no unbroken record any more.
            Ok(at_us) if self.damaged == 0 => self.floor_us = self.floor_us.min(at_us),
            Ok(_) => {}
            Err(()) => self.damaged += 1,
        }
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            head_us: 0,
            tail_us: 0,
            lists: [List {
                floor_us: u64::MAX,
                ..List::default()
            }; IDENTIFIERS.len()],
            compressed: 0,
            trouble: None,
        }
    }

    fn is_whole(&self) -> bool {
        self.trouble.is_none() && self.lists.iter().all(List::is_whole)
    }

    fn is_finished(&self) -> bool {
        self.trouble.is_some() || self.lists.iter().all(List::is_finished)
    }

    /// Since when everything in the file was read.
    fn floor_us(&self) -> u64 {
        let partly = self.lists.iter().filter(|list| !list.is_whole());
        let floor = partly.map(|list| list.floor_us).max();
        match (&self.trouble, floor) {
            (None, None) if self.head_us >= CLOCK_SET_US => self.head_us,
            (_, floor) => floor.unwrap_or(u64::MAX).min(self.tail_us),
        }
    }
}

/// A file that is there now.
struct Found {
    path: PathBuf,
    stamp: FileStamp,
    inode: u64,
    modified: (i64, i64),
}

impl Journals {
    /// Reads what is new, then what is older, until time is up.
    pub fn look(
        &mut self,
        root: &HostRoot,
        deadline: Deadline,
        mut each: impl FnMut(Program, Line),
    ) -> Reach {
        for _ in 0..ROTATIONS_MAX {
            if let Some(reach) = self.try_look(root, deadline, &mut each) {
                return reach;
            }
        }
        Reach {
            files: 1,
            troubles: vec!["the journal is rotated while it is read; ask again".into()],
            ..Reach::default()
        }
    }

    /// `None` when a file was renamed meanwhile: what is there must be listed again.
    fn try_look(
        &mut self,
        root: &HostRoot,
        deadline: Deadline,
        each: &mut impl FnMut(Program, Line),
    ) -> Option<Reach> {
        let mut reach = Reach::default();
        let found = find(root, &mut reach);
        let mut present: Vec<[u8; 16]> = Vec::new();
        let mut twice: HashSet<[u8; 16]> = HashSet::new();
        // A file that cannot be read: what is older is not an unbroken record any more.
        let mut unread = None;
        let mut boot = None;
        for file in &found {
            if let Some((stamp, id)) = self.done.get(&file.path)
                && *stamp == file.stamp
            {
                if twice.insert(*id) {
                    present.push(*id);
                }
                continue;
            }
            let mut journal = match root.open(&file.path) {
                Err(error) if error.is_missing() => return None,
                Ok((_, stat)) if stat.ino != file.inode => return None,
                Ok((bytes, _)) => match JournalFile::open(bytes) {
                    Ok(journal) => journal,
                    Err(error) => {
                        unread = unread.max(Some(micros(file.modified)));
                        reach.trouble(format!("{} {error}", printable_path(&file.path)));
                        continue;
                    }
                },
                Err(error) => {
                    unread = unread.max(Some(micros(file.modified)));
                    reach.trouble(error.to_string());
                    continue;
                }
            };
            let header = journal.header.clone();
            if !twice.insert(header.file_id) {
                continue;
            }
            let progress = self
                .files
                .entry(header.file_id)
                .or_insert_with(Progress::new);
            (progress.head_us, progress.tail_us, progress.trouble) =
                (header.head_us, header.tail_us, None);
            // The first one is the newest.
            let boot = *boot.get_or_insert(header.tail_boot_id);
            reach
                .newest
                .get_or_insert(UnixMillis(header.tail_us / 1000));
            let told = &mut |program, line: Line| {
                let newest_boot = line.boot_id == boot;
                each(
                    program,
                    Line {
                        newest_boot,
                        ..line
                    },
                );
            };
            if let Err(error) = progress.read(&mut journal, deadline, told) {
                progress.trouble = Some(format!("{} {error}", printable_path(&file.path)));
            }
            let ended = header.archived || file.path.as_os_str().as_bytes().ends_with(b"~");
            if ended && progress.is_whole() {
                let known = (file.stamp, header.file_id);
                self.done.insert(file.path.clone(), known);
            }
            present.push(header.file_id);
        }
        self.forget_all_but(&found, &twice);
        Some(self.reach(reach, present, unread))
    }

    /// How far everything together reaches: back to the first hole.
    fn reach(&self, mut reach: Reach, present: Vec<[u8; 16]>, unread: Option<u64>) -> Reach {
        let mut files: Vec<&Progress> =
            present.iter().filter_map(|id| self.files.get(id)).collect();
        files.retain(|file| file.head_us > 0);
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.head_us));
        let (mut since, mut unbroken) = (None, true);
        reach.finished = files.iter().all(|file| file.is_finished());
        reach.caught_up = files
            .iter()
            .all(|file| file.lists.iter().all(|list| list.caught_up));
        for file in files {
            if let Some(trouble) = &file.trouble {
                reach.trouble(trouble.clone());
            }
            let damaged: u32 = file.lists.iter().map(|list| list.damaged).sum();
            if damaged > 0 {
                reach.trouble(format!("{damaged} entries of a journal file are damaged"));
            }
            reach.compressed += file.compressed;
            if unbroken {
                let floor = file.floor_us();
                since = Some(since.map_or(floor, |since: u64| since.min(floor)));
                unbroken = file.is_whole();
            }
        }
        reach.whole = unbroken && unread.is_none();
        if let Some(unread) = unread {
            since = since.map(|since| since.max(unread));
        }
        reach.since = since.map(|us| UnixMillis(us / 1000));
        reach
    }

    fn forget_all_but(&mut self, found: &[Found], present: &HashSet<[u8; 16]>) {
        let there: HashSet<&Path> = found.iter().map(|file| file.path.as_path()).collect();
        self.done.retain(|path, _| there.contains(path.as_path()));
        self.files.retain(|id, _| present.contains(id));
    }
}

impl Reach {
    fn trouble(&mut self, why: String) {
        if self.troubles.len() < TROUBLES_MAX && !self.troubles.contains(&why) {
            self.troubles.push(why);
        }
    }
}

impl Progress {
    fn read(
        &mut self,
        journal: &mut JournalFile<File>,
        deadline: Deadline,
        each: &mut impl FnMut(Program, Line),
    ) -> Result<(), JournalError> {
        let tail_us = self.tail_us;
        let mut lines = Lines::of(journal)?;
        for (list, (identifier, program)) in self.lists.iter_mut().zip(IDENTIFIERS) {
            let data = lines.file().find(identifier)?;
            let Some(data) = data else {
                list.span.get_or_insert(Span::before(0));
                list.caught_up = true;
                continue;
            };
            let entries = lines.file().entries(&data)?;
            let span = list.span.get_or_insert(Span::before(entries.count()));
            let mut span = *span;
            if list.floor_us == u64::MAX {
                list.floor_us = tail_us;
            }
            list.caught_up = false;
            let mut count = 0;
            loop {
                // What is new first, then what is older, the newest of it first.
                let nth = match () {
                    () if span.hi < entries.count() => span.hi,
                    () if span.lo > 0 => span.lo - 1,
                    () => break,
                };
                count += 1;
                if count % ENTRIES_AT_ONCE == 0 && deadline.is_over() || list.damaged >= DAMAGED_MAX
                {
                    break;
                }
                let read = lines
                    .file()
                    .entry(&entries, nth)
                    .and_then(|entry| match entry {
                        Some(entry) => Ok(Some((entry.realtime_us, lines.look(program, &entry)?))),
                        None => Ok(None),
                    });
                match read {
                    // Being added just now.
                    Ok(None) if nth == span.hi => break,
                    Ok(Some((at_us, seen))) => {
                        if nth != span.hi {
                            list.note(Ok(at_us));
                        }
                        match seen {
                            Seen::Line(line) => each(program, line),
                            Seen::Compressed => self.compressed += 1,
                            Seen::Other => {}
                        }
                    }
                    Ok(None) | Err(JournalError::Damaged(_)) => list.note(Err(())),
                    Err(error) => return Err(error),
                }
                if nth == span.hi {
                    span.hi += 1;
                } else {
                    span.lo -= 1;
                }
            }
            list.caught_up = span.hi >= entries.count();
            list.span = Some(span);
        }
        Ok(())
    }
}

/// The files, the newest first.
fn find(root: &HostRoot, reach: &mut Reach) -> Vec<Found> {
    let mut found = Vec::new();
    let machine = machine_id(root);
    reach.volatile = true;
    for (nth, directory) in DIRECTORIES.iter().enumerate() {
        let directory = Path::new(directory);
        let own = match &machine {
            Some(machine) => vec![directory.join(machine)],
            // An image whose id is made at its first boot: whatever journal it holds is its own.
            None => match root.read_dir(directory, NAMES_MAX) {
                Ok(names) => names.iter().map(|name| directory.join(name)).collect(),
                Err(error) if error.is_missing() => continue,
                Err(error) => {
                    reach.trouble(error.to_string());
                    continue;
                }
            },
        };
        for own in own {
            let names = match root.read_dir(&own, NAMES_MAX) {
                Ok(names) => names,
                Err(ReadError::Missing { .. } | ReadError::NotRegular { .. }) => continue,
                Err(error) => {
                    reach.trouble(error.to_string());
                    continue;
                }
            };
            for name in names.iter().filter(|name| is_system(name)) {
                let path = own.join(name);
                match root.stat(&path) {
                    Ok(standing) => {
                        reach.volatile &= nth > 0;
                        found.push(Found {
                            path,
                            stamp: FileStamp::from(&standing.stat),
                            inode: standing.stat.ino,
                            modified: standing.stat.mtime,
                        });
                    }
                    // Rotated or dropped just now.
                    Err(error) if error.is_missing() => {}
                    Err(error) => reach.trouble(error.to_string()),
                }
            }
        }
    }
    found.sort_unstable_by_key(|file| std::cmp::Reverse(file.modified));
    if found.len() > FILES_MAX {
        reach.trouble(format!("{} journal files are too many", found.len()));
        found.truncate(FILES_MAX);
    }
    reach.files = found.len();
    reach.volatile &= !found.is_empty();
    found
}

/// Users' own lines are in files of their own; sshd's and login's never are.
fn is_system(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let stem = name
        .strip_suffix(b"~")
        .unwrap_or(name)
        .strip_suffix(b".journal");
    stem.is_some_and(|stem| stem == b"system" || stem.starts_with(b"system@"))
}

/// machine-id(5), where there is one.
fn machine_id(root: &HostRoot) -> Option<String> {
    let file = root.read(Path::new("/etc/machine-id"), 4096).ok()?;
    let text = std::str::from_utf8(&file.bytes).ok()?.trim();
    let whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| text.to_ascii_lowercase())
}

fn micros(time: (i64, i64)) -> u64 {
    let seconds = u64::try_from(time.0).unwrap_or(0);
    seconds.saturating_mul(1_000_000) + u64::try_from(time.1).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests;
