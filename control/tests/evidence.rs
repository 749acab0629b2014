//! Evidence: only what the host signed, in its place, once; and what is noticed otherwise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use rescind_protocol::cbor;
use rescind_protocol::evidence::{Event, RecordBody, SealedRecord};
use rescind_protocol::message::{Evidence, Message, StandingList};
use rescind_protocol::name::{Digest, OrderId, UnixMillis};
use rescind_protocol::outcome::Verdict;
use rescind_protocol::sign::SigningKey;
use serde_json::json;
use support::agent::{FakeAgent, head_of};
use support::plane::TestPlane;

async fn one_host(plane: &TestPlane, name: &str) -> FakeAgent {
    let token = plane.operator().token(json!({})).await;
    FakeAgent::enrol(plane.agents(), &token, name)
        .await
        .unwrap()
}

fn gap(what: &str) -> Event {
    Event::Gap { what: what.into() }
}

fn sealed(agent: &FakeAgent, index: u64, prev: Digest, key: &SigningKey) -> SealedRecord {
    let _ = agent;
    let event = cbor::to_vec(&gap("forged"));
    let body = RecordBody {
        index,
        prev,
        at: UnixMillis(0),
        boot_us: 0,
        private: None,
        event,
    };
    SealedRecord::seal(&body, key)
}

#[tokio::test]
async fn forged_missing_and_changed_records_are_refused_and_recorded() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    agent.connect(plane.agents()).await;
    let head = agent.head();
    let (thief, _) = SigningKey::generate();
    let by_thief = sealed(&agent, head.next, head.prev, &thief);
    let skipping = sealed(&agent, head.next + 3, head.prev, &agent.key);
    let mut bent = sealed(&agent, head.next, head.prev, &agent.key);
    *bent.body.last_mut().unwrap() ^= 1;
    for (record, part) in [
        (by_thief, "signature"),
        (skipping, "expected record"),
        (bent, "signature"),
    ] {
        let mut connection = agent.connect(plane.agents()).await;
        connection
            .send(Evidence {
                records: vec![record],
            })
            .await;
        let why = connection.refused().await;
        assert!(why.contains(part), "{why}");
        let exception = operator.until_exception("evidence-refused").await;
        assert!(
            exception["detail"].as_str().unwrap().contains(part),
            "{exception}"
        );
    }
    let host = &operator.get("/v1/hosts").await[0];
    assert_eq!(host["chain"]["next"], head.next, "nothing of it was kept");
    // The true chain goes on.
    let from = agent.chain.len();
    agent.record(&gap("true"));
    let mut connection = agent.connect(plane.agents()).await;
    assert_eq!(agent.chain.len(), from + 1);
    // What is held already is not taken twice.
    let all = agent.chain.clone();
    connection.send(Evidence { records: all }).await;
    assert!(
        matches!(connection.next().await, Some(Message::EvidenceAck(ack)) if ack.next == from as u64 + 1)
    );
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"][0]["records"], from + 1);
}

#[tokio::test]
async fn a_host_cannot_speak_of_another_hosts_orders() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut victim = one_host(&plane, "web1").await;
    let mut liar = one_host(&plane, "web2").await;
    let mut connection = victim.connect(plane.agents()).await;
    let id = operator.disable("web1", "alice").await;
    let order: OrderId = id.parse().unwrap();
    connection.order().await;

    let mut lying = liar.connect(plane.agents()).await;
    let from = liar.chain.len();
    liar.carry_out(order, Verdict::Verified);
    liar.send_evidence(&mut lying, from).await;
    operator.until_exception("unknown-order").await;
    assert_eq!(
        operator.until_state(&id, "delivered").await["outcome"],
        json!(null)
    );

    // Nor does a forged order that a host refused end the true one.
    let from = victim.chain.len();
    victim.record(&Event::OrderNotAccepted {
        order: Some(order),
        digest: Digest::of(b"other bytes"),
        why: rescind_protocol::evidence::NotAccepted::Signature,
        detail: "forged".into(),
        via: rescind_protocol::evidence::Channel::Link,
        seq: None,
    });
    victim.send_evidence(&mut connection, from).await;
    assert_eq!(operator.order(&id).await["state"], "delivered");
    operator.until_exception("not-accepted").await;
}

#[tokio::test]
async fn a_lost_store_is_noticed_and_what_stood_is_given_again() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    let mut connection = agent.connect(plane.agents()).await;
    let first = operator.disable("web1", "alice").await;
    agent.serve_one(&mut connection, Verdict::Verified).await;
    let second = operator
        .give("web1", json!({ "kind": "end_sessions", "account": "bob" }))
        .await;
    agent.serve_one(&mut connection, Verdict::Verified).await;
    drop(connection);
    // The host has left before it comes back.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;

    agent.chain.clear();
    agent.received.clear();
    agent.standing.clear();
    agent.order_cursor = 0;
    agent.record(&gap("a new store"));
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    assert_eq!(
        connection.welcome().await.chain.next,
        0,
        "everything from the beginning"
    );
    let signed = connection.order().await;
    let (order, ack) = agent.accept(&signed);
    connection.send(ack).await;
    assert_eq!(order.seq, 3, "a new sequence number");
    agent.carry_out(order.id, Verdict::Already);
    agent.send_evidence(&mut connection, 0).await;
    // Its hello spoke of less than it holds now: it is asked, and all is well.
    assert!(matches!(
        connection.next().await,
        Some(Message::StandingQuery(_))
    ));
    connection
        .send(StandingList {
            orders: agent.standing.clone(),
        })
        .await;
    let quiet = connection
        .is_quiet(std::time::Duration::from_millis(300))
        .await;
    assert!(quiet, "what was done is not done again");
    assert_eq!(operator.order(&first).await["state"], "superseded");
    assert_eq!(operator.order(&second).await["state"], "confirmed");
    assert_eq!(
        operator.order(&order.id.to_string()).await["in_force"],
        true
    );
    let kinds = operator.exceptions().await;
    assert!(
        kinds.contains(&"store-lost".into()) && !kinds.contains(&"clone".into()),
        "{kinds:?}"
    );
    // Both chains are kept, and both verify.
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_was_set_back_goes_on_from_there() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    for _ in 0..5 {
        agent.record(&gap("before"));
    }
    agent.connect(plane.agents()).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    agent.chain.truncate(4);
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    assert_eq!(connection.welcome().await.chain, head_of(&agent.chain));
    agent.record(&gap("after"));
    agent.send_evidence(&mut connection, 4).await;
    operator.until_exception("store-lost").await;
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"][1]["start"]["next"], 4);
    assert_eq!(verified["chains"][1]["records"], 5);
}

#[tokio::test]
async fn records_that_a_host_has_lost_are_given_up_by_an_operator_only() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    agent.connect(plane.agents()).await;
    agent.record(&gap("lost"));
    agent.record(&gap("kept"));
    for _ in 0..2 {
        let mut connection = agent.dial(plane.agents()).await.unwrap();
        connection.send(agent.hello()).await;
        connection.welcome().await;
        connection
            .send(Evidence {
                records: agent.chain[3..].to_vec(),
            })
            .await;
        assert!(
            connection
                .refused()
                .await
                .contains("expected record 2, found 3")
        );
    }
    let exception = operator.until_exception("evidence-refused").await;
    assert!(
        exception["detail"].as_str().unwrap().contains("accept-gap"),
        "{exception}"
    );
    operator
        .post("/v1/hosts/web1/evidence/accept-gap", json!(null))
        .await;
    let mut connection = agent.connect(plane.agents()).await;
    agent.record(&gap("new"));
    agent.send_evidence(&mut connection, 4).await;
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"][1]["start"]["next"], 4);
}

#[tokio::test]
async fn a_hello_that_lies_every_time_cannot_make_orders_without_end() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    let mut connection = agent.connect(plane.agents()).await;
    operator.disable("web1", "alice").await;
    agent.serve_one(&mut connection, Verdict::Verified).await;
    drop(connection);
    for _ in 0..24 {
        // The link takes the store away from the hello, and brings it back.
        let mut hello = agent.hello();
        hello.chain = head_of(&[]);
        let mut connection = agent.dial(plane.agents()).await.unwrap();
        connection.send(hello).await;
        connection.welcome().await;
        connection
            .send(Evidence {
                records: agent.chain.clone(),
            })
            .await;
        connection.next().await;
    }
    let orders = operator.get("/v1/orders").await.as_array().unwrap().len();
    assert!(orders < 20, "{orders} orders");
    assert!(operator.exceptions().await.contains(&"store-lost".into()));
}

#[tokio::test]
async fn two_machines_with_one_identity_are_noticed() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    let mut first = agent.connect(plane.agents()).await;
    // Its twin: the same keys and chain, another boot.
    agent.boot_id = "boot-twin".into();
    let mut second = agent.connect(plane.agents()).await;
    assert!(first.refused().await.contains("connected again"));
    drop(first);
    let exception = operator.until_exception("clone").await;
    let detail = exception["detail"].as_str().unwrap();
    assert!(
        detail.contains("boot-web1") && detail.contains("boot-twin"),
        "{detail}"
    );
    // The newest gets the orders.
    operator.disable("web1", "alice").await;
    second.order().await;
}

#[tokio::test]
async fn the_same_host_that_comes_back_is_no_clone() {
    let plane = TestPlane::start().await;
    let mut agent = one_host(&plane, "web1").await;
    for _ in 0..3 {
        let first = agent.connect(plane.agents()).await;
        let second = agent.connect(plane.agents()).await;
        drop(first);
        drop(second);
    }
    agent.boot_id = "after-a-reboot".into();
    agent.connect(plane.agents()).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(plane.operator().exceptions().await.is_empty());
}

#[tokio::test]
async fn a_fork_is_noticed_and_kept_as_another_chain() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let mut agent = one_host(&plane, "web1").await;
    agent.record(&gap("one"));
    agent.connect(plane.agents()).await;
    // As long, and different.
    agent.chain.pop();
    agent.record(&gap("other"));
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    assert_eq!(connection.welcome().await.chain.next, 0);
    agent.send_evidence(&mut connection, 0).await;
    operator.until_exception("clone").await;
    drop(connection);
    // Longer, and different: shows with the first record.
    agent.chain.pop();
    agent.record(&gap("third"));
    agent.record(&gap("fourth"));
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    let next = connection.welcome().await.chain.next as usize;
    connection
        .send(Evidence {
            records: agent.chain[next..].to_vec(),
        })
        .await;
    assert!(connection.refused().await.contains("does not continue"));
    let mut connection = agent.connect(plane.agents()).await;
    assert!(
        connection
            .is_quiet(std::time::Duration::from_millis(100))
            .await
    );
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"].as_array().unwrap().len(), 3);
    assert_eq!(
        verified["chains"][2]["head"],
        head_of(&agent.chain).prev.to_string()
    );
}
