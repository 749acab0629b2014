//! Certificates by their digest: the way from a TLS connection to who is speaking.

use rescind_protocol::name::{Digest, HostId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes};

/// Certificates a host may hold at once: the one in use, the next, and room for lost answers.
const HOST_CERTIFICATES_MAX: i64 = 8;
/// How long the old certificate still works once the new one was used.
const OVERLAP_MS: u64 = 600_000;

/// Who a certificate belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A host.
    Host(HostId),
    /// An operator, by name.
    Operator(String),
}

/// An operator's certificate.
#[derive(Debug, Clone, Serialize)]
pub struct OperatorCertificate {
    /// The operator.
    pub operator: String,
    /// SHA-256 of the certificate.
    pub digest: Digest,
    /// When it was made.
    pub issued_at: UnixMillis,
    /// When it ends.
    pub not_after: UnixMillis,
}

/// Keeps a certificate that was just made.
pub fn insert(
    conn: &Connection,
    digest: Digest,
    holder: &Holder,
    not_after: UnixMillis,
    now: UnixMillis,
) -> Result<(), DbError> {
    let (host, operator) = match holder {
        Holder::Host(host) => (Some(host.as_bytes().as_slice()), None),
        Holder::Operator(name) => (None, Some(name.as_str())),
    };
    conn.prepare_cached(
        "INSERT INTO certificates (digest, host, operator, issued_at, not_after) VALUES (?1,?2,?3,?4,?5)",
    )?
    .execute(params![digest.as_bytes(), host, operator, now.0 as i64, not_after.0 as i64])?;
    Ok(())
}

/// Whose certificate this is, if it is one of ours and its time has not ended.
pub fn holder(
    conn: &Connection,
    digest: Digest,
    now: UnixMillis,
) -> Result<Option<Holder>, DbError> {
    let found = conn
        .prepare_cached(
            "SELECT c.host, c.operator FROM certificates c LEFT JOIN hosts h ON h.id = c.host
             WHERE c.digest = ?1 AND c.not_after > ?2 AND h.removed_at IS NULL",
        )?
        .query_row(params![digest.as_bytes(), now.0 as i64], |row| {
            Ok(match row.get::<_, Option<String>>("operator")? {
                Some(name) => Holder::Operator(name),
                None => Holder::Host(HostId::from_bytes(bytes(row, "host")?)),
            })
        })
        .optional()?;
    Ok(found)
}

/// Notes that a host came with this certificate; those it had before end soon.
pub fn mark_used(
    conn: &Connection,
    host: HostId,
    digest: Digest,
    now: UnixMillis,
) -> Result<(), DbError> {
    let first = conn
        .prepare_cached(
            "UPDATE certificates SET first_used = ?2 WHERE digest = ?1 AND first_used IS NULL",
        )?
        .execute(params![digest.as_bytes(), now.0 as i64])?;
    if first == 1 {
        conn.prepare_cached(
            "UPDATE certificates SET not_after = min(not_after, ?3)
             WHERE host = ?1 AND digest <> ?2 AND first_used IS NOT NULL",
        )?
        .execute(params![
            host.as_bytes(),
            digest.as_bytes(),
            now.plus_ms(OVERLAP_MS).0 as i64
        ])?;
    }
    Ok(())
}

/// Whether the host may have one more certificate; those that ended are forgotten.
pub fn room_for(conn: &Connection, host: HostId, now: UnixMillis) -> Result<bool, DbError> {
    conn.prepare_cached("DELETE FROM certificates WHERE host = ?1 AND not_after <= ?2")?
        .execute(params![host.as_bytes(), now.0 as i64])?;
    let held: i64 = conn
        .prepare_cached("SELECT count(*) FROM certificates WHERE host = ?1")?
        .query_row([host.as_bytes()], |row| row.get(0))?;
    Ok(held < HOST_CERTIFICATES_MAX)
}

/// Cuts a host off: none of its certificates opens anything from now on.
pub fn remove_host(conn: &Connection, host: HostId) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM certificates WHERE host = ?1")?
        .execute([host.as_bytes()])?;
    Ok(())
}

/// Cuts an operator off; how many certificates they had.
pub fn remove_operator(conn: &Connection, name: &str) -> Result<usize, DbError> {
    Ok(conn
        .prepare_cached("DELETE FROM certificates WHERE operator = ?1")?
        .execute([name])?)
}

/// The operators' certificates.
pub fn operators(conn: &Connection) -> Result<Vec<OperatorCertificate>, DbError> {
    let mut query = conn.prepare_cached(
        "SELECT * FROM certificates WHERE operator IS NOT NULL ORDER BY operator, issued_at",
    )?;
    let rows = query.query_map([], |row| {
        Ok(OperatorCertificate {
            operator: row.get("operator")?,
            digest: Digest::from_bytes(bytes(row, "digest")?),
            issued_at: UnixMillis(row.get::<_, i64>("issued_at")? as u64),
            not_after: UnixMillis(row.get::<_, i64>("not_after")? as u64),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::hosts::{self, Joining};
    use crate::db::schema;

    #[test]
    fn the_old_certificate_ends_soon_after_the_new_one_is_used() {
        let conn = schema::in_memory();
        let id = HostId::from_bytes([1; 16]);
        let key = rescind_protocol::sign::VerifyingKey::from_bytes([0; 32]);
        let joining = Joining {
            id,
            name: "web1".parse().unwrap(),
            evidence_key: key,
            agent_version: String::new(),
            os: String::new(),
        };
        hosts::insert(&conn, &joining, UnixMillis(0)).unwrap();
        let [old, new] = [b"old", b"new"].map(|bytes| Digest::of(bytes));
        let holder_of = |digest, at| holder(&conn, digest, UnixMillis(at)).unwrap();
        let ours = Some(Holder::Host(id));
        let day = 86_400_000;
        insert(
            &conn,
            old,
            &Holder::Host(id),
            UnixMillis(day),
            UnixMillis(0),
        )
        .unwrap();
        mark_used(&conn, id, old, UnixMillis(1)).unwrap();
        insert(
            &conn,
            new,
            &Holder::Host(id),
            UnixMillis(2 * day),
            UnixMillis(1000),
        )
        .unwrap();
        assert_eq!(
            holder_of(old, day / 2),
            ours,
            "the answer may have been lost"
        );
        mark_used(&conn, id, new, UnixMillis(2000)).unwrap();
        assert_eq!(holder_of(old, 2000 + OVERLAP_MS - 1), ours);
        assert_eq!(holder_of(old, 2000 + OVERLAP_MS), None);
        assert_eq!(holder_of(new, 2 * day - 1), ours);
        assert_eq!(holder_of(new, 2 * day), None);
        hosts::remove(&conn, id, UnixMillis(3000)).unwrap();
        assert_eq!(holder_of(new, 4000), None);
    }
}
