//! `inventory --last-used`, and when something was used last, in a word.

use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::local::{self, Where};
use crate::cli::table::{Table, text};
use crate::daemon::admin::Request;

/// Runs the command.
pub(super) fn show(at: &Where) -> Exit {
    local::show(at, Request::LastUsed, |answer| {
        let rows = |name: &str| answer[name].as_array().map_or(&[][..], Vec::as_slice);
        let mut table = Table::new(&["account", "last used", "from", "how", "source", "key"]);
        for row in rows("accounts") {
            let last = &row["last_used"];
            table.row(&[
                text(&row["account"]),
                when(last),
                text(&last["from"]),
                text(&last["how"]),
                source(last),
                text(&last["fingerprint"]),
            ]);
        }
        table.print();
        println!();
        let mut table = Table::new(&["key", "last used", "for", "from", "source"]);
        for (kind, name) in [("", "keys"), (" (CA)", "authorities")] {
            for row in rows(name) {
                let last = &row["last_used"];
                table.row(&[
                    format!("{}{kind}", text(&row["fingerprint"])),
                    when(last),
                    text(&last["account"]),
                    text(&last["from"]),
                    source(last),
                ]);
            }
        }
        table.print();
        println!();
        match &answer["known_since"] {
            Value::Null => println!("since when logins are on record is not known"),
            since => println!("logins over ssh are on record since {}", text(since)),
        }
        for source in rows("sources") {
            if source["state"] == "absent" {
                continue;
            }
            let notes = source["notes"].as_array().into_iter().flatten().map(text);
            let notes: Vec<String> = notes.collect();
            println!(
                "  {}: {}{}{}",
                text(&source["source"]),
                text(&source["state"]).replace('_', " "),
                if notes.is_empty() { "" } else { "; " },
                notes.join("; ")
            );
        }
        for (kind, what) in [("logins", "logins are not"), ("keys", "not every key is")] {
            for place in answer["not_logged"][kind].as_array().into_iter().flatten() {
                println!("  {what} written down: {}", text(place));
            }
        }
        Exit::Ok
    })
}

/// When an account or a key was used last: a minute in UTC, `none since DAY`, or `unknown`.
pub(super) fn cell(row: &Value) -> String {
    match (&row["last_used"], row["known_since"].as_str()) {
        (Value::Null, None) => "unknown".into(),
        (Value::Null, Some(since)) => format!("none since {}", since.get(..10).unwrap_or(since)),
        (last, _) => when(last),
    }
}

/// The minute of a use.
fn when(last: &Value) -> String {
    let at = last["at"].as_str().unwrap_or("unknown");
    at.get(..16).unwrap_or(at).replace('T', " ")
}

/// Where a use is on record; what a user could have written is marked.
fn source(last: &Value) -> String {
    let mark = if last["attested"] == true { "" } else { "?" };
    format!("{}{mark}", text(&last["source"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_record_is_not_never() {
        for (row, want) in [
            (
                json!({"last_used": {"at": "2026-11-23T15:10:14.152Z"}, "known_since": null}),
                "2026-11-23 15:10",
            ),
            (
                json!({"last_used": null, "known_since": "2026-10-01T00:00:00.000Z"}),
                "none since 2026-10-01",
            ),
            (json!({"last_used": null, "known_since": null}), "unknown"),
            (json!({}), "unknown"),
            (json!({"last_used": {}}), "unknown"),
        ] {
            assert_eq!(cell(&row), want);
        }
    }
}
