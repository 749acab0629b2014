//! `inventory --section`, `--coverage`, `--diff`: the survey of the host, section by section.
//!
//! The command takes the survey itself, whether or not an agent runs: it needs nothing of one but
//! the last survey that the service kept.

use std::collections::BTreeSet;
use std::path::Path;

use rescind_protocol::difference::Difference;
use rescind_protocol::section::Document;
use rescind_protocol::section_words as words;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::local::Where;
use crate::cli::table::Table;
use crate::config::layout;
use crate::orders::survey;
use crate::paths;
use crate::secrets;
use crate::sections::{Finished, Section};
use crate::store::{self, Clock, HostClock, LastSurvey, State};

/// How often the kept survey is asked for while the service uses it.
const TRIES: u32 = 20;

/// Reads the name of a section.
pub(super) fn section(name: &str) -> Result<Section, String> {
    let names: Vec<&str> = Section::ALL.iter().map(|one| one.as_str()).collect();
    Section::of_name(name).ok_or_else(|| format!("want one of {}", names.join(", ")))
}

/// Shows one section.
pub(super) fn show(at: &Where, section: Section) -> Exit {
    let finished = match take(at, Some(section)) {
        Ok(finished) => finished,
        Err(exit) => return exit,
    };
    for finished in &finished {
        if at.json {
            println!("{}", String::from_utf8_lossy(&finished.json));
            continue;
        }
        let json = match parse(finished) {
            Ok(json) => json,
            Err(exit) => return exit,
        };
        let name = section.as_str();
        let mut table = Table::new(words::columns(name));
        for row in array(&json["rows"]) {
            table.row(&words::cells(name, row));
        }
        table.print();
        print_not_read(&json, "");
    }
    Exit::Ok
}

/// Shows what could not be read.
pub(super) fn coverage(at: &Where, only: Option<Section>) -> Exit {
    let finished = match take(at, only) {
        Ok(finished) => finished,
        Err(exit) => return exit,
    };
    let mut sections = Vec::new();
    for finished in &finished {
        let json = match parse(finished) {
            Ok(json) => json,
            Err(exit) => return exit,
        };
        sections.push(json!({
            "section": finished.section.as_str(),
            "digest": finished.digest,
            "rows": array(&json["rows"]).len(),
            "left_out": json["left_out"],
            "not_read": json["not_read"],
        }));
    }
    if at.json {
        let answer = json!({
            "taken_at": HostClock.wall().to_string(),
            "rules": paths::RULE_SET,
            "secret_rules": secrets::RULE_SET,
            "sections": sections,
        });
        println!("{answer}");
        return Exit::Ok;
    }
    let mut table = Table::new(&["section", "rows", "left out", "not read", "digest"]);
    for one in &sections {
        let cells = ["section", "rows", "left_out"].map(|key| words::text(&one[key]));
        let not_read = words::text(&one["not_read"]["total"]);
        let digest = words::text(&one["digest"]);
        table.row(&[&cells[..], &[not_read, digest]].concat());
    }
    table.print();
    for one in &sections {
        print_not_read(one, &format!("{} ", words::text(&one["section"])));
    }
    println!(
        "rules {}, rules for secrets {}",
        paths::RULE_SET,
        secrets::RULE_SET
    );
    Exit::Ok
}

/// Shows what is different.
pub(super) fn diff(at: &Where, only: Option<Section>) -> Exit {
    let last = match last_survey(at.root()) {
        Ok(last) => last,
        Err(message) => return Exit::Unavailable.because(message),
    };
    let finished = match take(at, only) {
        Ok(finished) => finished,
        Err(exit) => return exit,
    };
    let mut sections = Vec::new();
    for finished in &finished {
        match between(last.as_ref(), finished) {
            Ok(one) => sections.push(one),
            Err(message) => return Exit::Unavailable.because(message),
        }
    }
    let kept_at = last.as_ref().map(|last| last.front.taken_at.to_string());
    if at.json {
        let answer = json!({
            "taken_at": HostClock.wall().to_string(),
            "last_survey": kept_at,
            "sections": sections,
        });
        println!("{answer}");
        return Exit::Ok;
    }
    match kept_at {
        Some(when) => println!("the last survey that was kept: {when}"),
        None => println!("no earlier survey is kept: nothing can be said of what changed"),
    }
    let mut same = Vec::new();
    for one in &sections {
        let name = words::text(&one["section"]);
        if one["lost"] == true {
            println!("{name}: it was another way before; how is lost");
            continue;
        }
        if one["was"].is_null() {
            same.push(name);
            continue;
        }
        println!(
            "{name}: it was another way until {}",
            words::text(&one["was"]["until"])
        );
        let lines = words::difference(&name, &one["difference"]);
        for line in &lines {
            println!("  {line}");
        }
        if lines.is_empty() {
            println!("  only the places of lines");
        }
    }
    if last.is_some() && !same.is_empty() {
        println!("no change is known of: {}", same.join(", "));
    }
    Exit::Ok
}

/// What is different in a section: from the last survey; where it is as it was there, from the
/// state before that.
fn between(last: Option<&LastSurvey>, finished: &Finished) -> Result<Value, String> {
    let name = finished.section.name();
    let states = last.and_then(|last| last.front.sections.get(&name));
    let was: Option<State> = states.and_then(|states| {
        if states.now.digest == finished.digest {
            states.before
        } else {
            Some(states.now)
        }
    });
    let mut answer = json!({
        "section": name,
        "digest": finished.digest,
        "since": states
            .filter(|states| states.now.digest == finished.digest)
            .map(|states| states.now.since.to_string()),
        "was": null,
        "difference": null,
    });
    let Some(was) = was else { return Ok(answer) };
    let bad = |error: rescind_protocol::section::BadSection| error.to_string();
    let json = last.and_then(|last| last.json.get(&(name.clone(), was.digest)));
    // A power cut can take away what was kept.
    let Some(json) = json.filter(|json| !json.is_empty()) else {
        answer["lost"] = true.into();
        return Ok(answer);
    };
    let earlier = Document::parse(&name, json).map_err(bad)?;
    let later = Document::parse(&name, &finished.json).map_err(bad)?;
    answer["was"] = json!({
        "digest": was.digest,
        "since": was.since.to_string(),
        "until": was.until.to_string(),
    });
    answer["difference"] = json!(Difference::between(&earlier, &later));
    Ok(answer)
}

/// The survey that the service kept last, if there is one.
fn last_survey(root: &Path) -> Result<Option<LastSurvey>, String> {
    let dir = layout::agent_dir(root);
    let mut tries = 0;
    loop {
        match store::last_survey(&store::this_program(), &dir) {
            Ok(last) => return Ok(last),
            // It cannot be had again: what follows is as before the first survey, but for this.
            Err(store::IndexError::Bad(why)) => {
                eprintln!("rescind-agent: what was kept of the last survey is lost: {why}");
                return Ok(None);
            }
            Err(error) if tries == TRIES => return Err(error.to_string()),
            // The service is writing to it.
            Err(_) => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }
}

fn take(at: &Where, only: Option<Section>) -> Result<Vec<Finished>, Exit> {
    let mut sections = Vec::new();
    match survey::take(at.root(), only, &BTreeSet::new(), |one| sections.push(one)) {
        Ok(_) => Ok(sections),
        Err(error) => Err(Exit::Unavailable.because(error)),
    }
}

/// The rows of a section, and what was not read for it.
fn parse(finished: &Finished) -> Result<Value, Exit> {
    serde_json::from_slice(&finished.json).map_err(|error| {
        let name = finished.section.as_str();
        Exit::Unavailable.because(format!("section {name} is not JSON: {error}"))
    })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn print_not_read(section: &Value, prefix: &str) {
    let not_read = &section["not_read"];
    let listed = array(&not_read["listed"]);
    for one in listed {
        println!("{prefix}not read: {}", words::not_read_line(one));
    }
    let more = not_read["total"].as_u64().unwrap_or(0) - listed.len() as u64;
    if more > 0 {
        println!("{prefix}not read: {more} more");
    }
}
