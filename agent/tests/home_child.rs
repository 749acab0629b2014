//! The child that reads and writes users' files, against files made to hurt it. Run by a user,
//! the child works as that user; run by root, it becomes uid 54321.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getegid, geteuid, mkfifo};
use rescind_agent::home::{
    Content, FileKind, HomeChild, Ids, LinkTrouble, List, Look, NotOwners, READ_BYTES_MAX, Read,
    Replace, Seen, Trace, Why,
};
use rescind_agent::sys::xattr;

/// Longer than any machine is busy: what hangs in these tests hangs for ever.
const PATIENCE: Duration = Duration::from_secs(60);

const SOMEBODY: u32 = 54_321;

/// A user's directory that is gone with the test.
struct Home {
    path: PathBuf,
    owner: Ids,
}

impl Home {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rescind-home-{}-{n}", std::process::id());
        // Without links, so that real paths are the paths.
        let path = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        fs::create_dir(&path).unwrap();
        let uid = match geteuid().is_root() {
            true => SOMEBODY,
            false => geteuid().as_raw(),
        };
        let gid = match geteuid().is_root() {
            true => SOMEBODY,
            false => getegid().as_raw(),
        };
        let groups = vec![gid];
        let home = Self {
            path,
            owner: Ids { uid, gid, groups },
        };
        home.give(&home.path);
        home
    }

    /// Makes a file or directory the user's.
    fn give(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.owner.uid), Some(self.owner.gid)).unwrap();
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap();
        self.give(&path);
        path
    }

    fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        self.give(&path);
        path
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) -> PathBuf {
        let path = self.path.join(name);
        symlink(target, &path).unwrap();
        self.give(&path);
        path
    }

    fn ask(&self, path: &Path) -> Read {
        Read {
            owner: self.owner.clone(),
            path: path.as_os_str().as_bytes().to_vec(),
            home: Some(self.path.as_os_str().as_bytes().to_vec()),
            max_bytes: READ_BYTES_MAX,
        }
    }

    fn read(&self, path: &Path) -> Result<Content, Why> {
        child()
            .read(&self.ask(path), PATIENCE)
            .map_err(|error| error.why)
    }

    fn replacing(&self, path: &Path, old: &Content, bytes: &[u8]) -> Replace {
        Replace {
            owner: self.owner.clone(),
            path: path.as_os_str().as_bytes().to_vec(),
            expected: old.facts,
            bytes: bytes.to_vec(),
        }
    }

    fn replace(&self, path: &Path, old: &Content, bytes: &[u8]) -> Result<(), Why> {
        let replaced = child().replace(&self.replacing(path, old, bytes), PATIENCE);
        replaced.map(drop).map_err(|error| error.why)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn child_below(root: &Path) -> HomeChild {
    let root = fs::File::open(root).unwrap();
    HomeChild::with_program(root.into(), Path::new(env!("CARGO_BIN_EXE_rescind-agent")))
}

fn child() -> HomeChild {
    child_below(Path::new("/"))
}

#[test]
fn a_file_comes_with_the_facts_sshd_looks_at() {
    let home = Home::new();
    let ssh = home.dir(".ssh");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o770)).unwrap();
    let path = home.file(".ssh/authorized_keys", b"ssh-ed25519 AAAA\n");
    let content = home.read(&path).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(&content.bytes[..], b"ssh-ed25519 AAAA\n");
    assert_eq!(content.real_path, path.as_os_str().as_bytes());
    let facts = content.facts;
    assert_eq!(
        (
            facts.uid,
            facts.gid,
            facts.mode,
            facts.nlink,
            facts.size,
            facts.inode
        ),
        (
            meta.uid(),
            meta.gid(),
            meta.mode() & 0o7777,
            1,
            17,
            meta.ino()
        )
    );
    assert_eq!(
        (facts.mtime, facts.ctime),
        (
            (meta.mtime(), meta.mtime_nsec()),
            (meta.ctime(), meta.ctime_nsec())
        )
    );
    let ancestors: Vec<&Path> = path.parent().unwrap().ancestors().collect();
    let dirs: Vec<(u32, u32)> = ancestors
        .iter()
        .rev()
        .map(|dir| fs::metadata(dir).unwrap())
        .map(|meta| (meta.uid(), meta.mode() & 0o7777))
        .collect();
    let seen: Vec<(u32, u32)> = content.dirs.iter().map(|dir| (dir.uid, dir.mode)).collect();
    assert_eq!(seen, dirs);
    assert_eq!(
        content.home_at,
        Some(u32::try_from(dirs.len()).unwrap() - 2)
    );
}

#[test]
fn what_is_no_file_is_never_opened() {
    let home = Home::new();
    let fifo = home.path.join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o666)).unwrap();
    home.give(&fifo);
    let mut both_ends = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(&fifo)
        .unwrap();
    both_ends.write_all(b"token").unwrap();
    let socket = home.path.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let cases = [
        (fifo, FileKind::Fifo),
        (socket, FileKind::Socket),
        (home.dir("directory"), FileKind::Directory),
        (home.link("zero", "/dev/zero"), FileKind::CharDevice),
        (home.link("tty", "/dev/tty"), FileKind::CharDevice),
        (home.link("to-directory", "directory"), FileKind::Directory),
    ];
    for (path, kind) in cases {
        let started = Instant::now();
        assert_eq!(home.read(&path), Err(Why::NotRegular(kind)), "{path:?}");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    let mut token = [0; 16];
    assert_eq!(both_ends.read(&mut token).unwrap(), 5);
}

#[test]
fn missing_is_said_only_of_what_is_missing() {
    let home = Home::new();
    let file = home.file("file", b"x");
    for missing in ["nothing", "no/way", "file/below", "dangling"] {
        let _ = symlink("nowhere", home.path.join("dangling"));
        assert_eq!(
            home.read(&home.path.join(missing)),
            Err(Why::Missing),
            "{missing}"
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let denied = Err(Why::Denied {
        uid: home.owner.uid,
    });
    assert_eq!(home.read(&file), denied);
    let closed = home.dir("closed");
    home.file("closed/file", b"x");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(home.read(&closed.join("file")), denied);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn large_files_are_refused_before_they_are_read() {
    let home = Home::new();
    let path = home.file("sparse", b"");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(100 << 30).unwrap();
    let started = Instant::now();
    assert_eq!(home.read(&path), Err(Why::TooLarge(READ_BYTES_MAX)));
    assert!(started.elapsed() < Duration::from_secs(1));

    let exact = home.file("exact", &vec![b'k'; 100_000]);
    let mut ask = home.ask(&exact);
    ask.max_bytes = 100_000;
    assert_eq!(child().read(&ask, PATIENCE).unwrap().bytes.len(), 100_000);
    ask.max_bytes = 99_999;
    assert_eq!(
        child().read(&ask, PATIENCE).unwrap_err().why,
        Why::TooLarge(99_999)
    );
    let full = home.file("full", &vec![b'k'; 10 << 20]);
    assert_eq!(home.read(&full).unwrap().bytes.len(), 10 << 20);
}

#[test]
fn a_growing_file_ends() {
    let home = Home::new();
    let path = home.file("growing", b"");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            let mut grown = 0;
            while !stop.load(Ordering::Relaxed) && grown < 64 << 20 {
                grown += file.write(&[b'g'; 4096]).unwrap();
            }
        });
        let mut child = child();
        for _ in 0..50 {
            match child.read(&home.ask(&path), PATIENCE) {
                Ok(content) => assert_eq!(content.bytes.len() as u64, content.facts.size),
                Err(error) => assert!(
                    matches!(error.why, Why::Unsteady | Why::TooLarge(_)),
                    "{error}"
                ),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn deep_paths_are_walked_as_far_as_the_kernel_goes() {
    let home = Home::new();
    // 1500 directories of one letter: 3000 bytes.
    let mut deep = home.path.clone();
    for _ in 0..1500 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let file = deep.join("file");
    fs::write(&file, b"deep").unwrap();
    let content = home.read(&file).unwrap();
    assert_eq!(&content.bytes[..], b"deep");
    assert_eq!(
        content.dirs.len(),
        file.parent().unwrap().ancestors().count()
    );

    let too_deep = home.path.join("d/".repeat(4096));
    assert_eq!(home.read(&too_deep), Err(Why::PathTooLong));
    let long_name = home.path.join("n".repeat(300));
    assert_eq!(home.read(&long_name), Err(Why::PathTooLong));
}

#[test]
fn links_lead_where_the_kernel_says() {
    let home = Home::new();
    home.dir("real");
    home.dir("real/inner");
    let file = home.file("real/inner/keys", b"keys");
    home.link("absolute", &file);
    home.link("relative", "real/./inner//keys");
    home.link("by-dir", "real/inner");
    home.link("real/inner/up", "..");
    home.link("chain", "by-dir/up/../absolute");
    for name in [
        "absolute",
        "relative",
        "by-dir/keys",
        "by-dir/../inner/keys",
        "by-dir/up/inner/keys",
        "chain",
        "real/../../../../../../../..",
    ] {
        let path = home.path.join(name);
        match fs::canonicalize(&path) {
            Ok(real) if real == file => {
                let content = home.read(&path).unwrap();
                assert_eq!(
                    content.real_path,
                    real.into_os_string().into_vec(),
                    "{name}"
                );
                assert_eq!(content.links > 0, name != "real/inner/keys");
                let depth = home.path.ancestors().count() - 1;
                assert_eq!(
                    content.home_at,
                    Some(u32::try_from(depth).unwrap()),
                    "{name}"
                );
            }
            _ => assert_eq!(
                home.read(&path),
                Err(Why::NotRegular(FileKind::Directory)),
                "{name}"
            ),
        }
    }
    let slash = home.path.join("absolute/");
    assert_eq!(
        fs::read(&slash).unwrap_err().raw_os_error(),
        Some(nix::libc::ENOTDIR)
    );
    assert_eq!(home.read(&slash), Err(Why::Missing));

    // A home that is itself a link: sshd compares real paths.
    home.link("other-home", "real");
    let mut ask = home.ask(&home.path.join("other-home/inner/keys"));
    ask.home = Some(home.path.join("other-home").into_os_string().into_vec());
    let content = child().read(&ask, PATIENCE).unwrap();
    let depth = home.path.ancestors().count();
    assert_eq!(content.home_at, Some(u32::try_from(depth).unwrap()));
}

#[test]
fn as_many_links_as_the_kernel_follows() {
    let home = Home::new();
    home.file("0", b"end");
    for n in 1..=41 {
        home.link(&n.to_string(), (n - 1).to_string());
    }
    for n in [1, 40, 41] {
        let path = home.path.join(n.to_string());
        let kernel = fs::read(&path).is_ok();
        assert_eq!(home.read(&path).is_ok(), kernel, "{n} links");
    }
    home.link("round", "about");
    home.link("about", "round");
    let many = Err(Why::Links(LinkTrouble::TooMany));
    assert_eq!(home.read(&home.path.join("round")), many);
    assert_eq!(home.read(&home.path.join("41")), many);
}

#[test]
fn no_way_through_proc() {
    let home = Home::new();
    for (name, target) in [
        ("stdin", "/proc/self/fd/0"),
        ("dev-stdin", "/dev/stdin"),
        ("cwd", "/proc/self/cwd/etc/passwd"),
        ("environ", "/proc/self/environ"),
        ("root", "/proc/1/root/etc/passwd"),
    ] {
        let link = home.link(name, target);
        let why = home.read(&link).unwrap_err();
        let denied = Why::Denied {
            uid: home.owner.uid,
        };
        assert!(
            why == Why::Links(LinkTrouble::Proc) || why == denied,
            "{name}: {why:?}"
        );
    }
}

#[test]
fn a_root_directory_is_never_left() {
    let home = Home::new();
    let etc = home.dir("etc");
    home.file("etc/passwd", b"inside");
    home.link("out", "/etc/passwd");
    home.link("up", "../../../../../../../etc/passwd");
    let mut child = child_below(&home.path);
    for path in [
        "/etc/passwd",
        "/out",
        "/up",
        "/../../etc/passwd",
        "/etc/../../etc/./passwd",
    ] {
        let read = Read {
            owner: home.owner.clone(),
            path: path.into(),
            home: None,
            max_bytes: 100,
        };
        let content = child.read(&read, PATIENCE).unwrap();
        assert_eq!(&content.bytes[..], b"inside", "{path}");
        assert_eq!(content.real_path, b"/etc/passwd");
    }
    let list = List {
        owner: home.owner.clone(),
        path: b"/etc".to_vec(),
        max_entries: 10,
    };
    let listing = child.list(&list, PATIENCE).unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.entries[0].name, b"passwd");
    assert_eq!(listing.entries[0].facts.size, 6);
    drop(etc);
}

#[test]
fn a_replaced_file_keeps_all_but_its_content() {
    let home = Home::new();
    let path = home.file("keys", b"old\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let set = xattr::set(fs::File::open(&path).unwrap(), c"user.note", b"value");
    let old = home.read(&path).unwrap();
    let mut child = child();
    let new = child
        .replace(&home.replacing(&path, &old, b"new\n"), PATIENCE)
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new\n");
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(new.inode, meta.ino());
    assert_ne!(new.inode, old.facts.inode);
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (old.facts.uid, old.facts.gid, 0o640)
    );
    if set.is_ok() {
        let value = xattr::get(fs::File::open(&path).unwrap(), c"user.note").unwrap();
        assert_eq!(value.as_deref(), Some(&b"value"[..]));
    }
    assert_eq!(home.names(), ["keys"]);
    // What was read just now is what the answer said.
    let again = home.read(&path).unwrap();
    assert!(again.facts.same_content(&new));
}

#[test]
fn a_directorys_default_access_list_does_not_fall_on_a_replaced_file() {
    let home = Home::new();
    let path = home.file("keys", b"old\n");
    // acl(5) as an attribute (linux/posix_acl_xattr.h): owner rw, another user rwx, mask rwx.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 7, 12_345),
        (4, 0, u32::MAX),
        (16, 7, u32::MAX),
        (32, 4, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let dir = fs::File::open(&home.path).unwrap();
    if xattr::set(&dir, c"system.posix_acl_default", &list).is_err() {
        return; // the file system has no access lists
    }
    let old = home.read(&path).unwrap();
    home.replace(&path, &old, b"new\n").unwrap();
    let names = xattr::list(fs::File::open(&path).unwrap()).unwrap();
    assert!(
        !names.contains(&c"system.posix_acl_access".to_owned()),
        "{names:?}"
    );
}

#[test]
fn a_file_that_is_not_the_one_that_was_read_stays() {
    let home = Home::new();
    let path = home.file("keys", b"old\n");
    let old = home.read(&path).unwrap();
    fs::write(&path, b"newer, by the user\n").unwrap();
    assert_eq!(home.replace(&path, &old, b"ours"), Err(Why::Changed));

    fs::hard_link(&path, home.path.join("second")).unwrap();
    let linked = home.read(&path).unwrap();
    assert_eq!(
        home.replace(&path, &linked, b"ours"),
        Err(Why::HardLinks(2))
    );
    fs::remove_file(home.path.join("second")).unwrap();

    let old = home.read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(home.replace(&path, &old, b"ours"), Err(Why::Missing));
    home.link("keys", "/etc/hostname");
    let why = home.replace(&path, &old, b"ours").unwrap_err();
    assert!(matches!(why, Why::Changed | Why::NotOwners(_)), "{why:?}");
    assert_eq!(home.names(), ["keys"]);
}

#[test]
fn through_a_link_only_the_users_own_file_is_replaced() {
    let home = Home::new();
    home.dir("shared");
    let real = home.file("shared/keys", b"old\n");
    let link = home.link("keys", "shared/keys");
    let old = home.read(&link).unwrap();
    assert_eq!(
        (old.links, &old.real_path[..]),
        (1, real.as_os_str().as_bytes())
    );
    home.replace(&link, &old, b"new\n").unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    let old = home.read(&link).unwrap();
    let shared = home.path.join("shared");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o555)).unwrap();
    let refused = Err(Why::NotOwners(NotOwners::Directory));
    assert_eq!(home.replace(&link, &old, b"ours\n"), refused);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new\n");
}

#[test]
fn what_a_crash_left_is_taken_away_and_what_is_in_the_way_is_not() {
    let home = Home::new();
    let path = home.file("keys", b"1");
    let old = home.read(&path).unwrap();
    // Learn the name from a directory in which the rename cannot happen.
    home.replace(&path, &old, b"2").unwrap();
    let left = home.path.join(temporary_name(b"keys"));
    fs::write(&left, b"half").unwrap();
    home.give(&left);
    let old = home.read(&path).unwrap();
    home.replace(&path, &old, b"3").unwrap();
    assert_eq!(home.names(), ["keys"]);

    home.dir(left.file_name().unwrap().to_str().unwrap());
    let old = home.read(&path).unwrap();
    home.replace(&path, &old, b"4").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"4");
    assert_eq!(home.names().len(), 2);
}

/// The name of the new file beside `name`, as the child makes it.
fn temporary_name(name: &[u8]) -> String {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!(".rescind-{hash:016x}")
}

#[test]
fn components_exchanged_during_the_walk_lead_nowhere_else() {
    let home = Home::new();
    let canary_dir = home.dir("canary");
    let canary = home.file("canary/keys", b"canary");
    if geteuid().is_root() {
        // Not the user's: reading it even once would be a read with root's rights.
        std::os::unix::fs::chown(&canary, Some(0), Some(0)).unwrap();
        fs::set_permissions(&canary, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.dir("a");
    home.dir("a/ssh");
    let path = home.file("a/ssh/keys", b"0");
    home.link("a/other", &canary_dir);
    home.link("a/ssh/other", &canary);
    let before = fs::metadata(&canary).unwrap();
    let stop = AtomicBool::new(false);
    let exchanges = AtomicU32::new(0);
    let (mut read, mut replaced) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let names = [("a/ssh", "a/other"), ("a/ssh/keys", "a/ssh/other")];
            for (turn, (one, other)) in names.iter().cycle().enumerate() {
                if turn % 256 == 0 {
                    // All is in its place: whoever comes now can get through.
                    std::thread::sleep(Duration::from_millis(2));
                }
                let (one, other) = (home.path.join(one), home.path.join(other));
                let _ = renameat2(
                    AT_FDCWD,
                    &one,
                    AT_FDCWD,
                    &other,
                    RenameFlags::RENAME_EXCHANGE,
                );
                exchanges.fetch_add(1, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut child = child();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if exchanges.load(Ordering::Relaxed) > 10_000 && read > 500 && replaced > 5 {
                break;
            }
            let Ok(content) = child.read(&home.ask(&path), PATIENCE) else {
                continue;
            };
            read += 1;
            if &content.bytes[..] == b"canary" {
                assert!(!geteuid().is_root(), "read as root");
                continue; // the user's own file, by the user's own link
            }
            let replace = home.replacing(&path, &content, format!("{read}").as_bytes());
            replaced += u32::from(child.replace(&replace, PATIENCE).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let after = fs::metadata(&canary).unwrap();
    assert_eq!(
        (before.ino(), before.ctime_nsec()),
        (after.ino(), after.ctime_nsec())
    );
    assert_eq!(fs::read(&canary).unwrap(), b"canary");
    assert!(
        exchanges.into_inner() > 10_000 && read > 500 && replaced > 5,
        "{read} {replaced}"
    );
}

#[test]
fn a_child_that_hangs_is_left_behind() {
    let home = Home::new();
    let path = home.file("keys", b"keys");
    let mut child = child();
    let patience = Duration::from_millis(100);
    child.read(&home.ask(&path), PATIENCE).unwrap();
    let pid = Pid::from_raw(child.pid().unwrap().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let error = child.read(&home.ask(&path), patience).unwrap_err();
    assert_eq!(error.why, Why::Hung);
    assert!(error.to_string().contains("keys"));
    child.read(&home.ask(&path), PATIENCE).unwrap();
    assert_ne!(child.pid().unwrap().cast_signed(), pid.as_raw());

    // Killed while it is idle: not even noticed.
    let pid = Pid::from_raw(child.pid().unwrap().cast_signed());
    kill(pid, Signal::SIGKILL).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    child.read(&home.ask(&path), PATIENCE).unwrap();

    child.retire_if_idle(Duration::ZERO);
    assert_eq!(child.pid(), None);
    let until = Instant::now() + PATIENCE;
    while child.hanging() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(child.hanging(), 0);
    child.read(&home.ask(&path), PATIENCE).unwrap();
}

#[test]
fn many_files_are_answered_in_order() {
    let home = Home::new();
    let mut reads = Vec::new();
    for n in 0..5000 {
        let path = match n % 10 {
            9 => home.path.join(format!("missing-{n}")),
            _ => home.file(&n.to_string(), n.to_string().as_bytes()),
        };
        reads.push(home.ask(&path));
    }
    let mut child = child();
    let mut seen = 0;
    let end = child.read_many(&reads, PATIENCE, |n, result| {
        assert_eq!(n, seen);
        seen += 1;
        match n % 10 {
            9 => assert_eq!(result.unwrap_err().why, Why::Missing),
            _ => assert_eq!(&result.unwrap().bytes[..], n.to_string().as_bytes()),
        }
        ControlFlow::Continue(())
    });
    assert_eq!((end, seen), (ControlFlow::Continue(()), 5000));

    // Stopped half-way, the rest is not mixed into what comes after.
    let end = child.read_many(&reads, PATIENCE, |n, _| match n {
        100 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(end, ControlFlow::Break(()));
    let one = child.read(&reads[7], PATIENCE).unwrap();
    assert_eq!(&one.bytes[..], b"7");
}

#[test]
fn what_a_child_that_stopped_did_not_answer_is_asked_again() {
    let home = Home::new();
    let path = home.file("keys", b"keys");
    let reads = vec![home.ask(&path); 20];
    let mut child = child();
    let patience = Duration::from_millis(200);
    child.read(&reads[0], PATIENCE).unwrap();
    let stopped = child.pid().unwrap();
    kill(Pid::from_raw(stopped.cast_signed()), Signal::SIGSTOP).unwrap();
    let mut seen = Vec::new();
    let _ = child.read_many(&reads, patience, |nth, result| {
        seen.push((nth, result.map(|content| content.bytes.len())));
        ControlFlow::Continue(())
    });
    let want: Vec<_> = (0..20).map(|nth| (nth, Ok(4))).collect();
    assert_eq!(seen, want);
    assert_ne!(child.pid(), Some(stopped));
}

#[test]
fn what_was_asked_ahead_is_there_for_the_same_question_only() {
    let home = Home::new();
    let looks: Vec<Look> = (0..4)
        .map(|nth| Look::Read(home.ask(&home.file(&nth.to_string(), &[b'0' + nth]))))
        .collect();
    let seen = |child: &mut HomeChild, looks: &[Look]| {
        let mut bytes = Vec::new();
        let _ = child.look_at_many(looks, PATIENCE, |_, result| {
            match result.unwrap() {
                Seen::Content(content) => bytes.extend_from_slice(&content.bytes),
                Seen::Listing(_) => panic!("a listing"),
            }
            ControlFlow::Continue(())
        });
        bytes
    };
    let mut child = child();
    child.look_ahead(&looks[..2], PATIENCE);
    let first = child.pid();
    assert_eq!(seen(&mut child, &looks[..2]), b"01");
    assert_eq!(child.pid(), first);
    child.look_ahead(&looks[..2], PATIENCE);
    assert_eq!(seen(&mut child, &looks[2..]), b"23");
    child.look_ahead(&looks, PATIENCE);
    let Look::Read(last) = &looks[3] else {
        panic!("a listing")
    };
    assert_eq!(&child.read(last, PATIENCE).unwrap().bytes[..], b"3");
    assert_eq!(seen(&mut child, &looks), b"0123");
}

#[test]
fn an_acl_that_cannot_be_read_is_not_none() {
    let home = Home::new();
    let path = home.file("shared", b"");
    // The group's bits leave room for an ACL, and only root may open it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o060)).unwrap();
    let path = path.as_os_str().as_bytes().to_vec();
    let mut looked = None;
    child().trace_many(&[Trace { path }], PATIENCE, 1, |_, result| {
        looked = Some(result.map_err(|error| error.why));
    });
    match (geteuid().as_raw(), looked) {
        (0, Some(Ok(way))) => assert!(way.parts.last().unwrap().acl.is_empty()),
        (_, Some(Err(Why::Denied { uid: 0 }))) => {}
        (_, other) => panic!("{other:?}"),
    }
}
