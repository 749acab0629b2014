//! Units of the system, from the directories systemd looks into, and what D-Bus starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::pam_files::HostPam;
use super::unit_scan::{Found, LinkTo, Names, Scan, Scanned, Scanner, is_settled};
use super::{FILE_BYTES_MAX, Gaps, NAMES_MAX};
use crate::deferred::unit_file::{Settings, UnitFile};
use crate::deferred::unit_name::UnitName;
use crate::deferred::unit_path::{self, UserDirectory};
use crate::deferred::unit_set::{Directory, Entry, Running, Target, Unit, UnitSet};
use crate::host::root::{FileStamp, HostRoot};
use crate::paths::pam_gate::Asks;
use crate::paths::units::{LINGER, Owned, UnitFacts};
use crate::sshd::printable::printable_path;

/// Where systemd lies.
const PROGRAMS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/// Names that D-Bus starts somebody for.
const DBUS: [&str; 4] = [
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
];

/// What was learnt of units, kept while their files stay the same.
#[derive(Debug, Default)]
pub struct UnitCache {
    names: Names,
    files: HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
    /// What the last scan came to, where it can be relied on.
    last: Option<(Key, Rc<Loaded>)>,
    /// Units that were seen running, and when, in seconds since 1970.
    ran: BTreeMap<Vec<u8>, i64>,
    /// Those that ran at the last look.
    running: BTreeSet<Vec<u8>>,
}

/// systemd has a link here for each unit that it has started, by the name after the colon.
const RUNNING: &str = "/run/systemd/units";
/// For so long after it was seen running, a unit may be about to be started again.
const RAN_S: i64 = 10;

impl UnitCache {
    /// Looks at what systemd has started: to be done before processes are ended, for then nothing
    /// is to be seen of a unit until it is started again.
    pub fn note_running(&mut self, root: &HostRoot, now: i64) {
        self.ran
            .retain(|_, seen| now.saturating_sub(*seen) <= RAN_S);
        self.running = BTreeSet::new();
        if !root.is_live() {
            return;
        }
        // It changes all the time, so it is not one of the directories by which a survey knows that
        // the host is as it was. Without systemd there is none.
        let entries = std::fs::read_dir(RUNNING).into_iter().flatten();
        for entry in entries.flatten().take(NAMES_MAX) {
            let name = entry.file_name().into_vec();
            if let Some(unit) = name.strip_prefix(b"invocation:") {
                self.running.insert(unit.to_vec());
                self.ran.insert(unit.to_vec(), now);
            }
        }
    }

    fn running(&self) -> Vec<Running> {
        let kinds = [&b"service"[..], b"socket", b"timer", b"path"];
        let units = self.ran.keys().filter_map(|name| {
            let now = self.running.contains(name);
            let name = UnitName::parse(name)?;
            kinds
                .contains(&name.kind())
                .then_some(Running { name, now })
        });
        units.collect()
    }
}

/// What was looked at: of the directories, of D-Bus's names, and of what runs.
type Key = (Scan, Vec<(PathBuf, FileStamp)>, Vec<Running>);

/// What the files say.
#[derive(Debug, Default)]
struct Loaded {
    units: Vec<Unit>,
    /// `user@.service`, where there is one.
    manager: Option<Unit>,
    for_users: Vec<Rc<Directory>>,
    owned: Vec<Owned>,
    gaps: Gaps,
}

/// Units of the system, and what its directories have for users' managers.
pub struct Units {
    /// Whether there is a systemd to run any of it.
    pub has_systemd: bool,
    /// Units that say as whom they run.
    pub facts: UnitFacts,
    /// The system's directories for users' managers.
    pub for_users: Vec<Rc<Directory>>,
    /// Who lingers, or why that is not known.
    pub lingering: Result<Vec<Vec<u8>>, String>,
}

/// Reads a file with the rights of a uid, if there is one: for what that uid decides the way to.
pub type ReadAs<'f> = dyn FnMut(u32, &Path) -> Result<Option<Vec<u8>>, String> + 'f;

impl Units {
    /// Reads them; `now` in seconds since 1970.
    pub fn read(
        root: &HostRoot,
        cache: &mut UnitCache,
        pam: &HostPam<'_>,
        read_as: &mut ReadAs<'_>,
        now: i64,
    ) -> Self {
        let there = |path: &str| !matches!(root.exists(Path::new(path)), Ok(false));
        if !PROGRAMS.iter().any(|path| there(path)) {
            return Self {
                has_systemd: false,
                facts: UnitFacts::default(),
                for_users: Vec::new(),
                lingering: Ok(Vec::new()),
            };
        }
        let loaded = load(root, cache, read_as, now);
        let manager = loaded.manager.as_ref().map(|unit| &unit.settings.pam_name);
        let mut services: Vec<String> = Vec::new();
        for unit in &loaded.units {
            let service = unit.settings.pam_name.as_ref();
            services.extend(service.map(|set| String::from_utf8_lossy(&set.value).into_owned()));
        }
        services.sort_unstable();
        services.dedup();
        Self {
            has_systemd: true,
            facts: UnitFacts {
                manager: manager.map(|service| match service {
                    Some(service) => pam.asks(&String::from_utf8_lossy(&service.value)),
                    None => Asks::Nobody,
                }),
                pam: services.iter().map(|service| pam.asks(service)).collect(),
                units: loaded.units.clone(),
                owned: loaded.owned.clone(),
                gaps: loaded.gaps.clone(),
            },
            for_users: loaded.for_users.clone(),
            lingering: match root.read_dir(Path::new(LINGER), NAMES_MAX) {
                Ok(names) => Ok(names.into_iter().map(OsStringExt::into_vec).collect()),
                Err(error) if error.is_missing() => Ok(Vec::new()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// All units of the system that run something, whoever they run as, and what could not be read.
/// Without systemd none.
pub fn all(
    root: &HostRoot,
    cache: &mut UnitCache,
    read_as: &mut ReadAs<'_>,
    now: i64,
) -> (Vec<Unit>, Gaps) {
    let there = |path: &str| !matches!(root.exists(Path::new(path)), Ok(false));
    if !PROGRAMS.iter().any(|path| there(path)) {
        return (Vec::new(), Gaps::new());
    }
    let (mut key, _, gaps) = scan(root, &mut cache.names, now);
    cache.note_running(root, now);
    key.2 = cache.running();
    let mut loader = Loader::new(root, read_as, &mut cache.files, now, gaps);
    let units = loader.all(&key);
    let (gaps, seen) = (loader.loaded.gaps, loader.seen);
    cache.files = seen;
    (units, gaps)
}

/// Looks at the directories, and reads what is not as it was.
fn load(root: &HostRoot, cache: &mut UnitCache, read_as: &mut ReadAs<'_>, now: i64) -> Rc<Loaded> {
    let (mut key, settled, gaps) = scan(root, &mut cache.names, now);
    cache.note_running(root, now);
    key.2 = cache.running();
    if let Some((known, loaded)) = &cache.last
        && known.0.directories == key.0.directories
        && known.1 == key.1
        && known.2 == key.2
        && gaps.is_empty()
    {
        return Rc::clone(loaded);
    }
    let mut loader = Loader::new(root, read_as, &mut cache.files, now, gaps);
    let mut units = loader.all(&key);
    units.retain(|unit| {
        let says = unit.settings.user.is_some() || unit.settings.dynamic_user.is_some();
        // Every manager is told of by what its account has for it.
        says && (unit.name.prefix() != b"user" || unit.name.instance().is_none())
    });
    for unit in &mut units {
        // Only who explains wants to know.
        unit.settings.uses = Vec::new();
    }
    loader.loaded.units = units;
    let (loaded, seen) = (Rc::new(loader.loaded), loader.seen);
    cache.files = seen;
    // What somebody else decides the way to is looked at each time.
    let whole = settled && loaded.gaps.is_empty() && loaded.owned.is_empty();
    cache.last = whole.then(|| (key, Rc::clone(&loaded)));
    loaded
}

/// Looks at the directories, and says whether any change of them would show.
fn scan(root: &HostRoot, names: &mut Names, now: i64) -> (Key, bool, Gaps) {
    let mut scanner = Scanner::new(root, names, now);
    let mut directories = Vec::new();
    for path in unit_path::SYSTEM {
        directories.extend(scanner.directory(Path::new(path), &unit_path::SYSTEM, true));
    }
    let for_users: Vec<&str> = unit_path::USER.iter().filter_map(of_system).collect();
    for path in &for_users {
        directories.extend(scanner.directory(Path::new(path), &for_users, false));
    }
    let mut dbus = Vec::new();
    for path in DBUS {
        dbus.extend(scanner.files(Path::new(path), b".service"));
    }
    let (settled, gaps) = scanner.finish();
    let scan = Scan {
        directories,
        settled,
    };
    ((scan, dbus, Vec::new()), settled, gaps)
}

fn of_system(directory: &UserDirectory) -> Option<&'static str> {
    match directory {
        UserDirectory::System(path) => Some(path),
        UserDirectory::Home(_) | UserDirectory::Runtime(_) => None,
    }
}

/// Reads files.
struct Loader<'r, 'f> {
    root: &'r HostRoot,
    read_as: &'r mut ReadAs<'f>,
    files: &'r mut HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
    /// What is looked at now: the rest is let go.
    seen: HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
    now: i64,
    loaded: Loaded,
}

impl<'r, 'f> Loader<'r, 'f> {
    fn new(
        root: &'r HostRoot,
        read_as: &'r mut ReadAs<'f>,
        files: &'r mut HashMap<PathBuf, (FileStamp, Rc<UnitFile>)>,
        now: i64,
        gaps: Gaps,
    ) -> Self {
        Self {
            root,
            read_as,
            files,
            seen: HashMap::new(),
            now,
            loaded: Loaded {
                gaps,
                ..Loaded::default()
            },
        }
    }

    /// All units; what else there is to say of them is in `loaded`.
    fn all(&mut self, (scan, dbus, running): &Key) -> Vec<Unit> {
        let mut system = Vec::new();
        for scanned in &scan.directories {
            let directory = Rc::new(self.directory(scanned));
            if scanned.of_system {
                system.push(directory);
            } else {
                self.loaded.for_users.push(directory);
            }
        }
        let mut activated = Vec::new();
        for (path, stamp) in dbus {
            let Some(file) = self.file(path, *stamp) else {
                continue;
            };
            let settings = Settings::of([file.as_ref()].into_iter());
            let unit = settings.triggers.and_then(|name| UnitName::parse(&name));
            let how = format!("started over D-Bus ({})", printable_path(path));
            activated.extend(unit.map(|unit| (unit, how)));
        }
        let set = UnitSet::new(&system);
        self.loaded.manager = UnitName::parse(b"user@.service").and_then(|name| set.load(&name));
        set.units(&activated, running)
    }

    fn directory(&mut self, scanned: &Scanned) -> Directory {
        let entries = scanned.entries.iter().filter_map(|found| self.entry(found));
        Directory {
            entries: entries.collect(),
            path: scanned.path.clone(),
            own: false,
        }
    }

    fn entry(&mut self, found: &Found) -> Option<Entry> {
        Some(match found {
            Found::Starts(by, name) => Entry::Starts {
                by: by.clone(),
                name: name.clone(),
            },
            Found::File(name, path, stamp) => {
                if stamp.uid != 0 && self.root.is_live() {
                    self.own(path, path, stamp.uid);
                }
                Entry::File {
                    name: name.clone(),
                    file: self.file(path, *stamp)?,
                }
            }
            Found::Link(name, path, to) => Entry::Link {
                name: name.clone(),
                to: match to {
                    LinkTo::Nothing => Target::Masked,
                    LinkTo::Name(target) => Target::Named(target.clone(), None),
                    LinkTo::File(stamp) => {
                        Target::Named(name.clone(), Some(self.file(path, *stamp)?))
                    }
                    LinkTo::Anothers(uid, owned) => {
                        Target::Named(name.clone(), Some(self.anothers(path, owned, *uid)?))
                    }
                },
            },
            Found::DropIn(directory, name, path, to) => Entry::DropIn {
                directory: directory.clone(),
                name: name.clone(),
                file: match to {
                    // It takes the place of others of its name.
                    LinkTo::Nothing | LinkTo::Name(_) => Rc::new(UnitFile::default()),
                    LinkTo::File(stamp) => self.file(path, *stamp)?,
                    LinkTo::Anothers(uid, owned) => self.anothers(path, owned, *uid)?,
                },
            },
        })
    }

    /// A file, if it is there and can be read.
    fn file(&mut self, path: &Path, stamp: FileStamp) -> Option<Rc<UnitFile>> {
        if let Some((known, file)) = self.files.get(path)
            && *known == stamp
        {
            let file = Rc::clone(file);
            self.seen.insert(path.to_owned(), (stamp, Rc::clone(&file)));
            return Some(file);
        }
        match self.root.read(path, FILE_BYTES_MAX) {
            Ok(read) => {
                let file = Rc::new(UnitFile::parse(read.bytes));
                if is_settled(read.stamp, self.now) {
                    let known = (read.stamp, Rc::clone(&file));
                    self.seen.insert(path.to_owned(), known);
                }
                Some(file)
            }
            Err(error) if error.is_missing() => None,
            Err(error) => {
                self.loaded.gaps.push((path.to_owned(), error.to_string()));
                None
            }
        }
    }

    /// A file that is reached through what somebody else owns. systemd reads it all the same.
    fn anothers(&mut self, path: &Path, owned: &Path, uid: u32) -> Option<Rc<UnitFile>> {
        match (self.read_as)(uid, path) {
            Ok(Some(bytes)) => {
                self.own(path, owned, uid);
                Some(Rc::new(UnitFile::parse(bytes)))
            }
            Ok(None) => None,
            Err(why) => {
                self.loaded.gaps.push((path.to_owned(), why));
                None
            }
        }
    }

    fn own(&mut self, unit: &Path, owned: &Path, uid: u32) {
        self.loaded.owned.push(Owned {
            unit: unit.to_owned(),
            owned: owned.to_owned(),
            uid,
        });
    }
}
