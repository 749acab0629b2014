//! The paths of one mechanism, so many of them and no more.

use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source};

use super::verdict::Verdict;
use crate::host::account::Account;
use crate::sshd::printable::printable_path;

/// The most paths of one mechanism that are told one by one: a crontab may have thousands of lines.
pub const ROWS_MAX: usize = 64;

/// Paths of one mechanism of one account.
pub struct Rows<'a> {
    account: &'a Account,
    mechanism: Mechanism,
    rows: Vec<AccessPath>,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub const fn new(account: &'a Account, mechanism: Mechanism) -> Self {
        Self {
            account,
            mechanism,
            rows: Vec::new(),
        }
    }

    /// Adds one.
    pub fn add(&mut self, verdict: Verdict, file: &Path, line: Option<u32>) {
        self.rows.push(AccessPath {
            account: self.account.name.clone(),
            uid: self.account.uid,
            mechanism: self.mechanism,
            state: verdict.state,
            reason: verdict.reason,
            source: Some(Source {
                file: printable_path(file),
                line,
            }),
            fingerprint: None,
        });
    }

    /// Puts them among the others: those that are open come first, and of those beyond the limit
    /// how many there are, and the worst that is so of them.
    pub fn finish(mut self, to: &mut Vec<AccessPath>) {
        self.rows.sort_by_key(|path| rank(path.state));
        if self.rows.len() > ROWS_MAX {
            let rest = self.rows.split_off(ROWS_MAX - 1);
            let open = rest.iter().filter(|path| path.state == PathState::Open);
            let reason = format!("{} more like these, {} open", rest.len(), open.count());
            if let Some(worst) = rest.into_iter().next() {
                self.rows.push(AccessPath { reason, ..worst });
            }
        }
        to.append(&mut self.rows);
    }
}

const fn rank(state: PathState) -> u8 {
    match state {
        PathState::Open => 0,
        PathState::Unknown => 1,
        PathState::Closed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    #[test]
    fn what_is_open_is_never_left_out_unsaid() {
        let alice = alice();
        let mut rows = Rows::new(&alice, Mechanism::Crontab);
        for line in 0..100 {
            let verdict = match line {
                99 => Verdict::open("last"),
                _ => Verdict::closed("no"),
            };
            rows.add(verdict, Path::new("/x"), Some(line));
        }
        let mut all = Vec::new();
        rows.finish(&mut all);
        assert_eq!(all.len(), ROWS_MAX);
        assert_eq!(
            (all[0].state, all[0].reason.as_str()),
            (PathState::Open, "last")
        );
        assert_eq!(all[63].reason, "37 more like these, 0 open");
    }
}
