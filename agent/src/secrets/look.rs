//! One file's bytes: recognised, put through a hash, forgotten.
//!
//! A value is in this process only between the moment its file comes from the child and the end of
//! [`Looking::look_at`].

use std::collections::HashMap;

use rescind_protocol::name::AccountName;

use super::finding::{Coverage, Finding, PassedOver, Reason, Unclear};
use super::label::tellable;
use super::mark::{Fingerprint, Marker};
use super::note::{File, Mark, Note, Sighting};
use super::recognise::Recogniser;
use crate::home::Content;
use crate::host::account::Account;

/// Credentials of one file beyond these are only counted.
const FINDINGS_PER_FILE_MAX: usize = 1000;

/// A file to be read.
pub(super) struct Asked {
    pub path: Vec<u8>,
    pub read: Recogniser,
    /// As whom: the owner, or root where the owner may not.
    pub as_root: bool,
    /// Another file named it.
    pub referred: bool,
}

/// One credential in one file, however the file is reached: device, inode, fingerprint, label.
pub(super) type Known = (u64, u64, Fingerprint, Option<String>);

/// What came of one batch, to be seen to when the child is free again.
#[derive(Default)]
pub(super) struct Taken {
    pub refers: Vec<Asked>,
    pub again: Vec<Asked>,
    pub not_read: Vec<(Vec<u8>, Reason)>,
    pub hung: bool,
}

/// The survey while its child is asked.
pub(super) struct Looking<'l> {
    pub marker: &'l Marker,
    /// So many findings there may be when this file, or this home, has had its share.
    pub findings_max: usize,
    pub seen: &'l mut HashMap<Known, usize>,
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
        let file = File {
            path: &asked.path,
            bytes: &content.bytes,
        };
        let max = self
            .findings_max
            .min(self.findings.len() + FINDINGS_PER_FILE_MAX);
        let mut left_out = 0_u64;
        (asked.read)(&file, &mut |note| match note {
            Note::Held(_) if self.findings.len() >= max => left_out += 1,
            note => self.take(note, asked, content, taken),
        });
        if left_out > 0 {
            let why = format!("holds {left_out} credentials more than are listed");
            let why = Reason::size(why);
            taken.not_read.push((asked.path.clone(), why));
        }
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
        let known = (facts.dev, facts.inode, fingerprint, label.clone());
        if let Some(at) = self.seen.get(&known) {
            self.also_here(*at, asked, facts.uid);
            return;
        }
        self.seen.insert(known, self.findings.len());
        self.findings.push(Finding {
            kind: sighting.kind,
            account: self.account(),
            in_owners_home: self
                .accounts
                .first()
                .is_none_or(|first| first.uid == facts.uid),
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

    /// The credential is known from another home that leads to the same file. It is listed where
    /// its file's owner has it: whoever only links to it does not take it away.
    fn also_here(&mut self, at: usize, asked: &Asked, owner: u32) {
        let found = &mut self.findings[at];
        let here = self.accounts.first();
        if here.is_some_and(|account| account.uid == owner) && !found.in_owners_home {
            found.also.extend(found.account.take());
            found.account = here.map(|account| account.name.clone());
            found.path.clone_from(&asked.path);
            found.in_owners_home = true;
        }
        for account in self.accounts {
            found.also.push(account.name.clone());
        }
        found.also.sort_unstable();
        found.also.dedup();
        found
            .also
            .retain(|name| found.account.as_ref() != Some(name));
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
