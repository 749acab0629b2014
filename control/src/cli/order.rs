//! `rescind order`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Subcommand;
use rescind_protocol::name::OrderId;
use serde_json::Value;

use super::client::{Client, segment};
use super::follow::{FollowArgs, follow_all};
use super::words::{event_line, heading, orders_table, summary};
use super::{Failure, list, print, print_json};

/// List orders, show what became of one, or write one to a file
#[derive(Debug, Subcommand)]
pub enum Order {
    /// List orders, the latest first
    #[command(after_help = "Example:\n  rescind order list --host web1 --in-force")]
    List {
        /// Of one host only
        #[arg(long)]
        host: Option<String>,
        /// In one state only: signed, delivered, accepted, planned, applying, concluded, confirmed,
        /// not_accepted, expired, superseded or released
        #[arg(long)]
        state: Option<String>,
        /// Standing orders in force only
        #[arg(long)]
        in_force: bool,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show an order and its timeline
    #[command(
        after_help = "Example:\n  rescind order show 01932c07-7c1e-7b9a-9b53-8f6f3c0c9a11 --follow"
    )]
    Show {
        /// The order
        id: OrderId,
        #[command(flatten)]
        follow: FollowArgs,
    },
    /// Write the signed order to a file, for a host without a network
    #[command(
        after_help = "Example:\n  rescind order export 01932c07-7c1e-7b9a-9b53-8f6f3c0c9a11 -o alice.order\n  rescind-agent apply alice.order"
    )]
    Export {
        /// The order
        id: OrderId,
        /// The file; `-` for standard output
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
}

impl Order {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        match self {
            Self::List {
                host,
                state,
                in_force,
                limit,
            } => {
                let mut path = format!("/v1/orders?limit={limit}&in_force={in_force}");
                for (key, value) in [("host", host), ("state", state)] {
                    if let Some(value) = value {
                        path.push_str(&format!("&{key}={}", segment(&value)));
                    }
                }
                let orders: Vec<Value> = client.get(&path).await?;
                if json {
                    return print_json(&orders);
                }
                print(&orders_table(&orders))
            }
            Self::Show { id, follow } => {
                let shown: Value = client.get(&format!("/v1/orders/{id}")).await?;
                if follow.follow {
                    if !json {
                        print(&heading(&shown))?;
                    }
                    return follow_all(client, json, &[shown], &follow).await;
                }
                if json {
                    return print_json(&shown);
                }
                print(&heading(&shown))?;
                for event in list(&shown, "timeline")? {
                    print(&event_line(event, ""))?;
                }
                print(&summary(&shown["result"]))
            }
            Self::Export { id, output } => {
                let bytes = client.bytes(&format!("/v1/orders/{id}/export")).await?;
                let failed = |error| Failure::Failed(format!("{}: {error}", output.display()));
                if output.as_os_str() == "-" {
                    return std::io::stdout().write_all(&bytes).map_err(failed);
                }
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o644)
                    .open(&output)
                    .map_err(failed)?;
                file.write_all(&bytes)
                    .and_then(|()| file.sync_all())
                    .map_err(failed)
            }
        }
    }
}
