//! Files that were damaged, lost or forged.

use std::collections::BTreeMap;
use std::fs;

use rescind_agent::store::{JournalReader, Options, Recovery, Store};
use rescind_protocol::evidence::{ChainVerifier, Event, SealedRecord};

use crate::life::{
    Dir, Stopped, all_records, copy, disable, gap, live, open, options, order, planned, verify,
};

/// Opens a copy of a store in which one file was changed.
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
                true => recovery.cut.is_some_and(|cut| cut.index == *index),
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
            assert_eq!((again.gaps, again.cut), (vec![], None), "trial {trial}");
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
    // The last frame's header says how long it is; its last byte may be a zero.
    let last = bytes.windows(4).rposition(|w| w == b"REC1").unwrap();
    let word = |at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let end = last + 20 + word(last + 8) + word(last + 12);
    let every = (0..bytes.len()).step_by(512).chain(end - 400..end + 3);
    for len in every {
        let (store, recovery, _copy) = survivors(&dir, name, |bytes| bytes.truncate(len));
        let after = all_records(&store, 0);
        let whole = after
            .iter()
            .zip(&before)
            .take_while(|(a, b)| a == b)
            .count();
        let cut = after
            .iter()
            .any(|record| matches!(record.body().unwrap().event(), Some(Event::TailCut { .. })));
        assert_eq!(cut, recovery.cut.is_some(), "{len}");
        let fresh_from = whole.min(before.len());
        assert!(
            recovery.cut.is_some() || after[fresh_from..].len() <= 2,
            "{len}"
        );
        if len >= end {
            assert_eq!(whole, before.len());
            assert!(recovery.gaps.is_empty() && recovery.cut.is_none());
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
        let said = !recovery.gaps.is_empty() || recovery.cut.is_some();
        let ok = name == "reserve" || name.starts_with("checkpoint") || said;
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
fn a_chain_goes_on_under_another_key_when_its_own_is_lost() {
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
}

/// What opening says is lost, and again when nothing happened since.
fn gaps(dir: &Dir, enrolled: bool) -> (Vec<String>, Vec<String>) {
    let open = || {
        let options = Options {
            enrolled,
            ..options()
        };
        let opened = Store::open(&dir.store(), Stopped, "0.1.0", options);
        opened.unwrap().1.gaps
    };
    (open(), open())
}

#[test]
fn a_lost_journal_is_said_once_and_a_first_start_is_none() {
    let none = || (vec![], vec![]);
    let dir = Dir::new();
    assert_eq!(gaps(&dir, false), none());
    assert_eq!(gaps(&dir, true), none(), "enrolled later");

    fs::remove_dir_all(dir.journal()).unwrap();
    let (first, second) = gaps(&dir, true);
    assert_eq!((first.len(), second.len()), (1, 0), "{first:?}");
    assert!(first[0].contains("the journal was lost"), "{first:?}");
    fs::remove_dir_all(dir.store()).unwrap();
    let (first, second) = gaps(&dir, true);
    assert_eq!((first.len(), second.len()), (1, 0), "{first:?}");
    assert!(first[0].contains("the store was lost"), "{first:?}");

    // The first start was killed: before the key was made, and before the first record was.
    for key in [false, true] {
        let dir = Dir::new();
        gaps(&dir, false);
        let segment = dir.journal().join("00000000000000000000.seg");
        let mut bytes = fs::read(&segment).unwrap();
        bytes[64..].fill(0);
        fs::write(&segment, bytes).unwrap();
        if !key {
            fs::remove_file(dir.store().join("evidence.key")).unwrap();
        }
        assert_eq!(gaps(&dir, false), none(), "{key}");
    }
    // Killed before the first segment was whole.
    let dir = Dir::new();
    gaps(&dir, false);
    let journal = fs::read_dir(dir.journal()).unwrap();
    journal.for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    fs::write(dir.journal().join("segment.tmp"), "half").unwrap();
    fs::remove_file(dir.store().join("evidence.key")).unwrap();
    assert_eq!(gaps(&dir, false), none());
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

#[test]
fn a_reader_beside_the_agent_passes_over_what_is_damaged_and_names_it() {
    let dir = Dir::new();
    let (mut store, _) = live(&dir.store());
    for i in 0..10 {
        store.append_synced(gap(&format!("gap {i}")), None).unwrap();
    }
    let whole = all_records(&store, 0);
    drop(store);
    let path = dir.journal().join("00000000000000000000.seg");
    let mut bytes = fs::read(&path).unwrap();
    let magics: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(b"REC1"))
        .collect();
    bytes[magics[4] + 40] ^= 1;
    fs::write(&path, bytes).unwrap();

    let journal = JournalReader::open(&dir.store()).unwrap();
    let read = journal.records(0, 1 << 20).unwrap();
    let mut expected = whole.clone();
    expected.remove(4);
    assert_eq!(read, expected);
    assert_eq!(journal.lost().collect::<Vec<_>>(), [(4, 5)]);
    assert_eq!(journal.record(4).unwrap(), None);
    assert_eq!(journal.record(5).unwrap(), Some(whole[5].clone()));
}
