//! The manual says what the programs do: every command, option and key of theirs is on its page and
//! nothing else is, examples are commands that the programs take, and the pages are well-formed.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use clap::CommandFactory;
use page::{Page, pages, repository, shell_words};

/// A program, and its page.
fn programs() -> [(clap::Command, Page); 2] {
    let agent = rescind_agent::cli::Cli::command();
    let control = rescind_control::cli::command();
    [
        (agent, Page::read("rescind-agent.8")),
        (control, Page::read("rescind.1")),
    ]
}

#[test]
fn every_command_and_option_is_on_the_page_and_no_other() {
    for (mut program, page) in programs() {
        // Adds what clap adds: `help`, `--help`, and the options of every command to each.
        program.build();
        let mut commands = Vec::new();
        leaves(&program, &mut Vec::new(), &mut commands);

        let everywhere: BTreeSet<String> = program.get_arguments().flat_map(spellings).collect();
        let mut known = everywhere.clone();
        for (path, command) in &commands {
            let own: Vec<&clap::Arg> = command
                .get_arguments()
                .filter(|arg| !is_everywhere(arg))
                .collect();
            let wanted: BTreeSet<String> = own.iter().copied().flat_map(main_spellings).collect();
            let said = page.part(path).options();
            assert_eq!(
                wanted.difference(&said).collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "{}: options of `{path}` that it does not say",
                page.name
            );
            let mut may: BTreeSet<String> = own.into_iter().flat_map(spellings).collect();
            known.append(&mut may.clone());
            may.append(&mut everywhere.clone());
            assert_eq!(
                said.difference(&may).collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "{}: options that `{path}` does not have",
                page.name
            );
        }
        assert_eq!(page.options(), known, "{}", page.name);
        let headings = page.parts_of("COMMANDS");
        let paths: BTreeSet<&str> = commands.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(headings, paths, "{}", page.name);
    }
}

#[test]
fn every_example_is_a_command_that_its_program_takes() {
    let [(agent, agents_page), (control, controls_page)] = programs();
    let mut lines: Vec<String> = Vec::new();
    for page in [&agents_page, &controls_page] {
        lines.extend(page.displayed());
    }
    lines.extend(Page::read("rescind-agent.toml.5").displayed());
    lines.extend(Page::read("rescind-control.toml.5").displayed());
    for program in [&agent, &control] {
        helps(program, &mut lines);
    }
    let mut tried = 0;
    for words in lines.iter().flat_map(|line| shell_words(line)) {
        let program = match words.first().map(String::as_str) {
            Some("rescind") => control.clone(),
            Some("rescind-agent") => agent.clone(),
            _ => continue,
        };
        tried += 1;
        if let Err(error) = program.try_get_matches_from(&words) {
            panic!("`{}`: {error}", words.join(" "));
        }
    }
    assert!(tried > 60, "only {tried} examples were found");
}

#[test]
fn every_key_is_on_the_page_with_its_default_and_its_range() {
    for (page, file) in [
        ("rescind-agent.toml.5", "packaging/agent/agent.toml"),
        ("rescind-control.toml.5", "control/control.toml"),
    ] {
        let page = Page::read(page);
        let text = fs::read_to_string(repository().join(file)).unwrap();
        let mut table = String::new();
        let mut keys = BTreeSet::new();
        for line in text.lines() {
            // What holds anyway stands behind a `#`; after one in a sentence comes a blank.
            let line = line.strip_prefix('#').unwrap_or(line);
            if line.starts_with('[') {
                table = format!("{line}\n");
                assert!(page.has_part(line), "{}: no part {line}", page.name);
            }
            let Some((key, default)) = line.split_once(" = ").filter(|(key, _)| is_key(key)) else {
                continue;
            };
            let said = page.item(key);
            assert!(
                said.ends_with(&format!("Default: {default}")),
                "{}: {key}: no default {default}: {said}",
                page.name
            );
            if default.parse::<u64>().is_ok() {
                let refused = settings(file, &format!("{table}{key} = {}\n", u32::MAX));
                let refused = refused.unwrap_err();
                let (_, range) = refused.split_once("want ").expect(&refused);
                assert!(said.contains(range), "{}: {key}: {range}", page.name);
            }
            assert!(keys.insert(key.to_owned()), "{file}: {key} twice");
        }
        assert_eq!(page.items(), keys, "{}", page.name);
        let examples = page.files();
        assert!(!examples.is_empty());
        for example in examples {
            assert_eq!(settings(file, &example), Ok(()), "{example}");
        }
    }
}

/// Whether a program takes these settings, and why not.
fn settings(file: &str, text: &str) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!("rescind-man-{}", std::process::id()));
    let path = dir.join("settings.toml");
    fs::create_dir_all(&dir).unwrap();
    fs::write(&path, text).unwrap();
    let taken = if file.contains("agent") {
        let owner = rescind_agent::config::Owner::of(&dir).unwrap();
        let settings = rescind_agent::config::Config::load_file(&path, owner);
        settings.map(drop).map_err(|error| error.to_string())
    } else {
        let settings = rescind_control::config::Config::load(Some(&path));
        settings.map(drop).map_err(|error| error.to_string())
    };
    fs::remove_dir_all(&dir).unwrap();
    taken
}

#[test]
fn the_pages_are_well_formed() {
    for page in pages() {
        let ran = Command::new("groff")
            .args(["-mandoc", "-Tutf8", "-ww", "-z"])
            .arg(&page)
            .output()
            .expect("groff is there; tests/setup/install-tools.sh installs groff-base");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.is_empty(), "{said}");
        let text = fs::read_to_string(&page).unwrap();
        let mut literal = false;
        for (number, line) in (1u32..).zip(text.lines()) {
            literal = (literal || line.starts_with(".Bd -literal")) && line != ".Ed";
            let place = format!("{}:{number}", page.display());
            assert!(line.is_ascii(), "{place}: not ASCII");
            assert!(line.trim_end() == line, "{place}: blanks at the end");
            let broken = !literal && line.is_empty();
            assert!(!broken, "{place}: an empty line; .Pp begins a paragraph");
        }
    }
}

#[test]
fn the_pages_are_installed_and_the_units_name_them() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let manifests = [read("agent/Cargo.toml"), read("control/Cargo.toml")].concat();
    let mut names = Vec::new();
    for page in pages() {
        let file = page.file_name().unwrap().to_str().unwrap().to_owned();
        let (name, section) = file.rsplit_once('.').unwrap();
        let asset =
            format!("[\"../packaging/man/{file}\", \"usr/share/man/man{section}/\", \"644\"]");
        assert!(manifests.contains(&asset), "no package has {file}: {asset}");
        names.push(format!("man:{name}({section})"));
    }
    let units = ["rescind-agent", "rescind-link", "rescind"]
        .map(|unit| read(&format!("systemd/{unit}.service")));
    let mut named = BTreeSet::new();
    for unit in &units {
        let line = unit.lines().find_map(|l| l.strip_prefix("Documentation="));
        let here = line.unwrap().split(' ').filter(|w| w.starts_with("man:"));
        named.extend(here.map(str::to_owned));
    }
    assert_eq!(named, names.into_iter().collect());
}

fn leaves(
    command: &clap::Command,
    path: &mut Vec<String>,
    found: &mut Vec<(String, clap::Command)>,
) {
    let is_help = command.get_name() == "help";
    if is_help && path.len() > 1 {
        return; // that of a group: `rescind token help`
    }
    let mut below = command.get_subcommands().peekable();
    if is_help || below.peek().is_none() {
        found.push((path.join(" "), command.clone()));
        return;
    }
    for sub in below {
        path.push(sub.get_name().to_owned());
        leaves(sub, path, found);
        path.pop();
    }
}

/// Whether every command has it.
fn is_everywhere(arg: &clap::Arg) -> bool {
    arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str())
}

/// As it is written, in every way that the help shows.
fn spellings(arg: &clap::Arg) -> BTreeSet<String> {
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let aliases = aliases.into_iter().map(|alias| format!("--{alias}"));
    main_spellings(arg).into_iter().chain(aliases).collect()
}

/// Without aliases.
fn main_spellings(arg: &clap::Arg) -> Vec<String> {
    if arg.is_hide_set() {
        return Vec::new();
    }
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).collect()
}

/// The lines of every help, examples among them.
fn helps(command: &clap::Command, lines: &mut Vec<String>) {
    if let Some(help) = command.get_after_help() {
        lines.extend(help.to_string().lines().map(str::to_owned));
    }
    command.get_subcommands().for_each(|sub| helps(sub, lines));
}

fn is_key(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '_');
    !text.is_empty() && text.chars().all(letter)
}
