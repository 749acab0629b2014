//! The messages that travel in frames.
//!
//! Kinds below 0x80 are between the control plane and the root half (`rescind-agent run`); the
//! link passes them on unread. Kinds from 0x80 are between the control plane and the link. A kind
//! that is not known is skipped, so that either side can be upgraded first.

use minicbor::{Decode, Encode};

use crate::cbor::{self, Malformed};
use crate::enrol::{EnrolRequest, Enrolled};
use crate::evidence::{ChainHead, NotAccepted, SealedRecord};
use crate::frame::Frame;
use crate::name::{Digest, HostId, OrderId, SectionName, UnixMillis};

/// The first kind that the link itself handles.
pub const LINK_KINDS: u8 = 0x80;

/// The most standing orders one [`StandingList`] names.
pub const STANDING_IDS_MAX: usize = 50_000;

macro_rules! messages {
    ($($(#[$doc:meta])* $kind:literal $name:ident($body:ty),)*) => {
        /// Any message.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name($body),)*
        }

        impl Message {
            /// The frame's kind byte.
            pub const fn kind(&self) -> u8 {
                match self { $(Self::$name(_) => $kind,)* }
            }
            /// The frame to send. Panics if it is larger than a frame may be.
            pub fn to_frame(&self) -> Frame {
                let body = match self { $(Self::$name(body) => cbor::to_vec(body),)* };
                Frame { kind: self.kind(), body }
            }
            /// Reads a frame; `None` when its kind is not known to this version.
            pub fn from_frame(frame: &Frame) -> Result<Option<Self>, Malformed> {
                Self::from_parts(frame.kind, &frame.body)
            }
            /// As [`Message::from_frame`], from a frame's kind byte and body.
            pub fn from_parts(kind: u8, body: &[u8]) -> Result<Option<Self>, Malformed> {
                Ok(match kind {
                    $($kind => Some(Self::$name(cbor::from_slice(body)?)),)*
                    _ => None,
                })
            }
        }
        $(impl From<$body> for Message {
            fn from(body: $body) -> Self {
                Self::$name(body)
            }
        })*
    };
}

messages! {
    /// Host: who I am and where I stand. The first message on every connection.
    0x01 Hello(Hello),
    /// Control plane: the answer to `Hello`.
    0x02 Welcome(Welcome),
    /// Control plane: a signed order.
    0x03 Order(OrderBytes),
    /// Host: what became of an order on arrival.
    0x04 OrderAck(OrderAck),
    /// Host: records of the evidence chain.
    0x05 Evidence(Evidence),
    /// Control plane: evidence up to here is safely kept.
    0x06 EvidenceAck(EvidenceAck),
    /// Control plane: which orders are in force on your side?
    0x07 StandingQuery(StandingQuery),
    /// Host: these.
    0x08 StandingList(StandingList),
    /// Control plane: a question that changes nothing.
    0x09 Query(Query),
    /// Host: a piece of the answer.
    0x0a Answer(Answer),
    /// Host: a section of the inventory that changed, in pieces.
    0x0b Inventory(InventoryPart),
    /// Control plane: a section is kept, or why it is not.
    0x0c InventoryAck(InventoryAck),
    /// Either link end: I am here.
    0x80 Heartbeat(Heartbeat),
    /// Control plane: come back later.
    0x81 RetryAfter(RetryAfter),
    /// Host: please certify this new key.
    0x82 Renew(Renew),
    /// Control plane: the new certificate.
    0x83 Renewed(Renewed),
    /// Host: let me join (only on a connection without a client certificate).
    0x84 Enrol(EnrolRequest),
    /// Control plane: you have joined.
    0x85 Enrolled(Enrolled),
    /// Control plane: this cannot go on, and why; the connection ends.
    0x86 Refused(Refused),
}

/// Who the host is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// [`crate::PROTOCOL_VERSION`] of the sender.
    #[n(0)]
    pub protocol: u16,
    /// The agent's version.
    #[n(1)]
    pub agent_version: String,
    /// The host; must be the one the certificate was made for.
    #[n(2)]
    pub host: HostId,
    /// Where the evidence chain stands.
    #[n(3)]
    pub chain: ChainHead,
    /// Every order up to and including this sequence number has been seen.
    #[n(4)]
    pub order_cursor: u64,
    /// [`standing_digest`] of the orders in force.
    #[n(5)]
    pub standing: Digest,
    /// The kernel's boot id.
    #[n(6)]
    pub boot_id: String,
    /// `PRETTY_NAME` of os-release(5).
    #[n(7)]
    pub os: String,
    /// The host's clock.
    #[n(8)]
    pub now: UnixMillis,
}

/// The digest by which both sides compare the standing orders: SHA-256 over the ids, sorted.
pub fn standing_digest(ids: impl IntoIterator<Item = OrderId>) -> Digest {
    let mut ids: Vec<OrderId> = ids.into_iter().collect();
    ids.sort_unstable();
    let parts: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    Digest::from_bytes(crate::sign::sha256(&parts))
}

/// The answer to `Hello`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// The version both will speak: the lower of the two.
    #[n(0)]
    pub protocol: u16,
    /// Where the control plane's copy of the chain stands; the host sends what follows.
    #[n(1)]
    pub chain: ChainHead,
    /// The control plane's clock.
    #[n(2)]
    pub now: UnixMillis,
    /// The sections of the host's survey that the control plane keeps; the host sends those that
    /// are others. `None` when it keeps none for anybody: then the host sends none.
    #[n(3)]
    pub sections: Option<Vec<SectionDigest>>,
}

/// Which state of a section somebody has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SectionDigest {
    /// The section.
    #[n(0)]
    pub section: SectionName,
    /// The SHA-256 of its JSON.
    #[n(1)]
    pub digest: Digest,
}

/// A signed order, as [`crate::order::SignedOrder::to_bytes`] made it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OrderBytes {
    /// The bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub signed: Vec<u8>,
}

/// What became of an order on arrival.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OrderAck {
    /// The order's id, where it could be read.
    #[n(0)]
    pub order: Option<OrderId>,
    /// The digest of the bytes that came, to tell which was meant.
    #[n(1)]
    pub digest: Digest,
    /// What became of it.
    #[n(2)]
    pub disposition: Disposition,
    /// The host's cursor after it, see [`Hello::order_cursor`].
    #[n(3)]
    pub order_cursor: u64,
}

/// What became of an order on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Disposition {
    /// On the host's disk; it will be carried out.
    #[n(0)]
    Accepted,
    /// It was here before; nothing is done twice.
    #[n(1)]
    Duplicate,
    /// Not accepted; recorded in the evidence chain.
    #[n(2)]
    NotAccepted(#[n(0)] NotAccepted),
}

impl Disposition {
    /// The stable word for it: `accepted`, `duplicate` or `not_accepted`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::NotAccepted(_) => "not_accepted",
        }
    }

    /// Why it was not accepted.
    #[must_use]
    pub const fn why(self) -> Option<NotAccepted> {
        match self {
            Self::NotAccepted(why) => Some(why),
            Self::Accepted | Self::Duplicate => None,
        }
    }
}

/// Records of the evidence chain, in order and without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Evidence {
    /// The records.
    #[n(0)]
    pub records: Vec<SealedRecord>,
}

/// Evidence before this index is safely kept by the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EvidenceAck {
    /// The index of the next record wanted.
    #[n(0)]
    pub next: u64,
}

/// Which orders are in force on the host?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StandingQuery {}

/// The orders in force on the host.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StandingList {
    /// Their ids.
    #[n(0)]
    pub orders: Vec<OrderId>,
}

/// A question that changes nothing on the host.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Query {
    /// Chosen by the asker; the answer carries it.
    #[n(0)]
    pub id: u64,
    /// What is asked.
    #[n(1)]
    pub what: Question,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Question {
    /// The access paths of one account, or of all; answered by a JSON array of
    /// [`crate::path::AccessPath`].
    #[n(0)]
    Paths {
        /// One account's, or everybody's.
        #[n(0)]
        account: Option<crate::name::AccountName>,
    },
    /// The accounts of the host, each with how many ways in are open; answered by a JSON array.
    #[n(1)]
    Inventory,
    /// Why an account can become root; answered by a JSON object.
    #[n(2)]
    Explain {
        /// The account.
        #[n(0)]
        account: crate::name::AccountName,
    },
    /// A section of the survey, taken now; answered by its JSON, see [`crate::section`].
    #[n(3)]
    Section {
        /// Which.
        #[n(0)]
        section: SectionName,
    },
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Answer {
    /// The question's id.
    #[n(0)]
    pub id: u64,
    /// JSON, at most 256 KiB of it; the pieces are put together in the order they come.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub json: Vec<u8>,
    /// Whether this is the last piece.
    #[n(2)]
    pub last: bool,
    /// Why there is no answer.
    #[n(3)]
    pub error: Option<String>,
}

/// A piece of a section of the host's survey, see [`crate::section`]. The pieces of one section
/// follow each other, with no piece of another between them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InventoryPart {
    /// The section.
    #[n(0)]
    pub section: SectionName,
    /// The digest of the whole section.
    #[n(1)]
    pub digest: Digest,
    /// JSON, at most [`crate::section::PIECE_BYTES_MAX`] of it.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub json: Vec<u8>,
    /// Whether this is the last piece.
    #[n(3)]
    pub last: bool,
    /// How many bytes of the section came before this piece.
    #[n(4)]
    #[cbor(default)]
    pub at: u64,
}

/// What became of a section that a host sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InventoryAck {
    /// The section.
    #[n(0)]
    pub section: SectionName,
    /// The digest that came with its pieces.
    #[n(1)]
    pub digest: Digest,
    /// Why it is not kept; absent when it is.
    #[n(2)]
    pub refused: Option<String>,
    /// It was not kept because of the control plane's own state, and may be sent again later.
    #[n(3)]
    #[cbor(default)]
    pub again: bool,
}

/// I am here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heartbeat {
    /// The sender's clock.
    #[n(0)]
    pub now: UnixMillis,
}

/// Come back later.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RetryAfter {
    /// How long to wait at least, in milliseconds.
    #[n(0)]
    pub ms: u64,
    /// Why.
    #[n(1)]
    pub why: String,
}

/// Please certify this new key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renew {
    /// A certificate signing request (RFC 2986), DER.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub csr: Vec<u8>,
}

/// A new certificate for the link.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renewed {
    /// The host's certificate, PEM.
    #[n(0)]
    pub certificate: String,
    /// The control plane's CA certificates, PEM, one after the other.
    #[n(1)]
    pub ca: String,
    /// When the certificate ends.
    #[n(2)]
    pub not_after: UnixMillis,
}

/// This cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// Why, and what to do.
    #[n(0)]
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_a_frame() {
        for message in [
            Message::from(Hello {
                protocol: 1,
                agent_version: "0.1.0".into(),
                host: HostId::from_bytes([3; 16]),
                chain: ChainHead::default(),
                order_cursor: 9,
                standing: standing_digest([]),
                boot_id: "b".into(),
                os: "Debian".into(),
                now: UnixMillis(5),
            }),
            StandingQuery {}.into(),
            OrderAck {
                order: None,
                digest: Digest::default(),
                disposition: Disposition::NotAccepted(NotAccepted::Expired),
                order_cursor: 1,
            }
            .into(),
            Query {
                id: 1,
                what: Question::Paths { account: None },
            }
            .into(),
            Welcome {
                protocol: 1,
                chain: ChainHead::default(),
                now: UnixMillis(5),
                sections: Some(vec![SectionDigest {
                    section: "sudo".parse().unwrap(),
                    digest: Digest::default(),
                }]),
            }
            .into(),
            InventoryAck {
                section: "sudo".parse().unwrap(),
                digest: Digest::default(),
                refused: Some("why".into()),
                again: true,
            }
            .into(),
        ] {
            let frame = message.to_frame();
            assert_eq!(Message::from_frame(&frame).unwrap(), Some(message));
        }
        let unknown = Frame {
            kind: 0x7f,
            body: vec![0xff],
        };
        assert_eq!(Message::from_frame(&unknown).unwrap(), None);
    }

    #[test]
    fn a_field_of_a_later_version_is_skipped() {
        // {0: 42, 9: "new"}
        let body = vec![0xa2, 0x00, 0x18, 0x2a, 0x09, 0x63, b'n', b'e', b'w'];
        let frame = Frame { kind: 0x06, body };
        assert_eq!(
            Message::from_frame(&frame).unwrap(),
            Some(EvidenceAck { next: 42 }.into())
        );
    }

    #[test]
    fn standing_orders_compare_in_any_order() {
        let [a, b] = [[1; 16], [2; 16]].map(OrderId::from_bytes);
        assert_eq!(standing_digest([a, b]), standing_digest([b, a]));
        assert_ne!(standing_digest([a]), standing_digest([a, b]));
    }
}
