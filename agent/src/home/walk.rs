//! The way to a file: from the root directory down, one component at a time, each opened without
//! following a link, links read and followed by hand.
//!
//! The user may rename and exchange anything on the way while we walk. What is held is always a
//! descriptor of a directory we came through, so the walk ends where some order of the user's
//! own renames could have put it, with the user's own rights, and nowhere else.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use super::message::DirFacts;
use super::why::{LinkTrouble, Step, Why};
use crate::sys::fs::{self, FileKind, FileStat};
use crate::sys::{Errno, errno};

/// PATH_MAX of linux/limits.h, with the NUL.
const PATH_BYTES_MAX: usize = 4096;

/// As many as the kernel follows (path_resolution(7)): what sshd can reach, we can reach.
const LINKS_MAX: u32 = 40;

/// Directories that one walk leaves open for the next.
const REMEMBERED_MAX: usize = 16;

/// Whose links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// All: the walk has no more rights than the one who made them.
    Everyone,
    /// Only those in directories that nobody but root can write: the walk has root's rights.
    OnlyRoot,
}

/// A walk's beginning.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The root directory; absolute links begin here and `..` ends here, as in chroot(2).
    pub root: BorrowedFd<'a>,
    /// Whose links are followed.
    pub trust: Trust,
    /// As whom we walk, for the words of an error.
    pub uid: u32,
    /// The directories of the walk before: as long as the next one has the same names, it need not
    /// open them again. They were opened with the same rights, a moment ago.
    last: RefCell<Vec<Rc<Dir>>>,
    /// What the root directory is, for all walks that begin at it here.
    root_stat: Cell<Option<FileStat>>,
}

/// Where a walk ended: a name in an open directory.
#[derive(Debug)]
pub(super) struct Place<'a> {
    way: Way<'a>,
    name: Vec<u8>,
    /// What the name was when we came by; neither a link nor a directory.
    pub stat: FileStat,
}

/// The directories we came through.
#[derive(Debug)]
struct Way<'a> {
    root: BorrowedFd<'a>,
    root_stat: FileStat,
    below: Vec<Rc<Dir>>,
    links: u32,
    home: Option<Home>,
}

#[derive(Debug)]
struct Dir {
    fd: OwnedFd,
    stat: FileStat,
    name: Vec<u8>,
}

/// The home directory, where we came through it.
#[derive(Debug, Clone, Copy)]
struct Home {
    depth: usize,
    stat: FileStat,
}

impl Way<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.below.last().map_or(self.root, |dir| dir.fd.as_fd())
    }

    fn stat_at(&self, depth: usize) -> Option<FileStat> {
        match depth {
            0 => Some(self.root_stat),
            _ => self.below.get(depth - 1).map(|dir| dir.stat),
        }
    }

    fn here_stat(&self) -> FileStat {
        self.below.last().map_or(self.root_stat, |dir| dir.stat)
    }
}

impl Place<'_> {
    /// The last component.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// The directory that holds the name.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.way.here()
    }

    /// Links followed.
    pub fn links(&self) -> u32 {
        self.way.links
    }

    /// What the directories of the real path are, from the root down.
    pub fn dir_facts(&self) -> Vec<DirFacts> {
        let facts = |stat: FileStat| DirFacts {
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
        };
        let below = self.way.below.iter().map(|dir| facts(dir.stat));
        std::iter::once(facts(self.way.root_stat))
            .chain(below)
            .collect()
    }

    /// The path without links.
    pub fn real_path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        let dirs = self.way.below.iter().map(|dir| &dir.name);
        for name in dirs.chain([&self.name]) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }

    /// Which directory of the real path is the home.
    pub fn home_at(&self) -> Option<u32> {
        let home = self.way.home?;
        let stat = self.way.stat_at(home.depth)?;
        let same = stat.same_file(&home.stat);
        same.then_some(u32::try_from(home.depth).ok()?)
    }
}

impl<'a> Walk<'a> {
    /// Walks that begin at `root` as `uid`.
    pub fn new(root: BorrowedFd<'a>, trust: Trust, uid: u32) -> Self {
        Self {
            root,
            trust,
            uid,
            last: RefCell::default(),
            root_stat: Cell::new(None),
        }
    }

    /// Forgets the directories of the walk before.
    pub fn forget(&self) {
        self.last.borrow_mut().clear();
        self.root_stat.set(None);
    }

    /// Finds the file that `path` names. `home` is a path that may lead `path`; if it does, the
    /// place knows which of its directories that is.
    pub fn find(&self, path: &[u8], home: Option<&[u8]>) -> Result<Place<'a>, Why> {
        let mut ahead = Vec::new();
        let home_ahead = home.and_then(|home| components_below(path, home));
        let mut way = self.set_out(path, &mut ahead)?;
        loop {
            if way.home.is_none() && home_ahead == Some(ahead.len()) {
                let stat = way.here_stat();
                let depth = way.below.len();
                way.home = Some(Home { depth, stat });
            }
            let Some(name) = ahead.pop() else {
                return Err(Why::NotRegular(FileKind::Directory));
            };
            if !ahead.is_empty() || name == b"." || name == b".." {
                self.step(&mut way, name, &mut ahead)?;
                continue;
            }
            let stat =
                fs::stat_at(way.here(), OsStr::from_bytes(&name)).map_err(|e| self.failed(e))?;
            match stat.kind {
                FileKind::Symlink => self.follow(&mut way, &name, &mut ahead)?,
                FileKind::Directory => return Err(Why::NotRegular(FileKind::Directory)),
                _ if way.links > 0 && matches!(fs::is_procfs(way.here()), Ok(true)) => {
                    return Err(Why::Links(LinkTrouble::Proc));
                }
                _ => return Ok(Place { way, name, stat }),
            }
        }
    }

    /// Opens the directory that `path` names, for reading its names.
    pub fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Why> {
        let mut ahead = Vec::new();
        let mut way = self.set_out(path, &mut ahead)?;
        while let Some(name) = ahead.pop() {
            self.step(&mut way, name, &mut ahead)?;
        }
        if way.links > 0 && matches!(fs::is_procfs(way.here()), Ok(true)) {
            return Err(Why::Links(LinkTrouble::Proc));
        }
        fs::open_dir(way.here(), ".").map_err(|e| self.failed(e))
    }

    fn set_out(&self, path: &[u8], ahead: &mut Vec<Vec<u8>>) -> Result<Way<'a>, Why> {
        if path.len() >= PATH_BYTES_MAX {
            return Err(Why::PathTooLong);
        }
        push_components(ahead, path);
        let root_stat = match self.root_stat.get() {
            Some(stat) => stat,
            None => {
                let stat = fs::fstat(self.root).map_err(|e| self.failed(e))?;
                self.root_stat.set(Some(stat));
                stat
            }
        };
        Ok(Way {
            root: self.root,
            root_stat,
            below: Vec::new(),
            links: 0,
            home: None,
        })
    }

    /// Goes into a directory, or puts what a link says ahead.
    fn step(&self, way: &mut Way<'a>, name: Vec<u8>, ahead: &mut Vec<Vec<u8>>) -> Result<(), Why> {
        match name.as_slice() {
            b"." => {}
            b".." => {
                way.below.pop();
            }
            _ if self.was_here(way, &name) => {}
            _ => match fs::step_into(way.here(), OsStr::from_bytes(&name)).map_err(errno) {
                Ok(fd) => {
                    let stat = fs::fstat(&fd).map_err(|e| self.failed(e))?;
                    way.below.push(Rc::new(Dir { fd, stat, name }));
                    if way.links == 0 && way.below.len() <= REMEMBERED_MAX {
                        self.last.borrow_mut().clone_from(&way.below);
                    }
                }
                Err(Errno::ENOTDIR | Errno::ELOOP) => self.follow(way, &name, ahead)?,
                Err(errno) => return Err(self.failed(errno)),
            },
        }
        Ok(())
    }

    /// Goes into a directory that the walk before went into from here, if it has that name.
    fn was_here(&self, way: &mut Way<'a>, name: &[u8]) -> bool {
        let last = self.last.borrow();
        let depth = way.below.len();
        let same_way = way
            .below
            .iter()
            .zip(last.iter())
            .all(|(one, other)| Rc::ptr_eq(one, other));
        match last.get(depth) {
            Some(dir) if way.links == 0 && same_way && dir.name == name => {
                way.below.push(Rc::clone(dir));
                true
            }
            _ => false,
        }
    }

    /// Puts what a link says ahead, if it may be followed.
    fn follow(&self, way: &mut Way<'a>, name: &[u8], ahead: &mut Vec<Vec<u8>>) -> Result<(), Why> {
        match fs::is_procfs(way.here()).map_err(errno) {
            Ok(true) => return Err(Why::Links(LinkTrouble::Proc)),
            Ok(false) | Err(Errno::EBADF) => {} // EBADF: O_PATH before Linux 3.12
            Err(errno) => return Err(self.failed(errno)),
        }
        let text = match fs::read_link(way.here(), OsStr::from_bytes(name)).map_err(errno) {
            Ok(text) => text,
            Err(Errno::EINVAL) => return Err(Why::Missing), // a file where a directory should be
            Err(errno) => return Err(self.failed(errno)),
        };
        way.links += 1;
        if way.links > LINKS_MAX {
            return Err(Why::Links(LinkTrouble::TooMany));
        }
        let here = way.here_stat();
        if self.trust == Trust::OnlyRoot && (here.uid != 0 || here.mode & 0o022 != 0) {
            return Err(Why::Links(LinkTrouble::Untrusted));
        }
        if text.as_bytes().first() == Some(&b'/') {
            way.below.clear();
        }
        match text.is_empty() {
            true => Err(Why::Missing),
            false => {
                push_components(ahead, text.as_bytes());
                Ok(())
            }
        }
    }

    /// An error of the way, in words.
    pub fn failed(&self, error: impl Into<io::Error>) -> Why {
        match errno(error.into()) {
            Errno::ENOENT | Errno::ENOTDIR => Why::Missing,
            Errno::EACCES | Errno::EPERM => Why::Denied { uid: self.uid },
            Errno::ENAMETOOLONG => Why::PathTooLong,
            Errno::ELOOP => Why::Links(LinkTrouble::TooMany),
            errno => Why::Io {
                step: Step::Walk,
                errno: errno as i32,
            },
        }
    }
}

/// Puts the components of `path` before those ahead: the next one is the last of the list. A
/// trailing slash becomes a `.`, because it demands a directory (path_resolution(7)).
fn push_components(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    let components = path.split(|byte| *byte == b'/');
    let last_is_slash = path.last() == Some(&b'/');
    if last_is_slash {
        ahead.push(b".".to_vec());
    }
    let named = components.rev().filter(|name| !name.is_empty());
    ahead.extend(named.map(<[u8]>::to_vec));
}

/// How many components of `path` are left below `home`, if `home` leads `path`, name by name.
fn components_below(path: &[u8], home: &[u8]) -> Option<usize> {
    let (mut of_path, mut of_home) = (Vec::new(), Vec::new());
    push_components(&mut of_path, path);
    push_components(&mut of_home, home);
    if home.last() == Some(&b'/') {
        of_home.remove(0);
    }
    of_path
        .ends_with(&of_home)
        .then(|| of_path.len() - of_home.len())
}
