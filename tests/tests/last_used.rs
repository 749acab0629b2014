//! Who came in last and with which key, as the agent tells it, beside what the host's own tools
//! say: on three releases, with lines that users have forged, with a journal that is rotated, kept
//! in memory or not kept at all.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_tests::{Account, Host, Key, Login, Package, Release, deb, on_each_release, run};
use serde_json::Value;

on_each_release!(real_logins);

const PASSWORD: &str = "let me in";

fn real_logins(release: Release) {
    let host = Host::of(release).named("web1").boot();
    install(&host);
    let keys = ["laptop", "build", "unused"].map(Key::ed25519);
    let [laptop, build, unused] = &keys;
    let alice = keys
        .iter()
        .fold(Account::create(&host, "alice"), |alice, key| {
            alice.authorize(key)
        });
    for name in ["bob", "carol", "dave"] {
        Account::create(&host, name).password(PASSWORD);
    }
    let (ca, hers) = (Key::ecdsa("ca"), Key::rsa("carol"));
    trust(&host, &ca);
    certify(&ca, &hers, "carol");

    // Nobody came in yet, and since when that is known is said.
    let before = rows(&agent(&host, "inventory"));
    assert_eq!(before["alice"]["last_used"], Value::Null);
    assert_eq!(before["alice"]["known_since"], first_of_journal(&host));

    assert!(Login::to(&host, "alice").with(laptop).attempt().is_in());
    let mut session = Login::to(&host, "alice").with(build).open();
    by_password(&host, "bob");
    assert!(Login::to(&host, "carol").with(&hers).attempt().is_in());
    let console =
        "TERM=linux timeout -k 1 20 script -qec 'exec login -f dave' /dev/null </dev/null";
    host.run("usermod -s /bin/true dave").ok();
    host.run(console);
    forge(&host, unused);

    let ours = host.our_address().to_string();
    let now = rows(&agent(&host, "inventory"));
    for (name, how, key) in [
        ("alice", "publickey", Some(build.fingerprint())),
        ("bob", "password", None),
        ("carol", "certificate", Some(hers.fingerprint())),
        ("dave", "console", None),
    ] {
        let last = &now[name]["last_used"];
        assert_eq!(last["how"], how, "{name} {last}");
        assert_eq!(last["source"], "journal", "{name} {last}");
        assert_eq!(last["attested"], true, "{name} {last}");
        assert_eq!(last["fingerprint"].as_str(), key, "{name} {last}");
        if how != "console" {
            assert_eq!(last["from"], ours, "{name} {last}");
            assert_eq!(last["at"], told_by_journalctl(&host, name), "{name}");
        }
    }
    assert_eq!(now["carol"]["last_used"]["authority"], ca.fingerprint());
    assert_eq!(now["root"]["last_used"], Value::Null, "forged");
    let used: BTreeSet<&str> = now["alice"]["keys_used"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["fingerprint"].as_str().unwrap())
        .collect();
    let expected = BTreeSet::from([laptop.fingerprint(), build.fingerprint()]);
    assert_eq!(
        used, expected,
        "the unused one is not there, although it was forged"
    );

    // The paths: each key with its last use, the session with the key that opened it.
    let paths = agent(&host, "paths --account alice");
    let of = |key: &Key| {
        let rows = paths.as_array().unwrap().iter();
        let mut rows = rows.filter(|row| row["fingerprint"] == key.fingerprint());
        rows.find(|row| row["mechanism"] == "ssh_public_key")
            .unwrap()
            .clone()
    };
    assert_eq!(of(build)["last_used"]["from"], ours);
    assert!(of(laptop)["last_used"]["at"].as_str() < of(build)["last_used"]["at"].as_str());
    assert_eq!(of(unused)["last_used"], Value::Null);
    assert_eq!(of(unused)["known_since"], before["alice"]["known_since"]);
    let sessions: Vec<&Value> = paths
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["mechanism"] == "session")
        .collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0]["fingerprint"], build.fingerprint());
    assert!(session.is_open() && alice.processes() > 0);

    beside_other_tools(&host, release, &ours);
    after_rotation_and_restart(&host, laptop, &now);
    an_image(&host, &now);
}

/// last(1), lastlog(8) and who(1), where the release has them and writes what they read.
fn beside_other_tools(host: &Host, release: Release, ours: &str) {
    let told = agent(host, "inventory --last-used");
    let state = |name: &str| {
        let sources = told["sources"].as_array().unwrap().iter();
        let mut sources = sources.filter(|source| source["source"] == name);
        sources.next().unwrap()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state("journal"), "read", "{told}");
    assert_eq!(told["accounts"].as_array().unwrap().len(), 4, "{told}");
    if release == Release::Trixie {
        // It has neither program, and writes neither file.
        return;
    }
    assert_eq!(state("wtmp"), "read");
    // The session with a terminal is there, those without are not: the journal knows more.
    let last = host.run("last -F -w alice").ok().text();
    assert!(last.starts_with("alice ") && last.contains(ours), "{last}");
    let who = host.run("who").ok().text();
    assert!(who.lines().any(|line| line.starts_with("alice ")), "{who}");
    let lastlog = host.run("lastlog -u dave").ok().text();
    // login(1) writes it at the moment in which it writes to the journal.
    let at = rows(&agent(host, "inventory"))["dave"]["last_used"]["at"].clone();
    let at = seconds(host, at.as_str().unwrap());
    let words: Vec<&str> = lastlog.split_whitespace().collect();
    let theirs = seconds(host, &words[words.len() - 6..].join(" "));
    assert!(at.abs_diff(theirs) <= 2, "{lastlog} {at}");
    // Without a journal these files are all there is.
    let image = copy(host);
    host.run(&format!("rm -r {image}/var/log/journal")).ok();
    let told = agent(host, &format!("inventory --last-used --root {image}"));
    assert_eq!(told["known_since"], Value::Null);
    let accounts = rows(&told["accounts"]);
    assert_eq!(accounts["alice"]["last_used"]["source"], "wtmp", "{told}");
    assert_eq!(accounts["alice"]["last_used"]["from"], ours);
    let console = accounts["dave"]["last_used"]["at"].as_str().unwrap();
    assert!(at.abs_diff(seconds(host, console)) <= 2, "{told}");
    assert!(!accounts.contains_key("bob"), "he had no terminal");
    host.run(&format!("rm -r {image}")).ok();
}

fn after_rotation_and_restart(host: &Host, laptop: &Key, before: &BTreeMap<String, Value>) {
    host.run("journalctl --rotate").ok();
    assert!(Login::to(host, "alice").with(laptop).attempt().is_in());
    let now = rows(&agent(host, "inventory"));
    assert_eq!(
        now["alice"]["last_used"]["fingerprint"],
        laptop.fingerprint()
    );
    assert_eq!(
        now["alice"]["last_used"]["at"],
        told_by_journalctl(host, "alice")
    );
    assert_eq!(now["bob"], before["bob"]);
    host.run("systemctl restart rescind-agent").ok();
    let again = rows(&agent(host, "inventory"));
    assert_eq!(
        again, now,
        "an agent that has forgotten everything reads the same"
    );
}

/// The same host as a directory that is not booted.
fn an_image(host: &Host, before: &BTreeMap<String, Value>) {
    let image = copy(host);
    let told = agent(host, &format!("inventory --root {image}"));
    let told = rows(&told);
    for name in ["bob", "carol", "dave"] {
        assert_eq!(told[name]["last_used"], before[name]["last_used"], "{name}");
    }
    assert_eq!(told["root"]["last_used"], Value::Null);
}

/// Lines that call themselves sshd's, by a user in every way there is.
fn forge(host: &Host, key: &Key) {
    let lines = [
        format!(
            "Accepted publickey for alice from 6.6.6.6 port 6 ssh2: ED25519 {}",
            key.fingerprint()
        ),
        "Accepted password for root from 6.6.6.6 port 6 ssh2".to_owned(),
    ];
    for line in lines {
        let script = format!(
            "logger -t sshd '{line}'; logger -t 'sshd[1]' -p authpriv.info '{line}'
             echo '{line}' | systemd-cat -t sshd; echo '{line}' | systemd-cat -t sshd-session
             printf 'MESSAGE=%s\\nSYSLOG_IDENTIFIER=sshd\\n_UID=0\\n_COMM=sshd\\n' '{line}' | logger --journald
             cp /usr/bin/logger ~/sshd; cp ~/sshd ~/sshd-session
             ~/sshd -t sshd '{line}'; ~/sshd-session -t sshd-session '{line}'
             ~/sshd -t login 'pam_unix(login:session): session opened for user root(uid=0) by LOGIN(uid=0)'"
        );
        host.write_file("/tmp/forge", script.as_bytes(), "0755");
        host.run("runuser -u alice -- sh -c 'cd; HOME=/home/alice sh /tmp/forge'")
            .ok();
    }
    let forged = host
        .run("journalctl -q -o cat | grep -c 'from 6.6.6.6'")
        .ok()
        .text();
    assert!(
        forged.parse::<u32>().unwrap() >= 12,
        "{forged} lines are in the journal"
    );
}

/// A journal in memory only; none, but a text log; a text log beside a journal.
#[test]
fn other_records() {
    let volatile = "[Journal]\nStorage=volatile\n";
    let host = Host::of(Release::Bookworm)
        .named("web1")
        .with_file("etc/systemd/journald.conf.d/volatile.conf", volatile)
        .boot();
    install(&host);
    let key = Key::ed25519("alice");
    Account::create(&host, "alice").authorize(&key);
    assert!(Login::to(&host, "alice").with(&key).attempt().is_in());
    let told = agent(&host, "inventory --last-used");
    let journal = &told["sources"][0];
    assert_eq!(journal["state"], "read", "{journal}");
    assert!(
        journal["notes"][0].as_str().unwrap().contains("next boot"),
        "{journal}"
    );
    assert_eq!(told["accounts"][0]["last_used"]["source"], "journal");
    let since = told["known_since"].as_str().unwrap().to_owned();

    // A text log that begins before the journal, and goes on beside it: there it is not believed.
    let (old, fp) = (
        "2026-01-02T10:00:00+00:00 web1 sshd[7]: Accepted",
        key.fingerprint(),
    );
    let later = host.run("date -Is --date='1 minute ago'").ok().text();
    let log = format!(
        "2026-01-01T10:00:00+00:00 web1 CRON[6]: (root) CMD (true)\n\
         {old} publickey for bob from 192.0.2.1 port 1 ssh2: ED25519 {fp}\n\
         2026-01-02T10:00:01+00:00 web2 sshd[7]: Accepted password for carol from 192.0.2.3 port 1 ssh2\n\
         2099-01-01T00:00:00+00:00 web1 sshd[8]: Accepted password for root from 6.6.6.6 port 1 ssh2\n\
         {later} web1 cron[9]: x\n"
    );
    host.write_file("/var/log/auth.log", log.as_bytes(), "0640");
    host.write_file("/var/log/auth.log.2.gz", b"\x1f\x8b", "0640");
    let told = agent(&host, "inventory --last-used");
    let accounts = rows(&told["accounts"]);
    assert_eq!(
        accounts.keys().collect::<Vec<_>>(),
        ["alice", "bob"],
        "{told}"
    );
    assert_eq!(accounts["bob"]["last_used"]["attested"], false);
    assert_eq!(told["known_since"], "2026-01-01T10:00:00.000Z");
    let text = &told["sources"][1];
    assert_eq!(
        (text["source"].as_str(), text["state"].as_str()),
        (Some("auth_log"), Some("partly")),
        "{text}"
    );
    assert!(
        text["notes"]
            .to_string()
            .contains("auth.log.2.gz is compressed"),
        "{text}"
    );
    assert!(
        text["notes"].to_string().contains("1 lines of other hosts"),
        "{text}"
    );
    assert!(text["notes"].to_string().contains(&since[..16]), "{text}");

    // An sshd that does not write down who came in.
    host.run("echo 'LogLevel ERROR' >>/etc/ssh/sshd_config")
        .ok();
    let told = agent(&host, "inventory --last-used");
    assert_eq!(told["known_since"], Value::Null);
    assert!(
        told["not_logged"]["logins"][0]
            .as_str()
            .unwrap()
            .starts_with("/etc/ssh/sshd_config:")
    );
    let row = &rows(&agent(&host, "inventory"))["daemon"];
    assert_eq!(
        (&row["last_used"], &row["known_since"]),
        (&Value::Null, &Value::Null)
    );

    // No journal at all.
    host.write_file(
        "/etc/systemd/journald.conf.d/volatile.conf",
        b"[Journal]\nStorage=none\n",
        "0644",
    );
    host.run("sed -i /LogLevel.ERROR/d /etc/ssh/sshd_config && systemctl restart systemd-journald && rm -rf /run/log/journal/*").ok();
    host.run("systemctl restart rescind-agent").ok();
    let told = agent(&host, "inventory --last-used");
    assert_eq!(told["sources"][0]["state"], "absent", "{told}");
    assert_eq!(
        rows(&told["accounts"])["root"]["last_used"]["attested"],
        false
    );
}

fn install(host: &Host) {
    host.install_deb(&deb(Package::Agent)).ok();
    if let Some(program) = std::env::var_os("RESCIND_BIN_AGENT") {
        host.run("systemctl stop rescind-agent").ok();
        host.push_file(Path::new(&program), "/usr/sbin/rescind-agent", "0755");
        host.run("systemctl start rescind-agent").ok();
    }
}

fn agent(host: &Host, words: &str) -> Value {
    host.run(&format!("rescind-agent {words} --json"))
        .ok()
        .json()
}

/// Rows by their accounts.
fn rows(rows: &Value) -> BTreeMap<String, Value> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (row["account"].as_str().unwrap().to_owned(), row.clone()))
        .collect()
}

/// A copy of what of the host is read, as a directory.
fn copy(host: &Host) -> String {
    let image = "/srv/image";
    host.run(&format!(
        "rm -rf {image}; mkdir -p {image}/var {image}/usr/sbin && cp -a /etc {image}/ && \
         cp -a /var/log {image}/var/ && cp -a /home {image}/ && cp /usr/sbin/sshd {image}/usr/sbin/"
    ))
    .ok();
    image.into()
}

/// The first entry of the journal, as an instant.
fn first_of_journal(host: &Host) -> String {
    instant(
        &host
            .run("journalctl -q -o json --output-fields=MESSAGE | head -n 1")
            .ok()
            .json(),
    )
}

/// When journalctl says that an account came in over ssh last.
fn told_by_journalctl(host: &Host, account: &str) -> String {
    let found = host.run(&format!(
        "journalctl -q -r -o json _UID=0 | grep 'Accepted [a-z]* for {account} from' | head -n 1"
    ));
    instant(&found.ok().json())
}

fn instant(entry: &Value) -> String {
    let micros: u64 = entry["__REALTIME_TIMESTAMP"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    rescind_protocol::name::UnixMillis(micros / 1000).to_string()
}

/// Seconds since 1970 of a time that date(1) understands.
fn seconds(host: &Host, time: &str) -> i64 {
    host.run(&format!("date -d '{time}' +%s"))
        .ok()
        .text()
        .parse()
        .unwrap()
}

fn trust(host: &Host, ca: &Key) {
    host.write_file(
        "/etc/ssh/ca.pub",
        format!("{}\n", ca.line()).as_bytes(),
        "0644",
    );
    host.run(
        "echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >>/etc/ssh/sshd_config && systemctl restart ssh",
    )
    .ok();
}

/// A certificate beside the private key, where ssh(1) finds it. Its id looks like another line.
fn certify(ca: &Key, key: &Key, name: &str) {
    let public = key.private().with_extension("pub");
    if !public.exists() {
        fs::write(&public, key.line()).unwrap();
    }
    let id = "x from 6.6.6.6 port 6 ssh2: RSA SHA256:x (serial 1) CA";
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-s"])
        .arg(ca.private())
        .args(["-I", id, "-z", "7", "-n", name])
        .arg(public);
    run(&mut command).ok();
}

/// Logs in with the password, as a person would who types it.
fn by_password(host: &Host, account: &str) {
    let dir = PathBuf::from(format!("/tmp/rescind-askpass-{}-{account}", host.name()));
    let dir = dir.with_extension(std::process::id().to_string() + &host.address().to_string());
    fs::create_dir_all(&dir).unwrap();
    let askpass = dir.join("askpass");
    fs::write(&askpass, format!("#!/bin/sh\necho '{PASSWORD}'\n")).unwrap();
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new("ssh");
    command
        .env("SSH_ASKPASS", &askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .args(["-F", "/dev/null"]);
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "PreferredAuthentications=password",
        "LogLevel=ERROR",
        "ConnectTimeout=10",
    ] {
        command.args(["-o", option]);
    }
    command
        .arg(format!("{account}@{}", host.address()))
        .arg("true");
    let ran = run(&mut command);
    fs::remove_dir_all(&dir).unwrap();
    ran.ok();
}
