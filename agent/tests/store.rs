//! The store against what happens to it: reopening, damage, SIGKILL, compaction.
#![expect(
    clippy::unwrap_used,
    reason = "every function here is part of a test, and its failure is the test's"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rescind_agent::store::{Clock, Limits, Options, Recovery, Store, StoreError};
use rescind_protocol::evidence::{
    ChainHead, ChainVerifier, Channel, Event, SealedRecord, Step, StepKind,
};
use rescind_protocol::name::{HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Authority, Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::sign::SigningKey;

/// A directory that goes away with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
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
    fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    fn journal(&self) -> PathBuf {
        self.0.join("store/journal")
    }
}
impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Stopped;
impl Clock for Stopped {
    fn wall(&self) -> UnixMillis {
        UnixMillis(1_795_423_384_123)
    }
    fn boot_us(&self) -> u64 {
        7
    }
}

const SMALL: Limits = Limits {
    segment_bytes: 16 * 1024,
    segments_max: 3,
};

fn options() -> Options {
    Options {
        limits: SMALL,
        index_program: env!("CARGO_BIN_EXE_rescind-agent").into(),
    }
}

fn open(dir: &Path) -> (Store, Recovery) {
    Store::open_with(dir, Stopped, "0.1.0", options()).unwrap()
}

fn order(seq: u64, action: Action) -> (OrderId, Event) {
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

fn disable(name: &str) -> Action {
    Action::DisableAccount {
        account: name.parse().unwrap(),
    }
}

fn planned(order: OrderId) -> Event {
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

fn concluded(order: OrderId, verdict: Verdict) -> Event {
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

fn gap(what: &str) -> Event {
    Event::Gap { what: what.into() }
}

/// Every record from `from` on, fetched in small pieces.
fn all_records(store: &Store, from: u64) -> Vec<SealedRecord> {
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

fn verify(store: &Store, records: &[SealedRecord]) -> ChainHead {
    let mut verifier = ChainVerifier::new(store.evidence_key(), ChainHead::default());
    for record in records {
        verifier.check(record).unwrap();
    }
    verifier.head()
}

fn copy(from: &Path, to: &Path) {
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
fn live(dir: &Path) -> (Store, [OrderId; 4]) {
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

#[test]
fn a_store_reopens_as_it_was() {
    let dir = Dir::new();
    let (store, [a, b, ..]) = live(&dir.store());
    let (head, state) = (store.head(), store.state().clone());
    drop(store);

    let (store, recovery) = open(&dir.store());
    assert_eq!(
        recovery,
        Recovery {
            unfinished: vec![b],
            ..Recovery::default()
        }
    );
    assert_eq!(store.head(), head);
    assert_eq!(store.state(), &state);
    let standing: Vec<_> = state.standing().map(|o| o.order().id).collect();
    assert_eq!(standing, [a, b]);
    assert_eq!(state.order_cursor(), 4);
    assert_eq!(verify(&store, &all_records(&store, 0)), head);

    let plan = store.state().order(a).unwrap().planned[0];
    let private = store.private(plan).unwrap().unwrap();
    assert_eq!(&private[..], b"ssh-ed25519 AAAA alice@laptop");
    assert!(store.private(0).unwrap().is_none());
    assert!(store.private(99).is_err());
}

#[test]
fn nothing_is_shown_before_it_is_durable() {
    let dir = Dir::new();
    let (mut store, _) = open(&dir.store());
    let durable = store.head().next;
    store.append(gap("one"), None).unwrap();
    assert_eq!(store.head().next, durable);
    assert!(store.records(durable, 9999).unwrap().is_empty());
    store.acknowledge(99);
    assert_eq!(store.acknowledged(), durable);
    store.sync().unwrap();
    assert_eq!(store.records(durable, 9999).unwrap().len(), 1);
}

#[test]
fn old_segments_go_and_what_stands_stays() {
    let dir = Dir::new();
    let (mut store, [a, b, ..]) = live(&dir.store());
    let plan = store.state().order(a).unwrap().planned[0];
    let fill = |store: &mut Store, n: u32| {
        for i in 0..n {
            store
                .append(gap(&format!("filler {i} {}", "x".repeat(400))), None)
                .unwrap();
            store.sync().unwrap();
        }
    };
    fill(&mut store, 200);
    assert!(!store.compact_if_due().unwrap(), "nothing was acknowledged");
    let before = all_records(&store, 0);
    assert_eq!(verify(&store, &before), store.head());
    store.acknowledge(150);
    assert!(store.compact_if_due().unwrap());
    let oldest = store.oldest();
    assert!(oldest > 20 && oldest <= 150, "{oldest}");
    assert_eq!(
        all_records(&store, oldest),
        before[usize::try_from(oldest).unwrap()..]
    );

    for round in 0..3 {
        let (head, state) = (store.head(), store.state().clone());
        drop(store);
        let (reopened, recovery) = open(&dir.store());
        store = reopened;
        assert_eq!(recovery.gaps, [""; 0], "round {round}");
        assert_eq!(recovery.unfinished, [b]);
        assert_eq!((store.head(), store.state()), (head, &state));
        let dropped = store.records(0, 100);
        assert!(matches!(dropped, Err(StoreError::Dropped { .. })));
        let private = store.private(plan).unwrap().unwrap();
        assert_eq!(&private[..], b"ssh-ed25519 AAAA alice@laptop");
        assert!(store.record(plan - 1).unwrap().is_some());
        fill(&mut store, 150);
        store.acknowledge(store.head().next);
        assert!(store.compact_if_due().unwrap());
        assert_eq!(fs::read_dir(dir.journal()).unwrap().count(), 1 + 2 + 1);
    }
}

/// Opens a copy of a store in which one file was changed; the indices that can still be read.
fn survivors(
    original: &Dir,
    file: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> (Store, Recovery, Dir) {
    let dir = Dir::new();
    copy(&original.store(), &dir.store());
    let path = dir.journal().join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let (store, recovery) = open(&dir.store());
    (store, recovery, dir)
}

fn by_index(records: &[SealedRecord]) -> BTreeMap<u64, &SealedRecord> {
    records
        .iter()
        .map(|record| (record.body().unwrap().index, record))
        .collect()
}

#[test]
fn one_bad_bit_anywhere_costs_one_record_at_most_and_is_named() {
    let dir = Dir::new();
    let (mut store, [a, b, ..]) = live(&dir.store());
    for i in 0..40 {
        let filler = gap(&format!("filler {i} {}", "x".repeat(300)));
        store.append_synced(&filler, None).unwrap();
    }
    let (before, state) = (all_records(&store, 0), store.state().clone());
    let last = store.head().next - 1;
    drop(store);
    let mut segments: Vec<String> = fs::read_dir(dir.journal())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".seg"))
        .collect();
    segments.sort();
    assert_eq!(segments.len(), 2);

    for trial in 0..1000 {
        let file = &segments[trial % 2];
        let place = trial / 2 * 33;
        let (store, recovery, copy) = survivors(&dir, file, |bytes| {
            let place = place % bytes.len();
            bytes[place] ^= 1 << (trial % 8);
        });
        let mut lost = Vec::new();
        let after = all_records(&store, 0);
        let after = by_index(&after);
        for (index, record) in by_index(&before) {
            match after.get(&index) == Some(&record) {
                true => {}
                false => lost.push(index),
            }
        }
        assert!(lost.len() <= 1, "trial {trial}: lost {lost:?}");
        let text = recovery.gaps.join("; ");
        if let Some(index) = lost.first() {
            let named = match *index == last {
                true => text.contains(&format!("behind record {} was cut off", index - 1)),
                false => text.contains(&format!("record {index} is lost")),
            };
            assert!(named, "trial {trial}: lost {index}, said {text:?}");
        }
        let accepted = [a, b].map(|id| state.order(id).unwrap().accepted);
        for (id, index) in [a, b].into_iter().zip(accepted) {
            if !lost.contains(&index) {
                let order = store.state().order(id).unwrap();
                assert!(order.is_standing(), "trial {trial}");
            }
        }
        if trial % 16 < 2 {
            // Opened again, nothing is reported twice.
            drop(store);
            let (_, again) = open(&copy.store());
            assert_eq!(again.gaps, [""; 0], "trial {trial}");
        }
    }
}

#[test]
fn a_file_that_ends_anywhere_opens_with_what_is_whole() {
    let dir = Dir::new();
    let (store, _) = live(&dir.store());
    let before = all_records(&store, 0);
    drop(store);
    let name = "00000000000000000000.seg";
    let bytes = fs::read(dir.journal().join(name)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let every = (0..bytes.len()).step_by(512).chain(end - 400..end + 3);
    for len in every {
        let (store, recovery, _copy) = survivors(&dir, name, |bytes| bytes.truncate(len));
        let after = all_records(&store, 0);
        let whole = after
            .iter()
            .zip(&before)
            .take_while(|(a, b)| a == b)
            .count();
        let fresh_from = whole.min(before.len());
        assert!(
            recovery.cut.is_some() || after[fresh_from..].len() <= 2,
            "{len}"
        );
        if len >= end {
            assert_eq!(whole, before.len());
            assert!(recovery.gaps.is_empty());
        }
        if recovery.fresh {
            assert!(len < 600, "{len}");
        } else {
            verify(&store, &after);
        }
    }
}

#[test]
fn lost_files_are_named_and_the_rest_stays_in_force() {
    let dir = Dir::new();
    let (mut store, [a, b, ..]) = live(&dir.store());
    for i in 0..100 {
        store
            .append_synced(gap(&format!("filler {i} {}", "x".repeat(400))), None)
            .unwrap();
    }
    store.acknowledge(60);
    store.compact_if_due().unwrap();
    let head = store.head();
    drop(store);
    let mut names: Vec<String> = fs::read_dir(dir.journal())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let copied = Dir::new();
        copy(&dir.store(), &copied.store());
        let path = copied.journal().join(&name);
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        let (store, recovery) = open(&copied.store());
        let standing: Vec<_> = store.state().standing().map(|o| o.order().id).collect();
        assert_eq!(standing, [a, b], "without {name}");
        let ok = name == "reserve" || name.starts_with("checkpoint") || !recovery.gaps.is_empty();
        assert!(ok, "without {name}: nothing said");
        assert!(store.head().next >= head.next);
    }
    // Both copies of the checkpoint damaged: it is said that orders may be gone.
    let copied = Dir::new();
    copy(&dir.store(), &copied.store());
    for name in ["checkpoint", "checkpoint.copy"] {
        fs::write(copied.journal().join(name), b"rubbish").unwrap();
    }
    let (store, recovery) = open(&copied.store());
    let text = recovery.gaps.join("; ");
    assert!(
        text.contains("standing orders that only it held are lost"),
        "{text}"
    );
    assert!(text.contains("are lost"), "{text}");
    assert!(store.head().next > head.next);
}

#[test]
fn a_lost_key_and_a_lost_journal_are_not_called_clean() {
    let dir = Dir::new();
    let (store, [a, b, ..]) = live(&dir.store());
    let head = store.head();
    drop(store);
    fs::remove_file(dir.store().join("evidence.key")).unwrap();
    let (store, recovery) = open(&dir.store());
    assert!(recovery.new_key && !recovery.fresh && !recovery.gaps.is_empty());
    assert_eq!(
        store
            .state()
            .standing()
            .map(|o| o.order().id)
            .collect::<Vec<_>>(),
        [a, b]
    );
    let mut verifier = ChainVerifier::new(store.evidence_key(), head);
    for record in all_records(&store, head.next) {
        verifier.check(&record).unwrap();
    }
    drop(store);
    fs::remove_dir_all(dir.journal()).unwrap();
    let (_, recovery) = open(&dir.store());
    assert!(recovery.fresh && !recovery.gaps.is_empty());
    fs::remove_dir_all(dir.store()).unwrap();
    let (_, recovery) = open(&dir.store());
    assert!(recovery.fresh);
}

#[test]
fn a_forged_record_inside_an_attachment_is_not_believed() {
    let dir = Dir::new();
    let (mut store, _) = open(&dir.store());
    let (a, accepted) = order(1, disable("alice"));
    store.append_synced(&accepted, None).unwrap();
    // The frame of another store, in which the order is released, inside a key's comment.
    let other = Dir::new();
    let forged = {
        let (mut forger, _) = open(&other.store());
        forger.append_synced(&accepted, None).unwrap();
        forger
            .append_synced(gap("as long as a plan"), None)
            .unwrap();
        let from = forger.head().next;
        let released = Event::Released { order: a, by: a };
        forger.append_synced(&released, None).unwrap();
        assert_eq!(from, 3);
        let bytes = fs::read(other.journal().join("00000000000000000000.seg")).unwrap();
        let at = bytes.windows(4).rposition(|w| w == b"REC1").unwrap();
        bytes[at..at + 600].to_vec()
    };
    let plan = store.append_synced(planned(a), Some(&forged)).unwrap();
    assert_eq!(plan, 2);
    store.append_synced(gap("after"), None).unwrap();
    drop(store);
    // Damage the plan's own frame, so that reading has to find its feet inside of it.
    let (store, recovery, _copy) = survivors(&dir, "00000000000000000000.seg", |bytes| {
        let frames: Vec<_> = (0..bytes.len() - 4)
            .filter(|i| &bytes[*i..i + 4] == b"REC1")
            .collect();
        bytes[frames[2] + 30] ^= 1;
    });
    assert!(store.state().order(a).unwrap().is_standing());
    assert!(
        recovery.gaps.join(";").contains("record 2 is lost"),
        "{:?}",
        recovery.gaps
    );
}

/// What the index's process prints.
fn ask_index(dir: &Dir, what: &str, name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rescind-agent"))
        .args(["__index", what])
        .arg(dir.store())
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn rebuilt(store: &Store) -> Vec<String> {
    all_records(store, 0)
        .iter()
        .filter_map(|record| match record.body().unwrap().event() {
            Some(Event::IndexRebuilt { why }) => Some(why),
            _ => None,
        })
        .collect()
}

#[test]
fn the_index_is_brought_up_to_the_journal_and_remembers() {
    let dir = Dir::new();
    let (mut store, [a, b, ..]) = live(&dir.store());
    let key = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
        .parse()
        .unwrap();
    let revoke = Action::RevokeKey {
        fingerprint: key,
        account: Some("bob".parse().unwrap()),
    };
    let (e, accepted) = order(5, revoke);
    store.append_synced(accepted, None).unwrap();
    assert_eq!(store.remembered("survey").unwrap(), None);
    store.remember("survey", b"digest").unwrap();
    assert!(store.remember("more", &[0; 40_000]).is_err());
    store.acknowledge(7);
    store.close().unwrap();
    assert_eq!(ask_index(&dir, "account", "alice"), format!("{a}\n"));
    assert_eq!(ask_index(&dir, "account", "bob"), format!("{b}\n{e}\n"));
    assert_eq!(ask_index(&dir, "account", "carol"), "");
    assert_eq!(ask_index(&dir, "key", &key.to_string()), format!("{e}\n"));

    let (mut store, _) = open(&dir.store());
    assert_eq!(store.remembered("survey").unwrap(), Some(&b"digest"[..]));
    assert_eq!(store.acknowledged(), 7);
    store
        .append_synced(Event::Released { order: e, by: a }, None)
        .unwrap();
    store.close().unwrap();
    assert_eq!(ask_index(&dir, "account", "bob"), format!("{b}\n"));
    let (mut store, _) = open(&dir.store());
    assert_eq!(store.remembered("survey").unwrap(), Some(&b"digest"[..]));
    assert_eq!(rebuilt(&store), [""; 0]);
    assert_eq!(store.index_trouble(), None);
}

#[test]
fn a_bad_index_is_set_aside_and_made_again() {
    let dir = Dir::new();
    let (store, [a, ..]) = live(&dir.store());
    let before = dir.0.join("before");
    store.close().unwrap();
    copy(&dir.store(), &before);
    let db = dir.store().join("index/db");
    for trial in 0..24 {
        copy(&before, &dir.store());
        let mut bytes = fs::read(&db).unwrap();
        let len = bytes.len();
        match trial % 4 {
            0 => bytes.truncate(len * trial / 24),
            1 => bytes[trial * 7..].fill(0xff),
            2 => bytes[trial * 31 % len] ^= 0x55,
            _ => bytes[16..len.min(16 + trial * 10)].fill(0),
        }
        fs::write(&db, &bytes).unwrap();
        let (mut store, recovery) = open(&dir.store());
        assert_eq!(recovery.gaps, [""; 0]);
        store.tend_index().unwrap();
        let said = rebuilt(&store);
        assert_eq!(
            store.index_trouble().is_some(),
            !said.is_empty(),
            "trial {trial}"
        );
        store.close().unwrap();
        assert_eq!(
            ask_index(&dir, "account", "alice"),
            format!("{a}\n"),
            "trial {trial}"
        );
        let aside = dir.store().join("index.bad-1").exists();
        assert_eq!(aside, !said.is_empty(), "trial {trial}: {said:?}");
    }
    // An index of another journal, or of a later state of this one.
    copy(&before, &dir.store());
    fs::remove_dir_all(dir.store().join("journal")).unwrap();
    fs::create_dir(dir.store().join("journal")).unwrap();
    fs::set_permissions(
        dir.journal(),
        fs::metadata(before.join("journal")).unwrap().permissions(),
    )
    .unwrap();
    let (mut store, _) = open(&dir.store());
    store.tend_index().unwrap();
    assert!(
        rebuilt(&store)[0].contains("the journal ends before"),
        "{:?}",
        rebuilt(&store)
    );
}

#[test]
fn without_its_process_the_index_is_off_and_nothing_else() {
    let dir = Dir::new();
    live(&dir.store()).0.close().unwrap();
    for program in ["/nonexistent", "/bin/false", "/bin/true", "/bin/cat"] {
        assert!(dir.store().join("index/db").exists());
        let options = Options {
            limits: SMALL,
            index_program: program.into(),
        };
        let (mut store, _) = Store::open_with(&dir.store(), Stopped, "0.1.0", options).unwrap();
        store.tend_index().unwrap();
        store.append_synced(gap("still works"), None).unwrap();
        assert!(store.index_trouble().is_some(), "{program}");
        store.close().unwrap();
    }
}

const WRITER: &str = "RESCIND_STORE_WRITER";

/// Not a test: the process that the next test kills.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITER) else {
        return;
    };
    let (mut store, _) = open(Path::new(&dir));
    let mut seq = store.state().order_cursor();
    loop {
        seq += 1;
        let (id, accepted) = order(seq, disable(&format!("user{}", seq % 7)));
        let index = store.append_synced(&accepted, None).unwrap();
        println!("acked {index} {id}");
        store
            .append(planned(id), Some(&vec![b'k'; (seq % 90) as usize * 50]))
            .unwrap();
        store
            .append(&Event::StepBegun { order: id, step: 0 }, None)
            .unwrap();
        let index = store
            .append_synced(concluded(id, Verdict::Verified), None)
            .unwrap();
        println!("acked {index} {id}");
        let release = Event::Released { order: id, by: id };
        if seq % 3 > 0 {
            store.append_synced(&release, None).unwrap();
        }
        store.acknowledge(store.head().next.saturating_sub(50));
        store.compact_if_due().unwrap();
    }
}

#[test]
fn sigkill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let dir = Dir::new();
    let mut acked: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..60_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(WRITER, dir.store())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (begun, has_begun) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            let mut acked = Vec::new();
            for line in lines {
                if let Some((index, id)) = line
                    .split_once("acked ")
                    .and_then(|(_, rest)| rest.split_once(' '))
                {
                    let _ = begun.send(());
                    acked.push((index.parse::<u64>().unwrap(), id.to_owned()));
                }
            }
            acked
        });
        // Every third is killed while it opens, the others while they write.
        if round % 3 > 0 {
            has_begun.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(round * 7919 % 61));
        if round == 7 {
            let second = Store::open_with(&dir.store(), Stopped, "0.1.0", options());
            assert!(matches!(second, Err(StoreError::InUse { .. })));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let news = reader.join().unwrap();
        acked.extend(news.iter().cloned());

        let (store, recovery) = open(&dir.store());
        assert!(!recovery.fresh || acked.is_empty(), "round {round}");
        assert!(
            recovery.gaps.len() <= 1,
            "round {round}: {:?}",
            recovery.gaps
        );
        assert!(
            recovery.gaps.iter().all(|gap| gap.contains("torn write")),
            "{:?}",
            recovery.gaps
        );
        let oldest = store.oldest();
        let records = all_records(&store, oldest);
        let start = records[0].body().unwrap();
        let head = ChainHead {
            next: oldest,
            prev: start.prev,
        };
        let mut verifier = ChainVerifier::new(store.evidence_key(), head);
        let mut about = BTreeMap::new();
        for record in &records {
            let body = verifier.check(record).unwrap();
            about.insert(body.index, body.event().unwrap().order());
        }
        assert_eq!(verifier.head(), store.head());
        for (index, id) in acked.range(oldest..) {
            let found = about.get(index).copied().flatten().map(|id| id.to_string());
            assert_eq!(
                found.as_ref(),
                Some(id),
                "round {round}: acknowledged record {index}"
            );
        }
    }
    assert!(acked.len() >= 40, "only {} acknowledged", acked.len());
}
