//! A path, walked from the root directory one component at a time, each held by a descriptor.
//!
//! Symbolic links are followed only where nobody but root could have made or moved them: hosts
//! have such links (`/etc/shadow` on LibreELEC, all of `/etc` on NixOS), and a link that somebody
//! else controls would choose for root what it reads and replaces. Links stay inside the root.
//!
//! In a directory that others can write to, but that is sticky, nobody but its owner can move
//! what belongs to root.
//!
//! One reading of a host walks the same few directories a thousand times. While
//! [`HostRoot::keep_directories`] is in force they are held open and entered once, so that a reading
//! is of one tree; what stands in them is looked at each time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::root::{Distrust, HostRoot, ReadError, failed};
use crate::sys::fs::{self, FileKind, FileStat};

/// Finds the directory and the name in it that a path leads to in the end.
pub(super) fn walk(root: &HostRoot, path: &Path) -> Result<Located, ReadError> {
    Walk {
        root,
        asked: path,
        top: root.top()?,
        entered: Vec::new(),
        doubt: None,
        links: 0,
    }
    .run()
}

/// The end of a walk: a name in an open directory.
pub(super) struct Located {
    /// The directory, as a handle.
    pub dir: Rc<OwnedFd>,
    /// The name in it; `.` for the root directory itself.
    pub name: OsString,
    /// What stands there, never a symbolic link; `None` where nothing does.
    pub stat: Option<FileStat>,
    /// The path on the host with all links resolved.
    pub path: PathBuf,
    /// The first directory on the way in which others than root can change names.
    pub doubt: Option<(PathBuf, Distrust)>,
}

struct Walk<'a> {
    root: &'a HostRoot,
    asked: &'a Path,
    /// The root directory.
    top: Rc<Entered>,
    entered: Vec<(Rc<Entered>, OsString)>,
    doubt: Option<(PathBuf, Distrust)>,
    links: usize,
}

/// As many links as the kernel follows in one path (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// Directories held open at once; deeper paths are not those of system files.
const DEPTH_MAX: usize = 128;

/// Directories that are kept open at once; those beyond are entered anew each time.
const KEPT_MAX: usize = 256;

/// A directory that was entered.
#[derive(Debug)]
struct Entered {
    handle: Rc<OwnedFd>,
    stat: FileStat,
    /// Those in it, as far as they are kept.
    below: RefCell<HashMap<OsString, Rc<Entered>>>,
}

impl Entered {
    fn new(handle: Rc<OwnedFd>, stat: FileStat) -> Rc<Self> {
        Rc::new(Self {
            handle,
            stat,
            below: RefCell::default(),
        })
    }
}

/// The directories that are kept open, from the root directory on.
#[derive(Debug)]
pub(super) struct Kept {
    top: Rc<Entered>,
    count: Cell<usize>,
}

/// Lets the directories go when it is dropped.
#[derive(Debug)]
pub struct Keeping(Rc<HostRoot>);

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.kept.replace(None);
    }
}

impl HostRoot {
    /// Keeps the directories that are entered from now on open, until the answer is dropped: for one
    /// reading of the host. What was kept before is let go at once.
    pub fn keep_directories(self: &Rc<Self>) -> Result<Keeping, ReadError> {
        self.kept.replace(None);
        let kept = Kept {
            top: self.top()?,
            count: Cell::new(0),
        };
        self.kept.replace(Some(kept));
        Ok(Keeping(Rc::clone(self)))
    }

    fn top(&self) -> Result<Rc<Entered>, ReadError> {
        if let Some(kept) = &*self.kept.borrow() {
            return Ok(Rc::clone(&kept.top));
        }
        let stat = fs::fstat(self.dir_fd()).map_err(|source| failed(Path::new("/"), source))?;
        Ok(Entered::new(Rc::clone(&self.dir), stat))
    }

    /// Keeps a directory below another that is kept, if there is room.
    fn keep(&self, above: &Entered, name: &OsStr, entered: &Rc<Entered>) {
        if let Some(kept) = &*self.kept.borrow()
            && kept.count.get() < KEPT_MAX
        {
            kept.count.set(kept.count.get() + 1);
            let mut below = above.below.borrow_mut();
            below.insert(name.to_owned(), Rc::clone(entered));
        }
    }
}

impl Walk<'_> {
    fn run(mut self) -> Result<Located, ReadError> {
        let root_stat = self.top.stat;
        self.judge(&root_stat, None);
        // What is still to walk, the next component last.
        let mut ahead = components(self.asked);
        while let Some(name) = ahead.pop() {
            if name == ".." {
                self.entered.pop();
                continue;
            }
            if ahead.is_empty() {
                match fs::stat_at(self.here(), &name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return self.arrive(name, None);
                    }
                    Ok(stat) if stat.kind != FileKind::Symlink => {
                        return self.arrive(name, Some(stat));
                    }
                    found => drop(self.io(found)?),
                }
            } else if let Some(entered) = self.kept(&name) {
                self.enter(entered, name);
                continue;
            }
            let handle = match fs::open_handle(self.here(), &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && ahead.is_empty() => {
                    return self.arrive(name, None);
                }
                handle => self.io(handle)?,
            };
            let stat = self.io(fs::fstat(&handle))?;
            match stat.kind {
                FileKind::Symlink => {
                    let target = self.follow(&name, &handle, &stat)?;
                    ahead.extend(components(&target));
                }
                _ if ahead.is_empty() => return self.arrive(name, Some(stat)),
                FileKind::Directory if self.entered.len() < DEPTH_MAX => {
                    let entered = Entered::new(Rc::new(handle), stat);
                    self.root.keep(self.above(), &name, &entered);
                    self.enter(entered, name);
                }
                FileKind::Directory => return self.io(Err(io::ErrorKind::InvalidFilename.into())),
                _ => return self.io(Err(io::ErrorKind::NotADirectory.into())),
            }
        }
        // The path ends in a directory that was entered already: `/`, or one ending in `..`.
        match self.entered.pop() {
            Some((entered, name)) => {
                let stat = self.io(fs::fstat(&entered.handle))?;
                self.arrive(name, Some(stat))
            }
            None => self.arrive(".".into(), Some(root_stat)),
        }
    }

    /// The directory of that name in the one that was entered last, if it is kept.
    fn kept(&self, name: &OsStr) -> Option<Rc<Entered>> {
        if self.entered.len() >= DEPTH_MAX {
            return None;
        }
        self.above().below.borrow().get(name).map(Rc::clone)
    }

    fn enter(&mut self, entered: Rc<Entered>, name: OsString) {
        self.judge(&entered.stat, Some(&name));
        self.entered.push((entered, name));
    }

    fn follow(
        &mut self,
        name: &OsStr,
        link: &OwnedFd,
        stat: &FileStat,
    ) -> Result<PathBuf, ReadError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return self.io(Err(io::Error::other("more than 40 symbolic links")));
        }
        if !self.root.trusts(stat.uid) {
            return Err(self.untrusted(self.path_of(Some(name)), Distrust::Owner(stat.uid)));
        }
        let target = PathBuf::from(self.io(fs::read_link(link, OsStr::new("")))?);
        if target.is_absolute() {
            self.entered.clear();
        }
        Ok(target)
    }

    /// Remembers the first directory in which somebody else than root can change names.
    fn judge(&mut self, stat: &FileStat, name: Option<&OsStr>) {
        if self.doubt.is_none()
            && let Some(why) = distrust_of_dir(self.root, stat)
        {
            self.doubt = Some((self.path_of(name), why));
        }
    }

    fn arrive(mut self, name: OsString, stat: Option<FileStat>) -> Result<Located, ReadError> {
        if self.links > 0
            && let Some((component, why)) = self.doubt.take()
        {
            return Err(self.untrusted(component, why));
        }
        let path = if name == "." {
            PathBuf::from("/")
        } else {
            self.path_of(Some(&name))
        };
        let dir = match self.entered.pop() {
            Some((entered, _)) => Rc::clone(&entered.handle),
            None => Rc::clone(&self.top.handle),
        };
        Ok(Located {
            dir,
            name,
            stat,
            path,
            doubt: self.doubt,
        })
    }

    fn above(&self) -> &Entered {
        self.entered.last().map_or(&self.top, |(above, _)| above)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.above().handle.as_fd()
    }

    fn path_of(&self, name: Option<&OsStr>) -> PathBuf {
        let entered = self.entered.iter().map(|(_, name)| name.as_os_str());
        Path::new("/").join(entered.chain(name).collect::<PathBuf>())
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, ReadError> {
        result.map_err(|source| failed(self.asked, source))
    }

    fn untrusted(&self, component: PathBuf, why: Distrust) -> ReadError {
        ReadError::Untrusted {
            path: self.asked.to_owned(),
            component,
            why,
        }
    }
}

/// The names of a path, last one first; `..` is among them.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

/// What is wrong with a directory in which a name stands that root will use.
fn distrust_of_dir(root: &HostRoot, stat: &FileStat) -> Option<Distrust> {
    let sticky = stat.mode & 0o1000 != 0;
    if !root.trusts(stat.uid) {
        Some(Distrust::Owner(stat.uid))
    } else if stat.mode & 0o002 != 0 && !sticky {
        Some(Distrust::WorldWritable)
    } else if stat.mode & 0o020 != 0 && stat.gid != 0 && !sticky {
        Some(Distrust::GroupWritable(stat.gid))
    } else {
        None
    }
}
