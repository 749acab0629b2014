//! From places to files: directories are listed and names matched, in the child that has become
//! their owner, until everything that fits a place is known.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::home::{FileKind, HomeChild, HomeError, Ids, List, Listing, Why};

use super::places::{NOT_SEARCHED, Place, fits};
use super::recognise::Recogniser;

/// Directories that `**` leads down.
const DEPTH_MAX: usize = 6;

/// What one walk may cost.
#[derive(Debug, Clone, Copy)]
pub struct WalkLimits {
    /// Names of one directory.
    pub names: u32,
    /// Directories.
    pub directories: u32,
    /// Files.
    pub files: usize,
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
    pub not_read: Vec<(Vec<u8>, String)>,
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
        known: HashSet::new(),
        found: Walked::default(),
        stopped: false,
    };
    let tails = places.iter().map(|place| Tail {
        rest: place.pattern,
        read: place.read,
    });
    let base = base.strip_suffix(b"/").unwrap_or(base);
    walk.directory(base, tails.collect(), 0);
    if walk.stopped {
        let why = "was not looked at any further";
        walk.found.not_read.push((base.to_vec(), why.into()));
    }
    walk.found
}

/// What is left of a pattern.
#[derive(Clone, Copy)]
struct Tail {
    rest: &'static str,
    read: Option<Recogniser>,
}

impl Tail {
    /// The first component, and what follows it.
    fn split(self) -> (&'static str, Option<Self>) {
        match self.rest.split_once('/') {
            Some((first, rest)) => (first, Some(Self { rest, ..self })),
            None => (self.rest, None),
        }
    }
}

struct Walk<'w> {
    homes: &'w mut HomeChild,
    owner: &'w Ids,
    limits: WalkLimits,
    deadline: Instant,
    known: HashSet<Vec<u8>>,
    found: Walked,
    /// A limit was met, or a file system hangs: nothing more is asked.
    stopped: bool,
}

impl Walk<'_> {
    fn directory(&mut self, path: &[u8], tails: Vec<Tail>, depth: usize) {
        if self.stopped {
            return;
        }
        let tails = Self::without_stars(tails, path, depth);
        let here = if path.is_empty() { b"/" } else { path };
        let listing = match self.list(here) {
            Ok(listing) => Some(listing),
            Err(Not::Listed(Why::Missing)) => {
                self.found.base_missing |= depth == 0;
                return;
            }
            // Listing takes more rights than opening what one knows the name of.
            Err(Not::Listed(why @ Why::Denied { .. })) => {
                self.found.not_read.push((here.to_vec(), why.to_string()));
                None
            }
            Err(not) => {
                if matches!(not, Not::Listed(Why::Hung)) {
                    self.found.hung.push(here.to_vec());
                }
                let enough = self.found.hung.len() >= self.limits.hangs;
                self.stopped = depth > 0 && (enough || not.stops());
                self.found.not_read.push((here.to_vec(), not.to_string()));
                return;
            }
        };
        let mut deeper: Vec<(Vec<u8>, Vec<Tail>)> = Vec::new();
        let complete = listing.as_ref().is_some_and(|listing| !listing.more);
        for entry in listing.iter().flat_map(|listing| &listing.entries) {
            self.entry(path, &entry.name, Some(entry.kind), &tails, &mut deeper);
        }
        if !complete {
            // Of what was not listed only the fixed names can be asked for.
            if listing.is_some() {
                let why = format!(
                    "holds more than {} names; of the others only fixed ones were looked for",
                    self.limits.names
                );
                self.found.not_read.push((here.to_vec(), why));
            }
            let literal = tails
                .iter()
                .map(|tail| tail.split().0)
                .filter(|name| !name.contains('*'));
            let names: HashSet<&str> = literal.collect();
            for name in names {
                self.entry(path, name.as_bytes(), None, &tails, &mut deeper);
            }
        }
        for (path, tails) in deeper {
            self.directory(&path, tails, depth + 1);
        }
    }

    /// One name: a file that is wanted, a directory to go into, or neither.
    fn entry(
        &mut self,
        dir: &[u8],
        name: &[u8],
        kind: Option<FileKind>,
        tails: &[Tail],
        deeper: &mut Vec<(Vec<u8>, Vec<Tail>)>,
    ) {
        let path = || [dir, b"/", name].concat();
        let mut below = Vec::new();
        let may_lead = matches!(kind, None | Some(FileKind::Directory | FileKind::Symlink));
        let mut is_decided = false;
        for tail in tails {
            let (first, rest) = tail.split();
            match rest {
                // Links to directories are not searched, only followed where a place names them.
                Some(_) if first == "**" => {
                    below.extend((kind == Some(FileKind::Directory)).then_some(*tail));
                }
                Some(rest) => below.extend((may_lead && fits(first, name)).then_some(rest)),
                None if !is_decided && fits(first, name) => {
                    is_decided = true;
                    if let Some(read) = tail.read {
                        self.file(path(), kind, read);
                    }
                }
                None => {}
            }
        }
        // A name that was listed may be asked for again, when the listing was cut off.
        if !below.is_empty() && self.known.insert(path()) {
            deeper.push((path(), below));
        }
    }

    fn file(&mut self, path: Vec<u8>, kind: Option<FileKind>, read: Recogniser) {
        match kind {
            Some(FileKind::Directory) => return,
            None | Some(FileKind::Regular | FileKind::Symlink) => {}
            Some(_) if self.stopped => return,
            Some(special) => {
                let why = Why::NotRegular(special).to_string();
                self.found.not_read.push((path, why));
                return;
            }
        }
        if self.stopped {
            return;
        }
        if self.found.wanted.len() >= self.limits.files {
            self.stopped = true;
            let why = format!("is one of more than {} files", self.limits.files);
            self.found.not_read.push((path, why));
            return;
        }
        if self.known.insert(path.clone()) {
            self.found.wanted.push(Wanted { path, read });
        }
    }

    /// `**/x` fits here as `x`, and goes down as it is.
    fn without_stars(tails: Vec<Tail>, path: &[u8], depth: usize) -> Vec<Tail> {
        let mut all = Vec::with_capacity(tails.len());
        let below_root = path.strip_prefix(b"/").unwrap_or(path);
        let searched =
            depth <= DEPTH_MAX && NOT_SEARCHED.iter().all(|dir| below_root != dir.as_bytes());
        for tail in tails {
            match tail.split() {
                ("**", Some(rest)) => {
                    if searched {
                        all.push(rest);
                        all.push(tail);
                    }
                }
                _ => all.push(tail),
            }
        }
        all
    }

    fn list(&mut self, path: &[u8]) -> Result<Listing, Not> {
        if self.found.directories >= self.limits.directories {
            return Err(Not::Directories(self.limits.directories));
        }
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
        let mut listing = match self.homes.list(&ask(self.owner), patience) {
            Err(HomeError {
                why: Why::Denied { uid },
                ..
            }) if uid != 0 => self.homes.list(&ask(&Ids::ROOT), patience),
            listing => listing,
        };
        if let Ok(listing) = &mut listing {
            listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        listing.map_err(|error| Not::Listed(error.why))
    }
}

/// Why a directory was not listed.
#[derive(Debug, thiserror::Error)]
enum Not {
    #[error("{0}")]
    Listed(Why),
    #[error("is one of more than {0} directories")]
    Directories(u32),
    #[error("was not reached: the time for this home was up")]
    Time,
}

impl Not {
    /// Nothing more need be asked.
    fn stops(&self) -> bool {
        match self {
            Self::Listed(Why::Child(_)) | Self::Directories(_) | Self::Time => true,
            Self::Listed(_) => false,
        }
    }
}
