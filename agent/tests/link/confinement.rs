use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::control::{Ca, today};
use crate::host::{Host, LINK_UID};

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
        let done = Command::new(env!("CARGO_BIN_EXE_rescind-agent"))
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
