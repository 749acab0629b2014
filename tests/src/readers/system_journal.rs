//! Files of systemd-journald(8).

use std::time::Duration;

use rescind_agent::logins::LoginLog;
use rescind_agent::logins::journal::file::{JournalError, JournalFile, Text};
use rescind_agent::logins::journal::lines::{IDENTIFIERS, Lines, Program, Seen};

use super::scratch::Scratch;
use super::told::{holds_no_control, is_told_safely};
use super::{Target, nothing_made};

/// The seeds beneath `tests/fuzz/seeds` are what the journals' own tests write
/// (`logins/journal/testing.rs`), of all three forms.
pub const TARGET: Target = Target {
    name: "system_journal",
    read,
    words: &[
        "LPKSHHRH",
        "_UID=0",
        "SYSLOG_IDENTIFIER=sshd",
        "_COMM=sshd",
        "_EXE=/usr/sbin/sshd",
        "_TRANSPORT=syslog",
        "_PID=77",
        "MESSAGE=Accepted publickey for alice from 192.0.2.7 port 22 ssh2",
        "\x01\0\0\0\0\0\0\0",
        "\x03\0\0\0\0\0\0\0",
        "\x06\0\0\0\0\0\0\0",
        "\0\0\0\0\0\0\0\0",
        "\x7f\0\0\0\0\0\0\0",
        "\0\0\0\0\x01",
    ],
    made: nothing_made,
    rooms: &[],
};

/// What [`whole_host`] puts the file beneath.
const MACHINE: &str = "11111111111111111111111111111111";

/// Entries that are looked at: a file of few bytes can say that it has as many as it likes.
const LOOKED_AT: usize = 1000;

fn read(bytes: &[u8]) {
    match JournalFile::open(bytes) {
        Ok(mut file) => {
            for (text, program) in IDENTIFIERS {
                if let Err(why) = lines(&mut file, text, program, bytes) {
                    is_told_safely(&why.to_string());
                }
            }
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
    Scratch::with(|scratch| whole_host(scratch, bytes));
}

/// Walks all that a program wrote, newest first, as the agent does.
fn lines(
    file: &mut JournalFile<&[u8]>,
    identifier: &[u8],
    program: Program,
    bytes: &[u8],
) -> Result<(), JournalError> {
    let Some(data) = file.find(identifier)? else {
        return Ok(());
    };
    assert_eq!(
        file.text(data.at, identifier.len())?,
        Text::Plain(identifier.to_vec()),
        "what is found is what was asked for"
    );
    let entries = file.entries(&data)?;
    let mut lines = Lines::of(file)?;
    for nth in (0..entries.count()).rev().take(LOOKED_AT) {
        let Ok(Some(entry)) = lines.file().entry(&entries, nth) else {
            continue;
        };
        assert!(entry.items.len() * 4 <= bytes.len());
        match lines.look(program, &entry) {
            Ok(Seen::Line(line)) => {
                assert!(line.text.len() <= bytes.len());
                assert_eq!(line.at.0, entry.realtime_us / 1000);
            }
            Ok(Seen::Other | Seen::Compressed) => {}
            Err(why) => is_told_safely(&why.to_string()),
        }
    }
    Ok(())
}

/// The same from the file's place on a host, through all that is made of it.
fn whole_host(scratch: &Scratch, bytes: &[u8]) {
    scratch.put("etc/machine-id", format!("{MACHINE}\n").as_bytes());
    scratch.put("etc/hostname", b"web1\n");
    scratch.put(&format!("var/log/journal/{MACHINE}/system.journal"), bytes);
    let log = LoginLog::of(scratch.path());
    let once = log.look(Duration::from_secs(60));
    for source in &once.sources {
        source.notes.iter().for_each(|note| holds_no_control(note));
    }
    for (_, login) in once.accounts() {
        login.from.iter().for_each(|from| holds_no_control(from));
    }
    let twice = log.look(Duration::from_secs(60));
    assert_eq!(
        once.accounts().collect::<Vec<_>>(),
        twice.accounts().collect::<Vec<_>>(),
        "nothing new was written"
    );
}
