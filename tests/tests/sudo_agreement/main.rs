//! The reader of sudoers(5) against sudo itself: generated policies, whole and broken, are given to
//! `cvtsudoers -f json -e` and `sudo -l -U` of Debian 11, 12 and 13, and to us.
//!
//! `RESCIND_ROOTS` names the directory of the Debian roots, `RESCIND_SUDO_CASES` how many policies each of
//! them gets, `RESCIND_SUDO_SEED` the first of them. A disagreement prints the policy and both answers.

mod compare;
mod generate;
mod json;
mod judge;
mod listing;

use std::time::Instant;

use rescind_agent::sudoers::Dialect;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn agree(release: &str, dialect: Dialect, first_seed: u64) {
    let cases = number("RESCIND_SUDO_CASES", 300);
    let first_seed = number("RESCIND_SUDO_SEED", first_seed);
    let begun = Instant::now();
    let trees: Vec<_> = (first_seed..first_seed + cases)
        .map(|seed| generate::tree(seed, dialect))
        .collect();
    let verdicts = judge::ask(release, &trees);
    let mut counts = compare::Counts::default();
    let mut disagreements = Vec::new();
    for (tree, verdict) in trees.iter().zip(&verdicts) {
        if let Err(why) = compare::compare(tree, verdict, dialect, &mut counts) {
            disagreements.push(format!("== seed {} ==\n{tree}\n{why}\n", tree.seed));
        }
    }
    println!(
        "{release}: {cases} policies, {counts}, {:.1} s",
        begun.elapsed().as_secs_f32()
    );
    for text in disagreements.iter().take(5) {
        println!("{text}");
    }
    assert!(
        disagreements.is_empty(),
        "{release}: {} disagreements",
        disagreements.len()
    );
}

#[test]
fn debian_11() {
    agree("bullseye", Dialect::Sudo1_9_5, 110_000);
}

#[test]
fn debian_12() {
    agree("bookworm", Dialect::Sudo1_9_13, 120_000);
}

#[test]
fn debian_13() {
    agree("trixie", Dialect::Sudo1_9_16, 130_000);
}
