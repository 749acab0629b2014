//! The child that becomes the owner of users' files, as root: whose rights it has, what a user can
//! do to it, and what happens when a file system never answers. In a mount namespace of its own.

use std::error::Error;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use rescind_agent::home::{
    Content, FileFacts, HomeChild, HomeError, Ids, LinkTrouble, NotOwners, PATIENCE,
    READ_BYTES_MAX, Read, Replace, Step, Why,
};

use rescind_tests::Silent;

type Tested = Result<(), Box<dyn Error>>;

const ALICE: u32 = 54_321;
const BOB: u32 = 54_324;
const TEAM: u32 = 54_330;

fn main() -> ExitCode {
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("home_child: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Tested {
    if !geteuid().is_root() {
        return Err("needs root".into());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let stage = Stage::set()?;
    type Test = (&'static str, fn(&Stage) -> Tested);
    let tests: [Test; 10] = [
        ("the rights are the owner's", rights_are_the_owners),
        (
            "root follows only root's links",
            root_follows_only_roots_links,
        ),
        (
            "what its user cannot replace, root can",
            root_replaces_what_users_cannot,
        ),
        ("an access list stays", access_list_stays),
        ("immutable and read-only files", immutable_and_read_only),
        ("a full disk", full_disk),
        (
            "the owner can neither stop nor trace it",
            owner_cannot_signal_it,
        ),
        ("a file system that never answers", hung_file_system),
        ("many users, one of them hung", one_hung_among_many),
        ("ten thousand files", ten_thousand_files),
    ];
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for (what, test) in tests {
        if only
            .as_ref()
            .is_some_and(|only| !what.contains(only.as_str()))
        {
            continue;
        }
        fs::create_dir(stage.home())?;
        chown(stage.home(), Some(ALICE), Some(ALICE))?;
        test(&stage).map_err(|error| format!("{what}: {error}"))?;
        println!("{what}: ok");
        fs::remove_dir_all(stage.home())?;
    }
    Ok(())
}

/// A directory of root's, with alice's home in it.
struct Stage(PathBuf);

impl Stage {
    fn set() -> Result<Self, Box<dyn Error>> {
        let dir = fs::canonicalize(std::env::temp_dir())?;
        let dir = dir.join(format!("rescind-home-root-{}", std::process::id()));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }

    fn home(&self) -> PathBuf {
        self.0.join("alice")
    }

    fn file(&self, name: &str, content: &str, uid: u32, mode: u32) -> std::io::Result<PathBuf> {
        let path = self.home().join(name);
        if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
            fs::create_dir(dir)?;
            chown(dir, Some(ALICE), Some(ALICE))?;
        }
        fs::write(&path, content)?;
        chown(&path, Some(uid), Some(uid))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn child() -> Result<HomeChild, Box<dyn Error>> {
    Ok(HomeChild::new(File::open("/")?.into()))
}

fn alice() -> Ids {
    Ids {
        uid: ALICE,
        gid: ALICE,
        groups: vec![ALICE],
    }
}

fn ask(owner: &Ids, path: &Path) -> Read {
    Read {
        owner: owner.clone(),
        path: path.as_os_str().as_bytes().to_vec(),
        home: None,
        max_bytes: READ_BYTES_MAX,
    }
}

fn read(owner: &Ids, path: &Path) -> Result<Content, Why> {
    why(child().expect("a root").read(&ask(owner, path), PATIENCE))
}

fn replace(owner: &Ids, path: &Path, facts: FileFacts, bytes: &str) -> Result<FileFacts, Why> {
    let replace = Replace {
        owner: owner.clone(),
        path: path.as_os_str().as_bytes().to_vec(),
        expected: facts,
        bytes: bytes.into(),
    };
    why(child().expect("a root").replace(&replace, PATIENCE))
}

fn why<T>(result: Result<T, HomeError>) -> Result<T, Why> {
    result.map_err(|error| error.why)
}

fn same<T: PartialEq + std::fmt::Debug>(is: T, should_be: T) -> Tested {
    match is == should_be {
        true => Ok(()),
        false => Err(format!("is {is:?}, should be {should_be:?}").into()),
    }
}

fn rights_are_the_owners(stage: &Stage) -> Tested {
    let own = stage.file("own", "own", ALICE, 0o600)?;
    let bobs = stage.file("bobs", "bob's", BOB, 0o600)?;
    let roots = stage.file("roots", "root's", 0, 0o600)?;
    let teams = stage.file("teams", "team's", 0, 0o640)?;
    chown(&teams, None, Some(TEAM))?;
    let denied = Err(Why::Denied { uid: ALICE });
    let mut child = child()?;
    let mut bytes = |owner: &Ids, path: &Path| {
        let content = why(child.read(&ask(owner, path), PATIENCE))?;
        Ok(String::from_utf8_lossy(&content.bytes).into_owned())
    };
    let mut in_team = alice();
    in_team.groups.push(TEAM);
    // One warm child in turn for several: nothing of one is left for the next.
    for _ in 0..3 {
        same(bytes(&alice(), &own), Ok("own".into()))?;
        same(bytes(&alice(), &bobs), denied.clone())?;
        same(bytes(&alice(), &roots), denied.clone())?;
        same(bytes(&in_team, &teams), Ok("team's".into()))?;
        same(bytes(&alice(), &teams), denied.clone())?;
        same(bytes(&Ids::ROOT, &roots), Ok("root's".into()))?;
        let bob = Ids {
            uid: BOB,
            gid: BOB,
            groups: vec![],
        };
        same(bytes(&bob, &bobs), Ok("bob's".into()))?;
        same(bytes(&bob, &own), Err(Why::Denied { uid: BOB }))?;
    }
    Ok(())
}

fn root_follows_only_roots_links(stage: &Stage) -> Tested {
    let secret = stage.0.join("secret");
    fs::write(&secret, "secret")?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    symlink(&secret, stage.home().join("link"))?;
    symlink(&stage.0, stage.home().join("up"))?;
    let untrusted = Err(Why::Links(LinkTrouble::Untrusted));
    for name in ["link", "up/secret"] {
        same(
            read(&Ids::ROOT, &stage.home().join(name)),
            untrusted.clone(),
        )?;
        let as_alice = read(&alice(), &stage.home().join(name));
        same(as_alice, Err(Why::Denied { uid: ALICE }))?;
    }
    let roots_link = stage.0.join("link");
    symlink("secret", &roots_link)?;
    same(
        read(&Ids::ROOT, &roots_link)?.real_path,
        secret.as_os_str().as_bytes().to_vec(),
    )?;
    fs::remove_file(roots_link)?;
    Ok(())
}

fn root_replaces_what_users_cannot(stage: &Stage) -> Tested {
    let root = Ids::ROOT;
    // Root's file in the user's directory.
    let path = stage.file(".ssh/authorized_keys", "old", 0, 0o644)?;
    let facts = read(&alice(), &path)?.facts;
    let refused = Err(Why::NotOwners(NotOwners::File(0)));
    same(replace(&alice(), &path, facts, "new"), refused)?;
    let new = replace(&root, &path, facts, "new")?;
    same(
        (new.uid, new.mode, fs::read(&path)?),
        (0, 0o644, b"new".to_vec()),
    )?;

    // The user's file in root's directory.
    let keys = stage.0.join("keys");
    fs::create_dir_all(&keys)?;
    let path = keys.join("alice");
    fs::write(&path, "old")?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    chown(&path, Some(ALICE), Some(TEAM))?;
    let facts = read(&alice(), &path)?.facts;
    let refused = Err(Why::NotOwners(NotOwners::Directory));
    same(replace(&alice(), &path, facts, "new"), refused)?;
    let new = replace(&root, &path, facts, "new")?;
    same((new.uid, new.gid, new.mode), (ALICE, TEAM, 0o600))?;
    same(fs::read(&path)?, b"new".to_vec())?;
    same(fs::read_dir(&keys)?.count(), 1)?;

    // The user's file in the user's directory, of a group that the user is not in.
    let path = stage.file("grouped", "old", ALICE, 0o640)?;
    chown(&path, None, Some(TEAM))?;
    let facts = read(&alice(), &path)?.facts;
    let refused = Err(Why::NotOwners(NotOwners::Group(TEAM)));
    same(replace(&alice(), &path, facts, "new"), refused)?;
    let mut in_team = alice();
    in_team.groups.push(TEAM);
    let new = replace(&in_team, &path, facts, "new")?;
    same((new.uid, new.gid, new.mode), (ALICE, TEAM, 0o640))?;

    // Somebody else's file, linked into the user's directory: not even as root.
    let shadow = stage.0.join("shadow");
    fs::write(&shadow, "shadow")?;
    let path = stage.home().join("linked");
    fs::hard_link(&shadow, &path)?;
    let facts = read(&root, &path)?.facts;
    same(replace(&root, &path, facts, "new"), Err(Why::HardLinks(2)))?;
    same(fs::read(&shadow)?, b"shadow".to_vec())
}

fn access_list_stays(stage: &Stage) -> Tested {
    let path = stage.file("keys", "old", ALICE, 0o600)?;
    // acl(5) as linux/posix_acl_xattr.h lays it out: the owner may read and write, bob may read.
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, BOB),
        (0x04, 0, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let name = c"system.posix_acl_access";
    let file = File::open(&path)?;
    // SAFETY: the name is NUL-terminated, the list readable for its length.
    let set = unsafe {
        nix::libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            list.as_ptr().cast(),
            list.len(),
            0,
        )
    };
    if set != 0 {
        println!("  no access lists on {}", stage.0.display());
        return Ok(());
    }
    let bob = Ids {
        uid: BOB,
        gid: BOB,
        groups: vec![],
    };
    let facts = read(&bob, &path)?.facts;
    replace(&alice(), &path, facts, "new")?;
    let after = read(&bob, &path)?;
    same((after.facts.mode, &after.bytes[..]), (0o640, &b"new"[..]))?;
    let file = File::open(&path)?;
    let mut now = vec![0_u8; 256];
    // SAFETY: the name is NUL-terminated, the buffer writable for its length.
    let len = unsafe {
        nix::libc::fgetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            now.as_mut_ptr().cast(),
            now.len(),
        )
    };
    now.truncate(usize::try_from(len)?);
    same(now, list)
}

fn immutable_and_read_only(stage: &Stage) -> Tested {
    let path = stage.file("keys", "old", ALICE, 0o600)?;
    let facts = read(&alice(), &path)?.facts;
    let chattr = |how| Command::new("chattr").arg(how).arg(&path).status();
    if chattr("+i")?.success() {
        let facts = read(&alice(), &path)?.facts;
        let as_alice = replace(&alice(), &path, facts, "new");
        let as_root = replace(&Ids::ROOT, &path, facts, "new");
        chattr("-i")?;
        same(as_alice, Err(Why::NotOwners(NotOwners::Directory)))?;
        same(as_root, Err(Why::Immutable))?;
    } else {
        println!("  no immutable files on {}", stage.0.display());
        same(replace(&alice(), &path, facts, "old").is_ok(), true)?;
    }
    let home = stage.home();
    let none = None::<&str>;
    mount(Some(&home), &home, none, MsFlags::MS_BIND, none)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, &home, none, flags, none)?;
    let facts = read(&alice(), &path)?.facts;
    let as_alice = replace(&alice(), &path, facts, "new");
    let as_root = replace(&Ids::ROOT, &path, facts, "new");
    umount2(&home, MntFlags::MNT_DETACH)?;
    same(as_alice, Err(Why::ReadOnly))?;
    same(as_root, Err(Why::ReadOnly))?;
    same(fs::read_dir(&home)?.count(), 1)
}

fn full_disk(stage: &Stage) -> Tested {
    let home = stage.home();
    mount(
        Some("full"),
        &home,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=256k"),
    )?;
    chown(&home, Some(ALICE), Some(ALICE))?;
    let path = stage.file("keys", "old", ALICE, 0o600)?;
    let facts = read(&alice(), &path)?.facts;
    let mut filler = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(home.join("fill"))?;
    while filler.write(&[0; 4096]).is_ok() {}
    let no_room = Why::Io {
        step: Step::Write,
        errno: nix::libc::ENOSPC,
    };
    let replaced = replace(&alice(), &path, facts, "new");
    let names = fs::read_dir(&home)?.count();
    let content = fs::read(&path)?;
    drop(filler);
    umount2(&home, MntFlags::MNT_DETACH)?;
    same(replaced.map(drop), Err(no_room))?;
    same((names, content), (2, b"old".to_vec()))
}

fn owner_cannot_signal_it(stage: &Stage) -> Tested {
    let path = stage.file("keys", "keys", ALICE, 0o600)?;
    let mut child = child()?;
    let request = ask(&alice(), &path);
    child.read(&request, PATIENCE)?;
    let pid = child.pid().ok_or("no child")?;
    // As alice: signals it and looks into it, as fast as it can; says when it could.
    let script = format!(
        "while :; do \
           kill -STOP {pid} && echo stopped; kill -KILL {pid} && echo killed; \
           cat /proc/{pid}/environ && echo seen; cat /proc/{pid}/mem && echo read; \
           ls /proc/{pid}/fd/ && echo listed; \
         done"
    );
    let mut attacker = Command::new("sh")
        .args(["-c", &script])
        .uid(ALICE)
        .gid(ALICE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let until = Instant::now() + Duration::from_secs(2);
    let mut reads = 0;
    while Instant::now() < until {
        child.read(&request, PATIENCE)?;
        reads += 1;
    }
    attacker.kill()?;
    let mut said = String::new();
    attacker
        .stdout
        .take()
        .ok_or("no pipe")?
        .read_to_string(&mut said)?;
    attacker.wait()?;
    same(said, String::new())?;
    same(child.pid(), Some(pid))?;
    println!("  {reads} reads under attack");
    Ok(())
}

fn hung_file_system(stage: &Stage) -> Tested {
    let mount = stage.home().join("mount");
    fs::create_dir(&mount)?;
    chown(&mount, Some(ALICE), Some(ALICE))?;
    let well = stage.file("well", "well", ALICE, 0o600)?;
    let silent = Silent::mount(&mount)?;
    let mut child = child()?;
    let patience = Duration::from_millis(300);
    for round in 1..=3 {
        let started = Instant::now();
        let hung = why(child.read(&ask(&alice(), &mount.join("keys")), patience));
        same(hung.map(drop), Err(Why::Hung))?;
        // Once: as long as a child hangs there, no other follows it.
        let waited = started.elapsed() >= patience;
        same((waited, child.hanging()), (round == 1, 1))?;
        let content = child.read(&ask(&alice(), &well), PATIENCE)?;
        same(&content.bytes[..], b"well")?;
    }
    // Whoever makes more of it hang is not asked for anything then.
    for more in 2..=6 {
        let another = mount.join(format!("keys{more}"));
        let hung = why(child.read(&ask(&alice(), &another), patience));
        same(hung.map(drop), Err(Why::Hung))?;
        same(child.hanging(), more.min(4))?;
    }
    let content = why(child.read(&ask(&alice(), &well), PATIENCE));
    same(content.map(drop), Err(Why::Hung))?;
    let bobs = stage.file("bobs", "bobs", BOB, 0o600)?;
    let bob = Ids {
        uid: BOB,
        gid: BOB,
        groups: vec![],
    };
    let content = child.read(&ask(&bob, &bobs), PATIENCE)?;
    same(&content.bytes[..], b"bobs")?;
    drop(silent);
    let until = Instant::now() + Duration::from_secs(5);
    while child.hanging() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    same(child.hanging(), 0)?;
    let content = child.read(&ask(&alice(), &well), PATIENCE)?;
    same(&content.bytes[..], b"well")?;
    println!("  the children that hung are gone when it is");
    Ok(())
}

fn one_hung_among_many(stage: &Stage) -> Tested {
    let mount = stage.home().join("mount");
    fs::create_dir(&mount)?;
    let mut reads = Vec::new();
    for n in 0..200_u32 {
        let owner = Ids {
            uid: 60_000 + n,
            gid: 60_000 + n,
            groups: vec![],
        };
        let path = match n % 20 {
            7 => mount.join(n.to_string()),
            _ => stage.file(&n.to_string(), "keys", 60_000 + n, 0o600)?,
        };
        for _ in 0..3 {
            reads.push(ask(&owner, &path));
        }
    }
    let silent = Silent::mount(&mount)?;
    let mut child = child()?;
    let patience = Duration::from_millis(800);
    let started = Instant::now();
    let (mut well, mut hung) = (0, 0);
    let _ = child.read_many(&reads, patience, |n, result| {
        match (n / 3 % 20, result) {
            (7, Err(HomeError { why: Why::Hung, .. })) => hung += 1,
            (7, _) => {}
            (_, Ok(_)) => well += 1,
            (_, Err(error)) => println!("  {error}"),
        }
        ControlFlow::Continue(())
    });
    let took = started.elapsed();
    drop(silent);
    same((well, hung), (190 * 3, 10 * 3))?;
    // Ten users hang: four waits, the first one twice, and six short ones; not thirty.
    same(took < 8 * patience, true)
}

fn ten_thousand_files(stage: &Stage) -> Tested {
    const FILES: u32 = 10_000;
    let mut reads = Vec::new();
    let line =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x\n";
    for n in 0..FILES {
        let uid = 100_000 + n;
        let dir = stage.home().join(format!("u{n}/.ssh"));
        fs::create_dir_all(&dir)?;
        let path = dir.join("authorized_keys");
        fs::write(&path, line)?;
        chown(&path, Some(uid), Some(uid))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        reads.push(ask(
            &Ids {
                uid,
                gid: uid,
                groups: vec![uid],
            },
            &path,
        ));
    }
    let each = |started: Instant| started.elapsed().as_secs_f64() * 1e6 / f64::from(FILES);
    let mut child = child()?;
    child.read(&reads[0], PATIENCE)?;
    for round in ["first", "second", "third"] {
        let started = Instant::now();
        for read in &reads {
            let path = Path::new(std::ffi::OsStr::from_bytes(&read.path));
            same(fs::read(path)?.len(), line.len())?;
        }
        let plain = each(started);
        let started = Instant::now();
        for read in &reads {
            same(child.read(read, PATIENCE)?.bytes.len(), line.len())?;
        }
        let one_by_one = each(started);
        let started = Instant::now();
        let mut count = 0;
        let _ = child.read_many(&reads, PATIENCE, |_, result| {
            count += u32::from(result.is_ok());
            ControlFlow::Continue(())
        });
        let together = each(started);
        same(count, FILES)?;
        println!(
            "  {round}: {plain:.1} µs each plainly as root, {one_by_one:.1} one by one as their \
             owners, {together:.1} asked for together"
        );
    }
    same(fs::metadata(stage.home())?.uid(), ALICE)
}
