//! `control.toml`: everything optional, unknown keys refused, units in the names.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the file lies when none is named.
pub const DEFAULT_PATH: &str = "/etc/rescind/control.toml";

/// A file that says everything and changes nothing.
pub const EXAMPLE: &str = include_str!("../control.toml");

/// The settings of `rescind serve`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keys, certificates and the database; mode 0700.
    pub data_dir: PathBuf,
    /// Where agents connect.
    pub listen: SocketAddr,
    /// Where operators with a client certificate connect. `None`, which no file can say: nowhere.
    pub operator_listen: Option<SocketAddr>,
    /// The Unix socket for operators on this machine. `None`, which no file can say: no socket.
    pub socket: Option<PathBuf>,
    /// The names and addresses in the server's certificate; the first is the one that hosts check.
    /// Empty: this machine's host name.
    pub names: Vec<String>,
    /// The trust domain in the certificates of hosts (`spiffe://<trust domain>/host/<id>`).
    pub trust_domain: String,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log: String,
    /// Threads that serve connections.
    pub worker_threads: usize,
    /// Agents connected at once.
    pub max_connections: usize,
    /// New agent connections admitted per second; more are told to come back later.
    pub accept_per_s: u32,
    /// Enrolments tried per second.
    pub enrol_per_s: u32,
    /// How long a client may take for the TLS handshake and its first message.
    pub handshake_timeout_s: u64,
    /// How often a connection that has nothing to say says so.
    pub heartbeat_s: u64,
    /// A connection that has brought nothing for this long is ended.
    pub idle_timeout_s: u64,
    /// How long hosts keep a client certificate.
    pub certificate_hours: u64,
    /// How long operators keep theirs.
    pub operator_certificate_days: u64,
    /// How long an order waits for its host.
    pub order_ttl_days: u64,
    /// How long a join token lasts when its maker does not say.
    pub token_ttl_minutes: u64,
    /// An order that its host has not taken for this long becomes an exception.
    pub away_after_minutes: u64,
    /// When an exception is due.
    pub exception_due_days: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/rescind".into(),
            listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            operator_listen: Some(SocketAddr::from(([0, 0, 0, 0], 7444))),
            socket: Some("/run/rescind/operator.sock".into()),
            names: Vec::new(),
            trust_domain: "rescind".into(),
            log: "info".into(),
            worker_threads: 2,
            max_connections: 20_000,
            accept_per_s: 200,
            enrol_per_s: 20,
            handshake_timeout_s: 10,
            heartbeat_s: 30,
            idle_timeout_s: 90,
            certificate_hours: 24,
            operator_certificate_days: 90,
            order_ttl_days: 90,
            token_ttl_minutes: 60,
            away_after_minutes: 15,
            exception_due_days: 7,
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {}", path.display(), in_print(source))]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A setting is out of its range.
    #[error("{key} = {value}: want {want}")]
    Range {
        /// The key.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        want: &'static str,
    },
}

/// What TOML says of a mistake, with the line it is in: that may hold anything, and be of any length.
fn in_print(error: &toml::de::Error) -> String {
    const CHARS_MAX: usize = 1000;
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    let shown = |c: char| match plain(c) {
        true => c.to_string(),
        false => c.escape_default().to_string(),
    };
    let text = error.to_string();
    text.chars().take(CHARS_MAX).map(shown).collect()
}

impl Config {
    /// Reads a file. Without a path the default one is read, and its absence means defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let named = path.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match std::fs::read_to_string(named) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                String::new()
            }
            Err(source) => {
                return Err(ConfigError::Read {
                    path: named.to_owned(),
                    source,
                });
            }
        };
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: named.to_owned(),
            source: Box::new(source),
        })?;
        config.in_range()
    }

    /// The settings, if each is one the server can work with.
    pub fn in_range(self) -> Result<Self, ConfigError> {
        let range = |key, value: u64, low: u64, high: u64, want| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    key,
                    value: value.to_string(),
                    want,
                })
            }
        };
        range(
            "worker_threads",
            self.worker_threads as u64,
            1,
            256,
            "1 to 256",
        )?;
        range(
            "max_connections",
            self.max_connections as u64,
            1,
            1_000_000,
            "1 to 1000000",
        )?;
        range(
            "accept_per_s",
            self.accept_per_s.into(),
            1,
            100_000,
            "1 to 100000",
        )?;
        range(
            "enrol_per_s",
            self.enrol_per_s.into(),
            1,
            100_000,
            "1 to 100000",
        )?;
        range(
            "handshake_timeout_s",
            self.handshake_timeout_s,
            1,
            120,
            "1 to 120",
        )?;
        range("heartbeat_s", self.heartbeat_s, 1, 600, "1 to 600")?;
        range(
            "idle_timeout_s",
            self.idle_timeout_s,
            self.heartbeat_s.saturating_mul(2),
            3600,
            "at least twice heartbeat_s, at most 3600",
        )?;
        range(
            "certificate_hours",
            self.certificate_hours,
            1,
            24 * 90,
            "1 to 2160",
        )?;
        range(
            "operator_certificate_days",
            self.operator_certificate_days,
            1,
            825,
            "1 to 825",
        )?;
        range("order_ttl_days", self.order_ttl_days, 1, 3650, "1 to 3650")?;
        range(
            "token_ttl_minutes",
            self.token_ttl_minutes,
            1,
            43_200,
            "1 to 43200",
        )?;
        range(
            "away_after_minutes",
            self.away_after_minutes,
            1,
            525_600,
            "1 to 525600",
        )?;
        range(
            "exception_due_days",
            self.exception_due_days,
            1,
            3650,
            "1 to 3650",
        )?;
        let name = |text: &String| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '*');
            !text.is_empty() && text.len() <= 253 && text.chars().all(letter)
        };
        if let Some(bad) = self
            .names
            .iter()
            .chain([&self.trust_domain])
            .find(|n| !name(n))
        {
            return Err(ConfigError::Range {
                key: "names, trust_domain",
                value: format!("{bad:?}"),
                want: "DNS names or IP addresses",
            });
        }
        if self.log.parse::<tracing::Level>().is_err() {
            return Err(ConfigError::Range {
                key: "log",
                value: format!("{:?}", self.log),
                want: "error, warn, info, debug or trace",
            });
        }
        Ok(self)
    }

    /// The names for the server's certificate, never empty.
    pub fn server_names(&self) -> Vec<String> {
        if !self.names.is_empty() {
            return self.names.clone();
        }
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        let mut names: Vec<String> = host.into_iter().filter(|name| !name.is_empty()).collect();
        names.push("localhost".into());
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| in_print(&error))?;
        config.in_range().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_example_says_every_setting_and_its_default() {
        let said: String = EXAMPLE
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(parse(&said).unwrap(), Config::default());
        assert_eq!(parse(EXAMPLE).unwrap(), Config::default());
        let debug = format!("{:?}", Config::default());
        let fields = debug.matches(": ").count();
        let keys = said.lines().filter(|line| line.contains(" = ")).count();
        assert_eq!(keys, fields, "one line for every field of {debug}");
    }

    #[test]
    fn what_is_misspelt_or_out_of_range_is_refused() {
        for (text, part) in [
            ("listne = '0.0.0.0:1'", "unknown field `listne`"),
            ("worker_threads = 0", "want 1 to 256"),
            ("heartbeat_s = 60", "idle_timeout_s = 90"),
            ("names = ['a b']", "DNS names"),
            ("log = 'loud'", "want error, warn"),
            ("a\u{1b}[2J = 1", r"a\u{1b}[2J = 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
