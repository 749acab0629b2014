//! `rescind token`.

use clap::Subcommand;
use rescind_protocol::name::{HostName, UnixMillis};
use serde_json::Value;

use super::client::Client;
use super::table::Table;
use super::{Failure, duration, print, print_json};
use crate::api::tokens::Create;

/// Make, list and take back join tokens for hosts
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token; it is shown once
    #[command(
        after_help = "Examples:\n  rescind token new --host web1 --ttl 30m\n  rescind token new --quiet | ssh root@web1 rescind-agent enrol --server control.example.com --token -"
    )]
    New {
        /// The only host that may use it; needed to enrol a host again
        #[arg(long, value_name = "NAME")]
        host: Option<HostName>,
        /// How many hosts it lets in
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// How long it lasts, as 30m; the server's default when not said
        #[arg(long, value_parser = duration)]
        ttl: Option<std::time::Duration>,
        /// Print the token and nothing else
        #[arg(long)]
        quiet: bool,
    },
    /// List tokens that still open something
    #[command(after_help = "Example:\n  rescind token list")]
    List,
    /// Take a token back
    #[command(after_help = "Example:\n  rescind token revoke 3")]
    Revoke {
        /// Its number, from `rescind token list`
        id: i64,
    },
}

impl Token {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        match self {
            Self::New {
                host,
                uses,
                ttl,
                quiet,
            } => {
                let create = Create {
                    host,
                    uses: Some(uses),
                    ttl_s: ttl.map(|ttl| ttl.as_secs().max(1)),
                };
                let made: Value = client.post("/v1/tokens", &create).await?;
                if json {
                    return print_json(&made);
                }
                let token = made["token"].as_str().unwrap_or_default();
                print(&format!("{token}\n"))?;
                if quiet {
                    return Ok(());
                }
                let until = UnixMillis(made["expires_at"].as_u64().unwrap_or_default());
                eprintln!("good for {uses} host(s) until {until}; on the host:");
                let server = made["server_name"].as_str().unwrap_or("SERVER");
                let port = made["agents_port"].as_u64().unwrap_or(7443);
                eprintln!("  rescind-agent enrol --server {server}:{port} --token …");
                Ok(())
            }
            Self::List => {
                let tokens: Vec<Value> = client.get("/v1/tokens").await?;
                if json {
                    return print_json(&tokens);
                }
                let mut table = Table::new(["ID", "HOST", "USES LEFT", "UNTIL", "MADE BY"]);
                for token in tokens {
                    table.row([
                        token["id"].to_string(),
                        token["host"].as_str().unwrap_or("any").into(),
                        token["uses_left"].to_string(),
                        UnixMillis(token["expires_at"].as_u64().unwrap_or_default()).to_string(),
                        token["made_by"].as_str().unwrap_or_default().into(),
                    ]);
                }
                print(&table.to_text("no tokens"))
            }
            Self::Revoke { id } => {
                let revoked: Value = client.delete(&format!("/v1/tokens/{id}")).await?;
                if json {
                    print_json(&revoked)
                } else {
                    print("revoked\n")
                }
            }
        }
    }
}
