//! The operators' HTTP API: JSON, on a Unix socket for this machine and over TLS with a client
//! certificate elsewhere.

/// The chains as NDJSON, and whether our copies verify.
pub mod evidence;
/// What needs somebody.
pub mod exceptions;
/// Following an order.
pub mod follow;
/// Liveness and metrics.
pub mod health;
/// Hosts, and questions to them.
pub mod hosts;
/// Taking operators' connections.
pub mod listener;
/// Operators and what they did.
pub mod operators;
/// Giving orders and looking at them.
pub mod orders;
/// What hosts' surveys found.
pub mod sections;
/// Join tokens.
pub mod tokens;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router, middleware};

use crate::db::DbError;
use crate::plane::{NotGiven, Plane};

/// The largest request body.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The routes.
pub fn router(plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/v1/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .route("/v1/hosts", get(hosts::list))
        .route("/v1/hosts/{host}", get(hosts::show).delete(hosts::remove))
        .route("/v1/hosts/{host}/paths", get(hosts::paths))
        .route("/v1/hosts/{host}/inventory", get(hosts::inventory))
        .route("/v1/hosts/{host}/explain", get(hosts::explain))
        .route("/v1/hosts/{host}/sections", get(sections::list))
        .route("/v1/hosts/{host}/sections/{section}", get(sections::show))
        .route("/v1/hosts/{host}/coverage", get(sections::coverage))
        .route("/v1/hosts/{host}/differences", get(sections::differences))
        .route("/v1/hosts/{host}/evidence", get(evidence::export))
        .route(
            "/v1/hosts/{host}/evidence/verify",
            get(evidence::verify_host),
        )
        .route(
            "/v1/hosts/{host}/evidence/accept-gap",
            post(evidence::accept_gap),
        )
        .route("/v1/orders", get(orders::list).post(orders::create))
        .route("/v1/orders/{id}", get(orders::show))
        .route("/v1/orders/{id}/follow", get(follow::follow))
        .route("/v1/orders/{id}/export", get(orders::export))
        .route("/v1/exceptions", get(exceptions::list))
        .route("/v1/exceptions/{id}/close", post(exceptions::close))
        .route(
            "/v1/operators",
            get(operators::list).post(operators::create),
        )
        .route("/v1/operators/{name}", delete(operators::remove))
        .route("/v1/audit", get(operators::audit))
        .layer(middleware::from_fn_with_state(
            plane.clone(),
            listener::still_operator,
        ))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(plane)
}

/// Why a request was not served; becomes `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// This operator may not do that.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Not in the state it is in.
    #[error("{0}")]
    Conflict(String),
    /// The host is not connected, or does not answer.
    #[error("{0}")]
    HostAway(String),
    /// The host could not answer.
    #[error("the host could not answer: {0}")]
    HostFailed(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ApiError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::HostAway(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::HostFailed(_) => StatusCode::BAD_GATEWAY,
            Self::Db(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Db(error) = &self {
            tracing::error!(%error, "a request failed");
        }
        let body = serde_json::json!({ "error": self.to_string() });
        (self.status(), Json(body)).into_response()
    }
}

impl From<NotGiven> for ApiError {
    fn from(error: NotGiven) -> Self {
        let words = error.to_string();
        match error {
            NotGiven::Authority(_) => Self::Bad(words),
            NotGiven::NoHost(_) | NotGiven::NoOrder(_) => Self::NotFound(words),
            NotGiven::NotStanding(_) | NotGiven::Released(_) => Self::Conflict(words),
            NotGiven::Db(error) => Self::Db(error),
        }
    }
}
