//! What the product says of accounts against the tools that know them: generated lines of passwd(5)
//! and shadow(5), tidy and broken, are given to `getent`, `chage -l`, `passwd -S`, `pwck -r` and su(1)
//! of Debian 11, 12 and 13, and to us.
//!
//! `RESCIND_ROOTS` names the directory of the Debian roots, `RESCIND_ACCOUNT_SETS` how many sets of
//! sixty accounts each of them gets, `RESCIND_ACCOUNT_SEED` the first of them; `cargo test --test
//! account_state -- bookworm` takes one release.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

/// `chage -l` beside us.
mod chage;
/// Their answers beside ours.
mod compare;
/// What was compared, counted.
mod count;
/// Days as the tools print them.
mod days;
/// Generated accounts.
mod generate;
/// `pwck -r` beside us.
mod pwck;
/// Files as the shadow tools read them.
mod shadow_tools;
/// The tools, in a throw-away copy of a root.
mod tools;

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use count::Count;
use generate::Set;
use rescind_tests::{Release, on_all_releases};
use tools::Copy;

/// Sets for each release.
const SETS: u64 = 5;

fn main() -> ExitCode {
    // The product reads users' files in a child that is this program.
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    // What is mounted from here on is seen by this program and its children alone.
    tools::leave_mounts();
    on_all_releases("account_state", |release, first_seed| {
        compare_all(release, first_seed).is_good()
    })
}

/// All sets of one release.
fn compare_all(release: Release, first_seed: u64) -> Count {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first = number("RESCIND_ACCOUNT_SEED").unwrap_or(first_seed);
    let seeds = first..first + number("RESCIND_ACCOUNT_SETS").unwrap_or(SETS);
    let copy = Copy::mount(release);
    let (mut count, begin) = (Count::default(), Instant::now());
    for seed in seeds.clone() {
        // At midnight all answers change.
        loop {
            let today = today();
            let set = Set::generate(seed, today);
            copy.become_host(&set);
            let ours = compare::Ours::read(release, copy.root(), &set, today);
            let theirs = copy.ask(&set);
            if today == self::today() {
                compare::compare(&set, &ours, &theirs, &mut count);
                break;
            }
        }
    }
    println!(
        "{release}, seeds {}..{}: {count} in {:.0?}",
        seeds.start,
        seeds.end,
        begin.elapsed()
    );
    count
}

/// Days since 1970-01-01.
fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs() / 86_400).unwrap()
}
