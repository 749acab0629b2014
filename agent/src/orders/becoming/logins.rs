//! Logins from the host to itself: private keys that lie on it, and key files that others can change.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rescind_protocol::name::KeyFingerprint;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};

use super::gaps::Gaps;
use super::ground::Ground;
use crate::escalation::ground::{FILE, Wants, is_of_interest};
use crate::escalation::logins::HeldKey;
use crate::escalation::runs::Run;
use crate::escalation::steps::{Means, Sure};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::orders::key_files::UserFiles;
use crate::orders::reading::Reading;
use crate::paths;
use crate::paths::facts::{Found, KeyFileFacts, KeyFiles, Ownership, ReadAs};
use crate::paths::strict_modes::GroupIs;
use crate::paths::verdict::is_limited;
use crate::secrets::{self, Fingerprint, Kind, Limits, Marker, PublicMark};
use crate::sshd::include::ReadProblem;
use crate::sshd::printable::printable;

/// How long keys are looked for.
const SURVEY_TIME: Duration = Duration::from_secs(10);
/// Accounts whose key files and trusted hosts are looked at.
pub(super) const ACCOUNTS_MAX: usize = 2_000;

/// The private keys that lie on the host and log in to it.
pub fn keys(
    reading: &mut Reading<'_>,
    ground: &Ground,
    accounts: &Accounts,
    gaps: &mut Vec<String>,
) -> Vec<HeldKey> {
    if reading.sshds.is_empty() {
        return Vec::new();
    }
    let mut not_known = Gaps::default();
    let all: Vec<Account> = accounts.iter().collect();
    let limits = Limits {
        total: SURVEY_TIME,
        ..Limits::default()
    };
    // What is guessable is of no use here, so that the key under which it is hashed does not matter.
    let marker = Marker::new(&[0; 32]);
    let (findings, coverage) = secrets::survey(&mut ground.homes(), &all, &marker, limits);
    // Of all that the survey looks at, only what may be a key.
    let may_hold_keys = |path: &[u8]| memchr::memmem::find(path, b"/.ssh").is_some();
    let whole = |path: &[u8]| all.iter().any(|account| account.home == path);
    let not_read = coverage.not_read.listed.iter();
    for not in not_read.filter(|not| may_hold_keys(&not.path) || whole(&not.path)) {
        not_known.add(format!("{} {}", printable(&not.path), not.reason.why));
    }
    let held = findings.iter().filter_map(|found| match found.fingerprint {
        Fingerprint::Public(PublicMark::Ssh(key)) if found.kind == Kind::PrivateKey => {
            Some((key, found))
        }
        _ => None,
    });
    let held: Vec<_> = held.collect();
    let fingerprints: BTreeSet<KeyFingerprint> = held.iter().map(|(key, _)| *key).collect();
    reading.expect_keys(fingerprints, None);
    ground.look_at(held.iter().map(|(_, found)| found.path.clone()).collect());
    let mut keys = Vec::new();
    let mut judged: BTreeMap<KeyFingerprint, Vec<AccessPath>> = BTreeMap::new();
    for (key, found) in held {
        // Where there is none, it is gone since it was read.
        let Some(Some(way)) = not_known.known(ground.look(&found.path)) else {
            continue;
        };
        let accepted = judged
            .entry(key)
            .or_insert_with(|| accepted(reading, key, &mut not_known));
        for path in accepted.iter() {
            keys.push(HeldKey {
                path: found.path.clone(),
                way: Rc::clone(&way),
                encrypted: found.encrypted,
                to: path.account.clone(),
                reason: path.reason.clone(),
                source: path.source.clone(),
                sure: sure(path.state, &path.reason),
            });
        }
    }
    gaps.extend(not_known.told("private keys"));
    keys
}

/// The ways in with a key, for whomever it is accepted.
fn accepted(reading: &mut Reading<'_>, key: KeyFingerprint, gaps: &mut Gaps) -> Vec<AccessPath> {
    let with_key = reading.with_key(key, None);
    with_key.gaps.iter().for_each(|gap| gaps.add(gap.as_str()));
    let holders = with_key.holders.iter();
    let paths = holders.flat_map(|holder| reading.ways_in(holder, None));
    paths
        .filter(|path| path.fingerprint == Some(key) && path.mechanism == Mechanism::SshPublicKey)
        .filter(|path| path.state != PathState::Closed)
        .collect()
}

/// Whether a login that sshd lets in is one to everything the account can do.
pub(super) fn sure(state: PathState, reason: &str) -> Sure {
    match state {
        PathState::Open if !is_limited(reason) => Sure::Yes,
        _ => Sure::Unknown,
    }
}

/// The key files that others than their accounts can change, so that sshd takes keys of theirs.
pub fn key_files(
    reading: &mut Reading<'_>,
    ground: &Ground,
    accounts: &Accounts,
    gaps: &mut Vec<String>,
) -> (Vec<Run>, bool) {
    let mut not_known = Gaps::default();
    let people: Vec<Account> = accounts.iter().take(ACCOUNTS_MAX + 1).collect();
    let cut = people.len() > ACCOUNTS_MAX;
    let mut wanted: Vec<(&Account, Vec<u8>)> = Vec::new();
    for account in people.iter().take(ACCOUNTS_MAX) {
        let (files, unknown) = reading.key_files_in_force(account);
        unknown.into_iter().for_each(|gap| not_known.add(gap));
        for file in files {
            wanted.push((account, file.path.as_os_str().as_bytes().to_vec()));
        }
    }
    ground.look_at(wanted.iter().map(|(_, path)| path.clone()).collect());
    let mut runs = Vec::new();
    for (account, path) in wanted {
        // Where there is none, nobody can put a file there either: a directory is missing.
        let Some(Some(way)) = not_known.known(ground.look(&path)) else {
            continue;
        };
        if !is_of_interest(&way, account.uid) {
            continue;
        }
        let there = match way.end {
            Some(_) => would_open(reading, account, &path, false),
            None => None,
        };
        let fresh = would_open(reading, account, &path, true);
        let Some(opens) = fresh.as_ref().or(there.as_ref()) else {
            continue;
        };
        runs.push(Run {
            to: account.name.clone(),
            way,
            wants: Wants {
                fresh: fresh.is_some(),
                ..FILE
            },
            what: format!("and sshd takes keys for {} from it", account.name),
            means: Means::KeyFile,
            source: opens
                .source
                .clone()
                .map(|source| rescind_protocol::path::Source {
                    line: None,
                    ..source
                }),
            sure: match opens.state {
                PathState::Open => Sure::Yes,
                _ => Sure::Unknown,
            },
            path,
        });
    }
    gaps.extend(not_known.told("key files"));
    (runs, cut)
}

/// A key for the trial: of nobody.
const TRIAL: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRyaWFsdHJpYWx0cmlhbHRyaWFsdHJpYWx0cmlhbHRy trial";

/// The way in that a key would be that somebody adds to a key file: to the one that is there, or in
/// a fresh one of their own. `None` where it would be none.
fn would_open(
    reading: &mut Reading<'_>,
    account: &Account,
    path: &[u8],
    fresh: bool,
) -> Option<AccessPath> {
    let trial = crate::orders::host::key_of_line(TRIAL.as_bytes())?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
    let found = reading.with_facts(account, None, |facts, files| {
        let mut files = WithTrial {
            files,
            path: &path,
            fresh,
        };
        paths::evaluate(account, facts, &mut files)
    });
    let mut of_trial = found.into_iter().filter(|path| {
        path.fingerprint == Some(trial)
            && path.mechanism == Mechanism::SshPublicKey
            && path.state != PathState::Closed
    });
    let first = of_trial.next()?;
    match first.state {
        PathState::Open => Some(first),
        _ => Some(
            of_trial
                .find(|path| path.state == PathState::Open)
                .unwrap_or(first),
        ),
    }
}

/// Files of users, and one of them with another key in it.
struct WithTrial<'f, 'h> {
    files: &'f mut UserFiles<'h>,
    path: &'f Path,
    /// It is a file of somebody else's.
    fresh: bool,
}

impl KeyFiles for WithTrial<'_, '_> {
    fn read(
        &mut self,
        account: &Account,
        path: &Path,
        reader: ReadAs,
    ) -> Result<KeyFileFacts, ReadProblem> {
        let found = self.files.read(account, path, reader);
        if path != self.path || reader != ReadAs::Account {
            return found;
        }
        let line = [b"\n", TRIAL.as_bytes(), b"\n"].concat();
        match found {
            Ok(mut facts) => {
                facts.bytes.extend_from_slice(&line);
                if self.fresh {
                    facts.file.uid = u32::MAX;
                }
                Ok(facts)
            }
            Err(_) if self.fresh => Ok(KeyFileFacts {
                bytes: line,
                file: Ownership {
                    uid: u32::MAX,
                    mode: 0o644,
                    group: GroupIs::Shared,
                },
                directories: Vec::new(),
            }),
            Err(problem) => Err(problem),
        }
    }

    fn look(&mut self, path: &Path) -> Result<Found, ReadProblem> {
        self.files.look(path)
    }
}
