//! `rescind inventory --section`, `--coverage`, `--diff`: what a host's survey found.

use rescind_protocol::name::{SectionName, UnixMillis};
use rescind_protocol::section_words as words;
use serde_json::Value;

use super::client::{Client, segment};
use super::{Failure, print, print_json};

/// Shows one section: of the host as it is now, where it answers.
pub async fn show(
    client: &Client,
    host: &str,
    section: &SectionName,
    options: &str,
    json: bool,
) -> Result<(), Failure> {
    let path = format!("/v1/hosts/{}/sections/{section}?{options}", segment(host));
    let answer: Value = client.get(&path).await?;
    if json {
        return print_json(&answer);
    }
    let document = &answer["section"];
    let name = section.as_str();
    let heads = words::columns(name).iter().map(|head| head.to_uppercase());
    let mut rows = vec![heads.collect::<Vec<String>>()];
    rows.extend(
        array(&document["rows"])
            .iter()
            .map(|row| words::cells(name, row)),
    );
    let mut out = said_when(&answer);
    out.push_str(&aligned(&rows));
    out.push_str(&not_read(document, ""));
    print(&out)
}

/// Shows what the stored sections do not cover.
pub async fn coverage(
    client: &Client,
    host: &str,
    section: Option<&SectionName>,
    json: bool,
) -> Result<(), Failure> {
    let answer: Value = client.get(&of(host, "coverage", section)).await?;
    if json {
        return print_json(&answer);
    }
    let heads = ["SECTION", "ROWS", "LEFT OUT", "NOT READ", "RECEIVED"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let sections = array(&answer["sections"]);
    for one in sections {
        let cells = ["section", "rows", "left_out"].map(|key| words::text(&one[key]));
        let total = words::text(&one["not_read"]["total"]);
        rows.push([&cells[..], &[total, when(&one["received_at"])]].concat());
    }
    let mut out = aligned(&rows);
    for one in sections {
        let name = words::text(&one["section"]);
        out.push_str(&not_read(one, &format!("{name} ")));
    }
    out.push_str(&heard(&answer));
    print(&out)
}

/// Shows what changed last in each section.
pub async fn diff(
    client: &Client,
    host: &str,
    section: Option<&SectionName>,
    json: bool,
) -> Result<(), Failure> {
    let answer: Value = client.get(&of(host, "differences", section)).await?;
    if json {
        return print_json(&answer);
    }
    let (mut out, mut same) = (String::new(), Vec::new());
    for one in array(&answer["sections"]) {
        let name = words::text(&one["section"]);
        if one["was"].is_null() {
            same.push(name);
            continue;
        }
        out.push_str(&format!("{name}: changed {}\n", when(&one["received_at"])));
        let lines = words::difference(&name, &one["difference"]);
        for line in &lines {
            out.push_str(&format!("  {line}\n"));
        }
        if lines.is_empty() {
            out.push_str("  only the places of lines\n");
        }
    }
    if !same.is_empty() {
        out.push_str(&format!("no change is known of: {}\n", same.join(", ")));
    }
    out.push_str(&heard(&answer));
    print(&out)
}

fn of(host: &str, what: &str, section: Option<&SectionName>) -> String {
    let path = format!("/v1/hosts/{}/{what}", segment(host));
    match section {
        Some(section) => format!("{path}?section={section}"),
        None => path,
    }
}

/// A line that says that an answer is not the host's of now; nothing where it is.
pub fn said_when(answer: &Value) -> String {
    if answer["live"] == true {
        return String::new();
    }
    let age = answer["age_s"].as_u64().unwrap_or_default();
    format!(
        "as the host said {} ({} ago); it was last heard of {}\n",
        when(&answer["received_at"]),
        age_in_words(age),
        when(&answer["heard_at"])
    )
}

/// A line that says until when what is stored is known to have been so.
fn heard(answer: &Value) -> String {
    match answer["connected"] == true {
        true => "the host is connected, and sends what changed after each survey\n".into(),
        false => format!(
            "the host is away; it was last heard of {}\n",
            when(&answer["heard_at"])
        ),
    }
}

fn when(at: &Value) -> String {
    at.as_u64()
        .map_or_else(|| "never".into(), |ms| UnixMillis(ms).to_string())
}

fn age_in_words(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn not_read(section: &Value, prefix: &str) -> String {
    let listed = array(&section["not_read"]["listed"]);
    let mut out = String::new();
    for one in listed {
        out.push_str(&format!(
            "{prefix}not read: {}\n",
            words::not_read_line(one)
        ));
    }
    let total = section["not_read"]["total"].as_u64().unwrap_or_default();
    let more = total.saturating_sub(listed.len() as u64);
    if more > 0 {
        out.push_str(&format!("{prefix}not read: {more} more\n"));
    }
    out
}

/// Rows as columns. Their cells are fit for a terminal already.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_is_not_of_now_says_so() {
        assert_eq!(said_when(&json!({ "live": true })), "");
        let stored = json!({
            "live": false, "age_s": 7260, "received_at": 1_795_423_384_000_u64,
            "heard_at": null,
        });
        assert_eq!(
            said_when(&stored),
            "as the host said 2026-11-23T08:43:04.000Z (2 h ago); it was last heard of never\n"
        );
    }
}
