//! Taking connections: TLS, the first message, and to whom the connection goes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rescind_protocol::message::{Hello, Message, Refused};
use rescind_protocol::name::Digest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::admission::retry_after;
use super::connection::{self, End};
use super::frames::{FrameStream, StreamError};
use crate::db::certificates::{self, Holder};
use crate::db::{DbError, delivery};
use crate::plane::Plane;
use crate::{clock, enrol, tls};

/// What a client may send before it is known.
const FIRST_BYTES_MAX: usize = 64 * 1024;
/// Connections over the budget that are still told when to come back; more are just closed.
const TOLD_AT_ONCE_MAX: usize = 64;
/// How long connections may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Takes agents' connections until `stop` changes.
pub async fn listen(
    plane: Arc<Plane>,
    listener: TcpListener,
    tls: TlsAcceptor,
    mut stop: watch::Receiver<bool>,
) {
    let room = plane.config.max_connections;
    let connections = Arc::new(Semaphore::new(room));
    let told = Arc::new(Semaphore::new(TOLD_AT_ONCE_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors or memory: taking a rest is all that can be done.
                tracing::warn!(%error, "cannot take connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let in_budget = plane.accepts.take(std::time::Instant::now());
        let permit = if in_budget {
            connections.clone().try_acquire_owned().ok()
        } else {
            None
        };
        let (permit, admitted) = match permit {
            Some(permit) => (permit, Admitted::Yes),
            None => match told.clone().try_acquire_owned() {
                Ok(permit) => (permit, Admitted::IfOrdersWait(connections.clone())),
                Err(_) => continue,
            },
        };
        tokio::spawn(serve(
            plane.clone(),
            tcp,
            peer,
            tls.clone(),
            permit,
            admitted,
        ));
    }
    drop(listener);
    plane.presence.close_all();
    // Whoever has not ended by then is ended with the runtime.
    let _ = timeout(STOP_GRACE, connections.acquire_many(room as u32)).await;
}

/// Whether a connection is within the budget.
enum Admitted {
    Yes,
    /// Only a host that has orders waiting is served now: revocations go first.
    IfOrdersWait(Arc<Semaphore>),
}

/// Who a connection turned out to be.
enum Newcomer {
    Host(Box<Known>),
    Gone,
}

/// A host that has shown its certificate and said hello.
struct Known {
    stream: FrameStream,
    certificate: Digest,
    hello: Hello,
}

async fn serve(
    plane: Arc<Plane>,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    permit: OwnedSemaphorePermit,
    admitted: Admitted,
) {
    let limit = Duration::from_secs(plane.config.handshake_timeout_s);
    // Boxed: what the handshake needs is given back before the connection idles.
    let met = Box::pin(timeout(
        limit,
        meet(&plane, tcp, peer, tls, admitted, permit),
    ))
    .await;
    match met {
        Ok(Ok((Newcomer::Host(known), permit))) => {
            let Known {
                stream,
                certificate,
                hello,
            } = *known;
            let host = hello.host;
            tracing::debug!(%host, %peer, "connected");
            let end = connection::serve(plane, stream, certificate, hello, peer).await;
            tracing::debug!(%host, %peer, reason = %end, "disconnected");
            drop(permit);
        }
        Ok(Ok((Newcomer::Gone, _))) => (),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection failed"),
        Err(_) => tracing::debug!(%peer, "no handshake and hello in time"),
    }
}

async fn meet(
    plane: &Arc<Plane>,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    admitted: Admitted,
    permit: OwnedSemaphorePermit,
) -> Result<(Newcomer, OwnedSemaphorePermit), End> {
    let io = |error: io::Error| End::Stream(StreamError::Io(error));
    // Small frames both ways: Nagle's algorithm would hold orders back.
    tcp.set_nodelay(true).map_err(io)?;
    let tls_stream = tls.accept(tcp).await.map_err(io)?;
    let certificate = tls::peer(&tls_stream);
    let mut stream = FrameStream::new(tls_stream, FIRST_BYTES_MAX);
    let Some(certificate) = certificate else {
        let last_word = match admitted {
            Admitted::Yes => join(plane, &mut stream, peer).await?,
            Admitted::IfOrdersWait(_) => Some(retry_after(plane.retry_spread()).into()),
        };
        if let Some(message) = last_word {
            stream.send(message).await?;
        }
        stream.close().await;
        return Ok((Newcomer::Gone, permit));
    };
    let holder = plane
        .db
        .read(move |conn| {
            let holder = certificates::holder(conn, certificate, clock::now())?;
            let waiting = match &holder {
                Some(Holder::Host(host)) => delivery::any_pending(conn, *host)?,
                _ => false,
            };
            Ok::<_, DbError>((holder, waiting))
        })
        .await?;
    let (Some(Holder::Host(host)), waiting) = holder else {
        tracing::warn!(%peer, %certificate, "a certificate that is not known as a host's");
        return refuse(
            stream,
            "this certificate is not known here, or its time is over; enrol again",
            permit,
        )
        .await;
    };
    let permit = match admitted {
        Admitted::Yes => permit,
        Admitted::IfOrdersWait(connections) => match connections.try_acquire_owned() {
            Ok(room) if waiting => room,
            _ => {
                stream.send(retry_after(plane.retry_spread())).await?;
                stream.close().await;
                return Ok((Newcomer::Gone, permit));
            }
        },
    };
    let hello = loop {
        let frame = stream.next().await?;
        let message = Message::from_frame(&frame).map_err(|source| End::Message {
            kind: frame.kind,
            source,
        })?;
        match message {
            Some(Message::Hello(hello)) => break hello,
            Some(Message::Heartbeat(_)) | None => (),
            Some(_) => return refuse(stream, "the first message must be a hello", permit).await,
        }
    };
    if hello.host != host {
        tracing::warn!(%peer, %host, claims = %hello.host, "a hello in the name of another host");
        return refuse(
            stream,
            "the hello names another host than the certificate",
            permit,
        )
        .await;
    }
    if hello.protocol == 0 {
        return refuse(stream, "protocol version 0 does not exist", permit).await;
    }
    stream.trust();
    Ok((
        Newcomer::Host(Box::new(Known {
            stream,
            certificate,
            hello,
        })),
        permit,
    ))
}

/// A client without a certificate may do one thing: enrol.
async fn join(
    plane: &Arc<Plane>,
    stream: &mut FrameStream,
    peer: SocketAddr,
) -> Result<Option<Message>, End> {
    let frame = stream.next().await?;
    let message = Message::from_frame(&frame).map_err(|source| End::Message {
        kind: frame.kind,
        source,
    })?;
    let Some(Message::Enrol(request)) = message else {
        return Ok(Some(
            Refused {
                why: "without a certificate only enrolment is possible".into(),
            }
            .into(),
        ));
    };
    if !plane.enrolments.take(std::time::Instant::now()) {
        return Ok(Some(retry_after(plane.retry_spread()).into()));
    }
    match enrol::enrol(plane, request, &peer.to_string(), clock::now()).await {
        Ok(enrolled) => Ok(Some(enrolled.into())),
        Err(error) => {
            tracing::warn!(%peer, %error, "not enrolled");
            Ok(Some(
                Refused {
                    why: error.to_string(),
                }
                .into(),
            ))
        }
    }
}

async fn refuse(
    mut stream: FrameStream,
    why: &str,
    permit: OwnedSemaphorePermit,
) -> Result<(Newcomer, OwnedSemaphorePermit), End> {
    stream.send(Refused { why: why.into() }).await?;
    stream.close().await;
    Ok((Newcomer::Gone, permit))
}
