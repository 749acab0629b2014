//! The host as the orders see it: read afresh, changed step by step.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rescind_protocol::name::AccountName;

use crate::home::{Content, HomeChild, HomeError, Ids, Read, Replace, Why};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::expiry::DISABLED_DAY;
use crate::host::group::Group;
use crate::host::gshadow::Gshadow;
use crate::host::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile, AccountLock, LockError};
use crate::host::membership::ListChange;
use crate::host::passwd::Passwd;
use crate::host::password::Restored;
use crate::host::replace::{ReplaceError, clean_leftovers, replace_account_file};
use crate::host::root::{HostRoot, ReadError};
use crate::host::shadow::Shadow;
use crate::logins::LoginLog;
use crate::orders::directory;
use crate::orders::kept::{KeptFields, KeptKeys, KeptMembers};
use crate::orders::key_files::{KEY_FILE_BYTES_MAX, PATIENCE, ids};
use crate::orders::plan::Change;
use crate::orders::reading::{Reading, Remembered};
use crate::orders::sudo_denial;
use crate::processes::holdings::SudoBorn;
use crate::processes::{EndReport, Ender, Frozen, Moment, Subject};
use crate::sshd::authorized_keys::{self, KeyFile};
use crate::stamps::Tree;

/// How long others may keep the locks of the account files.
const LOCK_PATIENCE: Duration = Duration::from_secs(15);

/// Why the host could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// An account file, or what leads to it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The processes, or the host's root directory.
    #[error("the host's processes cannot be read: {0}")]
    Processes(#[from] std::io::Error),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Somebody changed the file since it was planned: plan again.
    #[error("{0} was changed by somebody else meanwhile")]
    Stale(String),
    /// The account files could not be read, locked or replaced.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Others kept the locks.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It could not be replaced.
    #[error(transparent)]
    Replace(ReplaceError),
    /// A user's file.
    #[error(transparent)]
    Home(HomeError),
    /// Processes could not be signalled, or did not go.
    #[error("{0}")]
    Processes(String),
    /// What was kept could not be put back as it was.
    #[error("{0}")]
    NotRestored(String),
}

impl From<ReplaceError> for ChangeError {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::Changed { path } => Self::Stale(path.display().to_string()),
            error => Self::Replace(error),
        }
    }
}

impl From<HomeError> for ChangeError {
    fn from(error: HomeError) -> Self {
        match error.why {
            Why::Changed => Self::Stale(error.path.escape_ascii().to_string()),
            _ => Self::Home(error),
        }
    }
}

/// A host, booted or not.
pub struct Host {
    root: Rc<HostRoot>,
    homes: HomeChild,
    /// Another, which reads ahead in a pass over many accounts.
    ahead: HomeChild,
    remembered: Remembered,
    ender: Option<Ender>,
    /// The records of its logins; an order does not look into them.
    logins: Arc<LoginLog>,
    /// What the order at hand has frozen, until it ends it.
    frozen: RefCell<Option<Frozen>>,
}

impl Host {
    /// Opens a host.
    pub fn new(root: Rc<HostRoot>) -> Result<Self, HostError> {
        let homes = HomeChild::new(root.dir_fd().try_clone_to_owned()?);
        let ahead = HomeChild::new(root.dir_fd().try_clone_to_owned()?);
        let ender = root.is_live().then(Ender::new).transpose()?;
        Ok(Self {
            logins: Arc::new(LoginLog::of(root.path())),
            root,
            homes,
            ahead,
            remembered: Remembered::default(),
            ender,
            frozen: RefCell::new(None),
        })
    }

    /// Its root directory.
    pub fn root(&self) -> &Rc<HostRoot> {
        &self.root
    }

    /// The records of its logins.
    pub fn logins(&self) -> &Arc<LoginLog> {
        &self.logins
    }

    /// The child that reads the files of users.
    pub fn homes(&mut self) -> &mut HomeChild {
        &mut self.homes
    }

    /// Whether it is booted: there are processes to look at and tools to ask.
    pub fn is_live(&self) -> bool {
        self.root.is_live()
    }

    /// Reads it, forgetting everything read before.
    pub fn read(&mut self) -> Result<Reading<'_>, HostError> {
        Reading::take(
            Rc::clone(&self.root),
            [&mut self.homes, &mut self.ahead],
            &mut self.remembered,
            self.ender.as_ref(),
        )
    }

    /// Its processes; `None` where it is not booted.
    pub fn moment(&self) -> Result<Option<Moment<'_>>, HostError> {
        Ok(self.ender.as_ref().map(Ender::moment).transpose()?)
    }

    /// From now on remembers what is looked at, until [`Host::take_seen`].
    pub fn note_seen(&mut self) {
        self.root.note_seen();
        self.homes.note_seen();
        self.ahead.note_seen();
    }

    /// What was looked at.
    pub fn take_seen(&mut self) -> Tree {
        let mut seen = self.root.take_seen();
        seen.join(self.homes.take_seen());
        seen.join(self.ahead.take_seen());
        seen
    }

    /// Takes the locks of the account files.
    pub fn lock<'r>(
        root: &'r HostRoot,
        files: &[AccountFile],
    ) -> Result<AccountLock<'r>, LockError> {
        AccountLock::acquire(root, files, LOCK_PATIENCE)
    }

    /// Makes one change; says whether anything was changed.
    pub fn make(
        &mut self,
        change: &Change,
        account: Option<&Account>,
        lock: Option<&AccountLock<'_>>,
    ) -> Result<bool, ChangeError> {
        match change {
            Change::Freeze(subject) => self.freeze(subject),
            Change::EndSessions(subject) => self.end(subject),
            Change::SetFields(fields) => set_fields(need(lock)?, fields),
            Change::RestoreFields(fields) => restore_fields(need(lock)?, fields),
            Change::RemoveKeys(keys) => {
                self.rewrite(keys, account, |now| Ok(without(now, keys)?.into()))
            }
            Change::RestoreKeys(keys) => self.rewrite(keys, account, |now| {
                Ok(authorized_keys::restore(now, &keys.lines, &keys.still, keys.total).into())
            }),
            Change::LeaveGroup(members) => leave_group(need(lock)?, members),
            Change::RestoreMembers(members) => restore_members(need(lock)?, members),
            Change::DenySudo(account) => sudo_denial::deny(&self.root, account),
            Change::AllowSudo(account) => sudo_denial::undo(&self.root, account),
        }
    }

    fn freeze(&self, subject: &Subject) -> Result<bool, ChangeError> {
        let Some(ender) = &self.ender else {
            return Ok(false);
        };
        let frozen = ender
            .freeze(subject)
            .map_err(|error| ChangeError::Processes(error.to_string()))?;
        let any = !frozen.before.processes.is_empty();
        self.frozen.replace(Some(frozen));
        Ok(any)
    }

    fn end(&self, subject: &Subject) -> Result<bool, ChangeError> {
        let Some(ender) = &self.ender else {
            return Ok(false);
        };
        let frozen = self.frozen.take();
        let report: EndReport = ender
            .end(subject, frozen.as_ref(), SudoBorn::Skip)
            .map_err(|error| ChangeError::Processes(error.to_string()))?;
        for born in &report.sudo_born {
            tracing::warn!(account = %subject.name, process = %born, "left alone: came from its sudo");
        }
        if !report.is_clean() {
            let left: Vec<String> = report.survivors.iter().map(ToString::to_string).collect();
            return Err(ChangeError::Processes(format!(
                "still there after {} looks: {} {}",
                report.looks,
                left.join(", "),
                report.gaps.join(", ")
            )));
        }
        Ok(!report.ended.is_empty())
    }

    /// Rewrites a key file as its owner; as root where the owner may not.
    fn rewrite(
        &mut self,
        keys: &KeptKeys,
        account: Option<&Account>,
        change: impl Fn(&[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, ChangeError>,
    ) -> Result<bool, ChangeError> {
        let Some(account) = account else {
            return Err(ChangeError::NotRestored(format!(
                "{} is gone, and with it the owner of its key file",
                keys.account
            )));
        };
        let mut owner = ids(account);
        loop {
            let content = self.read_key_file(&owner, account, &keys.path)?;
            let bytes = change(&content.bytes)?;
            if **bytes == *content.bytes {
                return Ok(false);
            }
            let replace = Replace {
                owner: owner.clone(),
                path: keys.path.clone(),
                expected: content.facts,
                bytes: bytes.to_vec(),
            };
            match self.homes.replace(&replace, PATIENCE) {
                Ok(_) => return Ok(true),
                // Root's own file with a user's keys, in root's own directory.
                Err(HomeError {
                    why: Why::NotOwners(_),
                    ..
                }) if owner != Ids::ROOT => owner = Ids::ROOT,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read_key_file(
        &mut self,
        owner: &Ids,
        account: &Account,
        path: &[u8],
    ) -> Result<Content, ChangeError> {
        let read = Read {
            owner: owner.clone(),
            path: path.to_vec(),
            home: Some(account.home.clone()),
            max_bytes: KEY_FILE_BYTES_MAX,
        };
        Ok(self.homes.read(&read, PATIENCE)?)
    }

    /// Takes away what a replacement of an account file left in /etc when its process was killed.
    ///
    /// To be called at the start only: whoever replaces these files holds the store's lock, as the
    /// caller does, so none is under way and the account files need not be locked.
    pub fn clean_leftovers(&self) -> Result<usize, ReadError> {
        let of_sudo = match clean_leftovers(&self.root, Path::new("/etc/sudoers.d")) {
            Err(error) if !error.is_missing() => return Err(error),
            cleaned => cleaned.unwrap_or(0),
        };
        Ok(of_sudo + clean_leftovers(&self.root, Path::new("/etc"))?)
    }

    /// Lets the children go that have not been needed for a while.
    pub fn let_children_go(&mut self, idle: Duration) {
        self.homes.retire_if_idle(idle);
        self.ahead.retire_if_idle(idle);
        self.remembered.tidy();
    }

    /// The kernel's boot id; empty where the host is not booted.
    pub fn boot_id(&self) -> String {
        if !self.is_live() {
            return String::new();
        }
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map_or_else(|_| String::new(), |id| id.trim().to_owned())
    }
}

/// A change of an account file without its lock is a mistake of the caller's; say so, do nothing.
fn need<'l, 'r>(lock: Option<&'l AccountLock<'r>>) -> Result<&'l AccountLock<'r>, ChangeError> {
    lock.ok_or_else(|| ChangeError::NotRestored("the account files are not locked".into()))
}

/// What locking changes on the account's lines of passwd(5). Nothing when they are as they should.
pub fn closing_in_passwd(passwd: &Passwd, account: &AccountName) -> KeptFields {
    let mut locks = passwd.password_locks(account);
    locks.retain(|lock| lock.added);
    KeptFields {
        file: AccountFile::Passwd,
        account: account.clone(),
        locks,
        expiry: Vec::new(),
    }
}

/// What locking and expiring changes on the account's lines of shadow(5), likewise.
pub fn closing_in_shadow(shadow: &Shadow, account: &AccountName) -> KeptFields {
    let mut locks = shadow.password_locks(account);
    locks.retain(|lock| lock.added);
    let mut expiry = shadow.expiry_changes(account, Some(DISABLED_DAY));
    expiry.retain(|change| change.previous != change.written || change.fields < 9);
    KeptFields {
        file: AccountFile::Shadow,
        account: account.clone(),
        locks,
        expiry,
    }
}

fn set_fields(lock: &AccountLock<'_>, fields: &KeptFields) -> Result<bool, ChangeError> {
    edit(lock, fields.file, |bytes| match fields.file {
        AccountFile::Passwd => {
            let mut passwd = Passwd::parse(bytes);
            passwd.lock_password(&fields.account);
            Ok(passwd.to_bytes().to_vec())
        }
        _ => {
            let mut shadow = Shadow::parse(bytes);
            shadow.lock_password(&fields.account);
            shadow.set_expiry(&fields.account, Some(DISABLED_DAY));
            Ok(shadow.to_bytes().to_vec())
        }
    })
}

fn restore_fields(lock: &AccountLock<'_>, fields: &KeptFields) -> Result<bool, ChangeError> {
    let mut answers: Vec<Restored> = Vec::new();
    let changed = edit(lock, fields.file, |bytes| match fields.file {
        AccountFile::Passwd => {
            let mut passwd = Passwd::parse(bytes);
            answers = passwd.unlock_password(&fields.account, &fields.locks);
            Ok(passwd.to_bytes().to_vec())
        }
        _ => {
            let mut shadow = Shadow::parse(bytes);
            answers = shadow.unlock_password(&fields.account, &fields.locks);
            answers.extend(shadow.restore_expiry(&fields.account, &fields.expiry));
            Ok(shadow.to_bytes().to_vec())
        }
    })?;
    // What somebody else changed since is theirs; a line that is gone cannot come back.
    let gone = answers
        .iter()
        .filter(|answer| **answer == Restored::Gone)
        .count();
    if gone > 0 {
        return Err(ChangeError::NotRestored(format!(
            "{gone} lines of {} are gone from {}",
            fields.account,
            fields.file.path().display()
        )));
    }
    Ok(changed)
}

fn leave_group(lock: &AccountLock<'_>, members: &KeptMembers) -> Result<bool, ChangeError> {
    let groups: BTreeSet<&[u8]> = members.changes.iter().map(|c| c.group.as_slice()).collect();
    let account = &members.account;
    // What a release gives back is what was planned, so nothing else may be changed.
    let planned = &members.changes;
    let is_planned = |now: Vec<ListChange>| {
        let same = now.iter().zip(planned).all(|(a, b)| a.is_same_edit(b));
        if same && now.len() == planned.len() {
            return Ok(());
        }
        let path = members.file.path().display().to_string();
        Err(ChangeError::Stale(path))
    };
    edit(lock, members.file, |bytes| match members.file {
        AccountFile::Group => {
            let mut group = Group::parse(bytes);
            let now = groups.iter().flat_map(|name| group.removals(name, account));
            is_planned(now.collect())?;
            group.remove(&members.changes);
            Ok(group.to_bytes().to_vec())
        }
        _ => {
            let mut gshadow = Gshadow::parse(bytes);
            let now = groups
                .iter()
                .flat_map(|name| gshadow.removals(name, account));
            is_planned(now.collect())?;
            gshadow.remove(&members.changes);
            Ok(gshadow.to_bytes().to_vec())
        }
    })
}

fn restore_members(lock: &AccountLock<'_>, members: &KeptMembers) -> Result<bool, ChangeError> {
    let mut answers: Vec<Restored> = Vec::new();
    let changed = edit(lock, members.file, |bytes| match members.file {
        AccountFile::Group => {
            let mut group = Group::parse(bytes);
            answers = group.restore(&members.account, &members.changes);
            Ok(group.to_bytes().to_vec())
        }
        _ => {
            let mut gshadow = Gshadow::parse(bytes);
            answers = gshadow.restore(&members.account, &members.changes);
            Ok(gshadow.to_bytes().to_vec())
        }
    })?;
    let gone = answers.iter().filter(|answer| **answer == Restored::Gone);
    match gone.count() {
        0 => Ok(changed),
        gone => Err(ChangeError::NotRestored(format!(
            "{gone} lists that named {} are gone from {}",
            members.account,
            members.file.path().display()
        ))),
    }
}

fn edit(
    lock: &AccountLock<'_>,
    file: AccountFile,
    change: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, ChangeError>,
) -> Result<bool, ChangeError> {
    let seen = lock.read(file)?;
    let before = zeroize::Zeroizing::new(seen.bytes.clone());
    let after = zeroize::Zeroizing::new(change(seen.bytes)?);
    if *before == *after {
        return Ok(false);
    }
    replace_account_file(lock, file, &seen.stamp, &after)?;
    Ok(true)
}

/// The file without exactly the lines that were planned to go.
fn without(now: &[u8], keys: &KeptKeys) -> Result<Vec<u8>, ChangeError> {
    let stale = || ChangeError::Stale(keys.path.escape_ascii().to_string());
    let mut out = Vec::with_capacity(now.len());
    let mut planned = keys.lines.iter().peekable();
    for (number, line) in (1u32..).zip(now.split_inclusive(|byte| *byte == b'\n')) {
        match planned.next_if(|gone| gone.line == number) {
            Some(gone) if gone.bytes == line => {}
            Some(_) => return Err(stale()),
            None => out.extend_from_slice(line),
        }
    }
    match planned.peek() {
        None => Ok(out),
        Some(_) => Err(stale()),
    }
}

/// The key on a line that was kept, if sshd takes it for one.
pub fn key_of_line(line: &[u8]) -> Option<rescind_protocol::name::KeyFingerprint> {
    let file = KeyFile::parse(line);
    file.keys().next().map(|key| key.fingerprint)
}

impl Host {
    /// What of a restoring change a fresh reading does not find done, in words.
    pub fn still_to_restore(&mut self, change: &Change) -> Option<String> {
        match self.is_restored(change) {
            Ok(true) => None,
            Ok(false) => Some(format!("{} is not as it was", target(change))),
            Err(error) => Some(error.to_string()),
        }
    }

    fn is_restored(&mut self, change: &Change) -> Result<bool, ChangeError> {
        match change {
            Change::RestoreFields(fields) => {
                let file = self.root.read(fields.file.path(), ACCOUNT_FILE_BYTES_MAX)?;
                let still = match fields.file {
                    AccountFile::Passwd => {
                        closing_in_passwd(&Passwd::parse(file.bytes), &fields.account)
                    }
                    _ => closing_in_shadow(&Shadow::parse(file.bytes), &fields.account),
                };
                // A field that is given back is one that closing would change again.
                Ok(fields
                    .locks
                    .iter()
                    .all(|lock| still.locks.iter().any(|now| now.nth == lock.nth))
                    && fields.expiry.iter().all(|change| {
                        let mut now = still.expiry.iter();
                        now.any(|now| now.nth == change.nth && now.previous == change.previous)
                    }))
            }
            Change::RestoreKeys(keys) => {
                let accounts = Accounts::load(&self.root)?;
                let is_live = self.root.is_live();
                let Some(account) = directory::find(&accounts, &keys.account, is_live) else {
                    return Ok(false);
                };
                let content = self.read_key_file(&ids(&account), &account, &keys.path)?;
                let lines: Vec<&[u8]> = content.bytes.split_inclusive(|b| *b == b'\n').collect();
                let bare = |line: &[u8]| line.strip_suffix(b"\n").unwrap_or(line).to_vec();
                let present: Vec<Vec<u8>> = lines.into_iter().map(bare).collect();
                Ok(keys
                    .lines
                    .iter()
                    .all(|line| present.contains(&bare(&line.bytes))))
            }
            Change::RestoreMembers(members) => {
                let file = self
                    .root
                    .read(members.file.path(), ACCOUNT_FILE_BYTES_MAX)?;
                let mut changes = members.changes.iter();
                Ok(match members.file {
                    AccountFile::Group => {
                        let group = Group::parse(file.bytes);
                        changes.all(|change| group.is_back(&members.account, change))
                    }
                    _ => {
                        let gshadow = Gshadow::parse(file.bytes);
                        changes.all(|change| gshadow.is_back(&members.account, change))
                    }
                })
            }
            Change::AllowSudo(account) => sudo_denial::is_undone(&self.root, account),
            Change::Freeze(_)
            | Change::EndSessions(_)
            | Change::SetFields(_)
            | Change::RemoveKeys(_)
            | Change::LeaveGroup(_)
            | Change::DenySudo(_) => Ok(true),
        }
    }
}

fn target(change: &Change) -> String {
    change.step().target
}
