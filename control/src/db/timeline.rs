//! What happened to an order, when, by this server's clock and by the host's.

use rescind_protocol::name::{OrderId, UnixMillis};
use rusqlite::{Connection, params};
use serde::Serialize;

use super::{DbError, bytes, json};
use crate::clock::UnixMicros;

/// Something that happened to an order.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineEvent {
    /// Its number; later events have higher ones.
    pub id: i64,
    /// The order.
    pub order: OrderId,
    /// When this server learnt it.
    pub at: UnixMillis,
    /// Milliseconds since the order was signed, by this server's clock.
    pub ms: f64,
    /// The host's clock when it happened there.
    pub host_at: Option<UnixMillis>,
    /// The host's microseconds since boot when it happened there.
    pub boot_us: Option<u64>,
    /// What happened: a state, a verdict, `applied`, `drift` or `contested`.
    pub state: String,
    /// More about it.
    pub detail: serde_json::Value,
}

/// When and where something happened to an order.
#[derive(Debug, Clone, Copy)]
pub struct Happened<'a> {
    /// What: a state, a verdict, `applied`, ….
    pub kind: &'a str,
    /// When this server learnt it.
    pub at: UnixMicros,
    /// The host's clock and microseconds since boot, when the host told it.
    pub on_host: Option<(UnixMillis, u64)>,
}

impl<'a> Happened<'a> {
    /// Something that happened on this server.
    pub const fn here(kind: &'a str, at: UnixMicros) -> Self {
        Self {
            kind,
            at,
            on_host: None,
        }
    }
}

/// Adds to an order's timeline.
pub fn add_event(
    conn: &Connection,
    order: OrderId,
    what: &Happened<'_>,
    detail: &serde_json::Value,
) -> Result<(), DbError> {
    conn.prepare_cached(
        "INSERT INTO order_events (order_id, at_us, host_at, boot_us, kind, detail)
         VALUES (?1,?2,?3,?4,?5,?6)",
    )?
    .execute(params![
        order.as_bytes(),
        what.at.0 as i64,
        what.on_host.map(|(at, _)| at.0 as i64),
        what.on_host.map(|(_, boot_us)| boot_us as i64),
        what.kind,
        detail.to_string()
    ])?;
    Ok(())
}

/// An order's timeline after the event numbered `after`.
pub fn timeline(conn: &Connection, id: OrderId, after: i64) -> Result<Vec<TimelineEvent>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT e.*, o.issued_us FROM order_events e JOIN orders o ON o.id = e.order_id
         WHERE e.order_id = ?1 AND e.id > ?2 ORDER BY e.id",
    )?;
    let rows = query.query_map(params![id.as_bytes(), after], |row| {
        let at = UnixMicros(row.get::<_, i64>("at_us")? as u64);
        let issued = UnixMicros(row.get::<_, i64>("issued_us")? as u64);
        Ok(TimelineEvent {
            id: row.get("id")?,
            order: OrderId::from_bytes(bytes(row, "order_id")?),
            at: at.millis(),
            ms: at.ms_since(issued),
            host_at: row
                .get::<_, Option<i64>>("host_at")?
                .map(|ms| UnixMillis(ms as u64)),
            boot_us: row.get::<_, Option<i64>>("boot_us")?.map(|us| us as u64),
            state: row.get("kind")?,
            detail: json(row, "detail")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
