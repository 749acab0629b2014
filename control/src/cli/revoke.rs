//! `rescind revoke`, `end-sessions`, `release`: giving orders.

use clap::{Args, Subcommand};
use rescind_protocol::name::{AccountName, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;
use serde_json::Value;

use super::client::Client;
use super::follow::{FollowArgs, follow_all};
use super::table::Table;
use super::{Failure, print, print_json};
use crate::api::orders::Give;

/// Take access away, of an account or of a key
#[derive(Debug, Subcommand)]
pub enum Revoke {
    /// Nobody gets in as this account, over ssh or at the console, and its sessions end
    #[command(
        after_help = "Example:\n  rescind revoke account alice --host web1 --ticket OFF-42 --reason 'left the company' --follow"
    )]
    Account {
        /// The account
        name: AccountName,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        follow: FollowArgs,
    },
    /// An SSH key opens nothing any more
    #[command(
        after_help = "Example:\n  rescind revoke key SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA --all-hosts --ticket SEC-7 --reason 'laptop stolen'"
    )]
    Key {
        /// Its fingerprint, as ssh-keygen -lf prints it
        fingerprint: KeyFingerprint,
        /// For one account only
        #[arg(long)]
        account: Option<AccountName>,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        follow: FollowArgs,
    },
}

/// End an account's sessions and processes once
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  rescind end-sessions alice --host web1 --ticket INC-3 --reason 'suspicious session'"
)]
pub struct EndSessions {
    /// The account
    account: AccountName,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    follow: FollowArgs,
}

/// End a standing order and bring back what it took
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  rescind release 01932c07-7c1e-7b9a-9b53-8f6f3c0c9a11 --ticket OFF-42 --reason 'wrong alice' --follow"
)]
pub struct Release {
    /// The order that is in force
    order: OrderId,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    follow: FollowArgs,
}

/// To whom.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Hosts {
    /// The host, by name or id; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Every host
    #[arg(long)]
    all_hosts: bool,
}

/// By whose authority.
#[derive(Debug, Args)]
pub struct Why {
    /// The ticket or case number
    #[arg(long)]
    ticket: String,
    /// Why, in words
    #[arg(long)]
    reason: String,
    /// On whose behalf; you, when not said. Who gave the order is recorded in any case
    #[arg(long, visible_alias = "by", value_name = "WHO")]
    asked_by: Option<String>,
    /// Who approved; may be given several times
    #[arg(long = "approved-by", value_name = "WHO")]
    approved_by: Vec<String>,
}

impl Revoke {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let (action, hosts, why, follow) = match self {
            Self::Account {
                name,
                hosts,
                why,
                follow,
            } => (Action::DisableAccount { account: name }, hosts, why, follow),
            Self::Key {
                fingerprint,
                account,
                hosts,
                why,
                follow,
            } => (
                Action::RevokeKey {
                    fingerprint,
                    account,
                },
                hosts,
                why,
                follow,
            ),
        };
        give(client, json, action, Some(hosts), why, follow).await
    }
}

impl EndSessions {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let action = Action::EndSessions {
            account: self.account,
        };
        give(
            client,
            json,
            action,
            Some(self.hosts),
            self.why,
            self.follow,
        )
        .await
    }
}

impl Release {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let action = Action::Release { order: self.order };
        give(client, json, action, None, self.why, self.follow).await
    }
}

async fn give(
    client: &Client,
    json: bool,
    action: Action,
    hosts: Option<Hosts>,
    why: Why,
    follow: FollowArgs,
) -> Result<(), Failure> {
    let (hosts, all_hosts) =
        hosts.map_or((Vec::new(), false), |hosts| (hosts.hosts, hosts.all_hosts));
    // With sudo the operator is root; on whose behalf is the person.
    let person = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| !name.is_empty());
    let give = Give {
        action,
        hosts,
        all_hosts,
        ticket: why.ticket,
        reason: why.reason,
        asked_by: why.asked_by.or(person),
        approved_by: why.approved_by,
        source: Some("cli".into()),
    };
    let given: Value = client.post("/v1/orders", &give).await?;
    let orders = given["orders"].as_array().cloned().unwrap_or_default();
    if follow.wanted() {
        return follow_all(client, json, &orders, &follow).await;
    }
    if json {
        return print_json(&given);
    }
    let mut table = Table::new(["ORDER", "HOST", "SEQ", "STATE"]);
    for order in orders {
        let text = |key: &str| order[key].as_str().unwrap_or_default().to_owned();
        table.row([
            text("id"),
            text("host_name"),
            order["seq"].to_string(),
            text("state"),
        ]);
    }
    print(&table.to_text("no orders"))
}
