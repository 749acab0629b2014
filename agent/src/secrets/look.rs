//! One file's bytes: recognised, put through a hash, forgotten.
//!
//! A value is in this process only between the moment its file comes from the child and the end of
//! [`Looking::look_at`].

use std::collections::HashMap;
use std::ops::Range;

use rescind_protocol::name::AccountName;

use super::finding::{Coverage, Finding, PassedOver, Unclear};
use super::label::tellable;
use super::mark::{Fingerprint, Marker};
use super::note::{File, Mark, Note, Sighting};
use super::recognise::Recogniser;
use crate::home::Content;
use crate::host::account::Account;

/// A file to be read.
pub(super) struct Asked {
    pub path: Vec<u8>,
    pub read: Recogniser,
    /// As whom: the owner, or root where the owner may not.
    pub as_root: bool,
    /// Another file named it.
    pub referred: bool,
}

/// What came of one batch, to be seen to when the child is free again.
#[derive(Default)]
pub(super) struct Taken {
    pub refers: Vec<Asked>,
    pub again: Vec<Asked>,
    pub not_read: Vec<(Vec<u8>, String)>,
    pub hung: bool,
}

/// The survey while its child is asked.
pub(super) struct Looking<'l> {
    pub marker: &'l Marker,
    pub findings_max: usize,
    pub seen: &'l mut HashMap<(u64, u64), Range<usize>>,
    pub findings: &'l mut Vec<Finding>,
    pub coverage: &'l mut Coverage,
    pub accounts: &'l [&'l Account],
    pub home: &'l [u8],
}

impl Looking<'_> {
    fn account(&self) -> Option<AccountName> {
        self.accounts.first().map(|account| account.name.clone())
    }

    /// A file's content: recognised, hashed, forgotten.
    pub fn look_at(&mut self, asked: &Asked, content: &Content, taken: &mut Taken) {
        self.coverage.files += 1;
        let inode = (content.facts.dev, content.facts.inode);
        if let Some(known) = self.seen.get(&inode) {
            let names: Vec<AccountName> = self.accounts.iter().map(|a| a.name.clone()).collect();
            for found in &mut self.findings[known.clone()] {
                for name in &names {
                    if found.account.as_ref() != Some(name) && !found.also.contains(name) {
                        found.also.push(name.clone());
                    }
                }
            }
            return;
        }
        if self.findings.len() >= self.findings_max {
            let why = format!(
                "is one of those with more than {} credentials",
                self.findings_max
            );
            taken.not_read.push((asked.path.clone(), why));
            return;
        }
        let first = self.findings.len();
        let file = File {
            path: &asked.path,
            bytes: &content.bytes,
        };
        (asked.read)(&file, &mut |note| self.take(note, asked, content, taken));
        self.seen.insert(inode, first..self.findings.len());
        scrub_stack();
    }

    fn take(&mut self, note: Note<'_>, asked: &Asked, content: &Content, taken: &mut Taken) {
        match note {
            Note::Held(sighting) => self.held(&sighting, asked, content),
            Note::PassedOver { kind, label, why } => {
                let account = self.account();
                self.coverage.passed_over.push(PassedOver {
                    account,
                    path: asked.path.clone(),
                    kind,
                    label: tellable(label, None),
                    why,
                });
            }
            Note::Unclear { kind, why } => {
                let account = self.account();
                self.coverage.unclear.push(Unclear {
                    account,
                    path: asked.path.clone(),
                    kind,
                    why,
                });
            }
            // What another file was named by does not name further ones.
            Note::Refers { path, to } if !asked.referred => {
                if let Some(path) = self.resolve(path, &asked.path) {
                    taken.refers.push(Asked {
                        path,
                        read: to,
                        as_root: asked.as_root,
                        referred: true,
                    });
                }
            }
            Note::Refers { .. } => {}
        }
    }

    fn held(&mut self, sighting: &Sighting<'_>, asked: &Asked, content: &Content) {
        let (fingerprint, label) = match sighting.mark {
            Mark::Public(mark) => (Fingerprint::Public(mark), tellable(sighting.label, None)),
            Mark::Value(value) => (
                self.marker.mark(value),
                tellable(sighting.label, Some(value)),
            ),
        };
        let facts = &content.facts;
        self.findings.push(Finding {
            kind: sighting.kind,
            account: self.account(),
            also: self
                .accounts
                .iter()
                .skip(1)
                .map(|account| account.name.clone())
                .collect(),
            path: asked.path.clone(),
            real_path: content.real_path.clone(),
            label,
            fingerprint,
            from_pub_file: false,
            encrypted: sighting.encrypted,
            key_type: sighting.key_type.0,
            bits: sighting.key_type.1,
            uid: facts.uid,
            gid: facts.gid,
            mode: facts.mode,
            size: facts.size,
            modified: facts.mtime.0,
        });
    }

    /// A path that a file names: below `~/`, absolute, or beside the file.
    fn resolve(&self, path: &[u8], from: &[u8]) -> Option<Vec<u8>> {
        let dir = &from[..from.iter().rposition(|b| *b == b'/')?];
        if path.is_empty() || path.contains(&0) {
            return None;
        }
        Some(match path.strip_prefix(b"~/") {
            Some(rest) => [self.home, b"/", rest].concat(),
            None if path.starts_with(b"/") => path.to_vec(),
            None => [dir, b"/", path].concat(),
        })
    }
}

/// Overwrites the part of the stack that the functions called before have used: what a parser or
/// a hash function has left there is gone.
#[inline(never)]
fn scrub_stack() {
    std::hint::black_box(&mut [0_u8; 48 << 10]);
}
