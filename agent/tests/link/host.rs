use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rescind_agent::link::enrol::{EnrolError, Enrolment, Summary, enrol};
use rescind_agent::store::{HostClock, Options, Store};
use rescind_protocol::enrol::{JoinToken, TokenSecret};
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::name::Digest;
use rescind_protocol::sign::SigningKey;

use crate::control::{Ca, Control, SOON, enrolled};

/// The link's user on the hosts that are played.
pub const LINK_UID: u32 = 64_007;

/// The agent's binary: the one built with these tests, or another one to be measured.
pub fn agent() -> PathBuf {
    match std::env::var_os("RESCIND_AGENT") {
        Some(path) => path.into(),
        None => env!("CARGO_BIN_EXE_rescind-agent").into(),
    }
}

/// A root directory that goes away with its value.
pub struct Host {
    pub root: PathBuf,
}

impl Host {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "rescind-link-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        for dir in ["etc/rescind", "run/rescind-agent", "var/lib"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for dir in ["", "etc", "etc/rescind", "run", "run/rescind-agent", "var"] {
            fs::set_permissions(root.join(dir), Permissions::from_mode(0o755)).unwrap();
        }
        let host = Self { root };
        host.write(
            "etc/passwd",
            &format!(
                "root:x:0:0::/root:/bin/sh\nrescind-link:x:{LINK_UID}:{LINK_UID}::/:/bin/false\n"
            ),
        );
        host.write("etc/hostname", "web-1\n");
        host.write(
            "etc/rescind/agent.toml",
            "[link]\nheartbeat-s = 1\n[log]\nlevel = 'debug'\n",
        );
        host
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
        fs::set_permissions(self.root.join(path), Permissions::from_mode(0o644)).unwrap();
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.root.join(path)).ok()
    }

    /// Asks a control plane to let this host in.
    pub fn enrol(&self, server: &str, token: &JoinToken) -> Result<Summary, EnrolError> {
        enrol(Enrolment {
            servers: vec![server.parse().unwrap()],
            token: token.clone(),
            root: self.root.clone(),
            name: "web-1".parse().unwrap(),
            evidence_key: self.evidence_key(),
        })
    }

    /// The key that signs the host's evidence, as `enrol` has it made.
    pub fn evidence_key(&self) -> SigningKey {
        let dir = self.root.join("var/lib/rescind-agent");
        Store::begin(&dir, HostClock, "0.1.0", Options::default()).unwrap()
    }

    /// A host that has joined, with a certificate of this validity.
    pub fn enrolled(ca: &Ca, control: &Control, valid: (u64, u64)) -> Self {
        let host = Self::new();
        // The server that hosts join at is believed at this instant, whatever comes later.
        let joining = ca.server(crate::control::today());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut line = joining.accept();
                let request = line.enrol_request();
                line.send(enrolled(ca, &request.csr, valid));
                line.next_frame();
            });
            let server = format!("localhost:{}", joining.port());
            host.enrol(&server, &token(ca)).unwrap();
        });
        let path = host.root.join("etc/rescind/trust.toml");
        let trust = fs::read_to_string(&path).unwrap();
        let trust = trust.replace(&joining.port().to_string(), &control.port().to_string());
        fs::write(&path, trust).unwrap();
        host
    }

    /// Plays the root half.
    pub fn root_half(&self) -> RootHalf {
        let path = self.root.join("run/rescind-agent/link.sock");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        RootHalf(listener)
    }

    /// Starts the link's process.
    pub fn link(&self) -> Link {
        let log = self.root.join("link.log");
        let child = Command::new(agent())
            .arg("link")
            .arg("--root")
            .arg(&self.root)
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Link { child, log }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub fn token(ca: &Ca) -> JoinToken {
    JoinToken {
        secret: TokenSecret::generate(),
        ca: ca.digest(),
    }
}

pub fn token_for(ca: Digest) -> JoinToken {
    JoinToken {
        secret: TokenSecret::generate(),
        ca,
    }
}

pub struct RootHalf(UnixListener);

impl RootHalf {
    pub fn accept(&self) -> Local {
        self.accept_within(SOON).expect("the link did not come")
    }

    pub fn accept_within(&self, wait: Duration) -> Option<Local> {
        self.0.set_nonblocking(true).unwrap();
        let by = Instant::now() + wait;
        while Instant::now() < by {
            if let Ok((stream, _)) = self.0.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                return Some(Local {
                    stream,
                    frames: FrameBuffer::default(),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

/// One connection of the link, seen from the root half.
pub struct Local {
    pub stream: UnixStream,
    frames: FrameBuffer,
}

impl Local {
    pub fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.to_bytes()).unwrap();
    }

    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes).expect("the link sent nothing") {
                0 => return None,
                len => self.frames.extend(&bytes[..len]),
            }
        }
    }
}

/// The link's process; it ends with its value.
pub struct Link {
    child: Child,
    log: PathBuf,
}

impl Link {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log says something.
    pub fn says(&self, words: &str) {
        let by = Instant::now() + SOON;
        while !self.log().contains(words) {
            assert!(Instant::now() < by, "no {words:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A line of /proc/PID/status.
    pub fn status(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(Path::new(&path)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    }

    /// Resident memory, in KiB.
    pub fn rss_kib(&self) -> u64 {
        let line = self.status("VmRSS");
        line.split(' ').next().unwrap().parse().unwrap()
    }

    /// SIGTERM; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        let by = Instant::now() + SOON;
        while Instant::now() < by {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the link does not stop");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the link said:\n{}", self.log());
        }
    }
}
