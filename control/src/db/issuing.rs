//! Giving orders: an append-only sequence per host, each signed as it is numbered.

use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority, Order, SignedOrder};
use rescind_protocol::sign::{SigningKey, fill_random};
use rusqlite::{Connection, params};

use super::exceptions::{self, Kind, NewException};
use super::orders::OrderRow;
use super::timeline::{Happened, add_event};
use super::{DbError, to_json};
use crate::clock::UnixMicros;

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
