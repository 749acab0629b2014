//! `rescind hosts`, `rescind paths`.

use std::time::Duration;

use clap::Args;
use rescind_protocol::name::{AccountName, UnixMillis};
use serde_json::Value;

use super::asks::last_used;
use super::client::{Client, segment};
use super::table::Table;
use super::{Failure, duration, list, print, print_json};

/// List hosts, or remove one
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rescind hosts\n  rescind hosts --remove web9")]
pub struct Hosts {
    /// Remove a host: it is cut off at once, its evidence stays
    #[arg(long, value_name = "HOST")]
    remove: Option<String>,
}

impl Hosts {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        if let Some(host) = self.remove {
            let removed: Value = client
                .delete(&format!("/v1/hosts/{}", segment(&host)))
                .await?;
            return if json {
                print_json(&removed)
            } else {
                print(&format!("removed {host}\n"))
            };
        }
        let hosts: Vec<Value> = client.get("/v1/hosts").await?;
        if json {
            return print_json(&hosts);
        }
        let mut table = Table::new([
            "HOST",
            "CONNECTED",
            "LAST SEEN",
            "OS",
            "AGENT",
            "EVIDENCE",
            "STANDING",
            "PENDING",
            "EXCEPTIONS",
        ]);
        for host in hosts {
            let text = |key: &str| host[key].as_str().unwrap_or_default().to_owned();
            let seen = host["last_seen"].as_u64();
            table.row([
                text("name"),
                if host["connected"] == true {
                    "yes"
                } else {
                    "no"
                }
                .into(),
                seen.map_or_else(|| "never".into(), |ms| UnixMillis(ms).to_string()),
                text("os"),
                text("agent_version"),
                host["chain"]["next"].to_string(),
                host["standing"].to_string(),
                host["pending"].to_string(),
                host["exceptions"].to_string(),
            ]);
        }
        print(&table.to_text("no hosts; enrol one with `rescind token new`"))
    }
}

/// Ask a host for the ways to act on it, now
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rescind paths web1 --account alice")]
pub struct Paths {
    /// The host, by name or id
    host: String,
    /// Of one account only
    #[arg(long)]
    account: Option<AccountName>,
    /// How long to wait for the host
    #[arg(long, value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

impl Paths {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let mut path = format!(
            "/v1/hosts/{}/paths?timeout_ms={}",
            segment(&self.host),
            self.timeout.as_millis()
        );
        if let Some(account) = &self.account {
            path.push_str(&format!("&account={}", segment(account.as_str())));
        }
        let answer: Value = client.get(&path).await?;
        if json {
            return print_json(&answer);
        }
        print(&paths_table(list(&answer, "paths")?))
    }
}

/// Access paths as a table.
pub fn paths_table(paths: &[Value]) -> String {
    let mut table = Table::new([
        "ACCOUNT",
        "MECHANISM",
        "STATE",
        "SOURCE",
        "KEY",
        "LAST USED",
        "REASON",
    ]);
    for path in paths {
        let text = |key: &str| path[key].as_str().unwrap_or_default().to_owned();
        let source = match (
            path["source"]["file"].as_str(),
            path["source"]["line"].as_u64(),
        ) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.into(),
            _ => String::new(),
        };
        table.row([
            text("account"),
            text("mechanism"),
            text("state"),
            source,
            text("fingerprint"),
            match path.get("known_since") {
                Some(_) => last_used(path),
                None => String::new(),
            },
            text("reason"),
        ]);
    }
    table.to_text("no paths")
}
