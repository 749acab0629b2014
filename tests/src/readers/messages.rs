//! What agent and control plane say to each other: frames, messages, enrolment; and what command
//! lines ask agent and control plane.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rescind_agent::daemon::admin::Request;
use rescind_agent::link::frames::{FrameError, FrameReader};
use rescind_control::api::{exceptions, operators, orders, tokens};
use rescind_protocol::cbor;
use rescind_protocol::enrol::{EnrolRequest, Enrolled};
use rescind_protocol::evidence::ChainHead;
use rescind_protocol::frame::{FRAME_BYTES_MAX, FrameBuffer, LENGTH_BYTES};
use rescind_protocol::message::{
    Disposition, Evidence, Heartbeat, Hello, InventoryAck, InventoryPart, Message, OrderAck, Query,
    Question, Refused, Renew, SectionDigest, StandingList, Welcome,
};
use rescind_protocol::name::{Digest, HostId, OrderId, SectionName, UnixMillis};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "messages",
    read,
    words: &[
        "\0\0\0\x01",
        "\0\0\0\x02\x09",
        "\0\x10\0\0",
        "\u{1}\0\0\0\0",
        "\x09",
        "\x7f",
        "\x40",
        "\x60alice",
        "\x65alice",
        "\x1b\x7f",
        "\x1a\0\0\0\0",
        "\x0a",
        "\x0b",
        "{\"request\":\"paths\",\"account\":\"alice\"}",
        "{\"request\":\"apply\",\"signed\":\"",
        "\"dry_run\":true}",
    ],
    made,
    rooms: &["protocol/src/message.rs", "protocol/src/frame.rs"],
};

fn read(bytes: &[u8]) {
    let frames = frames(bytes);
    for (kind, body) in &frames {
        message(*kind, body);
    }
    // Whatever the lengths say: the input as the body of every kind.
    if let Some((kind, body)) = bytes.split_first() {
        message(kind & 0x8f, body);
    }
    match cbor::from_slice::<EnrolRequest>(bytes) {
        Ok(request) => assert_eq!(
            cbor::from_slice(&cbor::to_vec(&request)).ok(),
            Some(request)
        ),
        Err(why) => is_told_safely(&why.to_string()),
    }
    match cbor::from_slice::<Enrolled>(bytes) {
        Ok(joined) => assert_eq!(cbor::from_slice(&cbor::to_vec(&joined)).ok(), Some(joined)),
        Err(why) => is_told_safely(&why.to_string()),
    }
    requests(bytes);
    assert_eq!(
        through_the_link(bytes),
        frames,
        "both halves see the same frames"
    );
}

/// What the local command line asks the agent, and operators the control plane, as JSON.
fn requests(bytes: &[u8]) {
    fn said_again<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        // What is wrong with it is told to nobody but who sent it.
        let Ok(request) = serde_json::from_slice::<T>(bytes) else {
            return;
        };
        let once = serde_json::to_vec(&request).expect("what was read can be said");
        let again: T = serde_json::from_slice(&once).expect("what we say is understood");
        assert_eq!(serde_json::to_vec(&again).ok(), Some(once));
    }
    said_again::<Request>(bytes);
    said_again::<orders::Give>(bytes);
    said_again::<operators::Create>(bytes);
    said_again::<tokens::Create>(bytes);
    said_again::<exceptions::CloseRequest>(bytes);
}

/// Frames as the root half and the control plane take them, however the bytes arrive.
fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let step = bytes.first().map_or(1, |byte| usize::from(*byte % 61) + 1);
    let mut buffer = FrameBuffer::default();
    let mut whole = FrameBuffer::default();
    let (mut in_pieces, mut at_once) = (Vec::new(), Vec::new());
    'pieces: for piece in bytes.chunks(step) {
        buffer.extend(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => {
                    assert!(frame.body.len() < FRAME_BYTES_MAX);
                    assert!(frame.body.len() + 1 + LENGTH_BYTES <= bytes.len());
                    in_pieces.push((frame.kind, frame.body));
                }
                Ok(None) => break,
                Err(why) => {
                    is_told_safely(&why.to_string());
                    break 'pieces;
                }
            }
        }
    }
    whole.extend(bytes);
    let mut rest = bytes;
    while let Ok(Some(frame)) = whole.next_frame() {
        let after = rest.strip_prefix(frame.to_bytes().as_slice());
        rest = after.expect("frames are the bytes that came");
        at_once.push((frame.kind, frame.body));
    }
    assert_eq!(in_pieces, at_once);
    at_once
}

/// Frames as the network half passes them on.
fn through_the_link(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut reader = FrameReader::new(bytes);
    let mut found = Vec::new();
    loop {
        let next = pin!(reader.next());
        // Reading from memory never waits.
        let Poll::Ready(next) = next.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("reading from memory waits");
        };
        match next {
            Ok(Some(frame)) => found.push((frame.kind(), frame.body().to_vec())),
            Ok(None) | Err(FrameError::Torn) => return found,
            Err(why) => {
                is_told_safely(&why.to_string());
                return found;
            }
        }
    }
}

fn message(kind: u8, body: &[u8]) {
    match Message::from_parts(kind, body) {
        Ok(Some(message)) => {
            assert_eq!(message.kind(), kind);
            // What was understood is said again in at most as many bytes as it may take.
            let frame = message.to_frame();
            let again = Message::from_frame(&frame).expect("what we say is understood");
            assert_eq!(again.as_ref(), Some(&message));
            assert_eq!(again.map(|message| message.to_frame()), Some(frame));
        }
        Ok(None) => {}
        Err(why) => is_told_safely(&why.to_string()),
    }
}

fn made() -> Vec<Vec<u8>> {
    let (order, host) = (OrderId::from_bytes([3; 16]), HostId::from_bytes([4; 16]));
    let chain = ChainHead {
        next: 7,
        prev: Digest::of(b"x"),
    };
    let now = UnixMillis(1_795_423_384_123);
    let section: SectionName = "sudo".parse().expect("a name");
    let hello = Hello {
        protocol: 1,
        agent_version: "0.1.0".into(),
        host,
        chain,
        order_cursor: 5,
        standing: Digest::default(),
        boot_id: "b".into(),
        os: "Debian".into(),
        now,
    };
    let ack = OrderAck {
        order: Some(order),
        digest: Digest::default(),
        disposition: Disposition::Accepted,
        order_cursor: 1,
    };
    let messages: Vec<Message> = vec![
        hello.into(),
        Welcome {
            protocol: 1,
            chain,
            now,
            sections: Some(vec![SectionDigest {
                section: section.clone(),
                digest: Digest::of(b"x"),
            }]),
        }
        .into(),
        InventoryPart {
            section: section.clone(),
            digest: Digest::of(b"x"),
            json: b"{}".to_vec(),
            last: true,
            at: 0,
        }
        .into(),
        InventoryAck {
            section: section.clone(),
            digest: Digest::of(b"x"),
            refused: Some("why".into()),
            again: true,
        }
        .into(),
        Query {
            id: 2,
            what: Question::Section { section },
        }
        .into(),
        ack.into(),
        Evidence {
            records: vec![super::orders::record(0)],
        }
        .into(),
        StandingList {
            orders: vec![order, order],
        }
        .into(),
        Query {
            id: 1,
            what: Question::Paths {
                account: Some("alice".parse().expect("a name")),
            },
        }
        .into(),
        Heartbeat { now }.into(),
        Renew { csr: vec![0x30, 0] }.into(),
        Refused { why: "no".into() }.into(),
    ];
    let mut seeds: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| message.to_frame().to_bytes())
        .collect();
    seeds.push(seeds.concat());
    let joined = Enrolled {
        host,
        certificate: "-----BEGIN CERTIFICATE-----".into(),
        ca: "-----BEGIN CERTIFICATE-----".into(),
        not_after: now,
        order_keys: Vec::new(),
        server_name: "control.example".into(),
    };
    seeds.push(cbor::to_vec(&joined));
    for request in [
        r#"{"request":"explain","account":"alice"}"#,
        r#"{"action":{"kind":"disable_account","account":"alice"},"hosts":["web1"],"ticket":"T","reason":"r"}"#,
        r#"{"host":"web1","uses":1,"ttl_s":60}"#,
        r#"{"name":"ops","csr":"MIG5"}"#,
    ] {
        seeds.push(request.into());
    }
    seeds.push([&[0x0b][..], &cbor::to_vec(&now)].concat());
    seeds
}
