//! The survey of secrets as the installed service answers it: inside its sandbox, over its socket,
//! with its log as talkative as it gets. Nothing of a value is in what it says, writes or remembers.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rescind_tests::{Account, Canaries, Host, Key, Package, Release, deb, letters};
use serde_json::Value;

#[test]
fn the_service_keeps_values_to_itself() {
    let host = Host::boot(Release::Bookworm);
    host.install_deb(&deb(Package::Agent)).ok();
    if let Some(program) = std::env::var_os("RESCIND_BIN_AGENT") {
        host.run("systemctl stop rescind-agent").ok();
        host.push_file(Path::new(&program), "/usr/sbin/rescind-agent", "0755");
    }
    host.run("sed -i 's/^level = .*/level = \"debug\"/' /etc/rescind/agent.toml")
        .ok();
    host.run(
        "grep -q '^level = \"debug\"' /etc/rescind/agent.toml && systemctl restart rescind-agent",
    )
    .ok();

    let mut canaries = Canaries::new();
    let mut secret = |len| {
        let value = letters(len);
        canaries.add(value.as_bytes());
        value
    };
    let key = Key::ed25519("alice@build");
    Account::create(&host, "alice");
    Account::create(&host, "bob").authorize(&key);
    let private = fs::read(key.private()).unwrap();
    let put = |path: &str, bytes: &[u8], mode: &str, owner: &str| {
        let dir = Path::new(path).parent().unwrap().display();
        host.run(&format!("install -d -o {owner} -g {owner} {dir}"))
            .ok();
        host.write_file(path, bytes, mode);
        host.run(&format!("chown {owner}:{owner} {path}")).ok();
    };
    put("/home/alice/.ssh/deploy", &private, "0600", "alice");
    let aws = format!("[prod]\naws_secret_access_key = {}\n", secret(40));
    put(
        "/home/alice/.aws/credentials",
        aws.as_bytes(),
        "0600",
        "alice",
    );
    let unit = format!(
        "[Service]\nEnvironment=DB_PASSWORD={}\nExecStart=/bin/true\n",
        secret(20)
    );
    put(
        "/etc/systemd/system/app.service",
        unit.as_bytes(),
        "0644",
        "root",
    );
    host.run("mkfifo -m 666 /home/alice/.netrc").ok();
    canaries.add(&seed_of(&private));

    let started = Instant::now();
    let ran = host
        .run("RUST_LOG=trace rescind-agent inventory --secrets --json")
        .ok();
    println!("answered in {:?}", started.elapsed());
    let answer = ran.json();
    let credentials = answer["credentials"].as_array().unwrap();
    let find = |path: &str| -> &Value {
        credentials
            .iter()
            .find(|one| one["path"] == path)
            .unwrap_or_else(|| panic!("{path} is not found: {answer:#}"))
    };
    let deploy = find("/home/alice/.ssh/deploy");
    assert_eq!(deploy["kind"], "private_key");
    assert_eq!(deploy["accepted_for"][0]["account"], "bob");
    assert_eq!(find("/home/alice/.aws/credentials")["label"], "prod");
    assert_eq!(
        find("/etc/systemd/system/app.service")["kind"],
        "unit_secret"
    );
    assert!(
        credentials
            .iter()
            .filter(|one| one["kind"] == "ssh_host_key")
            .count()
            >= 3
    );
    let not_read = answer["coverage"]["not_read"]["listed"].as_array().unwrap();
    assert!(
        not_read
            .iter()
            .any(|one| one["path"] == "/home/alice/.netrc"),
        "{not_read:?}"
    );

    assert_eq!(canaries.search(&ran.stdout), None, "the answer");
    assert_eq!(canaries.search(&ran.stderr), None, "the command's log");
    let journal = host.run("journalctl --no-pager -o export").ok();
    assert!(journal.stdout.len() > 1000);
    assert_eq!(canaries.search(&journal.stdout), None, "the journal");
    let kept = host
        .run("tar -C / -cf - var/lib/rescind-agent run/rescind-agent 2>/dev/null")
        .ok();
    assert!(kept.stdout.len() > 4096);
    assert_eq!(canaries.search(&kept.stdout), None, "what the agent keeps");
    let pid = outer_pid(
        &host,
        &host
            .run("systemctl show -P MainPID rescind-agent")
            .ok()
            .text(),
    );
    let (bytes, seen) = canaries.search_process(pid).unwrap();
    println!("{bytes} bytes of the service's memory searched");
    assert!(bytes > 1 << 20 && seen.is_empty(), "{seen:?}");

    // A second one is answered, too, and the worker was never held up.
    let started = Instant::now();
    host.run("rescind-agent status").ok();
    assert!(started.elapsed() < Duration::from_secs(5));
    host.run("rescind-agent inventory --secrets").ok();
}

/// The 32 bytes that are the secret of an ed25519 key in OpenSSH's form: they stand before the second
/// place of the public half.
fn seed_of(private: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(private);
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let bytes = STANDARD.decode(body).unwrap();
    let head = b"ssh-ed25519\0\0\0 ";
    let first = bytes.windows(head.len()).position(|window| window == head);
    let public = &bytes[first.unwrap() + head.len()..][..32];
    let last = bytes.windows(32).rposition(|window| window == public);
    bytes[last.unwrap() - 32..last.unwrap()].to_vec()
}

/// The pid on this machine of a process of a host.
fn outer_pid(host: &Host, inner: &str) -> u32 {
    let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let hosts = space(&host.init_pid().to_string()).unwrap();
    let processes = fs::read_dir("/proc").unwrap();
    let names = processes.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| space(name).as_ref() == Some(&hosts))
        .find_map(|name| {
            let status = fs::read_to_string(format!("/proc/{name}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("NSpid:"))?;
            (line.split_ascii_whitespace().last()? == inner).then(|| name.parse().ok())?
        })
        .unwrap_or_else(|| panic!("no process {inner} on the host"))
}
