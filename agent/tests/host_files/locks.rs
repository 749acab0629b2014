use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rescind_agent::host::lock::{AccountFile, AccountLock, LockError};

use rescind_agent::host::replace::{ReplaceError, replace_account_file};

use crate::host::Host;

const SHORT: Duration = Duration::from_millis(60);

fn holder_of(refused: Result<AccountLock<'_>, LockError>) -> (String, Option<u32>) {
    match refused {
        Err(LockError::Busy { path, holder }) => (path.display().to_string(), holder),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_lock_is_taken_for_some_files_and_given_back() {
    use AccountFile::*;
    let host = Host::new();
    {
        let lock = AccountLock::acquire(&host.root, &[Shadow, Passwd, Shadow], SHORT).unwrap();
        assert!(lock.covers(Shadow) && lock.covers(Passwd) && !lock.covers(Group));
        let second = AccountLock::acquire(&host.root, &[Passwd], SHORT);
        assert_eq!(holder_of(second).0, "/etc/.pwd.lock");
        let file = lock.read(Shadow).unwrap();
        // Somebody who knows only this lock comes between.
        host.write("/etc/shadow.lock", "1", 0o600);
        match replace_account_file(&lock, Shadow, &file.stamp, b"new") {
            Err(ReplaceError::Locked(LockError::Busy { holder, .. })) => {
                assert_eq!(holder, Some(1))
            }
            other => panic!("{other:?}"),
        }
        fs::remove_file(host.real("/etc/shadow.lock")).unwrap();
        replace_account_file(&lock, Shadow, &file.stamp, b"new").unwrap();
    }
    assert_eq!(
        host.names("/etc"),
        ".pwd.lock group gshadow passwd shadow shadow-"
    );
    AccountLock::acquire(&host.root, &[Passwd], SHORT).unwrap();
}

#[test]
fn a_lock_of_the_dead_is_removed_and_one_of_the_living_is_not() {
    let host = Host::new();
    let take = || AccountLock::acquire(&host.root, &[AccountFile::Passwd], SHORT);
    let mut child = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    host.write("/etc/passwd.lock", &format!("{}\0", child.id()), 0o600);
    let start = Instant::now();
    assert_eq!(
        holder_of(take()),
        ("/etc/passwd.lock".into(), Some(child.id()))
    );
    assert!(start.elapsed() >= SHORT);
    assert!(host.real("/etc/passwd.lock").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(take().unwrap());
    // Our own number, from a process that had it before us.
    host.write(
        "/etc/passwd.lock",
        &format!("{}\n", std::process::id()),
        0o600,
    );
    host.write(&format!("/etc/passwd.{}", std::process::id()), "", 0o600);
    let lock = take().unwrap();
    let seen = lock.read(AccountFile::Passwd).unwrap().stamp;
    replace_account_file(&lock, AccountFile::Passwd, &seen, b"new").unwrap();
    assert_eq!(
        host.names("/etc"),
        ".pwd.lock group gshadow passwd passwd- shadow"
    );
}

#[test]
fn a_lock_that_names_nobody_is_waited_for_and_stays() {
    let host = Host::new();
    let take = || AccountLock::acquire(&host.root, &[AccountFile::Shadow], SHORT);
    for content in ["", "vipw\n"] {
        host.write("/etc/shadow.lock", content, 0o600);
        assert_eq!(holder_of(take()), ("/etc/shadow.lock".into(), None));
        assert_eq!(host.text("/etc/shadow.lock"), content);
    }
    fs::remove_file(host.real("/etc/shadow.lock")).unwrap();
    symlink("/nowhere", host.real("/etc/shadow.lock")).unwrap();
    assert_eq!(holder_of(take()), ("/etc/shadow.lock".into(), None));
    // .pwd.lock was given back each time.
    drop(AccountLock::acquire(&host.root, &[AccountFile::Passwd], SHORT).unwrap());
}

#[test]
fn lckpwdf_of_another_process_is_respected_and_named() {
    let host = Host::new();
    let lock_and_wait = "import fcntl,sys\n\
        f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); print('held',flush=True)\n\
        sys.stdin.read()";
    let mut python = match Command::new("python3")
        .args(["-c", lock_and_wait])
        .arg(host.real("/etc/.pwd.lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(_) => return, // no python3 here; the tests crate has real tools
    };
    let mut said = String::new();
    use std::io::BufRead;
    std::io::BufReader::new(python.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let refused = AccountLock::acquire(&host.root, &[], SHORT);
    assert_eq!(
        holder_of(refused),
        ("/etc/.pwd.lock".into(), Some(python.id()))
    );
    drop(python.stdin.take());
    python.wait().unwrap();
    AccountLock::acquire(&host.root, &[], SHORT).unwrap();
}
