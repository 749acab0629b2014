//! What needs somebody.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::listener::Caller;
use crate::clock;
use crate::db::exceptions::{self as table, Exception, Which};
use crate::db::{DbError, audit};
use crate::plane::Plane;

/// `GET /v1/exceptions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Closed ones too.
    #[serde(default)]
    all: bool,
}

/// The exceptions, the oldest first.
pub async fn list(
    State(plane): State<Arc<Plane>>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Exception>>, ApiError> {
    let which = if search.all { Which::All } else { Which::Open };
    Ok(Json(
        plane
            .db
            .read(move |conn| table::list(conn, which, 10_000))
            .await?,
    ))
}

/// `POST /v1/exceptions/{id}/close`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// Why it is no exception any more.
    pub reason: String,
}

/// Closes an exception by hand.
pub async fn close(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<i64>,
    Json(close): Json<CloseRequest>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let reason = close.reason;
    if reason.trim().is_empty() || reason.len() > 1024 || reason.chars().any(char::is_control) {
        return Err(ApiError::Bad(
            "say why, in up to 1024 printable bytes".into(),
        ));
    }
    let closed = plane
        .db
        .write(move |conn| {
            let now = clock::now();
            let by = format!("{}: {reason}", caller.operator.name);
            let closed = table::close(conn, id, &by, now)?;
            if closed {
                let detail = format!("exception {id}: {reason}");
                audit::record(conn, &caller.operator, "close-exception", &detail, now)?;
            }
            Ok::<_, DbError>(closed)
        })
        .await?;
    match closed {
        true => Ok(Json(serde_json::json!({ "closed": id }))),
        false => Err(ApiError::NotFound(format!("no exception {id} is open"))),
    }
}
