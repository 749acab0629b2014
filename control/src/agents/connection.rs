//! A connection's life after its greeting: orders out, evidence in, questions both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rescind_protocol::PROTOCOL_VERSION;
use rescind_protocol::cbor::Malformed;
use rescind_protocol::frame::Frame;
use rescind_protocol::message::{
    Answer, Heartbeat, Hello, Message, OrderBytes, Query, Refused, Renew, Renewed, Welcome,
};
use rescind_protocol::name::{Digest, HostId, OrderId};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::frames::{FrameStream, StreamError};
use super::greeting::{Caller, Greeting, Reissue, greet};
use super::presence::{Asked, Close, Entered, Slot};
use crate::clock;
use crate::db::certificates::{self, Holder};
use crate::db::exceptions::{self, Kind, NewException};
use crate::db::{DbError, hosts, orders};
use crate::plane::Plane;

/// Orders read from the database and sent at once.
const ORDERS_AT_ONCE: u32 = 32;
/// The largest answer to a question, all pieces together.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long a connection that was replaced may take to show that somebody is still there.
const REPLACED_WAIT: Duration = Duration::from_secs(3);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A message that could not be read.
    #[error("message of kind {kind:#04x}: {source}")]
    Message {
        /// The frame's kind.
        kind: u8,
        /// What is wrong with its body.
        source: Malformed,
    },
    /// This side will not go on, and tells the peer why.
    #[error("refused: {0}")]
    Refuse(String),
    /// The host brought nothing for too long.
    #[error("nothing heard for too long")]
    Idle,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// One connected host.
pub struct Session {
    pub(super) plane: Arc<Plane>,
    pub(super) host: HostId,
    pub(super) slot: Arc<Slot>,
    pub(super) greeting: Greeting,
    /// Orders up to here were sent on this connection.
    sent_through: u64,
    /// Orders up to here the host has seen.
    pub(super) cursor: u64,
    /// Where the host's chain stood at its hello, and the digest of its standing orders then;
    /// `None` once compared.
    pub(super) to_compare: Option<(u64, Digest)>,
    stream: FrameStream,
    open: Vec<OpenQuestion>,
    questions_asked: u64,
    last_sent: Instant,
    last_heard: Instant,
    last_renewed: Option<Instant>,
}

struct OpenQuestion {
    id: u64,
    json: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, String>>,
}

/// What a turn of the loop is about.
enum Turn {
    Frame(Result<Frame, StreamError>),
    Mail,
    Clock,
}

/// Serves a host that has shown its certificate and said hello, until one side ends it.
pub async fn serve(
    plane: Arc<Plane>,
    mut stream: FrameStream,
    certificate: Digest,
    hello: Hello,
    peer: SocketAddr,
) -> End {
    let host = hello.host;
    let slot = Slot::new(peer, &hosts::printable(&hello.boot_id), clock::now());
    let entered = Box::pin(enter(&plane, &slot, certificate, &hello)).await;
    let greeting = match entered {
        Ok(greeting) => greeting,
        Err(end) => {
            plane.presence.leave(host, &slot);
            say_end(&mut stream, &end, &plane).await;
            return end;
        }
    };
    let now = Instant::now();
    let mut session = Session {
        host,
        greeting,
        sent_through: 0,
        cursor: hello.order_cursor,
        to_compare: Some((hello.chain.next, hello.standing)),
        stream,
        open: Vec::new(),
        questions_asked: 0,
        last_sent: now,
        last_heard: now,
        last_renewed: None,
        plane,
        slot,
    };
    let end = session.run(hello.protocol).await;
    session.plane.presence.leave(host, &session.slot);
    say_end(&mut session.stream, &end, &session.plane).await;
    // The answer is not needed: when it was last seen is a convenience.
    let _ = session
        .plane
        .db
        .submit(move |conn| hosts::seen(conn, host, clock::now()))
        .await;
    end
}

/// Notes the greeting and makes this the host's connection.
async fn enter(
    plane: &Arc<Plane>,
    slot: &Arc<Slot>,
    certificate: Digest,
    hello: &Hello,
) -> Result<Greeting, End> {
    let host = hello.host;
    let caller = Caller {
        peer: slot.peer,
        certificate,
        other: plane.presence.of(host),
    };
    let reissue = Reissue {
        key: plane.order_key.clone(),
        ttl_ms: plane.order_ttl_ms(),
    };
    let said = hello.clone();
    let greeting = plane
        .db
        .write(move |conn| greet(conn, &said, &caller, &reissue, clock::now_us()))
        .await?
        .ok_or_else(|| End::Refuse("this host is not enrolled here".into()))?;
    if plane.presence.enter(host, slot) == Entered::BootCameBack {
        let detail = format!(
            "two machines speak as this host by turns, the last from {} (boot {}); find out which is the host, and enrol it again with `rescind token new --host`",
            slot.peer, slot.boot_id
        );
        raise(plane, host, Kind::Clone, detail).await?;
    }
    // It may have been removed between the lookup of its certificate and its entry.
    let known = plane
        .db
        .read(move |conn| certificates::holder(conn, certificate, clock::now()))
        .await?;
    match known {
        Some(Holder::Host(holder)) if holder == host => Ok(greeting),
        _ => Err(End::Refuse("this host is not enrolled here".into())),
    }
}

impl Session {
    async fn run(&mut self, protocol: u16) -> End {
        if let Err(end) = Box::pin(self.start(protocol)).await {
            return end;
        }
        loop {
            // Only picked here; the work is done below, where nothing can cancel it.
            let wake_at = self.wake_at();
            let turn = tokio::select! {
                biased;
                frame = self.stream.next() => Turn::Frame(frame),
                () = self.slot.mail() => Turn::Mail,
                () = sleep_until(wake_at) => Turn::Clock,
            };
            // Boxed: an idle connection does not pay for the room that work needs.
            let worked = match turn {
                Turn::Frame(Ok(frame)) => {
                    self.last_heard = Instant::now();
                    self.slot.hear(clock::now());
                    Box::pin(self.take(frame)).await
                }
                Turn::Frame(Err(error)) => Err(error.into()),
                Turn::Mail => Box::pin(self.take_mail()).await,
                Turn::Clock => self.keep_time().await,
            };
            if let Err(end) = worked {
                return end;
            }
        }
    }

    async fn start(&mut self, protocol: u16) -> Result<(), End> {
        self.send(Welcome {
            protocol: protocol.min(PROTOCOL_VERSION),
            chain: self.greeting.head,
            now: clock::now(),
        })
        .await?;
        // Before anything else: what the host has missed.
        self.send_orders().await?;
        self.compare_standing().await
    }

    fn wake_at(&self) -> Instant {
        let beat = self.last_sent + Duration::from_secs(self.plane.config.heartbeat_s);
        beat.min(self.idle_at())
    }

    fn idle_at(&self) -> Instant {
        self.last_heard + Duration::from_secs(self.plane.config.idle_timeout_s)
    }

    async fn keep_time(&mut self) -> Result<(), End> {
        if Instant::now() >= self.idle_at() {
            return Err(End::Idle);
        }
        self.send(Heartbeat { now: clock::now() }).await
    }

    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        let message = Message::from_frame(&frame).map_err(|source| End::Message {
            kind: frame.kind,
            source,
        })?;
        drop(frame);
        match message {
            Some(Message::OrderAck(ack)) => self.take_ack(ack).await,
            Some(Message::Evidence(evidence)) => self.take_evidence(evidence).await,
            Some(Message::StandingList(list)) => self.take_standing(list).await,
            Some(Message::Answer(answer)) => {
                self.take_answer(answer);
                Ok(())
            }
            Some(Message::Renew(renew)) => self.renew(renew).await,
            // A later version may say more; what is not known is passed over.
            Some(Message::Heartbeat(_) | Message::Inventory(_)) | None => Ok(()),
            Some(other) => Err(End::Refuse(format!(
                "a message of kind {:#04x} has no place here",
                other.kind()
            ))),
        }
    }

    async fn take_mail(&mut self) -> Result<(), End> {
        let mail = self.slot.take();
        if let Some(close) = mail.close {
            return Err(self.close(close).await?);
        }
        if mail.orders {
            self.send_orders().await?;
        }
        for asked in mail.questions {
            self.ask(asked).await?;
        }
        Ok(())
    }

    /// Sends what the host has not said it has, in sequence, from where this connection is.
    pub(super) async fn send_orders(&mut self) -> Result<(), End> {
        loop {
            let (host, after, cursor) = (self.host, self.sent_through, self.cursor);
            let pending = self
                .plane
                .db
                .read(move |conn| orders::pending(conn, host, after, cursor, ORDERS_AT_ONCE))
                .await?;
            let Some(last) = pending.last() else {
                return Ok(());
            };
            self.sent_through = last.seq;
            let mut ids = Vec::with_capacity(pending.len());
            for order in pending {
                self.send(OrderBytes {
                    signed: order.signed,
                })
                .await?;
                ids.push(order.id);
            }
            self.note_delivered(ids).await?;
        }
    }

    /// Puts the delivery on the timeline. Not waited for: the host is faster than our disk.
    pub(super) async fn note_delivered(&self, ids: Vec<OrderId>) -> Result<(), DbError> {
        let at = clock::now_us();
        let told = ids.clone();
        let plane = self.plane.clone();
        let noted = self
            .plane
            .db
            .submit(move |conn| {
                ids.iter()
                    .try_for_each(|id| orders::mark_delivered(conn, *id, at))
            })
            .await?;
        tokio::spawn(async move {
            if let Ok(Ok(())) = noted.await {
                told.into_iter().for_each(|id| plane.changed(id));
            }
        });
        Ok(())
    }

    async fn ask(&mut self, asked: Asked) -> Result<(), End> {
        // Those who asked and no longer wait make room.
        self.open.retain(|open| !open.reply.is_closed());
        self.questions_asked += 1;
        let id = self.questions_asked;
        self.open.push(OpenQuestion {
            id,
            json: Vec::new(),
            reply: asked.reply,
        });
        self.send(Query {
            id,
            what: asked.question,
        })
        .await
    }

    fn take_answer(&mut self, answer: Answer) {
        let Some(at) = self.open.iter().position(|open| open.id == answer.id) else {
            return;
        };
        let open = &mut self.open[at];
        let too_long = open.json.len() + answer.json.len() > ANSWER_BYTES_MAX;
        let error = match answer.error {
            Some(error) => Some(error),
            None if too_long => Some(format!(
                "its answer is longer than {ANSWER_BYTES_MAX} bytes"
            )),
            None => None,
        };
        if error.is_none() {
            open.json.extend_from_slice(&answer.json);
        }
        if error.is_some() || answer.last {
            let open = self.open.swap_remove(at);
            // Whoever asked may have gone.
            let _ = open.reply.send(error.map_or(Ok(open.json), Err));
        }
    }

    async fn renew(&mut self, renew: Renew) -> Result<(), End> {
        let soon = |at: Instant| at.elapsed() < Duration::from_secs(60);
        if self.last_renewed.is_some_and(soon) {
            return Err(End::Refuse(
                "a certificate was made less than a minute ago".into(),
            ));
        }
        self.last_renewed = Some(Instant::now());
        let (host, now) = (self.host, clock::now());
        let hours = self.plane.config.certificate_hours;
        let issued = self
            .plane
            .ca
            .certify_host(&renew.csr, host, hours, now)
            .map_err(|error| End::Refuse(error.to_string()))?;
        let (digest, not_after) = (issued.digest, issued.not_after);
        let kept = self
            .plane
            .db
            .write(move |conn| {
                let room = certificates::room_for(conn, host, now)?;
                if room {
                    certificates::insert(conn, digest, &Holder::Host(host), not_after, now)?;
                }
                Ok::<_, DbError>(room)
            })
            .await?;
        if !kept {
            return Err(End::Refuse(
                "this host holds too many certificates; use one".into(),
            ));
        }
        tracing::info!(%host, %not_after, "the host's certificate was renewed");
        let ca = self.plane.ca.pem().to_owned();
        self.send(Renewed {
            certificate: issued.pem,
            ca,
            not_after,
        })
        .await
    }

    async fn close(&mut self, why: Close) -> Result<End, End> {
        match why {
            Close::Changed => Ok(End::Refuse(
                "this host was removed or enrolled again, or an operator decided about its chain"
                    .into(),
            )),
            Close::Shutdown => Ok(End::Stopping),
            Close::Replaced { peer, boot_id } => {
                self.send(Refused {
                    why: "the host has connected again".into(),
                })
                .await?;
                if self.somebody_is_there(&boot_id).await {
                    let detail = format!(
                        "two machines speak as this host: {} (boot {}) and {peer} (boot {boot_id}); find out which is the host, and enrol it again with `rescind token new --host`",
                        self.slot.peer, self.slot.boot_id
                    );
                    raise(&self.plane, self.host, Kind::Clone, detail).await?;
                }
                Ok(End::Refuse("the host has connected again".into()))
            }
        }
    }

    /// Whether the connection that was replaced is held by a living peer. A host that lost its
    /// network or its power cannot answer on the old connection (its kernel resets it, or nothing
    /// comes); another machine can.
    async fn somebody_is_there(&mut self, new_boot: &str) -> bool {
        let other_boot = *self.slot.boot_id != *new_boot;
        match tokio::time::timeout(REPLACED_WAIT, self.stream.next()).await {
            Ok(Ok(_)) => true,
            Ok(Err(StreamError::Closed)) => other_boot,
            // An end without TLS's goodbye is how a program that just drops its socket ends.
            Ok(Err(StreamError::Io(error))) => {
                other_boot && error.kind() == std::io::ErrorKind::UnexpectedEof
            }
            _ => false,
        }
    }

    /// What is needed to issue orders again.
    pub(super) fn reissue(&self) -> Reissue {
        Reissue {
            key: self.plane.order_key.clone(),
            ttl_ms: self.plane.order_ttl_ms(),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: impl Into<Message>) -> Result<(), End> {
        self.stream.send(message).await?;
        self.last_sent = Instant::now();
        Ok(())
    }
}

async fn raise(plane: &Plane, host: HostId, kind: Kind, detail: String) -> Result<(), DbError> {
    let new = NewException {
        kind,
        host,
        order: None,
        detail,
    };
    plane
        .db
        .write(move |conn| exceptions::raise(conn, &new, clock::now()))
        .await
}

/// Tells the peer why, where it can still be told.
async fn say_end(stream: &mut FrameStream, end: &End, plane: &Plane) {
    let last_word: Option<Message> = match end {
        End::Refuse(why) => Some(Refused { why: why.clone() }.into()),
        End::Message { .. } | End::Stream(StreamError::Frame(_)) => Some(
            Refused {
                why: end.to_string(),
            }
            .into(),
        ),
        End::Stopping | End::Db(_) => {
            let mut retry = super::admission::retry_after(plane.retry_spread());
            retry.why = "the server is stopping".into();
            Some(retry.into())
        }
        End::Stream(_) | End::Idle => None,
    };
    if let Some(message) = last_word {
        // It ends either way.
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.send(message)).await;
    }
    stream.close().await;
}
