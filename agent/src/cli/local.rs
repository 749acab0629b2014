//! `status`, `paths`, `inventory`, `apply`: what an administrator asks on the host itself.
//!
//! A running agent is asked over its socket. Where none runs, or for a root directory that is not
//! booted, the same answer is computed here.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use rescind_protocol::name::AccountName;
use rescind_protocol::order::ORDER_BYTES_MAX;
use rescind_protocol::section_words;
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::last_used;
use crate::cli::table::{Table, text};
use crate::config::layout;
use crate::daemon::admin::{self, AskError, Request};
use crate::sections::Section;

/// Options that all of these commands share.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// Work on the host below this directory, which is not booted (an image, a rescue mount)
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

impl Where {
    /// The host's root directory.
    pub fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }
}

/// What the agent knows: whether the host is enrolled, orders in force, evidence
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rescind-agent status --json")]
pub struct Status {
    #[command(flatten)]
    at: Where,
}

/// Every way in: account, mechanism, open or closed or unknown, why, and where it is configured
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rescind-agent paths --account alice\n  \
                        rescind-agent paths --root /mnt/image --json")]
pub struct Paths {
    /// Only this account's
    #[arg(long)]
    account: Option<AccountName>,
    /// Only those that are open or unknown
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    at: Where,
}

/// The accounts of this host, each with how many ways in are open, what runs as it and its last
/// login; or the survey of it, section by section; or the secrets that lie on it
#[derive(Debug, Args)]
#[command(after_help = super::secrets::HELP)]
pub struct Inventory {
    /// One section of the survey: host, accounts, ssh_keys, logins, sudo, privileges, deferred, secrets
    #[arg(long, value_name = "NAME", value_parser = super::sections::section)]
    section: Option<Section>,
    /// What the survey could not read, and why; with --section, of one section
    #[arg(long, conflicts_with = "diff")]
    coverage: bool,
    /// What is not as it was at the last survey that the service kept, or changed last before it
    #[arg(long)]
    diff: bool,
    /// Private keys, tokens and passwords in files: whose, where, their fingerprints, never a value
    #[arg(long, conflicts_with_all = ["section", "coverage", "diff", "last_used"])]
    secrets: bool,
    /// Who came in last, which keys were used for whom, and how far back that is on record
    #[arg(long, conflicts_with_all = ["section", "coverage", "diff"])]
    last_used: bool,
    /// Of the secrets, only those in this account's home
    #[arg(long, requires = "secrets")]
    account: Option<AccountName>,
    #[command(flatten)]
    at: Where,
}

/// Apply a signed order from a file (`-`: standard input), for hosts that no network reaches
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind-agent apply order.rescind --dry-run\n  \
                        rescind-agent apply order.rescind --root /mnt/image\n\n\
                        Exit status: 0 verified or nothing to change, 3 any other outcome, 65 not accepted."
)]
pub struct Apply {
    /// The order, as `rescind order export` wrote it
    file: PathBuf,
    /// Show what would be changed, as a diff, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: Where,
}

impl Status {
    /// Runs the command.
    pub fn run(self) -> Exit {
        show(&self.at, Request::Status, |status| {
            let mut table = Table::new(&[]);
            for (key, value) in status.as_object().into_iter().flatten() {
                table.row(&[key.replace('_', " "), text(value)]);
            }
            table.print();
            Exit::Ok
        })
    }
}

impl Paths {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let request = Request::Paths {
            account: self.account,
        };
        show_filtered(
            &self.at,
            request,
            |path| !self.open || path["state"] != "closed",
            |paths| {
                let mut table =
                    Table::new(&["account", "mechanism", "state", "why", "where", "last used"]);
                for path in paths.as_array().into_iter().flatten() {
                    let source = match (&path["source"]["file"], &path["source"]["line"]) {
                        (Value::String(file), Value::Number(line)) => format!("{file}:{line}"),
                        (Value::String(file), _) => file.clone(),
                        _ => String::new(),
                    };
                    let mechanism = text(&path["mechanism"]).replace('_', " ");
                    table.row(&[
                        text(&path["account"]),
                        mechanism,
                        text(&path["state"]),
                        text(&path["reason"]),
                        source,
                        match path.get("known_since") {
                            Some(_) => last_used::cell(path),
                            None => String::new(),
                        },
                    ]);
                }
                table.print();
                Exit::Ok
            },
        )
    }
}

impl Inventory {
    /// Runs the command.
    pub fn run(self) -> Exit {
        if self.secrets {
            return super::secrets::show(&self.at, self.account.as_ref());
        }
        if self.coverage {
            return super::sections::coverage(&self.at, self.section);
        }
        if self.diff {
            return super::sections::diff(&self.at, self.section);
        }
        if let Some(section) = self.section {
            return super::sections::show(&self.at, section);
        }
        if self.last_used {
            return super::last_used::show(&self.at);
        }
        if self.at.json {
            // As it comes: there may be many accounts.
            return match obtain(&self.at, Request::Inventory) {
                Ok(json) => {
                    println!("{json}");
                    Exit::Ok
                }
                Err(message) => Exit::Unavailable.because(message),
            };
        }
        show(&self.at, Request::Inventory, |accounts| {
            const COLUMNS: [&str; 8] = [
                "account", "uid", "password", "expires", "shell", "keys", "open", "unknown",
            ];
            let more = ["runs", "last used", "from"];
            let mut table = Table::new(&[&COLUMNS[..], &more].concat());
            for account in accounts.as_array().into_iter().flatten() {
                let mut cells = COLUMNS.map(|column| text(&account[column])).to_vec();
                cells.push(section_words::runs(&account["runs"]));
                cells.push(last_used::cell(account));
                cells.push(text(&account["last_used"]["from"]));
                table.row(&cells);
            }
            table.print();
            Exit::Ok
        })
    }
}

impl Apply {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let bytes = match read_order(&self.file) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Exit::Io.because(format!("{}: {error}", self.file.display()));
            }
        };
        let request = Request::Apply {
            signed: STANDARD.encode(bytes),
            dry_run: self.dry_run,
        };
        let dry_run = self.dry_run;
        show(&self.at, request, |answer| {
            if dry_run && answer["why"].is_null() {
                for line in answer["diff"].as_array().into_iter().flatten() {
                    println!("{}", text(line));
                }
                return Exit::Ok;
            }
            match &answer["outcome"] {
                Value::Null => {
                    Exit::Data.because(format!("not accepted: {}", text(&answer["detail"])))
                }
                outcome => {
                    println!(
                        "{}: {}",
                        text(&outcome["verdict"]),
                        text(&outcome["reason"])
                    );
                    for path in outcome["paths"].as_array().into_iter().flatten() {
                        if path["state"] != "closed" {
                            println!(
                                "  {} {}: {}",
                                text(&path["state"]),
                                text(&path["mechanism"]),
                                text(&path["reason"])
                            );
                        }
                    }
                    for gap in outcome["gaps"].as_array().into_iter().flatten() {
                        println!("  not read: {}", text(gap));
                    }
                    match outcome["verdict"].as_str() {
                        Some("verified" | "already") => Exit::Ok,
                        _ => Exit::OtherOutcome,
                    }
                }
            }
        })
    }
}

fn read_order(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = ORDER_BYTES_MAX as u64 + 1;
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

pub(super) fn show(at: &Where, request: Request, print: impl FnOnce(&Value) -> Exit) -> Exit {
    show_filtered(at, request, |_| true, print)
}

fn show_filtered(
    at: &Where,
    request: Request,
    keep: impl Fn(&Value) -> bool,
    print: impl FnOnce(&Value) -> Exit,
) -> Exit {
    let mut answer = match obtain(at, request).and_then(|json| parsed(&json)) {
        Ok(answer) => answer,
        Err(message) => return Exit::Unavailable.because(message),
    };
    if let Value::Array(items) = &mut answer {
        items.retain(keep);
    }
    if at.json {
        println!("{answer}");
        // The status of an order that was applied is in its exit status for programs, too.
        return match answer["outcome"]["verdict"].as_str() {
            None if !answer["why"].is_null() => Exit::Data,
            None | Some("verified" | "already") => Exit::Ok,
            Some(_) => Exit::OtherOutcome,
        };
    }
    print(&answer)
}

/// An answer of the agent's.
pub(super) fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|_| AskError::Unreadable.to_string())
}

/// Asks the running agent, or answers here when there is none: the text of a JSON value.
fn obtain(at: &Where, request: Request) -> admin::Answer {
    match admin::ask(&layout::admin_sock(at.root()), &request) {
        Err(AskError::NotRunning { .. }) => {}
        Err(error) => return Err(error.to_string()),
        Ok(answer) => return Ok(answer),
    }
    admin::answer_here(at.root(), request)
}
