//! The sessions that systemd-logind knows: its files in /run/systemd/sessions, one per session,
//! `KEY=value` lines, written by root.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::process::ProcessId;

/// Where logind keeps its sessions.
pub const SESSIONS_DIR: &str = "/run/systemd/sessions";

/// The most of a session's file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The most sessions: logind's own default for SessionsMax.
const SESSIONS_MAX: usize = 8192;

/// A session as logind knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogindSession {
    /// Its id; also in the name of its control group, `session-ID.scope`.
    pub id: String,
    /// The user's uid.
    pub uid: Option<u32>,
    /// The user's name.
    pub user: String,
    /// The process that began it.
    pub leader: Option<ProcessId>,
    /// The unit of its control group.
    pub scope: String,
    /// The service that opened it: `sshd`, `login`, `cron` …
    pub service: String,
    /// Its terminal, without `/dev/`.
    pub tty: String,
    /// Where its user came from, if from elsewhere.
    pub remote_host: String,
    /// `user`, `greeter`, `manager`, `background` …
    pub class: String,
    /// When it began, in microseconds on CLOCK_MONOTONIC.
    pub began_us: Option<u64>,
}

/// Reads all sessions; `None` where there is no directory of them (no logind).
pub fn sessions(dir: &Path) -> io::Result<Option<Vec<LogindSession>>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut sessions = Vec::new();
    for entry in entries.take(SESSIONS_MAX) {
        let entry = entry?;
        // Beside each file there is a FIFO, `ID.ref`; temporary files begin with a dot.
        let name = entry.file_name();
        if name.as_bytes().contains(&b'.') || !entry.file_type()?.is_file() {
            continue;
        }
        match read_bounded(&entry.path()) {
            Ok(bytes) => sessions.push(parse(&name.to_string_lossy(), &bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // closed meanwhile
            Err(error) => return Err(error),
        }
    }
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some(sessions))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(id: &str, bytes: &[u8]) -> LogindSession {
    let mut session = LogindSession {
        id: id.into(),
        ..LogindSession::default()
    };
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let text = value.to_owned();
        match key {
            "UID" => session.uid = value.parse().ok(),
            "USER" => session.user = text,
            "LEADER" => session.leader = value.parse().ok(),
            "SCOPE" => session.scope = text,
            "SERVICE" => session.service = text,
            "TTY" => session.tty = text,
            "REMOTE_HOST" => session.remote_host = text,
            "CLASS" => session.class = text,
            "MONOTONIC" => session.began_us = value.parse().ok(),
            _ => {}
        }
    }
    session
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_as_systemd_252_writes_it() {
        let text = "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nACTIVE=1\n\
            IS_DISPLAY=1\nSTATE=active\nREMOTE=1\nTYPE=tty\nORIGINAL_TYPE=tty\nCLASS=user\n\
            SCOPE=session-3.scope\nFIFO=/run/systemd/sessions/3.ref\nTTY=pts/0\n\
            REMOTE_HOST=10.77.1.1\nSERVICE=sshd\nPOSITION=0\nLEADER=412\nAUDIT=3\n\
            REALTIME=1700000000000000\nMONOTONIC=123\n";
        assert_eq!(
            parse("3", text.as_bytes()),
            LogindSession {
                id: "3".into(),
                uid: Some(1000),
                user: "alice".into(),
                leader: Some(412),
                scope: "session-3.scope".into(),
                service: "sshd".into(),
                tty: "pts/0".into(),
                remote_host: "10.77.1.1".into(),
                class: "user".into(),
                began_us: Some(123),
            }
        );
    }

    #[test]
    fn no_systemd_no_sessions_but_an_error_is_one() {
        assert_eq!(sessions(Path::new("/nonexistent/sessions")).unwrap(), None);
        assert!(sessions(Path::new("/proc/self/stat")).is_err());
    }
}
