//! The command line against a server of its own process: words, exit codes, JSON, SIGKILL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use rescind_protocol::message::{Answer, Evidence, Message};
use rescind_protocol::order::SignedOrder;
use rescind_protocol::outcome::Verdict;
use serde_json::{Value, json};
use support::agent::FakeAgent;
use support::process::ServerProcess;

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn good(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {error}", out(&output));
    out(&output)
}

fn json_of(output: Output) -> Value {
    serde_json::from_str(&good(output)).unwrap()
}

async fn enrolled(server: &ServerProcess, name: &str) -> FakeAgent {
    let token = good(server.rescind(&["token", "new", "--quiet"]).await);
    FakeAgent::enrol(server.agents, token.trim(), name)
        .await
        .unwrap()
}

const WHY: [&str; 6] = [
    "--ticket",
    "OFF-42",
    "--reason",
    "left",
    "--by",
    "dana@example.com",
];

#[tokio::test]
async fn a_revocation_from_the_command_to_the_proof() {
    let server = ServerProcess::start("").await;
    let mut agent = enrolled(&server, "web1").await;
    let mut connection = agent.connect(server.agents).await;

    let mut words = vec!["revoke", "account", "alice", "--host", "web1", "--follow"];
    words.extend(WHY);
    let (followed, order) = tokio::join!(server.rescind(&words), async {
        agent.serve_one(&mut connection, Verdict::Verified).await
    });
    let text = good(followed);
    let states: Vec<&str> = text
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap_or_default())
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
        ],
        "{text}"
    );
    assert_eq!(order.authority.asked_by, "dana@example.com");
    assert!(
        order.authority.source.starts_with("cli, operator"),
        "{}",
        order.authority.source
    );

    let id = order.id.to_string();
    let shown = json_of(server.rescind(&["order", "show", &id, "--json"]).await);
    assert_eq!(shown["outcome"], "verified");
    assert_eq!(shown["in_force"], true);
    let listed = good(server.rescind(&["order", "list", "--in-force"]).await);
    assert!(
        listed.contains("disable account alice") && listed.contains("OFF-42"),
        "{listed}"
    );
    let exported = server.rescind(&["order", "export", &id]).await.stdout;
    assert_eq!(SignedOrder::from_bytes(&exported).unwrap().order(), &order);
    let hosts = json_of(server.rescind(&["hosts", "--json"]).await);
    assert_eq!(
        (&hosts[0]["name"], &hosts[0]["connected"]),
        (&json!("web1"), &json!(true))
    );

    // The evidence, verified without a server.
    let file = server.dir.join("web1.evidence");
    let file = file.to_str().unwrap();
    good(
        server
            .rescind(&["evidence", "export", "--host", "web1", "-o", file])
            .await,
    );
    let key = agent.key.verifying_key().to_string();
    let checked = json_of(
        server
            .rescind(&["evidence", "verify", file, "--key", &key, "--json"])
            .await,
    );
    assert_eq!(checked[0]["head"]["next"], agent.chain.len());
    assert_eq!(checked[0]["concluded"], 1);
    good(server.rescind(&["evidence", "verify"]).await);
    let other = order_key_of(&agent);
    let no = server
        .rescind(&["evidence", "verify", file, "--key", &other])
        .await;
    assert_eq!(no.status.code(), Some(1));
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (name, bent) in [
        (
            "a line less",
            [&lines[..3], &lines[4..]].concat().join("\n") + "\n",
        ),
        ("cut off", text[..text.len() - 10].to_owned()),
        (
            "swapped",
            [&lines[..2], &[lines[3], lines[2]], &lines[4..]]
                .concat()
                .join("\n")
                + "\n",
        ),
    ] {
        std::fs::write(file, bent).unwrap();
        let no = server.rescind(&["evidence", "verify", file]).await;
        assert_eq!(no.status.code(), Some(1), "{name}");
    }
    let audit = good(server.rescind(&["audit"]).await);
    assert!(
        audit.contains("disable-account") && audit.contains("enrol"),
        "{audit}"
    );
}

#[tokio::test]
async fn a_key_is_revoked_before_what_it_opened_is_ended() {
    const KEY: &str = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA";
    let server = ServerProcess::start("").await;
    enrolled(&server, "web1").await;
    let mut words = vec!["revoke", "key", KEY, "--host", "web1", "--json"];
    words.extend(WHY);
    let one = json_of(server.rescind(&words).await);
    assert_eq!(one["order"], one["orders"][0]["id"]);
    words.push("--end-sessions");
    let two = json_of(server.rescind(&words).await);
    assert_eq!(two["order"], Value::Null);
    let kinds = [0, 1].map(|nth| two["orders"][nth]["action"]["kind"].clone());
    assert_eq!(kinds, ["revoke_key", "end_key_sessions"]);
    let mut words = vec!["end-sessions", "--opened-with", KEY, "--host", "web1"];
    words.extend(WHY);
    let text = good(server.rescind(&words).await);
    assert!(text.contains("web1"), "{text}");
}

fn order_key_of(agent: &FakeAgent) -> String {
    agent.identity.order_keys[0].to_string()
}

#[tokio::test]
async fn exit_codes_say_how_it_ended() {
    let server = ServerProcess::start("").await;
    let mut agent = enrolled(&server, "web1").await;

    let mut away = vec![
        "revoke",
        "account",
        "bob",
        "--host",
        "web1",
        "--follow",
        "--timeout",
        "300ms",
    ];
    away.extend(WHY);
    let output = server.rescind(&away).await;
    assert_eq!(output.status.code(), Some(4), "{}", out(&output));
    let output = server
        .rescind(&["paths", "web1", "--timeout", "300ms"])
        .await;
    assert_eq!(output.status.code(), Some(4));
    for usage in [
        &[
            "revoke", "account", "bob", "--host", "web1", "--reason", "r",
        ][..],
        &["revoke", "account", "bob", "--ticket", "t", "--reason", "r"],
        &[
            "revoke", "account", "b:b", "--host", "web1", "--ticket", "t", "--reason", "r",
        ],
        &[
            "revoke",
            "key",
            "MD5:00",
            "--all-hosts",
            "--ticket",
            "t",
            "--reason",
            "r",
        ],
        &["--server", "http://x", "hosts"],
    ] {
        let output = server.rescind(usage).await;
        let code = output.status.code();
        assert!(
            code == Some(2) || usage.contains(&"--server"),
            "{usage:?}: {code:?}"
        );
    }
    let output = server
        .rescind(&["order", "show", "0193a1b2-0000-7000-8000-000000000000"])
        .await;
    assert_eq!(output.status.code(), Some(1));

    let mut connection = agent.connect(server.agents).await;
    connection.order().await;
    let mut partial = vec!["end-sessions", "eve", "--host", "web1", "--follow"];
    partial.extend(WHY);
    let (output, _) = tokio::join!(server.rescind(&partial), async {
        agent.serve_one(&mut connection, Verdict::Partial).await
    });
    assert_eq!(output.status.code(), Some(3), "{}", out(&output));
    let exceptions = json_of(server.rescind(&["exceptions", "--json"]).await);
    assert_eq!(exceptions[0]["kind"], "partial");
    assert_eq!(exceptions[0]["owner"], "dana@example.com");
    let id = exceptions[0]["id"].to_string();
    good(
        server
            .rescind(&["exceptions", "--close", &id, "--reason", "seen to"])
            .await,
    );
    assert_eq!(
        good(server.rescind(&["exceptions"]).await),
        "no exceptions\n"
    );

    let (output, _) = tokio::join!(
        server.rescind(&["paths", "web1", "--account", "alice"]),
        async {
            let Some(Message::Query(query)) = connection.next().await else {
                panic!()
            };
            let json = br#"[{"account":"alice","uid":1000,"mechanism":"ssh_public_key","state":"open","reason":"a key","source":{"file":"/home/alice/.ssh/authorized_keys","line":3}}]"#;
            let (first, rest) = json.split_at(40);
            for (json, last) in [(first, false), (rest, true)] {
                connection
                    .send(Answer {
                        id: query.id,
                        json: json.to_vec(),
                        last,
                        error: None,
                    })
                    .await;
            }
        }
    );
    let text = good(output);
    assert!(
        text.contains("/home/alice/.ssh/authorized_keys:3") && text.contains("open"),
        "{text}"
    );
}

#[tokio::test]
async fn operators_elsewhere_come_with_a_certificate_and_are_cut_off() {
    let server = ServerProcess::start("").await;
    let _agent = enrolled(&server, "web1").await;
    let dir = server.dir.join("dana");
    let dir = dir.to_str().unwrap();
    good(
        server
            .rescind(&["operator", "new", "dana@example.com", "-o", dir])
            .await,
    );
    let url = format!("https://localhost:{}", server.operators.port());
    let (cert, key, ca) = (
        format!("{dir}/cert.pem"),
        format!("{dir}/key.pem"),
        format!("{dir}/ca.pem"),
    );
    let remote = [
        "--server", &url, "--cert", &cert, "--key", &key, "--ca", &ca,
    ];
    let with = |words: &[&str]| -> Vec<String> {
        remote
            .iter()
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect()
    };
    let run = |words: Vec<String>| async {
        tokio::task::spawn_blocking(|| {
            std::process::Command::new(env!("CARGO_BIN_EXE_rescind"))
                .args(words)
                .output()
                .unwrap()
        })
        .await
        .unwrap()
    };
    let hosts = good(run(with(&["hosts"])).await);
    assert!(hosts.contains("web1"), "{hosts}");
    let given = json_of(
        run(with(&[
            "revoke", "account", "alice", "--host", "web1", "--ticket", "T", "--reason", "r",
            "--json",
        ]))
        .await,
    );
    let authority = &given["orders"][0]["authority"];
    assert!(
        authority["source"]
            .as_str()
            .unwrap()
            .contains("operator dana@example.com (certificate")
    );
    // Who has a certificate cannot make another one.
    let no = run(with(&[
        "operator",
        "new",
        "eve",
        "-o",
        &format!("{dir}/eve"),
    ]))
    .await;
    assert_eq!(no.status.code(), Some(1));
    good(
        server
            .rescind(&["operator", "remove", "dana@example.com"])
            .await,
    );
    let no = run(with(&["hosts"])).await;
    assert_eq!(no.status.code(), Some(1), "{}", out(&no));
}

#[tokio::test]
async fn a_host_certificate_is_no_operator() {
    let server = ServerProcess::start("").await;
    let agent = enrolled(&server, "web1").await;
    let write = |name: &str, text: &str| {
        let path = server.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (
        write("c", &agent.identity.certificate),
        write("k", &agent.link_key.serialize_pem()),
    );
    let ca = write("a", &agent.identity.ca);
    let url = format!("https://localhost:{}", server.operators.port());
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_rescind"))
            .args([
                "--server", &url, "--cert", &cert, "--key", &key, "--ca", &ca, "hosts",
            ])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
}

/// Connects, takes orders, carries them out and reports, until the connection ends.
async fn work(agent: &mut FakeAgent, server: SocketAddr) {
    let Ok(mut connection) = agent.dial(server).await else {
        return;
    };
    connection.send(agent.hello()).await;
    let mut sent = connection.welcome().await.chain.next as usize;
    loop {
        let records = agent.chain[sent..].to_vec();
        sent = agent.chain.len();
        if !records.is_empty() && !connection.try_send(Evidence { records }).await {
            return;
        }
        match connection.next().await {
            None => return,
            Some(Message::Order(order)) => {
                let before = agent.chain.len();
                let (order, ack) = agent.accept(&order.signed);
                if agent.chain.len() > before {
                    agent.carry_out(order.id, Verdict::Verified);
                }
                if !connection.try_send(ack).await {
                    return;
                }
            }
            Some(Message::EvidenceAck(_)) => (),
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_killed_server_loses_nothing_it_has_answered() {
    let mut server = ServerProcess::start("accept_per_s = 1000\n").await;
    let mut agent = enrolled(&server, "web1").await;
    let mut ordered: Vec<String> = Vec::new();
    for round in 0..12u64 {
        // Orders go out and evidence comes in while the server is killed somewhere in between.
        let operator = server.operator();
        let ordering = tokio::spawn(async move {
            let mut given = Vec::new();
            for i in 0..50 {
                let action = json!({ "kind": "end_sessions", "account": format!("u{i}") });
                let body =
                    json!({ "action": action, "hosts": ["web1"], "ticket": "T", "reason": "r" });
                match operator.try_order(body).await {
                    Some(id) => given.push(id),
                    None => break,
                }
            }
            given
        });
        let limit = Duration::from_millis(20 + round * 37 % 200);
        // Cancelled at an await: what the agent has written and what it sent stay in step.
        let _ = tokio::time::timeout(limit, work(&mut agent, server.agents)).await;
        server.kill();
        ordered.extend(ordering.await.unwrap());
        server.start_again().await;
    }
    // Everything that was answered is there, and gets done.
    let operator = server.operator();
    let _ = tokio::time::timeout(Duration::from_secs(3), work(&mut agent, server.agents)).await;
    assert!(
        ordered.len() > 20,
        "only {} orders were given",
        ordered.len()
    );
    for id in &ordered {
        assert_eq!(operator.order(id).await["outcome"], "verified", "{id}");
    }
    let listed = operator.get("/v1/orders?limit=10000").await;
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|order| order["state"] == "confirmed")
    );
    let verified = operator.get("/v1/hosts/web1/evidence/verify").await;
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["chains"].as_array().unwrap().len(), 1);
    assert_eq!(verified["chains"][0]["records"], agent.chain.len());
    assert!(operator.get("/v1/audit").await["first_tampered"].is_null());
}
