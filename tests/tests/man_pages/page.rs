//! A page of the manual, as mdoc(7) has it: as much of it as these tests ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root directory.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of all pages.
pub fn pages() -> Vec<PathBuf> {
    let dir = repository().join("packaging/man");
    let mut pages: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

/// A page.
pub struct Page {
    /// Its file.
    pub name: &'static str,
    parts: Vec<Part>,
}

/// What stands below a heading, up to the next one.
pub struct Part {
    /// The section that it is in, which may be itself.
    section: String,
    heading: String,
    lines: Vec<String>,
}

impl Page {
    /// Reads one.
    pub fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(repository().join("packaging/man").join(name)).unwrap();
        let mut parts: Vec<Part> = Vec::new();
        for line in text.lines() {
            let section = line.strip_prefix(".Sh ");
            let Some(heading) = section.or_else(|| line.strip_prefix(".Ss ")) else {
                if let Some(part) = parts.last_mut() {
                    part.lines.push(line.to_owned());
                }
                continue;
            };
            let within = parts.last().map(|part| part.section.clone());
            let section = section.map(str::to_owned).or(within);
            parts.push(Part {
                section: section.expect("a section comes before its parts"),
                heading: heading.to_owned(),
                lines: Vec::new(),
            });
        }
        Self { name, parts }
    }

    /// Whether there is such a heading.
    pub fn has_part(&self, heading: &str) -> bool {
        self.parts.iter().any(|part| part.heading == heading)
    }

    /// What stands below a heading.
    #[track_caller]
    pub fn part(&self, heading: &str) -> &Part {
        let part = self.parts.iter().find(|part| part.heading == heading);
        part.unwrap_or_else(|| panic!("{} has no part `{heading}`", self.name))
    }

    /// The headings within a section.
    pub fn parts_of(&self, section: &str) -> BTreeSet<&str> {
        let parts = self.parts.iter().filter(|part| part.section == section);
        let headings = parts.map(|part| part.heading.as_str());
        headings.filter(|heading| *heading != section).collect()
    }

    /// Every option that it names.
    pub fn options(&self) -> BTreeSet<String> {
        self.parts.iter().flat_map(Part::options).collect()
    }

    /// Lines that stand by themselves as they are typed.
    pub fn displayed(&self) -> Vec<String> {
        let lines = self.parts.iter().flat_map(|part| &part.lines);
        lines
            .filter_map(|line| line.strip_prefix(".Dl ").map(str::to_owned))
            .collect()
    }

    /// Files that stand there as they are.
    pub fn files(&self) -> Vec<String> {
        let lines = self.parts.iter().flat_map(|part| &part.lines);
        let mut files: Vec<String> = Vec::new();
        let mut inside = false;
        for line in lines {
            match line.as_str() {
                ".Ed" => inside = false,
                line if line.starts_with(".Bd -literal") => {
                    inside = true;
                    files.push(String::new());
                }
                line if inside => {
                    let file = files.last_mut().expect("one was begun");
                    file.push_str(&format!("{line}\n"));
                }
                _ => {}
            }
        }
        files
    }

    /// The keys of a settings file that it explains.
    pub fn items(&self) -> BTreeSet<String> {
        let lines = self.parts.iter().flat_map(|part| &part.lines);
        lines
            .filter_map(|line| line.strip_prefix(".It Va ").map(str::to_owned))
            .collect()
    }

    /// What it says of a key: the words, without macros.
    #[track_caller]
    pub fn item(&self, key: &str) -> String {
        let item = |line: &&String| line.strip_prefix(".It Va ") == Some(key);
        let part = self
            .parts
            .iter()
            .find(|part| part.lines.iter().any(|line| item(&line)));
        let mut lines = part
            .into_iter()
            .flat_map(|part| &part.lines)
            .skip_while(|line| !item(line));
        assert!(lines.next().is_some(), "{} has no key {key}", self.name);
        let said = lines.take_while(|line| !line.starts_with(".It Va "));
        let mut words: Vec<&str> = Vec::new();
        for line in said.filter(|line| !line.starts_with(".Bl ") && *line != ".El") {
            let is_macro = |word: &&str| word.len() == 2 && word.starts_with(char::is_uppercase);
            match line.strip_prefix('.') {
                None => words.extend(line.split_whitespace()),
                Some(macros) => words.extend(macros.split_whitespace().filter(|w| !is_macro(w))),
            }
        }
        // Behind a macro, punctuation is a word of its own.
        words.join(" ").replace(" ,", ",").replace("\\(dq", "\"")
    }
}

impl Part {
    /// The options that it names.
    pub fn options(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for line in self.lines.iter().filter(|line| line.starts_with('.')) {
            let mut words = line[1..].split_whitespace();
            while let Some(word) = words.next() {
                if word == "Fl" {
                    let option = words.next().expect("Fl has a word behind it");
                    named.insert(format!("-{option}"));
                }
            }
        }
        named
    }
}

/// The commands of a line, each in words, as a shell would take them apart: as much of a shell as
/// examples need.
pub fn shell_words(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("a quote ends"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        rest = after.trim_start();
        match word {
            "|" | "&&" => commands.push(Vec::new()),
            // To or from a file, whose name is no argument.
            "<" | ">" => rest = rest.split_once(' ').map_or("", |(_, after)| after),
            word => commands
                .last_mut()
                .expect("one is always there")
                .push(word.to_owned()),
        }
    }
    commands
}
