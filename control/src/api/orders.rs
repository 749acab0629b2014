//! Giving orders and looking at them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rescind_protocol::name::OrderId;
use rescind_protocol::order::{Action, Authority};
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::listener::Caller;
use crate::db::orders::{self as table, Filter, OrderRow};
use crate::db::timeline::{self, TimelineEvent};
use crate::db::{DbError, delivery, hosts};
use crate::plane::Plane;

/// Orders listed at most.
const LIST_MAX: u32 = 10_000;

/// `POST /v1/orders`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Give {
    /// What is to be done.
    pub action: Action,
    /// To which hosts, by name or id. Not needed for a release.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// To all hosts.
    #[serde(default)]
    pub all_hosts: bool,
    /// The ticket or case number.
    pub ticket: String,
    /// Why.
    pub reason: String,
    /// On whose behalf; the operator's own name when absent.
    #[serde(default)]
    pub asked_by: Option<String>,
    /// Who approved.
    #[serde(default)]
    pub approved_by: Vec<String>,
    /// The program that asks; `api` when absent.
    #[serde(default)]
    pub source: Option<String>,
}

/// The answer: the orders, one per host.
#[derive(Debug, Serialize)]
pub struct Given {
    /// The order's id, when there is exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The orders.
    pub orders: Vec<OrderRow>,
}

/// Gives orders. The answer is durable; delivery has begun.
pub async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    Json(give): Json<Give>,
) -> Result<Json<Given>, ApiError> {
    let operator = caller.operator;
    let authority = Authority {
        asked_by: give.asked_by.unwrap_or_else(|| operator.name.clone()),
        approved_by: give.approved_by,
        ticket: give.ticket,
        reason: give.reason,
        // Who really gave it is signed in, on whosever behalf it was.
        source: format!(
            "{}, operator {} ({})",
            give.source.as_deref().unwrap_or("api"),
            operator.name,
            operator.via
        ),
    };
    let (names, all, action) = (give.hosts, give.all_hosts, give.action.clone());
    let hosts = plane
        .db
        .read(move |conn| {
            if let Action::Release { order } = action
                && names.is_empty()
            {
                let row = table::by_id(conn, order)?
                    .ok_or_else(|| ApiError::NotFound(format!("no order {order}")))?;
                return Ok(vec![row.host]);
            }
            if all {
                return Ok(hosts::all(conn)?.into_iter().map(|host| host.id).collect());
            }
            names
                .iter()
                .map(|name| match hosts::find(conn, name)? {
                    Some(host) => Ok(host.id),
                    None => Err(ApiError::NotFound(format!("no host {name} is enrolled"))),
                })
                .collect()
        })
        .await?;
    if hosts.is_empty() {
        return Err(ApiError::Bad(
            "no host is named: say which, or all hosts".into(),
        ));
    }
    let ids = plane.give(hosts, give.action, authority, operator).await?;
    let orders = plane
        .db
        .read(move |conn| {
            let rows = ids.iter().map(|id| table::by_id(conn, *id));
            rows.filter_map(Result::transpose)
                .collect::<Result<Vec<_>, DbError>>()
        })
        .await?;
    let order = match orders.as_slice() {
        [one] => Some(one.id),
        _ => None,
    };
    Ok(Json(Given { order, orders }))
}

/// `GET /v1/orders`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    host: Option<String>,
    state: Option<String>,
    #[serde(default)]
    in_force: bool,
    limit: Option<u32>,
}

/// Orders, the latest first.
pub async fn list(
    State(plane): State<Arc<Plane>>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<OrderRow>>, ApiError> {
    let state = match &search.state {
        None => None,
        Some(text) => Some(
            table::State::from_text(text)
                .ok_or_else(|| ApiError::Bad(format!("no state is called {text:?}")))?,
        ),
    };
    let rows = plane.db.read(move |conn| {
        let host = match &search.host {
            None => None,
            Some(name) => match hosts::find(conn, name)? {
                Some(host) => Some(host.id),
                None => return Err(ApiError::NotFound(format!("no host {name} is enrolled"))),
            },
        };
        let limit = search.limit.unwrap_or(100).min(LIST_MAX);
        Ok(table::list(
            conn,
            &Filter {
                host,
                state,
                in_force: search.in_force,
                limit,
            },
        )?)
    });
    Ok(Json(rows.await?))
}

/// An order with its timeline.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The order.
    #[serde(flatten)]
    pub order: OrderRow,
    /// What happened to it.
    pub timeline: Vec<TimelineEvent>,
}

/// One order.
pub async fn show(
    State(plane): State<Arc<Plane>>,
    Path(id): Path<OrderId>,
) -> Result<Json<Shown>, ApiError> {
    let shown = plane.db.read(move |conn| {
        let order =
            table::by_id(conn, id)?.ok_or_else(|| ApiError::NotFound(format!("no order {id}")))?;
        Ok::<_, ApiError>(Shown {
            order,
            timeline: timeline::timeline(conn, id, 0)?,
        })
    });
    Ok(Json(shown.await?))
}

/// The signed order, exactly as it is sent: for hosts without a network (`rescind-agent apply`).
pub async fn export(
    State(plane): State<Arc<Plane>>,
    Path(id): Path<OrderId>,
) -> Result<Response, ApiError> {
    let signed = plane
        .db
        .read(move |conn| delivery::signed_bytes(conn, id))
        .await?
        .ok_or_else(|| ApiError::NotFound(format!("no order {id}")))?;
    let headers = [
        (
            CONTENT_TYPE,
            "application/vnd.rescind.order+cbor".to_owned(),
        ),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.order\""),
        ),
    ];
    Ok((headers, signed).into_response())
}
