//! The index: the same answers as a reading of the whole journal, whatever happened to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rescind_agent::store::lookup::{History, Question, by_index, by_reading, look_up};
use rescind_agent::store::{IndexWork, Limits, Options, Store};
use rescind_protocol::evidence::Event;
use rescind_protocol::name::OrderId;
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Verdict;

use crate::life::{
    Dir, SMALL, Stopped, all_records, concluded, copy, disable, gap, live, open, options, order,
    planned,
};

const KEY: &str = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA";

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_rescind-agent").into()
}

/// Lets the index catch up, as the daemon does when nothing waits.
fn catch_up(store: &mut Store) {
    let begun = Instant::now();
    while store.tend_index().unwrap() == IndexWork::UnderWay {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every question the tests ask.
fn questions() -> Vec<Question> {
    let accounts = ["alice", "bob", "carol", "nobody", "user3"];
    let accounts = accounts.map(|name| Question::Account(name.parse().unwrap()));
    let keys = [KEY.parse().unwrap()].map(Question::Key);
    let ids = [1, 2, 5, 9, 40, 4711].map(|n: u128| OrderId::from_bytes(n.to_be_bytes()));
    accounts
        .into_iter()
        .chain(keys)
        .chain(ids.map(Question::Order))
        .collect()
}

/// Some of them, where each costs two processes many times over.
fn few_questions() -> Vec<Question> {
    questions().into_iter().step_by(4).collect()
}

/// Checks that the index answers, and as the journal does; the answers.
#[track_caller]
fn check(dir: &Path) -> Vec<History> {
    check_some(dir, questions())
}

#[track_caller]
fn check_some(dir: &Path, questions: Vec<Question>) -> Vec<History> {
    let answers = questions.into_iter().map(|question| {
        let read = by_reading(dir, &question).unwrap();
        let indexed = by_index(dir, &program(), &question).unwrap();
        assert_eq!(indexed.as_ref(), Some(&read), "{question}");
        read
    });
    answers.collect()
}

/// [`check`], where the index may be of no use.
#[track_caller]
fn check_answers(dir: &Path) {
    for question in few_questions() {
        let read = by_reading(dir, &question).unwrap();
        assert_eq!(
            look_up(dir, &program(), &question).unwrap(),
            read,
            "{question}"
        );
    }
}

/// A life with keys, releases and many orders; some records are dropped, some only in a checkpoint.
fn long_life(dir: &Path) -> Store {
    let (mut store, _) = live(dir);
    for seq in 5..120_u64 {
        let action = match seq % 5 {
            0 => Action::RevokeKey {
                fingerprint: KEY.parse().unwrap(),
                account: (seq % 2 == 0).then(|| "bob".parse().unwrap()),
            },
            1 => Action::EndSessions {
                account: "carol".parse().unwrap(),
            },
            2 if seq > 40 => Action::Release {
                order: OrderId::from_bytes(u128::from(seq - 2).to_be_bytes()),
            },
            _ => disable(&format!("user{}", seq % 7)),
        };
        let (id, accepted) = order(seq, action);
        store.append_synced(accepted, None).unwrap();
        store.append(planned(id), Some(b"the line")).unwrap();
        store
            .append_synced(concluded(id, Verdict::Verified), None)
            .unwrap();
        if seq % 5 == 2 && seq > 40 {
            let released = OrderId::from_bytes(u128::from(seq - 2).to_be_bytes());
            let released = Event::Released {
                order: released,
                by: id,
            };
            store.append_synced(released, None).unwrap();
        }
    }
    store
}

fn rebuilt(store: &Store) -> Vec<String> {
    all_records(store, store.oldest())
        .iter()
        .filter_map(|record| match record.body().unwrap().event() {
            Some(Event::IndexRebuilt { why }) => Some(why),
            _ => None,
        })
        .collect()
}

/// The directory of the index of this boot.
fn index_of(store: &Path) -> PathBuf {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    store.join("index").join(boot.trim())
}

#[test]
fn it_answers_as_the_journal_does() {
    let dir = Dir::new();
    let mut store = long_life(&dir.store());
    for question in questions() {
        let none = by_index(&dir.store(), &program(), &question).unwrap();
        assert_eq!(none, None, "{question}");
    }
    assert!(!dir.store().join("index").exists(), "asking makes none");
    catch_up(&mut store);
    let answers = check(&dir.store());
    let counts: Vec<_> = answers
        .iter()
        .map(|found| (found.orders.len(), found.records.len()))
        .collect();
    assert_eq!(
        counts,
        [
            (1, 7),   // alice
            (12, 44), // bob: 2, and 10, 20 … 110, of which 40, 50 … 110 were released
            (24, 72), // carol: 4, and 6, 11 … 116
            (0, 0),   // nobody
            (7, 21),  // user3: 17, 24, 38, 59, 73, 94, 108
            (23, 85), // the key: 5, 10 … 115, of which 40, 45 … 115 were released
            (1, 7),   // order 1
            (1, 3),
            (1, 3),
            (1, 3),
            (1, 4), // order 40, released
            (0, 0),
        ]
    );

    // What comes after it is read from the journal, durable or not.
    let (id, accepted) = order(4711, disable("nobody"));
    store.append(accepted, None).unwrap();
    store.append(planned(id), None).unwrap();
    let answers = check(&dir.store());
    assert_eq!(answers[3].records.len(), 2);
    assert_eq!(answers[11].orders[0].order().id, id);

    // Old records are dropped, some of them kept by the checkpoint; the index is behind.
    store.sync().unwrap();
    store.acknowledge(store.head().next - 120);
    assert!(store.compact_if_due().unwrap());
    assert!(store.oldest() > 50, "{}", store.oldest());
    let behind = check(&dir.store());
    assert_eq!(behind[0].records.len(), 3, "what stands is kept");
    drop(store);

    // The next process brings it up to date without reading what is in it already.
    let (mut store, _) = open(&dir.store());
    catch_up(&mut store);
    assert_eq!(check(&dir.store()), behind);
    store.append_synced(gap("after"), None).unwrap();
    store.acknowledge(store.head().next);
    assert_eq!(rebuilt(&store), [""; 0]);
    assert_eq!(store.index_trouble(), None);
}

#[test]
fn all_that_it_knew_may_have_been_dropped() {
    let dir = Dir::new();
    let (mut store, _) = live(&dir.store());
    catch_up(&mut store);
    drop(store);
    let (mut store, _) = open(&dir.store());
    for i in 0..300 {
        let filler = gap(&format!("filler {i} {}", "x".repeat(400)));
        store.append_synced(filler, None).unwrap();
    }
    store.acknowledge(store.head().next);
    assert!(store.compact_if_due().unwrap());
    check_answers(&dir.store());
    catch_up(&mut store);
    check(&dir.store());
    assert_eq!(rebuilt(&store), [""; 0]);
}

#[test]
fn damage_in_it_changes_no_answer() {
    let dir = Dir::new();
    let mut store = long_life(&dir.store());
    catch_up(&mut store);
    drop(store);
    let before = dir.0.join("before");
    copy(&dir.store(), &before);
    let db = index_of(&dir.store()).join("db");
    let len = fs::read(&db).unwrap().len();
    for trial in 0..8 {
        copy(&before, &dir.store());
        let mut bytes = fs::read(&db).unwrap();
        match trial % 4 {
            0 => bytes.truncate(len * trial / 8),
            1 => bytes[trial * 7..].fill(0xff),
            2 => bytes[trial * 31 % len] ^= 0x55,
            _ => bytes[16..len.min(16 + trial * 10)].fill(0),
        }
        fs::write(&db, &bytes).unwrap();
        check_answers(&dir.store());
        let (mut store, recovery) = open(&dir.store());
        assert_eq!(recovery.gaps, [""; 0]);
        store.append_synced(gap("something new"), None).unwrap();
        catch_up(&mut store);
        let said = rebuilt(&store);
        let aside = dir.store().join("index.bad").exists();
        assert_eq!(aside, !said.is_empty(), "trial {trial}: {said:?}");
        assert_eq!(store.index_trouble(), None, "trial {trial}");
        check_some(&dir.store(), few_questions());
    }
}

#[test]
fn an_index_that_is_gone_old_or_strange_is_made_again() {
    let dir = Dir::new();
    let mut store = long_life(&dir.store());
    catch_up(&mut store);
    drop(store);
    let before = dir.0.join("before");
    copy(&dir.store(), &before);
    let index = dir.store().join("index");
    let spoil: [(&str, bool, &dyn Fn()); 5] = [
        ("deleted", false, &|| fs::remove_dir_all(&index).unwrap()),
        ("a file", true, &|| {
            fs::remove_dir_all(&index).unwrap();
            fs::write(&index, "rubbish").unwrap();
        }),
        ("of an earlier boot", false, &|| {
            let earlier = index.join("8c1bcb8c-9a4e-4d45-a3a1-0b8c1a2b3c4d");
            fs::rename(index_of(&dir.store()), earlier).unwrap();
        }),
        ("without its files", false, &|| {
            for entry in fs::read_dir(index_of(&dir.store())).unwrap() {
                let _ = fs::remove_file(entry.unwrap().path());
            }
        }),
        ("another database", true, &|| {
            fs::write(index_of(&dir.store()).join("conf"), "use_compression: true").unwrap();
        }),
    ];
    for (what, is_bad, spoil) in spoil {
        copy(&before, &dir.store());
        spoil();
        check_answers(&dir.store());
        let (mut store, _) = open(&dir.store());
        catch_up(&mut store);
        assert_eq!(store.index_trouble(), None, "{what}");
        assert_eq!(rebuilt(&store).len(), usize::from(is_bad), "{what}");
        assert_eq!(dir.store().join("index.bad").exists(), is_bad, "{what}");
        check_some(&dir.store(), few_questions());
        let kept = fs::read_dir(&index).unwrap().count();
        assert_eq!(kept, 1, "{what}");
    }
}

#[test]
fn an_index_of_another_journal_is_known_for_what_it_is() {
    let dir = Dir::new();
    let mut store = long_life(&dir.store());
    catch_up(&mut store);
    drop(store);
    let index = dir.store().join("index");
    // A shorter one, and a longer one that is another.
    for (orders, want) in [(3, "the journal ends before"), (200, "is not the one")] {
        let other = Dir::new();
        let (mut store, _) = open(&other.store());
        for seq in 1..orders {
            let (id, accepted) = order(seq, disable("alice"));
            store.append_synced(accepted, None).unwrap();
            store.append_synced(planned(id), None).unwrap();
        }
        copy(&index, &other.store().join("index"));
        check_answers(&other.store());
        catch_up(&mut store);
        let said = rebuilt(&store);
        assert!(said.len() == 1 && said[0].contains(want), "{said:?}");
        assert!(other.store().join("index.bad").exists());
        check_some(&other.store(), few_questions());
    }
}

#[test]
fn damage_in_the_journal_is_not_hidden_by_the_index() {
    let dir = Dir::new();
    let mut store = long_life(&dir.store());
    catch_up(&mut store);
    drop(store);
    let segment = dir.journal().join("00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[3000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (mut store, recovery) = open(&dir.store());
    assert_eq!(recovery.gaps.len(), 2, "{:?}", recovery.gaps);
    assert!(!dir.store().join("index").exists(), "its places have moved");
    catch_up(&mut store);
    check(&dir.store());
    assert_eq!(rebuilt(&store), [""; 0]);
}

#[test]
fn without_its_process_the_index_is_off_and_nothing_else() {
    let dir = Dir::new();
    let mut store = live(&dir.store()).0;
    catch_up(&mut store);
    drop(store);
    for program in ["/nonexistent", "/bin/false", "/bin/true", "/bin/cat"] {
        let options = Options {
            index_program: program.into(),
            ..options()
        };
        let (mut store, _) = Store::open(&dir.store(), Stopped, "0.1.0", options).unwrap();
        catch_up(&mut store);
        store.append_synced(gap("still works"), None).unwrap();
        let question = &questions()[0];
        let found = look_up(&dir.store(), Path::new(program), question).unwrap();
        assert_eq!(found, by_reading(&dir.store(), question).unwrap());
        assert_eq!(
            store.index_trouble().is_some(),
            program != "/bin/true",
            "{program}"
        );
    }
}

#[test]
fn a_lookup_beside_a_busy_daemon_is_right_at_every_moment() {
    let dir = Dir::new();
    let (mut store, _) = Store::open(
        &dir.store(),
        Stopped,
        "0.1.0",
        Options {
            limits: Limits {
                segment_bytes: 8 * 1024,
                ..SMALL
            },
            ..options()
        },
    )
    .unwrap();
    let (standing, accepted) = order(1, disable("alice"));
    store.append_synced(accepted, None).unwrap();
    let path = dir.store();
    let asking = std::thread::spawn(move || {
        let question = Question::Account("alice".parse().unwrap());
        for _ in 0..40 {
            let found = look_up(&path, &program(), &question).unwrap();
            assert_eq!(found.orders.len(), 1, "{found:?}");
            assert_eq!(found.orders[0].order().id, standing);
            assert_eq!(found.records.len(), 1);
        }
    });
    let mut seq = 1;
    while !asking.is_finished() {
        seq += 1;
        let (id, accepted) = order(seq, disable("bob"));
        store.append_synced(accepted, None).unwrap();
        let ended = concluded(id, Verdict::Refused);
        store.append_synced(ended, None).unwrap();
        store.acknowledge(store.head().next);
        store.compact_if_due().unwrap();
        store.tend_index().unwrap();
        // A disk would take as long; this is compacted a thousand times as often as a real one.
        std::thread::sleep(Duration::from_millis(1));
    }
    asking.join().unwrap();
}
