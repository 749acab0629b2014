//! `rescind serve` as a process of its own, which can be killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::operator::Operator;

pub struct ServerProcess {
    pub dir: PathBuf,
    pub agents: SocketAddr,
    pub operators: SocketAddr,
    child: Option<Child>,
}

impl ServerProcess {
    /// Starts it on free ports, with these lines of settings more.
    pub async fn start(settings: &str) -> Self {
        let unique = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let dir = std::env::temp_dir().join(format!("rescind-serve-{unique}"));
        std::fs::create_dir_all(&dir).unwrap();
        let (agents, operators) = (free_port(), free_port());
        let text = format!(
            "data_dir = {:?}\nlisten = \"{agents}\"\noperator_listen = \"{operators}\"\n\
             socket = {:?}\nnames = [\"localhost\", \"127.0.0.1\"]\n{settings}",
            dir.join("data"),
            dir.join("operator.sock"),
        );
        std::fs::write(dir.join("control.toml"), text).unwrap();
        let mut process = Self {
            dir,
            agents,
            operators,
            child: None,
        };
        process.start_again().await;
        process
    }

    pub async fn start_again(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rescind"))
            .args(["serve", "--config"])
            .arg(self.dir.join("control.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..400 {
            if tokio::net::UnixStream::connect(self.dir.join("operator.sock"))
                .await
                .is_ok()
            {
                return;
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("ended with {status}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("does not answer:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn operator(&self) -> Operator {
        Operator::new(self.dir.join("operator.sock"))
    }

    /// Runs a command of an operator on this machine.
    pub async fn rescind(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
        command
            .arg("--socket")
            .arg(self.dir.join("operator.sock"))
            .args(words);
        command.env_remove("SUDO_USER").env_remove("RESCIND_SERVER");
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Resident memory.
    pub fn rss_kib(&self) -> i64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Each connection is a descriptor here too.
pub fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(100_000), hard).unwrap();
}
