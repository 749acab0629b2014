//! What could not be read, as a section says it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rescind_protocol::name::AccountName;
use serde::Serialize;

use crate::host::not_read::{Cause, NotRead};
use crate::sshd::printable::{printable, printable_path};

/// The longest list of one section; beyond it there is only a count.
pub const LISTED_MAX: usize = 2000;
/// The most of it that is of one account.
pub const LISTED_PER_ACCOUNT_MAX: usize = 50;
/// The longest `why`, and the longest path.
const WHY_BYTES_MAX: usize = 400;
const PATH_BYTES_MAX: usize = 1024;

/// What one section does not cover.
#[derive(Debug, Default)]
pub struct Coverage {
    noted: BTreeSet<NotRead>,
    /// Of each account, those that were not noted any more.
    counts: BTreeMap<Option<AccountName>, usize>,
    more: u64,
}

/// The form of [`NotRead`] in a section.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    account: Option<&'a AccountName>,
    path: Option<String>,
    cause: Cause,
    why: String,
}

impl Coverage {
    /// Adds something, once.
    pub fn add(&mut self, not_read: NotRead) {
        if self.noted.contains(&not_read) {
            return;
        }
        let count = self.counts.entry(not_read.account.clone()).or_default();
        // The host's own may fill the list: no user decides how much of it there is.
        let room = not_read.account.is_none() || *count < LISTED_PER_ACCOUNT_MAX;
        if room && self.noted.len() < LISTED_MAX {
            *count += 1;
            self.noted.insert(not_read);
        } else {
            self.more += 1;
        }
    }

    /// What was left out by whoever made a list before.
    pub const fn add_unlisted(&mut self, count: u64) {
        self.more += count;
    }

    /// How much it is.
    pub fn total(&self) -> u64 {
        self.noted.len() as u64 + self.more
    }

    /// The list, in its order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.noted.iter().map(|one| Row {
            account: one.account.as_ref(),
            path: one
                .path
                .as_deref()
                .map(|path| cut(&printable_path(path), PATH_BYTES_MAX)),
            cause: one.cause,
            why: cut(&printable(one.why.as_bytes()), WHY_BYTES_MAX),
        })
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    match text.char_indices().find(|(at, _)| *at >= bytes_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The sources of accounts, besides files, that nsswitch.conf(5) names for `passwd`: who is served
/// by them is not known here.
pub fn directories(nsswitch: &[u8]) -> Vec<NotRead> {
    let lines = nsswitch.split(|byte| *byte == b'\n');
    let words = lines
        .map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default())
        .find_map(|line| line.trim_ascii_start().strip_prefix(b"passwd:"))
        .unwrap_or_default()
        .split(|byte| byte.is_ascii_whitespace());
    // `systemd` makes users up for units, `compat` says so in lines of passwd(5) itself.
    let local = |word: &&[u8]| {
        word.is_empty()
            || word.starts_with(b"[")
            || word.ends_with(b"]")
            || [&b"files"[..], b"compat", b"systemd", b"db", b"cache"].contains(word)
    };
    words
        .filter(|word| !local(word))
        .map(|word| NotRead {
            account: None,
            path: Some(PathBuf::from("/etc/nsswitch.conf")),
            cause: Cause::Directory,
            why: format!("accounts that {} serves are not listed", printable(word)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_read(account: Option<&str>, path: &str) -> NotRead {
        NotRead {
            account: account.map(|name| name.parse().unwrap()),
            path: Some(path.into()),
            cause: Cause::Hang,
            why: "x".repeat(500),
        }
    }

    #[test]
    fn one_account_cannot_fill_the_list_and_what_is_left_out_is_counted() {
        let mut coverage = Coverage::default();
        for n in 0..1000 {
            coverage.add(not_read(Some("eve"), &format!("/e/{n:04}")));
            coverage.add(not_read(Some("eve"), &format!("/e/{n:04}")));
        }
        coverage.add(not_read(Some("bob"), "/b\u{1b}"));
        let rows: Vec<_> = coverage.rows().collect();
        // Those of Eve's that were not listed are counted each time they are seen.
        assert_eq!(rows.len(), LISTED_PER_ACCOUNT_MAX + 1);
        assert!(coverage.total() >= 1001);
        assert_eq!(rows[0].path.as_deref(), Some("/b\\u{1b}"));
        assert_eq!(rows[0].why.chars().count(), WHY_BYTES_MAX + 1);
    }

    #[test]
    fn who_serves_accounts_besides_files() {
        let of = |text: &str| -> Vec<String> {
            let found = directories(text.as_bytes());
            found.into_iter().map(|one| one.why).collect()
        };
        assert_eq!(
            of("passwd: files systemd\ngroup: sss\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            of("# passwd: x\n passwd:\tfiles [NOTFOUND=return] sss ldap # nis\n"),
            [
                "accounts that sss serves are not listed",
                "accounts that ldap serves are not listed"
            ]
        );
        assert_eq!(of(""), Vec::<String>::new());
    }
}
