//! Lines of sshd and login, and whether they are theirs.
//!
//! Everybody can send the journal a line that calls itself sshd's: logger(1) does. journald adds
//! fields that begin with `_`, which a sender cannot set, from what the kernel says of it
//! (SCM_CREDENTIALS, /proc). A line counts when its sender's uid was root's and its program was
//! the one it says. Where the sender had ended before journald looked at it, there is no `_COMM`;
//! then root's uid alone must do, and that it came through syslog(3), as sshd's lines do.

use std::collections::HashMap;

use rescind_protocol::name::UnixMillis;

use super::file::{Data, Entry, JournalError, JournalFile, Text};
use crate::logins::accepted::{ACCEPTED, LINE_BYTES_MAX};
use crate::logins::tail::Bytes;
use crate::sys::process::ProcessId;

/// Fields that are remembered while a file is read; most entries of a program share most of them.
const FIELDS_MAX: usize = 16 << 10;
/// The longest path of a program.
const EXE_BYTES_MAX: usize = 4096 + 16;

/// A program whose lines are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// sshd(8); its part that serves a connection is a program of its own since OpenSSH 9.8.
    Sshd,
    /// login(1).
    Login,
}

impl Program {
    /// What its processes are called.
    const fn names(self) -> &'static [&'static [u8]] {
        match self {
            Self::Sshd => &[b"sshd", b"sshd-session"],
            Self::Login => &[b"login"],
        }
    }

    /// How the lines begin that matter.
    const fn mark(self) -> &'static [u8] {
        match self {
            Self::Sshd => ACCEPTED,
            Self::Login => b"pam_unix(login:session): session opened",
        }
    }
}

/// By what lines are found.
pub const IDENTIFIERS: [(&[u8], Program); 3] = [
    (b"SYSLOG_IDENTIFIER=sshd", Program::Sshd),
    (b"SYSLOG_IDENTIFIER=sshd-session", Program::Sshd),
    (b"SYSLOG_IDENTIFIER=login", Program::Login),
];

/// A line that its program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: UnixMillis,
    /// The same on the clock of its boot, in microseconds.
    pub monotonic_us: u64,
    /// Which boot.
    pub boot_id: [u8; 16],
    /// Whether that is the boot of the journal's newest entry.
    pub newest_boot: bool,
    /// The process that wrote it.
    pub pid: Option<ProcessId>,
    /// Its text.
    pub text: Vec<u8>,
}

/// What an entry turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A line of the program that matters.
    Line(Line),
    /// Another line of it, or one of another sender.
    Other,
    /// It may be the program's, but its text is compressed.
    Compressed,
}

/// Reads lines of one file.
#[derive(Debug)]
pub struct Lines<'f, B> {
    file: &'f mut JournalFile<B>,
    /// `_UID=0`.
    root: Option<Data>,
    fields: HashMap<u64, Field>,
}

/// What is known of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Message,
    Pid(Option<ProcessId>),
    Comm(Vec<u8>),
    Exe(Vec<u8>),
    Transport(Vec<u8>),
    Compressed,
    Other,
}

impl<'f, B: Bytes> Lines<'f, B> {
    /// Of an open file.
    pub fn of(file: &'f mut JournalFile<B>) -> Result<Self, JournalError> {
        Ok(Self {
            root: file.find(b"_UID=0")?,
            file,
            fields: HashMap::new(),
        })
    }

    /// The file.
    pub fn file(&mut self) -> &mut JournalFile<B> {
        self.file
    }

    /// What an entry is to a program.
    pub fn look(&mut self, program: Program, entry: &Entry) -> Result<Seen, JournalError> {
        let is_root = |root: &Data| entry.items.contains(&root.at);
        if !self.root.as_ref().is_some_and(is_root) {
            return Ok(Seen::Other);
        }
        let (mut message, mut compressed, mut pid) = (None, false, None);
        let (mut named, mut by_syslog) = (false, false);
        for at in &entry.items {
            match self.field(*at)? {
                Field::Message => message = Some(*at),
                Field::Pid(number) => pid = *number,
                Field::Comm(name) => {
                    if !program.names().contains(&name.as_slice()) {
                        return Ok(Seen::Other);
                    }
                    named = true;
                }
                Field::Exe(path) => {
                    if !program.names().contains(&base_name(path)) {
                        return Ok(Seen::Other);
                    }
                }
                Field::Transport(how) => by_syslog = how == b"syslog",
                Field::Compressed => compressed = true,
                Field::Other => {}
            }
        }
        if !named && !by_syslog {
            return Ok(Seen::Other);
        }
        let Some(message) = message else {
            return Ok(if compressed {
                Seen::Compressed
            } else {
                Seen::Other
            });
        };
        let wanted = [b"MESSAGE=", program.mark()].concat();
        if self.file.text(message, wanted.len())? != Text::Plain(wanted) {
            return Ok(Seen::Other);
        }
        let Text::Plain(mut text) = self.file.text(message, LINE_BYTES_MAX)? else {
            return Ok(Seen::Compressed);
        };
        text.drain(..b"MESSAGE=".len());
        Ok(Seen::Line(Line {
            at: UnixMillis(entry.realtime_us / 1000),
            monotonic_us: entry.monotonic_us,
            boot_id: entry.boot_id,
            newest_boot: false,
            pid,
            text,
        }))
    }

    fn field(&mut self, at: u64) -> Result<&Field, JournalError> {
        if self.fields.len() >= FIELDS_MAX {
            self.fields.clear();
        }
        Ok(match self.fields.entry(at) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                unknown.insert(read_field(self.file, at)?)
            }
        })
    }
}

fn read_field<B: Bytes>(file: &mut JournalFile<B>, at: u64) -> Result<Field, JournalError> {
    let Text::Plain(head) = file.text(at, 12)? else {
        return Ok(Field::Compressed);
    };
    let name = head.split(|byte| *byte == b'=').next().unwrap_or_default();
    let mut value = |max: usize| -> Result<Vec<u8>, JournalError> {
        let Text::Plain(mut text) = file.text(at, name.len() + 1 + max)? else {
            return Ok(Vec::new());
        };
        text.drain(..(name.len() + 1).min(text.len()));
        Ok(text)
    };
    Ok(match name {
        b"MESSAGE" => Field::Message,
        b"_PID" => {
            let digits = value(11)?;
            let digits = std::str::from_utf8(&digits).ok();
            Field::Pid(digits.and_then(|digits| digits.parse().ok()))
        }
        b"_COMM" => Field::Comm(value(64)?),
        b"_EXE" => Field::Exe(value(EXE_BYTES_MAX)?),
        b"_TRANSPORT" => Field::Transport(value(16)?),
        _ => Field::Other,
    })
}

/// The name of a program, also when it was replaced while it ran (proc(5), `/proc/PID/exe`).
fn base_name(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logins::journal::testing::{Journal, Kind};

    const GENUINE: [&str; 7] = [
        "SYSLOG_IDENTIFIER=sshd",
        "MESSAGE=Accepted password for alice from 10.0.0.1 port 1 ssh2",
        "_UID=0",
        "_COMM=sshd",
        "_EXE=/usr/sbin/sshd",
        "_TRANSPORT=syslog",
        "_PID=56",
    ];

    /// The same entry with some fields put in place of others (`_UID=`: without any).
    fn with(changes: &[&str]) -> Vec<String> {
        let name = |field: &str| field.split('=').next().unwrap_or_default().to_owned();
        let mut fields: Vec<String> = GENUINE.map(str::to_owned).to_vec();
        for change in changes {
            fields.retain(|field| name(field) != name(change));
            if !change.ends_with('=') {
                fields.push((*change).into());
            }
        }
        fields
    }

    fn seen(fields: &[String], kind: Kind) -> Seen {
        let mut journal = Journal::new(kind);
        journal.add(1_700_000_000_123_456, fields);
        let bytes = journal.bytes();
        let mut file = JournalFile::open(&bytes[..]).unwrap();
        let identifier = fields
            .iter()
            .find(|f| f.starts_with("SYSLOG_IDENTIFIER="))
            .unwrap();
        let data = file.find(identifier.as_bytes()).unwrap().unwrap();
        let entries = file.entries(&data).unwrap();
        let entry = file.entry(&entries, 0).unwrap().unwrap();
        let (_, program) = IDENTIFIERS
            .iter()
            .find(|(i, _)| *i == identifier.as_bytes())
            .unwrap();
        Lines::of(&mut file)
            .unwrap()
            .look(*program, &entry)
            .unwrap()
    }

    #[test]
    fn a_line_counts_only_when_root_sent_it_as_that_program() {
        for kind in Kind::ALL {
            let line = Seen::Line(Line {
                at: UnixMillis(1_700_000_000_123),
                monotonic_us: 123_456,
                boot_id: [7; 16],
                newest_boot: false,
                pid: Some(56),
                text: b"Accepted password for alice from 10.0.0.1 port 1 ssh2".to_vec(),
            });
            for changes in [
                &[][..],
                &["_EXE=/usr/sbin/sshd (deleted)"],
                &["_EXE="],
                &[
                    "_COMM=sshd-session",
                    "_EXE=/usr/lib/openssh/sshd-session",
                    "SYSLOG_IDENTIFIER=sshd-session",
                ],
                // It had ended when journald looked.
                &["_COMM=", "_EXE="],
                // `sshd -D -e` as a service.
                &["_TRANSPORT=stdout"],
            ] {
                assert_eq!(seen(&with(changes), kind), line, "{changes:?}");
            }
            for changes in [
                // logger(1), also under another name.
                &["_UID=1000", "_COMM=logger", "_EXE=/usr/bin/logger"][..],
                &["_UID=1000"],
                &["_UID="],
                // A program of root's that passes on what users say.
                &["_COMM=dockerd", "_EXE=/usr/bin/dockerd"],
                &["_COMM=sshd", "_EXE=/home/alice/xsshd"],
                &["_COMM=", "_EXE=", "_TRANSPORT=stdout"],
                &["MESSAGE=Failed password for alice from 10.0.0.1 port 1 ssh2"],
                &["MESSAGE="],
                // login's program is not sshd's.
                &["_COMM=login", "_EXE=/usr/bin/login"],
            ] {
                assert_eq!(seen(&with(changes), kind), Seen::Other, "{changes:?}");
            }
        }
    }

    #[test]
    fn a_login_at_the_console_is_found_too() {
        let text =
            "pam_unix(login:session): session opened for user alice(uid=1000) by LOGIN(uid=0)";
        let message = format!("MESSAGE={text}");
        let fields = with(&[
            "SYSLOG_IDENTIFIER=login",
            &message,
            "_COMM=login",
            "_EXE=/usr/bin/login",
        ]);
        let Seen::Line(line) = seen(&fields, Kind::Compact) else {
            panic!("not a line");
        };
        assert_eq!(line.text, text.as_bytes());
    }

    #[test]
    fn a_compressed_text_is_not_taken_for_nothing() {
        let mut journal = Journal::new(Kind::Compact);
        let message = format!("MESSAGE=Accepted {}", "x".repeat(600));
        journal.compress(message.as_bytes());
        journal.add(1, &with(&[&message]));
        let bytes = journal.bytes();
        let mut file = JournalFile::open(&bytes[..]).unwrap();
        let data = file.find(b"SYSLOG_IDENTIFIER=sshd").unwrap().unwrap();
        let entries = file.entries(&data).unwrap();
        let entry = file.entry(&entries, 0).unwrap().unwrap();
        let mut lines = Lines::of(&mut file).unwrap();
        assert_eq!(lines.look(Program::Sshd, &entry).unwrap(), Seen::Compressed);
    }
}
