//! What the files of terminals tell: utmp(5), wtmp(5), lastlog(8).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rescind_protocol::name::{AccountName, UnixMillis};

use super::history::{SourceSeen, SourceState};
use super::login::{How, Login, Source, from};
use super::tail::{Bytes, Deadline, Span, Window};
use super::{lastlog, utmp};
use crate::host::lock::ACCOUNT_FILE_BYTES_MAX;
use crate::host::passwd::Passwd;
use crate::host::root::{FileStamp, HostRoot, ReadError};

const PASSWD: &str = "/etc/passwd";
const LASTLOG: &str = "/var/log/lastlog";
/// The files of logins, and what they are rotated to.
const RECORDS: [(Source, &str); 3] = [
    (Source::Utmp, "/run/utmp"),
    (Source::Wtmp, "/var/log/wtmp"),
    (Source::Wtmp, "/var/log/wtmp.1"),
];
/// Records that are read at once.
const RECORDS_AT_ONCE: u64 = 1024;
/// Databases of newer programs, in SQLite's form. A reader for that would be larger than all the
/// others together, and the journal has what they have.
const DATABASES: [(&str, &str); 3] = [
    ("lastlog2", "/var/lib/lastlog/lastlog2.db"),
    ("wtmpdb", "/var/lib/wtmpdb/wtmp.db"),
    ("wtmpdb", "/var/log/wtmp.db"),
];

/// The files of terminals, with what of them was read.
#[derive(Debug, Default)]
pub struct Terminals {
    /// By device and inode.
    records: HashMap<(u64, u64), Progress>,
    lastlog: Option<(FileStamp, FileStamp)>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    /// In records.
    span: Span,
    /// The oldest record that was read.
    floor: Option<UnixMillis>,
    stamp: Option<FileStamp>,
}

impl Terminals {
    /// Reads what is new, then what is older, until time is up.
    pub fn look(
        &mut self,
        root: &HostRoot,
        deadline: Deadline,
        mut each: impl FnMut(Login),
    ) -> Vec<SourceSeen> {
        let mut sources = Vec::new();
        for source in [Source::Wtmp, Source::Utmp] {
            let mut seen = SourceSeen {
                name: source.word(),
                state: SourceState::Absent,
                since: None,
                files: Vec::new(),
                notes: Vec::new(),
            };
            for (_, path) in RECORDS.iter().filter(|(of, _)| *of == source) {
                self.read_records(
                    root,
                    source,
                    Path::new(path),
                    deadline,
                    &mut seen,
                    &mut each,
                );
            }
            sources.push(seen);
        }
        sources.push(self.read_lastlog(root, deadline, &mut each));
        let mut databases: Vec<SourceSeen> = Vec::new();
        for (name, path) in DATABASES {
            if root.exists(Path::new(path)).is_ok_and(|there| there) {
                databases.push(SourceSeen {
                    name,
                    state: SourceState::NotRead,
                    since: None,
                    files: vec![path.into()],
                    notes: vec!["SQLite databases are not read; the journal is".into()],
                });
            }
        }
        sources.append(&mut databases);
        sources
    }

    fn read_records(
        &mut self,
        root: &HostRoot,
        source: Source,
        path: &Path,
        deadline: Deadline,
        seen: &mut SourceSeen,
        each: &mut impl FnMut(Login),
    ) {
        let failed = |seen: &mut SourceSeen, why: String| {
            seen.state = SourceState::Partly;
            seen.notes.push(why);
        };
        let (file, stat) = match root.open(path) {
            Ok(opened) => opened,
            Err(error) if error.is_missing() => return,
            Err(error) => return failed(seen, error.to_string()),
        };
        seen.files.push(path.display().to_string());
        if seen.state == SourceState::Absent {
            seen.state = SourceState::Read;
        }
        if stat.size == 0 {
            return;
        }
        let mut file = Window::new(file);
        let mut head = vec![0; 4096];
        let form = file
            .read_at(0, &mut head)
            .ok()
            .and_then(|count| utmp::Form::of(&head[..count]));
        let Some(form) = form else {
            return failed(seen, format!("{} is not a file of logins", path.display()));
        };
        let record = form.record_bytes() as u64;
        let (key, stamp) = ((stat.dev, stat.ino), FileStamp::from(&stat));
        let count = stat.size / record;
        let progress = self.records.entry(key).or_insert(Progress {
            span: Span::before(count),
            floor: None,
            stamp: None,
        });
        // utmp is a table whose lines change in place; and a file can be cut off.
        let changed = progress.stamp != Some(stamp);
        if source == Source::Utmp && changed || progress.span.hi > count {
            progress.span = Span::before(count);
        }
        progress.stamp = Some(stamp);
        if let Err(error) = progress.read(&mut file, form, count, source, deadline, each) {
            failed(seen, format!("{}: {error}", path.display()));
        }
        if !progress.span.is_whole() || progress.span.hi < count {
            failed(
                seen,
                format!("{}: not all of it was read in time", path.display()),
            );
        }
        seen.since = match (seen.since, progress.floor) {
            (Some(since), Some(floor)) => Some(since.min(floor)),
            (since, floor) => since.or(floor),
        };
    }

    fn read_lastlog(
        &mut self,
        root: &HostRoot,
        deadline: Deadline,
        each: &mut impl FnMut(Login),
    ) -> SourceSeen {
        let mut seen = SourceSeen {
            name: Source::Lastlog.word(),
            state: SourceState::Absent,
            since: None,
            files: Vec::new(),
            notes: Vec::new(),
        };
        match self.try_lastlog(root, deadline, each) {
            Ok(None) => {}
            Ok(Some(whole)) => {
                seen.files.push(LASTLOG.into());
                seen.state = SourceState::Read;
                if !whole {
                    seen.state = SourceState::Partly;
                    seen.notes.push("not all of it was read in time".into());
                }
            }
            Err(why) => {
                seen.files.push(LASTLOG.into());
                seen.state = SourceState::NotRead;
                seen.notes.push(why);
            }
        }
        seen
    }

    /// Whether all of it was read; `None` where there is nothing.
    fn try_lastlog(
        &mut self,
        root: &HostRoot,
        deadline: Deadline,
        each: &mut impl FnMut(Login),
    ) -> Result<Option<bool>, String> {
        let text = |error: ReadError| error.to_string();
        let (file, stat) = match root.open(&PathBuf::from(LASTLOG)) {
            Ok(opened) => opened,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(text(error)),
        };
        if stat.size == 0 {
            return Ok(None);
        }
        let form = lastlog::Form::of(stat.size).ok_or("its size is not one that it can have")?;
        let passwd = root
            .read(Path::new(PASSWD), ACCOUNT_FILE_BYTES_MAX)
            .map_err(text)?;
        let stamps = (FileStamp::from(&stat), passwd.stamp);
        if self.lastlog == Some(stamps) {
            return Ok(Some(true));
        }
        let passwd = Passwd::parse(passwd.bytes);
        let mut uids: Vec<(u32, AccountName)> = Vec::new();
        for entry in passwd.entries() {
            // A name that no order can name has no row in the inventory either.
            if let Some(name) = std::str::from_utf8(entry.name)
                .ok()
                .and_then(|name| name.parse().ok())
            {
                uids.push((entry.uid, name));
            }
        }
        uids.sort();
        uids.dedup();
        let mut shared = HashSet::new();
        for pair in uids.windows(2) {
            if pair[0].0 == pair[1].0 {
                shared.insert(pair[0].0);
            }
        }
        let mut file = Window::new(file);
        for (uid, account) in uids {
            if deadline.is_over() {
                return Ok(Some(false));
            }
            // Whose login it was cannot be told where several accounts have the uid.
            if shared.contains(&uid) {
                continue;
            }
            let last = lastlog::last(&mut file, form, uid).map_err(|error| error.to_string())?;
            if let Some(last) = last {
                each(Login {
                    at: last.at,
                    account,
                    from: from(&last.host),
                    how: How::Session,
                    key: None,
                    authority: None,
                    source: Source::Lastlog,
                });
            }
        }
        self.lastlog = Some(stamps);
        Ok(Some(true))
    }
}

impl Progress {
    fn read(
        &mut self,
        file: &mut dyn Bytes,
        form: utmp::Form,
        count: u64,
        source: Source,
        deadline: Deadline,
        each: &mut impl FnMut(Login),
    ) -> std::io::Result<()> {
        let record = form.record_bytes() as u64;
        let mut buffer = vec![0; (RECORDS_AT_ONCE * record) as usize];
        while !deadline.is_over() {
            let (from, to) = match self.span {
                Span { hi, .. } if hi < count => (hi, count.min(hi + RECORDS_AT_ONCE)),
                Span { lo, .. } if lo > 0 => (lo.saturating_sub(RECORDS_AT_ONCE), lo),
                _ => return Ok(()),
            };
            let wanted = &mut buffer[..((to - from) * record) as usize];
            if file.read_at(from * record, wanted)? < wanted.len() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            for seen in utmp::records(form, wanted) {
                self.floor = match (self.floor, seen.at) {
                    // A record without a time is one that was cleared.
                    (floor, None | Some(UnixMillis(0))) => floor,
                    (Some(floor), Some(at)) => Some(floor.min(at)),
                    (None, at) => at,
                };
                if let Some(login) = login(&seen, source) {
                    each(login);
                }
            }
            if from == self.span.hi {
                self.span.hi = to;
            } else {
                self.span.lo = from;
            }
        }
        Ok(())
    }
}

fn login(seen: &utmp::Record<'_>, source: Source) -> Option<Login> {
    if seen.kind != utmp::USER_PROCESS || seen.user.is_empty() {
        return None;
    }
    let console = seen.host.is_empty() && seen.line.starts_with(b"tty");
    Some(Login {
        at: seen.at.filter(|at| at.0 > 0)?,
        account: std::str::from_utf8(seen.user).ok()?.parse().ok()?,
        from: from(seen.host),
        how: if console { How::Console } else { How::Session },
        key: None,
        authority: None,
        source,
    })
}

#[cfg(test)]
mod tests;
