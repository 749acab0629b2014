//! The survey: every home once, then the host's own places.
//!
//! What is done with a file's bytes is in `look`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::finding::{Coverage, Finding, NotRead, Reason};
use super::kind::Kind;
use super::look::{Asked, Known, Looking, Taken};
use super::mark::{Fingerprint, Marker, PublicMark};
use super::places::{HOME, Place, SYSTEM};
use super::walk::{WalkLimits, walk};
use crate::home::{HomeChild, HomeError, Ids, Read, Why};
use crate::host::account::Account;
use crate::host::not_read::Cause;
use crate::sshd::key_line::Entry;

/// What a survey may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longer files are not read.
    pub file_bytes: u64,
    /// Of one home, and of the host's own places.
    pub walk: WalkLimits,
    /// All of one home.
    pub home: Duration,
    /// Everything; what is left then is named as not read.
    pub total: Duration,
    /// Credentials of all homes and the host; beyond these, files are named.
    pub findings: usize,
    /// Credentials of one home.
    pub home_findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 20,
            walk: WalkLimits {
                names: 4096,
                directories: (128, 512),
                files: (256, 1024),
                patience: Duration::from_secs(1),
                hangs: 2,
            },
            home: Duration::from_secs(5),
            total: Duration::from_secs(90),
            findings: 200_000,
            home_findings: 5_000,
        }
    }
}

/// Looks at all homes of `accounts` and at the host's own places.
pub fn survey(
    homes: &mut HomeChild,
    accounts: &[Account],
    marker: &Marker,
    limits: Limits,
) -> (Vec<Finding>, Coverage) {
    survey_but(homes, accounts, marker, limits, &BTreeSet::new())
}

/// The same without the homes of some uids, whose file systems are known not to answer.
pub fn survey_but(
    homes: &mut HomeChild,
    accounts: &[Account],
    marker: &Marker,
    limits: Limits,
    avoid: &BTreeSet<u32>,
) -> (Vec<Finding>, Coverage) {
    let started = Instant::now();
    let mut survey = Survey {
        homes,
        marker,
        limits,
        end: started + limits.total,
        seen: HashMap::new(),
        hung: avoid.clone(),
        findings: Vec::new(),
        coverage: Coverage::default(),
    };
    let mut by_home: BTreeMap<&[u8], Vec<&Account>> = BTreeMap::new();
    for account in accounts {
        by_home.entry(&account.home).or_default().push(account);
    }
    // The host's own first: no user can make them slow.
    survey.system();
    for (home, accounts) in by_home {
        survey.home(home, &accounts);
    }
    survey.coverage.hung = survey.hung;
    survey.coverage.took = started.elapsed();
    (survey.findings, survey.coverage)
}

struct Survey<'s> {
    homes: &'s mut HomeChild,
    marker: &'s Marker,
    limits: Limits,
    end: Instant,
    /// Each credential in each file, and which finding it is.
    seen: HashMap<Known, usize>,
    /// Uids on whose file systems an answer was waited for in vain.
    hung: BTreeSet<u32>,
    findings: Vec<Finding>,
    coverage: Coverage,
}

/// A home, or the host's root directory.
struct Home<'h> {
    owner: &'h Ids,
    path: &'h [u8],
    /// Whose home it is; nobody's for the root directory.
    accounts: &'h [&'h Account],
    limits: WalkLimits,
    /// So many findings there may be when this home has had its share.
    findings_max: usize,
    deadline: Instant,
}

const AFTER_HANGS: &str = "was not reached: others of this home did not answer";
const OUT_OF_TIME: &str = "was not reached: the time for this home was up";

impl Survey<'_> {
    fn system(&mut self) {
        let limits = WalkLimits {
            directories: (1024, 4096),
            files: (2048, 8192),
            hangs: 16,
            ..self.limits.walk
        };
        let home = Home {
            owner: &Ids::ROOT,
            path: b"/",
            accounts: &[],
            limits,
            findings_max: self.limits.findings / 2,
            deadline: (Instant::now() + self.limits.total / 2).min(self.end),
        };
        self.places(&home, SYSTEM);
    }

    fn home(&mut self, path: &[u8], accounts: &[&Account]) {
        let Some(first) = accounts.first() else {
            return;
        };
        self.coverage.homes += 1;
        self.coverage.next_home();
        let home = Home {
            owner: &Ids {
                uid: first.uid,
                gid: first.gid,
                groups: first.groups.iter().map(|group| group.gid).collect(),
            },
            path,
            accounts,
            limits: self.limits.walk,
            findings_max: self.findings.len() + self.limits.home_findings,
            deadline: (Instant::now() + self.limits.home).min(self.end),
        };
        let not = match path {
            _ if Instant::now() >= self.end => Some(Reason::time(
                "was not reached: the time for all homes was up",
            )),
            _ if self.hung.contains(&first.uid) => Some((&Why::Hung).into()),
            [b'/', ..] => None,
            _ => Some(Reason {
                cause: Cause::Error,
                why: "is no absolute path".into(),
            }),
        };
        match not {
            Some(why) => self.not_read(&home, path.to_vec(), why),
            None => self.places(&home, HOME),
        }
    }

    fn places(&mut self, home: &Home<'_>, places: &'static [Place]) {
        let walked = walk(
            self.homes,
            home.owner,
            home.path,
            places,
            home.limits,
            home.deadline,
        );
        self.coverage.directories += walked.directories;
        self.coverage.homes_missing += u32::from(walked.base_missing && !home.accounts.is_empty());
        self.note_hung(home, &walked.hung);
        for (path, why) in walked.not_read {
            self.not_read(home, path, why);
        }
        let asked = walked.wanted.into_iter().map(|wanted| Asked {
            path: wanted.path,
            read: wanted.read,
            as_root: false,
            referred: false,
        });
        let first = self.findings.len();
        self.read_all(home, asked.collect());
        self.public_halves(home, first);
    }

    /// Reads what is asked for, then what that refers to, and as root what the owner may not.
    fn read_all(&mut self, home: &Home<'_>, asked: Vec<Asked>) {
        let mut known: BTreeSet<Vec<u8>> = asked.iter().map(|asked| asked.path.clone()).collect();
        let mut asked = VecDeque::from(asked);
        let (mut referred, mut hangs) = (0, 0);
        while !asked.is_empty() {
            let why = match () {
                () if hangs >= home.limits.hangs => Some(Reason {
                    cause: Cause::Hang,
                    why: AFTER_HANGS.into(),
                }),
                () if Instant::now() >= home.deadline => Some(Reason::time(OUT_OF_TIME)),
                () => None,
            };
            if let Some(why) = why {
                for asked in asked {
                    self.not_read(home, asked.path, why.clone());
                }
                return;
            }
            let taken = self.read_batch(home, &mut asked);
            hangs += usize::from(taken.hung);
            for (path, why) in taken.not_read {
                self.not_read(home, path, why);
            }
            for refers in taken.refers {
                if !known.insert(refers.path.clone()) {
                    continue;
                }
                referred += 1;
                match referred <= home.limits.files.1 {
                    true => asked.push_back(refers),
                    false => {
                        let why = format!("is one of more than {} files", home.limits.files.1);
                        self.not_read(home, refers.path, Reason::size(why));
                    }
                }
            }
            asked.extend(taken.again);
        }
    }

    /// Where a whole home hangs, or the directory of its keys, nobody need try again after us.
    fn note_hung(&mut self, home: &Home<'_>, hung: &[Vec<u8>]) {
        let whole = [home.path.to_vec(), [home.path, b"/.ssh"].concat()];
        if !home.accounts.is_empty() && hung.iter().any(|path| whole.contains(path)) {
            self.hung.insert(home.owner.uid);
        }
    }

    /// Reads the first ones in `asked`; what time did not suffice for stays in it.
    fn read_batch(&mut self, home: &Home<'_>, asked: &mut VecDeque<Asked>) -> Taken {
        let read = |asked: &Asked| Read {
            owner: match asked.as_root {
                true => Ids::ROOT,
                false => home.owner.clone(),
            },
            path: asked.path.clone(),
            home: None,
            max_bytes: self.limits.file_bytes,
        };
        // One directory at a time: where one hangs, what lies in others can still be read.
        let first = asked.front().map(|asked| directory_of(&asked.path));
        let here = |asked: &&Asked| Some(directory_of(&asked.path)) == first;
        let count = asked.iter().take_while(here).count();
        let reads: Vec<Read> = asked.iter().take(count).map(read).collect();
        let left = home.deadline.saturating_duration_since(Instant::now());
        let patience = home.limits.patience.min(left);
        let mut taken = Taken::default();
        let mut looking = Looking {
            marker: self.marker,
            findings_max: home.findings_max.min(self.limits.findings),
            seen: &mut self.seen,
            findings: &mut self.findings,
            coverage: &mut self.coverage,
            accounts: home.accounts,
            home: home.path,
        };
        let _ = self.homes.read_many(&reads, patience, |_, result| {
            let Some(asked) = asked.pop_front() else {
                return ControlFlow::Break(());
            };
            match result {
                Ok(content) => looking.look_at(&asked, &content, &mut taken),
                Err(HomeError {
                    why: Why::Missing, ..
                }) => {}
                Err(HomeError {
                    why: Why::Denied { .. },
                    ..
                }) if !asked.as_root && home.owner.uid != 0 => {
                    taken.again.push(Asked {
                        as_root: true,
                        ..asked
                    });
                }
                Err(HomeError { why, .. }) => {
                    taken.hung |= why == Why::Hung;
                    taken.not_read.push((asked.path, (&why).into()));
                }
            }
            match Instant::now() < home.deadline {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        taken
    }

    /// Encrypted keys that do not tell their public half: a `.pub` file beside them may.
    fn public_halves(&mut self, home: &Home<'_>, from: usize) {
        let untold: Vec<usize> = (from..self.findings.len())
            .filter(|at| {
                let found = &self.findings[*at];
                let keyed = matches!(found.fingerprint, Fingerprint::Keyed(_));
                found.encrypted
                    && keyed
                    && matches!(found.kind, Kind::PrivateKey | Kind::SshHostKey)
            })
            .collect();
        for at in untold {
            if Instant::now() >= home.deadline || self.hung.contains(&home.owner.uid) {
                self.coverage.out_of_time = true;
                return;
            }
            let read = Read {
                owner: home.owner.clone(),
                path: [&self.findings[at].path[..], b".pub"].concat(),
                home: None,
                max_bytes: 64 << 10,
            };
            // There need not be one; a keyed fingerprint is an answer, too.
            let Ok(content) = self.homes.read(&read, home.limits.patience) else {
                continue;
            };
            let line = content.bytes.split(|b| *b == b'\n').next().unwrap_or(b"");
            if let Entry::Key(key) = Entry::parse_without_options(1, line) {
                let found = &mut self.findings[at];
                found.fingerprint = Fingerprint::Public(PublicMark::Ssh(key.fingerprint));
                found.from_pub_file = true;
            }
        }
    }

    fn not_read(&mut self, home: &Home<'_>, path: Vec<u8>, reason: Reason) {
        self.coverage.out_of_time |= reason.cause == Cause::Time;
        self.coverage.not_read.push(NotRead {
            account: home.accounts.first().map(|account| account.name.clone()),
            path,
            reason,
        });
    }
}

fn directory_of(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|b| *b == b'/').unwrap_or(0)]
}
