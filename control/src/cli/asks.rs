//! `rescind inventory`, `rescind explain`: what a host answers now.

use std::time::Duration;

use clap::Args;
use rescind_protocol::explanation::Explanation;
use rescind_protocol::name::{AccountName, SectionName};
use rescind_protocol::section_words;
use serde_json::Value;

use super::client::{Client, segment};
use super::table::Table;
use super::{Failure, duration, list, print, print_json, sections};

/// Show a host's accounts, each with how many ways in are open, what runs as it and its last login,
/// or what its survey found, section by section
///
/// Where the host is away, what it said last is shown, with its age.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind inventory web1\n  rescind inventory web1 --section sudo\n  rescind inventory web1 --diff"
)]
pub struct Inventory {
    /// The host, by name or id
    host: String,
    /// One section of the survey: host, accounts, ssh_keys, logins, sudo, privileges, deferred, secrets
    #[arg(long, value_name = "NAME")]
    section: Option<SectionName>,
    /// What the survey could not read, and why; with --section, of one section
    #[arg(long, conflicts_with = "diff")]
    coverage: bool,
    /// What changed last in each section
    #[arg(long)]
    diff: bool,
    /// How long to wait for the host
    #[arg(long, value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

/// Ask a host why an account can become root, now
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rescind explain web1 deploy")]
pub struct Explain {
    /// The host, by name or id
    host: String,
    /// The account
    account: AccountName,
    /// How long to wait for the host
    #[arg(long, value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

impl Inventory {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let (host, section) = (&self.host, self.section.as_ref());
        if self.coverage {
            return sections::coverage(client, host, section, json).await;
        }
        if self.diff {
            return sections::diff(client, host, section, json).await;
        }
        let options = format!("timeout_ms={}", self.timeout.as_millis());
        if let Some(section) = section {
            return sections::show(client, host, section, &options, json).await;
        }
        let path = format!("/v1/hosts/{}/inventory?{options}", segment(host));
        let answer: Value = client.get(&path).await?;
        if json {
            return print_json(&answer);
        }
        let mut table = Table::new([
            "ACCOUNT",
            "UID",
            "PASSWORD",
            "EXPIRES",
            "SHELL",
            "KEYS",
            "OPEN",
            "UNKNOWN",
            "RUNS",
            "LAST USED",
            "FROM",
        ]);
        for account in list(&answer, "accounts")? {
            let text = |key: &str| plain(&account[key]);
            table.row([
                text("account"),
                text("uid"),
                text("password"),
                text("expires"),
                text("shell"),
                text("keys"),
                text("open"),
                text("unknown"),
                section_words::runs(&account["runs"]),
                last_used(account),
                plain(&account["last_used"]["from"]),
            ]);
        }
        let when = sections::said_when(&answer);
        print(&format!("{when}{}", table.to_text("no accounts")))
    }
}

impl Explain {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let path = format!(
            "/v1/hosts/{}/explain?account={}&timeout_ms={}",
            segment(&self.host),
            segment(self.account.as_str()),
            self.timeout.as_millis()
        );
        let answer: Value = client.get(&path).await?;
        if json {
            return print_json(&answer);
        }
        let explained: Explanation = serde_json::from_value(answer["explanation"].clone())
            .map_err(|error| Failure::Failed(format!("the host's answer is none: {error}")))?;
        print(&explained.to_string())
    }
}

/// When an account or a key was used last, as its host tells it: a minute in UTC, `none since DAY`,
/// or `unknown`.
pub(super) fn last_used(row: &Value) -> String {
    let at = row["last_used"]["at"].as_str();
    match (at, row["known_since"].as_str()) {
        (Some(at), _) => at.get(..16).unwrap_or(at).replace('T', " "),
        (None, Some(since)) => format!("none since {}", since.get(..10).unwrap_or(since)),
        (None, None) => "unknown".into(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
