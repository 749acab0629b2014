//! SIGKILL at any moment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rescind_agent::store::{Store, StoreError};
use rescind_protocol::evidence::{ChainHead, ChainVerifier, Event};
use rescind_protocol::outcome::Verdict;

use crate::life::{Dir, Stopped, all_records, concluded, disable, open, options, order, planned};

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
            .args(["--exact", "crash::writer", "--nocapture"])
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
            let second = Store::open(&dir.store(), Stopped, "0.1.0", options());
            assert!(matches!(second, Err(StoreError::InUse { .. })));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let news = reader.join().unwrap();
        acked.extend(news.iter().cloned());

        let (store, recovery) = open(&dir.store());
        assert!(!recovery.fresh || acked.is_empty(), "round {round}");
        assert_eq!(recovery.gaps, [""; 0], "round {round}");
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
