//! An edit that is killed, or refused by the system, at every call it makes.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rescind_agent::host::lock::{AccountFile, AccountLock};
use rescind_agent::host::replace::{Replacement, clean_leftovers, replace_account_files};
use rescind_agent::host::root::HostRoot;

use crate::host::Host;

const FILES: [AccountFile; 2] = [AccountFile::Passwd, AccountFile::Shadow];
const ROOT: &str = "RESCIND_TEST_ROOT";

/// Not a test by itself: what the tests below run in a process of its own. It puts `#` before
/// passwd and shadow.
#[test]
fn the_edit() {
    let Some(dir) = std::env::var_os(ROOT) else {
        return;
    };
    let root = HostRoot::at(Path::new(&dir)).unwrap();
    let lock = AccountLock::acquire(&root, &FILES, Duration::from_secs(5)).unwrap();
    let edit = |file| {
        let before = lock.read(file).unwrap();
        (before.stamp, [b"#", before.bytes.as_slice()].concat())
    };
    let [(seen_1, new_1), (seen_2, new_2)] = FILES.map(edit);
    let answers = replace_account_files(
        &lock,
        &[
            Replacement {
                file: FILES[0],
                seen: &seen_1,
                content: &new_1,
            },
            Replacement {
                file: FILES[1],
                seen: &seen_2,
                content: &new_2,
            },
        ],
    );
    drop(lock);
    let failed = answers.iter().any(Result::is_err);
    println!("answers: {answers:?}");
    std::process::exit(if failed { 3 } else { 0 });
}

/// Runs the edit under strace, which does `then` to one of the system calls of a name; `None`
/// where there is no strace.
fn edit_with(host: &Host, call: &str, then: &str) -> Option<Output> {
    Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
        ])
        .args(["-e", &format!("inject={call}:{then}")])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::the_edit",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROOT, &host.dir)
        .env("RUST_BACKTRACE", "0")
        .output()
        .ok()
}

fn strace_works() -> bool {
    let host = Host::new();
    let works = edit_with(&host, "fsync", "error=EIO:when=1")
        .is_some_and(|output| output.status.code() == Some(3));
    if !works {
        eprintln!("not run: strace cannot be used here");
    }
    works
}

fn is_old_or_new(host: &Host, path: &str, old: &str) -> bool {
    let text = host.text(path);
    assert!(
        text == old || text == format!("#{old}"),
        "{path} is torn: {text:?}"
    );
    text == old
}

/// The write-side calls of an edit.
const CALLS: [&str; 10] = [
    "openat",
    "write",
    "fcntl",
    "linkat",
    "unlinkat",
    "fchmod",
    "fsync",
    "renameat",
    "newfstatat",
    "fstat",
];

#[test]
fn killed_at_any_call_every_file_is_old_or_new_and_the_next_edit_succeeds() {
    if !strace_works() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for when in 1.. {
            let host = Host::new();
            let (passwd, shadow) = (host.text("/etc/passwd"), host.text("/etc/shadow"));
            let output = edit_with(&host, call, &format!("signal=KILL:when={when}")).unwrap();
            let inject = format!("{call} {when}");
            if output.status.success() {
                break; // there is no such call any more
            }
            assert_eq!(output.status.signal(), Some(9), "{inject}: {output:?}");
            kills += 1;
            for (path, old) in [("/etc/passwd", &passwd), ("/etc/shadow", &shadow)] {
                is_old_or_new(&host, path, old);
                if host.real(&format!("{path}-")).exists() {
                    assert_eq!(&host.text(&format!("{path}-")), old, "{inject}");
                }
            }
            let next = AccountLock::acquire(&host.root, &FILES, Duration::from_secs(5));
            drop(next.unwrap_or_else(|error| panic!("{inject}: {error}")));
            clean_leftovers(&host.root, Path::new("/etc")).unwrap();
            let allowed = [
                ".pwd.lock",
                "group",
                "gshadow",
                "passwd",
                "passwd-",
                "shadow",
                "shadow-",
            ];
            let left = host.names("/etc");
            let left: Vec<_> = left
                .split(' ')
                .filter(|name| !allowed.contains(name))
                .collect();
            // A file with the pid of the dead process, which no tool minds.
            assert!(
                left.iter()
                    .all(|name| name.starts_with("passwd.") || name.starts_with("shadow."))
            );
            assert!(left.len() <= 1, "{inject}: {left:?}");
        }
    }
    assert!(kills > 40, "only {kills}");
}

#[test]
fn refused_at_any_call_it_is_said_and_nothing_is_left_behind() {
    if !strace_works() {
        return;
    }
    for (call, error) in [
        ("write", "ENOSPC"),
        ("write", "EDQUOT"),
        ("fsync", "EIO"),
        ("fsync", "ENOSPC"),
        ("fchmod", "EPERM"),
        ("linkat", "EMFILE"),
        ("renameat", "EBUSY"),
        ("renameat", "EROFS"),
    ] {
        for when in 1..12 {
            let host = Host::new();
            let (passwd, shadow) = (host.text("/etc/passwd"), host.text("/etc/shadow"));
            let output = edit_with(&host, call, &format!("error={error}:when={when}")).unwrap();
            let inject = format!("{call} {when} {error}");
            let passwd_is_old = is_old_or_new(&host, "/etc/passwd", &passwd);
            let shadow_is_old = is_old_or_new(&host, "/etc/shadow", &shadow);
            if output.status.success() {
                assert!(
                    !passwd_is_old && !shadow_is_old,
                    "{inject}: said done: {output:?}"
                );
            }
            let left = host.names("/etc");
            let left: Vec<_> = left
                .split(' ')
                .filter(|name| name.contains("rescind"))
                .collect();
            assert!(left.is_empty(), "{inject}: {left:?}");
            drop(AccountLock::acquire(&host.root, &FILES, Duration::from_secs(5)).unwrap());
        }
    }
}

/// Processes that edit the same files at once: nobody's edit is lost, nobody fails.
#[test]
fn competing_edits_all_count() {
    let host = Host::new();
    let edit_ten_times = || {
        for _ in 0..10 {
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crash::the_edit", "--test-threads=1"])
                .env(ROOT, &host.dir)
                .stdout(std::process::Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(edit_ten_times);
        }
    });
    for path in ["/etc/passwd", "/etc/shadow"] {
        let edits = host
            .text(path)
            .bytes()
            .take_while(|byte| *byte == b'#')
            .count();
        assert_eq!(edits, 40, "{path}");
    }
    assert_eq!(
        host.names("/etc"),
        ".pwd.lock group gshadow passwd passwd- shadow shadow-"
    );
}

/// What the module page of `replace` says: one fsync for each file, one for their directory, and
/// each file synced before any takes its name.
#[test]
fn the_calls_of_an_edit_are_those_that_are_documented() {
    let host = Host::new();
    let log = host.dir.join("strace");
    let traced = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=fsync,fdatasync,sync,syncfs,linkat,renameat",
            "-o",
        ])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_edit", "--test-threads=1"])
        .env(ROOT, &host.dir)
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        eprintln!("not run: strace cannot be used here");
        return;
    }
    let log = fs::read_to_string(log).unwrap();
    let calls: Vec<_> = log
        .lines()
        .filter_map(|line| {
            line.split_once(' ')?
                .1
                .trim_start()
                .split_once('(')
                .map(|call| call.0)
        })
        .collect();
    assert_eq!(
        calls,
        [
            "fsync", "fsync",  // the new files
            "linkat", // passwd.lock
            "linkat", "renameat", "renameat", // passwd- and passwd
            "linkat",   // shadow.lock
            "linkat", "renameat", "renameat", // shadow- and shadow
            "fsync",    // the directory
        ],
        "{log}"
    );
}
