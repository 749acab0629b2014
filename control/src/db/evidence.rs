//! The hosts' evidence chains as they arrived.

use rescind_protocol::cbor;
use rescind_protocol::evidence::{ChainHead, SealedRecord};
use rescind_protocol::name::{Digest, HostId, OrderId};
use rusqlite::{Connection, OptionalExtension, params};

use super::progress::{self, Source};
use super::{DbError, bytes};
use crate::clock::UnixMicros;
use crate::verify::VerifiedRecord;

/// Which chain of which host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainId {
    /// The host.
    pub host: HostId,
    /// Its chain, from 1.
    pub number: u32,
}

/// What came of storing records.
#[derive(Debug)]
pub enum Appended {
    /// They are kept; the orders whose timeline changed.
    Kept(Vec<OrderId>),
    /// Our copy has moved since the records were verified: verify them again from here.
    Moved(ChainHead),
}

/// Adds verified records to a chain and lets them speak about the orders, all in one transaction.
/// `expected` is the head from which they were verified.
pub fn append(
    conn: &Connection,
    chain: ChainId,
    expected: ChainHead,
    records: &[VerifiedRecord],
    at: UnixMicros,
) -> Result<Appended, DbError> {
    let head = head(conn, chain)?;
    if head != expected {
        return Ok(Appended::Moved(head));
    }
    let mut insert = conn.prepare_cached(
        "INSERT INTO evidence (host, chain, idx, digest, sealed, received_at) VALUES (?1,?2,?3,?4,?5,?6)",
    )?;
    let mut changed = Vec::new();
    for record in records {
        insert.execute(params![
            chain.host.as_bytes(),
            chain.number,
            record.body().index as i64,
            record.digest().as_bytes(),
            cbor::to_vec(record.sealed()),
            at.millis().0 as i64
        ])?;
        let source = Source {
            host: chain.host,
            at,
            on_host: (record.body().at, record.body().boot_us),
        };
        if let Some(event) = record.body().event()
            && let Some(order) = progress::apply(conn, &source, &event)?
            && changed.last() != Some(&order)
        {
            changed.push(order);
        }
    }
    if let Some(last) = records.last() {
        conn.prepare_cached(
            "UPDATE chains SET next = ?3, prev = ?4 WHERE host = ?1 AND number = ?2",
        )?
        .execute(params![
            chain.host.as_bytes(),
            chain.number,
            last.body().index as i64 + 1,
            last.digest().as_bytes()
        ])?;
    }
    Ok(Appended::Kept(changed))
}

/// Where our copy of a chain stands.
pub fn head(conn: &Connection, chain: ChainId) -> Result<ChainHead, DbError> {
    Ok(conn
        .prepare_cached("SELECT next, prev FROM chains WHERE host = ?1 AND number = ?2")?
        .query_row(params![chain.host.as_bytes(), chain.number], |row| {
            Ok(ChainHead {
                next: row.get::<_, i64>("next")? as u64,
                prev: Digest::from_bytes(bytes(row, "prev")?),
            })
        })?)
}

/// The digest of one record of our copy.
pub fn digest_at(conn: &Connection, chain: ChainId, index: u64) -> Result<Option<Digest>, DbError> {
    Ok(conn
        .prepare_cached("SELECT digest FROM evidence WHERE host = ?1 AND chain = ?2 AND idx = ?3")?
        .query_row(
            params![chain.host.as_bytes(), chain.number, index as i64],
            |row| Ok(Digest::from_bytes(bytes(row, "digest")?)),
        )
        .optional()?)
}

/// Up to `limit` records of a chain, from `from` on.
pub fn records(
    conn: &Connection,
    chain: ChainId,
    from: u64,
    limit: u32,
) -> Result<Vec<SealedRecord>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT sealed FROM evidence WHERE host = ?1 AND chain = ?2 AND idx >= ?3 ORDER BY idx LIMIT ?4",
    )?;
    let rows = query.query_map(
        params![chain.host.as_bytes(), chain.number, from as i64, limit],
        |row| row.get::<_, Vec<u8>>("sealed"),
    )?;
    rows.map(|sealed| {
        cbor::from_slice(&sealed?).map_err(|_| DbError::Damaged {
            what: "an evidence record",
        })
    })
    .collect()
}
