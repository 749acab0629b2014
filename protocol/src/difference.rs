//! What was added, removed and changed between two states of a section.
//!
//! Rows are the same one when what names them is the same: account, mechanism or kind, file, key,
//! but not the line: a line put at the top of a file moves all others and changes none of them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::section::Document;

/// The most rows that one list names; the rest is counted.
pub const NAMED_MAX: usize = 10_000;

/// Between two states of a section.
#[derive(Debug, Default, Serialize)]
pub struct Difference<'a> {
    /// What was found.
    #[serde(flatten)]
    pub rows: Rows<'a>,
    /// What could not be read.
    pub not_read: Rows<'a>,
}

/// Between two lists of rows.
#[derive(Debug, Default, Serialize)]
pub struct Rows<'a> {
    /// Only in the later one.
    pub added: Vec<&'a RawValue>,
    /// Only in the earlier one.
    pub removed: Vec<&'a RawValue>,
    /// In both, and not the same.
    pub changed: Vec<Change<'a>>,
    /// In both, and the same but for the line.
    pub moved: u64,
    /// Added, removed or changed beyond [`NAMED_MAX`] of each.
    pub more: u64,
}

/// A row that is not as it was.
#[derive(Debug, Serialize)]
pub struct Change<'a> {
    /// Before.
    pub was: &'a RawValue,
    /// After.
    pub is: &'a RawValue,
}

impl<'a> Difference<'a> {
    /// Between an earlier state and a later one.
    pub fn between(was: &Document<'a>, is: &Document<'a>) -> Self {
        Self {
            rows: Rows::between(&was.rows, &is.rows),
            not_read: Rows::between(&was.not_read.listed, &is.not_read.listed),
        }
    }

    /// Whether nothing but lines is different.
    pub fn is_nothing(&self) -> bool {
        self.rows.is_nothing() && self.not_read.is_nothing()
    }
}

impl<'a> Rows<'a> {
    /// Between an earlier list and a later one.
    pub fn between(was: &[&'a RawValue], is: &[&'a RawValue]) -> Self {
        // Most rows are the same, and need no looking into.
        let mut left: HashMap<&str, usize> = HashMap::with_capacity(was.len());
        for row in was {
            *left.entry(row.get()).or_default() += 1;
        }
        let mut groups: BTreeMap<String, [Vec<Row<'a>>; 2]> = BTreeMap::new();
        for row in is {
            match left.get_mut(row.get()) {
                Some(count @ 1..) => *count -= 1,
                _ => {
                    let (identity, row) = Row::of(row);
                    groups.entry(identity).or_default()[1].push(row);
                }
            }
        }
        for row in was {
            if let Some(count @ 1..) = left.get_mut(row.get()) {
                *count -= 1;
                let (identity, row) = Row::of(row);
                groups.entry(identity).or_default()[0].push(row);
            }
        }
        let mut found = Self::default();
        for [was, is] in groups.into_values() {
            found.group(was, is);
        }
        found.cut();
        found
    }

    /// Rows of one identity: those that only moved, then pairs in their order, then the rest.
    fn group(&mut self, was: Vec<Row<'a>>, is: Vec<Row<'a>>) {
        let mut left: HashMap<&str, usize> = HashMap::new();
        for row in &was {
            *left.entry(&row.content).or_default() += 1;
        }
        let mut later = Vec::new();
        for row in &is {
            match left.get_mut(row.content.as_str()) {
                Some(count @ 1..) => {
                    *count -= 1;
                    self.moved += 1;
                }
                _ => later.push(row.raw),
            }
        }
        let mut earlier = was.iter().filter_map(|row| {
            let count = left.get_mut(row.content.as_str())?;
            let stays = *count > 0;
            *count = count.saturating_sub(1);
            stays.then_some(row.raw)
        });
        for is in later {
            match earlier.next() {
                Some(was) => self.changed.push(Change { was, is }),
                None => self.added.push(is),
            }
        }
        self.removed.extend(earlier);
    }

    fn cut(&mut self) {
        let before = self.added.len() + self.removed.len() + self.changed.len();
        self.added.truncate(NAMED_MAX);
        self.removed.truncate(NAMED_MAX);
        self.changed.truncate(NAMED_MAX);
        let after = self.added.len() + self.removed.len() + self.changed.len();
        self.more = (before - after) as u64;
    }

    /// Whether nothing but lines is different.
    pub const fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A row that is not the same in both.
struct Row<'a> {
    raw: &'a RawValue,
    /// Everything but the line, as text.
    content: String,
}

/// What names a row, where it has it.
const NAMES: [&str; 6] = ["account", "mechanism", "kind", "name", "path", "label"];

impl<'a> Row<'a> {
    /// A row, and what names it.
    fn of(raw: &'a RawValue) -> (String, Self) {
        // What cannot be taken apart is named by all of it.
        let Ok(mut content) = serde_json::from_str::<Value>(raw.get()) else {
            let content = raw.get().to_owned();
            return (raw.get().to_owned(), Self { raw, content });
        };
        let mut identity: Vec<&Value> = NAMES.iter().map(|name| &content[*name]).collect();
        identity.push(&content["source"]["file"]);
        // A secret that was replaced is a change of the file it lies in; a key that lets somebody
        // in is another key.
        if content["mechanism"].is_string() {
            identity.push(&content["fingerprint"]);
        }
        let words: Vec<String> = identity.iter().map(ToString::to_string).collect();
        let identity = words.join(" ");
        if let Some(source) = content.get_mut("source").and_then(Value::as_object_mut) {
            source.remove("line");
        }
        let content = content.to_string();
        (identity, Self { raw, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(rows: &[&str], not_read: &[&str]) -> String {
        format!(
            r#"{{"section":"x","format":1,"rows":[{}],"left_out":0,"not_read":{{"total":{},"listed":[{}]}}}}"#,
            rows.join(","),
            not_read.len(),
            not_read.join(",")
        )
    }

    fn between(was: &str, is: &str) -> Value {
        let name = "x".parse().unwrap();
        let was = Document::parse(&name, was.as_bytes()).unwrap();
        let is = Document::parse(&name, is.as_bytes()).unwrap();
        serde_json::to_value(Difference::between(&was, &is)).unwrap()
    }

    fn key(account: &str, key: &str, line: u32, state: &str) -> String {
        format!(
            r#"{{"account":"{account}","mechanism":"ssh_public_key","state":"{state}","source":{{"file":"/k","line":{line}}},"fingerprint":"{key}"}}"#
        )
    }

    #[test]
    fn keys_that_came_went_changed_and_moved() {
        let (a1, b2, c3) = (
            key("alice", "A", 1, "open"),
            key("alice", "B", 2, "open"),
            key("alice", "C", 3, "open"),
        );
        let was = section(&[&a1, &b2, &c3, &c3], &[r#"{"path":"/p"}"#]);
        let (b1, c2, d3) = (
            key("alice", "B", 1, "closed"),
            key("alice", "C", 2, "open"),
            key("alice", "D", 3, "open"),
        );
        let is = section(&[&b1, &c2, &c3, &d3], &[]);
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let found = between(&was, &is);
        assert_eq!(found["added"], Value::from(vec![value(&d3)]));
        assert_eq!(found["removed"], Value::from(vec![value(&a1)]));
        assert_eq!(found["changed"][0]["was"], value(&b2));
        assert_eq!(found["changed"][0]["is"], value(&b1));
        assert_eq!(found["moved"], 1);
        assert_eq!(found["not_read"]["removed"][0]["path"], "/p");
        let nothing = between(&is, &is);
        assert_eq!(
            (&nothing["added"], &nothing["moved"]),
            (&Value::from(vec![0; 0]), &0.into())
        );
    }

    #[test]
    fn a_rule_put_before_others_changes_none_of_them() {
        let rule = |line: u32, reason: &str| {
            format!(
                r#"{{"account":"a","mechanism":"sudo","reason":"{reason}","source":{{"file":"/etc/sudoers","line":{line}}}}}"#
            )
        };
        let was = section(&[&rule(1, "x"), &rule(2, "y")], &[]);
        let is = section(&[&rule(1, "new"), &rule(2, "x"), &rule(3, "y")], &[]);
        let found = between(&was, &is);
        assert_eq!(found["added"][0]["reason"], "new");
        assert_eq!(
            (&found["moved"], found["changed"].as_array().unwrap().len()),
            (&2.into(), 0)
        );
    }

    #[test]
    fn a_secret_that_was_replaced_is_a_change_of_its_file() {
        let secret = |mark: &str| {
            format!(
                r#"{{"account":"a","kind":"netrc_password","path":"/home/a/.netrc","fingerprint":"{mark}"}}"#
            )
        };
        let found = between(
            &section(&[&secret("1")], &[]),
            &section(&[&secret("2")], &[]),
        );
        assert_eq!(found["changed"][0]["is"]["fingerprint"], "2");
    }
}
