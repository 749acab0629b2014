//! `pwck -r` beside us: it is stricter than the C library about passwd(5), and of one mind with it
//! about shadow(5), but for lines that it reads otherwise.

use std::collections::BTreeSet;

use super::compare::Ours;
use super::generate::Set;
use super::shadow_tools::{Seen, line_at};
use super::tools::NO_ANSWER;

/// What it complains of.
#[derive(Default)]
struct Complaints {
    /// Names with a line in passwd(5) and none in shadow(5).
    without_shadow: BTreeSet<String>,
    /// Lines of passwd(5) that are none.
    passwd: BTreeSet<String>,
    /// Lines of shadow(5) that are none.
    shadow: BTreeSet<String>,
}

impl Complaints {
    /// A complaint names its subject between quotes in the line after it.
    fn read(said: &str) -> Self {
        let mut complaints = Self::default();
        let mut lines = said.lines();
        while let Some(line) = lines.next() {
            let subjects = match line {
                "no matching password file entry in /etc/shadow" => &mut complaints.without_shadow,
                "invalid password file entry" => &mut complaints.passwd,
                "invalid shadow password file entry" => &mut complaints.shadow,
                _ => continue,
            };
            let question = lines.next().unwrap_or_default();
            let subject = question.split_once('\'').unwrap_or_default().1;
            let subject = subject.rsplit_once('\'').unwrap_or_default().0;
            subjects.insert(subject.to_owned());
        }
        complaints
    }
}

/// What came of the comparison.
pub enum Compared {
    Yes,
    /// It gave no answer, as it does on such files.
    NoAnswer(&'static str),
}

pub fn compare(ours: &Ours, set: &Set, said: &str, wrong: &mut Vec<String>) -> Compared {
    if said.trim() == NO_ANSWER {
        // It tries a line of shadow(5) that is none for ever where a number before it was out of
        // range, in shadow 4.17 also one of passwd(5).
        if !set.has_wild_numbers {
            wrong.push("it does not end".into());
        }
        return Compared::NoAnswer("it does not end where a number is out of range");
    }
    if !ours.seen.iter().all(Seen::is_readable) {
        if !said.contains("cannot open") {
            wrong.push("it reads a file that ends in a line with a NUL".into());
        }
        return Compared::NoAnswer("it cannot read a file that ends in a line with a NUL");
    }
    let complaints = Complaints::read(said);
    shadow_lines(ours, &complaints, wrong);
    passwd_lines(ours, &complaints, wrong);
    accounts(ours, &complaints, wrong);
    Compared::Yes
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

fn shadow_lines(ours: &Ours, complaints: &Complaints, wrong: &mut Vec<String>) {
    let shadow = ours.accounts.shadow().unwrap();
    let bytes = shadow.to_bytes();
    let seen = &ours.seen[1];
    let unparsed = shadow.unparsed().map(|line| line_at(bytes, line.line));
    for line in unparsed.filter(|line| seen.has(line)).map(text) {
        if !complaints.shadow.contains(&line) {
            wrong.push(format!("it takes the shadow line {line:?}, we do not"));
        }
    }
    // A number that is out of range is one that it refuses too; what we say is that it is odd.
    let entries = shadow.entries().filter(|entry| !entry.odd_number);
    for line in entries.map(|entry| line_at(bytes, entry.line)) {
        let line = text(line);
        if complaints.shadow.contains(&line) {
            wrong.push(format!("we take the shadow line {line:?}, it does not"));
        }
    }
}

fn passwd_lines(ours: &Ours, complaints: &Complaints, wrong: &mut Vec<String>) {
    let passwd = ours.accounts.passwd();
    let unparsed = passwd
        .unparsed()
        .map(|line| line_at(passwd.to_bytes(), line.line));
    for line in unparsed.filter(|line| ours.seen[0].has(line)).map(text) {
        if !complaints.passwd.contains(&line) {
            wrong.push(format!("it takes the passwd line {line:?}, we do not"));
        }
    }
}

/// Whether an account has a line in shadow(5).
fn accounts(ours: &Ours, complaints: &Complaints, wrong: &mut Vec<String>) {
    let shadow = ours.accounts.shadow().unwrap();
    let [passwd_seen, shadow_seen] = &ours.seen;
    let bytes = ours.accounts.passwd().to_bytes();
    for entry in ours.accounts.passwd().entries() {
        let line = line_at(bytes, entry.line);
        if !passwd_seen.finds(line) || complaints.passwd.contains(&text(line)) {
            continue;
        }
        let lines: Vec<_> = shadow.named(entry.name).collect();
        let is_same = lines.iter().all(|entry| {
            !entry.odd_number && shadow_seen.finds(line_at(shadow.to_bytes(), entry.line))
        });
        let name = text(entry.name);
        if is_same && lines.is_empty() != complaints.without_shadow.contains(&name) {
            let is_here = !lines.is_empty();
            wrong.push(format!("{name} has a shadow line: we say {is_here}"));
        }
    }
}
