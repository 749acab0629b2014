//! The survey: its sections in whole, what goes to the control plane and when, what is kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use rescind_agent::store::last_survey;
use rescind_protocol::evidence::ChainHead;
use rescind_protocol::frame::FrameBuffer;
use rescind_protocol::message::{
    Answer, InventoryAck, Message, Query, Question, SectionDigest, Welcome,
};
use rescind_protocol::name::{Digest, HostId, SectionName, UnixMillis};
use rescind_protocol::section::Document;
use serde_json::Value;

use crate::host::{Host, KEY, SOON};

const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
/// Surveys come once a second, and after each there is a rest of ten times as long as it took.
const SURVEY_EVERY: &str = "[hold]\nsurvey-interval-s = 1\n";

fn section(host: &Host, name: &str) -> String {
    let mut command = host.command(&["inventory", "--section", name, "--json"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The owner of everything there is who runs the tests.
fn sown() -> Host {
    let host = Host::new();
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let write = |path: &str, text: &str| {
        let path = host.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "etc/passwd",
        &format!(
            "bob:x:{uid}:{gid}::/home/bob:/bin/sh\nalice:x:{uid}:{gid}::/home/alice:/bin/sh\n"
        ),
    );
    write("etc/shadow", "bob:!:1::::::\nalice:$6$a$b:1::::::\n");
    write("usr/sbin/sshd", "OpenSSH_9.2p1 Debian-2+deb12u3\0");
    write("home/alice/.ssh/authorized_keys", &format!("{KEY}\n"));
    write("home/bob/.ssh/.keep", "");
    nix::unistd::mkfifo(
        &host.root.join("home/bob/.ssh/authorized_keys"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    host
}

#[test]
fn the_keys_of_a_host_in_whole() {
    let host = sown();
    let uid = nix::unistd::getuid();
    let want = format!(
        "{{\"section\":\"ssh_keys\",\"format\":1,\"rows\":[\
         {{\"account\":\"alice\",\"uid\":{uid},\"mechanism\":\"ssh_public_key\",\"state\":\"closed\",\
         \"reason\":\"the shell /bin/sh is not executable; this sshd is not running\",\
         \"source\":{{\"file\":\"/home/alice/.ssh/authorized_keys\",\"line\":1}},\
         \"fingerprint\":\"SHA256:FINGERPRINT\"}},\
         {{\"account\":\"bob\",\"uid\":{uid},\"mechanism\":\"ssh_public_key\",\"state\":\"closed\",\
         \"reason\":\"sshd, reading as the account, takes no keys from it: is not a regular file; this sshd is not running\",\
         \"source\":{{\"file\":\"/home/bob/.ssh/authorized_keys\"}}}}],\
         \"left_out\":0,\"not_read\":{{\"total\":1,\"listed\":[\
         {{\"account\":\"bob\",\"path\":\"/home/bob/.ssh/authorized_keys\",\"cause\":\"not_regular\",\
         \"why\":\"is not a regular file but a FIFO\"}}]}}}}\n"
    );
    let found = section(&host, "ssh_keys");
    let found: String = match found.split_once("SHA256:") {
        Some((before, after)) => format!("{before}SHA256:FINGERPRINT{}", &after[43..]),
        None => found,
    };
    assert_eq!(found, want);
    // The same host has the same bytes; the accounts are the section of who is there.
    assert_eq!(section(&host, "ssh_keys"), section(&host, "ssh_keys"));
    let accounts: Value = serde_json::from_str(&section(&host, "accounts")).unwrap();
    let names: Vec<&Value> = accounts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["account"])
        .collect();
    assert_eq!(names, ["alice", "bob"]);
    let unknown = host.try_ask(&["inventory", "--section", "sessions"]);
    assert_eq!(unknown.status.code(), Some(64));
}

/// When the host was surveyed last, as its service kept it, or found to be so still.
fn surveyed_at(host: &Host) -> UnixMillis {
    let stamps = host.root.join("var/lib/rescind-agent/survey.stamps");
    let since_1970 = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let confirmed = fs::metadata(stamps)
        .and_then(|found| found.modified())
        .map_or(0, |at| since_1970(at).as_millis());
    let confirmed = UnixMillis(u64::try_from(confirmed).unwrap());
    kept_at(host).max(confirmed)
}

/// When the survey was taken that the service has kept.
fn kept_at(host: &Host) -> UnixMillis {
    let dir = host.root.join("var/lib/rescind-agent");
    let program = env!("CARGO_BIN_EXE_rescind-agent").as_ref();
    // Busy, it says so.
    let last = last_survey(program, &dir).unwrap_or_default();
    last.map_or(UnixMillis(0), |last| last.front.taken_at)
}

/// The control plane's end of the connection.
struct Control {
    stream: UnixStream,
    frames: FrameBuffer,
    /// What the control plane keeps.
    kept: Vec<(SectionName, Digest, Vec<u8>)>,
    /// Pieces of sections that came.
    pieces: usize,
}

impl Control {
    /// Connects as the link does, and says what it keeps, if it does.
    fn connect(host: &Host, keeps: bool, kept: Vec<(SectionName, Digest, Vec<u8>)>) -> Self {
        let socket = host.root.join("run/rescind-agent/link.sock");
        let stream = UnixStream::connect(socket).unwrap();
        let mut control = Self {
            stream,
            frames: FrameBuffer::default(),
            kept,
            pieces: 0,
        };
        let Some(Message::Hello(_)) = control.next(SOON) else {
            panic!("no hello");
        };
        let digests = control
            .kept
            .iter()
            .map(|(section, digest, _)| SectionDigest {
                section: section.clone(),
                digest: *digest,
            });
        let sections = keeps.then(|| digests.collect());
        control.send(Welcome {
            protocol: 1,
            chain: ChainHead::default(),
            now: UnixMillis(1),
            sections,
        });
        control
    }

    fn send(&mut self, message: impl Into<Message>) {
        let bytes = message.into().to_frame().to_bytes();
        self.stream.write_all(&bytes).unwrap();
    }

    fn next(&mut self, patience: Duration) -> Option<Message> {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let frame = self.frames.read_from(&mut self.stream).ok()??;
        Message::from_frame(&frame).unwrap()
    }

    /// Takes so many sections; the names of those that came whole, in their order. `answer` says
    /// why one is refused, and whether it may come again.
    fn take(
        &mut self,
        count: usize,
        answer: impl FnMut(&SectionName) -> Option<(String, bool)>,
    ) -> Vec<String> {
        self.take_while(|whole| whole.len() < count, answer)
    }

    /// Takes what comes until the host was surveyed twice more.
    fn take_over_surveys(&mut self, host: &Host) -> Vec<String> {
        let from = surveyed_at(host);
        let mut seen = BTreeSet::from([from]);
        self.take_while(
            |_| {
                // One that was taken has two times, one that found everything the same has one.
                seen.insert(surveyed_at(host));
                seen.len() < 5
            },
            |_| None,
        )
    }

    fn take_while(
        &mut self,
        mut goes_on: impl FnMut(&[String]) -> bool,
        mut answer: impl FnMut(&SectionName) -> Option<(String, bool)>,
    ) -> Vec<String> {
        let begun = Instant::now();
        let mut json = Vec::new();
        let mut whole = Vec::new();
        while goes_on(&whole) {
            assert!(begun.elapsed() < 3 * SOON, "{whole:?}");
            let Some(message) = self.next(Duration::from_millis(100)) else {
                continue;
            };
            let Message::Inventory(part) = message else {
                continue;
            };
            self.pieces += 1;
            assert_eq!(part.at, json.len() as u64);
            assert!(part.json.len() <= 256 << 10);
            json.extend_from_slice(&part.json);
            if !part.last {
                continue;
            }
            assert_eq!(Digest::of(&json), part.digest);
            Document::parse(&part.section, &json).unwrap();
            let refused = answer(&part.section);
            self.kept.retain(|(section, ..)| *section != part.section);
            if refused.is_none() {
                let json = std::mem::take(&mut json);
                self.kept.push((part.section.clone(), part.digest, json));
            }
            json.clear();
            whole.push(part.section.to_string());
            let (refused, again) = refused.unzip();
            self.send(InventoryAck {
                section: part.section,
                digest: part.digest,
                refused,
                again: again.unwrap_or(false),
            });
        }
        whole
    }
}

#[test]
fn sections_are_sent_when_they_changed_and_not_otherwise() {
    let mut host = sown();
    fs::write(host.root.join("etc/rescind/agent.toml"), SURVEY_EVERY).unwrap();
    host.enrol(HostId::from_bytes([7; 16]));
    host.start();
    let all = [
        "host",
        "accounts",
        "ssh_keys",
        "logins",
        "sudo",
        "privileges",
        "deferred",
        "secrets",
    ];

    // A control plane that keeps none is sent none.
    let mut control = Control::connect(&host, false, Vec::new());
    assert_eq!(control.take_over_surveys(&host), [""; 0]);
    drop(control);

    let mut control = Control::connect(&host, true, Vec::new());
    assert_eq!(control.take(8, |_| None), all);
    let pieces = control.pieces;
    let kept = std::mem::take(&mut control.kept);
    drop(control);

    // Connected again, with nothing changed, nothing is sent, survey after survey.
    let mut control = Control::connect(&host, true, kept);
    assert_eq!(control.take_over_surveys(&host), [""; 0]);
    assert_eq!(control.pieces, 0);
    println!("{pieces} pieces at first, none afterwards");

    // A key more is one section.
    let keys = host.root.join("home/alice/.ssh/authorized_keys");
    fs::write(&keys, format!("{KEY}\n{OTHER_KEY} laptop\n")).unwrap();
    let answers = |section: &SectionName| {
        assert_eq!(section.as_str(), "ssh_keys");
        None
    };
    assert_eq!(control.take(1, answers), ["ssh_keys"]);

    // What is refused is not sent again while it is the same, unless there was no room.
    fs::write(&keys, format!("{OTHER_KEY} laptop\n")).unwrap();
    let no = |_: &SectionName| Some(("no".to_owned(), false));
    assert_eq!(control.take(1, no), ["ssh_keys"]);
    assert_eq!(control.take_over_surveys(&host), [""; 0]);
    fs::write(&keys, "").unwrap();
    let mut first = true;
    let later = |_: &SectionName| std::mem::take(&mut first).then(|| ("no room".to_owned(), true));
    let twice = control.take(2, later);
    assert_eq!(twice, ["ssh_keys", "ssh_keys"]);

    // Somebody asks for a section as it is now.
    for (name, want) in [("sudo", None), ("sessions", Some("no section sessions"))] {
        control.send(Query {
            id: 9,
            what: Question::Section {
                section: name.parse().unwrap(),
            },
        });
        let (mut json, begun) = (Vec::new(), Instant::now());
        loop {
            assert!(begun.elapsed() < SOON);
            let Some(Message::Answer(Answer {
                id,
                json: piece,
                last,
                error,
            })) = control.next(Duration::from_millis(200))
            else {
                continue;
            };
            json.extend(piece);
            assert_eq!(id, 9);
            assert_eq!(error.is_some(), want.is_some(), "{error:?}");
            assert!(error.unwrap_or_default().contains(want.unwrap_or("")));
            if last {
                break;
            }
        }
        if want.is_none() {
            Document::parse(&name.parse().unwrap(), &json).unwrap();
        }
    }

    // What the service kept tells what changed last.
    let answer = host.ask(&["inventory", "--diff"]);
    let of = |name: &str| -> Value {
        let sections = answer["sections"].as_array().unwrap();
        let mut found = sections.iter().filter(|one| one["section"] == name);
        found.next().unwrap().clone()
    };
    assert_eq!(of("accounts")["was"], Value::Null);
    let keys_difference = of("ssh_keys");
    let removed = keys_difference["difference"]["removed"].as_array().unwrap();
    assert_eq!(removed.len(), 1, "{keys_difference:#}");
    assert_eq!(removed[0]["source"]["line"], 1);
    host.stop();

    // Without the service, against what it kept last.
    fs::write(&keys, format!("{KEY}\n")).unwrap();
    let said = host
        .command(&["inventory", "--diff", "--section", "ssh_keys"])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("the last survey that was kept: 2"), "{said}");
    assert!(said.contains("  + alice  ssh public key  closed"), "{said}");
    // Lost, nothing is said of what changed, and that is said.
    fs::remove_dir_all(host.root.join("var/lib/rescind-agent/survey")).unwrap();
    let said = host.command(&["inventory", "--diff"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("no earlier survey is kept"), "{said}");
}
