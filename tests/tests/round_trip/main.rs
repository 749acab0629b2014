//! What is read comes out as it went in, byte for byte: every fixture in the tree, tidy and ugly, and
//! twenty thousand generated files. Readers that never write are held to their line numbers instead.
#![allow(clippy::unwrap_used, reason = "a test")]

mod generate;
mod lossless;
mod pure;

use std::collections::BTreeMap;
use std::path::Path;

use rescind_tests::readers::random::Random;
use rescind_tests::readers::{TARGETS, fixtures, seeds, target};

use generate::FORMATS;
use lossless::LOSSLESS;
use pure::PURE;

/// Files that are generated.
const GENERATED: u64 = 20_000;

/// Every text in the sources of the product and of its tests, and every seed of the fuzz targets.
fn fixtures() -> Vec<Vec<u8>> {
    let mut all =
        fixtures::literals_in(&["agent", "control", "protocol", "tests/src", "tests/tests"]);
    for target in TARGETS {
        all.extend(seeds(target));
    }
    all.into_iter().collect()
}

#[test]
fn every_fixture_comes_out_as_it_went_in() {
    let fixtures = fixtures();
    let lines: usize = fixtures
        .iter()
        .map(|file| file.split(|b| *b == b'\n').count())
        .sum();
    assert!(fixtures.len() > 5_000, "{} fixtures", fixtures.len());
    for file in &fixtures {
        for (name, print) in LOSSLESS {
            assert!(
                print(file) == *file,
                "{name} changes\n{}",
                file.escape_ascii()
            );
        }
        for reader in PURE {
            (reader.check)(file);
        }
    }
    println!(
        "{} fixtures of {lines} lines, {} lossless readers, {} others",
        fixtures.len(),
        LOSSLESS.len(),
        PURE.len()
    );
}

#[test]
fn twenty_thousand_generated_files_come_out_as_they_went_in() {
    let mut counts: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    let account_files = target("account_files").read;
    let key_files = target("key_files").read;
    for seed in 0..GENERATED {
        let mut random = Random::new(seed);
        let format = &FORMATS[usize::try_from(seed).unwrap() % FORMATS.len()];
        let file = generate::file(format, &mut random);
        for (name, print) in LOSSLESS {
            assert!(
                print(&file) == file,
                "seed {seed}: {name} changes\n{}",
                file.escape_ascii()
            );
        }
        for reader in PURE {
            (reader.check)(&file);
        }
        // Edits that are undone leave it as it was, too.
        match format.name {
            "passwd" | "shadow" | "group" | "gshadow" => account_files(&file),
            "authorized_keys" => key_files(&file),
            _ => {}
        }
        let count = counts.entry(format.name).or_default();
        *count = (count.0 + 1, count.1 + file.len());
    }
    let total: u64 = counts.values().map(|(files, _)| files).sum();
    assert_eq!(total, GENERATED);
    println!("{total} generated files: {counts:?} (files, bytes)");
}

/// A reader that keeps a file's bytes is in one of the lists.
#[test]
fn no_reader_is_left_out() {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src");
    let mut found = Vec::new();
    let mut directories = vec![agent.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if std::fs::read_to_string(&path)
                .is_ok_and(|text| text.contains("pub fn to_bytes(&self) -> &[u8]"))
            {
                found.push(
                    path.strip_prefix(&agent)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    let mut named: Vec<&str> = lossless::FILES.to_vec();
    named.sort_unstable();
    assert_eq!(found, named);
}
