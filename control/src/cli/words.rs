//! Orders, their timelines and outcomes in words and tables.

use rescind_protocol::name::UnixMillis;
use serde_json::Value;

use super::hosts::paths_table;
use super::table::Table;

/// Orders as a table.
pub fn orders_table(orders: &[Value]) -> String {
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
        "end_key_sessions" => match action["account"].as_str() {
            Some(account) => format!("end sessions of {account} by key {}", text("fingerprint")),
            None => format!("end sessions by key {}", text("fingerprint")),
        },
        "revoke_group" => format!("revoke group {} of {}", text("group"), text("account")),
        "revoke_sudo" => format!("revoke sudo of {}", text("account")),
        "release" => format!("release {}", text("order")),
        other => other.to_owned(),
    }
}

/// An order, its authority and its fate.
pub fn heading(order: &Value) -> String {
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

/// A line of a timeline.
pub fn event_line(event: &Value, prefix: &str) -> String {
    let state = event["state"].as_str().unwrap_or_default();
    let ms = event["ms"].as_f64().unwrap_or_default();
    let words = printable(&detail_words(state, &event["detail"]));
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
pub fn summary(outcome: &Value) -> String {
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
    let gaps: Vec<String> = outcome["gaps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(printable)
        .collect();
    if !gaps.is_empty() {
        text.push_str(&format!("could not be read:\n  {}\n", gaps.join("\n  ")));
    }
    text
}

/// A text that a host may have written, fit for a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
