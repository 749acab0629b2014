//! Frames both ways, until one side ends.
//!
//! Two loops, one for each direction, each holding at most one frame: who does not read slows down
//! who writes to it, and nobody else. The root half's frames are passed on unread; the link's own
//! (kinds from 0x80) end here.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rescind_protocol::message::{Heartbeat, LINK_KINDS, Message};
use rescind_protocol::name::UnixMillis;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use super::frames::{FrameError, FrameReader, WireFrame};
use super::renewal::Renewal;
use super::tls;
use super::words::printable;

/// How much is written at once.
const WRITE_BYTES: usize = 16 * 1024;
/// The slowest line on which a large frame still arrives in time, in bytes a second.
const SLOWEST_BYTES_PER_S: u64 = 8 * 1024;
/// How far the two clocks may be apart without a word, in milliseconds.
const SKEW_MAX_MS: u64 = 120_000;
/// After how many heartbeats a renewed certificate is used even if the line was never quiet.
const RENEWED_BEATS_MAX: u32 = 20;

/// How long the two sides are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often we say that we are here.
    pub heartbeat: Duration,
    /// How long the control plane may send no whole frame.
    pub silence_max: Duration,
    /// How long a peer may take nothing of what is written to it.
    pub stall_max: Duration,
}

impl Patience {
    /// What follows from a heartbeat. The control plane beats by its own clock, not by ours: it
    /// gets at least three beats of the usual kind.
    pub fn with_heartbeat(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            silence_max: (heartbeat * 3).max(Duration::from_secs(90)),
            stall_max: Duration::from_secs(60),
        }
    }
}

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The control plane closed it.
    #[error("the control plane closed the connection")]
    ServerClosed,
    /// The control plane's side broke, or sent what is no frame.
    #[error("the connection to the control plane broke: {0}")]
    Server(FrameError),
    /// The control plane's TLS turned our certificate away.
    #[error(
        "the control plane does not accept this host's certificate ({0:?}): it has expired or the host was removed; make a token with `rescind token new` and enrol this host again"
    )]
    CertificateTurnedAway(AlertDescription),
    /// No whole frame came for too long.
    #[error("the control plane was silent for {} s", .0.as_secs())]
    ServerSilent(Duration),
    /// The control plane did not read for too long.
    #[error("the control plane read nothing for {} s", .0.as_secs())]
    ServerStalled(Duration),
    /// The control plane said why this cannot go on.
    #[error("the control plane refused: {0}")]
    Refused(String),
    /// The control plane asked to come back later.
    #[error("the control plane asked to come back in {} ms: {why}", wait.as_millis())]
    RetryAfter {
        /// When to come back.
        wait: Duration,
        /// Why.
        why: String,
    },
    /// The root half closed its side.
    #[error("the root half of the agent closed its socket")]
    LocalClosed,
    /// The root half's side broke.
    #[error("the socket to the root half of the agent broke: {0}")]
    Local(FrameError),
    /// The root half did not read for too long.
    #[error("the root half of the agent read nothing for {} s", .0.as_secs())]
    LocalStalled(Duration),
    /// A new certificate wants to be used.
    #[error("the certificate was renewed")]
    Renewed,
}

/// What both directions know.
struct Shared<'a> {
    patience: Patience,
    renewal: RefCell<&'a mut Renewal>,
    /// Whether a frame for or from the root half passed since the last heartbeat.
    moved: Cell<bool>,
    /// Whether one has passed since it was rested last.
    worked: Cell<bool>,
    /// Whether the control plane answered the root half at all.
    served: Cell<bool>,
    /// The control plane's clock less ours, in milliseconds.
    skew_ms: Cell<Option<i64>>,
}

/// Passes frames between the control plane and the root half until one of them ends; says why, and
/// whether the control plane had served the root half before. `rest` is called when nothing has
/// passed for a heartbeat or two, after something had.
pub async fn pump(
    server: impl AsyncRead + AsyncWrite,
    local: impl AsyncRead + AsyncWrite,
    patience: Patience,
    renewal: &mut Renewal,
    rest: impl Fn(),
) -> (End, bool) {
    let shared = Shared {
        patience,
        renewal: RefCell::new(renewal),
        moved: Cell::new(false),
        worked: Cell::new(false),
        served: Cell::new(false),
        skew_ms: Cell::new(None),
    };
    let (from_server, to_server) = tokio::io::split(server);
    let (from_local, to_local) = tokio::io::split(local);
    let end = tokio::select! {
        end = upwards(from_local, to_server, &shared, rest) => end,
        end = downwards(from_server, to_local, &shared) => end,
    };
    (end, shared.served.get())
}

/// From the root half to the control plane, with heartbeats.
async fn upwards(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared<'_>,
    rest: impl Fn(),
) -> End {
    enum Next {
        Frame(Result<Option<WireFrame>, FrameError>),
        Beat,
    }
    let mut frames = FrameReader::new(from);
    let mut beats = interval(shared.patience.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since_renewed = 0;
    loop {
        let next = tokio::select! {
            frame = frames.next() => Next::Frame(frame),
            _ = beats.tick() => Next::Beat,
        };
        let sent = match next {
            Next::Frame(Ok(None)) => return End::LocalClosed,
            Next::Frame(Err(error)) => return End::Local(error),
            Next::Frame(Ok(Some(frame))) if frame.kind() >= LINK_KINDS => {
                tracing::warn!(
                    kind = frame.kind(),
                    "the root half sent a frame of the link's kind"
                );
                continue;
            }
            Next::Frame(Ok(Some(frame))) => {
                shared.moved.set(true);
                write(&mut to, frame.bytes(), shared.patience.stall_max).await
            }
            Next::Beat => {
                let quiet = !shared.moved.replace(false);
                if shared.renewal.borrow().is_done() {
                    since_renewed += 1;
                    if quiet || since_renewed > RENEWED_BEATS_MAX {
                        return End::Renewed;
                    }
                }
                let now = tls::now();
                let mut bytes = Message::from(Heartbeat { now }).to_frame().to_bytes();
                let theirs = shared
                    .skew_ms
                    .get()
                    .map(|skew| UnixMillis(now.0.saturating_add_signed(skew)));
                let request = shared
                    .renewal
                    .borrow_mut()
                    .request(now, theirs, Instant::now());
                if let Some(request) = request {
                    tracing::info!("asking for a new certificate");
                    bytes.extend(request.to_frame().to_bytes());
                }
                let sent = write(&mut to, &bytes, shared.patience.stall_max).await;
                if !quiet {
                    shared.worked.set(true);
                } else if shared.worked.replace(false) {
                    rest();
                }
                sent
            }
        };
        match sent {
            Ok(()) => {}
            Err(Unwritten::Stalled) => return End::ServerStalled(shared.patience.stall_max),
            Err(Unwritten::Broken(error)) => return End::Server(error.into()),
        }
    }
}

/// From the control plane to the root half, and to the link itself.
async fn downwards(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared<'_>,
) -> End {
    let silence_max = shared.patience.silence_max;
    let mut frames = FrameReader::new(from);
    let mut last = Instant::now();
    let mut allowed = silence_max;
    loop {
        let frame = match timeout_at(last + allowed, frames.next()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return End::ServerClosed,
            Ok(Err(error)) => {
                return turned_away(&error)
                    .map_or_else(|| End::Server(error), End::CertificateTurnedAway);
            }
            Err(_) => {
                // A large frame on a slow line gets the time it needs, a trickled one no more.
                let needs = frames.arriving() as u64 * 1000 / SLOWEST_BYTES_PER_S;
                let longer = silence_max + Duration::from_millis(needs);
                if longer <= allowed {
                    return End::ServerSilent(allowed);
                }
                allowed = longer;
                continue;
            }
        };
        if frame.kind() < LINK_KINDS {
            shared.moved.set(true);
            shared.served.set(true);
            match write(&mut to, frame.bytes(), shared.patience.stall_max).await {
                Ok(()) => {}
                Err(Unwritten::Stalled) => return End::LocalStalled(shared.patience.stall_max),
                Err(Unwritten::Broken(error)) => return End::Local(error.into()),
            }
        } else if let Some(end) = own(&frame, shared) {
            return end;
        }
        last = Instant::now();
        allowed = silence_max;
    }
}

/// The alert by which a TLS server turns a client's certificate away. In TLS 1.3 it comes after the
/// handshake, which has ended for the client by then (RFC 8446 section 4.4.2.4).
fn turned_away(error: &FrameError) -> Option<AlertDescription> {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, UnknownCA, UnsupportedCertificate,
    };
    let FrameError::Io(error) = error else {
        return None;
    };
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(
            alert @ (AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | UnknownCA
            | UnsupportedCertificate),
        ) => Some(*alert),
        _ => None,
    }
}

/// A frame for the link itself; what it means for the connection.
fn own(frame: &WireFrame, shared: &Shared<'_>) -> Option<End> {
    match Message::from_parts(frame.kind(), frame.body()) {
        Ok(Some(Message::Heartbeat(beat))) => {
            note_clock(beat.now, shared);
            None
        }
        Ok(Some(Message::RetryAfter(after))) => Some(End::RetryAfter {
            wait: Duration::from_millis(after.ms),
            why: printable(&after.why),
        }),
        Ok(Some(Message::Refused(refused))) => Some(End::Refused(printable(&refused.why))),
        Ok(Some(Message::Renewed(renewed))) => {
            match shared.renewal.borrow_mut().take(&renewed) {
                Ok(validity) => tracing::info!(
                    until = %validity.not_after,
                    "the link has a new key and certificate"
                ),
                Err(error) => tracing::warn!(%error, "the certificate was not renewed"),
            }
            None
        }
        // Of a later version, or not meant for a host.
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(kind = frame.kind(), error = %printable(&error.to_string()), "a frame that cannot be read was skipped");
            None
        }
    }
}

/// Says once when the two clocks have come apart, and once when they agree again.
fn note_clock(server: UnixMillis, shared: &Shared<'_>) {
    let skew_ms = i128::from(server.0) - i128::from(tls::now().0);
    let skew_ms = skew_ms.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    let apart = |ms: i64| ms.unsigned_abs() > SKEW_MAX_MS;
    let before = shared.skew_ms.replace(Some(skew_ms)).is_some_and(apart);
    match (before, apart(skew_ms)) {
        (false, true) => tracing::warn!(
            skew_ms,
            "this host's clock and the control plane's are apart: set this host's clock"
        ),
        (true, false) => tracing::info!(skew_ms, "the clocks agree again"),
        _ => {}
    }
}

enum Unwritten {
    Stalled,
    Broken(std::io::Error),
}

/// Writes and flushes. Each piece has its own time, so that a slow line is not taken for a dead
/// one.
async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    stall_max: Duration,
) -> Result<(), Unwritten> {
    for piece in bytes.chunks(WRITE_BYTES) {
        // Not flushed, bytes may stay in the TLS layer for good.
        let written = timeout(stall_max, async {
            to.write_all(piece).await?;
            to.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Unwritten::Broken(error)),
            Err(_) => return Err(Unwritten::Stalled),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
