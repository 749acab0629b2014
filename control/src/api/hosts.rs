//! Hosts, and questions to them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rescind_protocol::message::Question;
use rescind_protocol::name::{AccountName, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::ApiError;
use super::listener::Caller;
use super::sections::{age_s, stored_inventory};
use crate::agents::presence::Asked;
use crate::clock;
use crate::db::hosts::{self as table, Host};
use crate::db::{audit, certificates};
use crate::plane::Plane;

/// The longest a host may take to answer.
const ANSWER_MS_MAX: u64 = 120_000;

/// A host, and its connection.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The host.
    #[serde(flatten)]
    pub host: Host,
    /// Whether it is connected now.
    pub connected: bool,
    /// From where.
    pub peer: Option<String>,
    /// Since when.
    pub connected_since: Option<UnixMillis>,
}

fn shown(plane: &Plane, mut host: Host) -> Shown {
    let slot = plane.presence.of(host.id);
    if let Some(slot) = &slot {
        host.last_seen = host.last_seen.max(Some(slot.heard()));
    }
    Shown {
        connected: slot.is_some(),
        peer: slot.as_ref().map(|slot| slot.peer.to_string()),
        connected_since: slot.as_ref().map(|slot| slot.since),
        host,
    }
}

/// All hosts.
pub async fn list(State(plane): State<Arc<Plane>>) -> Result<Json<Vec<Shown>>, ApiError> {
    let hosts = plane.db.read(table::all).await?;
    Ok(Json(
        hosts.into_iter().map(|host| shown(&plane, host)).collect(),
    ))
}

/// One host.
pub async fn show(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
) -> Result<Json<Shown>, ApiError> {
    let host = find(&plane, name).await?;
    Ok(Json(shown(&plane, host)))
}

/// Removes a host: its certificates open nothing any more, its connection ends.
pub async fn remove(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    plane
        .db
        .write(move |conn| {
            let now = clock::now();
            certificates::remove_host(conn, id)?;
            table::remove(conn, id, now)?;
            let detail = format!("host {} ({id})", host.name);
            audit::record(conn, &caller.operator, "remove-host", &detail, now)
        })
        .await?;
    plane.presence.close(id);
    Ok(Json(serde_json::json!({ "removed": id })))
}

/// `GET /v1/hosts/{host}/paths`, `…/inventory` and `…/explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    account: Option<AccountName>,
    timeout_ms: Option<u64>,
}

/// Asks the host for its access paths, now.
pub async fn paths(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let question = Question::Paths {
        account: which.account,
    };
    ask(&plane, name, question, which.timeout_ms, "paths").await
}

/// Asks the host for its accounts, now; where it is away, answers with what it said last, and says
/// so: `live` is false then, `received_at` and `age_s` tell how old it is.
pub async fn inventory(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let host = find(&plane, name).await?;
    let mut answer = serde_json::json!({
        "host": host.id, "name": host.name, "at": clock::now(), "heard_at": host.last_seen,
    });
    let away = match answer_of(&plane, &host, Question::Inventory, which.timeout_ms).await {
        Ok(json) => {
            answer["accounts"] = json_of(&json)?;
            answer["live"] = true.into();
            return Ok(Json(answer));
        }
        Err(away @ ApiError::HostAway(_)) => away,
        Err(error) => return Err(error),
    };
    let id = host.id;
    let stored = plane
        .db
        .read(move |conn| stored_inventory(conn, id))
        .await?;
    let Some((accounts, received_at)) = stored else {
        return Err(away);
    };
    answer["accounts"] = accounts;
    answer["live"] = false.into();
    answer["received_at"] = serde_json::json!(received_at);
    answer["age_s"] = age_s(received_at).into();
    Ok(Json(answer))
}

/// Asks the host why an account can become root, now.
pub async fn explain(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let account = which
        .account
        .ok_or_else(|| ApiError::Bad("say which account".into()))?;
    let question = Question::Explain { account };
    ask(&plane, name, question, which.timeout_ms, "explanation").await
}

/// Asks a host something; its answer stands in the reply under `key`.
async fn ask(
    plane: &Arc<Plane>,
    name: String,
    question: Question,
    timeout_ms: Option<u64>,
    key: &str,
) -> Result<Json<serde_json::Value>, ApiError> {
    let host = find(plane, name).await?;
    let json = answer_of(plane, &host, question, timeout_ms).await?;
    let answered = json_of(&json)?;
    Ok(Json(serde_json::json!({
        "host": host.id, "name": host.name, "at": clock::now(), key: answered,
    })))
}

/// Asks a host something, and waits for the JSON that it answers.
pub(super) async fn answer_of(
    plane: &Arc<Plane>,
    host: &Host,
    question: Question,
    timeout_ms: Option<u64>,
) -> Result<Vec<u8>, ApiError> {
    let (reply, answer) = oneshot::channel();
    plane
        .presence
        .ask(host.id, Asked { question, reply })
        .map_err(|error| ApiError::HostAway(format!("{}: {error}", host.name)))?;
    let limit = Duration::from_millis(timeout_ms.unwrap_or(30_000).min(ANSWER_MS_MAX));
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(Ok(json))) => Ok(json),
        Ok(Ok(Err(why))) => Err(ApiError::HostFailed(why)),
        Ok(Err(_)) => Err(ApiError::HostAway("the host's connection ended".into())),
        Err(_) => {
            let words = format!(
                "{} did not answer within {} ms",
                host.name,
                limit.as_millis()
            );
            Err(ApiError::HostAway(words))
        }
    }
}

fn json_of(answer: &[u8]) -> Result<serde_json::Value, ApiError> {
    serde_json::from_slice(answer)
        .map_err(|error| ApiError::HostFailed(format!("its answer is not JSON: {error}")))
}

/// The host of this name or id.
pub async fn find(plane: &Arc<Plane>, name: String) -> Result<Host, ApiError> {
    let asked = name.clone();
    plane
        .db
        .read(move |conn| table::find(conn, &asked))
        .await?
        .ok_or_else(|| ApiError::NotFound(format!("no host {name} is enrolled")))
}
