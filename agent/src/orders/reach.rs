//! What an order would touch, for the guards: whom it closes, and which ways in for root with it.

use std::collections::BTreeSet;

use rescind_protocol::name::{AccountName, GroupName, KeyFingerprint, UnixMillis};
use rescind_protocol::order::Action;
use rescind_protocol::path::{Mechanism, PathState, Source};

use crate::host::account::{Account, PasswordState};
use crate::orders::Engine;
use crate::orders::guards::{Reach, RootWays};
use crate::orders::host::HostError;
use crate::orders::reading::Reading;
use crate::paths::facts::Shell;
use crate::paths::verdict::limits;
use crate::rights::sudo::SudoFacts;
use crate::rights::{Asks, Reach as HowFar};

/// What an action would touch.
pub fn of(
    reading: &mut Reading<'_>,
    action: &Action,
    recently: BTreeSet<AccountName>,
    now: UnixMillis,
) -> Result<Reach, HostError> {
    let mut reach = Reach {
        recently,
        ..Reach::default()
    };
    let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let account = |name: &AccountName| reading.accounts.by_name(name).into_iter().collect();
    let (losing, what): (Vec<Account>, Loss) = match action {
        Action::DisableAccount { account: name } => {
            reach.closed.insert(name.clone());
            (account(name), Loss::Everything)
        }
        Action::RevokeKey {
            fingerprint,
            account,
        } => (
            reading
                .with_key(*fingerprint, account.as_ref())
                .holders
                .clone(),
            Loss::Key(*fingerprint),
        ),
        // Like a key, these can be taken from a protected account, for as long as root keeps a way in.
        Action::RevokeGroup {
            account: name,
            group,
            ..
        } => (account(name), Loss::Group(group.clone())),
        Action::RevokeSudo { account: name } => (account(name), Loss::Sudo),
        Action::EndSessions { account } => {
            // They can come back, so nothing is closed; but a protected account is left in peace.
            reach.closed.insert(account.clone());
            return Ok(reach);
        }
        // Nobody loses more than what was opened with a key that is not trusted any more: a protected
        // account's, too.
        Action::EndKeySessions { .. } | Action::Release { .. } => return Ok(reach),
    };
    reach.accounts = losing.iter().map(|account| account.name.clone()).collect();
    reach.root = root_ways(reading, &losing, &what, now)?;
    Ok(reach)
}

/// The accounts that other orders closed within the window.
pub fn recently_closed(engine: &Engine, action: &Action) -> BTreeSet<AccountName> {
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

/// What accounts would lose.
enum Loss {
    /// Every way in.
    Everything,
    /// A key.
    Key(KeyFingerprint),
    /// A group, and what rules give its members.
    Group(GroupName),
    /// What sudo lets them do.
    Sudo,
}

impl Loss {
    /// Whether an account that keeps its ways in would certainly still become root.
    fn leaves_root(&self, account: &Account, sudo: &SudoFacts, root: &[Account]) -> bool {
        let mut after = account.clone();
        match self {
            Self::Everything | Self::Key(_) => {}
            Self::Sudo => return account.uid == 0,
            Self::Group(group) => {
                let name = group.as_str().as_bytes();
                let gids: Vec<u32> = account
                    .groups
                    .iter()
                    .filter(|one| one.name == name)
                    .map(|one| one.gid)
                    .collect();
                // The primary group stays.
                after
                    .groups
                    .retain(|one| one.gid == account.gid || !gids.contains(&one.gid));
            }
        }
        How::of(&after, sudo, root).is_some_and(|how| how.certain)
    }
}

/// The ways in for root that go and that stay when these accounts lose this.
fn root_ways(
    reading: &mut Reading<'_>,
    losing: &[Account],
    what: &Loss,
    now: i64,
) -> Result<RootWays, HostError> {
    let sudo = reading.sudo(now)?;
    let root = reading.accounts.by_uid(0);
    let becomes_root = |account: &Account| How::of(account, &sudo, &root);
    let mut ways = RootWays::default();
    for account in losing {
        let Some(how) = becomes_root(account) else {
            continue;
        };
        for path in ways_in(reading, account) {
            let certain = how.certain && path.certain;
            let goes = match what {
                Loss::Everything => true,
                Loss::Key(key) => path.key == Some(*key),
                Loss::Group(_) | Loss::Sudo => !what.leaves_root(account, &sudo, &root),
            };
            if goes {
                ways.closed
                    .push(format!("{}: {}, {}", account.name, path.words, how.words));
            } else if certain {
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
        let how = becomes_root(&account);
        let Some(how) = how.filter(|how| how.certain) else {
            continue;
        };
        let mut paths = ways_in(reading, &account).into_iter();
        if let Some(path) = paths.find(|path| path.certain) {
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
    /// Whether it leads to a shell for sure.
    certain: bool,
}

/// The open ways to a shell that somebody could use tomorrow: not the sessions that happen to be
/// open, and not what leads to a tunnel. One that is for some clients only is one for them.
fn ways_in(reading: &mut Reading<'_>, account: &Account) -> Vec<WayIn> {
    let has_shell = match reading.shell(account) {
        Shell::Runs => true,
        Shell::Unknown(_) => false,
        Shell::Refuses | Shell::Missing | Shell::NotExecutable => return Vec::new(),
    };
    let paths = reading.ways_in(account, None).into_iter();
    let open = paths.filter(|path| {
        path.state == PathState::Open
            && matches!(
                path.mechanism,
                Mechanism::SshPublicKey | Mechanism::SshPassword | Mechanism::ConsolePassword
            )
    });
    let to_less = [limits::ONE_COMMAND, limits::WITH_OTHERS, limits::NO_SHELL];
    open.map(|path| WayIn {
        words: match (&path.mechanism, &path.fingerprint) {
            (Mechanism::SshPublicKey, Some(key)) => format!("ssh key {key}"),
            (Mechanism::ConsolePassword, _) => "password at the console".into(),
            _ => "password over ssh".into(),
        },
        key: path.fingerprint,
        certain: has_shell && !to_less.iter().any(|words| path.reason.contains(words)),
    })
    .collect()
}

/// How an account that got in becomes root.
struct How {
    words: String,
    /// Sure enough to count as a way that is left.
    certain: bool,
}

impl How {
    fn of(account: &Account, sudo: &SudoFacts, root: &[Account]) -> Option<Self> {
        if account.uid == 0 {
            return Some(Self {
                words: "is root".into(),
                certain: true,
            });
        }
        let right = sudo.becomes(account, root.first()?, root)?;
        let state = match right.asks {
            Asks::Nothing => None,
            Asks::OwnPassword => Some(account.typed_password()),
            Asks::PasswordOf(state) => Some(state),
            Asks::GroupPassword => Some(PasswordState::Unknown),
        };
        let asked = match state {
            None => true,
            Some(PasswordState::Usable) => {
                right.asks != Asks::OwnPassword || !account.oddities.number
            }
            Some(PasswordState::Empty | PasswordState::Unknown) => false,
            // Nobody can give the password that is asked.
            Some(PasswordState::Locked | PasswordState::Unusable | PasswordState::Missing)
                if right.spares.is_none() && right.doubt.is_none() =>
            {
                return None;
            }
            Some(_) => false,
        };
        let sure = right.reach == HowFar::Everything && right.doubt.is_none();
        let words = match right.source() {
            Source {
                file,
                line: Some(line),
            } => format!("root by sudo ({file}:{line})"),
            _ => "perhaps root by sudo".into(),
        };
        Some(Self {
            words,
            certain: sure && asked,
        })
    }
}
