//! Evidence as a file: NDJSON, one chain after the other, that anybody who has the public key can
//! verify without a server.
//!
//! A chain begins with a line `{"format":"rescind-evidence-1", "host":…, "evidence_key":…}`; each
//! line after it is a record: `{"sealed":"<base64 of the sealed record's CBOR>"}` with the index
//! and the event beside it for people to read. Only `sealed` is believed.

use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rescind_protocol::cbor;
use rescind_protocol::evidence::{BrokenChain, ChainHead, ChainVerifier, Event, SealedRecord};
use rescind_protocol::name::{Digest, HostId};
use rescind_protocol::sign::VerifyingKey;
use serde::{Deserialize, Serialize};

/// The format's name, in every heading.
pub const FORMAT: &str = "rescind-evidence-1";
/// The longest line read: a sealed record in base64, with its event.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// The longest reason that is told.
const WHY_CHARS_MAX: usize = 200;

/// The line a chain begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heading {
    /// [`FORMAT`].
    pub format: String,
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Which of its chains, from 1.
    pub chain: u32,
    /// The key that signs it, as the host showed it when it joined.
    pub evidence_key: VerifyingKey,
    /// What its first record continues: nothing, or a record of the chain before it, or one that
    /// was lost.
    #[serde(default)]
    pub start: Start,
}

/// The place before a chain's first record.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Start {
    /// The first record's index.
    pub next: u64,
    /// The digest of the record before it.
    pub prev: Digest,
}

impl From<ChainHead> for Start {
    fn from(head: ChainHead) -> Self {
        Self {
            next: head.next,
            prev: head.prev,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sealed: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    event: Option<serde_json::Value>,
}

/// A record's line, without its line feed.
pub fn record_line(record: &SealedRecord) -> String {
    let body = record.body().ok();
    let line = Line {
        sealed: STANDARD.encode(cbor::to_vec(record)),
        index: body.as_ref().map(|body| body.index),
        event: body
            .and_then(|body| body.event())
            .and_then(|event| serde_json::to_value(event).ok()),
    };
    crate::db::to_json(&line)
}

/// A chain that was checked to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// What the heading said.
    #[serde(flatten)]
    pub heading: Heading,
    /// Where the chain ends: how many records, and the last one's digest.
    pub head: ChainHead,
    /// Orders that ended, as the records say.
    pub concluded: u64,
}

/// Why a bundle cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The chain is broken.
    #[error("line {line}: {source}")]
    Chain {
        /// Which, from 1.
        line: usize,
        /// How.
        source: BrokenChain,
    },
    /// The heading's key is not the one that was asked for.
    #[error("line {line}: the chain is signed by {found}, not by the key that was given")]
    OtherKey {
        /// Which, from 1.
        line: usize,
        /// The key of the heading.
        found: VerifyingKey,
    },
    /// There is no chain in it.
    #[error("no chain in it")]
    Empty,
}

/// Checks every chain of a bundle. With `key`, every chain must be signed by it; without, each is
/// held to the key of its own heading, which shows that it is whole, not whose it is.
pub fn check(mut from: impl BufRead, key: Option<VerifyingKey>) -> Result<Vec<Checked>, BadBundle> {
    let mut chains: Vec<(Checked, ChainVerifier)> = Vec::new();
    let mut number = 0;
    loop {
        let mut text = String::new();
        let read = std::io::Read::take(&mut from, LINE_BYTES_MAX).read_line(&mut text)?;
        if read == 0 {
            break;
        }
        number += 1;
        // What JSON says of a mistake quotes what it did not want, which may be all of the line and
        // hold anything.
        let shown = |c: char| if c.is_control() { '?' } else { c };
        let bad = |why: String| BadBundle::Line {
            line: number,
            why: why.chars().take(WHY_CHARS_MAX).map(shown).collect(),
        };
        if !text.ends_with('\n') {
            return Err(bad(
                "not ended: the file was cut off, or the line is too long".into(),
            ));
        }
        if let Ok(heading) = serde_json::from_str::<Heading>(&text) {
            if heading.format != FORMAT {
                let found: String = heading.format.chars().take(80).collect();
                return Err(bad(format!("want the format {FORMAT}, found {found:?}")));
            }
            if key.is_some_and(|key| key != heading.evidence_key) {
                return Err(BadBundle::OtherKey {
                    line: number,
                    found: heading.evidence_key,
                });
            }
            let head = ChainHead {
                next: heading.start.next,
                prev: heading.start.prev,
            };
            let verifier = ChainVerifier::new(heading.evidence_key, head);
            chains.push((
                Checked {
                    heading,
                    head,
                    concluded: 0,
                },
                verifier,
            ));
            continue;
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let (checked, verifier) = chains
            .last_mut()
            .ok_or_else(|| bad("a record before any heading".into()))?;
        let sealed = STANDARD
            .decode(&line.sealed)
            .map_err(|error| bad(error.to_string()))?;
        let record: SealedRecord =
            cbor::from_slice(&sealed).map_err(|error| bad(error.to_string()))?;
        let body = verifier.check(&record).map_err(|source| BadBundle::Chain {
            line: number,
            source,
        })?;
        if matches!(body.event(), Some(Event::Concluded { .. })) {
            checked.concluded += 1;
        }
        checked.head = verifier.head();
    }
    if chains.is_empty() {
        return Err(BadBundle::Empty);
    }
    Ok(chains.into_iter().map(|(checked, _)| checked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_told_in_print() {
        let heading = Heading {
            format: "other\u{1b}[2J".into(),
            host: HostId::from_bytes([0; 16]),
            name: String::new(),
            chain: 1,
            evidence_key: VerifyingKey::from_bytes([0; 32]),
            start: Start::default(),
        };
        let line = serde_json::to_string(&heading).unwrap() + "\n";
        let error = check(line.as_bytes(), None).unwrap_err().to_string();
        let told = r#"line 1: want the format rescind-evidence-1, found "other\u{1b}[2J""#;
        assert_eq!(error, told);
    }
}
