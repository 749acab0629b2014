//! The survey of whole hosts at the control plane: it comes when a host connects, what changed comes
//! and nothing else, it answers while the host is away, and it holds no secret.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rescind_tests::{
    Account, Canaries, ControlPlane, Host, Key, Package, Release, Silent, deb, letters, wait_for,
};
use serde_json::Value;

rescind_tests::on_each_release!(
    what_changed_is_sent_and_nothing_else,
    what_cannot_be_read_is_named_on_both_sides,
);

const PATIENCE: Duration = Duration::from_secs(90);
const ALL: [&str; 8] = [
    "accounts",
    "deferred",
    "host",
    "logins",
    "privileges",
    "secrets",
    "ssh_keys",
    "sudo",
];

/// The agent surveys often, and rests ten times as long as a survey takes.
fn install(host: &Host) {
    host.install_deb(&deb(Package::Agent)).ok();
    if let Some(program) = std::env::var_os("RESCIND_BIN_AGENT") {
        host.run("systemctl stop rescind-agent").ok();
        host.push_file(program.as_ref(), "/usr/sbin/rescind-agent", "0755");
    }
    let often = "sed -i 's/^survey-interval-s = .*/survey-interval-s = 2/' /etc/rescind/agent.toml";
    host.run(often).ok();
}

/// What the control plane keeps: of each section its digest.
fn kept(control: &ControlPlane, id: &str) -> BTreeMap<String, String> {
    let ran = control.rescind(&["inventory", id, "--coverage", "--json"]);
    if !ran.succeeded() {
        return BTreeMap::new();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let answer = ran.json();
    let sections = answer["sections"].as_array().into_iter().flatten();
    sections
        .map(|one| (text(&one["section"]), text(&one["digest"])))
        .collect()
}

/// When the host was surveyed last, as it says itself.
fn surveyed(host: &Host) -> String {
    let ran = host.run("rescind-agent inventory --diff --section host --json");
    ran.ok().json()["last_survey"].to_string()
}

/// Waits until the host was surveyed twice more: the first may have begun before.
fn let_it_be_surveyed(host: &Host) {
    for _ in 0..2 {
        let before = surveyed(host);
        wait_for("another survey", PATIENCE, || {
            (surveyed(host) != before).then_some(())
        });
    }
}

fn what_changed_is_sent_and_nothing_else(release: Release) {
    let host = Host::boot(release);
    let (laptop, other) = (Key::ed25519("alice@laptop"), Key::ed25519("alice@other"));
    let mut canaries = Canaries::new();
    let mut secret = || {
        let value = letters(24);
        canaries.add(value.as_bytes());
        value
    };
    Account::create(&host, "alice").authorize_line(&format!(
        "environment=\"TOKEN={}\",command=\"deploy --token {}\" {}",
        secret(),
        secret(),
        laptop.line()
    ));
    Account::create(&host, "bob").password(&secret());
    let netrc = format!("machine x login alice password {}\n", secret());
    host.write_file("/home/alice/.netrc", netrc.as_bytes(), "0600");
    host.run("chown alice: /home/alice/.netrc").ok();
    let table = format!("MAILTO=\"\"\n0 0 * * * curl -H 'Token: {}' x\n", secret());
    host.run_with("crontab -u alice -", table.as_bytes()).ok();
    host.run("useradd --system svc").ok();
    let unit = format!(
        "[Service]\nUser=svc\nEnvironment=DB_PASSWORD={}\nExecStart=/bin/sleep infinity\n\
         [Install]\nWantedBy=multi-user.target\n",
        secret()
    );
    host.write_file("/etc/systemd/system/app.service", unit.as_bytes(), "0644");
    host.run("systemctl enable --now --quiet app.service").ok();
    let started = Instant::now();

    let control = ControlPlane::start();
    install(&host);
    let id = control.enrol(&host);
    wait_for("the first survey", PATIENCE, || {
        kept(&control, &id).keys().eq(ALL).then_some(())
    });
    println!(
        "{:?}: the first survey was there after {:.1?}",
        release,
        started.elapsed()
    );

    // What settles after the boot is sent; then nothing is, survey after survey.
    let pieces = || control.metric("rescind_section_pieces_total");
    let settled = wait_for("nothing to be sent", Duration::from_secs(240), || {
        let before = pieces();
        let_it_be_surveyed(&host);
        (pieces() == before).then_some(before)
    });
    let first = kept(&control, &id);
    let bytes = host
        .run("cat /proc/net/dev | awk '/eth0/ {print $10}'")
        .ok()
        .text();
    let_it_be_surveyed(&host);
    assert_eq!(pieces(), settled, "an unchanged host sends nothing");
    let after = host
        .run("cat /proc/net/dev | awk '/eth0/ {print $10}'")
        .ok()
        .text();
    println!(
        "{:?}: {settled} pieces in all; unchanged, 0 over two surveys ({bytes} then {after} bytes sent)",
        release
    );

    // Connected again, it sends nothing either: the server counts anew.
    control.restart();
    wait_for("it to be back", PATIENCE, || {
        (control.metric("rescind_hosts_connected") == 1).then_some(())
    });
    let_it_be_surveyed(&host);
    host.run("systemctl restart rescind-agent").ok();
    let_it_be_surveyed(&host);
    assert_eq!(pieces(), 0, "not over new connections");
    assert_eq!(kept(&control, &id), first);

    // A key more is one section.
    let sections = control.metric("rescind_sections_kept_total");
    Account::existing(&host, "alice").authorize(&other);
    wait_for("the new key", PATIENCE, || {
        (control.metric("rescind_sections_kept_total") > sections).then_some(())
    });
    let_it_be_surveyed(&host);
    let now = kept(&control, &id);
    let changed: Vec<&String> = now
        .keys()
        .filter(|name| first[*name] != now[*name])
        .collect();
    assert_eq!(changed, ["ssh_keys"]);
    assert_eq!(control.metric("rescind_sections_kept_total"), sections + 1);
    let diff = control
        .rescind(&["inventory", &id, "--diff", "--section", "ssh_keys"])
        .ok()
        .text();
    assert!(diff.contains(&format!("+ alice  ssh public key  open  the key is accepted  /home/alice/.ssh/authorized_keys:2  {}", other.fingerprint())), "{diff}");
    let here = host
        .run("rescind-agent inventory --diff --section ssh_keys")
        .ok()
        .text();
    assert!(here.contains(other.fingerprint()), "{here}");

    // What runs as a service account.
    let accounts = control.rescind(&["inventory", &id, "--section", "accounts", "--json"]);
    let accounts = accounts.ok().json();
    assert_eq!(accounts["live"], true);
    let mut rows = accounts["section"]["rows"].as_array().unwrap().iter();
    let svc = rows.find(|row| row["account"] == "svc").unwrap();
    let runs = svc["runs"].to_string();
    assert!(
        runs.contains(
            r#"{"by":"systemd_unit","state":"open","what":"/etc/systemd/system/app.service"}"#
        ) && runs.contains(r#"{"by":"process","state":"open","what":"app.service"}"#),
        "{runs}"
    );
    let table = control.rescind(&["inventory", &id]).ok().text();
    assert!(!table.contains("as the host said"), "{table}");
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("alice ") && line.contains("cron")),
        "{table}"
    );

    // Away, what it said last is told, with its age.
    host.run("systemctl stop rescind-link").ok();
    wait_for("it to be away", PATIENCE, || {
        let hosts = control.rescind(&["hosts", "--json"]).ok().json();
        (hosts[0]["connected"] == false).then_some(())
    });
    let stored = control.rescind(&["inventory", &id, "--json"]).ok().json();
    assert_eq!(stored["live"], false);
    assert!(stored["age_s"].is_u64() && stored["received_at"].is_u64());
    let of = |name: &str, key: &str| {
        let accounts = stored["accounts"].as_array().unwrap().iter();
        let mut account = accounts.filter(|account| account["account"] == name);
        account.next().unwrap()[key].clone()
    };
    assert_eq!(
        (of("alice", "keys"), of("bob", "password")),
        (2.into(), "set".into())
    );
    let text = control.rescind(&["inventory", &id]).ok().text();
    assert!(
        text.starts_with("as the host said 2") && text.contains(" ago); it was last heard of 2"),
        "{text}"
    );
    let section = control
        .rescind(&["inventory", &id, "--section", "secrets"])
        .ok()
        .text();
    assert!(
        section.starts_with("as the host said") && section.contains("netrc password"),
        "{section}"
    );

    // No value is in anything of it.
    host.run("systemctl stop rescind-agent").ok();
    let kept_there = host
        .run("tar -C / -cf - var/lib/rescind-agent 2>/dev/null")
        .ok();
    assert!(kept_there.stdout.len() > 10_000);
    assert_eq!(
        canaries.search(&kept_there.stdout),
        None,
        "what the agent keeps"
    );
    let journal = host.run("journalctl --no-pager -o export").ok();
    assert_eq!(canaries.search(&journal.stdout), None, "the journal");
    let (bytes, seen) = canaries.search_files(&control.data_dir()).unwrap();
    assert!(bytes > 100_000 && seen.is_empty(), "{seen:?}");
    for name in ALL {
        let ran = control
            .rescind(&["inventory", &id, "--section", name, "--json"])
            .ok();
        assert_eq!(canaries.search(&ran.stdout), None, "{name}");
    }
    println!(
        "{:?}: {} values in none of {bytes} bytes at the control plane",
        release, canaries.values
    );
}

fn what_cannot_be_read_is_named_on_both_sides(release: Release) {
    let host = Host::boot(release);
    let key = Key::ed25519("x@y");
    for name in ["fifo", "denied", "hung", "large", "well"] {
        Account::create(&host, name).authorize(&key);
    }
    host.run(
        "cd /home/fifo/.ssh && rm authorized_keys && mkfifo -m 600 authorized_keys && chown fifo: authorized_keys && \
         chown root: /home/denied/.ssh/authorized_keys && \
         truncate -s 100G /home/large/.ssh/authorized_keys && \
         sed -i 's/^passwd:.*/passwd: files sss/' /etc/nsswitch.conf && \
         sed -i 's/^#*AuthorizedKeysCommand .*//; 1i AuthorizedKeysCommand /usr/bin/keys\\nAuthorizedKeysCommandUser nobody' /etc/ssh/sshd_config",
    )
    .ok();
    let control = ControlPlane::start();
    install(&host);
    // A home on a server that is gone: mounted from outside while the host is off.
    host.shut_down();
    let silent = Silent::mount(&host.root().join("home/hung")).unwrap();
    host.power_on();
    let id = control.enrol(&host);

    let wanted = [
        ("ssh_keys", "/home/fifo/.ssh/authorized_keys", "not_regular"),
        (
            "ssh_keys",
            "/home/denied/.ssh/authorized_keys",
            "permission",
        ),
        ("ssh_keys", "/home/large/.ssh/authorized_keys", "size"),
        ("ssh_keys", "/home/hung/.ssh/authorized_keys", "hang"),
        ("secrets", "/home/hung", "hang"),
        ("accounts", "/etc/nsswitch.conf", "directory"),
        ("logins", "/etc/ssh/sshd_config", "provider"),
    ];
    let named = |coverage: &Value, (section, path, cause): (&str, &str, &str)| {
        let sections = coverage["sections"].as_array().into_iter().flatten();
        let listed = sections
            .filter(|one| one["section"] == section)
            .flat_map(|one| one["not_read"]["listed"].as_array().into_iter().flatten());
        let mut found = listed.filter(|one| one["path"] == path && one["cause"] == cause);
        found.next().is_some()
    };
    let began = Instant::now();
    let here = host.run("rescind-agent inventory --coverage --json").ok();
    println!(
        "{:?}: with a home that hangs the command took {:.1?}",
        release, here.took
    );
    for want in wanted {
        assert!(
            named(&here.json(), want),
            "{want:?} on the host: {}",
            here.text()
        );
    }
    wait_for("the survey", PATIENCE, || {
        kept(&control, &id).keys().eq(ALL).then_some(())
    });
    println!(
        "{:?}: and the survey was there after {:.1?}",
        release,
        began.elapsed()
    );
    let there = control
        .rescind(&["inventory", &id, "--coverage", "--json"])
        .ok()
        .json();
    for want in wanted {
        assert!(
            named(&there, want),
            "{want:?} at the control plane: {there}"
        );
    }
    let text = control
        .rescind(&["inventory", &id, "--coverage"])
        .ok()
        .text();
    assert!(
        text.contains(
            "ssh_keys not read: hung  /home/hung/.ssh/authorized_keys: did not answer in time"
        ),
        "{text}"
    );
    // Everybody else's keys are there.
    let keys = control
        .rescind(&["inventory", &id, "--section", "ssh_keys"])
        .ok()
        .text();
    assert!(
        keys.lines()
            .any(|line| line.starts_with("well ") && line.contains("open")),
        "{keys}"
    );

    // Survey after survey, no more processes wait for it than the first ones.
    let waiting = || {
        let count = "grep -l '^State:.D' /proc/[0-9]*/status 2>/dev/null | wc -l";
        host.run(count).ok().text().parse::<usize>().unwrap()
    };
    let_it_be_surveyed(&host);
    let before = waiting();
    let_it_be_surveyed(&host);
    let_it_be_surveyed(&host);
    let after = waiting();
    println!(
        "{:?}: {before} processes wait for it, {after} after four surveys more",
        release
    );
    assert!(after <= before, "{before} then {after} processes");
    // It answers again, with errors: they end, and the home is tried again.
    drop(silent);
    wait_for("the home to be tried again", PATIENCE, || {
        let coverage = control
            .rescind(&["inventory", &id, "--coverage", "--json"])
            .ok()
            .json();
        (!named(
            &coverage,
            ("ssh_keys", "/home/hung/.ssh/authorized_keys", "hang"),
        ))
        .then_some(())
    });
}
