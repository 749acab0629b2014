//! From places to files: directories are listed and names matched, in the child that has become
//! their owner, until everything that fits a place is known.

use std::time::{Duration, Instant};

use crate::home::{HomeChild, HomeError, Ids, List, Listing, Why};

use super::finding::Reason;
use super::fitting::{Here, Named, Tail, without_stars};
use super::places::Place;
use super::recognise::Recogniser;

/// What one walk may cost. Names that a place gives in full are always looked for; the limits are
/// for those that only fit a pattern, because a user can make as many of them as he likes.
#[derive(Debug, Clone, Copy)]
pub struct WalkLimits {
    /// Names of one directory.
    pub names: u32,
    /// Directories that fit a pattern, in one directory and in all.
    pub directories: (usize, usize),
    /// Files that fit a pattern, in one directory and in all.
    pub files: (usize, usize),
    /// How long one answer may take.
    pub patience: Duration,
    /// How many answers may be waited for in vain.
    pub hangs: usize,
}

/// A file that fits a place.
pub struct Wanted {
    /// Where it is.
    pub path: Vec<u8>,
    /// What is looked for.
    pub read: Recogniser,
}

/// What a walk has come by.
#[derive(Default)]
pub struct Walked {
    /// Files to be read.
    pub wanted: Vec<Wanted>,
    /// What could not be listed, or is no file, and why.
    pub not_read: Vec<(Vec<u8>, Reason)>,
    /// Directories listed.
    pub directories: u32,
    /// Directories that did not answer.
    pub hung: Vec<Vec<u8>>,
    /// The base directory itself is not there.
    pub base_missing: bool,
}

/// Walks the places below `base`, as `owner`; as root where the owner may not list.
pub fn walk(
    homes: &mut HomeChild,
    owner: &Ids,
    base: &[u8],
    places: &'static [Place],
    limits: WalkLimits,
    deadline: Instant,
) -> Walked {
    let mut walk = Walk {
        homes,
        owner,
        limits,
        deadline,
        files: 0,
        directories: 0,
        found: Walked::default(),
        stopped: false,
    };
    let tails = places.iter().map(|place| Tail {
        rest: place.pattern,
        read: place.read,
    });
    let base = base.strip_suffix(b"/").unwrap_or(base);
    walk.directory(base, tails.collect(), 0, Named::InFull);
    if walk.stopped {
        let why = Reason::time("was not looked at any further");
        walk.found.not_read.push((base.to_vec(), why));
    }
    walk.found
}

struct Walk<'w> {
    homes: &'w mut HomeChild,
    owner: &'w Ids,
    limits: WalkLimits,
    deadline: Instant,
    /// Files and directories that fit a pattern.
    files: usize,
    directories: usize,
    found: Walked,
    /// A file system hangs, or time is up: nothing more is asked.
    stopped: bool,
}

impl Walk<'_> {
    fn directory(&mut self, path: &[u8], tails: Vec<Tail>, depth: usize, named: Named) {
        if self.stopped {
            return;
        }
        let tails = without_stars(tails, path, depth);
        let here = if path.is_empty() { b"/" } else { path };
        let listing = match self.list(here) {
            Ok(listing) => Some(listing),
            Err(Not::Listed(Why::Missing)) => {
                self.found.base_missing |= depth == 0;
                return;
            }
            // Listing takes more rights than opening what one knows the name of.
            Err(Not::Listed(why @ Why::Denied { .. })) => {
                self.not_read(here, (&why).into());
                None
            }
            Err(not) => {
                if matches!(not, Not::Listed(Why::Hung)) {
                    self.found.hung.push(here.to_vec());
                }
                let enough = self.found.hung.len() >= self.limits.hangs;
                self.stopped = depth > 0 && (enough || not.stops());
                self.not_read(here, (&not).into());
                return;
            }
        };
        let mut found = Here::default();
        for entry in listing.iter().flat_map(|listing| &listing.entries) {
            found.entry(&entry.name, Some(entry.kind), &tails, named);
        }
        if listing.as_ref().is_none_or(|listing| listing.more) {
            // Of what was not listed only the names given in full can be asked for.
            if listing.is_some() {
                let why = format!(
                    "holds more than {} names; of the others only fixed ones were looked for",
                    self.limits.names
                );
                self.not_read(here, Reason::size(why));
            }
            let names = tails.iter().map(|tail| tail.split().0);
            for name in names.filter(|name| !name.contains('*')) {
                found.entry(name.as_bytes(), None, &tails, named);
            }
        }
        self.take(path, found, depth);
    }

    /// Takes what was found in a directory, names given in full first.
    fn take(&mut self, path: &[u8], found: Here, depth: usize) {
        let below = |name: &[u8]| [path, b"/", name].concat();
        let here = if path.is_empty() { b"/" } else { path };
        for (name, kind) in found.special {
            self.not_read(&below(&name), (&Why::NotRegular(kind)).into());
        }
        let mut files: Vec<_> = found.files.into_iter().collect();
        files.sort_by_key(|(_, (named, _))| *named);
        let (most, most_of_all) = self.limits.files;
        let mut count = 0;
        for (name, (named, read)) in files {
            if named == Named::ByPattern {
                if count >= most || self.files >= most_of_all {
                    let why = format!(
                        "holds more files of a kind than are read: {most} of one directory, {most_of_all} of all"
                    );
                    self.not_read(here, Reason::size(why));
                    break;
                }
                count += 1;
                self.files += 1;
            }
            let path = below(&name);
            self.found.wanted.push(Wanted { path, read });
        }
        let mut directories: Vec<_> = found.directories.into_iter().collect();
        directories.sort_by_key(|(_, (named, _))| *named);
        let (most, most_of_all) = self.limits.directories;
        let mut count = 0;
        for (name, (named, tails)) in directories {
            if named == Named::ByPattern {
                if count >= most || self.directories >= most_of_all {
                    let why = format!(
                        "holds more directories than are looked into: {most} of one directory, {most_of_all} of all"
                    );
                    self.not_read(here, Reason::size(why));
                    break;
                }
                count += 1;
                self.directories += 1;
            }
            self.directory(&below(&name), tails, depth + 1, named);
        }
    }

    fn not_read(&mut self, path: &[u8], why: Reason) {
        self.found.not_read.push((path.to_vec(), why));
    }

    fn list(&mut self, path: &[u8]) -> Result<Listing, Not> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Not::Time);
        }
        self.found.directories += 1;
        let ask = |owner: &Ids| List {
            owner: owner.clone(),
            path: path.to_vec(),
            max_entries: self.limits.names,
        };
        let patience = self.limits.patience.min(left);
        let listing = match self.homes.list(&ask(self.owner), patience) {
            Err(HomeError {
                why: Why::Denied { uid },
                ..
            }) if uid != 0 => self.homes.list(&ask(&Ids::ROOT), patience),
            listing => listing,
        };
        listing.map_err(|error| Not::Listed(error.why))
    }
}

/// Why a directory was not listed.
#[derive(Debug)]
enum Not {
    Listed(Why),
    Time,
}

impl From<&Not> for Reason {
    fn from(not: &Not) -> Self {
        match not {
            Not::Listed(why) => why.into(),
            Not::Time => Self::time("was not reached: the time for this home was up"),
        }
    }
}

impl Not {
    /// Nothing more need be asked.
    fn stops(&self) -> bool {
        match self {
            Self::Listed(Why::Child(_)) | Self::Time => true,
            Self::Listed(_) => false,
        }
    }
}
