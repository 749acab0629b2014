//! What the root half's one worker can be given to do: a closed list.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;

use rescind_protocol::evidence::Confirmation;
use rescind_protocol::frame::Frame;
use rescind_protocol::name::OrderId;

use crate::daemon::admin::{Answer, Request};
use crate::daemon::survey::Ended;

/// Tells one connection of the link from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// A piece of work.
#[derive(Debug)]
pub enum Work {
    /// The link has connected.
    LinkUp(UnixStream),
    /// A frame came over it.
    Frame(ConnectionId, Frame),
    /// The same frame again, a question for whose answer the records of logins have been read.
    Looked(ConnectionId, Frame),
    /// It is gone.
    LinkDown(ConnectionId),
    /// The local command line asks; the answer goes into the channel.
    Admin(Request, SyncSender<Answer>),
    /// The host's own tools have answered about an order.
    Confirmed(OrderId, Vec<Confirmation>),
    /// The host was surveyed.
    Surveyed(Ended),
    /// Something changed on disk; [`crate::daemon::watch::Watch::take`] says what.
    Changed,
    /// Finish what is begun and stop.
    Stop,
}
