//! `rescind serve`, `rescind check-config`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Global, print};
use crate::config::Config;
use crate::serve::Server;

/// Run the control plane (the service rescind)
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  rescind serve --data-dir /var/lib/rescind --name control.example.com --name 192.0.2.1"
)]
pub struct Serve {
    /// The settings [default: /etc/rescind/control.toml, where it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keys, certificates and the database
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where agents connect
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where operators with a client certificate connect
    #[arg(long, value_name = "ADDRESS:PORT")]
    operator_listen: Option<SocketAddr>,
    /// A name or address of this server, for its certificate; the first is the one hosts check
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

impl Serve {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let mut config = Config::load(self.config.as_deref()).map_err(|error| failed(&error))?;
        if let Some(dir) = self.data_dir {
            config.data_dir = dir;
        }
        if let Some(address) = self.listen {
            config.listen = address;
        }
        config.operator_listen = self.operator_listen.or(config.operator_listen);
        config.socket = global.socket.clone().or(config.socket);
        if !self.names.is_empty() {
            config.names = self.names;
        }
        let config = config.in_range().map_err(|error| failed(&error))?;
        log_to_stderr(&config)?;
        raise_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.worker_threads)
            .max_blocking_threads(16)
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        runtime.block_on(async {
            let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
            // Before anything is served: a signal from here on is not lost.
            let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
            let server = Server::start(config)
                .await
                .map_err(|error| failed(&error))?;
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
            tracing::info!("stopping");
            server.stop().await;
            Ok(())
        })
    }
}

/// Check a control.toml without changing anything
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind check-config && systemctl restart rescind\n  rescind check-config --example"
)]
pub struct CheckConfig {
    /// The file [default: /etc/rescind/control.toml]
    file: Option<PathBuf>,
    /// Print an example that says every setting and its default
    #[arg(long, conflicts_with = "file")]
    example: bool,
}

impl CheckConfig {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.example {
            return print(crate::config::EXAMPLE);
        }
        let named = self
            .file
            .unwrap_or_else(|| crate::config::DEFAULT_PATH.into());
        Config::load(Some(&named)).map_err(|error| Failure::Failed(error.to_string()))?;
        print(&format!("{}: good\n", named.display()))
    }
}

/// One line per event on standard error; RESCIND_LOG says more than the settings.
fn log_to_stderr(config: &Config) -> Result<(), Failure> {
    let level = std::env::var("RESCIND_LOG").unwrap_or_else(|_| config.log.clone());
    let level: tracing::Level = level.parse().map_err(|_| {
        Failure::Usage(format!(
            "RESCIND_LOG={level}: want error, warn, info, debug or trace"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// Each agent is one descriptor: as many as the system lets us have.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
