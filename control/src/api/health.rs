//! Liveness and metrics (Prometheus text format 0.0.4).

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::db::{DbError, exceptions};
use crate::plane::Plane;

/// Whether the server serves and its database answers.
pub async fn health(State(plane): State<Arc<Plane>>) -> Result<Json<serde_json::Value>, ApiError> {
    plane.db.write(|_| Ok::<_, DbError>(())).await?;
    Ok(Json(serde_json::json!({
        "ok": true,
        "version": env!("CARGO_PKG_VERSION"),
        "connected": plane.presence.count(),
        "order_key": plane.order_key.verifying_key(),
        "ca_fingerprint": plane.ca.fingerprint(),
    })))
}

/// A few numbers.
pub async fn metrics(State(plane): State<Arc<Plane>>) -> Result<Response, ApiError> {
    let (hosts, orders, open) = plane
        .db
        .read(|conn| {
            let hosts: i64 = conn
                .query_row(
                    "SELECT count(*) FROM hosts WHERE removed_at IS NULL",
                    [],
                    |row| row.get(0),
                )
                .map_err(DbError::from)?;
            let mut query = conn
                .prepare_cached("SELECT state, count(*) FROM orders GROUP BY state ORDER BY state")
                .map_err(DbError::from)?;
            let orders: Vec<(String, i64)> = query
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .and_then(Iterator::collect)
                .map_err(DbError::from)?;
            Ok::<_, DbError>((hosts, orders, exceptions::count_open(conn)?))
        })
        .await?;
    let mut text = String::new();
    let mut line = |name: &str, label: &str, value: i64| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}{label} {value}");
    };
    line("rescind_hosts", "", hosts);
    line("rescind_hosts_connected", "", plane.presence.count() as i64);
    for (state, count) in orders {
        line("rescind_orders", &format!("{{state=\"{state}\"}}"), count);
    }
    for (kind, count) in open {
        line(
            "rescind_exceptions_open",
            &format!("{{kind=\"{kind}\"}}"),
            count as i64,
        );
    }
    for (name, count) in [
        ("rescind_section_pieces_total", &plane.sections.pieces),
        ("rescind_sections_kept_total", &plane.sections.kept),
        ("rescind_sections_refused_total", &plane.sections.refused),
    ] {
        let count = count.load(Ordering::Relaxed);
        line(name, "", i64::try_from(count).unwrap_or(i64::MAX));
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
