//! A connection's life after its greeting: orders out, evidence in, questions both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rescind_protocol::PROTOCOL_VERSION;
use rescind_protocol::cbor::Malformed;
use rescind_protocol::frame::Frame;
use rescind_protocol::message::{Heartbeat, Hello, Message, Refused, SectionDigest, Welcome};
use rescind_protocol::name::{Digest, HostId};
use tokio::time::{Instant, sleep_until};

use super::frames::{FrameStream, StreamError};
use super::greeting::{Caller, Greeting, Reissue, greet};
use super::inventory::Coming;
use super::presence::{Entered, Slot};
use super::questions::OpenQuestion;
use crate::clock;
use crate::db::certificates::{self, Holder};
use crate::db::exceptions::{self, Kind, NewException};
use crate::db::{DbError, hosts, sections};
use crate::plane::Plane;

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
    pub(super) sent_through: u64,
    /// Orders up to here the host has seen.
    pub(super) cursor: u64,
    /// Where the host's chain stood at its hello, and the digest of its standing orders then;
    /// `None` once compared.
    pub(super) to_compare: Option<(u64, Digest)>,
    pub(super) stream: FrameStream,
    pub(super) open: Vec<OpenQuestion>,
    pub(super) questions_asked: u64,
    pub(super) coming: Coming,
    last_sent: Instant,
    last_heard: Instant,
    pub(super) last_renewed: Option<Instant>,
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
    let (greeting, sections) = match entered {
        Ok(entered) => entered,
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
        coming: Coming::Nothing,
        last_sent: now,
        last_heard: now,
        last_renewed: None,
        plane,
        slot,
    };
    let end = session.run(hello.protocol, sections).await;
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

/// Notes the greeting and makes this the host's connection. Also says which sections of its survey
/// are kept.
async fn enter(
    plane: &Arc<Plane>,
    slot: &Arc<Slot>,
    certificate: Digest,
    hello: &Hello,
) -> Result<(Greeting, Vec<SectionDigest>), End> {
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
        .write(move |conn| {
            let greeting = greet(conn, &said, &caller, &reissue, clock::now_us())?;
            let sections = sections::digests(conn, host)?;
            Ok::<_, DbError>(greeting.map(|greeting| (greeting, sections)))
        })
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
    async fn run(&mut self, protocol: u16, sections: Vec<SectionDigest>) -> End {
        if let Err(end) = Box::pin(self.start(protocol, sections)).await {
            return end;
        }
        loop {
            // Only picked here; the work is done below, where nothing can cancel it.
            let wake_at = self.wake_at();
            let turn = tokio::select! {
                biased;
                // Orders go first, however much the host has to tell.
                () = self.slot.mail() => Turn::Mail,
                frame = self.stream.next() => Turn::Frame(frame),
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

    async fn start(&mut self, protocol: u16, sections: Vec<SectionDigest>) -> Result<(), End> {
        self.send(Welcome {
            protocol: protocol.min(PROTOCOL_VERSION),
            chain: self.greeting.head,
            now: clock::now(),
            sections: Some(sections),
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
            Some(Message::Inventory(part)) => self.take_piece(part).await,
            // A later version may say more; what is not known is passed over.
            Some(Message::Heartbeat(_)) | None => Ok(()),
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
        for answer in mail.sections {
            self.send(answer).await?;
        }
        Ok(())
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

pub(super) async fn raise(
    plane: &Plane,
    host: HostId,
    kind: Kind,
    detail: String,
) -> Result<(), DbError> {
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
