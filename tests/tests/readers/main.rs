//! Every reader on its seeds and on some thousand mutations of them, the same in every run.
//!
//! What libFuzzer does for as long as one likes (tests/fuzz) is done here for seconds, with the same
//! functions.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::time::Duration;

use rescind_tests::readers::cost::{Counting, TIME_MAX, bounded, thread_time};
use rescind_tests::readers::mutate::mutate;
use rescind_tests::readers::random::Random;
use rescind_tests::readers::{TARGETS, seeds, target};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Mutations of each target.
const MUTATIONS: u64 = 4000;

/// Without the compiler's optimisations all takes many times as long.
const LONGEST: Duration = TIME_MAX.saturating_mul(10);

/// What has a reader hold more bytes is read, but not changed: libFuzzer has time for that.
const LIGHT: usize = 8 << 20;

/// How long a mutated input may be.
const BYTES_MAX: usize = 4096;

macro_rules! readers {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            read_all(stringify!($name));
        })*

        const HERE: &[&str] = &[$(stringify!($name)),*];
    };
}

readers! {
    account_files,
    key_files,
    key_blobs,
    trust_files,
    sshd_config,
    sudoers,
    grants,
    jobs,
    units,
    pam,
    settings,
    processes,
    secrets,
    private_keys,
    messages,
    orders,
    home_messages,
    certificates,
    journal,
    sections,
    logins,
    system_journal,
}

#[test]
fn every_target_runs_here_and_under_libfuzzer() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, HERE);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let bins: Vec<&str> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["name"].as_str().unwrap())
        .collect();
    assert_eq!(bins, HERE);
    for name in names {
        let text = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            text.contains(&format!("rescind_fuzz::target!(\"{name}\");")),
            "{name}: {text}"
        );
    }
}

fn read_all(name: &str) {
    let target = target(name);
    let seeds = seeds(&target);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let (mut longest, mut largest) = (Duration::ZERO, 0);
    let begun = thread_time();
    let mut run = |input: &[u8]| {
        let read = std::panic::catch_unwind(|| bounded(LONGEST, || (target.read)(input)));
        let cost = read.unwrap_or_else(|why| {
            eprintln!("{name} fails on\n{}", input.escape_ascii());
            std::panic::resume_unwind(why)
        });
        longest = longest.max(cost.time);
        largest = largest.max(cost.bytes);
        cost.bytes
    };
    let light: Vec<&Vec<u8>> = seeds.iter().filter(|seed| run(seed) < LIGHT).collect();
    for seed in 0..MUTATIONS {
        let mut random = Random::new(seed);
        let mut input = light[random.below(light.len())].clone();
        mutate(&mut input, target.words, &mut random, BYTES_MAX);
        run(&input);
    }
    println!(
        "{name}: {} seeds and {MUTATIONS} mutations in {:.1?}; for one {longest:.1?} and {} kB at most",
        seeds.len(),
        thread_time() - begun,
        largest / 1024
    );
}
