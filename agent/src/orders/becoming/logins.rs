//! Logins from the host to itself: private keys that lie on it, key files that others can change, and
//! those for whom it vouches.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rescind_protocol::name::KeyFingerprint;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};

use super::ground::Ground;
use crate::escalation::ground::{FILE, Wants, is_of_interest};
use crate::escalation::logins::{HeldKey, Vouched};
use crate::escalation::runs::Run;
use crate::escalation::steps::{Means, Sure};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::root::HostRoot;
use crate::orders::key_files::UserFiles;
use crate::orders::reading::Reading;
use crate::paths;
use crate::paths::evaluate::trusted_hosts;
use crate::paths::facts::{Found, KeyFileFacts, KeyFiles, Ownership, ReadAs};
use crate::paths::strict_modes::GroupIs;
use crate::secrets::{self, Fingerprint, Kind, Limits, Marker, PublicMark};
use crate::sshd::include::ReadProblem;
use crate::sshd::k5login::local_name;
use crate::sshd::printable::printable;
use crate::sshd::rhosts::Who;

/// How long keys are looked for.
const SURVEY_TIME: Duration = Duration::from_secs(10);
/// Accounts whose key files and trusted hosts are looked at.
const ACCOUNTS_MAX: usize = 2_000;
/// Gaps that are told.
const GAPS_MAX: usize = 20;

/// The private keys that lie on the host and log in to it, and what could not be looked at.
pub fn keys(
    reading: &mut Reading<'_>,
    ground: &Ground,
    accounts: &Accounts,
) -> (Vec<HeldKey>, Vec<String>) {
    if reading.sshds.is_empty() {
        return (Vec::new(), Vec::new());
    }
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
    let mut gaps: Vec<String> = not_read
        .filter(|not| may_hold_keys(&not.path) || whole(&not.path))
        .take(GAPS_MAX)
        .map(|not| format!("{} {}", printable(&not.path), not.reason.why))
        .collect();
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
        let Ok(Some(way)) = ground.look(&found.path) else {
            continue;
        };
        let accepted = judged
            .entry(key)
            .or_insert_with(|| accepted(reading, key, &mut gaps));
        for path in accepted.iter() {
            keys.push(HeldKey {
                path: found.path.clone(),
                way: Rc::clone(&way),
                encrypted: found.encrypted,
                to: path.account.clone(),
                reason: path.reason.clone(),
                source: path.source.clone(),
                sure: sure(path),
            });
        }
    }
    (keys, gaps)
}

/// The ways in with a key, for whomever it is accepted.
fn accepted(
    reading: &mut Reading<'_>,
    key: KeyFingerprint,
    gaps: &mut Vec<String>,
) -> Vec<AccessPath> {
    let with_key = reading.with_key(key, None);
    gaps.extend(with_key.gaps.iter().take(GAPS_MAX).cloned());
    let holders = with_key.holders.iter();
    let paths = holders.flat_map(|holder| reading.ways_in(holder, None));
    paths
        .filter(|path| path.fingerprint == Some(key) && path.mechanism == Mechanism::SshPublicKey)
        .filter(|path| path.state != PathState::Closed)
        .collect()
}

/// Whether a login with a key that is accepted is one to everything the account can do.
fn sure(path: &AccessPath) -> Sure {
    let limited = [", for one command", ", from ", "(when the connection is"];
    match path.state {
        PathState::Open if limited.iter().any(|words| path.reason.contains(words)) => Sure::Unknown,
        PathState::Open => Sure::Yes,
        _ => Sure::Unknown,
    }
}

/// The key files that others than their accounts can change, so that sshd takes keys of theirs.
pub fn key_files(
    reading: &mut Reading<'_>,
    ground: &Ground,
    accounts: &Accounts,
) -> (Vec<Run>, bool) {
    let people: Vec<Account> = accounts.iter().take(ACCOUNTS_MAX + 1).collect();
    let cut = people.len() > ACCOUNTS_MAX;
    let mut wanted: Vec<(&Account, Vec<u8>)> = Vec::new();
    for account in people.iter().take(ACCOUNTS_MAX) {
        for file in reading.key_files_in_force(account).0 {
            wanted.push((account, file.path.as_os_str().as_bytes().to_vec()));
        }
    }
    ground.look_at(wanted.iter().map(|(_, path)| path.clone()).collect());
    let mut runs = Vec::new();
    for (account, path) in wanted {
        let Ok(Some(way)) = ground.look(&path) else {
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

/// Those who are let in as another because this host, or Kerberos, says who they are.
pub fn vouched(reading: &mut Reading<'_>, accounts: &Accounts, root: &HostRoot) -> Vec<Vouched> {
    let uses = |setting: &str| {
        let configs = reading
            .sshds
            .iter()
            .filter_map(|sshd| sshd.config.as_ref().ok());
        configs.flat_map(|config| config.files()).any(|file| {
            let text = root
                .read(file, 1 << 20)
                .map(|file| file.bytes)
                .unwrap_or_default();
            let lower = text.to_ascii_lowercase();
            memchr::memmem::find(&lower, setting.as_bytes()).is_some()
        })
    };
    let (hostbased, kerberos) = (
        uses("hostbasedauthentication"),
        uses("gssapiauthentication"),
    );
    let mut all = Vec::new();
    let people: Vec<Account> = match hostbased || kerberos {
        true => accounts.iter().take(ACCOUNTS_MAX).collect(),
        false => Vec::new(),
    };
    let this_host = match hostbased && signs_for_users(root) {
        true => names_of_this_host(root),
        false => BTreeSet::new(),
    };
    for account in &people {
        if !this_host.is_empty() {
            let trusted = reading.with_facts(account, None, |facts, files| {
                trusted_hosts(account, facts, files)
            });
            for one in trusted {
                let (Who::Named(host), Some(Who::Named(user))) = (&one.entry.host, &one.entry.user)
                else {
                    continue;
                };
                let from = std::str::from_utf8(user)
                    .ok()
                    .and_then(|name| name.parse().ok());
                let Some(from) = from.filter(|_| this_host.contains(&host.to_ascii_lowercase()))
                else {
                    continue;
                };
                if one.verdict.state == PathState::Closed {
                    continue;
                }
                all.push(Vouched {
                    from,
                    to: account.name.clone(),
                    means: Means::HostBased,
                    reason: format!("this host is trusted: {}", one.verdict.reason),
                    source: Some(one.source()),
                    sure: match one.verdict.state {
                        PathState::Open => Sure::Yes,
                        _ => Sure::Unknown,
                    },
                });
            }
        }
        if kerberos {
            all.extend(principals(reading, account));
        }
    }
    all
}

/// The accounts whose namesakes Kerberos lets in as another.
fn principals(reading: &mut Reading<'_>, account: &Account) -> Vec<Vouched> {
    let paths = reading.ways_in(account, None).into_iter();
    let by_kerberos = paths
        .filter(|path| path.mechanism == Mechanism::SshGssapi && path.state != PathState::Closed);
    by_kerberos
        .filter_map(|path| {
            let principal = path.reason.split(' ').next()?;
            let name = local_name(principal.as_bytes()).filter(|_| principal.contains('@'))?;
            Some(Vouched {
                from: std::str::from_utf8(name).ok()?.parse().ok()?,
                to: account.name.clone(),
                means: Means::Kerberos,
                reason: path.reason.clone(),
                source: path.source,
                sure: Sure::Unknown,
            })
        })
        .collect()
}

/// Whether the host signs for its users (ssh-keysign(8)): it has to be enabled for all hosts.
fn signs_for_users(root: &HostRoot) -> bool {
    let mut files = vec![PathBuf::from("/etc/ssh/ssh_config")];
    let more = root.read_dir(Path::new("/etc/ssh/ssh_config.d"), 1024);
    let more = more.unwrap_or_default().into_iter();
    files.extend(more.map(|name| Path::new("/etc/ssh/ssh_config.d").join(name)));
    files.iter().any(|path| {
        let text = root.read(path, 1 << 20).map(|file| file.bytes);
        let text = text.unwrap_or_default().to_ascii_lowercase();
        text.split(|byte| *byte == b'\n').any(|line| {
            let mut words = line
                .split(|byte| byte.is_ascii_whitespace() || *byte == b'=')
                .filter(|word| !word.is_empty());
            words.next() == Some(b"enablesshkeysign") && words.next() == Some(b"yes")
        })
    })
}

/// Names and addresses by which the host reaches itself.
fn names_of_this_host(root: &HostRoot) -> BTreeSet<Vec<u8>> {
    let mut names: BTreeSet<Vec<u8>> = [&b"localhost"[..], b"127.0.0.1", b"::1"]
        .iter()
        .map(|name| name.to_vec())
        .collect();
    if let Some(name) = crate::config::host_name(root.path()) {
        names.insert(name.as_str().to_ascii_lowercase().into_bytes());
    }
    let hosts = root.read(Path::new("/etc/hosts"), 1 << 20);
    let hosts = hosts
        .map(|file| file.bytes)
        .unwrap_or_default()
        .to_ascii_lowercase();
    for line in hosts.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words: Vec<&[u8]> = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect();
        if words.iter().any(|word| names.contains(*word)) {
            names.extend(words.iter().map(|word| word.to_vec()));
        }
    }
    names
}
