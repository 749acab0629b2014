//! Orders and their timelines.
//!
//! Orders are an append-only sequence per host. What is delivered is what the host has not said it
//! has, in that sequence; what becomes of it is told by the host's evidence alone ([`super::progress`]).

use rescind_protocol::message::standing_digest;
use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority, Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::sign::{SigningKey, fill_random};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::exceptions::{self, Kind, NewException};
use super::{DbError, bytes, json, to_json};
use crate::clock::UnixMicros;

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Signed; on its way.
    Signed,
    /// Written to the host's connection.
    Delivered,
    /// On the host's disk.
    Accepted,
    /// The host has planned its steps.
    Planned,
    /// The host carries it out.
    Applying,
    /// It has an outcome.
    Concluded,
    /// It has an outcome, and the host's own tools were asked.
    Confirmed,
    /// The host did not take it.
    NotAccepted,
    /// Its time ended before the host took it.
    Expired,
    /// Another order was issued in its place.
    Superseded,
    /// It was in force and was ended by another order.
    Released,
}

impl State {
    const ALL: [Self; 11] = [
        Self::Signed,
        Self::Delivered,
        Self::Accepted,
        Self::Planned,
        Self::Applying,
        Self::Concluded,
        Self::Confirmed,
        Self::NotAccepted,
        Self::Expired,
        Self::Superseded,
        Self::Released,
    ];

    /// The state as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Planned => "planned",
            Self::Applying => "applying",
            Self::Concluded => "concluded",
            Self::Confirmed => "confirmed",
            Self::NotAccepted => "not_accepted",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Released => "released",
        }
    }

    /// Reads [`State::as_str`].
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the host has not been heard to have it.
    pub const fn before_acceptance(self) -> bool {
        matches!(
            self,
            Self::Signed | Self::Delivered | Self::NotAccepted | Self::Expired
        )
    }
}

/// An order as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct OrderRow {
    /// Its id.
    pub id: OrderId,
    /// Its host.
    pub host: HostId,
    /// The host's name.
    pub host_name: String,
    /// Its place in the host's sequence.
    pub seq: u64,
    /// What is to be done.
    pub action: Action,
    /// By whose authority.
    pub authority: Authority,
    /// The operator who gave it.
    pub operator: String,
    /// When it was signed.
    pub issued_at: UnixMillis,
    /// When it was signed, in microseconds.
    #[serde(skip)]
    pub issued_us: UnixMicros,
    /// When it ends if the host has not taken it.
    pub expires_at: UnixMillis,
    /// Where it is.
    pub state: State,
    /// Whether nothing of it is to be delivered any more.
    pub ended: bool,
    /// Whether it is a standing order that the host holds.
    pub in_force: bool,
    /// How it ended on the host: `verified`, `already`, ….
    pub outcome: Option<Verdict>,
    /// The outcome as the host reported it.
    pub result: Option<Outcome>,
    /// The order that ended it.
    pub released_by: Option<OrderId>,
    /// The order that was issued in its place.
    pub superseded_by: Option<OrderId>,
    /// SHA-256 of the signed bytes.
    pub digest: Digest,
}

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

/// An order to be given.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// To whom.
    pub host: HostId,
    /// What.
    pub action: Action,
    /// By whose authority.
    pub authority: Authority,
    /// The operator who gives it.
    pub operator: String,
    /// How long the host may take to take it.
    pub ttl_ms: u64,
}

/// Gives the order the host's next sequence number, signs it and keeps it.
pub fn issue(
    conn: &Connection,
    key: &SigningKey,
    new: NewOrder,
    now: UnixMicros,
) -> Result<OrderId, DbError> {
    let seq: i64 = conn
        .prepare_cached(
            "UPDATE hosts SET order_seq = order_seq + 1 WHERE id = ?1 RETURNING order_seq",
        )?
        .query_row([new.host.as_bytes()], |row| row.get(0))?;
    let id = new_id(now.millis());
    let expires_at = now.millis().plus_ms(new.ttl_ms);
    let signed = SignedOrder::seal(
        Order {
            id,
            host: new.host,
            seq: seq as u64,
            issued_at: now.millis(),
            expires_at,
            action: new.action.clone(),
            authority: new.authority.clone(),
        },
        key,
    )
    .to_bytes();
    conn.prepare_cached(
        "INSERT INTO orders (id, host, seq, action, authority, operator, issued_us, expires_at,
             signed, digest, state) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,'signed')",
    )?
    .execute(params![
        id.as_bytes(),
        new.host.as_bytes(),
        seq,
        to_json(&new.action),
        to_json(&new.authority),
        new.operator,
        now.0 as i64,
        expires_at.0 as i64,
        signed,
        Digest::of(&signed).as_bytes()
    ])?;
    let detail = serde_json::json!({ "seq": seq, "key": key.verifying_key().id(), "operator": new.operator });
    add_event(conn, id, &Happened::here("signed", now), &detail)?;
    Ok(id)
}

/// Issues an order again under a new id and sequence number, because the host has lost it.
pub fn reissue(
    conn: &Connection,
    key: &SigningKey,
    old: &OrderRow,
    ttl_ms: u64,
    why: &str,
    now: UnixMicros,
) -> Result<OrderId, DbError> {
    let new = NewOrder {
        host: old.host,
        action: old.action.clone(),
        authority: old.authority.clone(),
        operator: old.operator.clone(),
        ttl_ms,
    };
    let id = issue(conn, key, new, now)?;
    conn.prepare_cached(
        "UPDATE orders SET state = 'superseded', ended = 1, in_force = 0, superseded_by = ?2 WHERE id = ?1",
    )?
    .execute(params![old.id.as_bytes(), id.as_bytes()])?;
    let detail = serde_json::json!({ "by": id, "why": why });
    add_event(conn, old.id, &Happened::here("superseded", now), &detail)?;
    exceptions::raise(
        conn,
        &NewException {
            kind: Kind::Reissued,
            host: old.host,
            order: Some(id),
            detail: format!("issued again in place of {}: {why}", old.id),
        },
        now.millis(),
    )?;
    Ok(id)
}

/// A UUID version 7 (RFC 9562 section 5.7) of an instant.
fn new_id(now: UnixMillis) -> OrderId {
    let mut random = [0; 10];
    fill_random(&mut random);
    let uuid = uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid();
    OrderId::from_uuid(uuid)
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

const SELECT: &str = "SELECT o.*, h.name AS host_name FROM orders o JOIN hosts h ON h.id = o.host";

/// One order.
pub fn by_id(conn: &Connection, id: OrderId) -> Result<Option<OrderRow>, DbError> {
    let mut query = conn.prepare_cached(&format!("{SELECT} WHERE o.id = ?1"))?;
    Ok(query.query_row([id.as_bytes()], order).optional()?)
}

/// The orders in force on a host.
pub fn in_force(conn: &Connection, host: HostId) -> Result<Vec<OrderRow>, DbError> {
    let mut query = conn.prepare_cached(&format!(
        "{SELECT} WHERE o.host = ?1 AND o.in_force = 1 ORDER BY o.seq"
    ))?;
    let rows = query.query_map([host.as_bytes()], order)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Which orders to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one host only.
    pub host: Option<HostId>,
    /// In one state only.
    pub state: Option<State>,
    /// Standing orders in force only.
    pub in_force: bool,
    /// At most so many.
    pub limit: u32,
}

/// Orders, the latest first.
pub fn list(conn: &Connection, filter: &Filter) -> Result<Vec<OrderRow>, DbError> {
    let mut query = conn.prepare_cached(&format!(
        "{SELECT} WHERE (?1 IS NULL OR o.host = ?1) AND (?2 IS NULL OR o.state = ?2)
             AND (NOT ?3 OR o.in_force = 1) ORDER BY o.issued_us DESC, o.seq DESC LIMIT ?4"
    ))?;
    let host = filter.host.as_ref().map(|host| host.as_bytes().as_slice());
    let state = filter.state.map(State::as_str);
    let rows = query.query_map(params![host, state, filter.in_force, filter.limit], order)?;
    Ok(rows.collect::<Result<_, _>>()?)
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

/// Ends orders whose time is over before their host took them, and raises exceptions for them and
/// for those that have waited since before `away_before`.
pub fn notice_waiting(
    conn: &Connection,
    away_before: UnixMillis,
    now: UnixMicros,
) -> Result<Vec<OrderId>, DbError> {
    let mut query = conn.prepare_cached(&format!(
        "{SELECT} WHERE o.ended = 0 AND o.acked = 0 AND o.state IN ('signed', 'delivered')
             AND (o.expires_at <= ?1 OR o.issued_us <= ?2) ORDER BY o.seq LIMIT 10000"
    ))?;
    let at = now.millis();
    let rows = query.query_map(
        params![at.0 as i64, away_before.0.saturating_mul(1000) as i64],
        order,
    )?;
    let mut changed = Vec::new();
    for row in rows.collect::<Result<Vec<_>, _>>()? {
        let expired = row.expires_at <= at;
        let (kind, detail) = if expired {
            let detail = format!(
                "host {} did not take it before {}; give it again",
                row.host_name, row.expires_at
            );
            (Kind::Expired, detail)
        } else {
            (
                Kind::Away,
                format!(
                    "host {} has not taken it since {}",
                    row.host_name, row.issued_at
                ),
            )
        };
        if expired {
            conn.prepare_cached("UPDATE orders SET state = 'expired', ended = 1 WHERE id = ?1")?
                .execute([row.id.as_bytes()])?;
            add_event(
                conn,
                row.id,
                &Happened::here("expired", now),
                &serde_json::json!({}),
            )?;
            exceptions::settle_order(conn, row.id, &[Kind::Away], "the order expired", at)?;
            changed.push(row.id);
        } else if already_away(conn, row.id)? {
            continue;
        }
        let new = NewException {
            kind,
            host: row.host,
            order: Some(row.id),
            detail,
        };
        exceptions::raise(conn, &new, at)?;
    }
    Ok(changed)
}

/// Waiting is one exception however often it is noticed.
fn already_away(conn: &Connection, id: OrderId) -> Result<bool, DbError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM exceptions WHERE order_id = ?1 AND kind = 'away')",
        )?
        .query_row([id.as_bytes()], |row| row.get(0))?)
}

fn order(row: &rusqlite::Row<'_>) -> rusqlite::Result<OrderRow> {
    let id = |column| -> rusqlite::Result<Option<OrderId>> {
        let missing = row.get_ref(column)? == rusqlite::types::ValueRef::Null;
        if missing {
            Ok(None)
        } else {
            bytes(row, column).map(|id| Some(OrderId::from_bytes(id)))
        }
    };
    let issued_us = UnixMicros(row.get::<_, i64>("issued_us")? as u64);
    let state: String = row.get("state")?;
    let result: Option<Outcome> = match row.get_ref("outcome")? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(json(row, "outcome")?),
    };
    Ok(OrderRow {
        id: OrderId::from_bytes(bytes(row, "id")?),
        host: HostId::from_bytes(bytes(row, "host")?),
        host_name: row.get("host_name")?,
        seq: row.get::<_, i64>("seq")? as u64,
        action: json(row, "action")?,
        authority: json(row, "authority")?,
        operator: row.get("operator")?,
        issued_at: issued_us.millis(),
        issued_us,
        expires_at: UnixMillis(row.get::<_, i64>("expires_at")? as u64),
        state: State::from_text(&state).ok_or_else(|| super::damaged(0, "state"))?,
        ended: row.get("ended")?,
        in_force: row.get("in_force")?,
        outcome: result.as_ref().map(|result| result.verdict),
        result,
        released_by: id("released_by")?,
        superseded_by: id("superseded_by")?,
        digest: Digest::from_bytes(bytes(row, "digest")?),
    })
}
