//! Rows of sections as people read them, for the command lines of both sides.
//!
//! What comes from a host is data: characters that a terminal would obey are replaced.

use serde_json::Value;

/// The heads of the columns in which a section is shown.
pub fn columns(section: &str) -> &'static [&'static str] {
    match section {
        "host" => &["what", "value", "running", "where"],
        "accounts" => &["account", "uid", "password", "expires", "shell", "runs"],
        "secrets" => &["account", "kind", "where", "owner", "mode", "fingerprint"],
        _ => &["account", "mechanism", "state", "why", "where", "key"],
    }
}

/// A row of a section, in those columns.
pub fn cells(section: &str, row: &Value) -> Vec<String> {
    match section {
        "host" => vec![
            text(&row["name"]),
            text(&row["value"]),
            match &row["running"] {
                Value::Bool(true) => "yes".into(),
                Value::Bool(false) => "no".into(),
                _ => String::new(),
            },
            place(row),
        ],
        "accounts" => ["account", "uid", "password", "expires", "shell"]
            .iter()
            .map(|key| text(&row[*key]))
            .chain([runs(&row["runs"])])
            .collect(),
        "secrets" => {
            let owner = match &row["owner"] {
                Value::Null => &row["uid"],
                owner => owner,
            };
            let rest = [owner, &row["mode"], &row["fingerprint"]];
            [text(&row["account"]), words(&row["kind"]), place(row)]
                .into_iter()
                .chain(rest.map(text))
                .collect()
        }
        _ => vec![
            text(&row["account"]),
            words(&row["mechanism"]),
            text(&row["state"]),
            text(&row["reason"]),
            place(row),
            text(&row["fingerprint"]),
        ],
    }
}

/// What runs as an account, shortly: files by their last name.
pub fn runs(runs: &Value) -> String {
    let all = runs.as_array().into_iter().flatten();
    // What is closed does not run.
    let now = all.filter(|one| one["state"] != "closed");
    let name = |one: &Value| {
        let what = text(&one["what"]);
        match one["by"].as_str() {
            Some("crontab") => "cron".into(),
            Some("at_job") => "at".into(),
            Some("more") => format!("{what} more"),
            Some("process") => what,
            _ => what.rsplit('/').next().unwrap_or(&what).to_owned(),
        }
    };
    let mut names: Vec<String> = now.map(name).collect();
    names.dedup();
    names.join(", ")
}

/// What of a section is different, a line for each: `+` came, `-` went, `~` is not as it was.
/// `difference` is the JSON of a [`crate::difference::Difference`].
pub fn difference(section: &str, difference: &Value) -> Vec<String> {
    let mut lines = rows_difference(difference, &|row| one_line(section, row));
    let not_read = rows_difference(&difference["not_read"], &|row| {
        format!("not read: {}", not_read_line(row))
    });
    lines.extend(not_read);
    lines
}

fn rows_difference(rows: &Value, line: &dyn Fn(&Value) -> String) -> Vec<String> {
    let list = |key: &str| rows[key].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = Vec::new();
    lines.extend(list("removed").iter().map(|row| format!("- {}", line(row))));
    lines.extend(list("added").iter().map(|row| format!("+ {}", line(row))));
    for change in list("changed") {
        let (was, is) = (&change["was"], &change["is"]);
        lines.push(format!("~ {}", line(is)));
        for (key, value) in is.as_object().into_iter().flatten() {
            if was[key] != *value {
                lines.push(format!("    {} was {}", printable(key), shown(&was[key])));
            }
        }
        for (key, value) in was.as_object().into_iter().flatten() {
            if is.get(key).is_none() {
                lines.push(format!("    {} was {}", printable(key), shown(value)));
            }
        }
    }
    if let Some(more @ 1..) = rows["more"].as_u64() {
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn one_line(section: &str, row: &Value) -> String {
    let cells = cells(section, row).into_iter();
    let said: Vec<String> = cells.filter(|cell| !cell.is_empty()).collect();
    said.join("  ")
}

/// What could not be read, as a line.
pub fn not_read_line(row: &Value) -> String {
    let parts = [&row["account"], &row["path"]].map(text);
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!(
        "{}: {} ({})",
        said.join("  "),
        text(&row["why"]),
        text(&row["cause"])
    )
}

fn place(row: &Value) -> String {
    let (file, line) = match &row["source"] {
        Value::Null => (text(&row["path"]), &row["label"]),
        source => (text(&source["file"]), &source["line"]),
    };
    match line {
        Value::Number(line) => format!("{file}:{line}"),
        Value::String(label) => format!("{file} ({})", printable(label)),
        _ => file,
    }
}

fn words(value: &Value) -> String {
    text(value).replace('_', " ")
}

/// A value as a person reads it: text without quotes, nothing for null.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not there".into(),
        value => text(value),
    }
}

fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_in_words() {
        let key = json!({"account":"alice","uid":1000,"mechanism":"ssh_public_key","state":"open",
            "reason":"the key is accepted","source":{"file":"/k","line":3},"fingerprint":"SHA256:x"});
        assert_eq!(
            one_line("ssh_keys", &key),
            "alice  ssh public key  open  the key is accepted  /k:3  SHA256:x"
        );
        let account = json!({"account":"db\u{1b}","uid":7,"runs":[
            {"by":"crontab","what":"/c/db","state":"open"},
            {"by":"systemd_unit","what":"/u/db.service","state":"open"},
            {"by":"systemd_unit","what":"/u/off.service","state":"closed"}]});
        assert_eq!(one_line("accounts", &account), "db?  7  cron, db.service");
    }

    #[test]
    fn names_of_fields_are_told_in_print() {
        let found = json!({"changed": [{"was": {"a\u{1b}[31m":1}, "is": {"b\u{7f}":2}}]});
        assert_eq!(
            difference("sudo", &found),
            ["~ ", "    b? was not there", "    a?[31m was 1"]
        );
    }

    #[test]
    fn differences_in_words() {
        let row = |state: &str| json!({"account":"bob","state":state});
        let found = json!({
            "added": [row("open")], "removed": [], "moved": 4, "more": 2,
            "changed": [{"was": row("closed"), "is": row("open")}],
            "not_read": {"removed": [{"path":"/p","cause":"hang","why":"did not answer"}]},
        });
        assert_eq!(
            difference("sudo", &found),
            [
                "+ bob  open",
                "~ bob  open",
                "    state was closed",
                "  and 2 more",
                "- not read: /p: did not answer (hang)"
            ]
        );
    }
}
