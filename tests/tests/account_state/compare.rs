//! Their answers beside ours.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rescind_agent::host::account::{Account, PasswordState};
use rescind_agent::host::accounts::Accounts;
use rescind_agent::host::passwd::PasswdEntry;
use rescind_agent::host::root::HostRoot;
use rescind_agent::orders::Host;
use rescind_agent::paths::account_state::{self, Judge};
use rescind_agent::paths::verdict::{Checks, Verdict};
use rescind_agent::sshd::printable::printable;
use rescind_protocol::path::{Mechanism, PathState};
use rescind_tests::Release;
use serde_json::Value;

use super::generate::Set;
use super::pwck::Compared;
use super::shadow_tools::{Seen, line_at};
use super::tools::{Answers, NO_ANSWER, Theirs};
use super::{days, pwck};

/// Bytes of a line from which on shadow 4.8 to 4.13 take no line of passwd(5).
const LINE_MAX: usize = 1024;

/// What was compared and what came of it.
#[derive(Default)]
pub struct Count {
    accounts: usize,
    lines: usize,
    /// Answers of tools, by tool.
    answers: BTreeMap<&'static str, usize>,
    let_in: usize,
    disagreements: usize,
    /// Answers that were not known, by their reasons.
    unknown: BTreeMap<String, usize>,
    /// Answers that were not compared, by what the tool does otherwise than the C library.
    quirks: BTreeMap<&'static str, usize>,
}

impl Count {
    /// No disagreement, and enough of both answers to tell anything.
    pub fn is_good(&self) -> bool {
        let unknown: usize = self.unknown.values().sum();
        let enough = |tool| self.answers.get(tool).unwrap_or(&0) * 5 > self.accounts * 2;
        self.disagreements == 0
            && unknown * 5 <= self.accounts
            && self.let_in * 5 > self.accounts
            && ["getent", "chage", "passwd -S", "su"]
                .into_iter()
                .all(enough)
    }

    fn disagreement(&mut self, what: &str) {
        self.disagreements += 1;
        eprintln!("DISAGREEMENT {what}");
    }

    fn answered(&mut self, tool: &'static str) {
        *self.answers.entry(tool).or_default() += 1;
    }

    fn quirk(&mut self, reason: &'static str) {
        *self.quirks.entry(reason).or_default() += 1;
    }

    fn unknown(&mut self, reason: &str) {
        let reason = reason.split(['(', ':']).next().unwrap_or_default().trim();
        *self.unknown.entry(reason.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts, {} shadow lines", self.accounts, self.lines)?;
        for (tool, answers) in &self.answers {
            write!(f, ", {answers} answers of {tool}")?;
        }
        let unknown: usize = self.unknown.values().sum();
        write!(
            f,
            ", {} let in, {} disagreements, {unknown} unknown",
            self.let_in, self.disagreements
        )?;
        for (reason, times) in &self.unknown {
            write!(f, "\n  {times} times unknown: {reason}")?;
        }
        for (reason, times) in &self.quirks {
            write!(f, "\n  {times} times not compared: {reason}")?;
        }
        Ok(())
    }
}

/// What the product says.
pub struct Ours {
    pub accounts: Accounts,
    /// passwd(5) and shadow(5) as the shadow tools read them.
    pub seen: [Seen; 2],
    /// `rescind-agent inventory`
    inventory: Value,
    /// Of `rescind-agent paths`, the console.
    console: BTreeMap<String, Verdict>,
    today: i64,
}

impl Ours {
    pub fn read(root: &Path, set: &Set, today: i64) -> Self {
        let accounts = Accounts::load(&HostRoot::at(root).unwrap()).unwrap();
        let mut host = Host::below(root).unwrap();
        let mut console = BTreeMap::new();
        for path in host.paths(None).unwrap() {
            let name = path.account.to_string();
            let is_asked = set.names.contains(&name);
            if is_asked && path.mechanism == Mechanism::ConsolePassword {
                // The first line of a name is the one that counts.
                console.entry(name).or_insert(Verdict {
                    state: path.state,
                    reason: path.reason,
                });
            }
        }
        let seen = [
            Seen::of(accounts.passwd().to_bytes()),
            Seen::of(accounts.shadow().unwrap().to_bytes()),
        ];
        Self {
            accounts,
            seen,
            inventory: host.inventory().unwrap(),
            console,
            today,
        }
    }

    fn account(&self, name: &str) -> Option<Account> {
        self.accounts.by_name(&name.parse().unwrap())
    }

    fn row(&self, name: &str) -> Option<&Value> {
        let mut rows = self.inventory.as_array().unwrap().iter();
        rows.find(|row| row["account"] == name)
    }

    /// What PAM's account stack would say.
    fn pam(&self, account: &Account) -> Verdict {
        let mut checks = Checks::default();
        account_state::check(account, Judge::Pam, self.today, &mut checks);
        checks.verdict("")
    }
}

/// Compares everything that was said of a set.
pub fn compare(release: Release, set: &Set, ours: &Ours, theirs: &Theirs, count: &mut Count) {
    count.lines += set.shadow.split(|byte| *byte == b'\n').count();
    for name in &set.names {
        count.accounts += 1;
        let answers = &theirs.accounts[name];
        let mut wrong = Vec::new();
        one(release, name, ours, answers, count, &mut wrong);
        if !wrong.is_empty() {
            let lines = |bytes: &[u8]| {
                let lines = bytes.split(|byte| *byte == b'\n');
                let own = lines.filter(|line| line.trim_ascii_start().starts_with(name.as_bytes()));
                let own: Vec<String> = own.map(|line| line.escape_ascii().to_string()).collect();
                own.join("\n  ")
            };
            count.disagreement(&format!(
                "{release} seed {}, {name}: {}\n  {}\n  {}{answers:?}",
                set.seed,
                wrong.join("; "),
                lines(&set.passwd),
                lines(&set.shadow)
            ));
        }
    }
    let mut wrong = Vec::new();
    match pwck::compare(ours, set, &theirs.pwck, &mut wrong) {
        Compared::Yes => count.answered("pwck"),
        Compared::NoAnswer(why) => count.quirk(why),
    }
    for what in wrong {
        count.disagreement(&format!("{release} seed {}, pwck: {what}", set.seed));
    }
}

fn one(
    release: Release,
    name: &str,
    ours: &Ours,
    theirs: &Answers,
    count: &mut Count,
    wrong: &mut Vec<String>,
) {
    getent_passwd(name, ours, theirs, wrong);
    count.answered("getent");
    let shadow = ours
        .accounts
        .shadow()
        .unwrap()
        .named(name.as_bytes())
        .next();
    if let Some(shadow) = shadow.filter(|shadow| shadow.odd_number) {
        // Whether there is a line is what nobody can say.
        count.unknown("a number is below zero or too large");
        if shadow.aging.last_change.is_none() && theirs.by_root.contains("is in") {
            count.let_in += 1;
        }
        return;
    }
    count.answered("getent");
    let fields: Vec<&[u8]> = theirs.shadow.split(|byte| *byte == b':').collect();
    let day = |nth: usize| {
        let field = std::str::from_utf8(fields[nth]).unwrap();
        field.parse::<i64>().ok()
    };
    match (&shadow, theirs.shadow.is_empty()) {
        (None, true) => {}
        (None, false) => wrong.push("getent knows a shadow line, we do not".into()),
        (Some(_), true) => wrong.push("we know a shadow line, getent does not".into()),
        (Some(shadow), false) => {
            let aging = shadow.aging;
            let ours = [
                aging.last_change,
                aging.max,
                aging.inactive,
                shadow.expire_day,
            ];
            if shadow.password != fields[1] || ours != [day(2), day(4), day(6), day(7)] {
                wrong.push(format!("getent shadow: we say {ours:?}"));
            }
        }
    }
    let Some(account) = ours.account(name) else {
        return;
    };
    chage(release, ours, &account, theirs, count, wrong);
    status(ours, &account, theirs, count, wrong);
    su(release, ours, &account, theirs, count, wrong);
}

fn getent_passwd(name: &str, ours: &Ours, theirs: &Answers, wrong: &mut Vec<String>) {
    let entry = ours.accounts.passwd().named(name.as_bytes()).next();
    let line = entry.map_or(Vec::new(), |entry| plain(&entry));
    if entry.is_some_and(|entry| entry.shell.contains(&b':')) && theirs.passwd.is_empty() {
        // The C library has it, but getent prints no line that would be read otherwise.
        return;
    }
    if line != theirs.passwd {
        wrong.push(format!("getent passwd: we say {}", line.escape_ascii()));
    }
    let fields: Vec<&[u8]> = theirs.passwd.splitn(7, |byte| *byte == b':').collect();
    match (ours.row(name), fields.as_slice()) {
        (None, [_]) => {}
        (Some(row), [_, _, uid, _, _, home, shell]) => {
            let uid = std::str::from_utf8(uid).unwrap();
            if row["uid"].as_u64() != uid.parse().ok()
                || row["home"] != printable(home)
                || row["shell"] != printable(shell)
            {
                wrong.push(format!("getent passwd: the inventory says {row}"));
            }
        }
        (row, _) => wrong.push(format!("getent passwd: the inventory says {row:?}")),
    }
}

/// The line as it would be written anew.
fn plain(entry: &PasswdEntry<'_>) -> Vec<u8> {
    let numbers = format!("{}:{}", entry.uid, entry.gid);
    [
        entry.name,
        entry.password,
        numbers.as_bytes(),
        entry.gecos,
        entry.home,
        entry.shell,
    ]
    .join(b":".as_slice())
}

/// The four lines of chage(1) that are about dates, and the maximum.
fn chage(
    release: Release,
    ours: &Ours,
    account: &Account,
    theirs: &Answers,
    count: &mut Count,
    wrong: &mut Vec<String>,
) {
    let name = account.name.as_str().as_bytes();
    let shadow = ours.accounts.shadow().unwrap();
    let entry = shadow.named(name).next();
    match reading(release, name, ours, &theirs.chage) {
        Reading::Same => {}
        Reading::Other => return count.quirk("the shadow tools read other lines"),
        Reading::Wrong => return wrong.push("chage finds no account".into()),
    }
    count.answered("chage");
    let aging = entry.map(|entry| entry.aging).unwrap_or_default();
    let expiry = entry.and_then(|entry| entry.expire_day);
    // Where passwd(5) has the password itself nothing of this counts, and the product says so.
    let counts = account.oddities.unasked_shadow.is_none();
    let row = ours.row(account.name.as_str()).unwrap();
    if counts && (account.expire_day != expiry || row["expires"].as_i64() != expiry) {
        wrong.push(format!("expires: the inventory says {}", row["expires"]));
    }
    let date = |day: Option<i64>| day.map_or("never".into(), days::chage);
    let aged = |grace: Option<i64>| match (aging.last_change, aging.max, grace) {
        (Some(0), ..) => "password must be changed".into(),
        (Some(changed), Some(max), Some(grace)) if max < 10_000 => {
            days::chage(changed + max + grace)
        }
        _ => "never".into(),
    };
    let want = [
        match aging.last_change {
            Some(0) => "password must be changed".into(),
            day => date(day),
        },
        aged(Some(0)),
        aged(aging.inactive),
        date(expiry),
    ];
    let said: Vec<&str> = theirs
        .chage
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(_, value)| value)
        .collect();
    if said.len() != 7 || said[..4] != want || said[5] != aging.max.unwrap_or(-1).to_string() {
        wrong.push(format!("chage: we say {want:?}"));
    }
}

/// What chage(1) reads beside what we do.
enum Reading {
    /// The same lines.
    Same,
    /// It finds other lines of the account, or none.
    Other,
    /// It should find them, and does not.
    Wrong,
}

fn reading(release: Release, name: &[u8], ours: &Ours, said: &str) -> Reading {
    let [passwd, shadow] = &ours.seen;
    if !passwd.is_readable() || !shadow.is_readable() || said.trim() == NO_ANSWER {
        return Reading::Other;
    }
    let lines = ours.accounts.shadow().unwrap();
    let first = lines.named(name).next();
    if first.is_some_and(|entry| !shadow.finds(line_at(lines.to_bytes(), entry.line))) {
        return Reading::Other;
    }
    if !said.contains("does not exist in") {
        return Reading::Same;
    }
    // It wants exactly seven fields, and numbers in one spelling; shadow 4.8 to 4.13 also not too much.
    let lines = ours.accounts.passwd();
    let entry = lines.named(name).next().unwrap();
    let line = line_at(lines.to_bytes(), entry.line);
    let is_long = line.len() >= LINE_MAX && release != Release::Trixie;
    let is_plain = line == plain(&entry) && !entry.shell.contains(&b':');
    match passwd.finds(line) && is_plain && !is_long {
        true => Reading::Wrong,
        false => Reading::Other,
    }
}

fn status(
    ours: &Ours,
    account: &Account,
    theirs: &Answers,
    count: &mut Count,
    wrong: &mut Vec<String>,
) {
    count.answered("passwd -S");
    let said: Vec<&str> = theirs.status.split(' ').collect();
    let letter = said.get(1).copied().unwrap_or("");
    let row = ours.row(account.name.as_str()).unwrap();
    let word = row["password"].as_str().unwrap();
    // It asks shadow(5) even where passwd(5) has the password itself.
    let unasked = account.oddities.unasked_shadow;
    let agrees = match (letter, unasked.map(|shadow| shadow.password)) {
        ("L", None) => matches!(word, "locked" | "none" | "missing"),
        ("NP", None) => word == "empty",
        ("P", None) => matches!(word, "set" | "none" | "missing"),
        ("L", Some(state)) => matches!(state, PasswordState::Locked | PasswordState::Unusable),
        ("NP", Some(state)) => state == PasswordState::Empty,
        ("P", Some(state)) => matches!(state, PasswordState::Usable | PasswordState::Unusable),
        _ => false,
    };
    if !agrees {
        wrong.push(format!("passwd -S: the inventory says {word}"));
    }
}

fn su(
    release: Release,
    ours: &Ours,
    account: &Account,
    theirs: &Answers,
    count: &mut Count,
    wrong: &mut Vec<String>,
) {
    if account.home.is_empty() {
        // su(1) wants a home, login(1) does not.
        return;
    }
    let must_change = |said: &str| said.contains("required to change your password");
    let is_in = |said: &str| said.contains("is in") || must_change(said);
    count.let_in += usize::from(theirs.by_root.contains("is in"));
    // Linux-PAM before 1.6.
    let is_old = release != Release::Trixie;
    let mut compare = |what: &'static str, ours: &Verdict, said: &str| {
        count.answered(what);
        match (ours.state, is_in(said)) {
            (PathState::Open, true) => {
                let is_due = ours.reason.contains("must be changed");
                // Of a password without a day of change, or on the last day of its age.
                let is_due_here = match ours.reason.contains("PAM before 1.6 wants") {
                    true => is_old,
                    false => is_due || !is_old && ours.reason.contains("PAM since 1.6 wants"),
                };
                if must_change(said) != is_due_here {
                    wrong.push(format!("{what}: must it be changed? we say {ours:?}"));
                }
            }
            (PathState::Closed, false) => {}
            // It does not get as far as the shell.
            (PathState::Closed, true) if must_change(said) && ours.reason.contains("shell") => {}
            (PathState::Unknown, _) => count.unknown(&ours.reason),
            _ => wrong.push(format!("{what}: we say {ours:?}")),
        }
    };
    let pam = ours.pam(account);
    compare("su", &pam, &theirs.by_root);
    let console = &ours.console[account.name.as_str()];
    compare("su with the password", console, &theirs.by_nobody);
}
