//! What is not as ordered and needs somebody.

use rescind_protocol::name::{HostId, OrderId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes};

/// The kinds of exception. While one is open for the same host and order, it is counted, not
/// raised again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The host has not taken the order yet.
    Away,
    /// Two machines speak as one host, or its chain has forked.
    Clone,
    /// Somebody keeps putting access back.
    Contested,
    /// This database is older than what the host has seen.
    DatabaseBehind,
    /// The host's own tools do not see what the agent verified.
    Disagreement,
    /// Evidence that does not belong to the host's chain.
    EvidenceRefused,
    /// The order's time ended before the host took it.
    Expired,
    /// The host does not know something it should.
    Gap,
    /// The host cannot do it.
    Impossible,
    /// The host refused the order's bytes.
    NotAccepted,
    /// Some ways in are still open.
    Partial,
    /// A guard of the host refused.
    Refused,
    /// The order was issued again, because the host had lost it.
    Reissued,
    /// The host's store was lost or set back.
    StoreLost,
    /// The host holds an order that this database does not know.
    UnknownOrder,
    /// Applied, but not everything could be read.
    Unverified,
}

impl Kind {
    /// The kind as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Clone => "clone",
            Self::Contested => "contested",
            Self::DatabaseBehind => "database-behind",
            Self::Disagreement => "disagreement",
            Self::EvidenceRefused => "evidence-refused",
            Self::Expired => "expired",
            Self::Gap => "gap",
            Self::Impossible => "impossible",
            Self::NotAccepted => "not-accepted",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Reissued => "reissued",
            Self::StoreLost => "store-lost",
            Self::UnknownOrder => "unknown-order",
            Self::Unverified => "unverified",
        }
    }
}

/// An exception to be raised.
#[derive(Debug, Clone)]
pub struct NewException {
    /// Its kind.
    pub kind: Kind,
    /// The host it is about.
    pub host: HostId,
    /// The order it is about, when it is about one.
    pub order: Option<OrderId>,
    /// What happened, and what to do.
    pub detail: String,
}

/// An exception.
#[derive(Debug, Clone, Serialize)]
pub struct Exception {
    /// Its number.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// The host.
    pub host: Option<HostId>,
    /// The host's name.
    pub host_name: Option<String>,
    /// The order.
    pub order: Option<OrderId>,
    /// Who should see to it: who asked for the order; nobody when it is about a host.
    pub owner: String,
    /// What happened.
    pub detail: String,
    /// When it was raised.
    pub raised_at: UnixMillis,
    /// When it was last seen.
    pub last_at: UnixMillis,
    /// How often it was seen.
    pub times: u32,
    /// When it should be closed.
    pub due_at: UnixMillis,
    /// When it was closed.
    pub closed_at: Option<UnixMillis>,
    /// Who or what closed it, and why.
    pub closed_by: Option<String>,
}

/// Raises an exception, or counts it when it is open already. It is due `due_days` from `now`, as
/// the table `meta` says (see [`set_due_days`]).
pub fn raise(conn: &Connection, new: &NewException, now: UnixMillis) -> Result<(), DbError> {
    let order = new.order.as_ref().map(|order| order.as_bytes().as_slice());
    // Parts of it may have been written by a host: one line, of bounded length.
    let detail: String = new
        .detail
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(2000)
        .collect();
    let open = conn
        .prepare_cached(
            "UPDATE exceptions SET times = times + 1, last_at = ?4, detail = ?5
             WHERE host = ?1 AND kind = ?2 AND order_id IS ?3 AND closed_at IS NULL",
        )?
        .execute(params![
            new.host.as_bytes(),
            new.kind.as_str(),
            order,
            now.0 as i64,
            detail
        ])?;
    if open > 0 {
        return Ok(());
    }
    tracing::warn!(kind = new.kind.as_str(), host = %new.host, order = ?new.order, detail, "exception");
    let owner: String = match new.order {
        None => String::new(),
        Some(order) => conn
            .prepare_cached("SELECT authority ->> '$.asked_by' FROM orders WHERE id = ?1")?
            .query_row([order.as_bytes()], |row| row.get(0))
            .optional()?
            .unwrap_or_default(),
    };
    conn.prepare_cached(
        "INSERT INTO exceptions (kind, host, order_id, owner, detail, raised_at, last_at, due_at)
         VALUES (?1,?2,?3,?4,?5,?6,?6,?7)",
    )?
    .execute(params![
        new.kind.as_str(),
        new.host.as_bytes(),
        order,
        owner,
        detail,
        now.0 as i64,
        now.plus_ms(due_days(conn)? * 86_400_000).0 as i64
    ])?;
    Ok(())
}

/// Closes what is open about an order, because it has turned out well.
pub fn settle_order(
    conn: &Connection,
    order: OrderId,
    kinds: &[Kind],
    why: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    for kind in kinds {
        conn.prepare_cached(
            "UPDATE exceptions SET closed_at = ?3, closed_by = ?4
             WHERE order_id = ?1 AND kind = ?2 AND closed_at IS NULL",
        )?
        .execute(params![order.as_bytes(), kind.as_str(), now.0 as i64, why])?;
    }
    Ok(())
}

/// Closes one by hand; whether it was open.
pub fn close(conn: &Connection, id: i64, by: &str, now: UnixMillis) -> Result<bool, DbError> {
    let changed = conn.execute(
        "UPDATE exceptions SET closed_at = ?2, closed_by = ?3 WHERE id = ?1 AND closed_at IS NULL",
        params![id, now.0 as i64, by],
    )?;
    Ok(changed == 1)
}

/// Which exceptions to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are open.
    Open,
    /// Closed ones too.
    All,
}

/// The exceptions, the oldest first, at most `limit`.
pub fn list(conn: &Connection, which: Which, limit: u32) -> Result<Vec<Exception>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT e.*, h.name AS host_name FROM exceptions e LEFT JOIN hosts h ON h.id = e.host
         WHERE ?1 OR e.closed_at IS NULL ORDER BY e.id LIMIT ?2",
    )?;
    let rows = query.query_map(params![which == Which::All, limit], |row| {
        let id = |column| -> rusqlite::Result<Option<[u8; 16]>> {
            let missing = row.get_ref(column)? == rusqlite::types::ValueRef::Null;
            if missing {
                Ok(None)
            } else {
                bytes(row, column).map(Some)
            }
        };
        let at = |column| row.get::<_, i64>(column).map(|ms| UnixMillis(ms as u64));
        Ok(Exception {
            id: row.get("id")?,
            kind: row.get("kind")?,
            host: id("host")?.map(HostId::from_bytes),
            host_name: row.get("host_name")?,
            order: id("order_id")?.map(OrderId::from_bytes),
            owner: row.get("owner")?,
            detail: row.get("detail")?,
            raised_at: at("raised_at")?,
            last_at: at("last_at")?,
            times: row.get("times")?,
            due_at: at("due_at")?,
            closed_at: row
                .get::<_, Option<i64>>("closed_at")?
                .map(|ms| UnixMillis(ms as u64)),
            closed_by: row.get("closed_by")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many are open, by kind.
pub fn count_open(conn: &Connection) -> Result<Vec<(String, u64)>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT kind, count(*) FROM exceptions WHERE closed_at IS NULL GROUP BY kind ORDER BY kind",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps the setting `exception_due_days` where [`raise`] finds it.
pub fn set_due_days(conn: &Connection, days: u64) -> Result<(), DbError> {
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ('exception_due_days', ?1)
         ON CONFLICT (key) DO UPDATE SET value = ?1",
        [days.to_string()],
    )?;
    Ok(())
}

fn due_days(conn: &Connection) -> Result<u64, DbError> {
    let text: Option<String> = conn
        .prepare_cached("SELECT value FROM meta WHERE key = 'exception_due_days'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(7))
}
