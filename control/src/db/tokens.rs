//! Join tokens, of which only digests are kept: who reads the database cannot enrol a host.

use rescind_protocol::name::{Digest, HostName, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::DbError;

/// What is known of a token.
#[derive(Debug, Clone, Serialize)]
pub struct Token {
    /// Its number, to speak of it.
    pub id: i64,
    /// The only host that may use it.
    pub host: Option<String>,
    /// How often it can still be used.
    pub uses_left: u32,
    /// When it was made.
    pub made_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// Who made it.
    pub made_by: String,
}

/// A token to be made.
#[derive(Debug)]
pub struct NewToken {
    /// The digest of its secret.
    pub digest: Digest,
    /// The only host that may use it.
    pub host: Option<HostName>,
    /// How often it can be used.
    pub uses: u32,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// Who made it.
    pub made_by: String,
}

/// Keeps a new token; its number.
pub fn insert(conn: &Connection, token: &NewToken, now: UnixMillis) -> Result<i64, DbError> {
    conn.prepare_cached("DELETE FROM tokens WHERE expires_at < ?1")?
        .execute([now.0.saturating_sub(30 * 86_400_000) as i64])?;
    conn.prepare_cached(
        "INSERT INTO tokens (digest, host_name, uses_left, made_at, expires_at, made_by)
         VALUES (?1,?2,?3,?4,?5,?6)",
    )?
    .execute(params![
        token.digest.as_bytes(),
        token.host.as_ref().map(HostName::as_str),
        token.uses,
        now.0 as i64,
        token.expires_at.0 as i64,
        token.made_by
    ])?;
    Ok(conn.last_insert_rowid())
}

/// The token with this digest, if it still opens anything.
pub fn usable(
    conn: &Connection,
    digest: Digest,
    now: UnixMillis,
) -> Result<Option<Token>, DbError> {
    let found = conn
        .prepare_cached(
            "SELECT * FROM tokens WHERE digest = ?1 AND uses_left > 0 AND expires_at > ?2",
        )?
        .query_row(params![digest.as_bytes(), now.0 as i64], token)
        .optional()?;
    Ok(found)
}

/// Uses a token once.
pub fn spend(conn: &Connection, id: i64) -> Result<(), DbError> {
    conn.prepare_cached(
        "UPDATE tokens SET uses_left = uses_left - 1 WHERE id = ?1 AND uses_left > 0",
    )?
    .execute([id])?;
    Ok(())
}

/// Takes a token back; whether there was one.
pub fn revoke(conn: &Connection, id: i64) -> Result<bool, DbError> {
    Ok(conn
        .prepare_cached("DELETE FROM tokens WHERE id = ?1")?
        .execute([id])?
        == 1)
}

/// All tokens that still open something.
pub fn all_usable(conn: &Connection, now: UnixMillis) -> Result<Vec<Token>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT * FROM tokens WHERE uses_left > 0 AND expires_at > ?1 ORDER BY id",
    )?;
    let rows = query.query_map([now.0 as i64], token)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn token(row: &rusqlite::Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get("id")?,
        host: row.get("host_name")?,
        uses_left: row.get("uses_left")?,
        made_at: UnixMillis(row.get::<_, i64>("made_at")? as u64),
        expires_at: UnixMillis(row.get::<_, i64>("expires_at")? as u64),
        made_by: row.get("made_by")?,
    })
}
