use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::*;
use crate::logins::utmp::tests::record;

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let name = format!("rescind-terminals-{name}-{}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        root.write(
            "etc/passwd",
            b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1::/:/bin/sh\n\
              twin:x:1001:1::/:/bin/sh\nfar:x:4294967294:1::/:/bin/sh\n",
        );
        root
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn look(terminals: &mut Terminals, root: &Root) -> (Vec<String>, Vec<SourceSeen>) {
    let mut seen = Vec::new();
    let host = HostRoot::at(&root.0).unwrap();
    let deadline = Deadline(Instant::now() + Duration::from_secs(20));
    let sources = terminals.look(&host, deadline, |login| {
        seen.push(format!(
            "{} {} {} {} {}",
            login.source.word(),
            login.at.0 / 1000,
            login.account,
            login.from.as_deref().unwrap_or("-"),
            login.how.word()
        ));
    });
    (seen, sources)
}

fn state(sources: &[SourceSeen], name: &str) -> SourceState {
    sources
        .iter()
        .find(|source| source.name == name)
        .unwrap()
        .state
}

#[test]
fn logins_are_told_once_and_nothing_else_is() {
    let root = Root::new("wtmp");
    let form = utmp::Form::Narrow;
    let mut wtmp = [
        record(form, 2, b"reboot", b"~", b"6.1.0", 100),
        record(form, 7, b"alice", b"pts/0", b"192.0.2.7", 200),
        record(form, 8, b"", b"pts/0", b"", 300),
        record(form, 6, b"LOGIN", b"tty1", b"", 400),
        record(form, 7, b"bob", b"tty1", b"", 500),
        record(form, 7, b"", b"tty1", b"", 500),
        record(form, 7, b"a:b", b"tty1", b"\x1b[2J", 500),
    ]
    .concat();
    root.write("var/log/wtmp", &wtmp);
    root.write(
        "var/log/wtmp.1",
        &record(form, 7, b"alice", b"pts/9", b"old.example", 50),
    );
    root.write("run/utmp", &record(form, 7, b"bob", b"tty1", b"", 500));
    let mut terminals = Terminals::default();
    let (seen, sources) = look(&mut terminals, &root);
    assert_eq!(
        seen,
        [
            "wtmp 200 alice 192.0.2.7 session",
            "wtmp 500 bob - console",
            "wtmp 50 alice old.example session",
            "utmp 500 bob - console",
        ]
    );
    assert_eq!(sources[0].since, Some(UnixMillis(50_000)));
    assert_eq!(state(&sources, "lastlog"), SourceState::Absent);
    assert_eq!(look(&mut terminals, &root).0, [""; 0]);

    wtmp.extend_from_slice(&record(form, 7, b"alice", b"pts/1", b"", 600));
    wtmp.extend_from_slice(&[7, 0, 0]);
    root.write("var/log/wtmp", &wtmp);
    assert_eq!(look(&mut terminals, &root).0, ["wtmp 600 alice - session"]);
    root.write(
        "var/log/wtmp",
        b"this is no file of logins, but a text that is somewhat long",
    );
    let (_, sources) = look(&mut terminals, &root);
    assert_eq!(state(&sources, "wtmp"), SourceState::Partly);
}

#[test]
fn of_a_lastlog_only_the_places_of_accounts_are_read() {
    let root = Root::new("lastlog");
    root.write("var/log/lastlog", b"");
    assert_eq!(
        state(&look(&mut Terminals::default(), &root).1, "lastlog"),
        SourceState::Absent
    );
    let path = root.0.join("var/log/lastlog");
    let file = fs::File::options().write(true).open(&path).unwrap();
    // 1.2 TB, nearly all of it a hole.
    for (uid, seconds) in [
        (0_u64, 0_u32),
        (1000, 1_700_000_000),
        (1001, 5),
        (1500, 7),
        (4_294_967_294, 9),
    ] {
        let mut record = vec![0; 292];
        record[..4].copy_from_slice(&seconds.to_le_bytes());
        record[36..40].copy_from_slice(b"here");
        if file.write_all_at(&record, uid * 292).is_err() {
            return; // a file system without files of that size
        }
    }
    let mut terminals = Terminals::default();
    let begun = Instant::now();
    let (seen, sources) = look(&mut terminals, &root);
    // bob's uid is another's, too.
    assert_eq!(
        seen,
        [
            "lastlog 1700000000 alice here session",
            "lastlog 9 far here session"
        ]
    );
    assert_eq!(state(&sources, "lastlog"), SourceState::Read);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        look(&mut terminals, &root).0,
        [""; 0],
        "nothing has changed"
    );
}

#[test]
fn databases_are_named_as_not_read() {
    let root = Root::new("databases");
    root.write("var/lib/lastlog/lastlog2.db", b"SQLite format 3\0");
    let (_, sources) = look(&mut Terminals::default(), &root);
    assert_eq!(state(&sources, "lastlog2"), SourceState::NotRead);
    assert!(sources.iter().all(|source| source.name != "wtmpdb"));
}
