//! `rescind evidence`.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rescind_protocol::sign::VerifyingKey;
use serde_json::Value;

use super::client::{Client, segment};
use super::table::Table;
use super::{Failure, list, print, print_json};
use crate::bundle::{self, Checked};

/// Verify and export what hosts recorded
#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// Verify chains: the server's copy, or a file without any server
    Verify(Verify),
    /// Write a host's chains to a file
    #[command(after_help = "Example:\n  rescind evidence export --host web1 -o web1.evidence")]
    Export {
        /// The host
        #[arg(long)]
        host: String,
        /// The file; `-` for standard output
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
    /// Go on although a host cannot send records that it has lost; recorded as your decision
    #[command(after_help = "Example:\n  rescind evidence accept-gap --host web1")]
    AcceptGap {
        /// The host
        #[arg(long)]
        host: String,
    },
}

/// Verify chains: the server's copy, or a file without any server
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind evidence verify --host web1\n  rescind evidence verify web1.evidence --key 8f1r/anzjXMKrRNQzxW9XDLqB6k/SCOyogdSHM0v29M="
)]
pub struct Verify {
    /// A file from `rescind evidence export`
    #[arg(conflicts_with = "host")]
    file: Option<PathBuf>,
    /// The host whose chains the server should verify; all hosts when nothing is said
    #[arg(long)]
    host: Option<String>,
    /// The evidence key that must have signed every chain of the file: its text, or a file with it
    // The same name and type as the option of all commands, which has no meaning here.
    #[arg(long, requires = "file", value_name = "PUB")]
    key: Option<PathBuf>,
}

impl Verify {
    /// Whether no server is needed.
    pub(super) const fn is_offline(&self) -> bool {
        self.file.is_some()
    }

    /// Verifies a file.
    pub(super) fn run_offline(self, json: bool) -> Result<(), Failure> {
        let path = self.file.unwrap_or_default();
        let failed =
            |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", path.display()));
        let file = File::open(&path).map_err(|error| failed(&error))?;
        let key = self.key.as_deref().map(evidence_key).transpose()?;
        let chains = bundle::check(BufReader::new(file), key).map_err(|error| failed(&error))?;
        if json {
            return print_json(&chains);
        }
        print(&checked_table(&chains))?;
        if key.is_none() {
            eprintln!("held to the key in the file itself; give --key to say whose it must be");
        }
        Ok(())
    }

    async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        let hosts = match self.host {
            Some(host) => vec![host],
            None => {
                let hosts: Vec<Value> = client.get("/v1/hosts").await?;
                hosts
                    .iter()
                    .filter_map(|host| host["id"].as_str())
                    .map(str::to_owned)
                    .collect()
            }
        };
        let mut answers = Vec::new();
        for host in hosts {
            let path = format!("/v1/hosts/{}/evidence/verify", segment(&host));
            answers.push(client.get::<Value>(&path).await?);
        }
        if json {
            print_json(&answers)?;
        } else {
            let mut table = Table::new(["HOST", "CHAIN", "RECORDS", "VERIFIED", "HEAD"]);
            for answer in &answers {
                for chain in list(answer, "chains")? {
                    table.row([
                        answer["name"].as_str().unwrap_or_default().into(),
                        chain["chain"].to_string(),
                        chain["records"].to_string(),
                        match chain["error"].as_str() {
                            Some(error) => format!("NO: {error}"),
                            None => "yes".into(),
                        },
                        chain["head"].as_str().unwrap_or_default().into(),
                    ]);
                }
            }
            print(&table.to_text("no hosts"))?;
        }
        match answers.iter().all(|answer| answer["verified"] == true) {
            true => Ok(()),
            false => Err(Failure::Failed("evidence does not verify".into())),
        }
    }
}

impl Evidence {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        match self {
            Self::Verify(verify) => verify.run(client, json).await,
            Self::AcceptGap { host } => {
                let path = format!("/v1/hosts/{}/evidence/accept-gap", segment(&host));
                let accepted: Value = client.post(&path, &Value::Null).await?;
                if json {
                    print_json(&accepted)
                } else {
                    print("accepted\n")
                }
            }
            Self::Export { host, output } => {
                let failed = |error: std::io::Error| {
                    Failure::Failed(format!("{}: {error}", output.display()))
                };
                let mut lines = client
                    .lines(&format!("/v1/hosts/{}/evidence", segment(&host)))
                    .await?;
                let mut out: Box<dyn Write> = if output.as_os_str() == "-" {
                    Box::new(std::io::stdout().lock())
                } else {
                    Box::new(std::io::BufWriter::new(
                        File::create(&output).map_err(failed)?,
                    ))
                };
                while let Some(line) = lines.next().await? {
                    writeln!(out, "{line}").map_err(failed)?;
                }
                out.flush().map_err(failed)
            }
        }
    }
}

fn evidence_key(given: &Path) -> Result<VerifyingKey, Failure> {
    let text = given.to_string_lossy();
    let bad = |error| Failure::Usage(format!("--key {text}: {error}"));
    match std::fs::read_to_string(given) {
        Ok(file) => file.trim().parse().map_err(bad),
        Err(_) => text.trim().parse().map_err(bad),
    }
}

fn checked_table(chains: &[Checked]) -> String {
    let mut table = Table::new([
        "HOST",
        "CHAIN",
        "RECORDS",
        "ORDERS ENDED",
        "VERIFIED",
        "KEY",
        "HEAD",
    ]);
    for chain in chains {
        table.row([
            chain.heading.name.clone(),
            chain.heading.chain.to_string(),
            chain.head.next.to_string(),
            chain.concluded.to_string(),
            "yes".into(),
            chain.heading.evidence_key.to_string(),
            chain.head.prev.to_string(),
        ]);
    }
    table.to_text("no chains")
}
