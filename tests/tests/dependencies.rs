//! Holds every dependency to deny.toml: its licence, where it comes from, and that it is not banned.
#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What we build for; other targets would bring other crates.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[test]
fn every_dependency_is_one_we_want() {
    let built = hold_to_rules("..", &[]);
    assert!(built.len() > 50, "{built:?}");
}

/// What the readers are fuzzed with becomes no part of Rescind: it may bring libFuzzer, whose licence
/// we do not need, and for the rest only what is built anyhow, in the same versions.
#[test]
fn fuzzing_brings_libfuzzer_and_nothing_else() {
    let ours = hold_to_rules("..", &[]);
    let fuzz = hold_to_rules("fuzz", &["NCSA"]);
    let more: Vec<&str> = fuzz
        .iter()
        .filter(|package| !ours.contains(*package))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        more,
        ["arbitrary", "libfuzzer-sys", "rescind-fuzz"],
        "tests/fuzz/Cargo.lock is behind: copy Cargo.lock over it and run `cargo metadata` there"
    );
}

/// Holds what is built of a workspace, given by its directory beneath tests/, to deny.toml, and
/// returns its names and versions.
fn hold_to_rules(workspace: &str, more_licences: &[&str]) -> BTreeSet<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(tests.join("../deny.toml")).unwrap();
    let rules: toml::Table = toml::from_str(&rules).unwrap();
    let allowed = [texts(&rules["licenses"]["allow"]), more_licences.to_vec()].concat();
    let registries = texts(&rules["sources"]["allow-registry"]);
    let banned: Vec<&str> = rules["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["name"].as_str().unwrap())
        .collect();

    let directory = tests.join(workspace);
    let metadata = cargo(
        &directory,
        &[
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            TARGET,
        ],
    );
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    // metadata also lists what only a feature that is off would bring; the tree is what is built.
    let tree = cargo(
        &directory,
        &[
            "tree",
            "--locked",
            "--workspace",
            "--prefix=none",
            "--target",
            TARGET,
        ],
    );
    let tree = String::from_utf8(tree).unwrap();
    let built: BTreeSet<(String, String)> = tree
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
        })
        .collect();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages: Vec<&Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| built.contains(&(text(package, "name"), text(package, "version"))))
        .collect();
    assert_eq!(packages.len(), built.len(), "{built:?}");

    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !satisfied(licence, &allowed) {
            wrong.push(format!("{name}: its licence is {licence}"));
        }
        let source = package["source"]
            .as_str()
            .map(|source| source.trim_start_matches("registry+"));
        // Without a source it is one of ours.
        if source.is_some_and(|source| !registries.contains(&source)) {
            wrong.push(format!("{name}: it comes from {}", package["source"]));
        }
        if banned.contains(&name) {
            wrong.push(format!("{name}: deny.toml bans it"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not in keeping with deny.toml:\n{}",
        wrong.join("\n")
    );
    built
}

#[test]
fn licence_expressions_are_judged_as_spdx_means_them() {
    let allowed = ["MIT", "ISC", "Apache-2.0"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0-only", false),
        ("ISC AND (GPL-2.0-only OR MIT)", true),
        ("(MIT OR ISC) AND OpenSSL", false),
        ("GPL-2.0-only OR MIT AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("none", false),
        ("", false),
        ("MIT OR", false),
    ] {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}

/// Runs cargo on a workspace and returns what it printed.
fn cargo(directory: &Path, words: &[&str]) -> Vec<u8> {
    let ran = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(directory)
        .output()
        .expect("cargo runs this test, so it is there");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    ran.stdout
}

fn texts(value: &toml::Value) -> Vec<&str> {
    let texts = value.as_array().expect("deny.toml: a list");
    texts
        .iter()
        .map(|text| text.as_str().expect("deny.toml: a list of texts"))
        .collect()
}

/// Whether an SPDX expression can be met with allowed licences alone. AND binds closer than OR; the
/// old `/` means OR; an exception (WITH) only ever gives more than its licence.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut met = all(rest, allowed)?;
    while take(rest, "OR") {
        met |= all(rest, allowed)?;
    }
    Some(met)
}

fn all(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut met = one(rest, allowed)?;
    while take(rest, "AND") {
        met &= one(rest, allowed)?;
    }
    Some(met)
}

fn one(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    if take(rest, "(") {
        let met = any(rest, allowed)?;
        return take(rest, ")").then_some(met);
    }
    let (licence, after) = rest.split_first()?;
    *rest = after;
    if take(rest, "WITH") {
        *rest = rest.split_first()?.1;
    }
    Some(allowed.contains(licence))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let found = rest.first() == Some(&word);
    if found {
        *rest = &rest[1..];
    }
    found
}
