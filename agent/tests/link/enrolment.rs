use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use rescind_agent::config::Trust;
use rescind_agent::link::enrol::{EnrolError, Summary};
use rescind_agent::link::identity::{Identity, NewKey};
use rescind_agent::orders::{Engine, history};
use rescind_protocol::enrol::{EnrolRequest, JoinToken};
use rescind_protocol::frame::Frame;
use rescind_protocol::message::{Message, Refused, RetryAfter};
use rescind_protocol::name::{Digest, HostId, UnixMillis};

use crate::control::{Ca, Control, Line, enrolled, today, year};
use crate::host::{Host, LINK_UID, agent, token, token_for};

/// Enrols a host at a control plane that does as `script` says.
fn enrol_at(
    host: &Host,
    control: &Control,
    token: &JoinToken,
    script: impl FnOnce(&mut Line, EnrolRequest) + Send,
) -> Result<Summary, EnrolError> {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut line = control.accept();
            let request = line.enrol_request();
            script(&mut line, request);
            line.close();
        });
        host.enrol(&format!("127.0.0.1:{}", control.port()), token)
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_host_joins() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::new();
    let token = token(&ca);
    let valid = today();
    let summary = enrol_at(&host, &control, &token, |line, request| {
        assert_eq!(request.secret, token.secret);
        assert_eq!(request.name.as_str(), "web-1");
        assert_eq!(request.formerly, None);
        assert_eq!(line.shown(), None);
        line.send(enrolled(&ca, &request.csr, valid));
    })
    .unwrap();
    assert_eq!(summary.host, HostId::from_bytes([7; 16]));
    assert_eq!(summary.not_after, UnixMillis(valid.1 * 1000));

    let trust = Trust::load(&host.root).unwrap().unwrap();
    assert_eq!(trust.host_id, summary.host);
    assert_eq!(trust.server_name.as_str(), "rescind.test");
    assert_eq!(trust.ca_sha256, ca.digest());
    assert_eq!(trust.servers[0].port(), control.port());
    let identity = Identity::load(&host.root).unwrap();
    assert_eq!(identity.validity.not_before, UnixMillis(valid.0 * 1000));
    assert_eq!(identity.validity.not_after, UnixMillis(valid.1 * 1000));

    for (path, mode, links) in [
        ("etc/rescind/trust.toml", 0o644, false),
        ("var/lib/rescind-agent", 0o700, false),
        ("var/lib/rescind-agent/evidence.key", 0o600, false),
        ("var/lib/rescind-link", 0o700, true),
        ("var/lib/rescind-link/identity.pem", 0o600, true),
        ("var/lib/rescind-link/ca.pem", 0o600, true),
    ] {
        let found = std::fs::metadata(host.root.join(path)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        if is_root() {
            assert_eq!(found.uid(), if links { LINK_UID } else { 0 }, "{path}");
        }
    }
    // Nothing half is left lying about.
    for dir in [
        "etc/rescind",
        "var/lib/rescind-link",
        "var/lib/rescind-agent",
    ] {
        for entry in std::fs::read_dir(host.root.join(dir)).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with('.'), "{name:?}");
        }
    }
}

#[test]
fn a_host_that_joins_again_keeps_its_evidence_key() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::new();
    let mut keys = Vec::new();
    for former in [None, Some(HostId::from_bytes([7; 16]))] {
        let before = host.read("var/lib/rescind-link/identity.pem");
        enrol_at(&host, &control, &token(&ca), |line, request| {
            assert_eq!(request.formerly, former);
            keys.push(request.evidence_key);
            line.send(enrolled(&ca, &request.csr, today()));
        })
        .unwrap();
        assert_ne!(host.read("var/lib/rescind-link/identity.pem"), before);
    }
    assert_eq!(keys[0], keys[1]);
}

/// The events of a host's chain, after the agent opened its store twice.
fn events(host: &Host) -> Vec<String> {
    for _ in 0..2 {
        Engine::open(&host.root).unwrap();
    }
    let evidence = history::evidence(&host.root, 100).unwrap();
    let records = evidence["records"].as_array().unwrap();
    let events = records.iter().map(|record| record["event"].as_str());
    events.map(|event| event.unwrap().to_owned()).collect()
}

#[test]
fn a_first_enrolment_leaves_no_gap_and_a_lost_store_leaves_one() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::new();
    let joins = |host: &Host| {
        enrol_at(host, &control, &token(&ca), |line, request| {
            line.send(enrolled(&ca, &request.csr, today()));
        })
        .unwrap();
    };
    joins(&host);
    assert_eq!(events(&host), ["genesis", "enrolled"]);
    joins(&host);
    assert_eq!(events(&host), ["genesis", "enrolled"]);

    let store = host.root.join("var/lib/rescind-agent");
    std::fs::remove_dir_all(store.join("journal")).unwrap();
    assert_eq!(events(&host), ["genesis", "gap", "enrolled"]);
    std::fs::remove_dir_all(&store).unwrap();
    assert_eq!(events(&host), ["genesis", "gap", "enrolled"]);
    // Found by whoever enrols it again, and no second time by the agent.
    std::fs::remove_dir_all(store.join("journal")).unwrap();
    joins(&host);
    assert_eq!(events(&host), ["genesis", "gap", "enrolled"]);

    // The chain goes on under another key, which its first record there names.
    std::fs::remove_file(store.join("evidence.key")).unwrap();
    assert_eq!(
        events(&host),
        ["genesis", "gap", "enrolled", "genesis", "gap"]
    );
    std::fs::write(store.join("evidence.key"), "not a key").unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(store.join("evidence.key"), mode).unwrap();
    let error = Engine::open(&host.root).err().unwrap().to_string();
    assert!(error.contains("put it back from a backup"), "{error}");

    // The agent ran before it was enrolled, as packaged.
    let host = Host::new();
    assert_eq!(events(&host), ["genesis"]);
    joins(&host);
    assert_eq!(events(&host), ["genesis", "enrolled"]);
}

#[test]
fn a_broken_trust_file_is_cured_by_joining_again() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::new();
    std::fs::write(host.root.join("etc/rescind/trust.toml"), "host-id =").unwrap();
    let summary = enrol_at(&host, &control, &token(&ca), |line, request| {
        assert_eq!(request.formerly, None);
        line.send(enrolled(&ca, &request.csr, today()));
    })
    .unwrap();
    assert!(summary.unread.is_some());
    assert!(Trust::load(&host.root).unwrap().is_some());
}

#[test]
fn the_secret_is_shown_to_nobody_but_the_pinned_ca() {
    let (ca, other) = (Ca::new(), Ca::new());
    for (control, said) in [
        // Another control plane, or somebody in between.
        (
            other.server(today()),
            "not the control plane that made this token",
        ),
        // One who shows the right CA beside a certificate of another.
        (
            other.server_showing(today(), &ca),
            "not the control plane that made this token",
        ),
        // The right one, but long ago.
        (ca.server((year(2001), year(2002))), "expired"),
    ] {
        let host = Host::new();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| assert!(control.try_accept().is_err()));
            host.enrol(&format!("127.0.0.1:{}", control.port()), &token(&ca))
        })
        .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().contains("not sent"), "{error}");
        nothing_was_changed(&host);
    }
}

#[test]
fn nobody_there_means_the_token_is_still_good() {
    let host = Host::new();
    let error = host
        .enrol("127.0.0.1:1", &token_for(Digest::of(b"")))
        .unwrap_err();
    assert!(matches!(error, EnrolError::Unreachable(_)));
    assert!(error.to_string().contains("still good"), "{error}");
    nothing_was_changed(&host);
}

#[test]
fn an_answer_that_makes_no_sense_changes_nothing() {
    type Answer = fn(&Ca, &EnrolRequest) -> Vec<u8>;
    let cases: [(Answer, &str); 9] = [
        (
            |_, _| {
                let why = "the token was used on 2026-01-01\n".to_owned();
                Message::from(Refused { why }).to_frame().to_bytes()
            },
            "refused: the token was used on 2026-01-01",
        ),
        (
            |_, _| {
                let why = "busy".to_owned();
                Message::from(RetryAfter { ms: 5000, why })
                    .to_frame()
                    .to_bytes()
            },
            "try again in 5 s with the same token",
        ),
        (
            |_, _| Vec::new(),
            "answer was lost (the connection was closed)",
        ),
        (
            |_, _| vec![0xff; 64],
            "answer was lost (a frame of 4294967295",
        ),
        (|_, _| vec![0, 0, 1, 0, 0x85, 1], "the middle of a frame"),
        (
            |_, _| {
                Frame {
                    kind: 0x85,
                    body: vec![0xff],
                }
                .to_bytes()
            },
            "cannot be used: malformed",
        ),
        (
            |ca, _| {
                let key = NewKey::generate().unwrap();
                Message::from(enrolled(ca, &key.csr, today()))
                    .to_frame()
                    .to_bytes()
            },
            "the certificate does not fit",
        ),
        (
            |_, request| {
                Message::from(enrolled(&Ca::new(), &request.csr, today()))
                    .to_frame()
                    .to_bytes()
            },
            "the CA of the join token is not among those",
        ),
        (
            |ca, request| {
                let mut answer = enrolled(ca, &request.csr, today());
                answer.order_keys.clear();
                Message::from(answer).to_frame().to_bytes()
            },
            "0 order keys",
        ),
    ];
    let ca = Ca::new();
    let control = ca.server(today());
    for (answer, said) in cases {
        let host = Host::new();
        let token = token(&ca);
        let error = enrol_at(&host, &control, &token, |line, request| {
            line.send_bytes(&answer(&ca, &request)).unwrap();
        })
        .unwrap_err();
        assert!(error.to_string().contains(said), "{said}: {error}");
        let text = token.to_text();
        assert!(!format!("{error} {error:?}").contains(text.split('.').nth(1).unwrap()));
        nothing_was_changed(&host);
    }
}

#[test]
fn a_host_without_the_links_user_keeps_its_token() {
    if !is_root() {
        return; // Whoever is not root keeps the files for himself.
    }
    let host = Host::new();
    std::fs::write(host.root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    let error = host
        .enrol("127.0.0.1:1", &token_for(Digest::of(b"")))
        .unwrap_err();
    assert!(error.to_string().contains("useradd --system"), "{error}");
}

#[test]
fn the_command_takes_the_token_from_standard_input_and_never_repeats_it() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::new();
    let token = token(&ca);
    let text = token.to_text();
    let secret = text.split('.').nth(1).unwrap();
    let run = |args: &[&str], stdin: &str| {
        let mut child = Command::new(agent())
            .args(["enrol", "--root", host.root.to_str().unwrap(), "--server"])
            .arg(format!("localhost:{}", control.port()))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read it does not need it.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains(secret), "{said}");
        (done.status.code(), said)
    };
    let damaged = format!("{}x", *text);
    assert_eq!(run(&["--token", &damaged], "").0, Some(65));
    assert_eq!(run(&["--token-file", "/nonexistent"], "").0, Some(74));
    assert_eq!(run(&["--token", "-"], "").0, Some(65));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut line = control.accept();
            let request = line.enrol_request();
            line.send(enrolled(&ca, &request.csr, today()));
            line.close();
        });
        let (code, said) = run(&["--token", "-"], &format!("{}\n", *text));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("enrolled as host 07070707-"), "{said}");
    });
    for file in std::fs::read_dir(host.root.join("etc/rescind")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(secret));
    }
}

fn nothing_was_changed(host: &Host) {
    assert_eq!(Trust::load(&host.root).unwrap(), None);
    assert_eq!(host.read("var/lib/rescind-link/identity.pem"), None);
    assert_eq!(host.read("var/lib/rescind-link/ca.pem"), None);
}
