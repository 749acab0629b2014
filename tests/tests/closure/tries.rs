//! The attempts.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rescind_tests::{Login, Master, Session, run_with, wait_for};

use super::route::{Route, Try};
use super::stage::{PASSWORD, Stage};

/// How many are made at the same time.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(40);
/// How long what runs by itself is watched.
const WATCHED: Duration = Duration::from_millis(2500);

/// Something that was opened before and stays.
pub enum Live {
    Session(Session),
    Master(Master),
    /// A client that forwards, and the port that it was given.
    Forwarding(Child, u16),
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Self::Forwarding(client, _) = self {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// What an attempt came to; if not to anything, what was said.
type Tried = Result<(), String>;

impl Stage<'_> {
    /// Has every account do what it does when it is logged in, and opens what stays open.
    pub fn begin(&self, routes: &[Route]) {
        for route in routes.iter().filter(|route| !route.begin.is_empty()) {
            let script = format!("exec >/dev/null 2>/dev/null; {}", route.begin);
            let ran = self.login(route.account).run(&script);
            assert!(ran.succeeded(), "{}: {ran:?}", route.account);
        }
        for route in routes {
            let name = route.account;
            let live = match route.attempt {
                Try::Session => Live::Session(self.login(name).open()),
                Try::Master => Live::Master(self.login(name).open_master()),
                Try::Reverse => self.forward(name, "-R", 7001, answering()),
                Try::Tunnel => {
                    let port = free_port();
                    self.forward(name, "-L", port, 22)
                }
                _ => continue,
            };
            self.live.lock().unwrap().insert(name, live);
        }
    }

    /// Makes every attempt once.
    pub fn attempts(&self, routes: &[Route]) -> Vec<Tried> {
        let marks = self.marks();
        self.give_a_turn(routes);
        let results: Mutex<Vec<Option<Tried>>> = Mutex::new(routes.iter().map(|_| None).collect());
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        let Some(route) = routes.get(nth) else { break };
                        let tried = match route.attempt {
                            Try::Mark => continue,
                            _ => self.attempt(route),
                        };
                        results.lock().unwrap()[nth] = Some(tried);
                    }
                });
            }
            std::thread::sleep(WATCHED);
        });
        let now = self.marks();
        let grown = |name: &str| {
            now.get(name).copied().unwrap_or(0) > marks.get(name).copied().unwrap_or(0)
        };
        assert!(grown("bob"), "{}: cron does not run bob's job", self.on);
        assert!(
            self.login("bob").attempt().is_in(),
            "{}: bob does not get in",
            self.on
        );
        let results = results.into_inner().unwrap();
        routes
            .iter()
            .zip(results)
            .map(|(route, result)| {
                result.unwrap_or_else(|| match grown(route.account) {
                    true => Ok(()),
                    false => Err("nothing runs".into()),
                })
            })
            .collect()
    }

    /// Lets come due what is deferred: cron and atd look anew, sockets and paths are touched, and
    /// lingering accounts have their systemd started as at a boot.
    fn give_a_turn(&self, routes: &[Route]) {
        let names: Vec<&str> = routes.iter().map(|route| route.account).collect();
        self.script(&format!(
            "set +e
             for name in {}; do
                 job=$(find /var/spool/cron/atjobs -user $name -name 'a*' 2>/dev/null | sort | head -1)
                 [ -z \"$job\" ] || mv $job $(dirname $job)/$(basename $job | cut -c1-6)$(printf %08x $(($(date +%s) / 60)))
                 [ ! -e /var/lib/systemd/linger/$name ] || systemctl start --no-block user@$(id -u $name)
             done
             rm -f /run/crond.reboot; systemctl restart cron atd
             echo x >>/var/provoked
             perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(q(/run/provoked.sock))'
             true",
            names.join(" ")
        ));
    }

    /// How much every mark has grown so far.
    fn marks(&self) -> std::collections::BTreeMap<String, u64> {
        let listed = self
            .host
            .run("cd /var/marks && stat -c '%s %n' * || true")
            .ok()
            .text();
        let line = |line: &str| {
            let (size, name) = line.split_once(' ')?;
            Some((name.to_owned(), size.parse().ok()?))
        };
        listed.lines().filter_map(line).collect()
    }

    fn attempt(&self, route: &Route) -> Tried {
        let name = route.account;
        match route.attempt {
            Try::Key(port, command) => {
                let port = format!("Port={port}");
                told(&self.login(name).option(&port).run(command))
            }
            Try::KeyAs(other) => told(&self.login(other).run("echo inside")),
            Try::Password(port, method) => self.with_password(name, port, method),
            Try::Certificate(principal) => self.with_certificate(name, principal),
            Try::Forward => {
                let mut ssh = self.ssh();
                ssh.args(["-W", "127.0.0.1:22"]);
                let destination = format!("{name}@{}", self.host.address());
                let ran = run_with(ssh.arg(destination), b"SSH-2.0-x\r\n\r\n", PATIENCE);
                match ran.text().starts_with("SSH-") {
                    true => Ok(()),
                    false => Err(format!("{ran:?}")),
                }
            }
            Try::Sftp => {
                let mut sftp = Command::new("sftp");
                sftp.args(["-F", "/dev/null", "-b", "-", "-i"])
                    .arg(self.key.private());
                for option in OPTIONS {
                    sftp.args(["-o", option]);
                }
                let destination = format!("{name}@{}", self.host.address());
                let ran = run_with(sftp.arg(destination), b"ls /etc/hostname\n", PATIENCE);
                match ran.succeeded() {
                    true => Ok(()),
                    false => Err(format!("{ran:?}")),
                }
            }
            Try::OnHost(script) => {
                let script = format!("set +e; u={name} home=/home/{name}\n{script}");
                told(&self.try_script(&script))
            }
            Try::Session | Try::Master | Try::Reverse | Try::Tunnel => self.try_live(route),
            Try::Mark => Err("a mark is watched".into()),
        }
    }

    fn try_live(&self, route: &Route) -> Tried {
        let mut all = self.live.lock().unwrap();
        let live = all.get_mut(route.account).ok_or("it was not opened")?;
        let ended = || Err("it has ended".to_owned());
        match live {
            Live::Session(session) => session.is_open().then_some(()).ok_or("it has ended".into()),
            Live::Master(master) => match master.is_open() {
                true => told(&master.run("echo inside")),
                false => ended(),
            },
            Live::Forwarding(client, port) => {
                let port = *port;
                let lives = matches!(client.try_wait(), Ok(None));
                drop(all);
                match route.attempt {
                    Try::Reverse => {
                        told(&self.try_script(&format!(
                            "exec 3<>/dev/tcp/127.0.0.1/{port} && head -1 <&3"
                        )))
                    }
                    _ if lives && greets(port) => Ok(()),
                    _ => ended(),
                }
            }
        }
    }

    fn login<'s>(&'s self, name: &'s str) -> Login<'s> {
        Login::to(&self.host, name).with(&self.key)
    }

    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-i"]).arg(self.key.private());
        for option in OPTIONS {
            ssh.args(["-o", option]);
        }
        ssh
    }

    fn forward(&self, name: &str, how: &str, port: u16, to: u16) -> Live {
        let mut ssh = self.ssh();
        ssh.args(["-N", "-o", "ExitOnForwardFailure=yes", how])
            .arg(format!("127.0.0.1:{port}:127.0.0.1:{to}"))
            .arg(format!("{name}@{}", self.host.address()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let client = ssh.spawn().unwrap();
        if how == "-L" {
            wait_for("a tunnel", PATIENCE, || greets(port).then_some(()));
        } else {
            self.host.wait_until(
                &format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null"),
                PATIENCE,
            );
        }
        Live::Forwarding(client, port)
    }

    fn with_password(&self, name: &str, port: u16, method: &str) -> Tried {
        let askpass = self.key.private().with_file_name("askpass");
        if !askpass.exists() {
            use std::os::unix::fs::PermissionsExt;
            let made = askpass.with_extension(name);
            fs::write(&made, format!("#!/bin/sh\necho {PASSWORD}\n")).unwrap();
            fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&made, &askpass).unwrap();
        }
        let mut ssh = Command::new("setsid");
        ssh.env("SSH_ASKPASS", askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .args([
                "-w",
                "ssh",
                "-F",
                "/dev/null",
                "-n",
                "-p",
                &port.to_string(),
            ])
            .arg(format!("-oPreferredAuthentications={method}"))
            .args(["-oBatchMode=no", "-oNumberOfPasswordPrompts=1"]);
        for option in OPTIONS {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("{name}@{}", self.host.address()))
            .arg("echo inside");
        told(&run_with(&mut ssh, &[], PATIENCE))
    }

    fn with_certificate(&self, name: &str, principal: &str) -> Tried {
        // Beside the private key, where ssh looks for it; each attempt has its own copy.
        let dir = self
            .key
            .private()
            .with_file_name(format!("certificate-{name}"));
        if !dir.exists() {
            fs::create_dir(&dir).unwrap();
            let quiet = |command: &mut Command| run_with(command, &[], PATIENCE).ok();
            quiet(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(dir.join("id")),
            );
            quiet(
                Command::new("ssh-keygen")
                    .args(["-q", "-I", name, "-n", principal, "-s"])
                    .arg(self.authority.private())
                    .arg(dir.join("id.pub")),
            );
        }
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-i"]).arg(dir.join("id"));
        for option in OPTIONS {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("{name}@{}", self.host.address()))
            .arg("echo inside");
        told(&run_with(&mut ssh, &[], PATIENCE))
    }
}

const OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "ConnectTimeout=10",
    "LogLevel=ERROR",
];

/// Whoever got in has said so. A host that did not answer at all has proved nothing.
fn told(ran: &rescind_tests::Ran) -> Tried {
    let from_here = ran.what.starts_with("ssh ") || ran.what.starts_with("setsid ");
    let silent = ["timed out", "Connection refused", "No route to host"];
    let said = ran.errors();
    assert!(
        !(from_here && silent.iter().any(|words| said.contains(words))),
        "no answer: {ran:?}"
    );
    match ran.text().contains("inside") {
        true => Ok(()),
        false => Err(format!("{ran:?}")),
    }
}

fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .is_ok()
        && (&stream).read_exact(&mut greeting).is_ok()
        && &greeting == b"SSH-"
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A port of this machine at which whoever comes is told that they are inside.
fn answering() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"inside\n");
        }
    });
    port
}
