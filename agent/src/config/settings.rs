//! What `agent.toml` comes to: settings within their bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use rescind_protocol::name::AccountName;
use rescind_protocol::order::Action;
use serde::Deserialize;

use super::link_user::LINK_USER;

/// What `agent.toml` comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What may be ordered at all.
    pub ceiling: Ceiling,
    /// What is refused although it may be ordered.
    pub guards: Guards,
    /// How orders are kept in force.
    pub hold: Hold,
    /// The connection to the control plane.
    pub link: LinkSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// What may be ordered at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// The kinds of action that are carried out; all others are refused.
    pub allow: BTreeSet<ActionKind>,
}

/// The kinds of [`Action`] that `allow` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// [`Action::DisableAccount`].
    DisableAccount,
    /// [`Action::RevokeKey`].
    RevokeKey,
    /// [`Action::EndSessions`] and [`Action::EndKeySessions`].
    EndSessions,
    /// [`Action::Release`].
    Release,
    /// [`Action::RevokeGroup`].
    RevokeGroup,
    /// [`Action::RevokeSudo`].
    RevokeSudo,
}

impl From<&Action> for ActionKind {
    fn from(action: &Action) -> Self {
        match action {
            Action::DisableAccount { .. } => Self::DisableAccount,
            Action::RevokeKey { .. } => Self::RevokeKey,
            Action::EndSessions { .. } | Action::EndKeySessions { .. } => Self::EndSessions,
            Action::Release { .. } => Self::Release,
            Action::RevokeGroup { .. } => Self::RevokeGroup,
            Action::RevokeSudo { .. } => Self::RevokeSudo,
        }
    }
}

impl Ceiling {
    /// Whether this host carries out such an action.
    #[must_use]
    pub fn allows(&self, action: &Action) -> bool {
        self.allow.contains(&action.into())
    }
}

/// What is refused although it may be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// Accounts that are never disabled and whose sessions are never ended by order.
    pub protected_accounts: BTreeSet<AccountName>,
    /// How many accounts may lose access within [`Guards::blast_radius_window`].
    pub blast_radius_accounts: u32,
    /// The time over which disabled accounts are counted.
    pub blast_radius_window: Duration,
}

/// Why an account is not to be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protected {
    /// It is the user of the agent's own network half.
    AgentUser,
    /// `protected-accounts` names it.
    Listed,
}

impl Guards {
    /// Whether an account is not to be touched, and why.
    #[must_use]
    pub fn protects(&self, account: &AccountName) -> Option<Protected> {
        if account.as_str() == LINK_USER {
            Some(Protected::AgentUser)
        } else if self.protected_accounts.contains(account) {
            Some(Protected::Listed)
        } else {
            None
        }
    }
}

/// How orders are kept in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How often the host is read again, whatever the file watches said.
    pub survey_interval: Duration,
    /// How often what one order revoked is put back before an exception is raised.
    pub contested_after: u32,
}

/// The connection to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// How often the link says that it is there.
    pub heartbeat: Duration,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important lines that are still written.
    pub level: LogLevel,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work and somebody must act.
    Error,
    /// Something is not as it should be; the agent goes on.
    Warn,
    /// What changed: orders, connections.
    Info,
    /// How it came to that.
    Debug,
}

impl Default for Config {
    /// The packaged defaults: revoke only, plus the release of what Rescind itself closed.
    fn default() -> Self {
        let root = "root".parse().expect("`root` is an account name");
        Self {
            ceiling: Ceiling {
                allow: BTreeSet::from([
                    ActionKind::DisableAccount,
                    ActionKind::RevokeKey,
                    ActionKind::RevokeGroup,
                    ActionKind::RevokeSudo,
                    ActionKind::EndSessions,
                    ActionKind::Release,
                ]),
            },
            guards: Guards {
                protected_accounts: BTreeSet::from([root]),
                blast_radius_accounts: 5,
                blast_radius_window: Duration::from_secs(600),
            },
            hold: Hold {
                survey_interval: Duration::from_secs(300),
                contested_after: 3,
            },
            link: LinkSettings {
                heartbeat: Duration::from_secs(30),
            },
            log: LogSettings {
                level: LogLevel::Info,
            },
        }
    }
}
