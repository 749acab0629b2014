//! What an order would touch, for the guards: whom it closes, and which ways in for root with it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::order::Action;
use rescind_protocol::path::{Mechanism, PathState};

use crate::host::account::{Account, PasswordState};
use crate::host::root::{HostRoot, ReadError};
use crate::orders::guards::{Reach, RootWays};
use crate::orders::host::HostError;
use crate::orders::reading::Reading;
use crate::orders::{Engine, EngineError};
use crate::sudoers::policy::{Answer, PasswordOf, Way};
use crate::sudoers::{self, Dialect, HostNames, Policy, ReadProblem, Sudoers, SudoersFiles};

const SUDOERS: &str = "/etc/sudoers";
const SUDOERS_BYTES_MAX: u64 = 4 << 20;
const NAMES_MAX: usize = 65_536;

/// What an action would touch.
pub fn of(engine: &mut Engine, action: &Action) -> Result<Reach, EngineError> {
    let mut reach = Reach {
        recently: recently_closed(engine, action),
        ..Reach::default()
    };
    let now = i64::try_from(engine.wall().0 / 1000).unwrap_or(i64::MAX);
    let mut reading = engine.host.read()?;
    let (losing, key): (Vec<Account>, Option<KeyFingerprint>) = match action {
        Action::DisableAccount { account } => {
            reach.closed.insert(account.clone());
            (
                reading.accounts.by_name(account).into_iter().collect(),
                None,
            )
        }
        Action::RevokeKey {
            fingerprint,
            account,
        } => (
            holders(&mut reading, *fingerprint, account.as_ref()),
            Some(*fingerprint),
        ),
        Action::EndSessions { account } => {
            // They can come back, so nothing is closed; but a protected account is left in peace.
            reach.closed.insert(account.clone());
            return Ok(reach);
        }
        Action::Release { .. } => return Ok(reach),
    };
    reach.accounts = losing.iter().map(|account| account.name.clone()).collect();
    reach.root = root_ways(&mut reading, &losing, key, now)?;
    Ok(reach)
}

/// The accounts that other orders closed within the window.
fn recently_closed(engine: &Engine, action: &Action) -> BTreeSet<AccountName> {
    let window = engine.config.guards.blast_radius_window.as_millis();
    let since = u128::from(engine.wall().0).saturating_sub(window);
    let orders = engine.store.state().standing();
    orders
        .filter(|order| u128::from(order.accepted_at.0) >= since)
        .filter(|order| order.outcome.is_some() && order.order().action != *action)
        .filter_map(|order| match &order.order().action {
            Action::DisableAccount { account } => Some(account.clone()),
            _ => None,
        })
        .collect()
}

/// The accounts in whose key files in force a key stands.
fn holders(
    reading: &mut Reading<'_>,
    key: KeyFingerprint,
    account: Option<&AccountName>,
) -> Vec<Account> {
    let accounts: Vec<Account> = match account {
        Some(name) => reading.accounts.by_name(name).into_iter().collect(),
        None => reading.accounts.iter().collect(),
    };
    let mut holds = |account: &Account| {
        let (files, _) = reading.key_files(account);
        let mut keys = files.iter().flat_map(|seen| seen.file.keys());
        keys.any(|found| found.fingerprint == key)
    };
    accounts
        .into_iter()
        .filter(|account| holds(account))
        .collect()
}

/// The ways in for root that go and that stay when these accounts are closed, or lose this key.
fn root_ways(
    reading: &mut Reading<'_>,
    losing: &[Account],
    key: Option<KeyFingerprint>,
    now: i64,
) -> Result<RootWays, HostError> {
    let policy = SudoPolicy::read(reading.root(), now)?;
    let root = reading.accounts.by_uid(0);
    let mut ways = RootWays::default();
    for account in losing {
        let Some(how) = policy.becomes_root(account, &root) else {
            continue;
        };
        for path in ways_in(reading, account) {
            let goes = key.is_none() || path.key == key;
            if goes {
                ways.closed
                    .push(format!("{}: {}, {}", account.name, path.words, how.words));
            } else if how.certain {
                ways.left
                    .push(format!("{}: {}, {}", account.name, path.words, how.words));
            }
        }
    }
    if ways.closed.is_empty() || !ways.left.is_empty() {
        return Ok(ways);
    }
    // Root itself first: that is the usual answer, and one is enough.
    let mut others: Vec<Account> = reading.accounts.iter().collect();
    others.retain(|account| losing.iter().all(|gone| gone.name != account.name));
    others.sort_by_key(|account| account.uid);
    for account in others {
        let how = policy.becomes_root(&account, &root);
        let Some(how) = how.filter(|how| how.certain) else {
            continue;
        };
        if let Some(path) = ways_in(reading, &account).into_iter().next() {
            ways.left
                .push(format!("{}: {}, {}", account.name, path.words, how.words));
            break;
        }
    }
    Ok(ways)
}

struct WayIn {
    words: String,
    key: Option<KeyFingerprint>,
}

/// The open ways in that somebody could use tomorrow: not the sessions that happen to be open.
fn ways_in(reading: &mut Reading<'_>, account: &Account) -> Vec<WayIn> {
    let paths = reading.paths(account).into_iter();
    let open = paths.filter(|path| {
        path.state == PathState::Open
            && matches!(
                path.mechanism,
                Mechanism::SshPublicKey | Mechanism::SshPassword | Mechanism::ConsolePassword
            )
    });
    open.map(|path| WayIn {
        words: match (&path.mechanism, &path.fingerprint) {
            (Mechanism::SshPublicKey, Some(key)) => format!("ssh key {key}"),
            (Mechanism::ConsolePassword, _) => "password at the console".into(),
            _ => "password over ssh".into(),
        },
        key: path.fingerprint,
    })
    .collect()
}

struct How {
    words: String,
    /// Sure enough to count as a way that is left.
    certain: bool,
}

struct SudoPolicy {
    /// `None` where there is no sudo.
    sudoers: Option<Sudoers>,
    other_sources: Vec<String>,
    host: HostNames,
    now: i64,
}

impl SudoPolicy {
    fn read(root: &HostRoot, now: i64) -> Result<Self, HostError> {
        let name = crate::config::host_name(root.path());
        let name = name.as_ref().map_or("", |name| name.as_str());
        let sudoers = match root.exists(Path::new(SUDOERS)) {
            Ok(false) => None,
            Ok(true) | Err(_) => Some(sudoers::parse(
                &PolicyFiles(root),
                Path::new(SUDOERS),
                name.as_bytes(),
                Dialect::Sudo1_9_13,
            )),
        };
        let nsswitch = match root.read(Path::new("/etc/nsswitch.conf"), 1 << 20) {
            Ok(file) => Some(file.bytes),
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            sudoers,
            other_sources: sudoers::nsswitch::sources(nsswitch.as_deref()).others,
            host: HostNames::new(name.as_bytes(), None),
            now,
        })
    }

    /// How an account that got in becomes root; `None` when it does not.
    fn becomes_root(&self, account: &Account, root: &[Account]) -> Option<How> {
        if account.uid == 0 {
            return Some(How {
                words: "is root".into(),
                certain: true,
            });
        }
        let superuser = root
            .first()
            .map_or_else(sudoers::Subject::root, sudoers::Subject::from);
        let policy = Policy {
            sudoers: self.sudoers.as_ref()?,
            host: &self.host,
            root: &superuser,
            other_sources: &self.other_sources,
            now_unix: self.now,
        };
        let usable = |way: &Way| {
            let has_password = |account: &Account| account.password == PasswordState::Usable;
            way.nopasswd
                || match way.password_of {
                    PasswordOf::Own => has_password(account),
                    PasswordOf::Root => root.iter().any(has_password),
                    PasswordOf::RunasDefault => false,
                }
        };
        let (way, certain) = match policy.root_equivalent(&account.into()) {
            Answer::No => return None,
            Answer::Yes(way) => {
                let usable = usable(&way);
                (Some(way), usable)
            }
            Answer::Likely(way) => (Some(way), false),
            Answer::Unknown { way, .. } => (way, false),
        };
        let words = way.map_or_else(
            || "perhaps root by sudo".into(),
            |way| {
                format!(
                    "root by sudo ({}:{})",
                    way.source.file.display(),
                    way.source.span.line
                )
            },
        );
        Some(How { words, certain })
    }
}

/// Policy files as sudo would use them.
struct PolicyFiles<'r>(&'r HostRoot);

impl SudoersFiles for PolicyFiles<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let file = self.0.read(path, SUDOERS_BYTES_MAX).map_err(problem)?;
        Ok(file.bytes)
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem> {
        self.0.read_dir(dir, NAMES_MAX).map_err(problem)
    }
}

fn problem(error: ReadError) -> ReadProblem {
    if error.is_missing() {
        ReadProblem::Missing
    } else {
        // Whether sudo uses a file that we distrust cannot be told from here.
        ReadProblem::Other(error.to_string())
    }
}
