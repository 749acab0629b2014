//! Join tokens.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use rescind_protocol::enrol::{JoinToken, TokenSecret};
use rescind_protocol::name::{HostName, UnixMillis};
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::listener::Caller;
use crate::clock;
use crate::db::tokens::{self as table, NewToken, Token};
use crate::db::{DbError, audit};
use crate::plane::Plane;

/// The longest a token may last: 30 days.
const TTL_S_MAX: u64 = 30 * 86_400;
/// The most hosts one token may let in.
const USES_MAX: u32 = 100_000;

/// `POST /v1/tokens`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The only host that may use it; needed to enrol a host again.
    #[serde(default)]
    pub host: Option<HostName>,
    /// How many hosts it lets in; 1 when absent.
    #[serde(default)]
    pub uses: Option<u32>,
    /// How long it lasts, in seconds.
    #[serde(default)]
    pub ttl_s: Option<u64>,
}

/// Makes a token. It is shown once: only its digest is kept.
pub async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Json(create): Json<Create>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let uses = create.uses.unwrap_or(1);
    let ttl_s = create.ttl_s.unwrap_or(plane.config.token_ttl_minutes * 60);
    if !(1..=USES_MAX).contains(&uses) || !(1..=TTL_S_MAX).contains(&ttl_s) {
        let words = format!("want 1 to {USES_MAX} uses and 1 to {TTL_S_MAX} seconds");
        return Err(ApiError::Bad(words));
    }
    if create.host.is_some() && uses != 1 {
        return Err(ApiError::Bad("a token for one host is for one use".into()));
    }
    let token = JoinToken {
        secret: TokenSecret::generate(),
        ca: plane.ca.fingerprint(),
    };
    let now = clock::now();
    let new = NewToken {
        digest: token.secret.digest(),
        host: create.host.clone(),
        uses,
        expires_at: now.plus_ms(ttl_s * 1000),
        made_by: caller.operator.name.clone(),
    };
    let expires_at: UnixMillis = new.expires_at;
    let id = plane
        .db
        .write(move |conn| {
            let id = table::insert(conn, &new, now)?;
            let host = new.host.as_ref().map_or("any host", HostName::as_str);
            let detail = format!("token {id} for {host}, {uses} uses, until {expires_at}");
            audit::record(conn, &caller.operator, "new-token", &detail, now)?;
            Ok::<_, DbError>(id)
        })
        .await?;
    Ok(Json(serde_json::json!({
        "id": id,
        "token": *token.to_text(),
        "host": create.host,
        "uses": uses,
        "expires_at": expires_at,
        "server_name": plane.server_name,
        "agents_port": plane.config.listen.port(),
        "ca_fingerprint": plane.ca.fingerprint(),
    })))
}

/// The tokens that still open something.
pub async fn list(State(plane): State<Arc<Plane>>) -> Result<Json<Vec<Token>>, ApiError> {
    let now = clock::now();
    Ok(Json(
        plane
            .db
            .read(move |conn| table::all_usable(conn, now))
            .await?,
    ))
}

/// Takes a token back.
pub async fn revoke(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<i64>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let found = plane
        .db
        .write(move |conn| {
            let detail = format!("token {id}");
            audit::record(
                conn,
                &caller.operator,
                "revoke-token",
                &detail,
                clock::now(),
            )?;
            table::revoke(conn, id)
        })
        .await?;
    match found {
        true => Ok(Json(serde_json::json!({ "revoked": id }))),
        false => Err(ApiError::NotFound(format!("no token {id}"))),
    }
}
