//! Puts a section together.

use rescind_protocol::name::Digest;
use rescind_protocol::section::{FORMAT, ROW_BYTES_MAX, SECTION_BYTES_MAX};
use serde::Serialize;

use super::coverage::Coverage;
use super::name::Section;
use crate::host::account::Account;
use crate::host::not_read::{Cause, NotRead};

/// The most rows of one account; of those beyond, how many there are is said.
const ACCOUNT_ROWS_MAX: usize = 10_000;
/// Room for what stands around the rows: the list of what was not read is the most of it.
const AROUND_BYTES_MAX: usize = 2 << 20;

/// A section that is being put together. Rows of one account come together.
#[derive(Debug)]
pub struct Builder {
    section: Section,
    /// All rows, one after the other.
    rows: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    shares: Vec<Share>,
    coverage: Coverage,
    bytes_max: usize,
}

/// The rows of one account.
#[derive(Debug)]
struct Share {
    account: Option<rescind_protocol::name::AccountName>,
    /// In [`Builder::ends`].
    first: usize,
    rows: usize,
    bytes: usize,
    left_out: u64,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub section: Section,
    /// Its bytes.
    pub json: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
}

impl Builder {
    /// With nothing in it.
    pub fn new(section: Section) -> Self {
        Self {
            section,
            rows: Vec::new(),
            ends: Vec::new(),
            shares: Vec::new(),
            coverage: Coverage::default(),
            bytes_max: SECTION_BYTES_MAX - AROUND_BYTES_MAX,
        }
    }

    /// Adds the rows of one account, or of the host. Each comes with a rank: where there are too
    /// many, those of a high one are left out first.
    pub fn add<T: Serialize>(&mut self, of: Option<&Account>, rows: impl Iterator<Item = (u8, T)>) {
        let mut ranked: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut left_out = 0;
        for (rank, row) in rows {
            match serde_json::to_vec(&row) {
                Ok(json) if json.len() <= ROW_BYTES_MAX => ranked.push((rank, json)),
                _ => left_out += 1,
            }
        }
        // What decides their order is in the rows, so that the same rows are the same bytes.
        ranked.sort_unstable();
        ranked.dedup();
        left_out += ranked.len().saturating_sub(ACCOUNT_ROWS_MAX) as u64;
        ranked.truncate(ACCOUNT_ROWS_MAX);
        if ranked.is_empty() && left_out == 0 {
            return;
        }
        let first = self.ends.len();
        let before = self.rows.len();
        for (_, json) in &ranked {
            self.rows.extend_from_slice(json);
            self.ends.push(self.rows.len());
        }
        self.shares.push(Share {
            account: of.map(|account| account.name.clone()),
            first,
            rows: ranked.len(),
            bytes: self.rows.len() - before + ranked.len(),
            left_out,
        });
    }

    /// What the section does not cover.
    pub fn coverage(&mut self) -> &mut Coverage {
        &mut self.coverage
    }

    /// The section, and its digest.
    pub fn finish(mut self) -> Finished {
        self.cut();
        let mut left_out = 0;
        for share in &self.shares {
            left_out += share.left_out;
            if share.left_out > 0 {
                self.coverage.add(NotRead {
                    account: share.account.clone(),
                    path: None,
                    cause: Cause::Size,
                    why: format!("{} rows of it are not listed", share.left_out),
                });
            }
        }
        let mut json = Vec::with_capacity(self.rows.len() + self.ends.len() + 4096);
        let head = format!(
            r#"{{"section":"{}","format":{FORMAT},"rows":["#,
            self.section.as_str()
        );
        json.extend_from_slice(head.as_bytes());
        let mut is_first = true;
        for share in &self.shares {
            for nth in share.first..share.first + share.rows {
                if !std::mem::take(&mut is_first) {
                    json.push(b',');
                }
                json.extend_from_slice(&self.rows[self.begin(nth)..self.ends[nth]]);
            }
        }
        let tail = format!(
            r#"],"left_out":{left_out},"not_read":{{"total":{},"listed":["#,
            self.coverage.total()
        );
        json.extend_from_slice(tail.as_bytes());
        for (nth, row) in self.coverage.rows().enumerate() {
            if nth > 0 {
                json.push(b',');
            }
            // Of texts, numbers and options of them: nothing in it can fail.
            json.extend(serde_json::to_vec(&row).unwrap_or_default());
        }
        json.extend_from_slice(b"]}}");
        Finished {
            section: self.section,
            digest: Digest::of(&json),
            json,
        }
    }

    fn begin(&self, nth: usize) -> usize {
        match nth {
            0 => 0,
            nth => self.ends[nth - 1],
        }
    }

    /// Takes rows from the accounts with the most, until the section is not too long.
    fn cut(&mut self) {
        let total: usize = self.shares.iter().map(|share| share.bytes).sum();
        if total <= self.bytes_max {
            return;
        }
        let fits = |most: usize| {
            let kept = self.shares.iter().map(|share| share.bytes.min(most));
            kept.sum::<usize>() <= self.bytes_max
        };
        // The most bytes that every account can have.
        let (mut low, mut high) = (0, self.bytes_max);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match fits(middle) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        let mut shares = std::mem::take(&mut self.shares);
        for share in &mut shares {
            while share.bytes > low && share.rows > 0 {
                share.rows -= 1;
                let last = share.first + share.rows;
                share.bytes -= self.ends[last] - self.begin(last) + 1;
                share.left_out += 1;
            }
        }
        self.shares = shares;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    fn account(name: &str) -> Account {
        Account {
            name: name.parse().unwrap(),
            ..alice()
        }
    }

    fn text(builder: Builder) -> String {
        let finished = builder.finish();
        assert_eq!(finished.digest, Digest::of(&finished.json));
        let name = finished.section.name();
        rescind_protocol::section::Document::parse(&name, &finished.json).unwrap();
        String::from_utf8(finished.json).unwrap()
    }

    #[test]
    fn the_same_rows_in_another_order_are_the_same_bytes() {
        let build = |rows: &[(u8, &str)]| {
            let mut builder = Builder::new(Section::Sudo);
            let rows = rows
                .iter()
                .map(|(rank, row)| (*rank, serde_json::json!({ "a": row })));
            builder.add(Some(&account("alice")), rows);
            builder.coverage().add(NotRead {
                account: None,
                path: Some("/etc/sudoers.d/x".into()),
                cause: Cause::Permission,
                why: "permission denied".into(),
            });
            text(builder)
        };
        let want = r#"{"section":"sudo","format":1,"rows":[{"a":"x"},{"a":"b"}],"left_out":0,"not_read":{"total":1,"listed":[{"account":null,"path":"/etc/sudoers.d/x","cause":"permission","why":"permission denied"}]}}"#;
        assert_eq!(build(&[(1, "b"), (0, "x"), (0, "x")]), want);
        assert_eq!(build(&[(0, "x"), (1, "b")]), want);
        assert_eq!(
            text(Builder::new(Section::Host)),
            r#"{"section":"host","format":1,"rows":[],"left_out":0,"not_read":{"total":0,"listed":[]}}"#
        );
    }

    #[test]
    fn who_has_too_many_rows_loses_some_and_nobody_else_does() {
        let mut builder = Builder::new(Section::SshKeys);
        builder.bytes_max = 1000;
        for (name, rows) in [("eve", 300), ("alice", 3), ("mallory", 400), ("bob", 2)] {
            let rows = (0..rows).map(|n| (u8::from(n > 0), serde_json::json!({ name: n })));
            builder.add(Some(&account(name)), rows);
        }
        let found: serde_json::Value = serde_json::from_str(&text(builder)).unwrap();
        let count = |name: &str| {
            let rows = found["rows"].as_array().unwrap().iter();
            rows.filter(|row| row.get(name).is_some()).count()
        };
        assert_eq!((count("alice"), count("bob")), (3, 2));
        assert!((30..60).contains(&count("eve")), "{}", count("eve"));
        let kept = count("eve") + count("mallory");
        assert_eq!(found["left_out"], 700 - kept);
        assert_eq!(found["not_read"]["total"], 2);
        assert_eq!(found["not_read"]["listed"][0]["cause"], "size");
        // The first one of each had the better rank.
        assert!(
            found["rows"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["eve"] == 0)
        );
    }
}
