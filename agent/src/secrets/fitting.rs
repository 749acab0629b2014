//! What of a directory fits the patterns of places.

use std::collections::BTreeMap;

use super::places::{NOT_SEARCHED, fits};
use super::recognise::Recogniser;
use crate::home::FileKind;

/// Directories that `**` leads down.
const DEPTH_MAX: usize = 6;

/// How a place names a file or a directory, or one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// Every component as it stands: there is one of it.
    InFull,
    /// By a pattern: there may be any number.
    ByPattern,
}

/// What is left of a pattern.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub rest: &'static str,
    pub read: Option<Recogniser>,
}

impl Tail {
    /// The first component, and what follows it.
    pub fn split(self) -> (&'static str, Option<Self>) {
        match self.rest.split_once('/') {
            Some((first, rest)) => (first, Some(Self { rest, ..self })),
            None => (self.rest, None),
        }
    }
}

/// `**/x` fits here as `x`, and goes down as it is.
pub(super) fn without_stars(tails: Vec<Tail>, path: &[u8], depth: usize) -> Vec<Tail> {
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

/// What was found in one directory.
#[derive(Default)]
pub(super) struct Here {
    pub files: BTreeMap<Vec<u8>, (Named, Recogniser)>,
    /// Those that are neither file nor directory.
    pub special: BTreeMap<Vec<u8>, FileKind>,
    pub directories: BTreeMap<Vec<u8>, (Named, Vec<Tail>)>,
}

impl Here {
    /// One name: a file that is wanted, a directory to go into, or neither.
    pub fn entry(&mut self, name: &[u8], kind: Option<FileKind>, tails: &[Tail], above: Named) {
        let named = |pattern: &str| match pattern.contains('*') {
            true => Named::ByPattern,
            false => above,
        };
        let may_lead = matches!(kind, None | Some(FileKind::Directory | FileKind::Symlink));
        let mut below = Vec::new();
        let mut led_by = Named::ByPattern;
        let mut is_decided = false;
        for tail in tails {
            let (first, rest) = tail.split();
            match rest {
                // Links to directories are not searched, only followed where a place names them.
                Some(_) if first == "**" => {
                    below.extend((kind == Some(FileKind::Directory)).then_some(*tail));
                }
                Some(rest) if may_lead && fits(first, name) => {
                    led_by = led_by.min(named(first));
                    below.push(rest);
                }
                None if !is_decided && fits(first, name) => {
                    is_decided = true;
                    match (tail.read, kind) {
                        (None, _) | (_, Some(FileKind::Directory)) => {}
                        (Some(read), None | Some(FileKind::Regular | FileKind::Symlink)) => {
                            self.files
                                .entry(name.to_vec())
                                .or_insert((named(first), read));
                        }
                        (Some(_), Some(special)) => {
                            self.special.insert(name.to_vec(), special);
                        }
                    }
                }
                _ => {}
            }
        }
        if !below.is_empty() {
            self.directories
                .entry(name.to_vec())
                .or_insert((led_by, below));
        }
    }
}
