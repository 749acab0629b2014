//! Sections of a survey as JSON, which a host sends and the control plane and people read; and what
//! is different between two of them.

use rescind_protocol::difference::Difference;
use rescind_protocol::name::SectionName;
use rescind_protocol::section::Document;
use rescind_protocol::section_words::{cells, columns, difference, not_read_line, runs};
use serde_json::Value;

use super::Target;
use super::told::{holds_no_control, is_told_safely};

pub const TARGET: Target = Target {
    name: "sections",
    read,
    words: &[
        "{\"section\":\"ssh_keys\",\"format\":1,\"rows\":[",
        "],\"left_out\":0,\"not_read\":{\"total\":1,\"listed\":[",
        "{\"account\":\"alice\",\"uid\":1000,\"mechanism\":\"ssh_public_key\",",
        "\"state\":\"open\",\"reason\":\"x\",",
        "\"source\":{\"file\":\"/k\",\"line\":1},",
        "\"fingerprint\":\"SHA256:x\"}",
        "{\"path\":\"/p\",\"cause\":\"hang\",\"why\":\"x\"}",
        "\"runs\":[{\"what\":\"a.service\",\"by\":\"b\",\"state\":\"open\"}]",
        "\\u001b[31m",
        "\\ud800",
        "null",
        "-1",
        "1e999",
        "[[[[",
        "{\"a\":",
        "}}",
        ",",
        "\n",
    ],
    made,
    rooms: &["protocol/src/section.rs", "protocol/src/difference.rs"],
};

/// What people see of these has columns of its own; of all others it is alike.
const NAMES: [&str; 4] = ["host", "accounts", "secrets", "ssh_keys"];

/// Two states, one on each line; where there is one line only, both are the same.
fn read(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let was = lines.next().unwrap_or_default();
    let is = lines.next().unwrap_or(was);
    for name in NAMES {
        let name: SectionName = name.parse().expect("it is a name");
        match (Document::parse(&name, was), Document::parse(&name, is)) {
            (Ok(was), Ok(is)) => {
                words(&name, &was);
                words(&name, &is);
                between(&name, &was, &is);
            }
            (was, is) => {
                let wrong = [was.err(), is.err()];
                wrong
                    .iter()
                    .flatten()
                    .for_each(|why| is_told_safely(&why.to_string()));
            }
        }
    }
    if let Ok(any) = serde_json::from_slice::<Value>(was) {
        told(&any);
    }
}

fn words(name: &SectionName, document: &Document<'_>) {
    for row in &document.rows {
        // What is well-formed may still hold numbers that no type has.
        let Ok(row) = serde_json::from_str::<Value>(row.get()) else {
            continue;
        };
        told(&row);
        let cells = cells(name.as_str(), &row);
        assert_eq!(cells.len(), columns(name.as_str()).len());
    }
}

/// Whatever the value is, what is told of it is fit for a terminal.
fn told(value: &Value) {
    for name in NAMES {
        cells(name, value)
            .iter()
            .for_each(|cell| holds_no_control(cell));
        difference(name, value)
            .iter()
            .for_each(|line| holds_no_control(line));
    }
    holds_no_control(&runs(value));
    holds_no_control(&not_read_line(value));
}

fn between(name: &SectionName, was: &Document<'_>, is: &Document<'_>) {
    assert!(Difference::between(was, was).is_nothing());
    let found = Difference::between(was, is);
    let rows = &found.rows;
    let count = |many: usize| i64::try_from(many).expect("a fuzzed file is not that long");
    // Nothing is lost: what is there now was there or came.
    assert_eq!(
        count(is.rows.len()) - count(was.rows.len()),
        count(rows.added.len()) - count(rows.removed.len())
    );
    let back = Difference::between(is, was);
    assert_eq!(back.rows.added.len(), rows.removed.len());
    assert_eq!(back.rows.removed.len(), rows.added.len());
    assert_eq!(back.rows.moved, rows.moved);
    if let Ok(value) = serde_json::to_value(&found) {
        let lines = difference(name.as_str(), &value);
        lines.iter().for_each(|line| holds_no_control(line));
    }
}

fn made() -> Vec<Vec<u8>> {
    let section = |name: &str, rows: &str| {
        format!(
            r#"{{"section":"{name}","format":1,"rows":[{rows}],"left_out":0,"not_read":{{"total":1,"listed":[{{"account":"bob","path":"/p","cause":"hang","why":"x"}}]}}}}"#
        )
    };
    let key = |key: &str, line: u32, state: &str| {
        format!(
            r#"{{"account":"alice","uid":1000,"mechanism":"ssh_public_key","state":"{state}","reason":"x","source":{{"file":"/k","line":{line}}},"fingerprint":"{key}"}}"#
        )
    };
    let was = [
        key("A", 1, "open"),
        key("B", 2, "open"),
        key("C", 3, "open"),
    ]
    .join(",");
    let is = [
        key("B", 1, "closed"),
        key("C", 2, "open"),
        key("D", 3, "open"),
    ]
    .join(",");
    let account = r#"{"account":"alice","uid":1000,"password":"usable","expires":"2026-01-01","shell":"/bin/sh","runs":[{"what":"a.service","by":"b","state":"open"}]}"#;
    let secret = r#"{"account":"alice","kind":"ssh_private_key","path":"/home/alice/.ssh/id","uid":1000,"mode":"0600","fingerprint":"SHA256:x"}"#;
    let host = r#"{"name":"sshd","value":"9.2","running":true,"source":{"file":"/x","line":1}}"#;
    [
        section("ssh_keys", &was) + "\n" + &section("ssh_keys", &is),
        section("accounts", account),
        section("secrets", secret),
        section("host", host),
    ]
    .map(String::into_bytes)
    .to_vec()
}
