//! Many agents at one server: what an idle one costs, how fast an order is pushed, and that a
//! fan-out reaches all of them. The figures are printed; the limits here are loose, because the
//! machine that runs the tests is busy with other things.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use rescind_protocol::outcome::Verdict;
use serde_json::json;
use support::agent::{Connection, FakeAgent};
use support::process::ServerProcess;

const AGENTS: usize = 1000;
const ORDERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_agents_and_an_order_for_each() {
    support::process::raise_open_files();
    let server = ServerProcess::start(
        "accept_per_s = 100000\nenrol_per_s = 100000\nheartbeat_s = 600\nidle_timeout_s = 3600\n",
    )
    .await;
    let operator = server.operator();
    let token = operator.token(json!({ "uses": AGENTS })).await;
    let mut agents = Vec::new();
    for i in 0..AGENTS {
        agents.push(
            FakeAgent::enrol(server.agents, &token, &format!("h{i}"))
                .await
                .unwrap(),
        );
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.rss_kib();
    let mut connected: Vec<(FakeAgent, Connection)> = Vec::new();
    let begin = Instant::now();
    for mut agent in agents {
        let connection = agent.connect(server.agents).await;
        connected.push((agent, connection));
    }
    let connecting = begin.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let per_agent = (server.rss_kib() - before) as f64 * 1024.0 / AGENTS as f64;

    // One order for each, all at once.
    let begin = Instant::now();
    let give = json!({
        "action": { "kind": "end_sessions", "account": "alice" },
        "all_hosts": true, "ticket": "T", "reason": "r",
    });
    let given = tokio::spawn({
        let operator = operator.clone();
        async move {
            operator.post("/v1/orders", give).await["orders"]
                .as_array()
                .unwrap()
                .len()
        }
    });
    for (agent, connection) in &mut connected {
        let signed = connection.order().await;
        let from = agent.chain.len();
        let (_, ack) = agent.accept(&signed);
        connection.send(ack).await;
        agent.send_evidence(connection, from).await;
    }
    let fan_out = begin.elapsed();
    assert_eq!(given.await.unwrap(), AGENTS);

    // One at a time: from before the request until the frame is here.
    let (agent, connection) = &mut connected[AGENTS / 2];
    let (mut pushes, mut last) = (Vec::new(), String::new());
    for _ in 0..ORDERS {
        let body = json!({
            "action": { "kind": "end_sessions", "account": "alice" },
            "hosts": [agent.identity.host], "ticket": "T", "reason": "r",
        });
        let begin = Instant::now();
        let asked = tokio::spawn({
            let operator = operator.clone();
            async move { operator.post("/v1/orders", body).await }
        });
        let signed = connection.order().await;
        pushes.push(begin.elapsed());
        asked.await.unwrap();
        let from = agent.chain.len();
        let (order, ack) = agent.accept(&signed);
        last = order.id.to_string();
        connection.send(ack).await;
        agent.carry_out(order.id, Verdict::Verified);
        agent.send_evidence(connection, from).await;
    }
    let timeline = operator.order(&last).await["timeline"].clone();
    let at = |state: &str| {
        let found = timeline
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["state"] == state);
        found.map(|event| event["ms"].clone())
    };
    pushes.sort();
    let (median, p99) = (pushes[ORDERS / 2], pushes[ORDERS * 99 / 100]);
    println!(
        "{}",
        json!({
            "agents": AGENTS,
            "bytes_per_idle_agent": per_agent.round(),
            "rss_kib_before": before,
            "last_order_ms": { "delivered": at("delivered"), "verified": at("verified") },
            "connect_ms_per_agent": connecting.as_secs_f64() * 1000.0 / AGENTS as f64,
            "fan_out_to_all_ms": fan_out.as_secs_f64() * 1000.0,
            "push_ms_median": median.as_secs_f64() * 1000.0,
            "push_ms_p99": p99.as_secs_f64() * 1000.0,
        })
    );
    assert!(per_agent < 40_000.0, "{per_agent} bytes per idle agent");
    assert!(median < Duration::from_millis(100), "{median:?}");
}
