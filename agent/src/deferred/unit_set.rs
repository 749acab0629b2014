//! Units put together from all their directories: which files make each, and what starts it.
//!
//! Whether a unit runs depends on what was started. All targets are taken for started, for any of
//! them may be; what they want is started, what that wants too, and so are the units that a timer,
//! path or socket among these starts. The rest only an administrator starts.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::unit_file::{Settings, UnitFile};
use super::unit_name::UnitName;

/// A directory of the search path.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is of those that are looked at for their own sake, see [`Unit::is_own`].
    pub own: bool,
    /// What is in it.
    pub entries: Vec<Entry>,
}

/// What is in a directory.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A unit's file.
    File {
        /// Its name.
        name: Vec<u8>,
        /// What it says.
        file: Rc<UnitFile>,
    },
    /// A symbolic link by a unit's name.
    Link {
        /// Its name.
        name: Vec<u8>,
        /// Where it leads.
        to: Target,
    },
    /// A drop-in.
    DropIn {
        /// The directory it is in: `x.service.d`.
        directory: Vec<u8>,
        /// Its name.
        name: Vec<u8>,
        /// What it says.
        file: Rc<UnitFile>,
    },
    /// Something in a directory such as `x.target.wants`.
    Starts {
        /// The unit with which it is started.
        by: Vec<u8>,
        /// The unit that is started.
        name: Vec<u8>,
    },
}

/// Where a link leads.
#[derive(Debug, Clone)]
pub enum Target {
    /// To `/dev/null`: the unit is masked.
    Masked,
    /// To a file of that name. What it says, where it could be read: not needed for an alias.
    Named(Vec<u8>, Option<Rc<UnitFile>>),
}

/// A unit that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name, of several the one that is its file's.
    pub name: UnitName,
    /// Its files: its own and then its drop-ins in their order.
    pub files: Vec<PathBuf>,
    /// What they say together.
    pub settings: Settings,
    /// What starts it; `None` when only an administrator does.
    pub started: Option<Started>,
    /// Whether every release of systemd makes this of the files.
    pub certain: bool,
    /// Whether something of it comes from a directory that is looked at for its own sake.
    pub is_own: bool,
}

/// What starts a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// In words.
    pub how: String,
    /// A timer does, so that it needs nobody.
    pub by_timer: bool,
}

/// A unit that the manager has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub name: UnitName,
    /// Whether it runs at this moment. One that ran a moment ago counts where it is started again
    /// by itself: between its end and its new start nothing can be seen of it.
    pub now: bool,
}

/// All units of a manager.
#[derive(Debug)]
pub struct UnitSet<'d> {
    directories: &'d [Rc<Directory>],
    /// For each name, what has it, the deciding first.
    by_name: HashMap<&'d [u8], Vec<Place>>,
    /// For each directory of drop-ins, what is in it, the deciding first.
    drop_ins: HashMap<&'d [u8], Vec<Place>>,
    /// What links start, with the unit they belong to.
    links: HashMap<&'d [u8], Vec<Place>>,
    aliases: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// The n-th entry of the m-th directory.
type Place = (usize, usize);

/// Aliases of aliases of aliases.
const ALIASES_MAX: usize = 8;
/// Units that are followed; there are not as many.
const UNITS_MAX: usize = 65_536;

impl<'d> UnitSet<'d> {
    /// Takes the directories in their order.
    pub fn new(directories: &'d [Rc<Directory>]) -> Self {
        let mut set = Self {
            directories,
            by_name: HashMap::new(),
            drop_ins: HashMap::new(),
            links: HashMap::new(),
            aliases: HashMap::new(),
        };
        for (at, directory) in directories.iter().enumerate() {
            for (nth, entry) in directory.entries.iter().enumerate() {
                let (map, key) = match entry {
                    Entry::File { name, .. } | Entry::Link { name, .. } => (&mut set.by_name, name),
                    Entry::DropIn { directory, .. } => (&mut set.drop_ins, directory),
                    Entry::Starts { by, .. } => (&mut set.links, by),
                };
                map.entry(key.as_slice()).or_default().push((at, nth));
            }
        }
        let names: Vec<&[u8]> = set.by_name.keys().copied().collect();
        for name in names {
            if let Some(unit) = UnitName::parse(name)
                && let Some(real) = set.real_name(&unit)
                && real != unit
            {
                let aliases = set.aliases.entry(real.as_bytes().to_vec()).or_default();
                aliases.push(name.to_vec());
            }
        }
        set
    }

    /// The units that run commands and can be started, by name. `activated` are those that others
    /// than the manager start, each with who does, in words; `running` those that it has started,
    /// for whatever reason.
    pub fn units(&self, activated: &[(UnitName, String)], running: &[Running]) -> Vec<Unit> {
        let started = self.started(activated, running);
        let mut names: BTreeSet<UnitName> = started.keys().cloned().collect();
        for name in self.by_name.keys().filter_map(|name| UnitName::parse(name)) {
            // Of a template there is nothing until there is an instance.
            if !name.is_template() {
                names.extend(self.real_name(&name));
            }
        }
        let runs =
            |name: &UnitName| matches!(name.kind(), b"service" | b"socket" | b"mount" | b"swap");
        let mut units = Vec::new();
        for name in names.into_iter().filter(runs) {
            for mut unit in self.readings(&name) {
                if let Some((how, own)) = started.get(&name) {
                    unit.started = Some(how.clone());
                    unit.is_own |= own;
                }
                units.push(unit);
            }
        }
        units
    }

    /// What the releases of systemd make of a unit's files; most often all the same.
    fn readings(&self, name: &UnitName) -> Vec<Unit> {
        let Some(mut older) = self.load(name) else {
            return Vec::new();
        };
        let newer = name.newer_drop_in_names();
        if !newer
            .iter()
            .any(|name| self.drop_ins.contains_key(name.as_slice()))
        {
            return vec![older];
        }
        let newer = self.load_with(name, &newer);
        match newer {
            Some(mut newer) if newer.settings != older.settings => {
                (older.certain, newer.certain) = (false, false);
                vec![older, newer]
            }
            _ => vec![older],
        }
    }

    fn entry(&self, (directory, nth): Place) -> &'d Entry {
        &self.directories[directory].entries[nth]
    }

    /// What decides for a name, or for its template where nothing has the name itself.
    fn decides(&self, name: &UnitName) -> Option<Place> {
        let first = |name: &[u8]| self.by_name.get(name)?.first().copied();
        first(name.as_bytes()).or_else(|| first(name.template()?.as_bytes()))
    }

    /// The name that an alias stands for; `None` for what is masked or leads nowhere.
    fn real_name(&self, name: &UnitName) -> Option<UnitName> {
        let mut name = name.clone();
        for _ in 0..ALIASES_MAX {
            let Entry::Link { to, .. } = self.entry(self.decides(&name)?) else {
                return Some(name);
            };
            let Target::Named(target, _) = to else {
                return None;
            };
            let target = UnitName::parse(target)?;
            let target = match name.instance() {
                // A link to a template keeps the instance.
                Some(instance) if target.is_template() => target.with_instance(instance)?,
                _ => target,
            };
            if target == name {
                return Some(name);
            }
            name = target;
        }
        None
    }

    /// A unit's files and what they say; `None` where it is masked or has no file of its own.
    pub fn load(&self, name: &UnitName) -> Option<Unit> {
        self.load_with(name, &[])
    }

    fn load_with(&self, name: &UnitName, more_drop_ins: &[Vec<u8>]) -> Option<Unit> {
        let place = self.decides(name)?;
        let directory = &self.directories[place.0];
        let (file_name, file) = match self.entry(place) {
            Entry::File { name, file } => (name, file),
            Entry::Link {
                name,
                to: Target::Named(_, Some(file)),
            } => (name, file),
            _ => return None,
        };
        if file.is_empty {
            return None;
        }
        let path = |directory: &Directory, name: &[u8]| {
            directory.path.join(std::ffi::OsStr::from_bytes(name))
        };
        let mut files = vec![path(directory, file_name)];
        let mut parts = vec![file.as_ref()];
        let mut is_own = directory.own;
        for place in self.drop_ins_of(name, more_drop_ins) {
            if let Entry::DropIn {
                directory,
                name,
                file,
            } = self.entry(place)
            {
                let above = &self.directories[place.0];
                let name = [directory.as_slice(), b"/", name].concat();
                files.push(path(above, &name));
                parts.push(file);
                is_own |= above.own;
            }
        }
        Some(Unit {
            name: name.clone(),
            settings: Settings::of(parts.into_iter()),
            files,
            started: None,
            certain: true,
            is_own,
        })
    }

    /// The drop-ins in force, in their order: by name, of several with the same name the one in the
    /// directory of the search path that decides, and in that the one of the most particular name.
    fn drop_ins_of(&self, name: &UnitName, more: &[Vec<u8>]) -> Vec<Place> {
        let aliases = self.aliases.get(name.as_bytes()).into_iter().flatten();
        let aliases = aliases.filter_map(|alias| UnitName::parse(alias));
        let mut by_name: BTreeMap<&[u8], Place> = BTreeMap::new();
        let mut take = |directories: &[Vec<u8>]| {
            let places = directories
                .iter()
                .zip(0..)
                .flat_map(|(directory, particular)| {
                    let places = self.drop_ins.get(directory.as_slice());
                    places
                        .into_iter()
                        .flatten()
                        .map(move |place| (place.0, particular, *place))
                });
            let mut places: Vec<(usize, usize, Place)> = places.collect();
            places.sort_unstable();
            for (_, _, place) in places {
                if let Entry::DropIn { name, .. } = self.entry(place) {
                    by_name.entry(name).or_insert(place);
                }
            }
        };
        for unit in std::iter::once(name.clone()).chain(aliases) {
            take(&[unit.drop_in_names(), more.to_vec()].concat());
        }
        take(&[name.type_drop_in_name()]);
        by_name.into_values().collect()
    }

    /// What is started, how, and whether by something of the directories looked at.
    fn started(
        &self,
        activated: &[(UnitName, String)],
        running: &[Running],
    ) -> HashMap<UnitName, (Started, bool)> {
        let mut started: HashMap<UnitName, (Started, bool)> = HashMap::new();
        let mut waiting: VecDeque<UnitName> = VecDeque::new();
        let targets = self.by_name.keys().chain(self.links.keys());
        let targets: BTreeSet<UnitName> = targets
            .filter_map(|name| UnitName::parse(name))
            .filter(|name| name.kind() == b"target")
            .collect();
        waiting.extend(targets);
        for (name, how) in activated {
            if let Some(name) = self.real_name(name) {
                let how = Started {
                    how: how.clone(),
                    by_timer: false,
                };
                started.insert(name.clone(), (how, false));
                waiting.push_back(name);
            }
        }
        let mut seen = BTreeSet::new();
        self.follow(waiting, &mut seen, &mut started);
        // What is left somebody has started by hand.
        let mut waiting = VecDeque::new();
        for Running { name, now } in running {
            let Some(name) = self.real_name(name) else {
                continue;
            };
            let how = match now {
                true => "started by hand",
                false if self.load(&name).is_some_and(|unit| unit.settings.restarts) => {
                    "started by hand, and it restarts by itself"
                }
                false => continue,
            };
            if !started.contains_key(&name) && !seen.contains(&name) {
                let how = Started {
                    how: how.into(),
                    by_timer: false,
                };
                started.insert(name.clone(), (how, false));
                waiting.push_back(name);
            }
        }
        self.follow(waiting, &mut seen, &mut started);
        started
    }

    /// Follows what is started with what is started.
    fn follow(
        &self,
        mut waiting: VecDeque<UnitName>,
        seen: &mut BTreeSet<UnitName>,
        started: &mut HashMap<UnitName, (Started, bool)>,
    ) {
        while let Some(name) = waiting.pop_front() {
            if seen.len() >= UNITS_MAX || !seen.insert(name.clone()) {
                continue;
            }
            let by_timer = name.kind() == b"timer";
            for (next, how, own) in self.started_with(&name) {
                if let Some(real) = self.real_name(&next) {
                    let how = Started { how, by_timer };
                    started.entry(real.clone()).or_insert((how, own));
                    waiting.push_back(real);
                }
            }
        }
    }

    /// What one unit starts.
    fn started_with(&self, name: &UnitName) -> Vec<(UnitName, String, bool)> {
        let mut found = Vec::new();
        let shown = name.as_bytes().escape_ascii();
        let template = name.template();
        let aliases = self.aliases.get(name.as_bytes()).into_iter().flatten();
        let names = std::iter::once(name.as_bytes())
            .chain(template.as_ref().map(UnitName::as_bytes))
            .chain(aliases.map(Vec::as_slice));
        for place in names.filter_map(|name| self.links.get(name)).flatten() {
            let Entry::Starts { name: linked, .. } = self.entry(*place) else {
                continue;
            };
            let directory = &self.directories[place.0];
            let above = directory.path.as_os_str().as_bytes().escape_ascii();
            let how = format!("enabled for {shown} in {above}");
            let linked = UnitName::parse(linked).and_then(|linked| {
                match (linked.is_template(), name.instance()) {
                    (true, Some(instance)) => linked.with_instance(instance),
                    _ => Some(linked),
                }
            });
            found.extend(linked.map(|linked| (linked, how, directory.own)));
        }
        let Some(unit) = self.load(name) else {
            return found;
        };
        let mut add = |text: &[u8]| {
            let expanded = name.expand(text);
            let next = expanded.and_then(|text| UnitName::parse(&text));
            found.extend(next.map(|next| (next, format!("started by {shown}"), unit.is_own)));
        };
        unit.settings.starts.iter().for_each(|text| add(text));
        if matches!(name.kind(), b"timer" | b"path" | b"socket") {
            let same = |kind: &[u8]| name.with_kind(kind).map(|name| name.as_bytes().to_vec());
            match (&unit.settings.triggers, unit.settings.accepts) {
                (Some(named), _) => add(named),
                // The instance's name tells of the connection.
                (None, true) => add(&[name.prefix(), b"@connection.service"].concat()),
                (None, false) => same(b"service").iter().for_each(|name| add(name)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
