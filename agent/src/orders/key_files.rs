//! Key files, for plans and for the evaluator: each read once in a reading.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::home::{
    Content, DirFacts, Entry, FileKind, HomeChild, HomeError, Ids, LinkTrouble, List, Listing,
    Look, Read, Seen, Why,
};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::not_read::{Cause, NotRead, Notes};
use crate::host::root::{HostRoot, ReadError};
use crate::paths::facts::{Found, KeyFileFacts, KeyFiles, Ownership, ReadAs};
use crate::paths::strict_modes::{GroupIs, Member, group_is};
use crate::sshd::include::ReadProblem;

/// A key file larger than this is not read, and that is a gap.
pub const KEY_FILE_BYTES_MAX: u64 = 10 << 20;
/// How long a user's file may take to be read or written.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
const GROUP_WRITABLE: u32 = 0o020;

/// What a reading knows of a file: its content, that there is none, or why it could not be read.
type Known = Result<Option<Rc<Content>>, HomeError>;

/// What a user's file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// It may hold keys.
    Keys,
    /// It may be a unit, or lead to one.
    Units,
}

/// Users' files, as their owners see them.
pub struct UserFiles<'h> {
    homes: &'h mut HomeChild,
    /// Reads ahead in a pass over many accounts.
    ahead: &'h mut HomeChild,
    root: Rc<HostRoot>,
    accounts: Rc<Accounts>,
    known: BTreeMap<Key, Known>,
    listed: BTreeMap<Key, Result<Listing, HomeError>>,
    /// Uids on whose file systems an answer was waited for in vain: nobody waits for them again.
    hung: BTreeSet<u32>,
    keys_not_read: Notes,
    units_not_read: Notes,
}

/// As whom something was looked at, and its path.
type Key = (u32, Vec<u8>);

/// Something of a user's home that will be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soon {
    /// A file, of which [`UserFiles::content`] will be asked.
    File(Vec<u8>),
    /// A directory, of which [`UserFiles::list`] will be asked with so many names.
    Names(Vec<u8>, u32),
}

/// What is kept of that; the rest is read again when it is asked for.
const PREPARED_BYTES_MAX: usize = 8 << 20;

impl<'h> UserFiles<'h> {
    /// Nothing is read yet.
    pub fn new(
        homes: &'h mut HomeChild,
        ahead: &'h mut HomeChild,
        root: Rc<HostRoot>,
        accounts: Rc<Accounts>,
    ) -> Self {
        Self {
            homes,
            ahead,
            root,
            accounts,
            known: BTreeMap::new(),
            listed: BTreeMap::new(),
            hung: BTreeSet::new(),
            keys_not_read: Notes::default(),
            units_not_read: Notes::default(),
        }
    }

    /// Does not try the files of these uids.
    pub fn avoid(&mut self, uids: &BTreeSet<u32>) {
        self.hung.extend(uids);
    }

    /// The uids whose files are not tried.
    pub const fn hung(&self) -> &BTreeSet<u32> {
        &self.hung
    }

    /// What could not be read since the last call.
    pub fn take_not_read(&mut self) -> Vec<(Purpose, NotRead)> {
        let keys = self.keys_not_read.take().into_iter();
        let units = self.units_not_read.take().into_iter();
        keys.map(|one| (Purpose::Keys, one))
            .chain(units.map(|one| (Purpose::Units, one)))
            .collect()
    }

    /// Remembers why a file was not read, and who does not answer.
    fn noted<T>(
        &mut self,
        account: &Account,
        purpose: Purpose,
        read: Result<T, HomeError>,
    ) -> Result<T, HomeError> {
        if let Err(error) = &read
            && error.why != Why::Missing
        {
            if error.why == Why::Hung {
                self.hung.insert(account.uid);
            }
            self.note(account, purpose, &error.path, &error.why);
        }
        read
    }

    /// Remembers that something was not read.
    pub fn note(&mut self, account: &Account, purpose: Purpose, path: &[u8], why: &Why) {
        let notes = match purpose {
            Purpose::Keys => &mut self.keys_not_read,
            Purpose::Units => &mut self.units_not_read,
        };
        notes.add(NotRead {
            account: Some(account.name.clone()),
            path: Some(std::ffi::OsStr::from_bytes(path).into()),
            cause: why.into(),
            why: why.to_string(),
        });
    }

    /// Whether it is in vain to wait for a file of this account.
    fn is_hung<T>(&self, account: &Account, path: &[u8]) -> Option<Result<T, HomeError>> {
        let hung = self.hung.contains(&account.uid);
        hung.then(|| {
            Err(HomeError {
                path: path.to_vec(),
                why: Why::Hung,
            })
        })
    }

    /// How to look at what will be asked for and is not known yet.
    pub fn looks<'a>(&self, soon: impl IntoIterator<Item = (&'a Account, Soon)>) -> Vec<Look> {
        let looks = soon.into_iter().map(|(account, soon)| match soon {
            Soon::File(path) => Look::Read(read_as(account, &path)),
            Soon::Names(path, max_entries) => Look::List(list_as(account, path, max_entries)),
        });
        let is_known = |look: &Look| {
            let key = key_of(look);
            self.known.contains_key(&key)
                || self.listed.contains_key(&key)
                || self.hung.contains(&key.0)
        };
        looks.filter(|look| !is_known(look)).collect()
    }

    /// Looks at all of it, in few messages to the child instead of one for each.
    pub fn prepare(&mut self, looks: &[Look]) {
        look_at(self.homes, looks, &mut self.known, &mut self.listed);
    }

    /// Begins what [`UserFiles::prepare_next`] ends; meanwhile, something else can be done.
    pub fn begin_next(&mut self, looks: &[Look]) {
        self.ahead.look_ahead(looks, PATIENCE);
    }

    /// [`UserFiles::prepare`] in a pass over many accounts. What was kept before is forgotten: the
    /// files of each are needed only once.
    pub fn prepare_next(&mut self, looks: &[Look]) {
        self.known.clear();
        self.listed.clear();
        look_at(self.ahead, looks, &mut self.known, &mut self.listed);
    }

    /// A file as the account would read it; `None` when there is none.
    pub fn content(
        &mut self,
        account: &Account,
        path: &[u8],
    ) -> Result<Option<Rc<Content>>, HomeError> {
        let key = (account.uid, path.to_vec());
        if let Some(known) = self.known.get(&key) {
            // Whoever read it has not noted it.
            let known = known.clone();
            return self.noted(account, Purpose::Keys, known);
        }
        let content = self.is_hung(account, path);
        let content = content.unwrap_or_else(|| self.homes.read(&read_as(account, path), PATIENCE));
        let content = self.noted(account, Purpose::Keys, content);
        let content = missing_is_none(content.map(Rc::new));
        self.known.insert(key, content.clone());
        content
    }

    /// Reads files of an account that will be asked for.
    pub fn fetch(&mut self, account: &Account, paths: &[&[u8]]) {
        let soon = paths
            .iter()
            .map(|path| (account, Soon::File(path.to_vec())));
        let looks = self.looks(soon);
        self.prepare(&looks);
    }

    /// Reads many files of many accounts, keeps none of them, and hands over each that is there,
    /// or why it could not be read, with its place in `wanted`.
    pub fn pass_over(
        &mut self,
        wanted: &[(&Account, &[u8])],
        mut each: impl FnMut(usize, Result<Rc<Content>, HomeError>),
    ) {
        let reads = wanted.iter().map(|(account, path)| read_as(account, path));
        let reads: Vec<Read> = reads.collect();
        let _ = self.homes.read_many(&reads, PATIENCE, |nth, result| {
            if let Some(result) = missing_is_none(result.map(Rc::new)).transpose() {
                each(nth, result);
            }
            ControlFlow::Continue(())
        });
    }

    /// Keeps a file that was passed over, so that all of this reading sees the same state of it.
    pub fn keep(&mut self, account: &Account, path: &[u8], content: Rc<Content>) {
        let key = (account.uid, path.to_vec());
        self.known.entry(key).or_insert(Ok(Some(content)));
    }

    fn ownership(&self, account: &Account, uid: u32, gid: u32, mode: u32) -> Ownership {
        Ownership {
            uid,
            mode,
            // Only asked of what its group may write.
            group: match mode & GROUP_WRITABLE {
                0 => GroupIs::Shared,
                _ if self.groups_are_unknown() => GroupIs::Unknown,
                _ => self.group_is(account, uid, gid),
            },
        }
    }

    fn group_is(&self, account: &Account, uid: u32, gid: u32) -> GroupIs {
        let Ok(group) = self.accounts.group_of_gid(gid) else {
            return GroupIs::Shared;
        };
        let named: Option<Vec<&[u8]>> = group.as_ref().map(|group| group.members().collect());
        let owner = self.accounts.of_uid(uid).next().map(|owner| owner.name);
        let members = self.accounts.of_primary_group(gid).map(|entry| Member {
            uid: entry.uid,
            gid: entry.gid,
        });
        group_is(gid, named.as_deref(), owner, account.uid, members)
    }
}

impl UserFiles<'_> {
    /// Whether group(5) is there and could not be read. Where it is missing, sshd finds no group.
    fn groups_are_unknown(&self) -> bool {
        matches!(self.accounts.group(), Err(error) if !error.is_missing())
    }
}

impl KeyFiles for UserFiles<'_> {
    fn read(
        &mut self,
        account: &Account,
        path: &Path,
        reader: ReadAs,
    ) -> Result<KeyFileFacts, ReadProblem> {
        if reader == ReadAs::Root {
            return self.as_root(account, path);
        }
        let content = self
            .content(account, path.as_os_str().as_bytes())
            .map_err(problem)?
            .ok_or(ReadProblem::Missing)?;
        let facts = &content.facts;
        let from = content.home_at.map_or(0, |at| at as usize);
        let directories = content
            .dirs
            .iter()
            .enumerate()
            .skip(from)
            .rev()
            .map(|(depth, dir): (usize, &DirFacts)| {
                let owner = self.ownership(account, dir.uid, dir.gid, dir.mode);
                (directory(&content.real_path, depth), owner)
            })
            .collect();
        Ok(KeyFileFacts {
            bytes: content.bytes.to_vec(),
            file: self.ownership(account, facts.uid, facts.gid, facts.mode),
            directories,
        })
    }

    fn look(&mut self, path: &Path) -> Result<Found, ReadProblem> {
        match self.root.stat(path) {
            Ok(found) => Ok(Found {
                uid: found.stat.uid,
                mode: found.stat.mode,
                is_directory: found.stat.kind == crate::sys::fs::FileKind::Directory,
            }),
            Err(error) if error.is_missing() => Err(ReadProblem::Missing),
            Err(error) => Err(ReadProblem::Other(error.to_string())),
        }
    }
}

impl UserFiles<'_> {
    /// A file that sshd reads as root: CA keys, revoked keys. StrictModes does not look at it.
    fn as_root(&self, account: &Account, path: &Path) -> Result<KeyFileFacts, ReadProblem> {
        let file = match self.root.read(path, KEY_FILE_BYTES_MAX) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Err(ReadProblem::Missing),
            Err(ReadError::NotRegular {
                kind: crate::sys::fs::FileKind::Directory,
                ..
            }) => return Err(ReadProblem::Directory),
            Err(error) => return Err(ReadProblem::Other(error.to_string())),
        };
        let stamp = &file.stamp;
        Ok(KeyFileFacts {
            file: self.ownership(account, stamp.uid, stamp.gid, stamp.mode),
            directories: Vec::new(),
            bytes: file.bytes,
        })
    }
}

/// What else of users' files a reading looks at, each once.
impl UserFiles<'_> {
    /// The child that reads them.
    pub fn homes(&mut self) -> &mut HomeChild {
        self.homes
    }

    /// A file as the account would read it, not kept.
    pub fn once(
        &mut self,
        account: &Account,
        path: &[u8],
        max_bytes: u64,
    ) -> Result<Content, HomeError> {
        let read = Read {
            owner: ids(account),
            path: path.to_vec(),
            home: None,
            max_bytes,
        };
        let content = self.is_hung(account, path);
        let content = content.unwrap_or_else(|| self.homes.read(&read, PATIENCE));
        self.noted(account, Purpose::Units, content)
    }

    /// A directory as the account would list it, not kept.
    pub fn list(
        &mut self,
        account: &Account,
        path: &[u8],
        max_entries: u32,
    ) -> Result<Listing, HomeError> {
        let key = (account.uid, path.to_vec());
        let listing = match self.listed.remove(&key) {
            Some(listing) => listing,
            None => {
                let list = list_as(account, path.to_vec(), max_entries);
                let listing = self.is_hung(account, path);
                listing.unwrap_or_else(|| self.homes.list(&list, PATIENCE))
            }
        };
        if listing.as_ref().is_ok_and(|listing| listing.more) {
            self.units_not_read.add(NotRead {
                account: Some(account.name.clone()),
                path: Some(std::ffi::OsStr::from_bytes(path).into()),
                cause: Cause::Size,
                why: format!("holds more than {max_entries} names"),
            });
        }
        self.noted(account, Purpose::Units, listing)
    }
}

fn look_at(
    homes: &mut HomeChild,
    looks: &[Look],
    known: &mut BTreeMap<Key, Known>,
    listed: &mut BTreeMap<Key, Result<Listing, HomeError>>,
) {
    let mut bytes = 0;
    let _ = homes.look_at_many(looks, PATIENCE, |nth, result| {
        let key = key_of(&looks[nth]);
        bytes += match &result {
            Ok(Seen::Content(content)) => content.bytes.len(),
            Ok(Seen::Listing(listing)) => listing.entries.len() * size_of::<Entry>(),
            Err(_) => 0,
        };
        match (result, &looks[nth]) {
            (Ok(_), _) if bytes > PREPARED_BYTES_MAX => {}
            (Ok(Seen::Content(content)), _) => {
                known.insert(key, Ok(Some(Rc::new(content))));
            }
            (Ok(Seen::Listing(listing)), _) => {
                listed.insert(key, Ok(listing));
            }
            (Err(error), Look::Read(_)) => {
                known.insert(key, missing_is_none(Err(error)));
            }
            (Err(error), Look::List(_)) => {
                listed.insert(key, Err(error));
            }
        }
        ControlFlow::Continue(())
    });
}

fn key_of(look: &Look) -> Key {
    (look.owner().uid, look.path().to_vec())
}

/// What sshd, which reads as the account too, makes of it.
fn problem(error: HomeError) -> ReadProblem {
    match error.why {
        Why::Missing => ReadProblem::Missing,
        Why::Denied { .. } => ReadProblem::Denied,
        Why::NotRegular(FileKind::Directory) => ReadProblem::Directory,
        Why::NotRegular(_) => ReadProblem::NotRegular,
        // The kernel gives up as we do.
        Why::Links(LinkTrouble::TooMany) => ReadProblem::TooManyLinks,
        _ => ReadProblem::Other(error.to_string()),
    }
}

fn read_as(account: &Account, path: &[u8]) -> Read {
    Read {
        owner: ids(account),
        path: path.to_vec(),
        home: Some(account.home.clone()),
        max_bytes: KEY_FILE_BYTES_MAX,
    }
}

fn list_as(account: &Account, path: Vec<u8>, max_entries: u32) -> List {
    List {
        owner: ids(account),
        path,
        max_entries,
    }
}

fn missing_is_none(read: Result<Rc<Content>, HomeError>) -> Known {
    match read {
        Ok(content) => Ok(Some(content)),
        Err(HomeError {
            why: Why::Missing, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directory that is so many components below `/` on the way to a file.
fn directory(file: &[u8], depth: usize) -> PathBuf {
    let mut parts = file.split(|byte| *byte == b'/').skip(1).take(depth);
    let mut path = Vec::new();
    for part in &mut parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

/// As whom an account's files are read and written.
pub fn ids(account: &Account) -> Ids {
    Ids {
        uid: account.uid,
        gid: account.gid,
        groups: account.groups.iter().map(|group| group.gid).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_counted_from_the_root() {
        let file = b"/home/alice/.ssh/authorized_keys";
        for (depth, want) in [(0, "/"), (1, "/home"), (3, "/home/alice/.ssh")] {
            assert_eq!(directory(file, depth), PathBuf::from(want));
        }
    }
}
