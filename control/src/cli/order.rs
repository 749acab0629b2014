//! `rescind order`, and following orders.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use rescind_protocol::name::{OrderId, UnixMillis};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, segment};
use super::hosts::paths_table;
use super::table::Table;
use super::{Failure, duration, print, print_json};

/// Orders followed at once.
const FOLLOWED_AT_ONCE: usize = 32;

/// Orders and what became of them
#[derive(Debug, Subcommand)]
pub enum Order {
    /// List orders, the latest first
    #[command(after_help = "Example:\n  rescind order list --host web1 --in-force")]
    List {
        /// Of one host only
        #[arg(long)]
        host: Option<String>,
        /// In one state only, as `concluded`
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
    #[command(after_help = "Example:\n  rescind order show 0193a1b2-… --follow")]
    Show {
        /// The order
        id: OrderId,
        #[command(flatten)]
        follow: FollowArgs,
    },
    /// Write the signed order to a file, for a host without a network
    #[command(
        after_help = "Example:\n  rescind order export 0193a1b2-… -o alice.order\n  rescind-agent apply alice.order"
    )]
    Export {
        /// The order
        id: OrderId,
        /// The file; `-` for standard output
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
}

/// Whether and how long to follow.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// Show each state as it happens, until the order has ended
    #[arg(long)]
    follow: bool,
    /// How long to follow
    #[arg(long, value_parser = duration, default_value = "60s")]
    timeout: Duration,
    /// How long to wait, after the outcome, for the host's own tools
    #[arg(long, value_parser = duration, default_value = "5s", value_name = "TIME")]
    confirm_timeout: Duration,
}

impl FollowArgs {
    /// Whether to follow.
    pub const fn wanted(&self) -> bool {
        self.follow
    }
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
                for event in shown["timeline"].as_array().into_iter().flatten() {
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

fn orders_table(orders: &[Value]) -> String {
    let mut table = Table::new([
        "ORDER", "ISSUED", "HOST", "ACTION", "STATE", "IN FORCE", "TICKET", "ASKED BY",
    ]);
    for order in orders {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let verdict = text(&order["outcome"]);
        let state = text(&order["state"]);
        table.row([
            text(&order["id"]),
            UnixMillis(order["issued_at"].as_u64().unwrap_or_default()).to_string(),
            text(&order["host_name"]),
            action_words(&order["action"]),
            if verdict.is_empty() || state == "released" {
                state
            } else {
                format!("{state}: {verdict}")
            },
            if order["in_force"] == true {
                "yes"
            } else {
                "no"
            }
            .into(),
            text(&order["authority"]["ticket"]),
            text(&order["authority"]["asked_by"]),
        ]);
    }
    table.to_text("no orders")
}

fn action_words(action: &Value) -> String {
    let text = |key: &str| action[key].as_str().unwrap_or_default();
    match text("kind") {
        "disable_account" => format!("disable account {}", text("account")),
        "revoke_key" => match action["account"].as_str() {
            Some(account) => format!("revoke key {} of {account}", text("fingerprint")),
            None => format!("revoke key {}", text("fingerprint")),
        },
        "end_sessions" => format!("end sessions of {}", text("account")),
        "release" => format!("release {}", text("order")),
        other => other.to_owned(),
    }
}

fn heading(order: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let authority = &order["authority"];
    let approved: Vec<String> = authority["approved_by"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let mut out = format!(
        "order {}\n  {} on {} (sequence {})\n  asked by {}, ticket {}: {}\n  given by {}\n",
        text(&order["id"]),
        action_words(&order["action"]),
        text(&order["host_name"]),
        order["seq"],
        text(&authority["asked_by"]),
        text(&authority["ticket"]),
        text(&authority["reason"]),
        text(&order["operator"]),
    );
    if !approved.is_empty() {
        out.push_str(&format!("  approved by {}\n", approved.join(", ")));
    }
    for (key, words) in [
        ("superseded_by", "issued again as"),
        ("released_by", "released by"),
    ] {
        if let Some(id) = order[key].as_str() {
            out.push_str(&format!("  {words} {id}\n"));
        }
    }
    out
}

/// How following an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Verified,
    Otherwise,
    NoAnswer,
}

/// Follows orders to their ends and shows what happens as it happens.
pub(super) async fn follow_all(
    client: &Client,
    json: bool,
    orders: &[Value],
    follow: &FollowArgs,
) -> Result<(), Failure> {
    let until = Instant::now() + follow.timeout;
    let mut ends = Vec::with_capacity(orders.len());
    for group in orders.chunks(FOLLOWED_AT_ONCE) {
        let many = orders.len() > 1;
        let following = group
            .iter()
            .map(|order| follow_one(client, json, order, follow, until, many));
        ends.extend(join_all(following).await);
    }
    let ends = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
    if ends.contains(&Ended::Otherwise) {
        return Err(Failure::NotVerified);
    }
    match ends.iter().filter(|end| **end == Ended::NoAnswer).count() {
        0 => Ok(()),
        count => Err(Failure::NoAnswer(format!(
            "{count} of {} orders had no outcome within {} s; they stay on their way",
            orders.len(),
            follow.timeout.as_secs()
        ))),
    }
}

async fn follow_one(
    client: &Client,
    json: bool,
    order: &Value,
    follow: &FollowArgs,
    until: Instant,
    many: bool,
) -> Result<Ended, Failure> {
    let id = order["id"].as_str().unwrap_or_default();
    let prefix = match order["host_name"].as_str() {
        Some(name) if many => format!("{name}: "),
        _ => String::new(),
    };
    let path = format!(
        "/v1/orders/{id}/follow?confirm_ms={}",
        follow.confirm_timeout.as_millis()
    );
    let mut lines = client.lines(&path).await?;
    let mut ended = Ended::NoAnswer;
    let mut outcome = Value::Null;
    loop {
        let line = match timeout_at(until, lines.next()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        };
        let event: Value = serde_json::from_str(&line).map_err(|error| {
            Failure::Failed(format!("the server's answer cannot be read: {error}"))
        })?;
        if json {
            print(&format!("{line}\n"))?;
        } else {
            print(&event_line(&event, &prefix))?;
        }
        match event["state"].as_str().unwrap_or_default() {
            "verified" | "already" => ended = Ended::Verified,
            "partial" | "refused" | "impossible" | "unverified" | "not_accepted" | "expired"
            | "superseded" => {
                ended = Ended::Otherwise;
            }
            "confirmed"
                if event["detail"]["answers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|a| a["agrees"] == false) =>
            {
                ended = Ended::Otherwise;
            }
            _ => (),
        }
        if event["detail"]["result"].is_object() {
            outcome = event["detail"]["result"].clone();
        }
    }
    if !json {
        print(&summary(&outcome))?;
    }
    Ok(ended)
}

/// Waits for all, polling each; their number is bounded by the caller.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

fn event_line(event: &Value, prefix: &str) -> String {
    let state = event["state"].as_str().unwrap_or_default();
    let ms = event["ms"].as_f64().unwrap_or_default();
    let words: String = detail_words(state, &event["detail"])
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let line = format!("{prefix}{ms:>10.1} ms  {state:<12} {words}");
    format!("{}\n", line.trim_end())
}

fn detail_words(state: &str, detail: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match state {
        "signed" => format!("sequence {}, key {}", detail["seq"], text(&detail["key"])),
        "accepted" => {
            let signers: Vec<String> = list(&detail["signers"]).iter().map(text).collect();
            format!(
                "by {}, signed by {}",
                text(&detail["via"]),
                signers.join(", ")
            )
        }
        "planned" => format!("{} steps", list(&detail["steps"]).len()),
        "applied" => {
            let what = format!("{} {}", text(&detail["kind"]), text(&detail["target"]));
            let end = match detail["error"].as_str() {
                Some(error) => format!(": {error}"),
                None if detail["changed"] == false => ": nothing to change".into(),
                None => String::new(),
            };
            format!("{what}{end}")
        }
        "verified" | "already" | "partial" | "refused" | "impossible" | "unverified" => {
            let outcome = &detail["result"];
            let guard = outcome["guard"]
                .as_str()
                .map(|guard| format!("[{guard}] "))
                .unwrap_or_default();
            format!("{guard}{}", text(&outcome["reason"]))
        }
        "confirmed" => {
            let said: Vec<String> = list(&detail["answers"])
                .iter()
                .map(|answer| {
                    let mark = match answer["agrees"].as_bool() {
                        Some(true) => "agrees",
                        Some(false) => "DISAGREES",
                        None => "could not be asked",
                    };
                    format!("{} {mark}", text(&answer["tool"]))
                })
                .collect();
            said.join("; ")
        }
        "not_accepted" => format!("{}: {}", text(&detail["why"]), text(&detail["detail"])),
        "drift" => {
            let paths = list(&detail["paths"]).len();
            format!(
                "{paths} paths were open again, by {}, {} times so far",
                text(&detail["actor"]),
                detail["times"]
            )
        }
        "contested" => {
            let files: Vec<String> = list(&detail["files"]).iter().map(text).collect();
            format!("{} times: {}", detail["times"], files.join(", "))
        }
        "released" => format!("by {}", text(&detail["by"])),
        "superseded" => format!("by {}: {}", text(&detail["by"]), text(&detail["why"])),
        _ => String::new(),
    }
}

/// What is still open or could not be read.
fn summary(outcome: &Value) -> String {
    if !outcome.is_object() {
        return String::new();
    }
    let not_closed: Vec<Value> = outcome["paths"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|path| path["state"] != "closed")
        .cloned()
        .collect();
    let mut text = String::new();
    if !not_closed.is_empty() {
        text.push_str(&format!(
            "paths that are not closed:\n{}",
            paths_table(&not_closed)
        ));
    }
    if let Some(count) = outcome["paths_left_out"]
        .as_u64()
        .filter(|count| *count > 0)
    {
        text.push_str(&format!("{count} more paths are not listed\n"));
    }
    let gaps: Vec<&str> = outcome["gaps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !gaps.is_empty() {
        text.push_str(&format!("could not be read:\n  {}\n", gaps.join("\n  ")));
    }
    text
}
