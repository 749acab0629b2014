//! Orders, from the operator's word to the host's evidence, over real TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use rescind_protocol::evidence::NotAccepted;
use rescind_protocol::message::{Disposition, Message, OrderAck, StandingList};
use rescind_protocol::name::Digest;
use rescind_protocol::order::{Action, SignedOrder};
use rescind_protocol::outcome::Verdict;
use serde_json::json;
use support::agent::FakeAgent;
use support::plane::TestPlane;

async fn one_host(plane: &TestPlane) -> FakeAgent {
    let token = plane.operator().token(json!({})).await;
    FakeAgent::enrol(plane.agents(), &token, "web1")
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_is_pushed_carried_out_and_followed() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane).await;
    let mut connection = agent.connect(plane.agents()).await;

    let id = operator.disable("web1", "alice").await;
    let following = tokio::spawn({
        let (operator, id) = (operator.clone(), id.clone());
        async move { operator.follow(&id).await }
    });
    let order = agent.serve_one(&mut connection, Verdict::Verified).await;
    assert_eq!(order.id.to_string(), id);
    assert_eq!(order.seq, 1);
    assert!(
        matches!(&order.action, Action::DisableAccount { account } if account.as_str() == "alice")
    );
    let authority = &order.authority;
    assert_eq!(
        (authority.ticket.as_str(), authority.reason.as_str()),
        ("OFF-1", "left")
    );
    assert!(
        authority.source.contains("local socket, uid"),
        "{}",
        authority.source
    );

    let events = following.await.unwrap();
    let states: Vec<&str> = events
        .iter()
        .map(|event| event["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "signed",
            "delivered",
            "accepted",
            "planned",
            "applied",
            "applied",
            "verified",
            "confirmed"
        ]
    );
    assert_eq!(events[0]["ms"], 0.0);
    assert_eq!(events[4]["detail"]["kind"], "lock_password");
    assert_eq!(events[4]["detail"]["target"], "/etc/shadow");
    assert!(events[6]["host_at"].is_u64() && events[6]["boot_us"].is_u64());
    let ms: Vec<f64> = events
        .iter()
        .map(|event| event["ms"].as_f64().unwrap())
        .collect();
    assert!(ms.windows(2).all(|pair| pair[0] <= pair[1]), "{ms:?}");

    let shown = operator.order(&id).await;
    assert_eq!(shown["state"], "confirmed");
    assert_eq!(shown["in_force"], true);
    assert_eq!(shown["outcome"], "verified");
    let host = &operator.get("/v1/hosts").await[0];
    assert_eq!(host["connected"], true);
    assert_eq!(
        (host["standing"].as_u64(), host["pending"].as_u64()),
        (Some(1), Some(0))
    );
    assert_eq!(host["chain"]["next"], agent.chain.len());
    assert!(operator.exceptions().await.is_empty());
}

#[tokio::test]
async fn orders_for_a_host_that_is_away_come_in_sequence_when_it_is_back() {
    let mut plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane).await;
    let first = operator.disable("web1", "alice").await;
    let second = operator.disable("web1", "bob").await;
    // The server ends and starts again with what it has on disk.
    plane.stop().await;
    plane.start_again().await;
    let third = operator
        .give("web1", json!({ "kind": "end_sessions", "account": "eve" }))
        .await;

    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    for id in [&first, &second, &third] {
        let signed = connection.order().await;
        let (order, ack) = agent.accept(&signed);
        assert_eq!(order.id.to_string(), *id);
        assert_eq!(ack.disposition, Disposition::Accepted);
        connection.send(ack).await;
    }
    let from = 0;
    agent.send_evidence(&mut connection, from).await;
    operator.until_state(&third, "accepted").await;
    drop(connection);

    // It is back once more: nothing is sent again, its cursor says that it has them.
    let mut connection = agent.connect(plane.agents()).await;
    assert!(connection.is_quiet(Duration::from_millis(300)).await);
    // What has no outcome yet comes as the host goes on.
    let from = agent.chain.len();
    for order in agent.received.clone() {
        agent.carry_out(order.id, Verdict::Already);
    }
    agent.send_evidence(&mut connection, from).await;
    operator.until_state(&first, "confirmed").await;
}

#[tokio::test]
async fn an_order_that_was_sent_and_not_acknowledged_is_sent_again() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane).await;
    let mut connection = agent.connect(plane.agents()).await;
    let id = operator.disable("web1", "alice").await;
    let lost = connection.order().await;
    drop(connection);
    operator.until_state(&id, "delivered").await;

    let mut connection = agent.connect(plane.agents()).await;
    assert_eq!(connection.order().await, lost, "the same bytes");
    let (_, ack) = agent.accept(&lost);
    connection.send(ack).await;
    // A host that had it all along answers so, and then it is not sent a third time.
    drop(connection);
    agent.chain.truncate(2);
    agent.order_cursor = 0;
    agent.standing.clear();
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    let signed = connection.order().await;
    let (_, ack) = agent.accept(&signed);
    assert_eq!(ack.disposition, Disposition::Duplicate);
    connection
        .send(OrderAck {
            order_cursor: 0,
            ..ack
        })
        .await;
    drop(connection);
    tokio::time::sleep(Duration::from_millis(200)).await;
    agent.order_cursor = 1;
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    assert!(connection.is_quiet(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn a_standing_order_that_the_host_lacks_is_sent_again_as_it_was_signed() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane).await;
    let mut connection = agent.connect(plane.agents()).await;
    operator.disable("web1", "alice").await;
    let signed = connection.order().await;
    let (order, ack) = agent.accept(&signed);
    connection.send(ack).await;
    let from = agent.chain.len() - 1;
    agent.carry_out(order.id, Verdict::Verified);
    agent.send_evidence(&mut connection, from).await;
    drop(connection);

    // Its index says that nothing stands.
    agent.standing.clear();
    let mut connection = agent.connect(plane.agents()).await;
    assert!(matches!(
        connection.next().await,
        Some(Message::StandingQuery(_))
    ));
    connection.send(StandingList { orders: vec![] }).await;
    assert_eq!(connection.order().await, signed);
    // It does not know the order, and it is too late for it: then it is given again.
    connection
        .send(OrderAck {
            order: Some(order.id),
            digest: Digest::of(&signed),
            disposition: Disposition::NotAccepted(NotAccepted::Expired),
            order_cursor: 1,
        })
        .await;
    let again = SignedOrder::from_bytes(&connection.order().await).unwrap();
    assert_ne!(again.order().id, order.id);
    assert_eq!(again.order().seq, 2);
    assert_eq!(again.order().action, order.action);
    assert_eq!(again.order().authority, order.authority);
    operator.until_exception("reissued").await;
    let old = operator.order(&order.id.to_string()).await;
    assert_eq!(old["state"], "superseded");
    assert_eq!(old["superseded_by"], again.order().id.to_string());

    // A release in the old order's name goes to the new one.
    let action = json!({ "kind": "release", "order": order.id });
    operator.give("web1", action).await;
    let release = SignedOrder::from_bytes(&connection.order().await).unwrap();
    assert_eq!(
        release.order().action,
        Action::Release {
            order: again.order().id
        }
    );
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let _agent = one_host(&plane).await;
    let give = |action: serde_json::Value, host: &str, ticket: &str| json!({ "action": action, "hosts": [host], "ticket": ticket, "reason": "r" });
    let alice = json!({ "kind": "disable_account", "account": "alice" });
    for (body, status, part) in [
        (
            give(alice.clone(), "web1", " "),
            400,
            "the ticket is required",
        ),
        (give(alice.clone(), "web2", "T"), 404, "no host web2"),
        (
            give(
                json!({ "kind": "disable_account", "account": "a:b" }),
                "web1",
                "T",
            ),
            422,
            "",
        ),
        (
            give(json!({ "kind": "run", "command": "id" }), "web1", "T"),
            422,
            "",
        ),
        (
            give(
                json!({ "kind": "release", "order": "0193a1b2-0000-7000-8000-000000000000" }),
                "web1",
                "T",
            ),
            404,
            "no order",
        ),
        (
            json!({ "action": alice, "ticket": "T", "reason": "r" }),
            400,
            "no host is named",
        ),
    ] {
        let (got, answer) = operator
            .try_json(hyper::Method::POST, "/v1/orders", body.clone())
            .await;
        assert_eq!(got.as_u16(), status, "{body}: {answer}");
        assert!(
            answer["error"].as_str().unwrap_or_default().contains(part),
            "{body}: {answer}"
        );
    }
    assert!(
        operator
            .get("/v1/orders")
            .await
            .as_array()
            .unwrap()
            .is_empty()
    );
}
