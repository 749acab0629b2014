//! Hosts and their chains' heads.

use rescind_protocol::evidence::ChainHead;
use rescind_protocol::message::Hello;
use rescind_protocol::name::{Digest, HostId, HostName, UnixMillis};
use rescind_protocol::sign::VerifyingKey;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes};

/// A host as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// When it joined.
    pub enrolled_at: UnixMillis,
    /// When it last said hello or goodbye; while it is connected, see the API.
    pub last_seen: Option<UnixMillis>,
    /// The agent's version.
    pub agent_version: String,
    /// The operating system's name.
    pub os: String,
    /// The kernel's boot id at the last hello.
    pub boot_id: String,
    /// What the host said it has seen of its orders.
    pub order_cursor: u64,
    /// The last sequence number given to an order for it.
    pub order_seq: u64,
    /// The current chain.
    pub chain: Chain,
    /// Orders in force.
    pub standing: u32,
    /// Orders on their way.
    pub pending: u32,
    /// Open exceptions.
    pub exceptions: u32,
}

/// A host's evidence chain.
#[derive(Debug, Clone, Serialize)]
pub struct Chain {
    /// Which of the host's chains, from 1.
    pub number: u32,
    /// The key that signs it.
    pub evidence_key: VerifyingKey,
    /// When it began.
    pub began_at: UnixMillis,
    /// Why it began.
    pub why: String,
    /// Where it began: not at record 0 when it goes on from an earlier chain, or when records in
    /// between were lost.
    pub start: ChainHead,
    /// Where our copy stands.
    #[serde(flatten)]
    pub head: ChainHead,
}

const SELECT: &str = "
SELECT h.*, c.number, c.evidence_key, c.began_at, c.why, c.start_next,
    c.start_prev, c.next, c.prev,
    (SELECT count(*) FROM orders o WHERE o.host = h.id AND o.in_force = 1) AS standing,
    (SELECT count(*) FROM orders o WHERE o.host = h.id AND o.ended = 0) AS pending,
    (SELECT count(*) FROM exceptions e WHERE e.host = h.id AND e.closed_at IS NULL) AS exceptions
FROM hosts h JOIN chains c ON c.host = h.id
    AND c.number = (SELECT max(number) FROM chains WHERE host = h.id)
WHERE h.removed_at IS NULL";

/// All hosts, by name.
pub fn all(conn: &Connection) -> Result<Vec<Host>, DbError> {
    let mut query = conn.prepare_cached(&format!("{SELECT} ORDER BY h.name"))?;
    let rows = query.query_map([], host)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One host.
pub fn by_id(conn: &Connection, id: HostId) -> Result<Option<Host>, DbError> {
    let mut query = conn.prepare_cached(&format!("{SELECT} AND h.id = ?1"))?;
    Ok(query.query_row([id.as_bytes()], host).optional()?)
}

/// One host, by its name or by its id as text.
pub fn find(conn: &Connection, text: &str) -> Result<Option<Host>, DbError> {
    let mut query = conn.prepare_cached(&format!("{SELECT} AND h.name = ?1"))?;
    match query.query_row([text], host).optional()? {
        Some(found) => Ok(Some(found)),
        None => match text.parse() {
            Ok(id) => by_id(conn, id),
            Err(_) => Ok(None),
        },
    }
}

/// Whether any host was ever enrolled.
pub fn any(conn: &Connection) -> Result<bool, DbError> {
    Ok(conn.query_row("SELECT EXISTS (SELECT 1 FROM hosts)", [], |row| row.get(0))?)
}

/// A host that joins.
#[derive(Debug)]
pub struct Joining {
    /// Its id: a new one, or the one it had.
    pub id: HostId,
    /// Its name.
    pub name: HostName,
    /// The key that will sign its evidence.
    pub evidence_key: VerifyingKey,
    /// The agent's version.
    pub agent_version: String,
    /// The operating system's name.
    pub os: String,
}

/// Takes a new host in.
pub fn insert(conn: &Connection, new: &Joining, now: UnixMillis) -> Result<(), DbError> {
    conn.execute(
        "INSERT INTO hosts (id, name, enrolled_at, agent_version, os) VALUES (?1,?2,?3,?4,?5)",
        params![
            new.id.as_bytes(),
            new.name.as_str(),
            now.0 as i64,
            new.agent_version,
            new.os
        ],
    )?;
    begin_chain(
        conn,
        new.id,
        new.evidence_key,
        ChainHead::default(),
        "enrolled",
        now,
    )?;
    Ok(())
}

/// Takes a host in again, under the id it had.
pub fn rejoin(conn: &Connection, host: &Joining, now: UnixMillis) -> Result<(), DbError> {
    conn.execute(
        "UPDATE hosts SET enrolled_at = ?2, agent_version = ?3, os = ?4 WHERE id = ?1",
        params![
            host.id.as_bytes(),
            now.0 as i64,
            host.agent_version,
            host.os
        ],
    )?;
    let chain = current_chain(conn, host.id)?;
    if chain.is_none_or(|chain| chain.evidence_key != host.evidence_key) {
        begin_chain(
            conn,
            host.id,
            host.evidence_key,
            ChainHead::default(),
            "enrolled again with a new evidence key",
            now,
        )?;
    }
    Ok(())
}

/// Forgets a host: its name is free again and what its surveys found is gone, its evidence and
/// orders stay.
pub fn remove(conn: &Connection, id: HostId, now: UnixMillis) -> Result<(), DbError> {
    conn.execute(
        "UPDATE hosts SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL",
        params![id.as_bytes(), now.0 as i64],
    )?;
    conn.execute(
        "UPDATE orders SET ended = 1 WHERE host = ?1 AND ended = 0",
        [id.as_bytes()],
    )?;
    super::sections::forget(conn, id)?;
    Ok(())
}

/// Notes what a host said of itself. Sequence numbers the host has seen are never given again,
/// even when this database was restored from an older copy; whether that was the case.
pub fn greeted(conn: &Connection, hello: &Hello, now: UnixMillis) -> Result<bool, DbError> {
    let known: i64 = conn
        .prepare_cached("SELECT order_seq FROM hosts WHERE id = ?1")?
        .query_row([hello.host.as_bytes()], |row| row.get(0))?;
    let cursor = hello.order_cursor.min(i64::MAX as u64 / 2) as i64;
    conn.prepare_cached(
        "UPDATE hosts SET last_seen = ?2, agent_version = ?3, os = ?4, boot_id = ?5,
             order_cursor = ?6, order_seq = max(order_seq, ?6) WHERE id = ?1",
    )?
    .execute(params![
        hello.host.as_bytes(),
        now.0 as i64,
        printable(&hello.agent_version),
        printable(&hello.os),
        printable(&hello.boot_id),
        cursor
    ])?;
    Ok(cursor > known)
}

/// Notes that a host was there.
pub fn seen(conn: &Connection, id: HostId, now: UnixMillis) -> Result<(), DbError> {
    conn.prepare_cached(
        "UPDATE hosts SET last_seen = max(coalesce(last_seen, 0), ?2) WHERE id = ?1",
    )?
    .execute(params![id.as_bytes(), now.0 as i64])?;
    Ok(())
}

/// Notes the host's cursor.
pub fn set_cursor(conn: &Connection, id: HostId, cursor: u64) -> Result<(), DbError> {
    conn.prepare_cached("UPDATE hosts SET order_cursor = ?2 WHERE id = ?1 AND order_seq >= ?2")?
        .execute(params![id.as_bytes(), cursor.min(i64::MAX as u64) as i64])?;
    Ok(())
}

/// The chain a host is writing now.
pub fn current_chain(conn: &Connection, id: HostId) -> Result<Option<Chain>, DbError> {
    Ok(conn
        .prepare_cached("SELECT * FROM chains WHERE host = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([id.as_bytes()], chain)
        .optional()?)
}

/// All chains of a host, oldest first.
pub fn chains(conn: &Connection, id: HostId) -> Result<Vec<Chain>, DbError> {
    let mut query = conn.prepare_cached("SELECT * FROM chains WHERE host = ?1 ORDER BY number")?;
    let rows = query.query_map([id.as_bytes()], chain)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Begins another chain for a host; its number. `start` is what its first record must continue.
pub fn begin_chain(
    conn: &Connection,
    id: HostId,
    key: VerifyingKey,
    start: ChainHead,
    why: &str,
    now: UnixMillis,
) -> Result<u32, DbError> {
    let number: u32 = conn.query_row(
        "SELECT coalesce(max(number), 0) + 1 FROM chains WHERE host = ?1",
        [id.as_bytes()],
        |row| row.get(0),
    )?;
    conn.execute(
        "INSERT INTO chains (host, number, evidence_key, began_at, why, start_next, start_prev, next, prev)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?6,?7)",
        params![id.as_bytes(), number, key.as_bytes(), now.0 as i64, why, start.next as i64, start.prev.as_bytes()],
    )?;
    Ok(number)
}

/// Notes that an operator gives up the evidence that a host cannot send any more: its chain goes
/// on from where it stands at its next hello.
pub fn accept_gap(conn: &Connection, id: HostId, by: &str) -> Result<(), DbError> {
    conn.execute(
        "UPDATE hosts SET gap_accepted_by = ?2 WHERE id = ?1",
        params![id.as_bytes(), by],
    )?;
    Ok(())
}

/// Who accepted a gap, once.
pub fn take_accepted_gap(conn: &Connection, id: HostId) -> Result<Option<String>, DbError> {
    let by: Option<String> = conn
        .prepare_cached("SELECT gap_accepted_by FROM hosts WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))?;
    if by.is_some() {
        conn.execute(
            "UPDATE hosts SET gap_accepted_by = NULL WHERE id = ?1",
            [id.as_bytes()],
        )?;
    }
    Ok(by)
}

/// How many chains the host began since it last joined.
pub fn chains_since_enrolment(conn: &Connection, id: HostId) -> Result<u32, DbError> {
    Ok(conn.query_row(
        "SELECT count(*) FROM chains c JOIN hosts h ON h.id = c.host
         WHERE c.host = ?1 AND c.began_at >= h.enrolled_at",
        [id.as_bytes()],
        |row| row.get(0),
    )?)
}

/// A text from a host, cut and without control characters, fit for a terminal.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

fn host(row: &rusqlite::Row<'_>) -> rusqlite::Result<Host> {
    Ok(Host {
        id: HostId::from_bytes(bytes(row, "id")?),
        name: row.get("name")?,
        enrolled_at: UnixMillis(row.get::<_, i64>("enrolled_at")? as u64),
        last_seen: row
            .get::<_, Option<i64>>("last_seen")?
            .map(|ms| UnixMillis(ms as u64)),
        agent_version: row.get("agent_version")?,
        os: row.get("os")?,
        boot_id: row.get("boot_id")?,
        order_cursor: row.get::<_, i64>("order_cursor")? as u64,
        order_seq: row.get::<_, i64>("order_seq")? as u64,
        chain: chain(row)?,
        standing: row.get("standing")?,
        pending: row.get("pending")?,
        exceptions: row.get("exceptions")?,
    })
}

fn chain(row: &rusqlite::Row<'_>) -> rusqlite::Result<Chain> {
    let head = |next, prev| -> rusqlite::Result<ChainHead> {
        Ok(ChainHead {
            next: row.get::<_, i64>(next)? as u64,
            prev: Digest::from_bytes(bytes(row, prev)?),
        })
    };
    Ok(Chain {
        start: head("start_next", "start_prev")?,
        number: row.get("number")?,
        evidence_key: VerifyingKey::from_bytes(bytes(row, "evidence_key")?),
        began_at: UnixMillis(row.get::<_, i64>("began_at")? as u64),
        why: row.get("why")?,
        head: head("next", "prev")?,
    })
}
