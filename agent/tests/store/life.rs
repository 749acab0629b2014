//! A store in a directory of its own, and a short life for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rescind_agent::store::{Clock, Limits, Options, Recovery, Store};
use rescind_protocol::evidence::{
    ChainHead, ChainVerifier, Channel, Event, SealedRecord, Step, StepKind,
};
use rescind_protocol::name::{HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority, Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::sign::SigningKey;

/// A directory that goes away with the test.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Memory where there is some: these tests are not about what the disk does.
        let shm = Path::new("/dev/shm");
        let base = match shm.is_dir() {
            true => shm.to_path_buf(),
            false => std::env::temp_dir(),
        };
        let path = base.join(format!("rescind-store-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    pub fn journal(&self) -> PathBuf {
        self.0.join("store/journal")
    }
}
impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Stopped;
impl Clock for Stopped {
    fn wall(&self) -> UnixMillis {
        UnixMillis(1_795_423_384_123)
    }
    fn boot_us(&self) -> u64 {
        7
    }
}

pub const SMALL: Limits = Limits {
    segment_bytes: 16 * 1024,
    segments_max: 3,
};

pub fn options() -> Options {
    Options {
        limits: SMALL,
        enrolled: false,
        index_program: env!("CARGO_BIN_EXE_rescind-agent").into(),
    }
}

pub fn open(dir: &Path) -> (Store, Recovery) {
    Store::open(dir, Stopped, "0.1.0", options()).unwrap()
}

pub fn order(seq: u64, action: Action) -> (OrderId, Event) {
    let (key, _) = SigningKey::generate();
    let id = OrderId::from_bytes(u128::from(seq).to_be_bytes());
    let order = Order {
        id,
        host: HostId::from_bytes([2; 16]),
        seq,
        issued_at: UnixMillis(1000),
        expires_at: UnixMillis(2000),
        action,
        authority: Authority {
            asked_by: "dana@example.com".into(),
            approved_by: vec![],
            ticket: "OFF-1".into(),
            reason: "left the company".into(),
            source: "cli".into(),
        },
    };
    let accepted = Event::OrderAccepted {
        signed: SignedOrder::seal(order, &key).to_bytes(),
        order: id,
        signers: vec![key.verifying_key().id()],
        via: Channel::Link,
    };
    (id, accepted)
}

pub fn disable(name: &str) -> Action {
    Action::DisableAccount {
        account: name.parse().unwrap(),
    }
}

pub fn planned(order: OrderId) -> Event {
    let step = Step {
        kind: StepKind::RemoveKeys,
        target: "/home/alice/.ssh/authorized_keys".into(),
        detail: "1 line".into(),
    };
    Event::Planned {
        order,
        steps: vec![step; 2],
    }
}

pub fn concluded(order: OrderId, verdict: Verdict) -> Event {
    Event::Concluded {
        outcome: Outcome {
            order,
            verdict,
            guard: None,
            reason: "read again".into(),
            paths: vec![],
            paths_left_out: 0,
            gaps: vec![],
            took_us: 5,
        },
    }
}

pub fn gap(what: &str) -> Event {
    Event::Gap { what: what.into() }
}

/// Every record from `from` on, fetched in small pieces.
pub fn all_records(store: &Store, from: u64) -> Vec<SealedRecord> {
    let mut out: Vec<SealedRecord> = Vec::new();
    loop {
        let next = out
            .last()
            .map_or(from, |last| last.body().unwrap().index + 1);
        let piece = store.records(next, 3000).unwrap();
        if piece.is_empty() {
            return out;
        }
        out.extend(piece);
    }
}

pub fn verify(store: &Store, records: &[SealedRecord]) -> ChainHead {
    let mut verifier = ChainVerifier::new(store.evidence_key(), ChainHead::default());
    for record in records {
        verifier.check(record).unwrap();
    }
    verifier.head()
}

pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A short life: one order carried out, one being carried out, one refused, one released.
pub fn live(dir: &Path) -> (Store, [OrderId; 4]) {
    let (mut store, recovery) = open(dir);
    assert!(recovery.fresh && !recovery.new_key && recovery.gaps.is_empty());
    let (a, accepted) = order(1, disable("alice"));
    store.append_synced(&accepted, None).unwrap();
    store
        .append(planned(a), Some(b"ssh-ed25519 AAAA alice@laptop"))
        .unwrap();
    for step in 0..2 {
        store
            .append(&Event::StepBegun { order: a, step }, None)
            .unwrap();
        let ended = Event::StepEnded {
            order: a,
            step,
            changed: true,
            error: None,
        };
        store.append(&ended, None).unwrap();
    }
    store
        .append_synced(concluded(a, Verdict::Verified), None)
        .unwrap();
    let (b, accepted) = order(2, disable("bob"));
    store.append_synced(&accepted, None).unwrap();
    store.append(planned(b), Some(b"ssh-rsa BBBB bob")).unwrap();
    store
        .append_synced(&Event::StepBegun { order: b, step: 0 }, None)
        .unwrap();
    let (c, accepted) = order(3, disable("root"));
    store.append_synced(&accepted, None).unwrap();
    store
        .append_synced(concluded(c, Verdict::Refused), None)
        .unwrap();
    let (d, accepted) = order(4, disable("carol"));
    store.append_synced(&accepted, None).unwrap();
    store
        .append_synced(concluded(d, Verdict::Already), None)
        .unwrap();
    let released = Event::Released {
        order: d,
        by: OrderId::from_bytes([9; 16]),
    };
    store.append_synced(&released, None).unwrap();
    (store, [a, b, c, d])
}
