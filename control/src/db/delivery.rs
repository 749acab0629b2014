//! What is to be sent to a host: what it has not said it has, in sequence.

use rescind_protocol::message::standing_digest;
use rescind_protocol::name::{Digest, HostId, OrderId};
use rusqlite::{Connection, OptionalExtension, params};

use super::timeline::{Happened, add_event};
use super::{DbError, bytes};
use crate::clock::UnixMicros;

/// Signed bytes on their way to a host.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The order.
    pub id: OrderId,
    /// Its place in the sequence.
    pub seq: u64,
    /// What to send.
    pub signed: Vec<u8>,
}

/// What is to be sent, in sequence: orders after `after` that have not ended and that the host has
/// not said it has, or that lie after its own `cursor`. At most `limit`.
pub fn pending(
    conn: &Connection,
    host: HostId,
    after: u64,
    cursor: u64,
    limit: u32,
) -> Result<Vec<Pending>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT id, seq, signed FROM orders
         WHERE host = ?1 AND ended = 0 AND seq > ?2 AND (acked = 0 OR seq > ?3) ORDER BY seq LIMIT ?4",
    )?;
    let cap = |n: u64| n.min(i64::MAX as u64) as i64;
    let rows = query.query_map(
        params![host.as_bytes(), cap(after), cap(cursor), limit],
        |row| {
            Ok(Pending {
                id: OrderId::from_bytes(bytes(row, "id")?),
                seq: row.get::<_, i64>("seq")? as u64,
                signed: row.get("signed")?,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether anything waits for a host.
pub fn any_pending(conn: &Connection, host: HostId) -> Result<bool, DbError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM orders WHERE host = ?1 AND ended = 0 AND acked = 0)",
        )?
        .query_row([host.as_bytes()], |row| row.get(0))?)
}

/// Notes that an order was written to the host's connection. Every attempt is on the timeline, the
/// state changes with the first.
pub fn mark_delivered(conn: &Connection, id: OrderId, at: UnixMicros) -> Result<(), DbError> {
    conn.prepare_cached(
        "UPDATE orders SET state = 'delivered' WHERE id = ?1 AND state = 'signed'",
    )?
    .execute([id.as_bytes()])?;
    add_event(
        conn,
        id,
        &Happened::here("delivered", at),
        &serde_json::json!({}),
    )
}

/// The host has said that it holds an order already; what became of it is told by its evidence.
pub fn mark_held(conn: &Connection, id: OrderId) -> Result<(), DbError> {
    conn.prepare_cached("UPDATE orders SET acked = 1 WHERE id = ?1")?
        .execute([id.as_bytes()])?;
    Ok(())
}

/// The ids of the orders in force on a host, and their digest.
pub fn standing(conn: &Connection, host: HostId) -> Result<(Vec<OrderId>, Digest), DbError> {
    let mut query =
        conn.prepare_cached("SELECT id FROM orders WHERE host = ?1 AND in_force = 1 ORDER BY id")?;
    let rows = query.query_map([host.as_bytes()], |row| {
        Ok(OrderId::from_bytes(bytes(row, "id")?))
    })?;
    let ids: Vec<OrderId> = rows.collect::<Result<_, _>>()?;
    let digest = standing_digest(ids.iter().copied());
    Ok((ids, digest))
}

/// The signed bytes of an order, exactly as they were signed.
pub fn signed_bytes(conn: &Connection, id: OrderId) -> Result<Option<Vec<u8>>, DbError> {
    Ok(conn
        .prepare_cached("SELECT signed FROM orders WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?)
}
