//! What root and other accounts run or read: what every host has, and what jobs and units say.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

use super::ground::Ground;
use crate::deferred::cron::{self, Kind};
use crate::deferred::programs::Named;
use crate::deferred::unit_set::Unit;
use crate::escalation::ground::{FILE, Wants, is_of_interest};
use crate::escalation::read_by_root::{AT_LOGIN, FILES_OF, PLACES, Place};
use crate::escalation::runs::Run;
use crate::escalation::steps::{Means, Sure};
use crate::host::account::{Account, shell_refuses};
use crate::host::accounts::Accounts;
use crate::host::root::HostRoot;
use crate::orders::acting::JobTables;
use crate::paths::account_state::{self, Judge};
use crate::paths::verdict::Checks;

/// Names in one directory whose files are all run.
const NAMES_MAX: usize = 4096;
/// Things that run, of all kinds.
const RUNS_MAX: usize = 50_000;
/// Accounts whose homes are looked at.
const HOMES_MAX: usize = 2_000;

/// What there is, and what is not known of it.
#[derive(Default)]
pub struct Found {
    /// Those with which anybody but their account could do anything.
    pub runs: Vec<Run>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// There are more than were looked at.
    pub cut: bool,
}

/// Something that may be of interest.
struct Candidate {
    to: AccountName,
    uid: u32,
    path: Vec<u8>,
    wants: Wants,
    told: Told,
}

/// What is to be told of something that runs.
#[derive(Clone)]
pub(super) struct Told {
    /// What is done with it.
    pub what: String,
    /// Whether it is done by itself.
    pub sure: Sure,
    /// Where that is configured.
    pub source: Option<Source>,
}

impl Told {
    /// With no place of its own.
    pub fn new(what: &str, sure: Sure) -> Self {
        Self {
            what: what.to_owned(),
            sure,
            source: None,
        }
    }
}

/// Collects them all.
pub fn collect(
    root: &HostRoot,
    accounts: &Accounts,
    jobs: &JobTables<'_>,
    units: &[Unit],
    ground: &Ground,
    today: i64,
) -> Found {
    let mut collecting = Collecting {
        root,
        accounts,
        ground,
        kind: jobs.daemon.unwrap_or(Kind::Debian),
        today,
        candidates: Vec::new(),
        found: Found::default(),
    };
    if let Some(superuser) = accounts.superusers().first() {
        collecting.places(superuser);
        collecting.anacron(superuser, jobs);
        collecting.units(superuser, units);
    }
    collecting.cron(jobs);
    collecting.homes();
    collecting.finish()
}

/// Collects what jobs and units run, and nothing else.
pub fn collect_jobs(
    root: &HostRoot,
    accounts: &Accounts,
    jobs: &JobTables<'_>,
    units: &[Unit],
    ground: &Ground,
    today: i64,
) -> Found {
    let mut collecting = Collecting {
        root,
        accounts,
        ground,
        kind: jobs.daemon.unwrap_or(Kind::Debian),
        today,
        candidates: Vec::new(),
        found: Found::default(),
    };
    if let Some(superuser) = accounts.by_uid(0).first() {
        collecting.anacron(superuser, jobs);
        collecting.units(superuser, units);
    }
    collecting.cron(jobs);
    collecting.finish()
}

/// What is being collected.
pub(super) struct Collecting<'c> {
    root: &'c HostRoot,
    pub(super) accounts: &'c Accounts,
    ground: &'c Ground,
    kind: Kind,
    pub(super) today: i64,
    candidates: Vec<Candidate>,
    pub(super) found: Found,
}

impl Collecting<'_> {
    pub(super) fn add(&mut self, to: &Account, path: Vec<u8>, wants: Wants, told: &Told) {
        if self.candidates.len() >= RUNS_MAX {
            self.found.cut = true;
            return;
        }
        self.candidates.push(Candidate {
            to: to.name.clone(),
            uid: to.uid,
            path,
            wants,
            told: told.clone(),
        });
    }

    /// What every host has.
    fn places(&mut self, superuser: &Account) {
        for place in PLACES {
            let path = place.path.as_bytes().to_vec();
            self.add(
                superuser,
                path,
                place.wants,
                &Told::new(place.what, place.sure),
            );
        }
        for Place {
            path,
            wants,
            what,
            sure,
        } in FILES_OF
        {
            for name in self.names(Path::new(path)) {
                let file = [path.as_bytes(), b"/", &name].concat();
                self.add(superuser, file, *wants, &Told::new(what, *sure));
            }
        }
    }

    fn names(&mut self, directory: &Path) -> Vec<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        match self.root.read_dir(directory, NAMES_MAX) {
            Ok(names) => names.into_iter().map(OsStringExt::into_vec).collect(),
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => {
                self.found.gaps.push(error.to_string());
                Vec::new()
            }
        }
    }

    /// What a command runs, as an account.
    pub(super) fn named(&mut self, to: &Account, named: &[Named], path: &[u8], told: &Told) {
        let join = |above: &[u8], name: &[u8]| [above, b"/", name].concat();
        for one in named {
            match one {
                Named::Path(path) => {
                    self.add(to, path.clone(), FILE, told);
                }
                Named::Below(directory, name) => {
                    let above = directory.as_deref().unwrap_or(&to.home);
                    let name = name.strip_prefix(b"./").unwrap_or(name);
                    self.add(to, join(above, name), FILE, told);
                }
                Named::InPath(name) => {
                    // The first that is there is run, and one that is put before it.
                    for above in path.split(|byte| *byte == b':') {
                        let file = join(above, name);
                        let there =
                            matches!(self.ground.look(&file), Ok(Some(way)) if way.end.is_some());
                        self.add(to, file, FILE, told);
                        if there {
                            break;
                        }
                    }
                }
                Named::AllIn(directory) => {
                    let wants = Wants { into: true, ..FILE };
                    self.add(to, directory.clone(), wants, told);
                    let path = Path::new(std::ffi::OsStr::from_bytes(directory));
                    for name in self.names(path) {
                        if cron::run_parts_takes(self.kind, &name) {
                            let wants = Wants {
                                executable: true,
                                ..FILE
                            };
                            let file = join(directory, &name);
                            self.add(to, file, wants, told);
                        }
                    }
                }
            }
        }
    }

    /// What shells run at login, of those who can log in to one.
    fn homes(&mut self) {
        let people = self.accounts.iter().filter(|account| {
            account.uid != 0 && !shell_refuses(&account.shell) && account.home.len() > 1
        });
        // Who is expired does not log in.
        let people = people.filter(|account| {
            let mut checks = Checks::default();
            account_state::check_expiry(account, Judge::Pam, self.today, &mut checks);
            !checks.is_closed()
        });
        let people: Vec<Account> = people.take(HOMES_MAX + 1).collect();
        self.found.cut |= people.len() > HOMES_MAX;
        for account in people.iter().take(HOMES_MAX) {
            let what = format!("and the shell of {} runs it at login", account.name);
            let told = Told::new(&what, Sure::Likely);
            let wants = Wants { into: true, ..FILE };
            self.add(account, account.home.clone(), wants, &told);
            for name in AT_LOGIN {
                let file = [account.home.as_slice(), b"/", name.as_bytes()].concat();
                self.add(account, file, FILE, &told);
            }
        }
    }

    /// Looks at all of it, and keeps what anybody else could have a grip on.
    fn finish(mut self) -> Found {
        let paths = self
            .candidates
            .iter()
            .map(|candidate| candidate.path.clone());
        self.ground.look_at(paths.collect());
        for candidate in self.candidates {
            let way = match self.ground.look(&candidate.path) {
                Ok(Some(way)) => way,
                Ok(None) => continue,
                Err(why) => {
                    if !self.found.gaps.contains(&why) {
                        self.found.gaps.push(why);
                    }
                    continue;
                }
            };
            if is_of_interest(&way, candidate.uid) {
                self.found.runs.push(Run {
                    to: candidate.to,
                    path: candidate.path,
                    way,
                    wants: candidate.wants,
                    what: candidate.told.what,
                    means: Means::Writes,
                    source: candidate.told.source,
                    sure: candidate.told.sure,
                });
            }
        }
        self.found
    }
}
