//! Orders that wait for their host: noticed, and ended when their time is over.

use rescind_protocol::name::{OrderId, UnixMillis};
use rusqlite::{Connection, params};

use super::DbError;
use super::exceptions::{self, Kind, NewException};
use super::orders::{SELECT, order};
use super::timeline::{Happened, add_event};
use crate::clock::UnixMicros;

/// Ends orders whose time is over before their host took them, and raises exceptions for them and
/// for those that have waited since before `away_before`.
pub fn notice_waiting(
    conn: &Connection,
    away_before: UnixMillis,
    now: UnixMicros,
) -> Result<Vec<OrderId>, DbError> {
    let mut query = conn.prepare_cached(&format!(
        "{SELECT} WHERE o.ended = 0 AND o.state IN ('signed', 'delivered')
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

#[cfg(test)]
mod tests {
    use rescind_protocol::name::HostId;
    use rescind_protocol::order::{Action, Authority};
    use rescind_protocol::sign::SigningKey;

    use super::*;
    use crate::db::exceptions::{Which, list};
    use crate::db::hosts::{self, Joining};
    use crate::db::issuing::{NewOrder, issue};
    use crate::db::orders::{self, State};
    use crate::db::{delivery, schema};

    const MINUTE: u64 = 60_000_000;

    #[test]
    fn an_order_that_waits_is_noticed_once_and_ends_with_its_time() {
        let conn = schema::in_memory();
        let (key, _) = SigningKey::generate();
        let host = HostId::from_bytes([1; 16]);
        let joining = Joining {
            id: host,
            name: "web1".parse().unwrap(),
            evidence_key: key.verifying_key(),
            agent_version: String::new(),
            os: String::new(),
        };
        hosts::insert(&conn, &joining, UnixMillis(1)).unwrap();
        let start = UnixMicros(1_000_000 * MINUTE);
        let new = NewOrder {
            host,
            action: Action::EndSessions {
                account: "alice".parse().unwrap(),
            },
            authority: Authority {
                asked_by: "dana".into(),
                approved_by: vec![],
                ticket: "T".into(),
                reason: "r".into(),
                source: "cli".into(),
            },
            operator: "root".into(),
            ttl_ms: 60 * 60_000,
        };
        let id = issue(&conn, &key, new, start).unwrap();
        let kinds_at = |minutes: u64| {
            let now = UnixMicros(start.0 + minutes * MINUTE);
            let away_before = UnixMillis(now.millis().0 - 15 * 60_000);
            notice_waiting(&conn, away_before, now).unwrap();
            let open = list(&conn, Which::Open, 10).unwrap();
            open.into_iter()
                .map(|e| (e.kind, e.owner, e.times))
                .collect::<Vec<_>>()
        };
        let dana = |kind: &str| (kind.to_owned(), "dana".to_owned(), 1);
        assert_eq!(kinds_at(14), []);
        assert_eq!(kinds_at(16), [dana("away")]);
        assert_eq!(kinds_at(20), [dana("away")]);
        assert_eq!(kinds_at(61), [dana("expired")]);
        assert_eq!(kinds_at(62), [dana("expired")]);
        assert_eq!(
            orders::by_id(&conn, id).unwrap().unwrap().state,
            State::Expired
        );
        assert!(delivery::pending(&conn, host, 0, 0, 10).unwrap().is_empty());
    }
}
