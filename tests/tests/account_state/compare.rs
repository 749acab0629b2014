//! Their answers beside ours.

use std::collections::BTreeMap;
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

use super::count::Count;
use super::generate::Set;
use super::pwck::Compared;
use super::shadow_tools::Seen;
use super::tools::{Answers, Theirs};
use super::{chage, pwck};

/// What the product says.
pub struct Ours {
    pub release: Release,
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
    pub fn read(release: Release, root: &Path, set: &Set, today: i64) -> Self {
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
            release,
            accounts,
            seen,
            inventory: serde_json::from_str(&host.inventory().unwrap()).unwrap(),
            console,
            today,
        }
    }

    pub fn account(&self, name: &str) -> Option<Account> {
        self.accounts.by_name(&name.parse().unwrap())
    }

    pub fn row(&self, name: &str) -> Option<&Value> {
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
pub fn compare(set: &Set, ours: &Ours, theirs: &Theirs, count: &mut Count) {
    count.lines += set.shadow.split(|byte| *byte == b'\n').count();
    for name in &set.names {
        count.accounts += 1;
        let answers = &theirs.accounts[name];
        let mut wrong = Vec::new();
        one(name, ours, answers, count, &mut wrong);
        if !wrong.is_empty() {
            let lines = |bytes: &[u8]| {
                let lines = bytes.split(|byte| *byte == b'\n');
                let own = lines.filter(|line| line.trim_ascii_start().starts_with(name.as_bytes()));
                let own: Vec<String> = own.map(|line| line.escape_ascii().to_string()).collect();
                own.join("\n  ")
            };
            count.disagreement(&format!(
                "{} seed {}, {name}: {}\n  {}\n  {}{answers:?}",
                ours.release,
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
        count.disagreement(&format!("{} seed {}, pwck: {what}", ours.release, set.seed));
    }
}

fn one(name: &str, ours: &Ours, theirs: &Answers, count: &mut Count, wrong: &mut Vec<String>) {
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
    chage::compare(ours, &account, &theirs.chage, count, wrong);
    status(ours, &account, theirs, count, wrong);
    su(ours, &account, theirs, count, wrong);
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
pub fn plain(entry: &PasswdEntry<'_>) -> Vec<u8> {
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
    let is_old = ours.release != Release::Trixie;
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
