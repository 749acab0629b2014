//! The root half as a process: what it does on a root directory that is not booted.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod host;
mod random;
mod resurveys;
mod root_guard;
mod round_trips;
mod surveys;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use host::{Host, KEY, SOON};
use rescind_agent::store::{HostClock, Options, Store};
use rescind_protocol::message::{Message, Question};
use rescind_protocol::name::{HostId, KeyFingerprint};
use rescind_protocol::sign::SigningKey;
use serde_json::Value;

#[test]
fn an_enrolment_takes_effect_while_the_agent_runs() {
    let mut host = Host::new();
    host.start();
    let status = host.ask(&["status"]);
    assert_eq!(status["enrolled"], false);
    assert!(host.hello().is_none(), "there is nothing to say yet");
    assert_eq!(host.events(), ["genesis", "started"]);
    assert!(!host.disable(1, "alice").status.success());

    host.enrol(HostId::from_bytes([7; 16]));
    let Some(Message::Hello(hello)) = host.hello() else {
        panic!("no hello");
    };
    assert_eq!(hello.host, HostId::from_bytes([7; 16]));
    let now = host.ask(&["status"]);
    assert_eq!(now["enrolled"], true);
    assert_eq!(now["evidence_key"], status["evidence_key"]);
    assert_eq!(host.events(), ["genesis", "started", "enrolled"]);
    let applied = host.disable(1, "alice");
    assert!(applied.status.success(), "{applied:?}");

    // Enrolled again, under another name and with other keys.
    host.order_key = SigningKey::generate().0;
    host.enrol(HostId::from_bytes([7; 16]));
    let applied = host.disable(2, "bob");
    assert!(applied.status.success(), "{applied:?}");
    host.enrol(HostId::from_bytes([8; 16]));
    assert_eq!(
        host.disable(3, "alice").status.code(),
        Some(65),
        "for another"
    );
    let enrolled = |host: &Host| {
        let events = host.events();
        events.iter().filter(|event| *event == "enrolled").count()
    };
    assert_eq!(enrolled(&host), 3);

    // A file that cannot be read changes nothing; one that is gone does.
    let path = host.root.join("etc/rescind/trust.toml");
    fs::write(&path, "host-id =").unwrap();
    assert_eq!(host.ask(&["status"])["enrolled"], true);
    fs::remove_file(&path).unwrap();
    let status = host.ask(&["status"]);
    assert_eq!(status["enrolled"], false);
    assert_eq!(status["standing_orders"], 2);
    host.stop();
    host.start();
    assert_eq!(enrolled(&host), 3);
    assert!(!host.events().contains(&"gap".to_owned()));
}

#[test]
fn the_journal_is_asked_beside_the_agent_and_without_it() {
    let mut host = Host::new();
    let nothing = host.try_ask(&["orders"]);
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(
        said.contains("rescind-agent has not run on this host"),
        "{said}"
    );
    assert!(!host.root.join("var/lib/rescind-agent").exists());

    host.enrol(HostId::from_bytes([7; 16]));
    host.start();
    assert!(host.disable(1, "alice").status.success());
    assert!(host.disable(2, "bob").status.success());
    let questions: [&[&str]; 7] = [
        &["orders"],
        &["orders", "--account", "alice"],
        &["orders", "--account", "nobody"],
        &["orders", "00000000-0000-0000-0000-000000000002"],
        &["evidence"],
        &["evidence", "--account", "bob"],
        &[
            "evidence",
            "--order",
            "00000000-0000-0000-0000-000000000001",
            "--last",
            "2",
        ],
    ];
    let answers = questions.map(|question| host.ask(question));
    let subjects = |answer: &Value| -> Vec<Value> {
        let orders = answer.as_array().unwrap().iter();
        orders.map(|order| order["subject"].clone()).collect()
    };
    assert_eq!(subjects(&answers[0]), ["alice", "bob"]);
    assert_eq!(subjects(&answers[1]), ["alice"]);
    assert_eq!(subjects(&answers[2]), [""; 0]);
    assert_eq!(answers[3]["subject"], "bob");
    assert_eq!(answers[3]["state"], "verified");
    let about_bob = answers[5]["records"].as_array().unwrap();
    assert_eq!(
        answers[3]["history"].as_array().unwrap().len(),
        about_bob.len()
    );
    assert!(about_bob.len() > 3, "{about_bob:?}");
    assert_eq!(answers[5]["checked"], about_bob.len());
    assert_eq!(answers[6]["records"].as_array().unwrap().len(), 2);

    // The daemon brings the index up to date by itself, and the answers stay.
    let index = host.root.join("var/lib/rescind-agent/index");
    let begun = Instant::now();
    while !index.exists() {
        assert!(begun.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(questions.map(|question| host.ask(question)), answers);
    host.stop();
    assert_eq!(questions.map(|question| host.ask(question)), answers);
    fs::remove_dir_all(&index).unwrap();
    assert_eq!(questions.map(|question| host.ask(question)), answers);
}

#[test]
fn a_host_can_be_looked_at_while_another_holds_its_store_and_none_is_made_for_it() {
    let host = Host::new();
    let paths = host.ask(&["paths", "--account", "alice"]);
    assert_eq!(paths[0]["account"], "alice");
    host.ask(&["inventory"]);
    host.ask(&["explain", "alice"]);
    let store = host.root.join("var/lib/rescind-agent");
    assert!(!store.exists());
    // As while an agent starts: it has the store and does not listen yet.
    let held = Store::open(&store, HostClock, "0.1.0", Options::default()).unwrap();
    assert_eq!(host.ask(&["paths", "--account", "alice"]), paths);
    drop(held);
}

#[test]
fn an_agent_that_has_nothing_to_do_sleeps() {
    let mut host = Host::new();
    host.enrol(HostId::from_bytes([7; 16]));
    host.start();
    assert!(host.disable(1, "alice").status.success());
    let pid = host.agent.as_ref().unwrap().id();
    let tasks = || fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ids = || tasks().map(|task| task.unwrap().path());
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let children = || -> usize {
        let lists = ids().map(|task| read(task.join("children")));
        lists.map(|list| list.split_whitespace().count()).sum()
    };
    let number = |text: &str, key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let digits = line.and_then(|line| line.split_whitespace().next());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let status = || read(format!("/proc/{pid}/status").into());
    let after_work = number(&status(), "VmRSS:");
    // The child that works in homes and the index's process go, and memory is given back.
    let begun = Instant::now();
    while children() > 0 || number(&status(), "VmRSS:") >= after_work {
        // The index's process lets everybody else go first.
        assert!(begun.elapsed() < 4 * SOON, "{} children", children());
        std::thread::sleep(Duration::from_millis(200));
    }
    let woken = || -> u64 {
        let tasks = ids().map(|task| read(task.join("status")));
        tasks
            .map(|status| number(&status, "voluntary_ctxt_switches:"))
            .sum()
    };
    std::thread::sleep(Duration::from_millis(500));
    let before = woken();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(woken(), before);
}

#[test]
fn what_a_killed_agent_left_in_etc_goes_at_the_start() {
    let mut host = Host::new();
    for name in [".rescind-1f-0", ".rescind-2e-11", "passwd-", ".pwd.lock"] {
        fs::write(host.root.join("etc").join(name), "half").unwrap();
    }
    let before = fs::read(host.root.join("etc/passwd")).unwrap();
    // A command that only looks takes nothing away.
    host.ask(&["paths"]);
    assert!(host.root.join("etc/.rescind-1f-0").exists());
    host.start();
    let mut names: Vec<String> = fs::read_dir(host.root.join("etc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".pwd.lock",
            "group",
            "passwd",
            "passwd-",
            "rescind",
            "shadow",
            "shells",
            "ssh"
        ]
    );
    assert_eq!(fs::read(host.root.join("etc/passwd")).unwrap(), before);
}

#[test]
fn the_last_login_is_told_here_and_over_the_link() {
    let mut host = Host::new();
    host.enrol(HostId::from_bytes([7; 16]));
    let sshd = host.root.join("usr/sbin/sshd");
    fs::create_dir_all(sshd.parent().unwrap()).unwrap();
    fs::write(&sshd, "\0OpenSSH_9.2p1 Debian-2\0").unwrap();
    let fingerprint = KeyFingerprint::of_blob(
        &base64::engine::general_purpose::STANDARD
            .decode(KEY.split(' ').nth(1).unwrap())
            .unwrap(),
    );
    let log = host.root.join("var/log/auth.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let mut text = format!(
        "2026-01-01T10:00:00+00:00 host CRON[1]: nothing\n\
         2026-01-02T10:00:00+00:00 host sshd[7]: Accepted publickey for root from 192.0.2.7 port 4 \
         ssh2: ED25519 {fingerprint}\n"
    );
    fs::write(&log, &text).unwrap();
    let row = |rows: &Value, name: &str| {
        let rows = rows.as_array().unwrap().clone();
        rows.into_iter().find(|row| row["account"] == name).unwrap()
    };
    let check = |rows: &Value| {
        let root = row(rows, "root");
        assert_eq!(
            root["last_used"]["at"], "2026-01-02T10:00:00.000Z",
            "{root}"
        );
        assert_eq!(root["last_used"]["from"], "192.0.2.7");
        assert_eq!(root["last_used"]["source"], "auth_log");
        assert_eq!(root["last_used"]["attested"], false);
        assert_eq!(root["keys_used"][0]["fingerprint"], fingerprint.to_string());
        // That nothing is on record is said with since when it would be.
        let alice = row(rows, "alice");
        assert_eq!(alice["last_used"], Value::Null);
        assert_eq!(alice["known_since"], "2026-01-01T10:00:00.000Z");
    };
    check(&host.ask(&["inventory"]));
    host.start();
    check(&host.ask(&["inventory"]));
    check(&host.ask_over_the_link(Question::Inventory));
    let paths = host.ask_over_the_link(Question::Paths {
        account: Some("root".parse().unwrap()),
    });
    let key = paths.as_array().unwrap().iter();
    let mut key = key.filter(|path| path["fingerprint"] == fingerprint.to_string());
    assert_eq!(key.next().unwrap()["last_used"]["from"], "192.0.2.7");

    // What is written while the agent runs is seen at the next question.
    text.push_str("2026-01-03T10:00:00+00:00 host sshd[8]: Accepted password for alice from ::1 port 4 ssh2\n");
    fs::write(&log, &text).unwrap();
    let alice = row(&host.ask_over_the_link(Question::Inventory), "alice");
    assert_eq!(alice["last_used"]["how"], "password", "{alice}");
    let told = host.ask(&["inventory", "--last-used"]);
    assert_eq!(told["accounts"].as_array().unwrap().len(), 2, "{told}");
    assert_eq!(told["keys"][0]["last_used"]["account"], "root");
}
