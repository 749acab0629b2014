//! The root half's end of the connection to the control plane.
//!
//! The link is not trusted: it can be slow, silent or hostile. Frames to it go through a bounded
//! queue to a thread of their own; when the queue is full the connection is dropped, and nothing
//! is lost by that, because everything it carried is in the journal.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use rescind_protocol::evidence::SealedRecord;
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::message::STANDING_IDS_MAX;
use rescind_protocol::message::{
    Answer, Evidence, InventoryAck, Message, OrderAck, Query, Question, SectionDigest, StandingList,
};

use rescind_protocol::name::{Digest, SectionName};

use crate::daemon::survey::Surveys;
use crate::daemon::survey_process::Digests;
use crate::daemon::work::{ConnectionId, Work};
use crate::daemon::{admin, aside};
use crate::orders::Engine;

/// Frames waiting to be written to the link.
const QUEUE_FRAMES_MAX: usize = 64;
/// Frames that wait until nothing else does.
const LANE_FRAMES_MAX: usize = 1;
/// How long one write to the link may take before the connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of evidence in one frame.
const EVIDENCE_FRAME_BYTES: usize = 128 * 1024;
/// Records sent beyond what was acknowledged.
const EVIDENCE_WINDOW_RECORDS: u64 = 4096;
/// Bytes of an answer in one frame.
const ANSWER_FRAME_BYTES: usize = 256 * 1024;

/// Why a connection to the link ends.
#[derive(Debug, thiserror::Error)]
pub enum Hangup {
    /// The link does not take what it is sent.
    #[error("the link takes no more frames")]
    Stalled,
    /// The link's end is closed.
    #[error("the link closed the connection")]
    Closed,
    /// What came is not the protocol.
    #[error("the control plane sent a message that cannot be read: {0}")]
    Malformed(#[from] rescind_protocol::cbor::Malformed),
    /// The journal could not be read.
    #[error("the evidence cannot be read: {0}")]
    Store(#[from] crate::store::StoreError),
}

/// One connection of the link.
#[derive(Debug)]
pub struct Uplink {
    /// Tells this connection from earlier ones.
    pub id: ConnectionId,
    frames: SyncSender<Out>,
    lane: Lane,
    stream: UnixStream,
    /// The next record to send; `None` until the control plane said where it stands.
    next: Option<u64>,
    acknowledged: u64,
    /// The sections that the control plane has; `None` until it said so, and where it has no use
    /// for them.
    sections: Option<Digests>,
    /// The sections that were sent and not yet acknowledged, or refused.
    sent: Digests,
    /// Those of them that are to be sent again with the next survey.
    again: Digests,
}

/// What the writing thread is given.
#[derive(Debug)]
enum Out {
    Frame(Vec<u8>),
    /// There is something in the lane.
    Lane,
    Close,
}

/// The way to the link for what may wait: a frame leaves only when no other is there to be sent.
/// Who sends here waits until there is room.
#[derive(Debug, Clone)]
pub struct Lane {
    frames: SyncSender<Vec<u8>>,
    wake: SyncSender<Out>,
}

impl Lane {
    /// Sends a message; whether there is still a connection to take it.
    pub fn send(&self, message: impl Into<Message>) -> bool {
        let sent = self.frames.send(message.into().to_frame().to_bytes());
        // Full, it has frames to write, and looks here after each.
        let _ = self.wake.try_send(Out::Lane);
        sent.is_ok()
    }
}

impl Uplink {
    /// Takes over a connection: starts its two threads and sends `Hello`.
    pub fn start(
        id: ConnectionId,
        stream: UnixStream,
        work: SyncSender<Work>,
        hello: Message,
    ) -> std::io::Result<Self> {
        let (frames, queue) = sync_channel::<Out>(QUEUE_FRAMES_MAX);
        let (lane, lane_queue) = sync_channel::<Vec<u8>>(LANE_FRAMES_MAX);
        let mut reader = stream.try_clone()?;
        let mut writer = stream.try_clone()?;
        writer.set_write_timeout(Some(WRITE_TIMEOUT))?;
        thread::Builder::new()
            .name("link-write".into())
            .stack_size(64 * 1024)
            .spawn(move || {
                while let Some(bytes) = next_to_write(&queue, &lane_queue) {
                    if writer.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = writer.shutdown(std::net::Shutdown::Both);
            })?;
        thread::Builder::new()
            .name("link-read".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                read_frames(&mut reader, |frame| {
                    work.send(Work::Frame(id, frame)).is_ok()
                });
                let _ = work.send(Work::LinkDown(id));
            })?;
        let uplink = Self {
            id,
            lane: Lane {
                frames: lane,
                wake: frames.clone(),
            },
            frames,
            stream,
            next: None,
            acknowledged: 0,
            sections: None,
            sent: Digests::new(),
            again: Digests::new(),
        };
        // The queue of a new connection is empty, so this cannot be the one that stalls.
        let _ = uplink.send(hello);
        Ok(uplink)
    }

    /// Handles one frame; an order in it is accepted but not yet carried out.
    pub fn handle(
        &mut self,
        engine: &mut Engine,
        surveys: &mut Surveys,
        frame: &Frame,
    ) -> Result<(), Hangup> {
        let Some(message) = Message::from_frame(frame)? else {
            return Ok(());
        };
        match message {
            Message::Welcome(welcome) => {
                self.next = Some(welcome.chain.next);
                self.acknowledged = welcome.chain.next;
                self.sections = welcome.sections.map(digests);
                engine.acknowledge_evidence(welcome.chain);
                surveys.compare(self);
            }
            Message::Order(order) => {
                let receipt =
                    engine.receive(&order.signed, rescind_protocol::evidence::Channel::Link);
                self.send(OrderAck::from(receipt))?;
            }
            Message::EvidenceAck(ack) => {
                self.acknowledged = self.acknowledged.max(ack.next);
                engine.acknowledge_up_to(ack.next);
            }
            Message::StandingQuery(_) => {
                let mut orders = engine.standing_ids();
                orders.truncate(STANDING_IDS_MAX);
                self.send(StandingList { orders })?;
            }
            Message::Query(query) => self.answer(engine, surveys, query)?,
            Message::InventoryAck(ack) => self.acknowledge_section(ack),
            // What only a host sends, or only the link handles, means nothing here.
            _ => {}
        }
        self.push_evidence(engine)
    }

    /// Sends the evidence that the control plane does not have yet, as far as the window allows.
    pub fn push_evidence(&mut self, engine: &Engine) -> Result<(), Hangup> {
        while let Some(next) = self.next {
            if next >= self.acknowledged + EVIDENCE_WINDOW_RECORDS {
                return Ok(());
            }
            let records: Vec<SealedRecord> = engine.evidence(next, EVIDENCE_FRAME_BYTES)?;
            if records.is_empty() {
                return Ok(());
            }
            self.next = Some(next + records.len() as u64);
            self.send(Evidence { records })?;
        }
        Ok(())
    }

    /// The states of sections that need not be sent; `None` where none is wanted.
    pub fn sections_known(&self) -> Option<Digests> {
        let mut known = self.sections.clone()?;
        known.extend(self.sent.clone());
        Some(known)
    }

    /// Whether the control plane wants sections and has these in another state.
    pub fn lacks(&self, digests: &Digests) -> bool {
        let known = self.sections_known();
        known.is_some_and(|known| {
            let mut all = digests.iter();
            all.any(|(section, digest)| known.get(section) != Some(digest))
        })
    }

    /// These sections were sent whole.
    pub fn note_sent(&mut self, sent: Vec<SectionDigest>) {
        // Some were answered while others were still on their way.
        let again = std::mem::take(&mut self.again);
        let answered = |section: &SectionName, digest: &Digest| {
            let known = self.sections.iter().chain([&again]);
            let mut states = known.filter_map(|known| known.get(section));
            states.any(|state| state == digest)
        };
        let mut sent = digests(sent);
        sent.retain(|section, digest| !answered(section, digest));
        self.sent.extend(sent);
    }

    /// The way for what may wait.
    pub fn lane(&self) -> Lane {
        self.lane.clone()
    }

    fn acknowledge_section(&mut self, ack: InventoryAck) {
        let InventoryAck {
            section,
            digest,
            refused,
            again,
        } = ack;
        match refused {
            None => {
                self.sent.remove(&section);
                if let Some(known) = &mut self.sections {
                    known.insert(section, digest);
                }
            }
            Some(why) => {
                tracing::warn!(%section, why, "the control plane did not keep a section");
                if again {
                    self.sent.remove(&section);
                    self.again.insert(section, digest);
                }
            }
        }
    }

    fn answer(&self, engine: &mut Engine, surveys: &Surveys, query: Query) -> Result<(), Hangup> {
        let request = match query.what {
            Question::Paths { account } => admin::Request::Paths { account },
            Question::Inventory => admin::Request::Inventory,
            Question::Explain { account } => {
                aside::answer(self.lane(), query.id, engine.root(), account);
                return Ok(());
            }
            Question::Section { section } => {
                surveys.answer(self.lane(), query.id, section);
                return Ok(());
            }
        };
        for answer in answers(query.id, admin::answer(engine, request)) {
            self.send(answer)?;
        }
        Ok(())
    }

    fn send(&self, message: impl Into<Message>) -> Result<(), Hangup> {
        let bytes = message.into().to_frame().to_bytes();
        let out = Out::Frame(bytes);
        self.frames.try_send(out).map_err(|error| match error {
            TrySendError::Full(_) => Hangup::Stalled,
            TrySendError::Disconnected(_) => Hangup::Closed,
        })
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        // Ends both threads, whatever they wait for. Full, its thread writes, which fails now.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.frames.try_send(Out::Close);
    }
}

/// The next frame to write: one from the lane only when there is no other. `None` at the end.
fn next_to_write(queue: &Receiver<Out>, lane: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
    loop {
        let out = match queue.try_recv() {
            Err(TryRecvError::Empty) => match lane.try_recv() {
                Ok(bytes) => return Some(bytes),
                // A frame that is put into the lane after this look is followed by a wake-up; that the
                // lane is at its end means nothing while there is a queue.
                Err(_) => queue.recv().ok()?,
            },
            Err(TryRecvError::Disconnected) => return None,
            Ok(out) => out,
        };
        match out {
            Out::Frame(bytes) => return Some(bytes),
            Out::Lane => {}
            Out::Close => return None,
        }
    }
}

fn digests(sections: Vec<SectionDigest>) -> Digests {
    let pairs = sections.into_iter().map(|one| (one.section, one.digest));
    pairs.collect()
}

/// Whether a frame is a question whose answer tells of logins.
pub fn tells_logins(frame: &Frame) -> bool {
    let message = Message::from_frame(frame);
    matches!(
        message,
        Ok(Some(Message::Query(Query {
            what: Question::Paths { .. } | Question::Inventory,
            ..
        })))
    )
}

/// An answer in pieces that fit into frames.
pub fn answers(id: u64, answer: admin::Answer) -> Vec<Answer> {
    let piece = |json: &[u8], last, error| Answer {
        id,
        json: json.to_vec(),
        last,
        error,
    };
    match answer {
        Err(error) => vec![piece(&[], true, Some(error))],
        Ok(json) => {
            let pieces: Vec<&[u8]> = json.as_bytes().chunks(ANSWER_FRAME_BYTES).collect();
            let last = pieces.len().saturating_sub(1);
            let pieces = pieces.iter().enumerate();
            pieces
                .map(|(at, json)| piece(json, at == last, None))
                .collect()
        }
    }
}

/// Reads frames until the other end closes, sends something that is no frame, or `each` is done.
fn read_frames(stream: &mut UnixStream, mut each: impl FnMut(Frame) -> bool) {
    let mut buffer = FrameBuffer::default();
    let mut chunk = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        buffer.extend(&chunk[..count]);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => {
                    if !each(frame) {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the link sent something that is not a frame");
                    return;
                }
            }
        }
    }
}
