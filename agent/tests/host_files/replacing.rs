use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use rescind_agent::host::lock::{AccountFile, AccountLock};
use rescind_agent::host::replace::{
    ReplaceError, Replacement, clean_leftovers, replace_account_file, replace_account_files,
    replace_file, replace_files,
};
use rescind_agent::host::root::{FileStamp, ReadError};
use rescind_agent::host::shadow::Shadow;
use rescind_agent::sys::xattr;

use crate::host::{Host, chmod};

fn stamp(host: &Host, path: &str) -> FileStamp {
    host.root.read(Path::new(path), 1 << 20).unwrap().stamp
}

fn lock(host: &Host) -> AccountLock<'_> {
    use AccountFile::*;
    AccountLock::acquire(&host.root, &[Passwd, Shadow], Duration::from_secs(5)).unwrap()
}

#[test]
fn an_account_is_locked_with_its_old_state_kept_beside() {
    let host = Host::new();
    let before = host.text("/etc/shadow");
    let old = fs::metadata(host.real("/etc/shadow")).unwrap();
    for round in 0..3 {
        let lock = lock(&host);
        let file = lock.read(AccountFile::Shadow).unwrap();
        let seen = file.stamp;
        let mut shadow = Shadow::parse(file.bytes);
        shadow.lock_password(&"alice".parse().unwrap());
        shadow.set_expiry(&"alice".parse().unwrap(), Some(round));
        let stamp =
            replace_account_file(&lock, AccountFile::Shadow, &seen, shadow.to_bytes()).unwrap();
        assert_eq!(stamp, lock.read(AccountFile::Shadow).unwrap().stamp);
        assert_ne!(stamp, seen);
        if round == 0 {
            assert_eq!(host.text("/etc/shadow-"), before);
        }
    }
    assert_eq!(
        host.text("/etc/shadow"),
        "root:*:1::::::\nalice:!$6$salt$hash:1:::::2:\n"
    );
    assert_eq!(
        host.text("/etc/shadow-"),
        "root:*:1::::::\nalice:!$6$salt$hash:1:::::1:\n"
    );
    assert_eq!(
        host.names("/etc"),
        ".pwd.lock group gshadow passwd shadow shadow-"
    );
    for name in ["/etc/shadow", "/etc/shadow-"] {
        let new = fs::metadata(host.real(name)).unwrap();
        let owner = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid(), meta.nlink());
        assert_eq!(owner(&new), owner(&old));
    }
}

#[test]
fn a_file_that_changed_since_it_was_read_is_left_alone() {
    let host = Host::new();
    let seen = stamp(&host, "/etc/shadow");
    let replace = || {
        let lock = lock(&host);
        replace_account_file(&lock, AccountFile::Shadow, &seen, b"new\n")
    };
    chmod(&host.real("/etc/shadow"), 0o600); // somebody else's change of the mode counts too
    assert!(matches!(replace(), Err(ReplaceError::Changed { .. })));
    fs::rename(host.real("/etc/shadow"), host.real("/etc/old")).unwrap();
    assert!(matches!(replace(), Err(ReplaceError::Changed { .. })));
    host.write("/etc/shadow", "another\n", 0o640);
    assert!(matches!(replace(), Err(ReplaceError::Changed { .. })));
    assert_eq!(host.text("/etc/shadow"), "another\n");
    assert_eq!(
        host.names("/etc"),
        ".pwd.lock group gshadow old passwd shadow"
    );
    let lock = lock(&host);
    assert!(matches!(
        replace_account_file(&lock, AccountFile::Group, &seen, b""),
        Err(ReplaceError::NotLocked { .. })
    ));
}

#[test]
fn several_files_are_answered_one_by_one() {
    let host = Host::new();
    let (passwd, shadow) = (stamp(&host, "/etc/passwd"), stamp(&host, "/etc/shadow"));
    host.write("/etc/passwd", "changed\n", 0o644);
    let lock = lock(&host);
    let answers = replace_account_files(
        &lock,
        &[
            Replacement {
                file: AccountFile::Passwd,
                seen: &passwd,
                content: b"p\n",
            },
            Replacement {
                file: AccountFile::Shadow,
                seen: &shadow,
                content: b"s\n",
            },
        ],
    );
    assert!(matches!(answers[0], Err(ReplaceError::Changed { .. })));
    assert_eq!(*answers[1].as_ref().unwrap(), stamp(&host, "/etc/shadow"));
    assert_eq!(
        (host.text("/etc/passwd"), host.text("/etc/shadow")),
        ("changed\n".into(), "s\n".into())
    );

    host.write("/etc/keys/a", "a", 0o644);
    host.write("/etc/keys/b", "b", 0o600);
    let (a, b) = (stamp(&host, "/etc/keys/a"), stamp(&host, "/etc/keys/b"));
    let answers = replace_files(
        &host.root,
        &[
            Replacement {
                file: Path::new("/etc/keys/a"),
                seen: &a,
                content: b"",
            },
            Replacement {
                file: Path::new("/etc/keys/b"),
                seen: &b,
                content: b"B",
            },
        ],
    );
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(
        (host.text("/etc/keys/a"), host.text("/etc/keys/b")),
        (String::new(), "B".into())
    );
    assert_eq!(
        host.names("/etc/keys"),
        "a b",
        "no backup, nothing left behind"
    );
}

#[test]
fn beside_the_real_file_of_a_link_and_the_link_stays() {
    let host = Host::new();
    fs::create_dir(host.real("/storage")).unwrap();
    fs::rename(host.real("/etc/shadow"), host.real("/storage/shadow")).unwrap();
    symlink("/storage/shadow", host.real("/etc/shadow")).unwrap();
    let lock = lock(&host);
    let seen = lock.read(AccountFile::Shadow).unwrap().stamp;
    replace_account_file(&lock, AccountFile::Shadow, &seen, b"new\n").unwrap();
    assert_eq!(host.text("/storage/shadow"), "new\n");
    assert_eq!(host.names("/storage"), "shadow shadow-");
    assert!(
        fs::symlink_metadata(host.real("/etc/shadow"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn not_in_a_directory_where_others_can_change_names() {
    let host = Host::new();
    host.write("/shared/file", "x", 0o644);
    let seen = stamp(&host, "/shared/file");
    chmod(&host.real("/shared"), 0o777);
    let answer = replace_file(&host.root, Path::new("/shared/file"), &seen, b"y");
    assert!(matches!(
        answer,
        Err(ReplaceError::Unreadable(ReadError::Untrusted { .. }))
    ));
    assert_eq!(
        (host.text("/shared/file"), host.names("/shared")),
        ("x".into(), "file".into())
    );
}

#[test]
fn attributes_and_access_lists_go_with_the_file() {
    let host = Host::new();
    host.write("/etc/keys/alice", "k\n", 0o604);
    let (file, dir) = (host.open("/etc/keys/alice"), host.open("/etc/keys"));
    xattr::set(&file, c"user.note", b"kept").unwrap();
    xattr::set(&file, c"system.posix_acl_access", &access_list(4, 12345)).unwrap();
    xattr::set(&dir, c"system.posix_acl_default", &access_list(7, 54321)).unwrap();
    let show = || {
        let file = host.open("/etc/keys/alice");
        let value = |name: CString| (xattr::get(&file, &name).unwrap().unwrap(), name);
        let mut all: Vec<_> = xattr::list(&file).unwrap().into_iter().map(value).collect();
        all.sort();
        (all, file.metadata().unwrap().mode())
    };
    let before = show();
    assert!(before.0.len() >= 2, "{before:?}");
    let seen = stamp(&host, "/etc/keys/alice");
    replace_file(&host.root, Path::new("/etc/keys/alice"), &seen, b"new\n").unwrap();
    assert_eq!(show(), before);
    assert_eq!(host.text("/etc/keys/alice"), "new\n");

    // The directory's default list falls on new files, but not on one that takes another's place.
    host.write("/etc/keys/bob", "k\n", 0o604);
    xattr::remove(host.open("/etc/keys/bob"), c"system.posix_acl_access").unwrap();
    let seen = stamp(&host, "/etc/keys/bob");
    replace_file(&host.root, Path::new("/etc/keys/bob"), &seen, b"new\n").unwrap();
    let names = xattr::list(host.open("/etc/keys/bob")).unwrap();
    assert!(
        !names.contains(&c"system.posix_acl_access".to_owned()),
        "{names:?}"
    );
}

/// An access control list (acl(5)) in the form of its attribute (linux/posix_acl_xattr.h): owner
/// rw, one user with `permissions`, group none, mask `permissions`, others r.
fn access_list(permissions: u16, uid: u32) -> Vec<u8> {
    const ANY: u32 = u32::MAX;
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1, 6, ANY),
        (2, permissions, uid),
        (4, 0, ANY),
        (16, permissions, ANY),
        (32, 4, ANY),
    ] {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(permissions));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

#[test]
fn leftovers_of_a_killed_run_are_removed() {
    let host = Host::new();
    host.write("/etc/.rescind-1f-0", "half", 0o600);
    host.write("/etc/.rescind-1f-1", "half", 0o600);
    fs::create_dir(host.real("/etc/.rescind-dir")).unwrap();
    assert_eq!(clean_leftovers(&host.root, Path::new("/etc")).unwrap(), 2);
    assert_eq!(
        host.names("/etc"),
        ".rescind-dir group gshadow passwd shadow"
    );
    assert!(
        clean_leftovers(&host.root, Path::new("/none"))
            .unwrap_err()
            .is_missing()
    );
}
