//! `agent.toml`: the ceiling that no order can raise, and how this host behaves.
//!
//! The file as written is a [`Fragment`], all optional; [`Config`] is what it comes to, within
//! bounds. A key that is not known is an error: a misspelt guard must not be a missing one.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_protocol::name::AccountName;
use serde::Deserialize;

use super::layout;
use super::own_file::{FileError, Owner, read_own};
use super::settings::{
    ActionKind, Ceiling, Config, Guards, Hold, LinkSettings, LogLevel, LogSettings,
};

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read, or others could have written it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown key, or a value of the wrong kind. The message shows the line.
    #[error("{}: {}", path.display(), in_print(source))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A number is out of its bounds.
    #[error("{}: {key} = {found}: want {} to {}", path.display(), wanted.start(), wanted.end())]
    OutOfBounds {
        /// The file.
        path: PathBuf,
        /// The key with its table.
        key: &'static str,
        /// What stands there.
        found: u32,
        /// What may stand there.
        wanted: RangeInclusive<u32>,
    },
}

/// What TOML says of a mistake, with the line it is in: that may hold anything, and be of any length.
pub(super) fn in_print(error: &toml::de::Error) -> String {
    const CHARS_MAX: usize = 1000;
    let mut text = String::new();
    for c in error.to_string().chars().take(CHARS_MAX) {
        match c {
            '\n' | '\t' => text.push(c),
            c if c.is_control() => text.extend(c.escape_default()),
            c => text.push(c),
        }
    }
    text
}

impl Config {
    /// Reads `agent.toml` beneath a root directory; where there is none, the packaged defaults
    /// hold.
    ///
    /// A file that is not root's, or that others may write, is an error and not a default.
    pub fn load(root: &Path) -> Result<Self, ConfigError> {
        Self::load_file(&layout::agent_toml(root), Owner::of(root)?)
    }

    /// As [`Config::load`], from any file.
    pub fn load_file(path: &Path, owner: Owner) -> Result<Self, ConfigError> {
        match read_own(path, owner)? {
            Some(text) => Self::parse(path, &text),
            None => Ok(Self::default()),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let fragment: Fragment = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        fragment
            .settle()
            .map_err(|(key, found, wanted)| ConfigError::OutOfBounds {
                path: path.to_owned(),
                key,
                found,
                wanted,
            })
    }
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fragment {
    ceiling: CeilingFragment,
    guards: GuardsFragment,
    hold: HoldFragment,
    link: LinkFragment,
    log: LogFragment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct CeilingFragment {
    allow: Option<BTreeSet<ActionKind>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct GuardsFragment {
    protected_accounts: Option<BTreeSet<AccountName>>,
    blast_radius_accounts: Option<u32>,
    blast_radius_window_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct HoldFragment {
    survey_interval_s: Option<u32>,
    contested_after: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct LinkFragment {
    heartbeat_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct LogFragment {
    level: Option<LogLevel>,
}

type OutOfBounds = (&'static str, u32, RangeInclusive<u32>);

impl Fragment {
    fn settle(self) -> Result<Config, OutOfBounds> {
        let packaged = Config::default();
        let bounded = |key, found: Option<u32>, wanted: RangeInclusive<u32>, packaged| match found {
            None => Ok(packaged),
            Some(found) if wanted.contains(&found) => Ok(found),
            Some(found) => Err((key, found, wanted)),
        };
        let seconds = |key, found, wanted, packaged: Duration| {
            bounded(key, found, wanted, packaged.as_secs() as u32)
                .map(|s| Duration::from_secs(s.into()))
        };
        Ok(Config {
            ceiling: Ceiling {
                allow: self.ceiling.allow.unwrap_or(packaged.ceiling.allow),
            },
            guards: Guards {
                protected_accounts: self
                    .guards
                    .protected_accounts
                    .unwrap_or(packaged.guards.protected_accounts),
                blast_radius_accounts: bounded(
                    "guards.blast-radius-accounts",
                    self.guards.blast_radius_accounts,
                    1..=100_000,
                    packaged.guards.blast_radius_accounts,
                )?,
                blast_radius_window: seconds(
                    "guards.blast-radius-window-s",
                    self.guards.blast_radius_window_s,
                    1..=604_800,
                    packaged.guards.blast_radius_window,
                )?,
            },
            hold: Hold {
                survey_interval: seconds(
                    "hold.survey-interval-s",
                    self.hold.survey_interval_s,
                    1..=86_400,
                    packaged.hold.survey_interval,
                )?,
                contested_after: bounded(
                    "hold.contested-after",
                    self.hold.contested_after,
                    1..=100,
                    packaged.hold.contested_after,
                )?,
            },
            link: LinkSettings {
                heartbeat: seconds(
                    "link.heartbeat-s",
                    self.link.heartbeat_s,
                    1..=60,
                    packaged.link.heartbeat,
                )?,
            },
            log: LogSettings {
                level: self.log.level.unwrap_or(packaged.log.level),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use rescind_protocol::order::Action;

    use super::super::link_user::LINK_USER;
    use super::super::settings::Protected;
    use super::*;

    const SHIPPED: &str = include_str!("../../../packaging/agent/agent.toml");

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("agent.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_says_what_holds_without_it() {
        assert_eq!(parse(SHIPPED), Ok(Config::default()));
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn the_shipped_file_says_every_key() {
        // Every key of the file is a field of the settings, because unknown ones are refused; the
        // other way round it is counted.
        let keys = SHIPPED
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains(" = "))
            .count();
        assert_eq!(keys, 8);
    }

    #[test]
    fn what_is_written_holds() {
        let config = parse(
            "[ceiling]\nallow = ['revoke-key']\n[guards]\nprotected-accounts = ['root', 'break glass']\n\
             [hold]\nsurvey-interval-s = 5\n[log]\nlevel = 'debug'\n",
        )
        .unwrap();
        let account: AccountName = "break glass".parse().unwrap();
        assert!(!config.ceiling.allows(&Action::DisableAccount {
            account: account.clone()
        }));
        assert_eq!(config.guards.protects(&account), Some(Protected::Listed));
        assert_eq!(
            config.guards.protects(&LINK_USER.parse().unwrap()),
            Some(Protected::AgentUser)
        );
        assert_eq!(config.guards.protects(&"bob".parse().unwrap()), None);
        assert_eq!(config.hold.survey_interval, Duration::from_secs(5));
        assert_eq!(config.log.level, LogLevel::Debug);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_named() {
        for (text, named) in [
            ("[guard]\n", "unknown field `guard`"),
            (
                "[guards]\nprotected_accounts = []",
                "unknown field `protected_accounts`",
            ),
            (
                "[guards]\nprotected-accounts = ['a:b']",
                "account name: contains ':'",
            ),
            (
                "[ceiling]\nallow = ['run-shell']",
                "unknown variant `run-shell`",
            ),
            (
                "[link]\nheartbeat-s = 0",
                "link.heartbeat-s = 0: want 1 to 60",
            ),
            (
                "[guards]\nblast-radius-accounts = -1",
                "blast-radius-accounts",
            ),
            ("[log]\nlevel = 3", "level"),
            ("[log", "TOML parse error"),
            ("a\u{1b}[2J = 1", r"a\u{1b}[2J = 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(named), "{text:?}: {error}");
            assert!(error.starts_with("agent.toml: "), "{error}");
        }
    }
}
