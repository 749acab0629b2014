//! Operators and what they did.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::listener::{Caller, Role};
use crate::ca::CaError;
use crate::clock;
use crate::db::audit;
use crate::db::certificates::{self, Holder, OperatorCertificate};
use crate::plane::Plane;

/// `POST /v1/operators`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The operator's name: 1 to 128 printable characters.
    pub name: String,
    /// A certificate signing request, DER in base64: the key never leaves its owner.
    pub csr: String,
}

/// Makes a client certificate. Only for operators on the control plane's own machine: who has a
/// certificate cannot make more of them.
pub async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Json(create): Json<Create>,
) -> Result<Json<serde_json::Value>, ApiError> {
    only_local(&caller)?;
    let name = create.name;
    if name.trim().is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(ApiError::Bad(
            "want a name of 1 to 128 printable characters".into(),
        ));
    }
    let csr = STANDARD
        .decode(&create.csr)
        .map_err(|_| ApiError::Bad("the certificate signing request is not base64".into()))?;
    let now = clock::now();
    let hours = plane.config.operator_certificate_days * 24;
    let issued =
        plane
            .ca
            .certify_operator(&csr, &name, hours, now)
            .map_err(|error| match error {
                CaError::Request(_) => ApiError::Bad(error.to_string()),
                other => ApiError::Conflict(other.to_string()),
            })?;
    let (digest, not_after) = (issued.digest, issued.not_after);
    plane
        .db
        .write(move |conn| {
            let detail = format!("{name}, certificate {digest}");
            certificates::insert(conn, digest, &Holder::Operator(name), not_after, now)?;
            audit::record(conn, &caller.operator, "new-operator", &detail, now)
        })
        .await?;
    Ok(Json(serde_json::json!({
        "certificate": issued.pem, "ca": plane.ca.pem(), "not_after": not_after,
    })))
}

/// The operators' certificates.
pub async fn list(
    State(plane): State<Arc<Plane>>,
) -> Result<Json<Vec<OperatorCertificate>>, ApiError> {
    Ok(Json(plane.db.read(certificates::operators).await?))
}

/// Cuts an operator off: at their next connection nothing opens.
pub async fn remove(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, ApiError> {
    only_local(&caller)?;
    let named = name.clone();
    let removed = plane
        .db
        .write(move |conn| {
            audit::record(
                conn,
                &caller.operator,
                "remove-operator",
                &named,
                clock::now(),
            )?;
            certificates::remove_operator(conn, &named)
        })
        .await?;
    match removed {
        0 => Err(ApiError::NotFound(format!(
            "no operator {name} has a certificate"
        ))),
        _ => Ok(Json(
            serde_json::json!({ "removed": name, "certificates": removed }),
        )),
    }
}

/// `GET /v1/audit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    limit: Option<u32>,
}

/// What operators did, and whether the list is as it was written.
pub async fn audit(
    State(plane): State<Arc<Plane>>,
    Query(latest): Query<Latest>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let limit = latest.limit.unwrap_or(100).min(10_000);
    let (entries, tampered) = plane
        .db
        .read(move |conn| {
            Ok::<_, ApiError>((audit::latest(conn, limit)?, audit::first_tampered(conn)?))
        })
        .await?;
    Ok(Json(
        serde_json::json!({ "entries": entries, "first_tampered": tampered }),
    ))
}

fn only_local(caller: &Caller) -> Result<(), ApiError> {
    match caller.role {
        Role::Local => Ok(()),
        Role::Remote => Err(ApiError::Forbidden(
            "operators are made and removed on the control plane's own machine only",
        )),
    }
}
