//! Who may talk: tokens, certificates, enrolling again, frames from strangers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use rescind_protocol::enrol::JoinToken;
use rescind_protocol::message::{Message, Renew, StandingQuery};
use rescind_protocol::name::{Digest, HostId};
use rescind_protocol::outcome::Verdict;
use rescind_protocol::sign::SigningKey;
use serde_json::json;
use support::agent::{Connection, FakeAgent, pinning};
use support::plane::TestPlane;

#[tokio::test]
async fn a_token_lets_in_once_and_only_whom_it_is_for() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let server = plane.agents();
    let token = operator.token(json!({})).await;
    FakeAgent::enrol(server, &token, "web1").await.unwrap();
    let again = FakeAgent::enrol(server, &token, "web2")
        .await
        .err()
        .unwrap();
    assert!(again.contains("unknown, used or expired"), "{again}");

    let token = operator.token(json!({ "uses": 2 })).await;
    FakeAgent::enrol(server, &token, "web2").await.unwrap();
    let taken = FakeAgent::enrol(server, &token, "web2")
        .await
        .err()
        .unwrap();
    assert!(taken.contains("host web2 is enrolled"), "{taken}");
    FakeAgent::enrol(server, &token, "web3").await.unwrap();
    assert!(FakeAgent::enrol(server, &token, "web4").await.is_err());

    let token = operator.token(json!({ "host": "db1" })).await;
    let other = FakeAgent::enrol(server, &token, "web9")
        .await
        .err()
        .unwrap();
    assert!(other.contains("made for host db1"), "{other}");
    FakeAgent::enrol(server, &token, "db1").await.unwrap();

    // A guess tells nothing.
    let mut guess: JoinToken = token.parse().unwrap();
    guess.secret = rescind_protocol::enrol::TokenSecret::generate();
    let no = FakeAgent::enrol(server, &guess.to_text(), "x")
        .await
        .err()
        .unwrap();
    assert!(no.contains("unknown, used or expired"));
    let names: Vec<String> = operator
        .get("/v1/hosts")
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["db1", "web1", "web2", "web3"]);
}

#[tokio::test]
async fn a_server_with_another_ca_is_not_trusted_and_its_certificates_open_nothing() {
    let (ours, theirs) = (TestPlane::start().await, TestPlane::start().await);
    let token = ours.operator().token(json!({})).await;
    let error = FakeAgent::enrol(theirs.agents(), &token, "web1")
        .await
        .err()
        .unwrap();
    assert!(error.contains("UnknownIssuer"), "{error}");

    let token = theirs.operator().token(json!({})).await;
    let stranger = FakeAgent::enrol(theirs.agents(), &token, "web1")
        .await
        .unwrap();
    let config = stranger.client_config();
    assert!(
        Connection::open(ours.agents(), config).await.is_err(),
        "our CA is not theirs"
    );
}

#[tokio::test]
async fn enrolling_again_needs_a_token_for_that_host_and_keeps_its_orders() {
    let plane = TestPlane::start().await;
    let operator = plane.operator();
    let server = plane.agents();
    let token = operator.token(json!({})).await;
    let mut agent = FakeAgent::enrol(server, &token, "web1").await.unwrap();
    let mut connection = agent.connect(server).await;
    let first = operator.disable("web1", "alice").await;
    agent.serve_one(&mut connection, Verdict::Verified).await;
    let id = agent.identity.host;

    let (key, _) = SigningKey::generate();
    let token = operator.token(json!({})).await;
    let no = FakeAgent::enrol_with(server, &token, "web1", key, Some(id))
        .await
        .err()
        .unwrap();
    assert!(no.contains("--host"), "{no}");

    // Reinstalled: new keys, an empty store.
    let token = operator.token(json!({ "host": "web1" })).await;
    let mut new = FakeAgent::enrol(server, &token, "web1").await.unwrap();
    assert_eq!(new.identity.host, id);
    // The old identity is cut off at once.
    while let Some(message) = connection.next().await {
        assert!(matches!(message, Message::Refused(_)), "{message:?}");
    }
    let mut old = agent.dial(server).await.unwrap();
    old.send(agent.hello()).await;
    assert!(old.refused().await.contains("enrol again"));

    // What stood stands: it is sent again, and the host takes it.
    let mut connection = new.dial(server).await.unwrap();
    connection.send(new.hello()).await;
    assert_eq!(connection.welcome().await.chain.next, 0);
    new.send_evidence(&mut connection, 0).await;
    assert!(matches!(
        connection.next().await,
        Some(Message::StandingQuery(StandingQuery {}))
    ));
    connection
        .send(rescind_protocol::message::StandingList { orders: vec![] })
        .await;
    let order = new.serve_one(&mut connection, Verdict::Already).await;
    assert_eq!(order.id.to_string(), first);
}

#[tokio::test]
async fn a_certificate_is_renewed_and_the_old_one_ends() {
    let plane = TestPlane::start().await;
    let server = plane.agents();
    let token = plane.operator().token(json!({})).await;
    let mut agent = FakeAgent::enrol(server, &token, "web1").await.unwrap();
    let mut connection = agent.connect(server).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .der()
        .to_vec();
    connection.send(Renew { csr: csr.clone() }).await;
    let Some(Message::Renewed(renewed)) = connection.next().await else {
        panic!()
    };
    connection.send(Renew { csr }).await;
    assert!(
        connection
            .refused()
            .await
            .contains("less than a minute ago")
    );

    agent.identity.certificate = renewed.certificate;
    agent.link_key = key;
    agent.connect(server).await;
}

#[tokio::test]
async fn a_removed_host_is_cut_off_in_a_moment() {
    let plane = TestPlane::start().await;
    let token = plane.operator().token(json!({})).await;
    let mut agent = FakeAgent::enrol(plane.agents(), &token, "web1")
        .await
        .unwrap();
    let mut connection = agent.connect(plane.agents()).await;
    let (status, _) = plane
        .operator()
        .try_json(hyper::Method::DELETE, "/v1/hosts/web1", json!(null))
        .await;
    assert!(status.is_success());
    assert!(connection.refused().await.contains("removed"));
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    assert!(connection.refused().await.contains("not known here"));
    // The name is free.
    let token = plane.operator().token(json!({})).await;
    FakeAgent::enrol(plane.agents(), &token, "web1")
        .await
        .unwrap();
}

#[tokio::test]
async fn strangers_and_liars_get_nowhere() {
    let plane = TestPlane::with(|config| config.handshake_timeout_s = 1).await;
    let server = plane.agents();
    let token = plane.operator().token(json!({})).await;
    let agent = FakeAgent::enrol(server, &token, "web1").await.unwrap();
    let ca = Digest::of(plane.server().plane.ca.der());

    // Without a certificate only enrolment.
    let mut connection = Connection::open(server, pinning(ca)).await.unwrap();
    connection.send(agent.hello()).await;
    assert!(connection.refused().await.contains("only enrolment"));
    // A frame larger than any, from somebody unknown and from a host.
    let mut connection = Connection::open(server, pinning(ca)).await.unwrap();
    connection.send_raw(&u32::MAX.to_be_bytes()).await;
    assert!(connection.next_frame().await.is_none());
    // More than an enrolment can be.
    let mut connection = Connection::open(server, pinning(ca)).await.unwrap();
    connection.send_raw(&500_000u32.to_be_bytes()).await;
    let _ = tokio::io::AsyncWriteExt::write_all(&mut connection.stream, &[0x84; 200_000]).await;
    assert!(connection.next_frame().await.is_none());
    // Silence.
    let mut connection = Connection::open(server, pinning(ca)).await.unwrap();
    assert!(connection.next_frame().await.is_none());
    // Another host's name.
    let mut connection = agent.dial(server).await.unwrap();
    let mut hello = agent.hello();
    hello.host = HostId::from_bytes([9; 16]);
    connection.send(hello).await;
    assert!(connection.refused().await.contains("another host"));
    // A host that sends no CBOR, or an endless frame.
    let mut connection = agent.dial(server).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    connection.send_raw(&[0, 0, 0, 2, 0x05, 0xff]).await;
    assert!(connection.refused().await.contains("0x05"));
    let mut connection = agent.dial(server).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    connection.send_raw(&(2u32 << 20).to_be_bytes()).await;
    assert!(connection.refused().await.contains("the limit is"));
    // A kind of a later version is passed over.
    let mut connection = agent.dial(server).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    connection.send_raw(&[0, 0, 0, 2, 0x7e, 0xff]).await;
    plane.operator().disable("web1", "alice").await;
    connection.order().await;
}

#[tokio::test]
async fn over_the_budget_only_hosts_with_orders_are_served() {
    let plane = TestPlane::with(|config| config.accept_per_s = 1).await;
    let server = plane.agents();
    let token = plane.operator().token(json!({})).await;
    let agent = FakeAgent::enrol(server, &token, "web1").await.unwrap();
    let mut told = None;
    for _ in 0..5 {
        let mut connection = agent.dial(server).await.unwrap();
        connection.send(agent.hello()).await;
        match connection.next().await {
            Some(Message::Welcome(_)) => (),
            Some(Message::RetryAfter(retry)) => told = Some(retry.ms),
            other => panic!("{other:?}"),
        }
    }
    assert!((1000..=31_000).contains(&told.expect("told to come back")));
    plane.operator().disable("web1", "alice").await;
    let mut connection = agent.dial(server).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    connection.order().await;
}

#[tokio::test]
async fn a_silent_or_trickling_host_is_let_go_and_a_quiet_server_beats() {
    let plane = TestPlane::with(|config| {
        config.heartbeat_s = 1;
        config.idle_timeout_s = 2;
    })
    .await;
    let token = plane.operator().token(json!({})).await;
    let agent = FakeAgent::enrol(plane.agents(), &token, "web1")
        .await
        .unwrap();
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    connection.welcome().await;
    let begin = std::time::Instant::now();
    assert_eq!(connection.next_frame().await.unwrap().kind, 0x80);
    // The beginning of a frame is not a sign of life.
    connection.send_raw(&[0, 0, 0]).await;
    while connection.next_frame().await.is_some() {}
    assert!(
        (1..5).contains(&begin.elapsed().as_secs()),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(
        plane.operator().get("/v1/hosts").await[0]["connected"],
        false
    );
}

#[tokio::test]
async fn a_ca_that_hosts_trust_is_never_replaced_by_a_new_one() {
    let mut plane = TestPlane::start().await;
    let token = plane.operator().token(json!({})).await;
    FakeAgent::enrol(plane.agents(), &token, "web1")
        .await
        .unwrap();
    plane.stop().await;
    for file in ["ca.key", "ca.pem", "server.pem"] {
        std::fs::remove_file(plane.path().join("data").join(file)).unwrap();
    }
    let error = plane.try_start().await.err().unwrap().to_string();
    assert!(error.contains("ca.key is missing"), "{error}");
    assert!(!plane.path().join("data/ca.pem").exists());
}
