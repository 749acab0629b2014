//! `rescind exceptions`, `rescind audit`.

use clap::Args;
use rescind_protocol::name::UnixMillis;
use serde_json::Value;

use super::client::Client;
use super::table::Table;
use super::{Failure, list, print, print_json};
use crate::api::exceptions::CloseRequest;

/// List what is not as ordered and needs somebody, or close it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind exceptions\n  rescind exceptions --close 4 --reason 'host decommissioned'"
)]
pub struct Exceptions {
    /// Closed ones too
    #[arg(long)]
    all: bool,
    /// Close one by hand
    #[arg(long, value_name = "ID", requires = "reason")]
    close: Option<i64>,
    /// Why it is no exception any more
    #[arg(long, requires = "close")]
    reason: Option<String>,
}

impl Exceptions {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        if let (Some(id), Some(reason)) = (self.close, self.reason) {
            let path = format!("/v1/exceptions/{id}/close");
            let closed: Value = client.post(&path, &CloseRequest { reason }).await?;
            return if json {
                print_json(&closed)
            } else {
                print("closed\n")
            };
        }
        let exceptions: Vec<Value> = client
            .get(&format!("/v1/exceptions?all={}", self.all))
            .await?;
        if json {
            return print_json(&exceptions);
        }
        let mut table = Table::new([
            "ID", "KIND", "HOST", "ORDER", "OWNER", "SINCE", "DUE", "TIMES", "WHAT",
        ]);
        for exception in exceptions {
            let text = |key: &str| exception[key].as_str().unwrap_or_default().to_owned();
            let at =
                |key: &str| UnixMillis(exception[key].as_u64().unwrap_or_default()).to_string();
            let what = match exception["closed_by"].as_str() {
                Some(by) => format!("{} (closed: {by})", text("detail")),
                None => text("detail"),
            };
            table.row([
                exception["id"].to_string(),
                text("kind"),
                text("host_name"),
                text("order"),
                text("owner"),
                at("raised_at"),
                at("due_at"),
                exception["times"].to_string(),
                what,
            ]);
        }
        print(&table.to_text("no exceptions"))
    }
}

/// List what operators did
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rescind audit --limit 20")]
pub struct Audit {
    /// At most so many, the latest first
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Audit {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let audit: Value = client
            .get(&format!("/v1/audit?limit={}", self.limit))
            .await?;
        if json {
            print_json(&audit)?;
        } else {
            let mut table = Table::new(["ID", "AT", "OPERATOR", "VIA", "ACTION", "WHAT"]);
            for entry in list(&audit, "entries")? {
                let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                table.row([
                    entry["id"].to_string(),
                    UnixMillis(entry["at"].as_u64().unwrap_or_default()).to_string(),
                    text("operator"),
                    text("via"),
                    text("action"),
                    text("detail"),
                ]);
            }
            print(&table.to_text("nothing yet"))?;
        }
        match audit.get("first_tampered") {
            Some(Value::Null) => Ok(()),
            None => Err(Failure::Failed(
                "the server does not say whether the entries are as they were written".into(),
            )),
            Some(id) => Err(Failure::Failed(format!(
                "entry {id} is not as it was written"
            ))),
        }
    }
}
