//! `rescind-agent link`, from start to SIGTERM: wait for the root half, connect, pump, again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rescind_protocol::name::Digest;
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::backoff::{Backoff, random};
use super::connect::{ConnectError, connect};
use super::identity::{Identity, IdentityError};
use super::pump::{End, Patience, pump};
use super::renewal::Renewal;
use super::sandbox::{self, FileWall, SandboxError};
use super::tls;
use crate::config::{LinkSettings, LinkUser, LinkUserError, ServerAddress, Trust, layout};
use crate::sys::ids::effective_uid;
use crate::sys::memory::Code;
use crate::sys::sandbox::become_user;
use crate::sys::service::notify;

/// How often it is looked whether the root half is there yet.
const ROOT_HALF_POLL: Duration = Duration::from_millis(250);
/// How long after the beginning of a connection the memory that it took to begin is given back.
const SETTLED: Duration = Duration::from_secs(3);
/// How many different complaints are remembered.
const COMPLAINTS_KEPT: usize = 8;
/// How long a connection may take to be closed politely.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Why the link cannot run at all. Everything else it waits out.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It was started as root and has nobody to become.
    #[error(transparent)]
    User(#[from] LinkUserError),
    /// It could not become its own user.
    #[error("cannot become the link's user: {0}")]
    Become(io::Error),
    /// It could not be confined.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The system gives no event loop, thread or signal handler.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// Runs the link of the host beneath `root` until SIGTERM or SIGINT.
///
/// The calling process must have one thread only: it gives up root, if it has it, and confines
/// itself first.
pub fn run(root: &Path, settings: LinkSettings, trust: &Trust) -> Result<(), LinkError> {
    if effective_uid() == 0 {
        let user = LinkUser::look_up(root)?;
        become_user(user.uid, user.gid).map_err(LinkError::Become)?;
    }
    // Only to save memory: without it the link runs as well.
    let code = Code::of_this_process().ok();
    match sandbox::enter(root, &trust.servers)? {
        FileWall::Full => tracing::debug!("confined to its own files, ports and system calls"),
        FileWall::Partial => tracing::debug!("confined, as far as this kernel's Landlock goes"),
        FileWall::None => {
            tracing::info!("this kernel has no Landlock: confined by system calls only")
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For the resolver alone, which is seldom asked: no thread is kept.
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_secs(1))
        .thread_stack_size(256 * 1024)
        .build()
        .map_err(LinkError::Runtime)?;
    runtime.block_on(async {
        let mut stop = Stop::new().map_err(LinkError::Runtime)?;
        say("READY=1");
        let mut link = Link::new(root, settings, trust, code);
        tokio::select! {
            () = link.keep_connected() => {}
            () = stop.asked() => {}
        }
        say("STOPPING=1");
        link.close().await;
        tracing::info!("stopped");
        Ok(())
    })
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Why one attempt ended.
#[derive(Debug, thiserror::Error)]
enum Attempt {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the link's certificate cannot be used: {0}")]
    Config(#[from] rustls::Error),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot reach the root half of the agent at {}: {source}", path.display())]
    RootHalf { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Ended(End),
}

struct Link<'a> {
    root: &'a Path,
    settings: LinkSettings,
    trust: &'a Trust,
    code: Option<Code>,
    /// The connection to the control plane, while there is one.
    stream: Option<TlsStream<TcpStream>>,
    /// The root half's socket was there, but nobody behind it.
    root_half_gone: bool,
    backoff: Backoff,
    /// The configuration made for an identity, kept so that sessions can be resumed.
    tls: Option<(Digest, Arc<ClientConfig>)>,
    /// The server to begin with.
    next_server: usize,
    /// When a new certificate was last asked for.
    renewal_asked: Option<Instant>,
    /// What has been complained of since the last connection, to say it once and not every two
    /// minutes.
    complaints: Vec<String>,
}

impl<'a> Link<'a> {
    fn new(root: &'a Path, settings: LinkSettings, trust: &'a Trust, code: Option<Code>) -> Self {
        Self {
            root,
            settings,
            trust,
            code,
            stream: None,
            root_half_gone: false,
            backoff: Backoff::default(),
            tls: None,
            next_server: random() as usize,
            renewal_asked: None,
            complaints: Vec::new(),
        }
    }

    async fn keep_connected(&mut self) {
        loop {
            let mut local = self.root_half().await;
            let mut wait = None;
            for _ in 0..self.trust.servers.len() {
                let server = &self.trust.servers[self.next_server % self.trust.servers.len()];
                self.next_server = self.next_server.wrapping_add(1);
                let ended = match self.attempt(server, local.take()).await {
                    Ok(never) => match never {},
                    Err(ended) => ended,
                };
                self.complain(&ended);
                wait = match &ended {
                    // The next round begins by waiting for the root half.
                    Attempt::Ended(End::Renewed) | Attempt::RootHalf { .. } => Some(Duration::ZERO),
                    Attempt::Ended(End::RetryAfter { wait, .. }) => {
                        Some(self.backoff.asked(*wait, random()))
                    }
                    _ => None,
                };
                // The others are for when this one cannot be reached.
                if !matches!(ended, Attempt::Connect(_)) {
                    break;
                }
            }
            let wait = wait.unwrap_or_else(|| self.backoff.after_failure(random()));
            tracing::debug!(
                wait_ms = wait.as_millis() as u64,
                "waiting before the next attempt"
            );
            sleep(wait).await;
        }
    }

    /// Waits until the root half is there: without it a connection would be of no use to anybody.
    ///
    /// Where its socket is but nobody answers (it was killed), the first connection that succeeds
    /// is kept: to connect to the control plane each time to find out would be a burden to both.
    async fn root_half(&mut self) -> Option<UnixStream> {
        let path = layout::link_sock(self.root);
        loop {
            let found = if self.root_half_gone {
                UnixStream::connect(&path).await.map(Some)
            } else {
                std::fs::metadata(&path).map(|_| None)
            };
            match found {
                Ok(local) => {
                    self.root_half_gone = false;
                    return local;
                }
                Err(source) => self.complain(&Attempt::RootHalf {
                    path: path.clone(),
                    source,
                }),
            }
            sleep(ROOT_HALF_POLL).await;
        }
    }

    /// One connection, from the first packet to the last.
    async fn attempt(
        &mut self,
        server: &ServerAddress,
        local: Option<UnixStream>,
    ) -> Result<std::convert::Infallible, Attempt> {
        let identity = Identity::load(self.root)?;
        let config = match &self.tls {
            Some((of, config)) if *of == identity.digest => config.clone(),
            _ => {
                let config = tls::known_server(&identity)?;
                self.tls = Some((identity.digest, config.clone()));
                config
            }
        };
        if !identity.validity.contains(tls::now()) {
            self.warn_once(format!(
                "by this host's clock its certificate ({} to {}) does not hold now: set the clock if it is wrong; trying all the same",
                identity.validity.not_before, identity.validity.not_after
            ));
        }
        let stream = connect(server, self.trust.server_name.as_str(), config).await?;
        let stream = self.stream.insert(stream);
        let path = layout::link_sock(self.root);
        let local = match local {
            Some(local) => Ok(local),
            None => UnixStream::connect(&path).await,
        };
        let local = match local {
            Ok(local) => local,
            Err(source) => {
                self.root_half_gone = true;
                self.close().await;
                return Err(Attempt::RootHalf { path, source });
            }
        };
        self.complaints.clear();
        tracing::info!(%server, "connected");
        say(&format!("STATUS=connected to {server}"));
        let mut renewal = Renewal::new(
            self.root.to_owned(),
            &identity,
            random(),
            self.renewal_asked,
        );
        drop(identity);
        let patience = Patience::with_heartbeat(self.settings.heartbeat);
        let code = self.code.as_ref();
        let rest = || code.into_iter().for_each(Code::release);
        let settle = async {
            sleep(SETTLED).await;
            rest();
            std::future::pending().await
        };
        let (end, served) = tokio::select! {
            ended = pump(stream, local, patience, &mut renewal, rest) => ended,
            never = settle => never,
        };
        self.renewal_asked = renewal.asked();
        if served {
            self.backoff.served();
        }
        say(&format!("STATUS=not connected: {end}"));
        self.close().await;
        Err(Attempt::Ended(end))
    }

    /// Says goodbye to the control plane, if there is anybody to say it to.
    async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // The peer may be gone: then there is nobody to be polite to.
            let _ = timeout(CLOSE_MAX, stream.shutdown()).await;
        }
    }

    fn complain(&mut self, of: &Attempt) {
        match of {
            Attempt::Ended(End::Renewed) => tracing::info!("{of}"),
            _ => self.warn_once(of.to_string()),
        }
    }

    fn warn_once(&mut self, text: String) {
        if self.complaints.contains(&text) {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}");
            self.complaints.truncate(COMPLAINTS_KEPT - 1);
            self.complaints.insert(0, text);
        }
    }
}

/// Tells the service manager; that it does not listen is no reason to stop.
fn say(state: &str) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}
