//! Sections of hosts' surveys: kept whole or not at all, told while the host is away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use hyper::{Method, StatusCode};
use rescind_protocol::message::{InventoryAck, InventoryPart, Message, Question};
use rescind_protocol::name::{Digest, SectionName};
use rescind_protocol::section::{PIECE_BYTES_MAX, SECTION_BYTES_MAX};
use serde_json::{Value, json};
use support::agent::{Connection, FakeAgent};
use support::plane::TestPlane;

fn document(section: &str, rows: &[Value], not_read: &[Value]) -> String {
    // As an agent writes it: keys in this order, no blanks.
    format!(
        r#"{{"section":"{section}","format":1,"rows":{},"left_out":0,"not_read":{{"total":{},"listed":{}}}}}"#,
        Value::from(rows),
        not_read.len(),
        Value::from(not_read)
    )
}

fn key(account: &str, key: &str, state: &str) -> Value {
    json!({
        "account": account, "uid": 1000, "mechanism": "ssh_public_key", "state": state,
        "reason": "r", "source": {"file": "/k", "line": 1}, "fingerprint": key,
    })
}

/// A section in pieces.
fn pieces(section: &str, json: &[u8], piece: usize) -> Vec<InventoryPart> {
    let section: SectionName = section.parse().unwrap();
    let digest = Digest::of(json);
    let count = json.len().div_ceil(piece);
    let parts = json
        .chunks(piece)
        .enumerate()
        .map(|(nth, bytes)| InventoryPart {
            section: section.clone(),
            digest,
            json: bytes.to_vec(),
            last: nth + 1 == count,
            at: (nth * piece) as u64,
        });
    parts.collect()
}

async fn answer(connection: &mut Connection) -> InventoryAck {
    match connection.next().await {
        Some(Message::InventoryAck(ack)) => ack,
        other => panic!("want an answer to a section: {other:?}"),
    }
}

/// Sends a section; whether it is kept, or why it is not.
async fn send(connection: &mut Connection, parts: Vec<InventoryPart>) -> Result<(), String> {
    let (section, digest) = (parts[0].section.clone(), parts[0].digest);
    for part in parts {
        connection.send(part).await;
    }
    let ack = answer(connection).await;
    assert_eq!((ack.section, ack.digest), (section, digest));
    ack.refused.map_or(Ok(()), Err)
}

async fn host(plane: &TestPlane, name: &str) -> FakeAgent {
    let token = plane.operator().token(json!({})).await;
    FakeAgent::enrol(plane.agents(), &token, name)
        .await
        .unwrap()
}

/// What the control plane says at the next connection that it keeps.
async fn told(agent: &mut FakeAgent, plane: &TestPlane) -> Vec<(String, Digest)> {
    let mut connection = agent.dial(plane.agents()).await.unwrap();
    connection.send(agent.hello()).await;
    let sections = connection.welcome().await.sections.unwrap();
    let told = sections
        .into_iter()
        .map(|one| (one.section.to_string(), one.digest));
    told.collect()
}

#[tokio::test]
async fn sections_are_kept_told_again_and_answer_for_a_host_that_is_away() {
    let mut plane = TestPlane::start().await;
    let mut agent = host(&plane, "web1").await;
    let mut connection = agent.connect(plane.agents()).await;
    let accounts = document(
        "accounts",
        &[
            json!({"account":"alice","uid":1000,"password":"set","runs":[]}),
            json!({"account":"bob","uid":1001,"password":"locked","runs":[]}),
        ],
        &[],
    );
    let fifo = json!({"account":"bob","path":"/home/bob/.ssh/authorized_keys","cause":"not_regular","why":"is a FIFO"});
    let keys = document(
        "ssh_keys",
        &[key("alice", "A", "open")],
        std::slice::from_ref(&fifo),
    );
    // One byte at a time, and all at once.
    send(&mut connection, pieces("accounts", accounts.as_bytes(), 1))
        .await
        .unwrap();
    send(&mut connection, pieces("ssh_keys", keys.as_bytes(), 4096))
        .await
        .unwrap();
    let more = document(
        "ssh_keys",
        &[key("alice", "A", "closed"), key("bob", "B", "unknown")],
        std::slice::from_ref(&fifo),
    );
    send(&mut connection, pieces("ssh_keys", more.as_bytes(), 100))
        .await
        .unwrap();
    // The same again is kept already, and what it was before stays.
    send(&mut connection, pieces("ssh_keys", more.as_bytes(), 100))
        .await
        .unwrap();
    drop(connection);

    assert_eq!(
        told(&mut agent, &plane).await,
        [
            ("accounts".to_owned(), Digest::of(accounts.as_bytes())),
            ("ssh_keys".to_owned(), Digest::of(more.as_bytes()))
        ]
    );
    // Over a restart, with the host away.
    plane.stop().await;
    plane.start_again().await;
    let operator = plane.operator();
    let stored = operator.get("/v1/hosts/web1/inventory").await;
    assert_eq!(stored["live"], false);
    assert!(stored["age_s"].as_u64().unwrap() < 60);
    assert!(stored["heard_at"].as_u64() >= stored["received_at"].as_u64());
    assert_eq!(
        stored["accounts"],
        json!([
            {"account":"alice","uid":1000,"password":"set","runs":[],"keys":1,"open":0,"unknown":0},
            {"account":"bob","uid":1001,"password":"locked","runs":[],"keys":1,"open":0,"unknown":1},
        ])
    );
    let listed = operator.get("/v1/hosts/web1/sections").await;
    assert_eq!(listed["sections"][1]["rows"], 2);
    assert_eq!(listed["sections"][1]["bytes"], more.len());
    let section = operator.get("/v1/hosts/web1/sections/ssh_keys").await;
    assert_eq!(section["live"], false);
    assert_eq!(
        section["section"],
        serde_json::from_str::<Value>(&more).unwrap()
    );
    let coverage = operator.get("/v1/hosts/web1/coverage").await;
    assert_eq!(coverage["connected"], false);
    assert_eq!(coverage["sections"][1]["not_read"]["listed"], json!([fifo]));
    let changed = operator
        .get("/v1/hosts/web1/differences?section=ssh_keys")
        .await;
    let one = &changed["sections"][0];
    assert_eq!(
        one["was"]["digest"],
        Digest::of(keys.as_bytes()).to_string()
    );
    assert_eq!(one["difference"]["added"][0]["fingerprint"], "B");
    assert_eq!(one["difference"]["changed"][0]["is"]["state"], "closed");
    assert_eq!(one["difference"]["removed"], json!([]));
    let none = operator.try_json(Method::GET, "/v1/hosts/web1/sections/sudo", Value::Null);
    assert_eq!(none.await.0, StatusCode::NOT_FOUND);

    // Connected, the host itself is asked.
    let mut connection = agent.connect(plane.agents()).await;
    let (section, ()) = tokio::join!(operator.get("/v1/hosts/web1/sections/sudo"), async {
        let Some(Message::Query(query)) = connection.next().await else {
            panic!("no question");
        };
        let Question::Section { section } = query.what else {
            panic!("another question");
        };
        connection
            .send(rescind_protocol::message::Answer {
                id: query.id,
                json: document(section.as_str(), &[], &[]).into_bytes(),
                last: true,
                error: None,
            })
            .await;
    });
    assert_eq!(
        (&section["live"], &section["connected"]),
        (&json!(true), &json!(true))
    );

    // A host that is removed leaves nothing of it.
    operator
        .try_json(Method::DELETE, "/v1/hosts/web1", Value::Null)
        .await;
    let conn = rusqlite::Connection::open(plane.database()).unwrap();
    let left: i64 = conn
        .query_row(
            "SELECT (SELECT count(*) FROM sections) + (SELECT count(*) FROM section_pieces)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_not_as_it_should_be_is_refused_and_nothing_of_it_kept() {
    let plane = TestPlane::start().await;
    let mut agent = host(&plane, "web1").await;
    let mut connection = agent.connect(plane.agents()).await;
    let good = document("sudo", &[], &[]);
    let parts = || pieces("sudo", good.as_bytes(), 20);
    let deep = document("sudo", &[], &[]).replace(
        "\"rows\":[]",
        &format!(
            "\"rows\":[{{\"a\":{}1{}}}]",
            "[".repeat(5000),
            "]".repeat(5000)
        ),
    );
    let mut wrong_digest = parts();
    wrong_digest
        .iter_mut()
        .for_each(|part| part.digest = Digest::of(b"x"));
    let mut missing = parts();
    missing.remove(1);
    let mut swapped = parts();
    swapped.swap(0, 1);
    let mut renamed = parts();
    renamed
        .iter_mut()
        .for_each(|part| part.section = "host".parse().unwrap());
    let mut long_piece = pieces(
        "sudo",
        &vec![b' '; PIECE_BYTES_MAX + 1],
        PIECE_BYTES_MAX + 1,
    );
    long_piece[0].last = false;
    for (what, parts, want) in [
        ("its digest", wrong_digest, "its digest is"),
        (
            "a piece is missing",
            missing,
            "a piece from byte 40 on, expected from byte 20 on",
        ),
        (
            "in another order",
            swapped,
            "a piece from byte 20 on, expected from byte 0 on",
        ),
        ("another's name", renamed, "it calls itself sudo"),
        (
            "no JSON",
            pieces("sudo", b"{\"section\":", 4),
            "EOF while parsing",
        ),
        ("not UTF-8", pieces("sudo", b"\xff\xfe", 4), "not a section"),
        (
            "too deep",
            pieces("sudo", deep.as_bytes(), 4096),
            "too deep",
        ),
        ("a list", pieces("sudo", b"[]", 4), "not a section"),
        ("a long piece", long_piece, "a piece of 262145 bytes"),
    ] {
        let refused = send(&mut connection, parts).await.unwrap_err();
        assert!(refused.contains(want), "{what}: {refused}");
        // It is the same connection that goes on, and what comes next is taken. (A first piece
        // that comes late begins the section again, which then lacks one.)
        let next = document("host", &[json!({"name": what})], &[]);
        for part in pieces("host", next.as_bytes(), 7) {
            connection.send(part).await;
        }
        loop {
            let ack = answer(&mut connection).await;
            if ack.section.as_str() == "host" && ack.digest == Digest::of(next.as_bytes()) {
                assert_eq!(ack.refused, None, "{what}");
                break;
            }
            assert!(ack.refused.is_some(), "{what}");
        }
    }
    // Another section in the midst of one: that one is cut off, the other one is taken.
    for part in parts().into_iter().take(2) {
        connection.send(part).await;
    }
    for part in pieces("logins", document("logins", &[], &[]).as_bytes(), 9000) {
        connection.send(part).await;
    }
    let (cut, kept) = (answer(&mut connection).await, answer(&mut connection).await);
    assert_eq!(cut.section.as_str(), "sudo");
    assert!(cut.refused.unwrap().contains("another section began"));
    assert_eq!((kept.section.as_str(), kept.refused), ("logins", None));
    drop(connection);
    let names: Vec<String> = told(&mut agent, &plane)
        .await
        .into_iter()
        .map(|one| one.0)
        .collect();
    assert_eq!(names, ["host", "logins"]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_held() {
    let plane = TestPlane::start().await;
    let mut agent = host(&plane, "web1").await;
    let mut connection = agent.connect(plane.agents()).await;
    let piece = vec![b' '; PIECE_BYTES_MAX];
    let section: SectionName = "sudo".parse().unwrap();
    let part = |at: usize| InventoryPart {
        section: section.clone(),
        digest: Digest::default(),
        json: piece.clone(),
        last: false,
        at: at as u64,
    };
    for nth in 0..=SECTION_BYTES_MAX / PIECE_BYTES_MAX {
        connection.send(part(nth * PIECE_BYTES_MAX)).await;
    }
    let ack = answer(&mut connection).await;
    assert!(ack.refused.unwrap().contains("longer than"), "too long");
    assert!(!ack.again);
    // What is left of it is passed over without another word.
    connection
        .send(part(SECTION_BYTES_MAX + PIECE_BYTES_MAX))
        .await;
    assert!(connection.is_quiet(Duration::from_millis(300)).await);

    // All hosts together hold only so much. Each of these begins a section and does not end it.
    let mut others = Vec::new();
    let mut refused = None;
    for nth in 0..4 {
        let mut agent = host(&plane, &format!("web{nth}x")).await;
        let mut connection = agent.connect(plane.agents()).await;
        for nth in 0..100 {
            connection.send(part(nth * PIECE_BYTES_MAX)).await;
        }
        if !connection.is_quiet(Duration::from_secs(1)).await {
            // Told as it came: the first of these is the one.
            refused = Some(nth);
            break;
        }
        others.push(connection);
    }
    assert_eq!(refused, Some(2), "64 MiB are there for all");
    // An order gets through all the same, and once they are gone there is room again.
    let order = plane.operator().disable("web1", "alice").await;
    let order = order.as_str();
    let signed = connection.order().await;
    assert_eq!(agent.accept(&signed).0.id.to_string(), order);
    drop(others);
    tokio::time::sleep(Duration::from_millis(300)).await;
    send(
        &mut connection,
        pieces("host", document("host", &[], &[]).as_bytes(), 9000),
    )
    .await
    .unwrap();
}
