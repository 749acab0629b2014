//! Who came in: auth.log, wtmp, utmp, lastlog, and what sshd and login write into a log.

use std::time::Duration;

use rescind_agent::logins::utmp::{self, Form};
use rescind_agent::logins::{LoginLog, accepted, lastlog, syslog_line};
use rescind_protocol::name::UnixMillis;

use super::Target;
use super::scratch::Scratch;
use super::told::holds_no_control;
use super::tree::Tree;

pub const TARGET: Target = Target {
    name: "logins",
    read,
    words: &[
        "Jan  2 03:04:05 web1 sshd[77]: ",
        "2026-01-02T03:04:05.123456+01:00 web1 sshd-session[77]: ",
        "Feb 29 23:59:60 web1 login[77]: ",
        "Accepted publickey for alice from 192.0.2.7 port 22 ssh2: ED25519 SHA256:",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
        "Accepted password for alice from ::1 port 22 ssh2\n",
        "ssh2: ED25519-CERT SHA256:x ID alice (serial 1) CA ED25519 SHA256:",
        "pam_unix(login:session): session opened for user alice(uid=1000) by (uid=0)\n",
        "message repeated 2 times: [ ",
        "==> var/log/auth.log <==\n",
        "==> var/log/auth.log.1 <==\n",
        "==> var/log/secure <==\n",
        "==> var/log/wtmp <==\n",
        "==> run/utmp <==\n",
        "==> var/log/lastlog <==\n",
        "\x07\0\0\0",
        "pts/0",
        "alice",
        "\0\0\0\0\0\0\0\0",
    ],
    made,
    rooms: &[
        "agent/src/logins/accepted.rs",
        "agent/src/logins/syslog_line.rs",
        "agent/src/logins/text_log.rs",
        "agent/src/logins/text_log",
        "agent/src/logins/utmp.rs",
    ],
};

/// All that a host is asked for.
const FILES: [&str; 6] = [
    MAIN,
    "var/log/auth.log.1",
    "var/log/secure",
    "var/log/wtmp",
    "run/utmp",
    "var/log/lastlog",
];
const MAIN: &str = "var/log/auth.log";

fn read(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        of_line(line);
    }
    records(bytes);
    let tree = Tree::parse(bytes, MAIN);
    Scratch::with(|scratch| {
        scratch.put("etc/hostname", b"web1\n");
        scratch.put("etc/passwd", b"alice:x:1000:1000::/home/alice:/bin/sh\n");
        for path in FILES {
            match tree.get(path.as_ref()) {
                Some(bytes) => drop(scratch.put(path, bytes)),
                None => scratch.remove(path),
            }
        }
        looked_at(scratch);
    });
}

/// What a host comes to, told, and the same when it is looked at again.
fn looked_at(scratch: &Scratch) {
    let log = LoginLog::of(scratch.path());
    let once = log.look(Duration::from_secs(60));
    for (_, login) in once.accounts() {
        login.from.iter().for_each(|from| holds_no_control(from));
    }
    for source in &once.sources {
        source.notes.iter().for_each(|note| holds_no_control(note));
        source.files.iter().for_each(|file| holds_no_control(file));
    }
    let twice = log.look(Duration::from_secs(60));
    assert_eq!(
        once.accounts().collect::<Vec<_>>(),
        twice.accounts().collect::<Vec<_>>(),
        "nothing new was written"
    );
}

fn of_line(line: &[u8]) {
    if let Some(found) = syslog_line::parse(line) {
        let _any = format!("{found:?}");
    }
    if let Some(syslog_line::When::Local(yearless)) = syslog_line::time(line) {
        let until = UnixMillis(1_795_423_384_123);
        if let Some(at) = yearless.not_after(until, |_| 3600) {
            assert!(at <= until);
        }
    }
    if let Some(found) = accepted::sshd(line) {
        assert!(!found.account.is_empty() && line.len() > found.account.len());
    }
    if let Some(account) = accepted::console(line) {
        assert!(
            line.windows(account.len().max(1))
                .any(|part| part == account)
        );
    }
}

fn records(bytes: &[u8]) {
    let forms = [Form::Narrow, Form::Wide];
    if let Some(form) = Form::of(bytes) {
        assert!(forms.contains(&form));
    }
    for form in forms {
        let found = utmp::records(form, bytes);
        assert_eq!(found.count(), bytes.len() / form.record_bytes());
    }
    for form in [lastlog::Form::Narrow, lastlog::Form::Wide] {
        for uid in [0, 1, 1000, u32::MAX] {
            let last = lastlog::last(&mut &bytes[..], form, uid);
            let last = last.expect("memory can be read");
            assert!(last.is_none_or(|last| last.host.len() <= 256));
        }
    }
}

fn made() -> Vec<Vec<u8>> {
    let narrow = record(384, 340, 7, 1_700_000_000);
    let wide = record(400, 344, 7, 1_700_000_000);
    let boot = record(384, 340, 2, 1_699_999_000);
    let last = [&1_700_000_000_u32.to_le_bytes()[..], &[0; 288]].concat();
    let in_file = |path: &str, bytes: &[u8]| {
        let head = format!("==> {path} <==\n");
        [head.as_bytes(), bytes].concat()
    };
    let log = "Jan  2 03:04:05 web1 sshd[77]: Accepted publickey for alice from 192.0.2.7 port 22 \
               ssh2: ED25519 SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n\
               2026-01-02T03:04:05.123456+01:00 web1 login[7]: \
               pam_unix(login:session): session opened for user alice(uid=1000) by (uid=0)\n";
    vec![
        log.into(),
        in_file("var/log/wtmp", &[boot, narrow.clone()].concat()),
        in_file("var/log/wtmp", &wide),
        in_file("run/utmp", &narrow),
        in_file("var/log/lastlog", &last),
        [in_file("var/log/auth.log.1", log.as_bytes()), wide].concat(),
        narrow,
    ]
}

/// A record of utmp(5), of so many bytes, with its time at that place.
fn record(bytes: usize, time_at: usize, kind: i16, seconds: u32) -> Vec<u8> {
    let mut record = vec![0; bytes];
    record[..2].copy_from_slice(&kind.to_le_bytes());
    record[4..8].copy_from_slice(&77_i32.to_le_bytes());
    for (at, text) in [(8, &b"pts/0"[..]), (44, b"alice"), (76, b"192.0.2.7")] {
        record[at..at + text.len()].copy_from_slice(text);
    }
    record[time_at..time_at + 4].copy_from_slice(&seconds.to_le_bytes());
    record
}
