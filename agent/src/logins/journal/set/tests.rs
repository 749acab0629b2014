use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::logins::journal::testing::{Journal, Kind};
use crate::random::Random;

const DAY_US: u64 = 86_400_000_000;
const BEGIN_US: u64 = 1_700_000_000_000_000;
const OWN: &str = "var/log/journal/11111111111111111111111111111111";

/// A host that is a directory; gone with its value.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let name = format!("rescind-journals-{name}-{}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        root.write("etc/machine-id", b"11111111111111111111111111111111\n");
        root
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn accept(journal: &mut Journal, at_us: u64, who: &str) {
    let message = format!("MESSAGE=Accepted password for {who} from 10.0.0.1 port 1 ssh2");
    let fields = [
        "SYSLOG_IDENTIFIER=sshd",
        &message,
        "_UID=0",
        "_COMM=sshd",
        "_TRANSPORT=syslog",
    ];
    journal.add(at_us, &fields);
}

/// Who came in, in the order they were read, and what the reading came to.
fn look(journals: &mut Journals, root: &Root, ms: u64) -> (Vec<String>, Reach) {
    let mut seen = Vec::new();
    let host = HostRoot::at(&root.0).unwrap();
    let deadline = Deadline(Instant::now() + Duration::from_millis(ms));
    let reach = journals.look(&host, deadline, |_, line| {
        let text = String::from_utf8_lossy(&line.text);
        seen.push(text.split(' ').nth(3).unwrap_or_default().to_owned());
    });
    (seen, reach)
}

fn day(n: u64) -> Option<UnixMillis> {
    Some(UnixMillis((BEGIN_US + n * DAY_US) / 1000))
}

#[test]
fn every_line_is_told_once_over_rotation_and_restart() {
    let root = Root::new("rotation");
    let mut journals = Journals::default();
    let (seen, reach) = look(&mut journals, &root, 5000);
    assert_eq!((seen.len(), reach.files, reach.since), (0, 0, None));

    let mut old = Journal::new(Kind::Keyed);
    old.id([1; 16]);
    accept(&mut old, BEGIN_US, "one");
    accept(&mut old, BEGIN_US + DAY_US, "two");
    old.archive();
    root.write(&format!("{OWN}/system@1.journal"), &old.bytes());
    let mut new = Journal::new(Kind::Compact);
    new.id([2; 16]);
    for n in 2..30 {
        accept(&mut new, BEGIN_US + n * DAY_US, &format!("n{n}"));
    }
    root.write(&format!("{OWN}/system.journal"), &new.bytes());
    // Files of users, and of other machines.
    root.write(&format!("{OWN}/user-1000.journal"), &old.bytes());
    root.write(
        "var/log/journal/22222222222222222222222222222222/system.journal",
        b"x",
    );

    let (seen, reach) = look(&mut journals, &root, 5000);
    assert_eq!(
        (seen.len(), reach.files, reach.since),
        (30, 2, day(0)),
        "{reach:?}"
    );
    assert_eq!(seen.first().unwrap(), "n29", "the newest first");
    assert!(
        reach.whole && reach.caught_up && !reach.volatile,
        "{reach:?}"
    );

    accept(&mut new, BEGIN_US + 30 * DAY_US, "n30");
    root.write(&format!("{OWN}/system.journal"), &new.bytes());
    assert_eq!(look(&mut journals, &root, 5000).0, ["n30"]);
    // Rotated, and the oldest dropped.
    accept(&mut new, BEGIN_US + 31 * DAY_US, "n31");
    new.archive();
    fs::remove_file(root.0.join(format!("{OWN}/system.journal"))).unwrap();
    fs::remove_file(root.0.join(format!("{OWN}/system@1.journal"))).unwrap();
    root.write(&format!("{OWN}/system@2.journal"), &new.bytes());
    let (seen, reach) = look(&mut journals, &root, 5000);
    assert_eq!((seen, reach.since), (vec!["n31".to_owned()], day(2)));
    assert_eq!(look(&mut journals, &root, 5000).0, [""; 0]);
}

#[test]
fn what_there_was_no_time_for_is_said_and_read_the_next_time() {
    let root = Root::new("time");
    let mut journal = Journal::new(Kind::Old);
    for n in 0..1000 {
        accept(&mut journal, BEGIN_US + n * DAY_US, &format!("n{n}"));
    }
    root.write(&format!("{OWN}/system.journal"), &journal.bytes());
    let mut journals = Journals::default();
    let (seen, reach) = look(&mut journals, &root, 0);
    assert!(!seen.is_empty() && seen.len() < 1000);
    assert_eq!(reach.since, day(1000 - seen.len() as u64));
    assert!(!reach.whole && !reach.finished && reach.caught_up);
    let (rest, reach) = look(&mut journals, &root, 20_000);
    assert_eq!(seen.len() + rest.len(), 1000);
    assert_eq!((reach.since, reach.whole), (day(0), true));
}

#[test]
fn a_hole_ends_the_record() {
    let root = Root::new("hole");
    for (id, first) in [(1_u8, 0), (2, 10), (3, 20)] {
        let mut journal = Journal::new(Kind::Keyed);
        journal.id([id; 16]);
        for n in first..first + 10 {
            accept(&mut journal, BEGIN_US + n * DAY_US, &format!("n{n}"));
        }
        journal.archive();
        let mut bytes = journal.bytes();
        if id == 2 {
            // All of the index.
            let len = bytes.len();
            bytes[288..len].fill(0xff);
        }
        root.write(&format!("{OWN}/system@{id}.journal"), &bytes);
    }
    let mut journals = Journals::default();
    let (seen, reach) = look(&mut journals, &root, 5000);
    assert_eq!(seen.len(), 20, "what can be read is");
    assert_eq!(
        reach.since,
        day(19),
        "the end of the file that cannot be read"
    );
    assert!(
        !reach.whole && reach.finished && reach.troubles.len() == 1,
        "{reach:?}"
    );

    // One that is no journal at all: its own time is all that is known of it.
    root.write(&format!("{OWN}/system@4.journal~"), b"nothing");
    let (_, reach) = look(&mut journals, &root, 5000);
    assert!(reach.since > day(100), "{reach:?}");
}

#[test]
fn a_journal_of_a_host_without_a_clock_reaches_nowhere() {
    let root = Root::new("clock");
    let mut journal = Journal::new(Kind::Keyed);
    accept(&mut journal, 1_000_000, "early");
    accept(&mut journal, BEGIN_US, "late");
    root.write(&format!("{OWN}/system.journal"), &journal.bytes());
    fs::remove_file(root.0.join("etc/machine-id")).unwrap();
    let (seen, reach) = look(&mut Journals::default(), &root, 5000);
    assert_eq!((seen.len(), reach.since), (2, day(0)));
}

#[test]
fn damage_does_no_harm() {
    let mut journal = Journal::new(Kind::Compact);
    for n in 0..40 {
        accept(&mut journal, BEGIN_US + n * DAY_US, &format!("n{n}"));
    }
    let whole = journal.bytes();
    let root = Root::new("damage");
    let mut random = Random::new(88_172_645_463_325_252);
    for round in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len());
            bytes[at] = match random.below(3) {
                0 => 0xff,
                1 => 0,
                _ => random.number() as u8,
            };
        }
        if round % 5 == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        root.write(&format!("{OWN}/system.journal"), &bytes);
        let begun = Instant::now();
        let (seen, _) = look(&mut Journals::default(), &root, 500);
        assert!(seen.len() <= 40 + 64);
        assert!(begun.elapsed() < Duration::from_secs(5), "round {round}");
    }
}
