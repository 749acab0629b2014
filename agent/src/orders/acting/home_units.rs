//! Units in the home of an account, read in a child that has become it, and what its manager makes
//! of them together with the system's.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Gaps;
use super::system_units::Units;
use crate::deferred::unit_file::UnitFile;
use crate::deferred::unit_path::{self, NameIn, UserDirectory, is_drop_in, name_in_directory};
use crate::deferred::unit_set::{Directory, Entry, Target, UnitSet};
use crate::home::{FileKind, HomeError, Listing, Why};
use crate::host::account::Account;
use crate::host::root::HostRoot;
use crate::orders::key_files::{Purpose, UserFiles};
use crate::paths::units::OwnUnits;

/// Unit files of one account that are read; beyond it is a gap.
const FILES_MAX: usize = 512;
/// Names in one directory.
const NAMES_MAX: u32 = 4096;
const UNIT_BYTES_MAX: u64 = 1 << 20;
/// What the administrator made for all managers, and not a package.
const ADMINISTRATORS: &str = "/etc/systemd/user";

/// What the account has of units.
pub fn read(
    account: &Account,
    root: &HostRoot,
    system: &Units,
    files: &mut UserFiles<'_>,
) -> OwnUnits {
    let name = account.name.as_str().as_bytes();
    let lingers = match &system.lingering {
        Ok(names) => names.iter().any(|other| other == name).then_some(Ok(())),
        Err(why) => Some(Err(why.clone())),
    };
    let mut home = Home {
        account,
        files,
        left: FILES_MAX,
        gaps: Gaps::new(),
        hung: false,
        above: BTreeMap::new(),
    };
    let mut directories = Vec::new();
    let has_runtime = root.is_live() && home.has_runtime(root);
    for directory in unit_path::USER {
        match directory {
            UserDirectory::Home(path) => {
                directories.extend(home.directory(&at_home(account, path)));
            }
            UserDirectory::Runtime(path) if has_runtime => {
                directories.extend(home.directory(&home.runtime(path)));
            }
            UserDirectory::Runtime(_) => {}
            UserDirectory::System(path) => {
                let mut known = system.for_users.iter();
                directories.extend(known.find(|read| read.path.as_os_str() == path).cloned());
            }
        }
    }
    let gaps = home.gaps;
    let mut units = Vec::new();
    let has_own = directories.iter().any(|directory| directory.own);
    let is_lingering = matches!(lingers, Some(Ok(())));
    if has_own || is_lingering {
        units = UnitSet::new(&directories).units(&[], &[]);
        units.retain(|unit| {
            let made_here = unit
                .files
                .first()
                .is_some_and(|f| f.starts_with(ADMINISTRATORS));
            unit.is_own || (is_lingering && made_here && unit.started.is_some())
        });
    }
    OwnUnits {
        lingers,
        units,
        gaps,
    }
}

/// The directories that are listed in every home, and up to how many names of each.
pub fn looked_at(account: &Account) -> Vec<(Vec<u8>, u32)> {
    let mut above = Vec::new();
    for directory in unit_path::USER {
        let UserDirectory::Home(path) = directory else {
            continue;
        };
        let path = at_home(account, path);
        let slash = memchr::memrchr(b'/', &path).unwrap_or(0);
        let directory = (path[..slash].to_vec(), NAMES_MAX);
        if !above.contains(&directory) {
            above.push(directory);
        }
    }
    above
}

fn at_home(account: &Account, path: &str) -> Vec<u8> {
    [account.home.as_slice(), b"/", path.as_bytes()].concat()
}

struct Home<'a, 'h> {
    account: &'a Account,
    files: &'a mut UserFiles<'h>,
    left: usize,
    gaps: Gaps,
    /// Something did not answer in time; the rest is not waited for.
    hung: bool,
    /// The names in the directories above, which most homes do not have.
    above: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, FileKind>>,
}

impl Home<'_, '_> {
    fn runtime(&self, path: &str) -> Vec<u8> {
        format!("/run/user/{}/{path}", self.account.uid).into_bytes()
    }

    /// The directory in which a manager that runs keeps what is for this boot only.
    fn has_runtime(&self, root: &HostRoot) -> bool {
        let path = PathBuf::from(format!("/run/user/{}", self.account.uid));
        !matches!(root.exists(&path), Ok(false))
    }

    /// One directory; `None` where it is not there or could not be listed, which is a gap.
    fn directory(&mut self, path: &[u8]) -> Option<Rc<Directory>> {
        if !self.is_above(path) {
            return None;
        }
        let listing = self.list(path)?;
        let mut entries = Vec::new();
        for entry in listing.entries {
            let below = [path, b"/", &entry.name].concat();
            match name_in_directory(&entry.name) {
                NameIn::Unit => entries.extend(self.unit(&entry.name, &below)),
                NameIn::DropIns => self.drop_ins(&entry.name, &below, &mut entries),
                NameIn::Starts(by) => {
                    let links = self.list(&below).into_iter();
                    entries.extend(
                        links
                            .flat_map(|list| list.entries)
                            .map(|link| Entry::Starts {
                                by: by.to_vec(),
                                name: link.name,
                            }),
                    );
                }
                NameIn::Other => {}
            }
        }
        Some(Rc::new(Directory {
            path: PathBuf::from(std::ffi::OsStr::from_bytes(path)),
            own: true,
            entries,
        }))
    }

    /// Whether the directory above has that name.
    fn is_above(&mut self, path: &[u8]) -> bool {
        let Some(slash) = memchr::memrchr(b'/', path) else {
            return false;
        };
        let (above, name) = (&path[..slash], &path[slash + 1..]);
        if !self.above.contains_key(above) {
            let names = self.list(above).into_iter().flat_map(|list| list.entries);
            let names = names.map(|entry| (entry.name, entry.kind)).collect();
            self.above.insert(above.to_vec(), names);
        }
        let known = self.above.get(above).and_then(|names| names.get(name));
        match known {
            None => false,
            Some(FileKind::Directory | FileKind::Symlink) => true,
            // Its manager finds nothing there, but it is no absence.
            Some(kind) => {
                let why = Why::NotRegular(*kind);
                self.files.note(self.account, Purpose::Units, path, &why);
                false
            }
        }
    }

    fn unit(&mut self, name: &[u8], path: &[u8]) -> Option<Entry> {
        let name = name.to_vec();
        // Where a link leads is told by the file it was found to be.
        let to = match self.file(path) {
            Some((file, real_path)) => {
                let real_path = Path::new(std::ffi::OsStr::from_bytes(&real_path));
                let target = real_path.file_name()?.as_bytes().to_vec();
                let is_unit = name_in_directory(&target) == NameIn::Unit;
                Target::Named(if is_unit { target } else { name.clone() }, Some(file))
            }
            // To nothing, or to /dev/null. Nothing is run either way.
            None => Target::Masked,
        };
        Some(Entry::Link { name, to })
    }

    fn drop_ins(&mut self, name: &[u8], path: &[u8], entries: &mut Vec<Entry>) {
        for drop_in in self.list(path).into_iter().flat_map(|list| list.entries) {
            if is_drop_in(&drop_in.name)
                && let Some((file, _)) = self.file(&[path, b"/", &drop_in.name].concat())
            {
                entries.push(Entry::DropIn {
                    directory: name.to_vec(),
                    name: drop_in.name,
                    file,
                });
            }
        }
    }

    /// A file, and where it really is; `None` where there is none or it could not be read, which
    /// is a gap.
    fn file(&mut self, path: &[u8]) -> Option<(Rc<UnitFile>, Vec<u8>)> {
        if self.hung {
            return None;
        }
        if self.left == 0 {
            let why = format!("it has more than {FILES_MAX} unit files");
            self.gap(path, why);
            return None;
        }
        self.left -= 1;
        match self.files.once(self.account, path, UNIT_BYTES_MAX) {
            Ok(content) => {
                let file = Rc::new(UnitFile::parse(content.bytes.to_vec()));
                Some((file, content.real_path))
            }
            Err(error) => {
                self.failed(path, &error);
                None
            }
        }
    }

    fn list(&mut self, path: &[u8]) -> Option<Listing> {
        if self.hung {
            return None;
        }
        let listing = match self.files.list(self.account, path, NAMES_MAX) {
            Ok(listing) => listing,
            Err(error) => {
                self.failed(path, &error);
                return None;
            }
        };
        if listing.more {
            self.gap(path, format!("it holds more than {NAMES_MAX} names"));
        }
        Some(listing)
    }

    fn failed(&mut self, path: &[u8], error: &HomeError) {
        self.hung |= error.why == Why::Hung;
        // What is missing is not there; what its own manager may not or cannot read as a file,
        // that does not run either.
        let nothing = matches!(
            error.why,
            Why::Missing | Why::NotRegular(_) | Why::Denied { .. }
        );
        if !nothing {
            self.gap(path, error.to_string());
        }
    }

    fn gap(&mut self, path: &[u8], why: String) {
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        if !self.gaps.iter().any(|(known, _)| *known == path) {
            self.gaps.push((path, why));
        }
    }
}
