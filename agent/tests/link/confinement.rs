use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use rescind_protocol::frame::Frame;
use rescind_protocol::message::Heartbeat;
use rescind_protocol::name::UnixMillis;

use crate::control::{Ca, now_s, today};
use crate::host::{Host, LINK_UID, agent};

#[test]
fn it_runs_without_privileges_behind_a_filter() {
    let ca = Ca::new();
    let control = ca.server(today());
    // Its server is `localhost`: the resolver has worked behind the filter.
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let link = host.link();
    let _line = control.accept();
    let _local = root_half.accept();
    assert_eq!(link.status("NoNewPrivs"), "1");
    assert_eq!(link.status("Seccomp"), "2");
    assert_eq!(link.status("CapEff"), "0000000000000000");
    assert_eq!(link.status("CapPrm"), "0000000000000000");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        let uid = LINK_UID.to_string();
        assert_eq!(link.status("Uid"), [uid.as_str(); 4].join("\t"));
        assert_eq!(link.status("Gid"), [uid.as_str(); 4].join("\t"));
        assert_eq!(link.status("Groups"), "");
    }
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn a_host_that_is_not_enrolled_or_wrongly_configured_is_told_so() {
    let host = Host::new();
    let run = |command: &str| {
        let done = Command::new(agent())
            .args([command, "--root", host.root.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        (done.status.code(), said)
    };
    let (code, said) = run("link");
    assert_eq!(code, Some(78));
    assert!(said.contains("run `rescind-agent enrol`"), "{said}");
    let (code, said) = run("check-config");
    assert_eq!(code, Some(78));
    assert!(said.contains("agent.toml: good"), "{said}");
    assert!(said.contains("this host is not enrolled"), "{said}");
    std::fs::write(
        host.root.join("etc/rescind/agent.toml"),
        "[guards]\nprotected = ['root']\n",
    )
    .unwrap();
    for command in ["link", "check-config"] {
        let (code, said) = run(command);
        assert_eq!(code, Some(78));
        assert!(said.contains("unknown field `protected`"), "{said}");
    }
}

#[test]
#[ignore = "takes a minute, and says something about a release build only: RESCIND_AGENT=target/release/rescind-agent"]
fn it_sits_still_in_little_memory() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    std::fs::write(host.root.join("etc/rescind/agent.toml"), "").unwrap();
    let root_half = host.root_half();
    let link = host.link();
    let mut line = control.accept();
    let mut local = root_half.accept();
    // What a connection sees in its first seconds.
    for len in [300, 4000, 200_000] {
        let frame = Frame {
            kind: 1,
            body: vec![7; len],
        };
        line.send_bytes(&frame.to_bytes()).unwrap();
        assert!(local.next_frame().unwrap() == frame);
    }
    std::thread::sleep(Duration::from_secs(3));
    let wakeups = || -> u64 { link.status("voluntary_ctxt_switches").parse().unwrap() };
    let before = wakeups();
    let now = UnixMillis(now_s() * 1000);
    for _ in 0..2 {
        line.send(Heartbeat { now });
        std::thread::sleep(Duration::from_secs(30));
    }
    let (rss, woken) = (link.rss_kib(), wakeups() - before);
    let (file, anon) = (link.status("RssFile"), link.status("RssAnon"));
    println!("{rss} KiB resident ({file} of files, {anon} own), woken {woken} times in 60 s");
    assert!(rss <= 3500 && woken <= 12, "{rss} KiB, woken {woken} times");
    assert_eq!(link.stop(), Some(0));
}
