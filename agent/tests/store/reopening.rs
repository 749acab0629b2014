//! Opening again, and compaction.

use std::fs;

use rescind_agent::store::{Recovery, Store, StoreError};

use crate::life::{Dir, all_records, gap, live, open, verify};

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
