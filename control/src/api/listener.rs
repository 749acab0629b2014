//! Taking operators' connections, and knowing who they are before a request is read.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rescind_protocol::name::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::ApiError;
use crate::clock;
use crate::db::audit::Operator;
use crate::db::certificates::{self, Holder};
use crate::plane::Plane;
use crate::tls;

/// Operators' connections at once, per listener.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take for the handshake, and for the head of each request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, making operators included: root on the control plane's own machine.
    Local,
    /// Everything but making operators.
    Remote,
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub operator: Operator,
    /// What they may do.
    pub role: Role,
    /// The certificate they came with, when they came over the network.
    pub certificate: Option<Digest>,
}

/// Looks an operator up again for every request: one who was cut off stays out, also on a
/// connection that is open.
pub async fn still_operator(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(digest) = caller.certificate {
        let holder = plane
            .db
            .read(move |conn| certificates::holder(conn, digest, clock::now()))
            .await?;
        if holder != Some(Holder::Operator(caller.operator.name)) {
            return Err(ApiError::Forbidden(
                "this certificate is not an operator's any more",
            ));
        }
    }
    Ok(next.run(request).await)
}

/// Makes the Unix socket, mode 0600. A socket that a killed server left behind is replaced; one
/// that is answered is not.
pub async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixStream::connect(path).await {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another server answers there",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?
        }
        Err(_) => (),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves operators on this machine: root and the service's own user, nobody else.
pub async fn listen_unix(listener: UnixListener, routes: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Some((stream, permit)) = admit(accepted.map(|(stream, _)| stream), &room).await else {
            continue;
        };
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "an operator's user cannot be told");
                continue;
            }
        };
        if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
            tracing::warn!(
                uid,
                "a user who is not an operator came to the operators' socket"
            );
            continue;
        }
        let name = local_name(uid);
        let operator = Operator {
            name,
            via: format!("local socket, uid {uid}"),
        };
        let routes = routes.clone();
        tokio::spawn(async move {
            serve(
                stream,
                routes,
                Caller {
                    operator,
                    role: Role::Local,
                    certificate: None,
                },
            )
            .await;
            drop(permit);
        });
    }
}

/// Serves operators who come with a client certificate.
pub async fn listen_tls(
    plane: Arc<Plane>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    routes: Router,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Some(((tcp, peer), permit)) = admit(accepted, &room).await else {
            continue;
        };
        let (plane, acceptor, routes) = (plane.clone(), acceptor.clone(), routes.clone());
        tokio::spawn(async move {
            let handshake = async {
                tcp.set_nodelay(true)?;
                acceptor.accept(tcp).await
            };
            let stream = match tokio::time::timeout(HEAD_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "no operator"),
                Err(_) => return,
            };
            let Some(digest) = tls::peer(&stream) else {
                return;
            };
            let holder = plane
                .db
                .read(move |conn| certificates::holder(conn, digest, clock::now()))
                .await;
            match holder {
                Ok(Some(Holder::Operator(name))) => {
                    let short: String = digest.to_string().chars().take(16).collect();
                    let operator = Operator {
                        name,
                        via: format!("certificate {short} from {}", peer.ip()),
                    };
                    serve(
                        stream,
                        routes,
                        Caller {
                            operator,
                            role: Role::Remote,
                            certificate: Some(digest),
                        },
                    )
                    .await;
                }
                Ok(_) => tracing::warn!(%peer, %digest, "a certificate that is not an operator's"),
                Err(error) => tracing::error!(%error, "an operator could not be looked up"),
            }
            drop(permit);
        });
    }
}

async fn admit<S>(
    accepted: io::Result<S>,
    room: &Arc<Semaphore>,
) -> Option<(S, OwnedSemaphorePermit)> {
    match accepted {
        Ok(stream) => Some((stream, room.clone().try_acquire_owned().ok()?)),
        Err(error) => {
            tracing::warn!(%error, "cannot take operators' connections");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn serve<S>(stream: S, routes: Router, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(routes.layer(Extension(caller)));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection ended");
    }
}

/// The name of a local user, or the number where there is none.
fn local_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}
