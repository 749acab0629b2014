//! A host that is a directory, and the agent as a process on it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rescind_agent::config::Trust;
use rescind_agent::store::{HostClock, Options, Store};
use rescind_protocol::frame::FrameBuffer;
use rescind_protocol::message::{Message, Query, Question};
use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority, Order, SignedOrder};
use rescind_protocol::sign::SigningKey;
use serde_json::Value;

pub const SOON: Duration = Duration::from_secs(20);
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPCT30p8rXf3eTcwvOIZOD8ytZR30rd6mM4Q4Re4a3u";

/// A host that is a directory; gone with its value, and so is the agent that runs on it.
pub struct Host {
    pub root: PathBuf,
    pub order_key: SigningKey,
    pub agent: Option<Child>,
}

impl Host {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("rescind-running-{}-{n}", std::process::id()));
        let host = Self {
            root,
            order_key: SigningKey::generate().0,
            agent: None,
        };
        for (path, text) in [
            (
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n\
                 bob:x:1001:1001::/home/bob:/bin/sh\n",
            ),
            (
                "etc/shadow",
                "root:$6$a$b:19000:0:99999:7:::\nalice:$6$a$b:19000:0:99999:7:::\n\
                 bob:$6$a$b:19000:0:99999:7:::\n",
            ),
            ("etc/group", "root:x:0:\nalice:x:1000:\nbob:x:1001:\n"),
            ("etc/shells", "/bin/sh\n"),
            ("etc/ssh/sshd_config", "UsePAM yes\n"),
            ("bin/sh", ""),
            ("root/.ssh/authorized_keys", KEY),
            ("home/alice/.keep", ""),
            ("var/lib/.keep", ""),
            ("etc/rescind/agent.toml", ""),
        ] {
            let path = host.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        for dir in ["", "etc", "etc/rescind", "var", "var/lib"] {
            fs::set_permissions(host.root.join(dir), Permissions::from_mode(0o755)).unwrap();
        }
        host
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescind-agent"));
        command.args(arguments).arg("--root").arg(&self.root);
        command
    }

    /// Starts the agent; it answers when this returns.
    pub fn start(&mut self) {
        let agent = self.command(&["run"]).stderr(Stdio::null()).spawn();
        self.agent = Some(agent.unwrap());
        // Before there is a socket, a command would open the store itself.
        let socket = self.root.join("run/rescind-agent/admin.sock");
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < SOON, "the agent does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.ask(&["status"]);
    }

    /// Asks it to stop, as a service manager does.
    pub fn stop(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(agent.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
        assert_eq!(agent.wait().unwrap().code(), Some(0));
    }

    pub fn try_ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).arg("--json").output().unwrap()
    }

    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.try_ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `enrol` leaves when the control plane has let the host in.
    pub fn enrol(&self, host: HostId) {
        let dir = self.root.join("var/lib/rescind-agent");
        Store::begin(&dir, HostClock, "0.1.0", Options::default()).unwrap();
        let trust = Trust {
            host_id: host,
            servers: vec!["rescind.test".parse().unwrap()],
            server_name: "rescind.test".parse().unwrap(),
            order_keys: vec![self.order_key.verifying_key()],
            ca_sha256: Digest::of(b"ca"),
            enrolled_at_ms: UnixMillis(1),
        };
        trust.store(&self.root).unwrap();
    }

    /// Carries an order to the host.
    pub fn apply(&self, seq: u64, action: Action) -> Output {
        let file = self.order(seq, action);
        self.try_ask(&["apply", file.to_str().unwrap()])
    }

    /// What an order would do.
    #[track_caller]
    pub fn dry_run(&self, action: Action) -> Value {
        let file = self.order(1, action);
        let said = self.try_ask(&["apply", file.to_str().unwrap(), "--dry-run"]);
        let answer = serde_json::from_slice(&said.stdout);
        answer.unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// A signed order in a file.
    fn order(&self, seq: u64, action: Action) -> PathBuf {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        let order = Order {
            id: OrderId::from_bytes(u128::from(seq).to_be_bytes()),
            host: HostId::from_bytes([7; 16]),
            seq,
            issued_at: UnixMillis(now),
            expires_at: UnixMillis(now + 60_000),
            action,
            authority: Authority {
                asked_by: "dana@example.com".into(),
                approved_by: vec![],
                ticket: "OFF-1".into(),
                reason: "left the company".into(),
                source: "cli".into(),
            },
        };
        let file = self.root.join("order");
        fs::write(&file, SignedOrder::seal(order, &self.order_key).to_bytes()).unwrap();
        file
    }

    pub fn disable(&self, seq: u64, name: &str) -> Output {
        let account = name.parse().unwrap();
        self.apply(seq, Action::DisableAccount { account })
    }

    /// Connects as the link does; the first message.
    pub fn hello(&self) -> Option<Message> {
        let socket = self.root.join("run/rescind-agent/link.sock");
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (mut frames, mut piece) = (FrameBuffer::default(), [0; 1024]);
        loop {
            if let Some(frame) = frames.next_frame().unwrap() {
                return Message::from_frame(&frame).unwrap();
            }
            match stream.read(&mut piece).unwrap() {
                0 => return None,
                count => frames.extend(&piece[..count]),
            }
        }
    }

    /// Connects as the link does and asks something; the JSON of the answer.
    pub fn ask_over_the_link(&self, what: Question) -> Value {
        let socket = self.root.join("run/rescind-agent/link.sock");
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let query = Message::from(Query { id: 1, what });
        stream.write_all(&query.to_frame().to_bytes()).unwrap();
        let (mut frames, mut piece, mut json) = (FrameBuffer::default(), [0; 1024], Vec::new());
        loop {
            while let Some(frame) = frames.next_frame().unwrap() {
                if let Some(Message::Answer(answer)) = Message::from_frame(&frame).unwrap() {
                    assert_eq!((answer.id, answer.error), (1, None));
                    json.extend_from_slice(&answer.json);
                    if answer.last {
                        return serde_json::from_slice(&json).unwrap();
                    }
                }
            }
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the agent hung up");
            frames.extend(&piece[..count]);
        }
    }

    pub fn events(&self) -> Vec<String> {
        let evidence = self.ask(&["evidence"]);
        assert_eq!(evidence["broken"], Value::Null, "{evidence}");
        let records = evidence["records"].as_array().unwrap();
        let events = records.iter().map(|record| record["event"].as_str());
        events.map(|event| event.unwrap().to_owned()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}
