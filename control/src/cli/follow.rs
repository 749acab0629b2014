//! Following orders: each state as it happens, and how it ended as an exit code.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use super::words::{event_line, summary};
use super::{Failure, duration, print};

/// Orders followed at once.
const FOLLOWED_AT_ONCE: usize = 32;

/// Whether and how long to follow.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// Show each state as it happens, until the order has ended
    #[arg(long)]
    pub follow: bool,
    /// How long to follow
    #[arg(long, value_parser = duration, default_value = "60s")]
    timeout: Duration,
    /// How long to wait, after the outcome, for the host's own tools
    #[arg(long, value_parser = duration, default_value = "5s", value_name = "TIME")]
    confirm_timeout: Duration,
}

impl FollowArgs {
    /// Whether to follow.
    pub const fn wanted(&self) -> bool {
        self.follow
    }
}

/// How following an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Verified,
    Otherwise,
    NoAnswer,
}

/// Follows orders to their ends and shows what happens as it happens.
pub(super) async fn follow_all(
    client: &Client,
    json: bool,
    orders: &[Value],
    follow: &FollowArgs,
) -> Result<(), Failure> {
    let until = Instant::now() + follow.timeout;
    let mut ends = Vec::with_capacity(orders.len());
    for group in orders.chunks(FOLLOWED_AT_ONCE) {
        let following = group.iter().map(|order| {
            follow_one(
                client,
                json,
                order,
                follow,
                until,
                told_apart(order, orders),
            )
        });
        ends.extend(join_all(following).await);
    }
    let ends = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
    if ends.contains(&Ended::Otherwise) {
        return Err(Failure::NotVerified);
    }
    match ends.iter().filter(|end| **end == Ended::NoAnswer).count() {
        0 => Ok(()),
        count => Err(Failure::NoAnswer(format!(
            "{count} of {} orders had no outcome within {} s; they stay on their way",
            orders.len(),
            follow.timeout.as_secs()
        ))),
    }
}

/// What its lines begin with, so that they can be told from those of the others.
fn told_apart(order: &Value, orders: &[Value]) -> String {
    let name = order["host_name"].as_str().unwrap_or("?");
    let of_host = orders.iter().filter(|other| other["host"] == order["host"]);
    match (
        orders.len(),
        of_host.count(),
        order["action"]["kind"].as_str(),
    ) {
        (0 | 1, _, _) => String::new(),
        (_, 2.., Some(kind)) => format!("{name}, {}: ", kind.replace('_', "-")),
        _ => format!("{name}: "),
    }
}

async fn follow_one(
    client: &Client,
    json: bool,
    order: &Value,
    follow: &FollowArgs,
    until: Instant,
    prefix: String,
) -> Result<Ended, Failure> {
    let id = order["id"].as_str().unwrap_or_default();
    let path = format!(
        "/v1/orders/{id}/follow?confirm_ms={}",
        follow.confirm_timeout.as_millis()
    );
    let mut lines = client.lines(&path).await?;
    if !json {
        say_if_away(client, order).await;
    }
    let mut ended = Ended::NoAnswer;
    let mut outcome = Value::Null;
    loop {
        let line = match timeout_at(until, lines.next()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        };
        let event: Value = serde_json::from_str(&line).map_err(|error| {
            Failure::Failed(format!("the server's answer cannot be read: {error}"))
        })?;
        if json {
            print(&format!("{line}\n"))?;
        } else {
            print(&event_line(&event, &prefix))?;
        }
        match event["state"].as_str().unwrap_or_default() {
            "verified" | "already" => ended = Ended::Verified,
            "partial" | "refused" | "impossible" | "unverified" | "not_accepted" | "expired"
            | "superseded" => {
                ended = Ended::Otherwise;
            }
            "confirmed"
                if event["detail"]["answers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|a| a["agrees"] == false) =>
            {
                ended = Ended::Otherwise;
            }
            _ => (),
        }
        if event["detail"]["result"].is_object() {
            outcome = event["detail"]["result"].clone();
        }
    }
    let rest = summary(&outcome);
    if !json && !rest.is_empty() {
        print(&format!("{prefix}{rest}"))?;
    }
    Ok(ended)
}

/// Says why nothing will happen for a while, when the host is not there.
async fn say_if_away(client: &Client, order: &Value) {
    let Some(id) = order["host"].as_str() else {
        return;
    };
    // Only a hint: following goes on without it.
    let host: Result<Value, Failure> = client.get(&format!("/v1/hosts/{id}")).await;
    if let Ok(host) = host
        && host["connected"] == false
    {
        let name = host["name"].as_str().unwrap_or(id);
        eprintln!("{name} is not connected; the order is delivered when it comes back");
    }
}

/// Waits for all, polling each; their number is bounded by the caller.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_several_orders_are_told_apart() {
        let order = |host: &str, kind: &str| json!({ "host": host, "host_name": format!("{host}.test"), "action": { "kind": kind } });
        let [one, two, other] = [
            order("a", "revoke_key"),
            order("a", "end_key_sessions"),
            order("b", "revoke_key"),
        ];
        let all = [one.clone(), two.clone(), other.clone()];
        assert_eq!(told_apart(&one, std::slice::from_ref(&one)), "");
        assert_eq!(told_apart(&one, &all), "a.test, revoke-key: ");
        assert_eq!(told_apart(&two, &all), "a.test, end-key-sessions: ");
        assert_eq!(told_apart(&other, &all), "b.test: ");
    }
}
