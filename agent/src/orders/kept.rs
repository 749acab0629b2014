//! What an order took, kept for its release.
//!
//! Kept in the private part of the journal's `Planned` records, which never leaves the host: key
//! lines can hold secrets in their options. It holds no password hash: locking only puts a `!` in
//! front, so the hash itself stays where it was.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use rescind_protocol::name::AccountName;

use crate::host::expiry::ExpiryChange;
use crate::host::lock::AccountFile;
use crate::host::membership::ListChange;
use crate::host::password::PasswordLock;
use crate::sshd::authorized_keys::RemovedLine;

/// Everything one order took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Kept {
    /// Fields of account files that were changed.
    #[n(0)]
    #[cbor(default)]
    pub fields: Vec<KeptFields>,
    /// Key lines that were taken out.
    #[n(1)]
    #[cbor(default)]
    pub keys: Vec<KeptKeys>,
    /// Lists of groups that named the account.
    #[n(2)]
    #[cbor(default)]
    pub members: Vec<KeptMembers>,
    /// Accounts against which a rule for sudo was written.
    #[n(3)]
    #[cbor(default)]
    pub sudo: Vec<AccountName>,
}

/// What was changed on an account's lines in one account file. Only real changes are in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeptFields {
    /// The file.
    #[n(0)]
    pub file: AccountFile,
    /// Whose lines.
    #[n(1)]
    pub account: AccountName,
    /// Password fields that got a `!`.
    #[n(2)]
    #[cbor(default)]
    pub locks: Vec<PasswordLock>,
    /// Expiry fields that were set.
    #[n(3)]
    #[cbor(default)]
    pub expiry: Vec<ExpiryChange>,
}

/// What was changed in the lists of one file that named an account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeptMembers {
    /// The file.
    #[n(0)]
    pub file: AccountFile,
    /// Who was taken out.
    #[n(1)]
    pub account: AccountName,
    /// Of which lists.
    #[n(2)]
    pub changes: Vec<ListChange>,
}

/// Key lines taken out of one file.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeptKeys {
    /// The file, as the host names it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// The account as whose file it was read.
    #[n(1)]
    pub account: AccountName,
    /// The lines.
    #[n(2)]
    pub lines: Vec<RemovedLine>,
    /// How many slots the file has for lines (`host::slots`): what others took among them.
    #[n(3)]
    pub total: u32,
    /// The slots that others hold when the lines are given back.
    #[cbor(skip)]
    pub still: BTreeSet<u32>,
}

impl std::fmt::Debug for KeptKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptKeys")
            .field("path", &String::from_utf8_lossy(&self.path))
            .field("account", &self.account)
            .field("lines", &self.lines.len())
            .finish()
    }
}

impl Kept {
    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.keys.is_empty()
            && self.members.is_empty()
            && self.sudo.is_empty()
    }

    /// Adds what a later attempt at the same order took.
    ///
    /// An attempt that was cut off may have recorded what it then did not change, and the next
    /// attempt records it again: the first record of a field is the true one, and a line is one
    /// line however often it was recorded.
    pub fn merge(&mut self, later: Self) {
        for fields in later.fields {
            let same = |known: &&mut KeptFields| {
                known.file == fields.file && known.account == fields.account
            };
            let Some(known) = self.fields.iter_mut().find(same) else {
                self.fields.push(fields);
                continue;
            };
            for lock in fields.locks {
                if known.locks.iter().all(|first| first.nth != lock.nth) {
                    known.locks.push(lock);
                }
            }
            for change in fields.expiry {
                if known.expiry.iter().all(|first| first.nth != change.nth) {
                    known.expiry.push(change);
                }
            }
        }
        for members in later.members {
            let same = |known: &&mut KeptMembers| {
                known.file == members.file && known.account == members.account
            };
            let Some(known) = self.members.iter_mut().find(same) else {
                self.members.push(members);
                continue;
            };
            for change in members.changes {
                let place = |change: &ListChange| (change.group.clone(), change.nth, change.list);
                if known
                    .changes
                    .iter()
                    .all(|first| place(first) != place(&change))
                {
                    known.changes.push(change);
                }
            }
        }
        for account in later.sudo {
            if !self.sudo.contains(&account) {
                self.sudo.push(account);
            }
        }
        for keys in later.keys {
            match self.keys.iter_mut().find(|known| known.path == keys.path) {
                None => self.keys.push(keys),
                Some(known) => {
                    for line in keys.lines {
                        if !known.lines.iter().any(|first| first.is_same(&line)) {
                            known.lines.push(line);
                        }
                    }
                    known.lines.sort_by_key(|line| line.line);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32, bytes: &[u8]) -> RemovedLine {
        RemovedLine {
            line: number,
            bytes: bytes.to_vec(),
            slot: number,
        }
    }

    #[test]
    fn a_cut_off_attempt_and_its_repetition_keep_what_was_first() {
        let fields = |added: &[u32], previous: &[u8]| KeptFields {
            file: AccountFile::Shadow,
            account: "alice".parse().unwrap(),
            locks: added
                .iter()
                .map(|nth| PasswordLock {
                    nth: *nth,
                    line: 1,
                    added: true,
                    was_empty: false,
                })
                .collect(),
            expiry: vec![ExpiryChange {
                nth: 0,
                line: 1,
                previous: previous.to_vec(),
                written: b"1".to_vec(),
                fields: 9,
            }],
        };
        let keys = |lines: Vec<RemovedLine>| KeptKeys {
            path: b"/home/alice/.ssh/authorized_keys".to_vec(),
            account: "alice".parse().unwrap(),
            lines,
            total: 3,
            still: BTreeSet::new(),
        };
        let mut kept = Kept {
            fields: vec![fields(&[0], b"")],
            keys: vec![keys(vec![line(1, b"a\n"), line(3, b"c\n")])],
            ..Kept::default()
        };
        kept.merge(Kept {
            fields: vec![fields(&[0, 1], b"20000")],
            keys: vec![keys(vec![line(3, b"c\n"), line(2, b"b\n")])],
            ..Kept::default()
        });
        assert_eq!(kept.fields, [fields(&[0, 1], b"")]);
        assert_eq!(
            kept.keys[0].lines,
            [line(1, b"a\n"), line(2, b"b\n"), line(3, b"c\n")]
        );
    }

    #[test]
    fn kept_lines_are_not_printed() {
        let keys = KeptKeys {
            path: b"/k".to_vec(),
            account: "alice".parse().unwrap(),
            lines: vec![line(1, b"environment=\"TOKEN=hunter2\" ssh-ed25519 AAAA")],
            total: 3,
            still: BTreeSet::new(),
        };
        assert!(!format!("{keys:?}").contains("hunter2"));
    }
}
