//! Orders: what was ordered, and where it is in its life.
//!
//! What becomes of an order is told by the host's evidence alone ([`super::progress`]).

use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority};
use rescind_protocol::outcome::{Outcome, Verdict};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes, json};
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

/// Every column of an order, and its host's name.
pub(super) const SELECT: &str =
    "SELECT o.*, h.name AS host_name FROM orders o JOIN hosts h ON h.id = o.host";

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

/// Reads a row of [`SELECT`].
pub(super) fn order(row: &rusqlite::Row<'_>) -> rusqlite::Result<OrderRow> {
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
