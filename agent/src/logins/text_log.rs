//! The text files of syslogd: `auth.log`, `secure`, and what they were rotated to.
//!
//! Every user of the host can have a line written into them under any name (logger(1)), so what
//! they say is believed only of times that the journal does not reach, and is marked.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rescind_protocol::name::{AccountName, UnixMillis};

use super::accepted::{self, ACCEPTED};
use super::login::{Login, Source, from};
use super::syslog_line::{self, When};
use super::tail::{Deadline, Span, read_lines};
use crate::host::root::HostRoot;
use crate::sshd::printable::printable_path;
use crate::sys::zone;

const DIRECTORY: &str = "/var/log";
const NAMES_MAX: usize = 65_536;
/// Rotated files that are looked at.
const FILES_MAX: usize = 256;
/// Where syslogd writes what sshd says: on Debian, on Red Hat; else with everything else.
const NAMES: [&str; 2] = ["auth.log", "secure"];
const EVERYTHING: &str = "messages";
/// Endings of files that are compressed.
const PACKED: [&str; 7] = [".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".Z"];
/// What is told of what could not be read.
const TROUBLES_MAX: usize = 8;

/// The text logs of a host, with what of them was read.
#[derive(Debug, Default)]
pub struct TextLogs {
    /// By device and inode, which rotating does not change.
    files: HashMap<(u64, u64), Progress>,
}

/// What a reading of them came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TextReach {
    /// The files that are there, the newest first.
    pub files: Vec<String>,
    /// Files that are not read because they are compressed.
    pub packed: Vec<String>,
    /// Since when everything was read.
    pub since: Option<UnixMillis>,
    /// Whether there is nothing older to read.
    pub whole: bool,
    /// Lines of other hosts, which are passed over.
    pub of_others: u64,
    /// What could not be read.
    pub troubles: Vec<String>,
}

#[derive(Debug)]
struct Progress {
    span: Span,
    /// The time of the oldest line that was read.
    floor: UnixMillis,
    of_others: u64,
}

struct Found {
    path: PathBuf,
    key: (u64, u64),
    size: u64,
    modified: UnixMillis,
}

impl TextLogs {
    /// Reads what is new, then what is older, until time is up. `host` is the host's own name;
    /// lines of others, which a log server collects, are not about its accounts.
    pub fn look(
        &mut self,
        root: &HostRoot,
        host: Option<&str>,
        deadline: Deadline,
        mut each: impl FnMut(Login),
    ) -> TextReach {
        let mut reach = TextReach::default();
        let found = find(root, &mut reach);
        self.files
            .retain(|key, _| found.iter().any(|file| file.key == *key));
        // The zone of a host that is not booted is not this machine's.
        let zone = root.is_live();
        let offset = |at: i64| {
            if zone {
                zone::utc_offset(at).unwrap_or(0)
            } else {
                0
            }
        };
        reach.whole = true;
        for file in &found {
            reach.files.push(printable_path(&file.path));
            let progress = self
                .files
                .entry(file.key)
                .or_insert_with(|| Progress::new(file));
            if progress.span.hi > file.size {
                // Cut off in place: logrotate's copytruncate.
                *progress = Progress::new(file);
            }
            let read = progress.read(root, file, host, deadline, &offset, &mut each);
            if let Err(why) = &read {
                reach.trouble(format!("{}: {why}", printable_path(&file.path)));
            }
            reach.of_others += progress.of_others;
            if reach.whole {
                let floor = progress.floor;
                reach.since = Some(reach.since.map_or(floor, |since| since.min(floor)));
                reach.whole = read.is_ok() && progress.span.is_whole();
            }
        }
        reach.whole &= !found.is_empty();
        reach
    }
}

impl TextReach {
    fn trouble(&mut self, why: String) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(why);
        }
    }
}

impl Progress {
    fn new(file: &Found) -> Self {
        Self {
            span: Span::before(file.size),
            floor: file.modified,
            of_others: 0,
        }
    }

    fn read(
        &mut self,
        root: &HostRoot,
        file: &Found,
        host: Option<&str>,
        deadline: Deadline,
        offset: &impl Fn(i64) -> i64,
        each: &mut impl FnMut(Login),
    ) -> Result<(), String> {
        if self.span.is_whole() && self.span.hi == file.size {
            return Ok(());
        }
        let (mut bytes, stat) = root.open(&file.path).map_err(|error| error.to_string())?;
        if (stat.dev, stat.ino) != file.key {
            return Ok(()); // rotated just now; next time
        }
        let (floor, of_others) = (&mut self.floor, &mut self.of_others);
        read_lines(
            &mut bytes,
            file.size,
            &mut self.span,
            deadline,
            |piece, older| {
                // Lines without a year are resolved from the end: none is after the one behind it.
                let mut until = if older { *floor } else { file.modified };
                for line in accepted_lines(piece) {
                    let Some(line) = syslog_line::parse(line) else {
                        continue;
                    };
                    let Some(at) = instant(line.when, until, offset) else {
                        continue;
                    };
                    until = at;
                    if !is_of(line.host, host) {
                        *of_others += 1;
                    } else if let Some(login) = login(&line, at) {
                        each(login);
                    }
                }
                if older {
                    // The first line that says when, for those that do not.
                    let mut lines = piece.split(|byte| *byte == b'\n');
                    let first = lines.find_map(syslog_line::time);
                    if let Some(at) = first.and_then(|when| instant(when, until, offset)) {
                        *floor = (*floor).min(at);
                    }
                }
            },
        )
        .map_err(|error| error.to_string())
    }
}

/// The lines in which somebody may have been let in, the last one first.
fn accepted_lines(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut end = piece.len();
    std::iter::from_fn(move || {
        let at = memchr::memmem::rfind(&piece[..end], ACCEPTED)?;
        let start = memchr::memrchr(b'\n', &piece[..at]).map_or(0, |before| before + 1);
        let stop = memchr::memchr(b'\n', &piece[at..]).map_or(piece.len(), |after| at + after);
        end = start;
        Some(&piece[start..stop])
    })
}

fn instant(when: When, until: UnixMillis, offset: &impl Fn(i64) -> i64) -> Option<UnixMillis> {
    match when {
        When::At(at) => Some(at),
        When::Local(when) => when.not_after(until, offset),
    }
}

fn login(line: &syslog_line::SyslogLine<'_>, at: UnixMillis) -> Option<Login> {
    if line.tag != b"sshd" && line.tag != b"sshd-session" {
        return None;
    }
    let found = accepted::sshd(line.message)?;
    let account: AccountName = std::str::from_utf8(found.account).ok()?.parse().ok()?;
    Some(Login {
        at,
        account,
        from: found
            .from
            .and_then(|address| from(address.to_string().as_bytes())),
        how: found.how,
        key: found.key,
        authority: found.authority,
        source: Source::AuthLog,
    })
}

/// Whether a line is the host's own: by its whole name, or by the first part of it.
fn is_of(said: &[u8], host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let short = |name: &[u8]| {
        name.split(|byte| *byte == b'.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    short(said) == short(host.as_bytes())
}

/// The files, the newest first.
fn find(root: &HostRoot, reach: &mut TextReach) -> Vec<Found> {
    let directory = Path::new(DIRECTORY);
    let names = match root.read_dir(directory, NAMES_MAX) {
        Ok(names) => names,
        Err(error) if error.is_missing() => return Vec::new(),
        Err(error) => {
            reach.trouble(error.to_string());
            return Vec::new();
        }
    };
    let family = |base: &str| -> Vec<&OsString> {
        names
            .iter()
            .filter(|name| is_of_family(name, base))
            .collect()
    };
    let mut wanted: Vec<&OsString> = NAMES.iter().flat_map(|base| family(base)).collect();
    if wanted.is_empty() {
        wanted = family(EVERYTHING);
    }
    let mut found = Vec::new();
    for name in wanted {
        let path = directory.join(name);
        if PACKED
            .iter()
            .any(|ending| name.as_bytes().ends_with(ending.as_bytes()))
        {
            reach.packed.push(printable_path(&path));
            continue;
        }
        match root.stat(&path) {
            Ok(standing) => found.push(Found {
                path,
                key: (standing.stat.dev, standing.stat.ino),
                size: standing.stat.size,
                modified: UnixMillis(
                    u64::try_from(standing.stat.mtime.0)
                        .unwrap_or(0)
                        .saturating_mul(1000),
                ),
            }),
            Err(error) if error.is_missing() => {}
            Err(error) => reach.trouble(error.to_string()),
        }
    }
    found.sort_by_key(|file| std::cmp::Reverse(file.modified));
    found.truncate(FILES_MAX);
    reach.packed.truncate(FILES_MAX);
    found
}

/// `auth.log`, `auth.log.1`, `auth.log-20261101`, with or without an ending.
fn is_of_family(name: &OsStr, base: &str) -> bool {
    match name.as_bytes().strip_prefix(base.as_bytes()) {
        Some(b"") => true,
        Some([b'.' | b'-', rest @ ..]) => rest.first().is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
