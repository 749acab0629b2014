//! Signed orders, sealed records, bundles of evidence, join tokens, names.

use rescind_control::bundle;
use rescind_protocol::cbor;
use rescind_protocol::enrol::JoinToken;
use rescind_protocol::evidence::{ChainHead, ChainVerifier, Event, RecordBody, SealedRecord};
use rescind_protocol::name::{
    AccountName, Digest, HostId, HostName, KeyFingerprint, OrderId, UnixMillis,
};
use rescind_protocol::order::{Action, Authority, ORDER_BYTES_MAX, Order, SignedOrder};
use rescind_protocol::sign::{SigningKey, VerifyingKey};

use super::Target;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "orders",
    read,
    words: &[
        "{\"format\":\"rescind-evidence-1\",\"host\":\"",
        "{\"sealed\":\"",
        "\"}\n",
        "\"chain\":1",
        "\"evidence_key\":\"",
        "rescind1.",
        "SHA256:",
        "\x58\x20",
        "\x58\x40",
        "\x50",
        "\x59",
        "00000000-0000-0000-0000-000000000000",
        "alice",
        "\x7f\x60",
        "\"start\":{\"next\":18446744073709551615,\"prev\":\"",
    ],
    made,
    rooms: &["protocol/src", "control/src/bundle.rs"],
};

fn read(bytes: &[u8]) {
    order(bytes);
    sealed(bytes);
    told_of_bundle(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        names(text.split('\n').next().unwrap_or_default());
    }
}

fn order(bytes: &[u8]) {
    let order = match SignedOrder::from_bytes(bytes) {
        Ok(order) => order,
        Err(why) => return is_told_safely(&why.to_string()),
    };
    assert!(bytes.len() <= ORDER_BYTES_MAX);
    order.order().authority.check().expect("it was checked");
    let again = order.to_bytes();
    assert_eq!(
        SignedOrder::from_bytes(&again).expect("our own bytes"),
        order
    );
    // It is signed by whoever signed these bytes, or by nobody.
    let body = cbor::to_vec(order.order());
    match order.verify(&[key().verifying_key()]) {
        Ok(signers) => assert_eq!(signers, [key().verifying_key().id()]),
        Err(why) => is_told_safely(&why.to_string()),
    }
    let read_again: Order = cbor::from_slice(&body).expect("our own bytes");
    assert_eq!(&read_again, order.order());
}

fn sealed(bytes: &[u8]) {
    let Ok(record) = cbor::from_slice::<SealedRecord>(bytes) else {
        if let Ok(event) = cbor::from_slice::<Event>(bytes) {
            assert_eq!(
                cbor::from_slice::<Event>(&cbor::to_vec(&event)).ok(),
                Some(event)
            );
        }
        return;
    };
    let Ok(body) = record.body() else { return };
    if let Some(event) = body.event() {
        let json = serde_json::to_string(&event).expect("every event can be told");
        is_told_safely(
            &json[..json.len().min(1024)]
                .chars()
                .take(100)
                .collect::<String>(),
        );
        let _order = event.order();
    }
    let before = ChainHead {
        next: body.index,
        prev: body.prev,
    };
    let mut chain = ChainVerifier::new(key().verifying_key(), before);
    if let Err(why) = chain.check(&record) {
        is_told_safely(&why.to_string());
        assert_eq!(
            chain.head(),
            before,
            "a record that is not believed changes nothing"
        );
    }
}

fn told_of_bundle(bytes: &[u8]) {
    match bundle::check(bytes, None) {
        Ok(chains) => assert!(!chains.is_empty()),
        Err(why) => is_told_safely(&why.to_string()),
    }
    let keyed = bundle::check(bytes, Some(key().verifying_key()));
    if let Ok(chains) = keyed {
        assert!(
            chains
                .iter()
                .all(|chain| chain.heading.evidence_key == key().verifying_key())
        );
    }
}

fn names(text: &str) {
    macro_rules! round_trip {
        ($($type:ty),*) => {
            $(if let Ok(name) = text.parse::<$type>() {
                let shown = name.to_string();
                is_told_safely(&shown);
                assert_eq!(shown.parse::<$type>().as_ref(), Ok(&name));
                let json = serde_json::to_string(&name).expect("a name is a text");
                assert_eq!(serde_json::from_str::<$type>(&json).ok(), Some(name));
            })*
        };
    }
    round_trip!(
        AccountName,
        HostName,
        KeyFingerprint,
        Digest,
        OrderId,
        HostId,
        VerifyingKey
    );
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.to_text().parse::<JoinToken>().as_ref(), Ok(&token));
        assert!(
            !format!("{token:?}").contains(&text[9..20]),
            "a token is not shown"
        );
    }
}

/// A key that is the same in every run.
pub fn key() -> SigningKey {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
        -----END PRIVATE KEY-----\n";
    SigningKey::from_pem(pem).expect("it is a key")
}

fn alices_order(action: Action) -> Order {
    let authority = Authority {
        asked_by: "hr".into(),
        approved_by: vec!["sec".into()],
        ticket: "T-1".into(),
        reason: "left".into(),
        source: "cli".into(),
    };
    Order {
        id: OrderId::from_bytes([1; 16]),
        host: HostId::from_bytes([2; 16]),
        seq: 1,
        issued_at: UnixMillis(1_000),
        expires_at: UnixMillis(2_000),
        action,
        authority,
    }
}

/// A signed order.
pub fn signed() -> SignedOrder {
    let account: AccountName = "alice".parse().expect("a name");
    SignedOrder::seal(alices_order(Action::DisableAccount { account }), &key())
}

/// A record of the chain that [`key`] signs.
pub fn record(index: u64) -> SealedRecord {
    let event = match index {
        0 => Event::Genesis {
            evidence_key: key().verifying_key(),
            agent_version: "0.1.0".into(),
        },
        1 => Event::OrderAccepted {
            signed: signed().to_bytes(),
            order: OrderId::from_bytes([1; 16]),
            signers: Vec::new(),
            via: rescind_protocol::evidence::Channel::Link,
        },
        2 => Event::StepBegun {
            order: OrderId::from_bytes([1; 16]),
            step: 0,
        },
        _ => Event::Gap {
            what: format!("gap {index}"),
        },
    };
    let prev = match index {
        0 => Digest::default(),
        _ => record(index - 1).digest(),
    };
    let body = RecordBody {
        index,
        prev,
        at: UnixMillis(5),
        boot_us: 6,
        private: None,
        event: cbor::to_vec(&event),
    };
    SealedRecord::seal(&body, &key())
}

fn made() -> Vec<Vec<u8>> {
    let fingerprint = KeyFingerprint::of_blob(b"k");
    let revoke = alices_order(Action::RevokeKey {
        fingerprint,
        account: None,
    });
    let heading = format!(
        "{{\"format\":\"rescind-evidence-1\",\"host\":\"{}\",\"name\":\"web1\",\"chain\":1,\"evidence_key\":\"{}\"}}\n",
        HostId::from_bytes([2; 16]),
        key().verifying_key()
    );
    let lines: Vec<String> = (0..3)
        .map(|index| bundle::record_line(&record(index)) + "\n")
        .collect();
    let mut seeds = vec![
        signed().to_bytes(),
        SignedOrder::seal(revoke, &key()).to_bytes(),
        cbor::to_vec(&record(0)),
        cbor::to_vec(&record(2)),
        (heading.clone() + &lines.concat()).into_bytes(),
        heading.into_bytes(),
        b"SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA".to_vec(),
        format!("rescind1.{0}.{0}", "A".repeat(43)).into_bytes(),
    ];
    seeds.extend((0..3).map(|index| record(index).body));
    seeds
}
