//! Generated cases for every release, each release in a thread: for tests with a `main` of their own.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use crate::Release;

/// The seeds of a release begin at so many times its place in [`Release::ALL`].
const SEEDS_EACH: u64 = 1_000_000;

/// Has the releases compared that the arguments name, or all, each from its first seed on.
/// `compare` says whether everything agreed; a panic in it is a failure.
pub fn on_all_releases(test: &str, compare: fn(Release, u64) -> bool) -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| Release::ALL.iter().any(|release| release.name() == word))
        .collect();
    let is_wanted =
        |release: &Release| wanted.is_empty() || wanted.iter().any(|name| name == release.name());
    let begin = Instant::now();
    let releases: Vec<_> = (0..)
        .zip(Release::ALL)
        .filter(|(_, release)| is_wanted(release))
        .map(|(place, release)| thread::spawn(move || compare(release, place * SEEDS_EACH)))
        .collect();
    let mut failed = false;
    for release in releases {
        failed |= !release.join().unwrap_or(false);
    }
    println!("{test}: {:.0?}", begin.elapsed());
    ExitCode::from(u8::from(failed))
}
