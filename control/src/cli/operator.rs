//! `rescind operator`: client certificates for operators elsewhere. The key is made here and never
//! leaves its directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use rcgen::{CertificateParams, KeyPair};
use rescind_protocol::name::UnixMillis;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::{Client, segment};
use super::table::Table;
use super::{Failure, print, print_json};
use crate::api::operators::Create;

/// Make, list and remove operators who come over the network
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Make a client certificate: cert.pem, key.pem and ca.pem in a directory
    #[command(
        after_help = "Examples:\n  rescind operator new dana@example.com -o dana\n  rescind --server https://control:7444 --cert dana/cert.pem --key dana/key.pem --ca dana/ca.pem hosts"
    )]
    New {
        /// Who it is for
        name: String,
        /// The directory, which must not hold these files yet
        #[arg(short, long, value_name = "DIR", default_value = ".")]
        output: PathBuf,
    },
    /// List operators' certificates
    #[command(after_help = "Example:\n  rescind operator list")]
    List,
    /// Cut an operator off
    #[command(after_help = "Example:\n  rescind operator remove dana@example.com")]
    Remove {
        /// Who
        name: String,
    },
}

impl Operator {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<(), Failure> {
        match self {
            Self::New { name, output } => {
                let failed = |error: rcgen::Error| Failure::Failed(error.to_string());
                let key = KeyPair::generate().map_err(failed)?;
                let request = CertificateParams::default()
                    .serialize_request(&key)
                    .map_err(failed)?;
                let create = Create {
                    name,
                    csr: STANDARD.encode(request.der()),
                };
                std::fs::create_dir_all(&output)
                    .map_err(|error| Failure::Failed(format!("{}: {error}", output.display())))?;
                let pem = Zeroizing::new(key.serialize_pem());
                write_new(&output.join("key.pem"), &pem, 0o600)?;
                let made: Value = client.post("/v1/operators", &create).await?;
                for (file, field) in [("cert.pem", "certificate"), ("ca.pem", "ca")] {
                    write_new(
                        &output.join(file),
                        made[field].as_str().unwrap_or_default(),
                        0o644,
                    )?;
                }
                if json {
                    return print_json(&made);
                }
                let until = UnixMillis(made["not_after"].as_u64().unwrap_or_default());
                print(&format!(
                    "cert.pem, key.pem and ca.pem in {}, good until {until}\n",
                    output.display()
                ))
            }
            Self::List => {
                let operators: Vec<Value> = client.get("/v1/operators").await?;
                if json {
                    return print_json(&operators);
                }
                let mut table = Table::new(["OPERATOR", "SINCE", "UNTIL", "CERTIFICATE"]);
                for one in operators {
                    let at =
                        |key: &str| UnixMillis(one[key].as_u64().unwrap_or_default()).to_string();
                    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                    table.row([
                        text("operator"),
                        at("issued_at"),
                        at("not_after"),
                        text("digest"),
                    ]);
                }
                print(&table.to_text("no operators have certificates"))
            }
            Self::Remove { name } => {
                let removed: Value = client
                    .delete(&format!("/v1/operators/{}", segment(&name)))
                    .await?;
                if json {
                    print_json(&removed)
                } else {
                    print(&format!("removed {name}\n"))
                }
            }
        }
    }
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
