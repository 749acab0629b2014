//! The chains as NDJSON ([`crate::bundle`]), and whether our copies verify.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rescind_protocol::evidence::ChainHead;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::ApiError;
use super::hosts::find;
use super::listener::Caller;
use crate::bundle::{FORMAT, Heading, record_line};
use crate::clock;
use crate::db::audit;
use crate::db::evidence::{self as table, ChainId};
use crate::db::{DbError, hosts};
use crate::plane::Plane;
use crate::verify::verify;

/// Records read at once.
const PAGE: u32 = 256;

/// All chains of a host.
pub async fn export(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    let chains = plane.db.read(move |conn| hosts::chains(conn, id)).await?;
    let (lines, body) = mpsc::channel::<Result<Bytes, DbError>>(4);
    tokio::spawn(async move {
        for chain in chains {
            let heading = Heading {
                format: FORMAT.into(),
                host: id,
                name: host.name.clone(),
                chain: chain.number,
                evidence_key: chain.evidence_key,
                start: chain.start.into(),
            };
            let mut text = crate::db::to_json(&heading);
            text.push('\n');
            if lines.send(Ok(text.into())).await.is_err() {
                return;
            }
            let mut from = chain.start.next;
            while from < chain.head.next {
                let chain = ChainId {
                    host: id,
                    number: chain.number,
                };
                let page = plane
                    .db
                    .read(move |conn| table::records(conn, chain, from, PAGE))
                    .await;
                let page = page.map(|records| {
                    from += records.len() as u64;
                    let empty = records.is_empty();
                    let text: String = records
                        .iter()
                        .flat_map(|record| [record_line(record), "\n".into()])
                        .collect();
                    (Bytes::from(text), empty)
                });
                let ended = !matches!(page, Ok((_, false)));
                if lines.send(page.map(|(text, _)| text)).await.is_err() || ended {
                    return;
                }
            }
        }
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// An operator gives up the evidence that a host cannot send any more.
pub async fn accept_gap(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    plane
        .db
        .write(move |conn| {
            let detail = format!(
                "host {} ({id}), after record {}",
                host.name, host.chain.head.next
            );
            hosts::accept_gap(conn, id, &caller.operator.name)?;
            audit::record(conn, &caller.operator, "accept-gap", &detail, clock::now())
        })
        .await?;
    // It says hello again, and goes on from there.
    plane.presence.close(id);
    Ok(Json(serde_json::json!({ "host": id })))
}

/// Verifies our copy of a host's chains, record by record.
pub async fn verify_host(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    let chains = plane
        .db
        .read(move |conn| {
            let mut out = Vec::new();
            for chain in hosts::chains(conn, id)? {
                let of = ChainId { host: id, number: chain.number };
                let mut head = chain.start;
                let mut broken = None;
                while head.next < chain.head.next && broken.is_none() {
                    let page = table::records(conn, of, head.next, PAGE)?;
                    let checked = verify(chain.evidence_key, head, page);
                    match checked.records.last() {
                        Some(last) => {
                            head = ChainHead { next: last.body().index + 1, prev: last.digest() };
                        }
                        None if checked.broken.is_none() => {
                            broken = Some(format!("record {} is missing", head.next));
                        }
                        None => (),
                    }
                    if let Some((_, error)) = checked.broken {
                        broken = Some(error.to_string());
                    }
                }
                if broken.is_none() && head != chain.head {
                    broken = Some("the chain's end is not what was noted".into());
                }
                out.push(serde_json::json!({
                    "chain": chain.number, "evidence_key": chain.evidence_key, "began_at": chain.began_at,
                    "why": chain.why, "start": chain.start, "records": head.next, "head": head.prev,
                    "verified": broken.is_none(), "error": broken,
                }));
            }
            Ok::<_, DbError>(out)
        })
        .await?;
    let verified = chains.iter().all(|chain| chain["verified"] == true);
    Ok(Json(serde_json::json!({
        "host": id, "name": host.name, "verified": verified, "chains": chains,
    })))
}
