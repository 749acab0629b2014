//! Who can become root: chains that are really walked, decoys that look like them and lead nowhere,
//! and what `explain` says of both.

mod chains;
mod decoys;
mod stage;

use rescind_tests::Release;
use serde_json::Value;
use stage::Stage;

rescind_tests::on_each_release!(explain_names_each_chain_and_no_decoy);

fn explain_names_each_chain_and_no_decoy(release: Release) {
    let chains = chains::all(release);
    let decoys = decoys::all(release);
    assert!(chains.len() >= 14 && decoys.len() >= 10);
    let stage = Stage::set(release, &chains, &decoys);
    let mut wrong = Vec::new();

    let all = chains.iter().map(|chain| chain.account);
    let all: Vec<&str> = all
        .chain(decoys.iter().map(|decoy| decoy.account))
        .collect();
    let explained = stage.explain(&all);
    for (chain, explained) in chains.iter().zip(&explained) {
        if explained["root"].is_null() || !names(&explained["steps"], &chain.links) {
            wrong.push(format!("{} is not told: {explained:#}", chain.account));
        }
    }
    for (decoy, explained) in decoys.iter().zip(&explained[chains.len()..]) {
        if !explained["root"].is_null() {
            wrong.push(format!("{} is told: {explained:#}", decoy.account));
        }
    }
    // And it is so.
    for (chain, said) in chains.iter().zip(stage.walk(&chains)) {
        if said != "0" {
            wrong.push(format!("{} does not become root: {said}", chain.account));
        }
    }
    for (decoy, said) in decoys.iter().zip(stage.walk(&decoys)) {
        if said.lines().any(|line| line.trim() == "0") {
            wrong.push(format!("{} becomes root: {said}", decoy.account));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether these links follow each other in a tree of steps.
fn names(steps: &Value, links: &[stage::Link]) -> bool {
    let Some((link, rest)) = links.split_first() else {
        return true;
    };
    let steps = steps.as_array().map_or(&[][..], Vec::as_slice);
    steps.iter().any(|step| {
        let place = match (&step["source"]["file"], &step["source"]["line"]) {
            (Value::String(file), Value::Number(line)) => format!("{file}:{line}"),
            (Value::String(file), _) => file.clone(),
            _ => String::new(),
        };
        step["means"] == link.means
            && step["to"] == link.to
            && step["sure"] == link.sure
            && (link.place.is_empty() || place == link.place)
            && names(&step["then"], rest)
    })
}
