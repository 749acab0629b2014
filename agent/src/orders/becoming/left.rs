//! What an account leaves to others when it is closed: what it can change and others run, and its
//! setuid programs.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ground::Ground;
use super::{runs, setids};
use crate::escalation::runs::{Run, by_runs};
use crate::escalation::steps::Step;
use crate::host::account::Account;
use crate::orders::host::HostError;
use crate::orders::reading::{self, Reading};

/// Looking at every program that jobs and units run takes longer than all else that an order needs,
/// so orders that follow each other at once share a look.
const SHARED: Duration = Duration::from_secs(2);

/// What one account leaves.
pub struct Left {
    /// What jobs and units run as root or as others, and the account can change or could: what it
    /// has left there is run on, whether or not it gets in.
    pub runs: Vec<Step>,
    /// Its setuid programs.
    pub setuid: Vec<Vec<u8>>,
    /// What could not be read.
    pub gaps: Vec<String>,
}

/// What all accounts leave.
pub struct Leftovers {
    seen: Instant,
    ground: Ground,
    runs: Vec<Run>,
    setuid: BTreeMap<u32, Vec<Vec<u8>>>,
    gaps: Vec<String>,
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leftovers")
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

impl Leftovers {
    /// Looks for them, unless that was done a moment ago.
    pub fn of(reading: &mut Reading<'_>, known: Option<Self>) -> Result<Self, HostError> {
        if let Some(known) = known.filter(|known| known.seen.elapsed() < SHARED) {
            return Ok(known);
        }
        let now = reading::now();
        let acting = reading.all_acting();
        let (accounts, root) = (Rc::clone(&reading.accounts), Rc::clone(reading.root()));
        let ground = Ground::new(&root)?;
        let jobs = acting.job_tables(&accounts, &root);
        let (units, _) = reading.units(now);
        let today = now.div_euclid(86_400);
        let found = runs::collect_jobs(&root, &accounts, &jobs, &units, &ground, today);
        let mut gaps = found.gaps;
        let setuid = setids::by_owner(&root, &ground, &mut gaps);
        Ok(Self {
            seen: Instant::now(),
            ground,
            runs: found.runs,
            setuid,
            gaps,
        })
    }

    /// Those of one account; its home is looked at now.
    pub fn left_by(&self, account: &Account) -> Left {
        let mut setuid = self.setuid.get(&account.uid).cloned().unwrap_or_default();
        setuid.extend(setids::in_home(account, &self.ground));
        Left {
            runs: by_runs(account, &self.runs),
            setuid,
            gaps: self.gaps.clone(),
        }
    }
}
