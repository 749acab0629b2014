//! What users put where ways in are looked for.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknod};
use nix::unistd::{linkat, mkfifo};
use serde_json::Value;

use crate::place::{CRONTABS, KEY, Place};

const SPARSE_BYTES: u64 = 100 << 30;
const NAMES: u32 = 1_000_000;
/// ext4 takes at most 65,000 names for one file.
const NAMES_PER_FILE: u32 = 60_000;
const DEPTH: usize = 4096;

/// Something that must be named as not read.
pub struct Want {
    pub account: String,
    path: String,
    cause: &'static str,
}

impl Want {
    pub fn new(account: &str, path: &str, cause: &'static str) -> Self {
        Self {
            account: account.into(),
            path: path.into(),
            cause,
        }
    }

    /// Whether it is what was named. A file of the host's own is nobody's; rows are no file.
    pub fn is(&self, named: &Value) -> bool {
        let whose = &named["account"];
        (*whose == self.account.as_str() || whose.is_null())
            && named["path"].as_str().unwrap_or_default() == self.path
            && named["cause"] == self.cause
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, cause, .. } = self;
        match path.char_indices().nth(70) {
            Some((at, _)) => write!(f, "{}… ({} bytes): {cause}", &path[..at], path.len()),
            None if path.is_empty() => write!(f, "rows of {}: {cause}", self.account),
            None => write!(f, "{path}: {cause}"),
        }
    }
}

type Wants = Vec<Want>;

pub fn fifos(place: &mut Place, wants: &mut Wants) {
    let home = place.account("fifo");
    place.dir(&format!("{home}/.ssh"));
    place.dir(&format!("{home}/.config"));
    place.dir(&format!("{home}/.config/systemd"));
    for path in [
        format!("{home}/.ssh/authorized_keys"),
        format!("{home}/.config/systemd/user"),
        format!("{CRONTABS}/fifo"),
    ] {
        mkfifo(&place.path(&path), Mode::from_bits_truncate(0o600)).expect("a FIFO");
        place.give(&path);
        wants.push(Want::new("fifo", &path, "not_regular"));
    }
}

pub fn socket(place: &mut Place, wants: &mut Wants) {
    let home = place.account("socket");
    place.dir(&format!("{home}/.ssh"));
    let path = format!("{home}/.ssh/authorized_keys");
    // Bound by a short name: a socket's is limited.
    let short = place.root.with_file_name("s");
    UnixListener::bind(&short).expect("a socket");
    fs::rename(&short, place.path(&path)).expect("its place");
    place.give(&path);
    wants.push(Want::new("socket", &path, "not_regular"));
}

pub fn zero(place: &mut Place, wants: &mut Wants) {
    fs::create_dir_all(place.path("/dev")).expect("a directory");
    let (kind, mode) = (SFlag::S_IFCHR, Mode::from_bits_truncate(0o666));
    mknod(&place.path("/dev/zero"), kind, mode, makedev(1, 5)).expect("a device");
    let home = place.account("zero");
    place.dir(&format!("{home}/.ssh"));
    let path = format!("{home}/.ssh/authorized_keys");
    symlink("/dev/zero", place.path(&path)).expect("a link");
    wants.push(Want::new("zero", &path, "not_regular"));
    let unit = format!("{}/zero.service", place.units(&home));
    symlink("/dev/zero", place.path(&unit)).expect("a link");
    wants.push(Want::new("zero", &unit, "not_regular"));
}

pub fn sparse(place: &mut Place, wants: &mut Wants) {
    let home = place.account("sparse");
    place.dir(&format!("{home}/.ssh"));
    for path in [
        format!("{home}/.ssh/authorized_keys"),
        format!("{}/big.service", place.units(&home)),
        format!("{CRONTABS}/sparse"),
    ] {
        let file = File::create(place.path(&path)).expect("a file");
        file.set_len(SPARSE_BYTES).expect("its length");
        place.give(&path);
        wants.push(Want::new("sparse", &path, "size"));
    }
}

/// A million names of some files, where units are looked for.
pub fn many_names(place: &mut Place, wants: &mut Wants) {
    let home = place.account("many");
    let units = place.units(&home);
    let dir = open_dir(&place.path(&units));
    let mut source = String::new();
    for n in 0..NAMES {
        let name = format!("n{n}.service");
        if n % NAMES_PER_FILE == 0 {
            let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
            let mode = Mode::from_bits_truncate(0o600);
            openat(dir.as_fd(), name.as_str(), flags, mode).expect("a file");
            source = name;
            continue;
        }
        linkat(
            dir.as_fd(),
            source.as_str(),
            dir.as_fd(),
            name.as_str(),
            AtFlags::empty(),
        )
        .expect("a name");
    }
    wants.push(Want::new("many", &units, "size"));
}

/// A path deeper than it may be long: as a home, and behind links where keys and units are.
pub fn deep(place: &mut Place, wants: &mut Wants) {
    let home = place.account("deep");
    let mut at = open_dir(&place.path(&home));
    let mode = Mode::from_bits_truncate(0o755);
    for _ in 0..DEPTH {
        mkdirat(at.as_fd(), "d", mode).expect("a directory");
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
        at = openat(at.as_fd(), "d", flags, Mode::empty()).expect("a directory");
    }
    let deepest = format!("{home}{}", "/d".repeat(DEPTH));
    place.account_at("deepest", &deepest);
    // sshd does not even look for a key file with a name that is too long; so much of it is told.
    let units = format!("{deepest}/.config/systemd");
    wants.push(Want::new(
        "deepest",
        &format!("{}…", &units[..1024]),
        "size",
    ));

    let home = place.account("deeplink");
    place.dir(&format!("{home}/.ssh"));
    place.dir(&format!("{home}/.config"));
    place.dir(&format!("{home}/.config/systemd"));
    for path in [
        format!("{home}/.ssh/authorized_keys"),
        format!("{home}/.config/systemd/user"),
    ] {
        // Each link leads to half of the way, which has another one at its end: it is not the
        // text of a link that is too long, but the way.
        symlink(
            format!("/home/deep{}", "/d".repeat(2030)),
            place.path(&path),
        )
        .expect("a link");
        place.give(&path);
        wants.push(Want::new("deeplink", &path, "not_regular"));
    }
    wants.pop(); // A directory where a directory is looked for can be listed, and is empty.
}

pub fn circle(place: &mut Place, wants: &mut Wants) {
    let home = place.account("circle");
    place.dir(&format!("{home}/.ssh"));
    let path = format!("{home}/.ssh/authorized_keys");
    symlink("authorized_keys", place.path(&path)).expect("a link");
    wants.push(Want::new("circle", &path, "links"));
}

/// More keys than are listed of one account.
pub fn many_keys(place: &mut Place, wants: &mut Wants) {
    let home = place.account("manykeys");
    place.dir(&format!("{home}/.ssh"));
    let path = format!("{home}/.ssh/authorized_keys");
    place.write(&path, &format!("{KEY}\n").repeat(60_000), true);
    // What is left out is a count of the account's, not a file.
    wants.push(Want::new("manykeys", "", "size"));
}

fn open_dir(path: &Path) -> std::os::fd::OwnedFd {
    open(path, OFlag::O_DIRECTORY | OFlag::O_RDONLY, Mode::empty()).expect("a directory")
}
