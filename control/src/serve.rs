//! `rescind serve`: everything put together, and taken down in order.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agents::listener;
use crate::api;
use crate::ca::{Ca, CaError};
use crate::clock;
use crate::config::Config;
use crate::data_dir::{DataDir, DirError};
use crate::db::{Database, DbError, exceptions, hosts, sections, waiting};
use crate::keys::{self, FirstStart, OrderKeyError};
use crate::plane::Plane;
use crate::tls::{self, Anonymous, ServerCertificate, TlsError};

/// How often waiting orders and the server's certificate are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The order key.
    #[error(transparent)]
    Key(#[from] OrderKeyError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address or socket cannot be listened on.
    #[error("cannot listen on {on}: {source}")]
    Listen {
        /// Which.
        on: String,
        /// Why.
        source: io::Error,
    },
}

/// A running server.
pub struct Server {
    /// What its parts share.
    pub plane: Arc<Plane>,
    /// Where agents connect.
    pub agents: SocketAddr,
    /// Where operators with a certificate connect.
    pub operators: Option<SocketAddr>,
    socket: Option<PathBuf>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    // The directory stays locked as long as the server runs.
    _dir: Arc<DataDir>,
}

impl Server {
    /// Starts everything. At the first start the CA, the order key and the database are made.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let dir = Arc::new(DataDir::open(&config.data_dir)?);
        let db = Arc::new(Database::open(&dir.path_of("rescind.db"))?);
        let due_days = config.exception_due_days;
        let known = db
            .write(move |conn| {
                exceptions::set_due_days(conn, due_days)?;
                sections::forget_arriving(conn)?;
                hosts::any(conn)
            })
            .await?;
        let first_start = if known {
            FirstStart::No
        } else {
            FirstStart::Yes
        };
        let order_key = keys::order_key(&dir, first_start)?;
        let ca = Ca::open(&dir, &config.trust_domain, first_start, clock::now())?;
        let names = config.server_names();
        let identity = ca.server_identity(&dir, &names, clock::now())?;
        let certificate = ServerCertificate::new(identity)?;
        let plane = Plane::new(config, db, ca, order_key);
        tracing::info!(
            data_dir = %plane.config.data_dir.display(),
            server_name = plane.server_name,
            ca = %plane.ca.fingerprint(),
            order_key = %plane.order_key.verifying_key().id(),
            "control plane"
        );

        let (stop, stopping) = watch::channel(false);
        let routes = api::router(plane.clone());
        let mut tasks = Vec::new();

        let (listener, agents) = bind(plane.config.listen).await?;
        let acceptor = tls::acceptor(&plane.ca, certificate.clone(), Anonymous::Welcome)?;
        let mut operators = None;
        if let Some(address) = plane.config.operator_listen {
            let (listener, local) = bind(address).await?;
            operators = Some(local);
            let acceptor = tls::acceptor(&plane.ca, certificate.clone(), Anonymous::Refused)?;
            let (plane, routes) = (plane.clone(), routes.clone());
            let stopping = stopping.clone();
            tasks.push(tokio::spawn(api::listener::listen_tls(
                plane, listener, acceptor, routes, stopping,
            )));
            tracing::info!(address = %local, "listening for operators");
        }
        if let Some(path) = &plane.config.socket {
            let listener =
                api::listener::bind_unix(path)
                    .await
                    .map_err(|source| ServeError::Listen {
                        on: path.display().to_string(),
                        source,
                    })?;
            tasks.push(tokio::spawn(api::listener::listen_unix(
                listener,
                routes,
                stopping.clone(),
            )));
            tracing::info!(socket = %path.display(), "listening for operators");
        }
        tasks.push(tokio::spawn(listener::listen(
            plane.clone(),
            listener,
            acceptor,
            stopping.clone(),
        )));
        tracing::info!(address = %agents, "listening for agents");
        tasks.push(tokio::spawn(keep_house(
            plane.clone(),
            dir.clone(),
            certificate,
            stopping,
        )));
        let socket = plane.config.socket.clone();
        Ok(Self {
            plane,
            agents,
            operators,
            socket,
            stop,
            tasks,
            _dir: dir,
        })
    }

    /// Stops taking connections, tells those that are there to come back, and waits for them.
    pub async fn stop(self) {
        // Nobody listens any more: then all have stopped already.
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the server had failed");
            }
        }
        if let Some(path) = &self.socket
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, socket = %path.display(), "the socket is left behind");
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listen = |source| ServeError::Listen {
        on: address.to_string(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let local = listener.local_addr().map_err(listen)?;
    Ok((listener, local))
}

/// Notices orders that wait too long, and renews the server's own certificate in time.
async fn keep_house(
    plane: Arc<Plane>,
    dir: Arc<DataDir>,
    certificate: Arc<ServerCertificate>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    let mut names_checked = clock::now();
    loop {
        tokio::select! {
            _ = tick.tick() => (),
            _ = stop.changed() => return,
        }
        let now = clock::now_us();
        let away_ms = plane.config.away_after_minutes * 60_000;
        let away_before =
            rescind_protocol::name::UnixMillis(now.millis().0.saturating_sub(away_ms));
        match plane
            .db
            .write(move |conn| waiting::notice_waiting(conn, away_before, now))
            .await
        {
            Ok(changed) => changed.into_iter().for_each(|id| plane.changed(id)),
            Err(error) => tracing::error!(%error, "waiting orders could not be looked at"),
        }
        if now.millis().0.saturating_sub(names_checked.0) > 86_400_000 {
            names_checked = now.millis();
            let names = plane.config.server_names();
            let renewed = plane
                .ca
                .server_identity(&dir, &names, now.millis())
                .map_err(ServeError::from)
                .and_then(|identity| Ok(certificate.replace(identity)?));
            if let Err(error) = renewed {
                tracing::error!(%error, "the server's certificate could not be renewed");
            }
        }
    }
}
