//! `rescind revoke`, `end-sessions`, `release`: giving orders.

use clap::{Args, Subcommand};
use rescind_protocol::name::{AccountName, GroupName, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;
use serde_json::{Value, json};

use super::client::Client;
use super::follow::{FollowArgs, follow_all};
use super::table::Table;
use super::{Failure, list, print, print_json};
use crate::api::orders::Give;

/// Take access away: an account, a key, a group, sudo
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
        after_help = "Examples:\n  rescind revoke key SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA --all-hosts --ticket SEC-7 --reason 'laptop stolen'\n  rescind revoke key SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA --account alice --end-sessions --host web1 --ticket SEC-8 --reason 'key copied'"
    )]
    Key {
        /// Its fingerprint, as ssh-keygen -lf prints it
        fingerprint: KeyFingerprint,
        /// For one account only
        #[arg(long)]
        account: Option<AccountName>,
        /// Then end what was opened with it, too: a second order
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        follow: FollowArgs,
    },
    /// An account is in a group no more
    #[command(
        after_help = "Example:\n  rescind revoke group docker --account alice --host web1 --end-sessions --ticket ACC-9 --reason 'changed team'"
    )]
    Group {
        /// The group
        name: GroupName,
        /// The account
        #[arg(long)]
        account: AccountName,
        /// End its sessions and processes, if some still have the group
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        follow: FollowArgs,
    },
    /// Sudo lets an account do nothing any more
    #[command(
        after_help = "Example:\n  rescind revoke sudo alice --all-hosts --ticket ACC-9 --reason 'no admin any more' --follow"
    )]
    Sudo {
        /// The account
        name: AccountName,
        #[command(flatten)]
        hosts: Hosts,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        follow: FollowArgs,
    },
}

/// End an account's sessions and processes once, or those that were opened with one key
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind end-sessions alice --host web1 --ticket INC-3 --reason 'suspicious session'\n  rescind end-sessions --opened-with SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA --all-hosts --ticket SEC-7 --reason 'laptop stolen'"
)]
pub struct EndSessions {
    /// The account; with --opened-with it may be left out, for every account
    #[arg(required_unless_present = "opened_with")]
    account: Option<AccountName>,
    /// Only what was opened over ssh with this key, by its fingerprint as ssh-keygen -lf prints it
    #[arg(long, value_name = "FINGERPRINT")]
    opened_with: Option<KeyFingerprint>,
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
        let (actions, hosts, why, follow) = match self {
            Self::Account {
                name,
                hosts,
                why,
                follow,
            } => (
                vec![Action::DisableAccount { account: name }],
                hosts,
                why,
                follow,
            ),
            Self::Key {
                fingerprint,
                account,
                end_sessions,
                hosts,
                why,
                follow,
            } => {
                // First the key: who is put out could come back otherwise.
                let revoke = Action::RevokeKey {
                    fingerprint,
                    account: account.clone(),
                };
                let end = end_sessions.then_some(Action::EndKeySessions {
                    fingerprint,
                    account,
                });
                let actions = std::iter::once(revoke).chain(end).collect();
                (actions, hosts, why, follow)
            }
            Self::Group {
                name,
                account,
                end_sessions,
                hosts,
                why,
                follow,
            } => {
                let revoke = Action::RevokeGroup {
                    account,
                    group: name,
                    end_sessions,
                };
                (vec![revoke], hosts, why, follow)
            }
            Self::Sudo {
                name,
                hosts,
                why,
                follow,
            } => (
                vec![Action::RevokeSudo { account: name }],
                hosts,
                why,
                follow,
            ),
        };
        give(client, json, actions, Some(hosts), why, follow).await
    }
}

impl EndSessions {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let action = match (self.opened_with, self.account) {
            (Some(fingerprint), account) => Action::EndKeySessions {
                fingerprint,
                account,
            },
            (None, Some(account)) => Action::EndSessions { account },
            (None, None) => {
                return Err(Failure::Usage(
                    "name an account, or a key with --opened-with".into(),
                ));
            }
        };
        give(
            client,
            json,
            vec![action],
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
        give(client, json, vec![action], None, self.why, self.follow).await
    }
}

async fn give(
    client: &Client,
    json: bool,
    actions: Vec<Action>,
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
    let asked_by = why.asked_by.or(person);
    let mut orders: Vec<Value> = Vec::new();
    for action in actions {
        let give = Give {
            action,
            hosts: hosts.clone(),
            all_hosts,
            ticket: why.ticket.clone(),
            reason: why.reason.clone(),
            asked_by: asked_by.clone(),
            approved_by: why.approved_by.clone(),
            source: Some("cli".into()),
        };
        let given: Result<Value, Failure> = client.post("/v1/orders", &give).await;
        let given = given.and_then(|given| Ok(list(&given, "orders")?.to_vec()));
        match given {
            Ok(given) => orders.extend(given),
            // The earlier ones are in force all the same.
            Err(error) if !orders.is_empty() => {
                show_given(json, &orders)?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    if follow.wanted() {
        return follow_all(client, json, &orders, &follow).await;
    }
    show_given(json, &orders)
}

fn show_given(json: bool, orders: &[Value]) -> Result<(), Failure> {
    if json {
        let mut given = json!({ "orders": orders });
        if let [one] = orders {
            given["order"] = one["id"].clone();
        }
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
