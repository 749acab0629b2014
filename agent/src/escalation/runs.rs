//! What root and other accounts run or read as a matter of course, for those who can change it.

use std::rc::Rc;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

use super::ground::{Wants, grip};
use super::steps::{Means, Step, Sure};
use crate::home::Looked;
use crate::host::account::Account;

/// A file, or any file of a directory, that acts as an account.
#[derive(Debug, Clone)]
pub struct Run {
    /// As whom.
    pub to: AccountName,
    /// Its path.
    pub path: Vec<u8>,
    /// What that path leads to.
    pub way: Rc<Looked>,
    /// What of it counts.
    pub wants: Wants,
    /// What is done with it, after a comma: `and cron runs it as root`.
    pub what: String,
    /// By what means that makes one the account.
    pub means: Means,
    /// Where that is configured.
    pub source: Option<Source>,
    /// Whether it acts when it was changed, or only when something else happens.
    pub sure: Sure,
}

/// The steps of an account by these alone.
pub fn by_runs(account: &Account, runs: &[Run]) -> Vec<Step> {
    let mut found = Vec::new();
    steps(account, runs, &mut found);
    found
}

/// The steps of an account by what it can change.
pub(super) fn steps(account: &Account, runs: &[Run], steps: &mut Vec<Step>) {
    for run in runs {
        if let Some(grip) = grip(account, &run.way, run.wants) {
            steps.push(Step {
                to: run.to.clone(),
                enters: None,
                means: run.means,
                reason: format!("{}, {}", grip.in_words(&run.path), run.what),
                source: run.source.clone(),
                sure: run.sure,
            });
        }
    }
}
