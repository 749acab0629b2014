//! What hosts' surveys found: asked of the host where it is connected, else as it said it last.
//!
//! Answers say which it was (`live`), when what is told arrived (`received_at`, `age_s`), and when
//! the host was last heard of (`heard_at`): while it is connected it sends what changed after each
//! survey, so that what is stored was so at most one survey before.
//!
//! - `GET /v1/hosts/{host}/sections`: the sections that are stored, without their rows.
//! - `GET /v1/hosts/{host}/sections/{section}`: one section, as
//!   [`rescind_protocol::section`] describes it; with `stored=true` without asking the host.
//! - `GET /v1/hosts/{host}/coverage`: what the stored sections do not cover.
//! - `GET /v1/hosts/{host}/differences`: between the last two states of each section, as
//!   [`rescind_protocol::difference::Difference`].
//!
//! The last two take `section=NAME`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use rescind_protocol::difference::Difference;
use rescind_protocol::message::Question;
use rescind_protocol::name::{Digest, HostId, SectionName, UnixMillis};
use rescind_protocol::section::{BadSection, Document};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::hosts::{answer_of, find};
use crate::clock;
use crate::db::sections::{self as table, Place};
use crate::db::{DbError, hosts};
use crate::plane::Plane;

/// The parameters of these requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    section: Option<SectionName>,
    #[serde(default)]
    stored: bool,
    timeout_ms: Option<u64>,
}

/// The stored sections of a host.
pub async fn list(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    let states = plane
        .db
        .read(move |conn| table::states(conn, id, Place::Last))
        .await?;
    let sections: Vec<Value> = states.iter().map(told).collect();
    Ok(Json(about(&plane, &host, json!({ "sections": sections }))))
}

/// One section of a host.
pub async fn show(
    State(plane): State<Arc<Plane>>,
    Path((name, section)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let host = find(&plane, name).await?;
    let section: SectionName = section
        .parse()
        .map_err(|error| ApiError::Bad(format!("{error}")))?;
    if !which.stored {
        let question = Question::Section {
            section: section.clone(),
        };
        match answer_of(&plane, &host, question, which.timeout_ms).await {
            Ok(json) => {
                let digest = Digest::of(&json);
                let document = value(&json)?;
                let answer = json!({ "live": true, "digest": digest, "section": document });
                return Ok(Json(about(&plane, &host, answer)));
            }
            // What it said last is still known.
            Err(ApiError::HostAway(why)) => {
                tracing::debug!(host = %host.id, why, "answered from what is stored");
            }
            Err(error) => return Err(error),
        }
    }
    let id = host.id;
    let wanted = section.clone();
    let stored = plane
        .db
        .read(move |conn| stored(conn, id, &wanted, Place::Last))
        .await?;
    let Some((state, json)) = stored else {
        let words = format!("{} has sent no section {section}", host.name);
        return Err(ApiError::NotFound(words));
    };
    let mut answer = told(&state);
    answer["live"] = false.into();
    answer["section"] = value(&json)?;
    Ok(Json(about(&plane, &host, answer)))
}

/// What the stored sections of a host do not cover.
pub async fn coverage(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    let sections = plane
        .db
        .read(move |conn| -> Result<Vec<Value>, ApiError> {
            let mut sections = Vec::new();
            for state in wanted(conn, id, which.section.as_ref())? {
                let json = table::json(conn, &state)?;
                let document = parse(&state.section, &json)?;
                let mut one = told(&state);
                one["not_read"] = json!({
                    "total": document.not_read.total,
                    "listed": document.not_read.listed,
                });
                sections.push(one);
            }
            Ok(sections)
        })
        .await?;
    none_stored(&host, &sections)?;
    Ok(Json(about(&plane, &host, json!({ "sections": sections }))))
}

/// What changed last in each stored section of a host.
pub async fn differences(
    State(plane): State<Arc<Plane>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let host = find(&plane, name).await?;
    let id = host.id;
    let sections = plane
        .db
        .read(move |conn| -> Result<Vec<Value>, ApiError> {
            let states = wanted(conn, id, which.section.as_ref())?;
            states
                .into_iter()
                .map(|state| change(conn, id, &state))
                .collect()
        })
        .await?;
    none_stored(&host, &sections)?;
    Ok(Json(about(&plane, &host, json!({ "sections": sections }))))
}

/// What changed when the last state of a section arrived; null where there was none before it.
fn change(conn: &Connection, host: HostId, state: &table::State) -> Result<Value, ApiError> {
    let mut one = told(state);
    let before = stored(conn, host, &state.section, Place::Before)?;
    one["was"] = before.as_ref().map_or(Value::Null, |(was, _)| {
        json!({
            "digest": was.digest,
            "received_at": was.received_at,
            "replaced_at": was.replaced_at,
        })
    });
    one["difference"] = match &before {
        None => Value::Null,
        Some((_, earlier)) => {
            let later = table::json(conn, state)?;
            let earlier = parse(&state.section, earlier)?;
            let later = parse(&state.section, &later)?;
            json!(Difference::between(&earlier, &later))
        }
    };
    Ok(one)
}

/// The accounts of a host as its survey told them last, with their ways in counted, as
/// [`Question::Inventory`] is answered; `None` where it sent none. What is open at a moment only,
/// sessions and processes, is not counted.
pub fn stored_inventory(
    conn: &Connection,
    host: HostId,
) -> Result<Option<(Value, UnixMillis)>, ApiError> {
    let states = table::states(conn, host, Place::Last)?;
    let is_accounts = |state: &&table::State| state.section.as_str() == "accounts";
    let Some(accounts) = states.iter().find(is_accounts) else {
        return Ok(None);
    };
    let mut counts: HashMap<String, BTreeMap<&str, u64>> = HashMap::new();
    for state in states.iter().filter(|state| !is_accounts(state)) {
        let json = table::json(conn, state)?;
        let document = parse(&state.section, &json)?;
        for row in &document.rows {
            #[derive(Deserialize)]
            struct Path<'a> {
                account: Option<std::borrow::Cow<'a, str>>,
                mechanism: Option<&'a str>,
                state: Option<&'a str>,
            }
            // Rows of other kinds have none of these.
            let Ok(Path {
                account: Some(account),
                mechanism: Some(mechanism),
                state: Some(state),
            }) = serde_json::from_str(row.get())
            else {
                continue;
            };
            let of_account = counts.entry(account.into_owned()).or_default();
            if mechanism == "ssh_public_key" {
                *of_account.entry("keys").or_default() += 1;
            }
            match state {
                "open" => *of_account.entry("open").or_default() += 1,
                "unknown" => *of_account.entry("unknown").or_default() += 1,
                _ => {}
            }
        }
    }
    let json = table::json(conn, accounts)?;
    let document = parse(&accounts.section, &json)?;
    let rows: Result<Vec<Value>, serde_json::Error> = document
        .rows
        .iter()
        .map(|row| {
            let mut row: Value = serde_json::from_str(row.get())?;
            let name = row["account"].as_str().unwrap_or_default();
            let of_account = counts.get(name);
            for key in ["keys", "open", "unknown"] {
                let count = of_account.and_then(|counts| counts.get(key));
                row[key] = count.copied().unwrap_or(0).into();
            }
            Ok(row)
        })
        .collect();
    let rows = rows.map_err(|_| damaged())?;
    Ok(Some((rows.into(), accounts.received_at)))
}

/// What every answer about a host's survey says.
fn about(plane: &Plane, host: &hosts::Host, mut answer: Value) -> Value {
    let slot = plane.presence.of(host.id);
    let heard = slot.as_ref().map(|slot| slot.heard());
    answer["host"] = json!(host.id);
    answer["name"] = json!(host.name);
    answer["at"] = json!(clock::now());
    answer["connected"] = slot.is_some().into();
    answer["heard_at"] = json!(heard.max(host.last_seen));
    answer
}

/// A stored state, and how old it is.
fn told(state: &table::State) -> Value {
    let mut told = json!(state);
    told["age_s"] = age_s(state.received_at).into();
    told
}

/// Seconds since something arrived.
pub fn age_s(received_at: UnixMillis) -> u64 {
    clock::now().0.saturating_sub(received_at.0) / 1000
}

fn wanted(
    conn: &Connection,
    host: HostId,
    section: Option<&SectionName>,
) -> Result<Vec<table::State>, DbError> {
    match section {
        Some(section) => {
            let found = table::find(conn, host, section, Place::Last)?;
            Ok(found.into_iter().collect())
        }
        None => table::states(conn, host, Place::Last),
    }
}

fn stored(
    conn: &Connection,
    host: HostId,
    section: &SectionName,
    place: Place,
) -> Result<Option<(table::State, Vec<u8>)>, DbError> {
    let Some(state) = table::find(conn, host, section, place)? else {
        return Ok(None);
    };
    let json = table::json(conn, &state)?;
    Ok(Some((state, json)))
}

fn none_stored(host: &hosts::Host, sections: &[Value]) -> Result<(), ApiError> {
    match sections.is_empty() {
        true => Err(ApiError::NotFound(format!(
            "{} has sent no such section of its survey yet",
            host.name
        ))),
        false => Ok(()),
    }
}

/// It was checked when it arrived.
fn parse<'a>(section: &SectionName, json: &'a [u8]) -> Result<Document<'a>, ApiError> {
    Document::parse(section, json).map_err(|_: BadSection| damaged())
}

fn value(json: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(json)
        .map_err(|error| ApiError::HostFailed(format!("its answer is not JSON: {error}")))
}

fn damaged() -> ApiError {
    ApiError::Db(DbError::Damaged {
        what: "a section of a host",
    })
}
