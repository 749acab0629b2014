//! Homes that are made to hurt whoever reads them: each is named as not read, and everybody else's
//! credentials are found as if they were not there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknod};
use nix::unistd::{geteuid, mkfifo};
use rescind_tests::Silent;
use serde_json::Value;

use crate::seeds::write;
use crate::{Tested, command, ensure};

const UID: u32 = 71_000;
/// Well-behaved neighbours.
const NEIGHBOURS: u32 = 50;
const SPARSE_BYTES: u64 = 100 << 30;
/// A million would be the same for the reader, who stops after some thousand; making them takes
/// too long for a test.
const NAMES: u32 = 100_000;
const DEPTH: usize = 4096;

pub fn homes(dir: &Path) -> Tested {
    let is_root = geteuid().is_root();
    let root = dir.join("root");
    fs::create_dir(&root)?;
    let mut hosts = Host {
        root: root.clone(),
        passwd: "root:x:0:0::/root:/bin/sh\n".into(),
        next: 0,
    };
    for n in 0..NEIGHBOURS {
        let home = hosts.account(&format!("neighbour{n}"));
        let owner = hosts.owner();
        write(
            &root,
            &format!("{home}/.vault-token"),
            format!("hvs.FAKE{n}").as_bytes(),
            0o600,
            owner,
        );
    }
    hosts.finish(&root)?;
    let (alone, before) = survey(&root)?;
    println!("  {NEIGHBOURS} neighbours alone: {:.1?}", before);

    let mut wants: Vec<(String, &str)> = Vec::new();
    fifo(&mut hosts, &mut wants)?;
    socket(&mut hosts, &mut wants)?;
    sparse(&mut hosts, &mut wants)?;
    many_names(&mut hosts, &mut wants)?;
    deep(&mut hosts, &mut wants)?;
    links(&mut hosts, &mut wants)?;
    let mut silent = Vec::new();
    if is_root {
        zero(&mut hosts, &mut wants)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        for place in ["", "/.aws"] {
            let name = if place.is_empty() {
                "hunghome"
            } else {
                "hungdir"
            };
            let home = hosts.account(name);
            let at = format!("{home}{place}");
            write(
                &root,
                &format!("{home}/.bashrc"),
                b"export A_TOKEN=fake-token-7\n",
                0o600,
                hosts.owner(),
            );
            fs::create_dir_all(root.join(at.trim_start_matches('/')))?;
            silent.push(Silent::mount(&root.join(at.trim_start_matches('/')))?);
            wants.push((at, "did not answer in time"));
        }
    } else {
        println!("  not root: no device, no file system that never answers");
    }
    hosts.finish(&root)?;
    let (answer, took) = survey(&root)?;
    drop(silent);
    println!("  with {} that hurt: {:.1?}", wants.len(), took);

    let not_read = answer["coverage"]["not_read"]["listed"]
        .as_array()
        .ok_or("not_read")?;
    for (path, why) in &wants {
        let named = not_read.iter().any(|one| {
            one["path"] == path.as_str()
                && one["why"].as_str().is_some_and(|said| said.contains(why))
        });
        println!("    {}: {why}", cut(path));
        ensure(
            named,
            &format!(
                "{} is named as not read because it {why}: {not_read:?}",
                cut(path)
            ),
        )?;
    }
    let beside = answer["credentials"].as_array().into_iter().flatten();
    let beside: Vec<&Value> = beside
        .filter(|one| one["path"] == "/home/hungdir/.bashrc")
        .collect();
    ensure(
        !is_root || beside.len() == 1,
        "what lies beside a directory that hangs is found",
    )?;
    for name in [
        ".npmrc",
        ".terraform.d/credentials.tfrc.json",
        ".ssh/id_ed25519",
    ] {
        let path = format!("/home/many/{name}");
        let mut all = answer["credentials"].as_array().into_iter().flatten();
        ensure(
            all.any(|one| one["path"] == path.as_str()),
            &format!("{path} is found"),
        )?;
    }
    let found = |answer: &Value| -> BTreeSet<String> {
        let credentials = answer["credentials"].as_array().into_iter().flatten();
        let of_neighbours = credentials.filter(|one| {
            one["account"]
                .as_str()
                .is_some_and(|a| a.starts_with("neighbour"))
        });
        of_neighbours
            .map(|one| format!("{} {}", one["path"], one["fingerprint"]))
            .collect()
    };
    ensure(
        found(&alone).len() == NEIGHBOURS as usize,
        "every neighbour's token is found",
    )?;
    ensure(
        found(&answer) == found(&alone),
        "the neighbours' are found as before",
    )?;
    let shared = answer["credentials"].as_array().into_iter().flatten();
    let shared: Vec<&Value> = shared
        .filter(|one| one["path"] == "/home/neighbour1/.vault-token")
        .collect();
    ensure(
        !is_root
            || shared.len() == 1
                && shared[0]["account"] == "neighbour1"
                && shared[0]["shared_with"][0] == "links",
        "whoever links to a neighbour's file does not take it away",
    )?;
    // Two wait for an answer that does not come, each at most twice (a listing, key files).
    let allowed = before + Duration::from_secs(if is_root { 9 } else { 3 });
    ensure(
        took < allowed,
        &format!("it took {took:?}, at most {allowed:?}"),
    )
}

fn survey(root: &Path) -> Result<(Value, Duration), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let out = command(root, &["--json"]).output()?;
    let took = started.elapsed();
    ensure(out.status.success(), &String::from_utf8_lossy(&out.stderr))?;
    Ok((serde_json::from_slice(&out.stdout)?, took))
}

fn cut(path: &str) -> String {
    match path.char_indices().nth(60) {
        Some((at, _)) => format!("{}… ({} bytes)", &path[..at], path.len()),
        None => path.to_owned(),
    }
}

/// The host, and the accounts that were made on it.
struct Host {
    root: PathBuf,
    passwd: String,
    next: u32,
}

impl Host {
    /// Makes an account with an empty home; the home's path on the host.
    fn account(&mut self, name: &str) -> String {
        let home = format!("/home/{name}");
        self.account_at(name, &home);
        let dir = self.root.join(&home[1..]);
        fs::create_dir_all(&dir).expect("a home");
        chown(&dir, self.owner(), self.owner()).expect("its owner");
        home
    }

    fn account_at(&mut self, name: &str, home: &str) {
        self.next += 1;
        let uid = self.owner().unwrap_or_else(|| geteuid().as_raw());
        self.passwd
            .push_str(&format!("{name}:x:{uid}:{uid}::{home}:/bin/sh\n"));
    }

    /// The owner of the account made last; without root all is ours.
    fn owner(&self) -> Option<u32> {
        geteuid().is_root().then_some(UID + self.next)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn finish(&self, root: &Path) -> Tested {
        use std::os::unix::fs::PermissionsExt;
        write(root, "/etc/passwd", self.passwd.as_bytes(), 0o644, None);
        write(root, "/etc/group", b"root:x:0:\n", 0o644, None);
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

type Wants<'w> = Vec<(String, &'w str)>;

fn fifo(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("fifo");
    for path in [
        format!("{home}/.vault-token"),
        format!("{home}/.ssh/id_ed25519"),
    ] {
        fs::create_dir_all(host.path(&path).parent().ok_or("no parent")?)?;
        mkfifo(&host.path(&path), Mode::from_bits_truncate(0o666))?;
        wants.push((path, "is not a regular file but a FIFO"));
    }
    Ok(())
}

fn socket(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("socket");
    let path = format!("{home}/.netrc");
    // Bound by a short name: a socket's is limited.
    let short = std::env::temp_dir().join(format!("rescind-s{}", std::process::id()));
    UnixListener::bind(&short)?;
    fs::rename(&short, host.path(&path))?;
    wants.push((path, "is not a regular file but a socket"));
    Ok(())
}

fn sparse(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("sparse");
    let path = format!("{home}/.pgpass");
    let file = File::create(host.path(&path))?;
    file.set_len(SPARSE_BYTES)?;
    wants.push((path, "is longer than"));
    Ok(())
}

/// Two directories of very many names. What has a name that is looked for is found all the same.
fn many_names(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("many");
    for dir in [home.clone(), format!("{home}/.ssh")] {
        fs::create_dir_all(host.path(&dir))?;
        let fd = open(
            &host.path(&dir),
            OFlag::O_DIRECTORY | OFlag::O_RDONLY,
            Mode::empty(),
        )?;
        for n in 0..NAMES / 2 {
            let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
            openat(
                &fd,
                format!("name{n}").as_str(),
                flags,
                Mode::from_bits_truncate(0o600),
            )?;
        }
        wants.push((dir.clone(), "holds more than 4096 names"));
        if dir != home {
            wants.push((dir, "holds more files of a kind than are read"));
        }
    }
    let tokens = [
        (".npmrc", "//r/:_authToken=npm_fake_token_1\n"),
        (
            ".terraform.d/credentials.tfrc.json",
            "{\"credentials\":{\"r\":{\"token\":\"fake7token\"}}}",
        ),
    ];
    for (name, text) in tokens {
        write(
            &host.root,
            &format!("{home}/{name}"),
            text.as_bytes(),
            0o600,
            host.owner(),
        );
    }
    let key = host.path(&format!("{home}/.ssh/id_ed25519"));
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()?;
    ensure(made.success(), "a key is made")?;
    chown(&key, host.owner(), host.owner())?;
    Ok(())
}

/// A path deeper than it may be long: as a home, and as a link inside of one.
fn deep(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("deep");
    let mut at = open(
        &host.path(&home),
        OFlag::O_DIRECTORY | OFlag::O_RDONLY,
        Mode::empty(),
    )?;
    for _ in 0..DEPTH {
        mkdirat(&at, "d", Mode::from_bits_truncate(0o755))?;
        at = openat(
            &at,
            "d",
            OFlag::O_DIRECTORY | OFlag::O_RDONLY,
            Mode::empty(),
        )?;
    }
    let deepest = format!("{home}{}", "/d".repeat(DEPTH));
    host.account_at("deepest", &deepest);
    wants.push((deepest, "has a path that is too long"));
    let link = format!("{home}/.aws");
    symlink(format!("{home}{}", "/d".repeat(1900)), host.path(&link))?;
    Ok(())
}

fn links(host: &mut Host, wants: &mut Wants) -> Tested {
    let home = host.account("links");
    let circle = format!("{home}/.kube");
    symlink(".kube", host.path(&circle))?;
    wants.push((circle, "too many symbolic links"));
    // Somebody else's file stays that one's. (Without root everything is ours.)
    if geteuid().is_root() {
        let neighbours = host.path("/home/neighbour1/.vault-token");
        fs::hard_link(&neighbours, host.path(&format!("{home}/.vault-token")))?;
    }
    symlink(
        "../neighbour2/.vault-token",
        host.path(&format!("{home}/.netrc")),
    )?;
    Ok(())
}

fn zero(host: &mut Host, wants: &mut Wants) -> Tested {
    fs::create_dir_all(host.path("/dev"))?;
    mknod(
        &host.path("/dev/zero"),
        SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        makedev(1, 5),
    )?;
    let home = host.account("zero");
    for path in [format!("{home}/.npmrc"), format!("{home}/.ssh/id_rsa")] {
        fs::create_dir_all(host.path(&path).parent().ok_or("no parent")?)?;
        symlink("/dev/zero", host.path(&path))?;
        wants.push((path, "is not a regular file but a character device"));
    }
    Ok(())
}
