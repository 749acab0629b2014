//! The last survey: read back as it was kept, whatever happened to it in between.

use std::fs;
use std::path::{Path, PathBuf};

use rescind_agent::store::{Kept, LastSurvey, keep_survey, last_survey};
use rescind_protocol::message::SectionDigest;
use rescind_protocol::name::{Digest, UnixMillis};

use crate::life::Dir;

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_rescind-agent").into()
}

/// Keeps a survey of two sections.
fn keep(dir: &Path, at: u64, keys: &[u8], sudo: &[u8]) {
    let digest = |name: &str, json: &[u8]| SectionDigest {
        section: name.parse().unwrap(),
        digest: Digest::of(json),
    };
    let sections = vec![digest("ssh_keys", keys), digest("sudo", sudo)];
    let survey = Kept {
        taken_at: UnixMillis(at),
        json: sections.iter().zip([keys, sudo]).collect(),
        sections: sections.clone(),
    };
    keep_survey(&program(), dir, &survey).unwrap();
}

fn last(dir: &Path) -> LastSurvey {
    last_survey(&program(), dir).unwrap().unwrap()
}

/// The states of a section that are kept whole: since, until, content.
fn states(survey: &LastSurvey, name: &str) -> Vec<(u64, u64, Vec<u8>)> {
    let name = name.parse().unwrap();
    let states = &survey.front.sections[&name];
    [Some(states.now), states.before]
        .into_iter()
        .flatten()
        .map(|state| {
            let json = survey.json.get(&(name.clone(), state.digest));
            let json = json.cloned().unwrap_or_default();
            (state.since.0, state.until.0, json)
        })
        .collect()
}

#[test]
fn the_last_two_states_of_each_section_are_kept() {
    let dir = Dir::new();
    let store = dir.store();
    assert!(last_survey(&program(), &store).unwrap().is_none());
    let long = vec![b'x'; 700_000];
    keep(&store, 1, b"a", &long);
    keep(&store, 2, b"a", &long);
    keep(&store, 3, b"b", &long);
    let survey = last(&store);
    assert_eq!(survey.front.taken_at, UnixMillis(3));
    assert_eq!(
        states(&survey, "ssh_keys"),
        [(3, 3, b"b".to_vec()), (1, 2, b"a".to_vec())]
    );
    assert_eq!(states(&survey, "sudo"), [(1, 3, long.clone())]);
    keep(&store, 4, b"c", b"");
    keep(&store, 5, b"c", b"");
    let survey = last(&store);
    assert_eq!(
        states(&survey, "ssh_keys"),
        [(4, 5, b"c".to_vec()), (3, 3, b"b".to_vec())]
    );
    assert_eq!(states(&survey, "sudo"), [(4, 5, Vec::new()), (1, 3, long)]);
}

#[test]
fn a_damaged_survey_is_none_and_the_next_is_kept() {
    let dir = Dir::new();
    let store = dir.store();
    keep(&store, 1, b"a", &vec![b'x'; 100_000]);
    let place = store.join("survey");
    for entry in fs::read_dir(&place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut bytes = fs::read(&path).unwrap();
            for at in (0..bytes.len()).step_by(97) {
                bytes[at] ^= 0x55;
            }
            fs::write(&path, bytes).unwrap();
        }
    }
    // Whatever sled makes of it: what is not as it was kept is not told.
    if let Ok(Some(survey)) = last_survey(&program(), &store) {
        for ((_, digest), json) in &survey.json {
            assert_eq!(Digest::of(json), *digest);
        }
    }
    for at in 2..5 {
        let sections = Vec::new();
        let survey = Kept {
            taken_at: UnixMillis(at),
            sections,
            json: Vec::new(),
        };
        // The one that finds the damage throws it away.
        let _ = keep_survey(&program(), &store, &survey);
    }
    keep(&store, 9, b"new", b"s");
    assert_eq!(
        states(&last(&store), "ssh_keys")[0],
        (9, 9, b"new".to_vec())
    );
}

#[test]
fn surveys_do_not_fill_the_disk() {
    fn size(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| match entry.metadata().unwrap() {
                found if found.is_dir() => size(&entry.path()),
                found => found.len(),
            })
            .sum()
    }
    let dir = Dir::new();
    let mut largest = 0;
    for at in 0..20_u64 {
        let mut keys = vec![0; 1_000_000];
        for (nth, byte) in keys.iter_mut().enumerate() {
            *byte = (nth as u64 * 31 + at * 17 + (nth as u64 >> 7) * at) as u8;
        }
        keep(&dir.store(), at, &keys, b"s");
        largest = largest.max(size(&dir.store()));
    }
    println!("20 surveys of 1 MB took up to {largest} bytes");
    assert!(largest < 40_000_000, "{largest}");
    assert_eq!(states(&last(&dir.store()), "ssh_keys").len(), 2);
}
