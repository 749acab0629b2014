//! Units of the system, from the directories systemd looks into, and what D-Bus starts.

use std::collections::HashMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::pam_files::HostPam;
use super::{FILE_BYTES_MAX, Gaps, NAMES_MAX};
use crate::deferred::unit_file::{Settings, UnitFile};
use crate::deferred::unit_name::UnitName;
use crate::deferred::unit_path::{self, NameIn, UserDirectory, is_drop_in, name_in_directory};
use crate::deferred::unit_set::{Directory, Entry, Target, UnitSet};
use crate::host::listing::{Listed, Listing};
use crate::host::root::{Distrust, FileStamp, HostRoot, ReadError};
use crate::paths::pam_gate::Asks;
use crate::paths::units::{LINGER, Owned, UnitFacts};
use crate::store::{Clock, HostClock};
use crate::sys::fs::{FileKind, FileStat};

/// Where systemd lies.
const PROGRAMS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/// Names that D-Bus starts somebody for.
const DBUS: [&str; 4] = [
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
];

/// What was learnt of unit files, kept while they stay the same.
#[derive(Debug, Default)]
pub struct UnitCache {
    known: HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
}

/// Units of the system, and what its directories have for users' managers.
pub struct Units {
    /// Whether there is a systemd to run any of it.
    pub has_systemd: bool,
    /// Units that say as whom they run.
    pub facts: UnitFacts,
    /// The system's directories for users' managers, in the order of [`unit_path::USER`].
    pub for_users: Vec<(UserDirectory, Rc<Directory>)>,
    /// Who lingers, or why that is not known.
    pub lingering: Result<Vec<Vec<u8>>, String>,
}

impl Units {
    /// Reads them.
    pub fn read(
        root: &HostRoot,
        cache: &mut UnitCache,
        pam: &HostPam<'_>,
        read_as: &mut ReadAs<'_>,
    ) -> Self {
        let mut units = Self {
            has_systemd: true,
            facts: UnitFacts::default(),
            for_users: Vec::new(),
            lingering: Ok(Vec::new()),
        };
        let there = |path: &str| !matches!(root.exists(Path::new(path)), Ok(false));
        if !PROGRAMS.iter().any(|path| there(path)) {
            units.has_systemd = false;
            return units;
        }
        let mut loader = Loader::new(root, cache, read_as);
        let system: Vec<Rc<Directory>> = unit_path::SYSTEM
            .iter()
            .filter_map(|path| loader.directory(Path::new(path), &unit_path::SYSTEM))
            .collect();
        let activated = loader.activated();
        let for_users: Vec<&str> = unit_path::USER
            .iter()
            .filter_map(|directory| match directory {
                UserDirectory::System(path) => Some(*path),
                _ => None,
            })
            .collect();
        for directory in unit_path::USER {
            if let UserDirectory::System(path) = directory {
                let read = loader.directory(Path::new(path), &for_users);
                units.for_users.extend(read.map(|read| (directory, read)));
            }
        }
        (units.facts.owned, units.facts.gaps) = loader.finish();
        let set = UnitSet::new(&system);
        let manager = UnitName::parse(b"user@.service").and_then(|name| set.load(&name));
        units.facts.manager = manager.map(|unit| match unit.settings.pam_name {
            Some(service) => pam.asks(&String::from_utf8_lossy(&service.value)),
            None => Asks::Nobody,
        });
        units.facts.units = set.units(&activated);
        units
            .facts
            .units
            .retain(|unit| unit.settings.user.is_some() || unit.settings.dynamic_user.is_some());
        // Every manager is told of by what its account has for it.
        units
            .facts
            .units
            .retain(|unit| unit.name.prefix() != b"user" || unit.name.instance().is_none());
        let mut services: Vec<String> = Vec::new();
        for unit in &units.facts.units {
            let service = unit.settings.pam_name.as_ref();
            services.extend(service.map(|set| String::from_utf8_lossy(&set.value).into_owned()));
        }
        services.sort_unstable();
        services.dedup();
        units.facts.pam = services.iter().map(|service| pam.asks(service)).collect();
        units.lingering = match root.read_dir(Path::new(LINGER), NAMES_MAX) {
            Ok(names) => Ok(names.into_iter().map(OsStringExt::into_vec).collect()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        units
    }
}

/// Reads a file with the rights of a uid, if there is one: for what that uid decides the way to.
pub type ReadAs<'f> = dyn FnMut(u32, &Path) -> Result<Option<Vec<u8>>, String> + 'f;

/// Reads directories of units through the cache.
struct Loader<'r, 'f> {
    root: &'r HostRoot,
    read_as: &'r mut ReadAs<'f>,
    owned: Vec<Owned>,
    cache: &'r mut UnitCache,
    /// What was looked at: the rest of the cache is let go.
    seen: HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
    read: Vec<PathBuf>,
    gaps: Gaps,
    now: i64,
}

/// A file changed this shortly before it is read may change again without its times showing it.
const SETTLED_S: i64 = 2;

impl<'r, 'f> Loader<'r, 'f> {
    fn new(root: &'r HostRoot, cache: &'r mut UnitCache, read_as: &'r mut ReadAs<'f>) -> Self {
        Self {
            root,
            read_as,
            owned: Vec::new(),
            cache,
            seen: HashMap::new(),
            read: Vec::new(),
            gaps: Gaps::new(),
            now: i64::try_from(HostClock.wall().0 / 1000).unwrap_or(i64::MAX),
        }
    }

    fn finish(self) -> (Vec<Owned>, Gaps) {
        self.cache.known = self.seen;
        (self.owned, self.gaps)
    }

    /// One directory of the search path; `None` where it is not there, or is one read before by
    /// another name (`/lib` is `/usr/lib` on most hosts).
    fn directory(&mut self, path: &Path, search: &[&str]) -> Option<Rc<Directory>> {
        let listing = self.list(path)?;
        if self.read.contains(&listing.path) {
            return None;
        }
        self.read.push(listing.path.clone());
        let mut directory = Directory {
            path: path.to_owned(),
            own: false,
            entries: Vec::new(),
        };
        for listed in &listing.entries {
            let name = listed.name.as_bytes();
            match name_in_directory(name) {
                NameIn::Other => {}
                NameIn::Unit => directory.entries.extend(self.unit(path, listed, search)),
                NameIn::DropIns => self.drop_ins(path, listed, &mut directory.entries),
                NameIn::Starts(by) => {
                    for link in self.names(&path.join(&listed.name)) {
                        directory.entries.push(Entry::Starts {
                            by: by.to_vec(),
                            name: link.as_bytes().to_vec(),
                        });
                    }
                }
            }
        }
        Some(Rc::new(directory))
    }

    fn unit(&mut self, above: &Path, listed: &Listed, search: &[&str]) -> Option<Entry> {
        let name = listed.name.as_bytes().to_vec();
        let path = above.join(&listed.name);
        if listed.stat.kind != FileKind::Symlink {
            let file = self.file(&path, Some(&listed.stat))?;
            if listed.stat.uid != 0 && self.root.is_live() {
                self.owned.push(Owned {
                    unit: path.clone(),
                    owned: path,
                    uid: listed.stat.uid,
                });
            }
            return Some(Entry::File { name, file });
        }
        let to = match self.root.stat(&path) {
            Ok(target) if target.stat.kind == FileKind::Regular => target.path,
            // To /dev/null, which masks it, or to nothing.
            Ok(_) | Err(ReadError::Missing { .. }) => {
                let to = Target::Masked;
                return Some(Entry::Link { name, to });
            }
            Err(ReadError::Untrusted {
                component,
                why: Distrust::Owner(uid),
                ..
            }) => return self.of_another(name, path, component, uid),
            Err(error) => {
                self.gaps.push((path, error.to_string()));
                return None;
            }
        };
        let in_search = |above: &Path| search.iter().any(|path| Path::new(path) == above);
        let to = if to.parent().is_some_and(in_search) {
            Target::Named(to.file_name()?.as_bytes().to_vec(), None)
        } else {
            // A unit that lies elsewhere (systemctl link): it has the link's name.
            Target::Named(name.clone(), Some(self.file(&path, None)?))
        };
        Some(Entry::Link { name, to })
    }

    /// A link that leads through what somebody else owns. systemd follows it all the same.
    fn of_another(
        &mut self,
        name: Vec<u8>,
        unit: PathBuf,
        owned: PathBuf,
        uid: u32,
    ) -> Option<Entry> {
        let file = match (self.read_as)(uid, &unit) {
            Ok(Some(bytes)) => Rc::new(UnitFile::parse(bytes)),
            Ok(None) => return None,
            Err(why) => {
                self.gaps.push((unit, why));
                return None;
            }
        };
        self.owned.push(Owned { unit, owned, uid });
        let to = Target::Named(name.clone(), Some(file));
        Some(Entry::Link { name, to })
    }

    fn drop_ins(&mut self, above: &Path, listed: &Listed, entries: &mut Vec<Entry>) {
        let path = above.join(&listed.name);
        let Some(listing) = self.list(&path) else {
            return;
        };
        for drop_in in &listing.entries {
            if !is_drop_in(drop_in.name.as_bytes()) {
                continue;
            }
            let file_path = path.join(&drop_in.name);
            let stat = Some(&drop_in.stat).filter(|stat| stat.kind != FileKind::Symlink);
            // A link to /dev/null takes the place of others of its name.
            let file = match self.try_file(&file_path, stat) {
                Ok(file) => Some(file),
                Err(ReadError::Missing { .. } | ReadError::NotRegular { .. }) => {
                    Some(Rc::new(UnitFile::default()))
                }
                Err(error) => {
                    self.gaps.push((file_path, error.to_string()));
                    None
                }
            };
            entries.extend(file.map(|file| Entry::DropIn {
                directory: listed.name.as_bytes().to_vec(),
                name: drop_in.name.as_bytes().to_vec(),
                file,
            }));
        }
    }

    /// What D-Bus starts, by the names of its services.
    fn activated(&mut self) -> Vec<(UnitName, String)> {
        let mut activated = Vec::new();
        for directory in DBUS.map(Path::new) {
            let Some(listing) = self.list(directory) else {
                continue;
            };
            for listed in &listing.entries {
                if !listed.name.as_bytes().ends_with(b".service") {
                    continue;
                }
                let path = directory.join(&listed.name);
                let stat = Some(&listed.stat).filter(|stat| stat.kind != FileKind::Symlink);
                let Some(file) = self.file(&path, stat) else {
                    continue;
                };
                let settings = Settings::of([file.as_ref()].into_iter());
                let unit = settings.triggers.and_then(|name| UnitName::parse(&name));
                let how = format!("started over D-Bus ({})", path.display());
                activated.extend(unit.map(|unit| (unit, how)));
            }
        }
        activated
    }

    /// A file, if it is there; `stat` is what was listed of it, where it is no link.
    fn file(&mut self, path: &Path, stat: Option<&FileStat>) -> Option<Rc<UnitFile>> {
        if stat.is_some_and(|stat| stat.kind != FileKind::Regular) {
            return None;
        }
        match self.try_file(path, stat) {
            Ok(file) => Some(file),
            // Links to what was removed stay about everywhere.
            Err(error) if error.is_missing() => None,
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                None
            }
        }
    }

    fn try_file(
        &mut self,
        path: &Path,
        stat: Option<&FileStat>,
    ) -> Result<Rc<UnitFile>, ReadError> {
        let stamp = match stat {
            Some(stat) => FileStamp::from(stat),
            None => FileStamp::from(&self.root.stat(path)?.stat),
        };
        if let Some((known, file)) = self.cache.known.get(path)
            && *known == stamp
        {
            let file = Rc::clone(file);
            self.seen.insert(path.to_owned(), (stamp, Rc::clone(&file)));
            return Ok(file);
        }
        let read = self.root.read(path, FILE_BYTES_MAX)?;
        let file = Rc::new(UnitFile::parse(read.bytes));
        if read.stamp.changed_s() + SETTLED_S < self.now {
            let known = (read.stamp, Rc::clone(&file));
            self.seen.insert(path.to_owned(), known);
        }
        Ok(file)
    }

    fn list(&mut self, path: &Path) -> Option<Listing> {
        match self.root.list(path, NAMES_MAX) {
            Ok(listing) => Some(listing),
            // What is named like a directory and is none is read by nobody.
            Err(error) if error.is_missing() => None,
            Err(ReadError::NotRegular { .. }) => None,
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                None
            }
        }
    }

    fn names(&mut self, path: &Path) -> Vec<std::ffi::OsString> {
        match self.root.read_dir(path, NAMES_MAX) {
            Ok(names) => names,
            Err(ReadError::Missing { .. } | ReadError::NotRegular { .. }) => Vec::new(),
            Err(error) => {
                self.gaps.push((path.to_owned(), error.to_string()));
                Vec::new()
            }
        }
    }
}
