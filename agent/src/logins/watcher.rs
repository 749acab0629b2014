//! The reader of all sources, with what it remembers, for many threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rescind_protocol::name::{AccountName, UnixMillis};

use super::accepted;
use super::history::{History, Opened, SourceSeen, SourceState};
use super::journal::lines::{Line, Program};
use super::journal::set::{Journals, Reach};
use super::login::{How, Login, Source, from};
use super::tail::Deadline;
use super::terminals::Terminals;
use super::text_log::{TextLogs, TextReach};
use crate::config;
use crate::host::root::HostRoot;
use crate::sys::clock;

/// The records of one host's logins.
///
/// Nothing is read but when somebody looks, and then for a bounded time: what is new first, then
/// as much of what is older as there is time for; the next look goes on from there.
#[derive(Debug)]
pub struct LoginLog {
    root: PathBuf,
    state: Mutex<State>,
    /// What the last look came to.
    seen: Mutex<Arc<History>>,
}

#[derive(Debug, Default)]
struct State {
    journals: Journals,
    text: TextLogs,
    terminals: Terminals,
    history: Arc<History>,
}

impl LoginLog {
    /// Of the host below `root`; nothing is read yet.
    pub fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            state: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Reads on for about so long. Whoever asks while another does waits for it.
    pub fn look(&self, patience: Duration) -> Arc<History> {
        let mut state = entered(&self.state);
        match HostRoot::at(&self.root) {
            Ok(root) => state.look(&root, patience),
            Err(error) => {
                let history = Arc::make_mut(&mut state.history);
                history.known_since = None;
                history.sources = vec![SourceSeen {
                    name: Source::Journal.word(),
                    state: SourceState::NotRead,
                    since: None,
                    files: Vec::new(),
                    notes: vec![error.to_string()],
                }];
            }
        }
        *entered(&self.seen) = Arc::clone(&state.history);
        Arc::clone(&state.history)
    }

    /// What the last look came to; reads nothing, and waits for nobody who does.
    pub fn remembered(&self) -> Arc<History> {
        Arc::clone(&entered(&self.seen))
    }
}

fn entered<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a reader that panicked has left is what it had read.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn look(&mut self, root: &HostRoot, patience: Duration) {
        let begun = Instant::now();
        let until = |part: f64| Deadline(begun + patience.mul_f64(part));
        let history = Arc::make_mut(&mut self.history);
        // The small files first, then the best source, then what is only asked where it has nothing.
        let terminals = self
            .terminals
            .look(root, until(0.25), |login| history.add(login));
        let journal = self.journals.look(root, until(0.75), |program, line| {
            add_line(history, program, &line);
        });
        // The kernel's own boot id is not asked: in a container the journal has another.
        if !root.is_live() || journal.newest < Some(booted_at()) {
            history.forget_opened();
        }
        let host = config::host_name(root.path());
        let host = host.as_ref().map(|name| name.as_str());
        let journal_since = journal.since;
        let text = match journal.files == 0 || journal.finished {
            true => self.text.look(root, host, until(1.0), |login| {
                if login.is_believed(journal_since) {
                    history.add(login);
                }
            }),
            // How far back the journal goes is not known yet, so nor is what text is believed.
            false => TextReach::default(),
        };
        history.known_since = match (journal.since, text.since) {
            (Some(journal), Some(text)) => Some(journal.min(text)),
            (journal, text) => journal.or(text),
        };
        history.sources = vec![of_journal(&journal), of_text(&text, &journal)];
        history.sources.extend(terminals);
    }
}

fn add_line(history: &mut History, program: Program, line: &Line) {
    let name =
        |bytes: &[u8]| -> Option<AccountName> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let login = match program {
        Program::Sshd => accepted::sshd(&line.text).and_then(|found| {
            Some(Login {
                at: line.at,
                account: name(found.account)?,
                from: found
                    .from
                    .and_then(|address| from(address.to_string().as_bytes())),
                how: found.how,
                key: found.key,
                authority: found.authority,
                source: Source::Journal,
            })
        }),
        Program::Login => accepted::console(&line.text).and_then(|account| {
            Some(Login {
                at: line.at,
                account: name(account)?,
                from: None,
                how: How::Console,
                key: None,
                authority: None,
                source: Source::Journal,
            })
        }),
    };
    let Some(login) = login else { return };
    if let (Program::Sshd, Some(pid)) = (program, line.pid)
        && line.newest_boot
    {
        let opened = Opened {
            account: login.account.clone(),
            how: login.how,
            key: login.key,
            from: login.from.clone(),
            monotonic_us: line.monotonic_us,
        };
        history.add_opened(pid, opened);
    }
    history.add(login);
}

fn of_journal(reach: &Reach) -> SourceSeen {
    let mut notes = reach.troubles.clone();
    if reach.compressed > 0 {
        notes.push(format!(
            "{} long lines of sshd are compressed and were not read",
            reach.compressed
        ));
    }
    if !reach.finished && reach.files > 0 {
        notes.push("what is older was not read in time; ask again".into());
    }
    if !reach.caught_up && reach.files > 0 {
        notes.push("the newest lines were not read in time; ask again".into());
    }
    if reach.volatile {
        notes.push("it is kept in memory only, and ends with the next boot".into());
    }
    let state = match () {
        () if reach.files == 0 && reach.troubles.is_empty() => SourceState::Absent,
        () if reach.since.is_none() && !reach.troubles.is_empty() => SourceState::NotRead,
        () if reach.whole && reach.caught_up && reach.compressed == 0 => SourceState::Read,
        () => SourceState::Partly,
    };
    SourceSeen {
        name: Source::Journal.word(),
        state,
        since: reach.since,
        files: Vec::new(),
        notes,
    }
}

fn of_text(reach: &TextReach, journal: &Reach) -> SourceSeen {
    let mut notes = reach.troubles.clone();
    for file in &reach.packed {
        notes.push(format!("{file} is compressed and was not read"));
    }
    if reach.of_others > 0 {
        notes.push(format!(
            "{} lines of other hosts were passed over",
            reach.of_others
        ));
    }
    if !reach.files.is_empty() {
        notes.push("every user of the host can have a line written into it".into());
    }
    if let Some(since) = journal.since.filter(|_| !reach.files.is_empty()) {
        notes.push(format!(
            "it counts only before {since}, where the journal begins"
        ));
    }
    let state = match () {
        () if journal.files > 0 && !journal.finished => SourceState::NotRead,
        () if !reach.whole && (!reach.files.is_empty() || !reach.troubles.is_empty()) => {
            SourceState::Partly
        }
        () if !reach.files.is_empty() && reach.packed.is_empty() => SourceState::Read,
        () if !reach.files.is_empty() => SourceState::Partly,
        () if !reach.packed.is_empty() => SourceState::NotRead,
        () => SourceState::Absent,
    };
    if state == SourceState::NotRead && journal.files > 0 && !journal.finished {
        notes.push("it is read only after all of the journal; ask again".into());
    }
    SourceSeen {
        name: Source::AuthLog.word(),
        state,
        since: reach.since,
        files: reach.files.clone(),
        notes,
    }
}

/// When this host was booted, by its clock as it is now.
pub fn booted_at() -> UnixMillis {
    UnixMillis(clock::wall().0.saturating_sub(clock::boot_us() / 1000))
}
