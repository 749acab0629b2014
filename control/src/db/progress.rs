//! What a record of evidence says about orders.
//!
//! Only verified records get here. A host can speak of its own orders alone: an event that names
//! another host's order, or other bytes than those that were signed for it, changes nothing but
//! the list of exceptions.

use rescind_protocol::evidence::{Event, NotAccepted};
use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::outcome::{Outcome, Verdict};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::exceptions::{self, Kind, NewException};
use super::orders::{self, OrderRow, State};
use super::timeline::{Happened, add_event};
use super::{DbError, to_json};
use crate::clock::UnixMicros;

/// Where an event comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The host that signed it.
    pub host: HostId,
    /// When it arrived.
    pub at: UnixMicros,
    /// The host's clock and its microseconds since boot when it was written.
    pub on_host: (UnixMillis, u64),
}

impl Source {
    fn happened<'a>(&self, kind: &'a str) -> Happened<'a> {
        Happened {
            kind,
            at: self.at,
            on_host: Some(self.on_host),
        }
    }

    fn raise(
        &self,
        conn: &Connection,
        kind: Kind,
        order: Option<OrderId>,
        detail: String,
    ) -> Result<(), DbError> {
        let new = NewException {
            kind,
            host: self.host,
            order,
            detail,
        };
        exceptions::raise(conn, &new, self.at.millis())
    }
}

/// Applies an event; the order whose timeline changed.
pub fn apply(
    conn: &Connection,
    source: &Source,
    event: &Event,
) -> Result<Option<OrderId>, DbError> {
    if let Event::Gap { what } = event {
        source.raise(conn, Kind::Gap, None, what.clone())?;
        return Ok(None);
    }
    let Some(id) = event.order() else {
        return Ok(None);
    };
    let row = match orders::by_id(conn, id)? {
        Some(row) if row.host == source.host => row,
        // Not refused: the record is true evidence, and the order may be one that was issued
        // before this database was restored.
        _ => {
            let detail =
                format!("its evidence speaks of order {id}, which is not known as an order for it");
            source.raise(conn, Kind::UnknownOrder, None, detail)?;
            return Ok(None);
        }
    };
    match event {
        Event::OrderAccepted {
            signed,
            signers,
            via,
            ..
        } => {
            if Digest::of(signed) != row.digest {
                let detail = "it accepted other bytes under this id than were signed here".into();
                source.raise(conn, Kind::UnknownOrder, Some(id), detail)?;
                return Ok(None);
            }
            accepted(conn, source, &row)?;
            let detail = json!({ "signers": signers, "via": via });
            add_event(conn, id, &source.happened("accepted"), &detail)?;
        }
        Event::OrderNotAccepted {
            digest,
            why,
            detail,
            ..
        } => {
            if *digest != row.digest {
                let detail = format!(
                    "it was sent a false order under the id {id} and refused it ({why:?}): {detail}"
                );
                source.raise(conn, Kind::NotAccepted, None, detail)?;
                return Ok(None);
            }
            not_accepted(conn, source, &row, *why, detail)?;
        }
        Event::Planned { steps, .. } => {
            advance(conn, id, State::Planned)?;
            add_event(
                conn,
                id,
                &source.happened("planned"),
                &json!({ "steps": steps }),
            )?;
        }
        Event::StepBegun { .. } => advance(conn, id, State::Applying)?,
        Event::StepEnded {
            step,
            changed,
            error,
            ..
        } => {
            let mut detail = planned_step(conn, id, *step)?;
            detail["step"] = json!(step);
            detail["changed"] = json!(changed);
            if let Some(error) = error {
                detail["error"] = json!(error);
            }
            add_event(conn, id, &source.happened("applied"), &detail)?;
        }
        Event::Concluded { outcome } => concluded(conn, source, &row, outcome)?,
        Event::Confirmed { answers, .. } => {
            advance(conn, id, State::Confirmed)?;
            let no: Vec<&str> = answers
                .iter()
                .filter(|answer| answer.agrees == Some(false))
                .map(|answer| answer.tool.as_str())
                .collect();
            if !no.is_empty() {
                let detail = format!("the host's own tools disagree: {}", no.join(", "));
                source.raise(conn, Kind::Disagreement, Some(id), detail)?;
            }
            add_event(
                conn,
                id,
                &source.happened("confirmed"),
                &json!({ "answers": answers }),
            )?;
        }
        Event::Drift {
            paths,
            actor,
            times,
            ..
        } => {
            let detail = json!({ "paths": paths, "actor": actor, "times": times });
            add_event(conn, id, &source.happened("drift"), &detail)?;
        }
        Event::Contested { files, times, .. } => {
            let words = format!(
                "access was put back {times} times; look who writes {}",
                files.join(", ")
            );
            source.raise(conn, Kind::Contested, Some(id), words)?;
            let detail = json!({ "files": files, "times": times });
            add_event(conn, id, &source.happened("contested"), &detail)?;
        }
        Event::Released { by, .. } => {
            conn.prepare_cached(
                "UPDATE orders SET state = 'released', in_force = 0, ended = 1, released_by = ?2 WHERE id = ?1",
            )?
            .execute(params![id.as_bytes(), by.as_bytes()])?;
            let settled = [
                Kind::Contested,
                Kind::Partial,
                Kind::Unverified,
                Kind::Disagreement,
            ];
            exceptions::settle_order(
                conn,
                id,
                &settled,
                "the order was released",
                source.at.millis(),
            )?;
            add_event(conn, id, &source.happened("released"), &json!({ "by": by }))?;
        }
        Event::Genesis { .. }
        | Event::Enrolled { .. }
        | Event::Started { .. }
        | Event::Gap { .. }
        | Event::IndexRebuilt { .. }
        | Event::TailCut { .. } => return Ok(None),
    }
    Ok(Some(id))
}

fn accepted(conn: &Connection, source: &Source, row: &OrderRow) -> Result<(), DbError> {
    if row.state.before_acceptance() || row.state == State::Superseded {
        // A superseded order that the host holds after all is in force there: say so.
        conn.prepare_cached(
            "UPDATE orders SET state = 'accepted', acked = 1, ended = 0, in_force = ?2 WHERE id = ?1",
        )?
        .execute(params![row.id.as_bytes(), row.action.is_standing()])?;
    } else {
        conn.prepare_cached("UPDATE orders SET acked = 1 WHERE id = ?1")?
            .execute([row.id.as_bytes()])?;
    }
    let settled = [Kind::Away, Kind::Expired, Kind::NotAccepted, Kind::Reissued];
    exceptions::settle_order(
        conn,
        row.id,
        &settled,
        "the host accepted it",
        source.at.millis(),
    )
}

fn not_accepted(
    conn: &Connection,
    source: &Source,
    row: &OrderRow,
    why: NotAccepted,
    words: &str,
) -> Result<(), DbError> {
    let detail = json!({ "why": why, "detail": words });
    add_event(conn, row.id, &source.happened("not_accepted"), &detail)?;
    if row.state.before_acceptance() {
        // A store that could not keep it may be able to at the next connection.
        let ended = why != NotAccepted::Store;
        conn.prepare_cached("UPDATE orders SET state = 'not_accepted', ended = ?2 WHERE id = ?1")?
            .execute(params![row.id.as_bytes(), ended])?;
        let detail = format!("the host did not accept it ({why:?}): {words}");
        source.raise(conn, Kind::NotAccepted, Some(row.id), detail)?;
    }
    Ok(())
}

fn concluded(
    conn: &Connection,
    source: &Source,
    row: &OrderRow,
    outcome: &Outcome,
) -> Result<(), DbError> {
    let nothing_done = matches!(outcome.verdict, Verdict::Refused | Verdict::Impossible);
    conn.prepare_cached(
        "UPDATE orders SET state = 'concluded', acked = 1, ended = 1, outcome = ?2,
             in_force = (in_force AND NOT ?3) WHERE id = ?1 AND state <> 'released'",
    )?
    .execute(params![row.id.as_bytes(), to_json(outcome), nothing_done])?;
    let (name, kind) = match outcome.verdict {
        Verdict::Verified => ("verified", None),
        Verdict::Already => ("already", None),
        Verdict::Partial => ("partial", Some(Kind::Partial)),
        Verdict::Refused => ("refused", Some(Kind::Refused)),
        Verdict::Impossible => ("impossible", Some(Kind::Impossible)),
        Verdict::Unverified => ("unverified", Some(Kind::Unverified)),
    };
    match kind {
        Some(kind) => source.raise(conn, kind, Some(row.id), outcome.reason.clone())?,
        None => {
            let all = [
                Kind::Away,
                Kind::Expired,
                Kind::NotAccepted,
                Kind::Partial,
                Kind::Reissued,
                Kind::Unverified,
                Kind::Disagreement,
            ];
            exceptions::settle_order(
                conn,
                row.id,
                &all,
                "the order is verified",
                source.at.millis(),
            )?;
        }
    }
    add_event(
        conn,
        row.id,
        &source.happened(name),
        &json!({ "result": outcome }),
    )
}

/// States only go forward here; the end of an order is set elsewhere.
fn advance(conn: &Connection, id: OrderId, to: State) -> Result<(), DbError> {
    let from = match to {
        State::Planned => "'accepted'",
        State::Applying => "'accepted', 'planned'",
        State::Confirmed => "'concluded'",
        _ => return Ok(()),
    };
    conn.prepare_cached(&format!(
        "UPDATE orders SET state = ?2 WHERE id = ?1 AND state IN ({from})"
    ))?
    .execute(params![id.as_bytes(), to.as_str()])?;
    Ok(())
}

/// What the plan said about a step; an empty object when the plan is not known.
fn planned_step(conn: &Connection, id: OrderId, step: u32) -> Result<serde_json::Value, DbError> {
    let text: Option<String> = conn
        .prepare_cached(
            "SELECT detail -> ('$.steps[' || ?2 || ']') FROM order_events
             WHERE order_id = ?1 AND kind = 'planned' ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![id.as_bytes(), step], |row| row.get(0))
        .optional()?
        .flatten();
    let value = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(value
        .filter(serde_json::Value::is_object)
        .unwrap_or_else(|| json!({})))
}
