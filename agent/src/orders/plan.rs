//! From an order and what is on the host to the changes to make. Pure.
//!
//! The same planner serves an order's first attempt, its repetition after a crash, and holding it:
//! what is already as ordered yields no change, so an empty plan means that nothing departs from
//! the order.

use std::collections::BTreeSet;

use rescind_protocol::evidence::{Step, StepKind};
use rescind_protocol::name::{AccountName, KeyFingerprint};

use crate::host::lock::AccountFile;
use crate::host::membership::{List, ListChange};
use crate::orders::kept::{Kept, KeptFields, KeptKeys, KeptMembers};
use crate::processes::{Scope, Subject};
use crate::sshd::authorized_keys::{KeyFile, Removed, RemovedLine};
use crate::sudoers::denial;

/// What was read of the host for one order.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What locking and expiring would change on the account's lines; nothing when it is done.
    pub fields: Vec<KeptFields>,
    /// The key files in force for the accounts the order is about.
    pub key_files: Vec<KeyFileSeen>,
    /// The account's processes and sessions, when some are alive.
    pub alive: Option<Subject>,
    /// What a key has opened, account by account.
    pub opened: Vec<Subject>,
    /// The lists of a group that name the account.
    pub lists: Vec<KeptMembers>,
    /// The account to which sudo is to be denied.
    pub sudo_to_deny: Option<AccountName>,
    /// What could not be read.
    pub gaps: Vec<String>,
}

/// A key file, as far as a plan needs to know it.
#[derive(Debug, Clone)]
pub struct KeyFileSeen {
    /// The file, as the host names it.
    pub path: Vec<u8>,
    /// The account for which it is in force.
    pub account: AccountName,
    /// Whether it serves other accounts as well.
    pub shared: bool,
    /// The file, line by line.
    pub file: KeyFile,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Stop the account's processes.
    Freeze(Subject),
    /// Lock and expire, all lines of one file in one rewrite.
    SetFields(KeptFields),
    /// Take key lines out of a file.
    RemoveKeys(KeptKeys),
    /// End the account's processes and sessions.
    EndSessions(Subject),
    /// Put fields back as they were.
    RestoreFields(KeptFields),
    /// Put key lines back.
    RestoreKeys(KeptKeys),
    /// Take the account out of the lists of a group, all of one file in one rewrite.
    LeaveGroup(KeptMembers),
    /// Put it back into them.
    RestoreMembers(KeptMembers),
    /// Write the rule by which sudo lets the account do nothing.
    DenySudo(AccountName),
    /// Take that rule away.
    AllowSudo(AccountName),
}

/// The changes to make, in the order in which they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes.
    pub changes: Vec<Change>,
}

/// Closes an account.
///
/// Its processes are stopped first, so that they cannot undo what follows; they are ended last,
/// because ending them first would let their owner log in again.
pub fn disable(seen: &Seen) -> Plan {
    let mut plan = Plan::default();
    plan.changes.extend(seen.alive.clone().map(Change::Freeze));
    plan.changes
        .extend(seen.fields.iter().cloned().map(Change::SetFields));
    // A shared file is left alone: other accounts' access hangs on it, and expiry closes this one.
    let own = seen.key_files.iter().filter(|file| !file.shared);
    plan.changes
        .extend(own.filter_map(|seen| removal(seen, KeyFile::remove_all_keys)));
    plan.changes
        .extend(seen.alive.clone().map(Change::EndSessions));
    plan
}

/// Takes one key out of every file that was looked at: shared ones included when it is revoked for
/// the whole host, not when it is revoked for one account, since others may still use it.
pub fn revoke_key(fingerprint: KeyFingerprint, everywhere: bool, seen: &Seen) -> Plan {
    let mut changes: Vec<Change> = Vec::new();
    for file in seen
        .key_files
        .iter()
        .filter(|file| everywhere || !file.shared)
    {
        let change = removal(file, |file| file.remove(&fingerprint));
        // A shared file is in force for many accounts and needs to be rewritten once.
        if let Some(change) = change.filter(|change| !changes.iter().any(|c| c.same_file(change))) {
            changes.push(change);
        }
    }
    Plan { changes }
}

/// Ends what runs now.
pub fn end_sessions(seen: &Seen) -> Plan {
    let alive = seen.alive.clone();
    let freeze = alive.clone().map(Change::Freeze);
    Plan {
        changes: freeze
            .into_iter()
            .chain(alive.map(Change::EndSessions))
            .collect(),
    }
}

/// Ends what a key has opened, account by account.
pub fn end_key_sessions(seen: &Seen) -> Plan {
    let each = seen.opened.iter().cloned();
    let changes = each.flat_map(|subject| {
        [
            Change::Freeze(subject.clone()),
            Change::EndSessions(subject),
        ]
    });
    Plan {
        changes: changes.collect(),
    }
}

/// Takes an account out of a group, and then ends what still has it, if that was ordered.
pub fn revoke_group(seen: &Seen) -> Plan {
    let mut plan = Plan::default();
    plan.changes
        .extend(seen.lists.iter().cloned().map(Change::LeaveGroup));
    plan.changes.extend(end_sessions(seen).changes);
    plan
}

/// Takes sudo from an account.
pub fn revoke_sudo(seen: &Seen) -> Plan {
    let denied = seen.sudo_to_deny.iter().cloned();
    Plan {
        changes: denied.map(Change::DenySudo).collect(),
    }
}

/// Gives back what an order took, as far as `forbidden` does not hold it: the second value is what
/// other orders still forbid, to be kept on their behalf.
pub fn restore(kept: Kept, forbidden: &Forbidden<'_>) -> (Plan, Kept) {
    let mut plan = Plan::default();
    let mut held = Kept::default();
    let (held_fields, fields): (Vec<_>, Vec<_>) = kept
        .fields
        .into_iter()
        .partition(|field| forbidden.account(&field.account));
    held.fields = held_fields;
    for mut keys in kept.keys {
        let (held_lines, lines): (Vec<RemovedLine>, Vec<RemovedLine>) =
            std::mem::take(&mut keys.lines)
                .into_iter()
                .partition(|line| forbidden.line(&keys.account, &line.bytes));
        for (lines, to) in [(held_lines, false), (lines, true)] {
            if lines.is_empty() {
                continue;
            }
            let keys = KeptKeys {
                lines,
                ..keys.clone()
            };
            if to {
                plan.changes.push(Change::RestoreKeys(keys));
            } else {
                held.keys.push(keys);
            }
        }
    }
    plan.changes
        .extend(fields.into_iter().map(Change::RestoreFields));
    for mut members in kept.members {
        let account = members.account.clone();
        let (still, back): (Vec<_>, Vec<_>) = std::mem::take(&mut members.changes)
            .into_iter()
            .partition(|change| (forbidden.member)(&account, &change.group));
        for (changes, to) in [(still, false), (back, true)] {
            let members = KeptMembers {
                changes,
                ..members.clone()
            };
            match to {
                _ if members.changes.is_empty() => {}
                true => plan.changes.push(Change::RestoreMembers(members)),
                false => held.members.push(members),
            }
        }
    }
    for account in kept.sudo {
        match (forbidden.sudo)(&account) {
            true => held.sudo.push(account),
            false => plan.changes.push(Change::AllowSudo(account)),
        }
    }
    (plan, held)
}

/// What other standing orders forbid.
pub struct Forbidden<'a> {
    /// Whether the account is closed by another order.
    pub account: &'a dyn Fn(&AccountName) -> bool,
    /// The key of a line, to tell whether another order revokes it.
    pub key_of_line: &'a dyn Fn(&[u8]) -> Option<KeyFingerprint>,
    /// Whether the key is revoked for the account by another order.
    pub key: &'a dyn Fn(&AccountName, KeyFingerprint) -> bool,
    /// Whether another order keeps the account out of the group of this name.
    pub member: &'a dyn Fn(&AccountName, &[u8]) -> bool,
    /// Whether another order keeps sudo from the account.
    pub sudo: &'a dyn Fn(&AccountName) -> bool,
}

impl Forbidden<'_> {
    fn account(&self, account: &AccountName) -> bool {
        (self.account)(account)
    }

    fn line(&self, account: &AccountName, line: &[u8]) -> bool {
        self.account(account)
            || (self.key_of_line)(line).is_some_and(|key| (self.key)(account, key))
    }
}

fn removal(seen: &KeyFileSeen, remove: impl Fn(&KeyFile) -> Removed) -> Option<Change> {
    let taken = remove(&seen.file);
    (!taken.removed.is_empty()).then(|| {
        Change::RemoveKeys(KeptKeys {
            path: seen.path.clone(),
            account: seen.account.clone(),
            total: taken.lines,
            still: BTreeSet::new(),
            lines: taken.removed,
        })
    })
}

/// What a record of the journal holds of lines that were taken, and of steps in words, with room to
/// spare: see `PRIVATE_BYTES_MAX` of the store and `RECORD_BYTES_MAX` of the evidence.
const TAKEN_BYTES_MAX: usize = 6 << 20;
const STEPS_BYTES_MAX: usize = 256 << 10;

/// What a plan leaves undone for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOff {
    /// What it is, in words.
    pub what: Vec<String>,
    /// Whether another round can do some of it.
    pub can_follow: bool,
}

impl Plan {
    /// Takes out of the plan what one record of the journal cannot hold: whoever owns a key file
    /// decides how large it is, and must not keep the rest of an order from being carried out.
    /// What is not to be given back (`keep`) may be of any size.
    pub fn put_off(&mut self, keep: bool) -> PutOff {
        let (mut taken, mut told) = (0, 0);
        let mut put_off = PutOff::default();
        self.changes.retain(|change| {
            let Change::RemoveKeys(keys) = change else {
                return true;
            };
            let step = change.step();
            let words = step.target.len() + step.detail.len() + 16;
            let lines = keys.lines.iter().filter(|_| keep);
            let bytes: usize = lines.map(|line| line.bytes.len() + 16).sum();
            if taken + bytes <= TAKEN_BYTES_MAX && told + words <= STEPS_BYTES_MAX {
                (taken, told) = (taken + bytes, told + words);
                return true;
            }
            put_off.can_follow |= bytes <= TAKEN_BYTES_MAX;
            put_off.what.push(format!(
                "{}: its {} key lines are more than is taken out at once",
                step.target,
                keys.lines.len()
            ));
            false
        });
        put_off
    }

    /// What the changes take, to be kept before they are made.
    pub fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for change in &self.changes {
            match change {
                Change::SetFields(fields) => kept.fields.push(fields.clone()),
                Change::RemoveKeys(keys) => kept.keys.push(keys.clone()),
                Change::LeaveGroup(members) => kept.members.push(members.clone()),
                Change::DenySudo(account) => kept.sudo.push(account.clone()),
                Change::Freeze(_)
                | Change::EndSessions(_)
                | Change::RestoreFields(_)
                | Change::RestoreKeys(_)
                | Change::RestoreMembers(_)
                | Change::AllowSudo(_) => {}
            }
        }
        kept
    }

    /// The changes in words, for the evidence and for a dry run.
    pub fn steps(&self) -> Vec<Step> {
        self.changes.iter().map(Change::step).collect()
    }
}

impl Change {
    fn same_file(&self, other: &Self) -> bool {
        matches!((self, other), (Self::RemoveKeys(a), Self::RemoveKeys(b)) if a.path == b.path)
    }

    /// Whether it needs the lock of the account files.
    pub const fn needs_lock(&self) -> bool {
        self.locked_file().is_some()
    }

    /// The account file that it changes.
    pub const fn locked_file(&self) -> Option<AccountFile> {
        match self {
            Self::SetFields(fields) | Self::RestoreFields(fields) => Some(fields.file),
            Self::LeaveGroup(members) | Self::RestoreMembers(members) => Some(members.file),
            _ => None,
        }
    }

    /// Whether it takes something out of a sequence that others may take from, too.
    pub const fn takes_from_a_place(&self) -> bool {
        matches!(self, Self::RemoveKeys(_) | Self::LeaveGroup(_))
    }

    /// The account that it is about.
    pub const fn account(&self) -> &AccountName {
        match self {
            Self::Freeze(subject) | Self::EndSessions(subject) => &subject.name,
            Self::SetFields(fields) | Self::RestoreFields(fields) => &fields.account,
            Self::RemoveKeys(keys) | Self::RestoreKeys(keys) => &keys.account,
            Self::LeaveGroup(members) | Self::RestoreMembers(members) => &members.account,
            Self::DenySudo(account) | Self::AllowSudo(account) => account,
        }
    }

    /// The change in words.
    pub fn step(&self) -> Step {
        let (kind, target, detail) = match self {
            Self::Freeze(subject) => (
                StepKind::FreezeProcesses,
                format!("processes of {}", subject.name),
                format!("stop {}", reach(subject)),
            ),
            Self::EndSessions(subject) => (
                StepKind::EndSessions,
                format!("processes of {}", subject.name),
                format!("end {}", reach(subject)),
            ),
            Self::SetFields(fields) => (
                if fields.expiry.is_empty() {
                    StepKind::LockPassword
                } else {
                    StepKind::ExpireAccount
                },
                fields.file.path().display().to_string(),
                in_words(fields, "lock the password", "set the expiry to 1"),
            ),
            Self::RestoreFields(fields) => (
                StepKind::Restore,
                fields.file.path().display().to_string(),
                in_words(fields, "unlock the password", "put the expiry back"),
            ),
            Self::RemoveKeys(keys) => (
                StepKind::RemoveKeys,
                crate::sshd::printable::printable(&keys.path),
                format!("take out {}", lines(&keys.lines)),
            ),
            Self::RestoreKeys(keys) => (
                StepKind::Restore,
                crate::sshd::printable::printable(&keys.path),
                format!("put back {}", lines(&keys.lines)),
            ),
            Self::LeaveGroup(members) => (
                StepKind::LeaveGroup,
                members.file.path().display().to_string(),
                format!(
                    "take {} out of {}",
                    members.account,
                    lists(&members.changes)
                ),
            ),
            Self::RestoreMembers(members) => (
                StepKind::Restore,
                members.file.path().display().to_string(),
                format!(
                    "put {} back into {}",
                    members.account,
                    lists(&members.changes)
                ),
            ),
            Self::DenySudo(account) => (
                StepKind::DenySudo,
                denial::FILE.to_owned(),
                format!("a rule that {account} may do nothing"),
            ),
            Self::AllowSudo(account) => (
                StepKind::Restore,
                denial::FILE.to_owned(),
                format!("take away the rule that {account} may do nothing"),
            ),
        };
        Step {
            kind,
            target,
            detail,
        }
    }
}

fn reach(subject: &Subject) -> String {
    match subject.scope {
        _ if let Some(only) = &subject.only => {
            let served = only.leaders.iter();
            let served =
                served.map(|leader| format!("the connection that sshd {} serves", leader.pid));
            let left = only.left_behind.iter();
            let left = left.map(|id| format!("what is left of session {}", id.escape_default()));
            let all: Vec<String> = served.chain(left).collect();
            all.join(", ")
        }
        Scope::WholeUid => format!("everything that runs as uid {}", subject.uid),
        Scope::SessionsOnly => format!("the login sessions of {} only", subject.name),
    }
}

fn in_words(fields: &KeptFields, password: &str, expiry: &str) -> String {
    let mut what = Vec::new();
    if !fields.locks.is_empty() {
        what.push(password);
    }
    if !fields.expiry.is_empty() {
        what.push(expiry);
    }
    format!("{}: {}", fields.account, what.join(", "))
}

fn lists(changes: &[ListChange]) -> String {
    let in_words = |change: &ListChange| {
        let list = match change.list {
            List::Members => "members",
            List::Administrators => "administrators",
        };
        let group = crate::sshd::printable::printable(&change.group);
        format!("the {list} of {group} (line {})", change.line)
    };
    let words: Vec<String> = changes.iter().take(20).map(in_words).collect();
    let more = match changes.len().saturating_sub(20) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    words.join(", ") + &more
}

fn lines(lines: &[RemovedLine]) -> String {
    let numbers: Vec<String> = lines.iter().take(20).map(|l| l.line.to_string()).collect();
    let more = match lines.len().saturating_sub(20) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let word = if lines.len() == 1 { "line" } else { "lines" };
    format!("key {word} {}{more}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::host::expiry::ExpiryChange;
    use crate::host::lock::AccountFile;
    use crate::host::password::PasswordLock;

    use super::*;

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    /// A line with the Ed25519 key of 32 equal bytes.
    fn line(byte: u8) -> String {
        let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", [byte; 32].as_slice()].concat();
        format!("ssh-ed25519 {} key {byte}\n", STANDARD.encode(blob))
    }

    fn key(byte: u8) -> KeyFingerprint {
        key_of(line(byte).as_bytes()).unwrap()
    }

    fn key_of(line: &[u8]) -> Option<KeyFingerprint> {
        let file = KeyFile::parse(line);
        file.keys().next().map(|key| key.fingerprint)
    }

    fn alices() -> Subject {
        Subject {
            name: name("alice"),
            uid: 1000,
            gid: 1000,
            subuids: Vec::new(),
            scope: Scope::WholeUid,
            only: None,
        }
    }

    /// Alice with a password, an expiry, a key file of her own and one she shares, and a session.
    fn alice() -> Seen {
        let file = |path: &str, shared, text: &str| KeyFileSeen {
            path: path.into(),
            account: name("alice"),
            shared,
            file: KeyFile::parse(text.as_bytes()),
        };
        Seen {
            opened: Vec::new(),
            fields: vec![KeptFields {
                file: AccountFile::Shadow,
                account: name("alice"),
                locks: vec![PasswordLock {
                    nth: 0,
                    line: 3,
                    added: true,
                    was_empty: false,
                }],
                expiry: vec![ExpiryChange {
                    nth: 0,
                    line: 3,
                    previous: b"20000".to_vec(),
                    written: b"1".to_vec(),
                    fields: 9,
                }],
            }],
            key_files: vec![
                file(
                    "/home/alice/.ssh/authorized_keys",
                    false,
                    &format!("{}# work\n{}", line(1), line(2)),
                ),
                file("/etc/ssh/everybody", true, &line(1)),
            ],
            alive: Some(alices()),
            ..Seen::default()
        }
    }

    fn words(plan: &Plan) -> Vec<String> {
        let steps = plan.steps();
        steps
            .iter()
            .map(|step| format!("{} | {}", step.target, step.detail))
            .collect()
    }

    #[test]
    fn disabling_freezes_first_and_ends_last_and_leaves_shared_files_alone() {
        assert_eq!(
            words(&disable(&alice())),
            [
                "processes of alice | stop everything that runs as uid 1000",
                "/etc/shadow | alice: lock the password, set the expiry to 1",
                "/home/alice/.ssh/authorized_keys | take out key lines 1, 3",
                "processes of alice | end everything that runs as uid 1000",
            ]
        );
    }

    #[test]
    fn what_is_as_ordered_needs_no_change() {
        let mut seen = alice();
        seen.alive = None;
        seen.fields.clear();
        seen.key_files.remove(0);
        assert_eq!(disable(&seen), Plan::default());
        assert_eq!(revoke_key(key(9), true, &alice()), Plan::default());
    }

    #[test]
    fn revoking_a_key_takes_it_out_of_shared_files_once() {
        let mut seen = alice();
        let mut twice = seen.key_files[1].clone();
        twice.account = name("bob");
        seen.key_files.push(twice);
        assert_eq!(
            words(&revoke_key(key(1), true, &seen)),
            [
                "/home/alice/.ssh/authorized_keys | take out key line 1",
                "/etc/ssh/everybody | take out key line 1",
            ]
        );
        assert_eq!(
            words(&revoke_key(key(1), false, &seen)),
            ["/home/alice/.ssh/authorized_keys | take out key line 1"]
        );
    }

    #[test]
    fn a_key_file_of_any_size_does_not_keep_the_rest_from_being_done() {
        let mut seen = alice();
        let huge = line(1).repeat(TAKEN_BYTES_MAX / line(1).len() + 1);
        seen.key_files.push(KeyFileSeen {
            path: b"/home/alice/.ssh/authorized_keys2".to_vec(),
            account: name("alice"),
            shared: false,
            file: KeyFile::parse(huge.into_bytes()),
        });
        let mut plan = disable(&seen);
        let put_off = plan.put_off(true);
        let file = "/home/alice/.ssh/authorized_keys2";
        assert_eq!(put_off.what.len(), 1);
        assert!(put_off.what[0].starts_with(file), "{put_off:?}");
        assert!(!put_off.can_follow);
        assert_eq!(plan, disable(&alice()));
        assert_eq!(plan.put_off(true), PutOff::default());
        assert_eq!(disable(&seen).put_off(false), PutOff::default());

        // Ten thousand files are taken in several rounds.
        let mut seen = alice();
        let one = seen.key_files[0].clone();
        seen.key_files = (0..10_000)
            .map(|n| KeyFileSeen {
                path: format!("/home/u{n}/.ssh/authorized_keys").into_bytes(),
                ..one.clone()
            })
            .collect();
        let mut plan = revoke_key(key(1), true, &seen);
        let put_off = plan.put_off(true);
        assert_eq!(plan.changes.len() + put_off.what.len(), 10_000);
        assert!(put_off.can_follow && plan.changes.len() > 2_000);
        let event = rescind_protocol::evidence::Event::Planned {
            order: rescind_protocol::name::OrderId::from_bytes([0; 16]),
            steps: plan.steps(),
        };
        let bytes = rescind_protocol::cbor::to_vec(&event).len();
        assert!(
            bytes < rescind_protocol::evidence::RECORD_BYTES_MAX - 1024,
            "{bytes}"
        );
    }

    #[test]
    fn a_release_gives_back_what_was_taken_except_what_others_forbid() {
        let kept = disable(&alice()).kept();
        let nobody = |_: &AccountName| false;
        let key_of_line = key_of;
        let revoked = |_: &AccountName, found| found == key(2);
        let (plan, held) = restore(
            kept.clone(),
            &Forbidden {
                account: &nobody,
                key_of_line: &key_of_line,
                key: &revoked,
                member: &|_, _| false,
                sudo: &nobody,
            },
        );
        assert_eq!(
            words(&plan),
            [
                "/home/alice/.ssh/authorized_keys | put back key line 1",
                "/etc/shadow | alice: unlock the password, put the expiry back",
            ]
        );
        assert_eq!(held.keys[0].lines.len(), 1);
        assert_eq!(held.fields, []);

        let alice_too = |account: &AccountName| *account == name("alice");
        let (plan, held) = restore(
            kept.clone(),
            &Forbidden {
                account: &alice_too,
                key_of_line: &key_of_line,
                key: &revoked,
                member: &|_, _| false,
                sudo: &nobody,
            },
        );
        assert_eq!(plan, Plan::default());
        assert_eq!(held, kept);
    }
}
