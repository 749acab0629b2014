//! Who asked this control plane for what: an append-only, hash-chained list.

use rescind_protocol::name::{Digest, UnixMillis};
use rescind_protocol::sign::sha256;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes};

/// An operator, as the audit list and the orders name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operator {
    /// The local user's name, or the name the client certificate was made for.
    pub name: String,
    /// How they came in, with what identifies them there.
    pub via: String,
}

/// One action of an operator.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub operator: String,
    /// How they came in.
    pub via: String,
    /// What they did.
    pub action: String,
    /// To what.
    pub detail: String,
    /// SHA-256 over the entry before and this one.
    pub digest: Digest,
}

/// Adds an entry.
pub fn record(
    conn: &Connection,
    operator: &Operator,
    action: &str,
    detail: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    let last: Option<Digest> = conn
        .prepare_cached("SELECT digest FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| Ok(Digest::from_bytes(bytes(row, "digest")?)))
        .optional()?;
    let digest = link(last.unwrap_or_default(), now, operator, action, detail);
    conn.prepare_cached(
        "INSERT INTO audit (at, operator, via, action, detail, digest) VALUES (?1,?2,?3,?4,?5,?6)",
    )?
    .execute(params![
        now.0 as i64,
        operator.name,
        operator.via,
        action,
        detail,
        digest.as_bytes()
    ])?;
    Ok(())
}

/// The latest entries, newest first.
pub fn latest(conn: &Connection, limit: u32) -> Result<Vec<Entry>, DbError> {
    let mut query = conn.prepare_cached("SELECT * FROM audit ORDER BY id DESC LIMIT ?1")?;
    let rows = query.query_map([limit], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first entry whose digest is not what it must be, or `None` when the whole list is as it
/// was written.
pub fn first_tampered(conn: &Connection) -> Result<Option<i64>, DbError> {
    let mut query = conn.prepare("SELECT * FROM audit ORDER BY id")?;
    let mut prev = Digest::default();
    for row in query.query_map([], entry)? {
        let row = row?;
        let operator = Operator {
            name: row.operator.clone(),
            via: row.via.clone(),
        };
        if link(prev, row.at, &operator, &row.action, &row.detail) != row.digest {
            return Ok(Some(row.id));
        }
        prev = row.digest;
    }
    Ok(None)
}

fn link(prev: Digest, at: UnixMillis, operator: &Operator, action: &str, detail: &str) -> Digest {
    let time = at.0.to_be_bytes();
    let texts = [&operator.name, &operator.via, action, detail];
    let lens = texts.map(|text| (text.len() as u64).to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![prev.as_bytes(), &time];
    for (len, text) in lens.iter().zip(texts) {
        parts.push(len);
        parts.push(text.as_bytes());
    }
    Digest::from_bytes(sha256(&parts))
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get("id")?,
        at: UnixMillis(row.get::<_, i64>("at")? as u64),
        operator: row.get("operator")?,
        via: row.get("via")?,
        action: row.get("action")?,
        detail: row.get("detail")?,
        digest: Digest::from_bytes(bytes(row, "digest")?),
    })
}
