//! An order's timeline as it happens.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rescind_protocol::name::OrderId;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

use super::ApiError;
use crate::db::{DbError, orders, timeline};
use crate::plane::Plane;

/// A follower that hears nothing gets an empty line, so that a dead connection shows.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/orders/{id}/follow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// How long to wait for the host's own tools after the outcome; 5000 when absent.
    confirm_ms: Option<u64>,
}

/// An order's timeline as it happens: NDJSON, one event per line, empty lines to keep the
/// connection alive. Ends when nothing more is to be expected.
pub async fn follow(
    State(plane): State<Arc<Plane>>,
    Path(id): Path<OrderId>,
    Query(follow): Query<Follow>,
) -> Result<Response, ApiError> {
    // Listening first: what happens from here on is not missed.
    let changes = plane.changes.subscribe();
    plane
        .db
        .read(move |conn| orders::by_id(conn, id))
        .await?
        .ok_or_else(|| ApiError::NotFound(format!("no order {id}")))?;
    let confirm = Duration::from_millis(follow.confirm_ms.unwrap_or(5000).min(600_000));
    let (lines, body) = mpsc::channel::<Result<Bytes, DbError>>(16);
    tokio::spawn(async move {
        if let Err(error) = tell(&plane, id, confirm, changes, &lines).await {
            // The follower may have gone; then there is nobody to tell.
            let _ = lines.send(Err(error)).await;
        }
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(ReceiverStream::new(body))).into_response())
}

async fn tell(
    plane: &Arc<Plane>,
    id: OrderId,
    confirm: Duration,
    mut changes: tokio::sync::broadcast::Receiver<OrderId>,
    lines: &mpsc::Sender<Result<Bytes, DbError>>,
) -> Result<(), DbError> {
    let mut after = 0;
    let mut concluded_at: Option<Instant> = None;
    loop {
        let events = plane
            .db
            .read(move |conn| timeline::timeline(conn, id, after))
            .await?;
        let mut over = false;
        for event in events {
            after = event.id;
            match After::of(&event.state) {
                After::Nothing => over = true,
                After::Confirmation => concluded_at = concluded_at.or_else(|| Some(Instant::now())),
                After::More => (),
            }
            let mut line = crate::db::to_json(&event);
            line.push('\n');
            if lines.send(Ok(line.into())).await.is_err() {
                return Ok(());
            }
        }
        let confirm_until = concluded_at.map(|at| at + confirm);
        if over || confirm_until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
        let alive_at = Instant::now() + KEEP_ALIVE;
        let until = confirm_until.map_or(alive_at, |until| until.min(alive_at));
        loop {
            match timeout_at(until, changes.recv()).await {
                Ok(Ok(changed)) if changed != id => (),
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) => return Ok(()),
                Err(_) => {
                    if lines.send(Ok("\n".into())).await.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
        }
    }
}

/// What may still come after an event.
enum After {
    More,
    Confirmation,
    Nothing,
}

impl After {
    fn of(state: &str) -> Self {
        match state {
            "verified" | "already" | "partial" | "unverified" => Self::Confirmation,
            "confirmed" | "refused" | "impossible" | "not_accepted" | "expired" | "superseded"
            | "released" => Self::Nothing,
            _ => Self::More,
        }
    }
}
