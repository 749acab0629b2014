//! A control plane on this machine, on its own port, with its own data, and its operator.

use crate::command::{Ran, run, wait_for, wait_for_end};
use crate::host::{CONTROL_NAME, Host};
use crate::key::private_dir;
use crate::order::Order;
use crate::package::control_binary;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who asks for a revocation, why, and under which ticket: no order is issued without them.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asked.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The ticket.
    pub ticket: &'a str,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            by: "carol@example.com",
            reason: "left the company",
            ticket: "HR-1042",
        }
    }
}

/// `rescind serve`, started on this machine; it and its data go when this is dropped.
pub struct ControlPlane {
    dir: PathBuf,
    port: u16,
    server: Mutex<Option<Child>>,
}

impl ControlPlane {
    /// Starts one with nothing in it and waits until it answers its operator.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with further lines of control.toml.
    #[track_caller]
    pub fn start_with(settings: &str) -> Self {
        let dir = private_dir("control");
        let port = free_port();
        let config = format!(
            "data_dir = \"{dir}/data\"\n\
             socket = \"{dir}/operator.sock\"\n\
             listen = \"0.0.0.0:{port}\"\n\
             operator_listen = \"127.0.0.1:{}\"\n\
             names = [\"{CONTROL_NAME}\"]\n{settings}",
            free_port(),
            dir = dir.display(),
        );
        if let Err(error) = fs::write(dir.join("control.toml"), config) {
            panic!("could not write into {}: {error}", dir.display());
        }
        let control = Self {
            dir,
            port,
            server: Mutex::new(None),
        };
        control.restart();
        control
    }

    /// Starts the server (again) on the data it has.
    #[track_caller]
    pub fn restart(&self) {
        self.kill();
        let log = self.log();
        let output = File::options().create(true).append(true).open(&log);
        let (output, errors) = match output.and_then(|file| Ok((file.try_clone()?, file))) {
            Ok(files) => files,
            Err(error) => panic!("could not write {}: {error}", log.display()),
        };
        let started = Command::new(control_binary())
            .args(["serve", "--config"])
            .arg(self.dir.join("control.toml"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn();
        match started {
            Ok(child) => *self.server() = Some(child),
            Err(error) => panic!("could not start `rescind serve`: {error}"),
        }
        wait_for("`rescind serve` to answer", Duration::from_secs(30), || {
            if let Some(Ok(Some(status))) = self.server().as_mut().map(Child::try_wait) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("`rescind serve` ended with {status}:\n{said}");
            }
            (self.dir.join("operator.sock").exists() && self.rescind(&["hosts"]).succeeded())
                .then_some(())
        });
    }

    /// Ends the server with SIGKILL, as a crash would. Nothing happens when it does not run.
    pub fn kill(&self) {
        if let Some(mut server) = self.server().take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Ends the server in good order.
    #[track_caller]
    pub fn stop(&self) {
        let Some(mut server) = self.server().take() else {
            return;
        };
        if let Err(error) = kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM) {
            panic!("could not signal `rescind serve`: {error}");
        }
        let end = wait_for_end(&mut server, Duration::from_secs(30));
        assert!(end.is_some(), "`rescind serve` did not stop");
    }

    /// The server's process id, for measuring it.
    pub fn pid(&self) -> Option<u32> {
        self.server().as_ref().map(Child::id)
    }

    /// What the server has logged.
    pub fn log(&self) -> PathBuf {
        self.dir.join("serve.log")
    }

    /// Where it keeps its keys and its database.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The port agents connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name in its certificate.
    pub fn name(&self) -> &'static str {
        CONTROL_NAME
    }

    /// An operator's command, as it is typed on this machine.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(control_binary());
        command
            .arg("--socket")
            .arg(self.dir.join("operator.sock"))
            .args(words);
        command
    }

    /// Runs an operator's command to its end.
    #[track_caller]
    pub fn rescind(&self, words: &[&str]) -> Ran {
        let mut ran = run(&mut self.command(words));
        ran.what = format!("rescind {}", words.join(" "));
        ran
    }

    /// One of the server's numbers, as monitoring reads them.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        let text = match self.try_metrics() {
            Ok(text) => text,
            Err(error) => panic!("no metrics: {error}"),
        };
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        match line.and_then(|value| value.trim().parse().ok()) {
            Some(value) => value,
            None => panic!("no number {name} in\n{text}"),
        }
    }

    fn try_metrics(&self) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.dir.join("operator.sock"))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// A join token for one host.
    #[track_caller]
    pub fn token(&self) -> String {
        self.rescind(&["token", "new"]).ok().text()
    }

    /// Enrols a host that has the agent installed, and waits until the control plane sees it.
    /// Returns the id it got.
    #[track_caller]
    pub fn enrol(&self, host: &Host) -> String {
        let enrol = format!(
            "rescind-agent enrol --server {CONTROL_NAME}:{} --token -",
            self.port
        );
        host.run_with(&enrol, self.token().as_bytes()).ok();
        host.run("systemctl restart rescind-agent rescind-link")
            .ok();
        wait_for(
            &format!("{} to connect", host.name()),
            Duration::from_secs(30),
            || {
                let hosts = self.rescind(&["hosts", "--json"]).ok().json();
                let hosts = hosts.as_array()?;
                let ours = hosts.iter().find(|entry| entry["name"] == host.name())?;
                (ours["connected"] == true).then(|| ours["id"].as_str().map(str::to_owned))?
            },
        )
    }

    /// Orders that an account of a host be disabled.
    #[track_caller]
    pub fn revoke_account(&self, host: &str, account: &str, request: Request<'_>) -> Order<'_> {
        self.order(&["revoke", "account", account, "--host", host], request)
    }

    /// Orders that a key open nothing on a host any more.
    #[track_caller]
    pub fn revoke_key(&self, host: &str, fingerprint: &str, request: Request<'_>) -> Order<'_> {
        self.order(&["revoke", "key", fingerprint, "--host", host], request)
    }

    /// Orders that an account be in a group no more; its sessions go on.
    #[track_caller]
    pub fn revoke_group(
        &self,
        host: &str,
        account: &str,
        group: &str,
        request: Request<'_>,
    ) -> Order<'_> {
        let words = [
            "revoke",
            "group",
            group,
            "--account",
            account,
            "--host",
            host,
        ];
        self.order(&words, request)
    }

    /// The same; what still has the group ends.
    #[track_caller]
    pub fn revoke_group_and_sessions(
        &self,
        host: &str,
        account: &str,
        group: &str,
        request: Request<'_>,
    ) -> Order<'_> {
        let words = [
            "revoke",
            "group",
            group,
            "--account",
            account,
            "--host",
            host,
        ];
        self.order(&[&words[..], &["--end-sessions"]].concat(), request)
    }

    /// Orders that sudo let an account do nothing.
    #[track_caller]
    pub fn revoke_sudo(&self, host: &str, account: &str, request: Request<'_>) -> Order<'_> {
        self.order(&["revoke", "sudo", account, "--host", host], request)
    }

    /// Orders that the sessions of an account end, once.
    #[track_caller]
    pub fn end_sessions(&self, host: &str, account: &str, request: Request<'_>) -> Order<'_> {
        self.order(&["end-sessions", account, "--host", host], request)
    }

    /// Orders that what was opened with a key ends, once; `account` for one account only.
    #[track_caller]
    pub fn end_key_sessions(
        &self,
        host: &str,
        fingerprint: &str,
        account: Option<&str>,
        request: Request<'_>,
    ) -> Order<'_> {
        let words = ["end-sessions", "--opened-with", fingerprint, "--host", host];
        self.order(&[&words, account.as_slice()].concat(), request)
    }

    /// Releases an order: what it took comes back.
    #[track_caller]
    pub fn release(&self, order: &str, request: Request<'_>) -> Order<'_> {
        self.order(&["release", order], request)
    }

    #[track_caller]
    fn order(&self, words: &[&str], request: Request<'_>) -> Order<'_> {
        let authority = [
            "--asked-by",
            request.by,
            "--reason",
            request.reason,
            "--ticket",
            request.ticket,
            "--json",
        ];
        let made = self.rescind(&[words, &authority].concat()).ok().json();
        match made["orders"][0]["id"].as_str() {
            Some(id) => Order::new(self, id.to_owned()),
            None => panic!("`rescind {}` named no order: {made}", words.join(" ")),
        }
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.kill();
        // The directory goes, so a failed test shows the log now.
        if std::thread::panicking() {
            eprintln!("the log of `rescind serve`:\n{}", tail(&self.log()));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A port nobody listens on now. Somebody else may take it before we do; the server then says so.
#[track_caller]
fn free_port() -> u16 {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}
