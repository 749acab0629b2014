//! Logins with the real ssh client: a single attempt, a session that stays, a master that stays.

use crate::command::{Ran, run_with, wait_for, wait_for_end};
use crate::host::Host;
use crate::key::{Key, private_dir};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for sshd to let someone in or to say no.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a session prints once the shell of the account runs its command.
const INSIDE: &str = "rescind-tests-inside";

/// What came of one attempt to log in.
#[must_use]
#[derive(Debug)]
pub enum Attempt {
    /// The account's shell ran a command.
    In,
    /// sshd, PAM or the shell said no; with what the client printed.
    Refused(String),
    /// There was no answer from an sshd; with what the client printed. Never proof of a closed path.
    Unreachable(String),
}

impl Attempt {
    /// True when it got in.
    pub fn is_in(&self) -> bool {
        matches!(self, Self::In)
    }

    /// True when the host said no; a host that did not answer has not.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Who wants to log in where, and with what.
#[derive(Clone)]
pub struct Login<'a> {
    host: &'a Host,
    account: &'a str,
    keys: Vec<&'a Key>,
    options: Vec<String>,
}

impl<'a> Login<'a> {
    /// A login as `account`, so far without a key.
    pub fn to(host: &'a Host, account: &'a str) -> Self {
        Self {
            host,
            account,
            keys: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Offers this key.
    pub fn with(mut self, key: &'a Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets a further option of ssh_config(5), as `Name=value`; the first of a name wins.
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Tries to run one command.
    #[track_caller]
    pub fn attempt(&self) -> Attempt {
        let ran = self.run(&format!("echo {INSIDE}"));
        if ran.text().lines().any(|line| line.trim_end() == INSIDE) {
            return Attempt::In;
        }
        let said = ran.errors();
        let silent = [
            "timed out",
            "Connection refused",
            "No route to host",
            "unreachable",
        ];
        // The client ends with 255 for its own troubles, with the command's status otherwise.
        if ran.code() == 255 && silent.iter().any(|words| said.contains(words)) {
            Attempt::Unreachable(said)
        } else {
            Attempt::Refused(said)
        }
    }

    /// Runs a command on the host as the account.
    #[track_caller]
    pub fn run(&self, command: &str) -> Ran {
        run_with(
            self.ssh().arg(self.destination()).arg(command),
            &[],
            PATIENCE,
        )
    }

    /// Logs in with a terminal and stays, as someone at work does.
    #[track_caller]
    pub fn open(&self) -> Session {
        let stay = format!("echo {INSIDE}; exec sleep 100000");
        let mut child = start(self.ssh().arg("-tt").arg(self.destination()).arg(stay));
        let inside = child.stdout.take().is_some_and(|stdout| {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .any(|line| line.trim_end() == INSIDE)
        });
        assert!(
            inside,
            "{} could not open a session on {}: {:?}",
            self.account,
            self.host.name(),
            self.attempt()
        );
        Session { child }
    }

    /// Opens a master connection (ssh -M) that later commands can use without logging in again.
    #[track_caller]
    pub fn open_master(&self) -> Master {
        let dir = private_dir("mux");
        let socket = dir.join("s");
        let control = format!("ControlPath={}", socket.display());
        let child = start(
            self.ssh()
                .args(["-M", "-N", "-o", &control, "-o", "ControlPersist=no"])
                .arg(self.destination()),
        );
        let mut master = Master {
            session: Session { child },
            dir,
            control,
            destination: self.destination(),
        };
        wait_for("an ssh master to be ready", PATIENCE, || {
            assert!(
                master.is_open(),
                "{} could not open an ssh master: {:?}",
                self.account,
                self.attempt()
            );
            socket.exists().then_some(())
        });
        master
    }

    fn destination(&self) -> String {
        format!("{}@{}", self.account, self.host.address())
    }

    /// The client with nothing of this machine's own configuration, agent or known hosts.
    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-F", "/dev/null"]);
        for option in &self.options {
            command.args(["-o", option]);
        }
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        for key in &self.keys {
            command.arg("-i").arg(key.private());
        }
        if self.keys.is_empty() {
            command.args(["-o", "IdentityFile=/dev/null"]);
        }
        command
    }
}

/// A client that is connected until the host ends it or it is dropped.
pub struct Session {
    child: Child,
}

impl Session {
    /// True while the client has not ended.
    pub fn is_open(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the host to end it; the time that took, or `None` when it is still open after
    /// `patience`.
    pub fn wait_closed(&mut self, patience: Duration) -> Option<Duration> {
        let begin = Instant::now();
        wait_for_end(&mut self.child, patience).map(|_| begin.elapsed())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An open ssh master.
pub struct Master {
    session: Session,
    dir: PathBuf,
    control: String,
    destination: String,
}

impl Master {
    /// True while the master has not ended.
    pub fn is_open(&mut self) -> bool {
        self.session.is_open()
    }

    /// Waits for the host to end it, as [`Session::wait_closed`].
    pub fn wait_closed(&mut self, patience: Duration) -> Option<Duration> {
        self.session.wait_closed(patience)
    }

    /// Runs a command through the master and through nothing else: where the master is gone, the
    /// client must not fall back to a connection of its own.
    #[track_caller]
    pub fn run(&self, command: &str) -> Ran {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "/dev/null",
            "-o",
            &self.control,
            "-o",
            "ProxyCommand=false",
        ])
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
            &self.destination,
            command,
        ]);
        run_with(&mut ssh, &[], PATIENCE)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[track_caller]
fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("could not start ssh: {error}"),
    }
}
