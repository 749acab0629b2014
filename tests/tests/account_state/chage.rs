//! `chage -l` beside us.

use rescind_agent::host::account::Account;
use rescind_tests::Release;

use super::compare::{Ours, plain};
use super::count::Count;
use super::days;
use super::shadow_tools::line_at;
use super::tools::NO_ANSWER;

/// Bytes of a line from which on shadow 4.8 to 4.13 take no line of passwd(5).
const LINE_MAX: usize = 1024;

/// The four lines of chage(1) that are about dates, and the maximum.
pub fn compare(
    ours: &Ours,
    account: &Account,
    said: &str,
    count: &mut Count,
    wrong: &mut Vec<String>,
) {
    let name = account.name.as_str().as_bytes();
    let shadow = ours.accounts.shadow().unwrap();
    let entry = shadow.named(name).next();
    match reading(name, ours, said) {
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
    let said: Vec<&str> = said
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

fn reading(name: &[u8], ours: &Ours, said: &str) -> Reading {
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
    let is_long = line.len() >= LINE_MAX && ours.release != Release::Trixie;
    let is_plain = line == plain(&entry) && !entry.shell.contains(&b':');
    match passwd.finds(line) && is_plain && !is_long {
        true => Reading::Wrong,
        false => Reading::Other,
    }
}
