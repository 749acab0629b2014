//! Accounts in the states that shadow(5) knows, and some that it does not.

use rescind_tests::readers::random::Random;

/// `openssl passwd -6 -salt rescind secret`
const HASH: &str = "$6$rescind$hwu/aITbcz5nCiLZ7F2/TanES.wp29JX/8k2UmloWZUFN0bdBadB1oz9cwRt26aDYU4rEsh8KYq04BPY5pZpg/";
/// What [`HASH`] is of.
pub const PASSWORD: &str = "secret";
/// The gid of the group that only alice is named in.
pub const ADMINS: u32 = 1050;

pub struct Person {
    pub name: &'static str,
    pub uid: u32,
    pub gid: u32,
    pub home: &'static str,
    shell: &'static str,
    /// Fields 2 to 9 of shadow(5).
    shadow: String,
    /// Lets in without a password where sshd permits that.
    pub empty_password: bool,
    /// The password has to be changed at login, which these logins cannot.
    pub must_change: bool,
}

/// Everybody on a host that is generated.
pub fn generate(random: &mut Random, today: i64) -> Vec<Person> {
    // Whoever has uid 0 is root to sshd.
    let third = match random.chance(80) {
        true => ("root", 0, "/root"),
        false => ("toor", 0, "/srv/toor"),
    };
    let home = |random: &mut Random, usual: &'static str, others: &[&'static str]| match random
        .chance(94)
    {
        true => usual,
        false => others[random.below(others.len())],
    };
    [
        (
            "alice",
            1000,
            home(random, "/home/alice", &["/home/alice/", "/home/./alice"]),
        ),
        (
            "bob",
            1001,
            home(
                random,
                "/home/bob",
                &["/home/nobody", "/srv/homes/../homes", "/home/alice"],
            ),
        ),
        third,
    ]
    .into_iter()
    .map(|(name, uid, home)| person(random, today, name, uid, home))
    .collect()
}

/// The lines to add to passwd, shadow and group; root is in passwd and group already.
pub fn lines(people: &[Person]) -> [String; 3] {
    let (mut passwd, mut shadow, mut group) = (
        String::new(),
        String::new(),
        format!("admins:x:{ADMINS}:alice\n"),
    );
    for Person {
        name,
        uid,
        gid,
        home,
        shell,
        shadow: fields,
        ..
    } in people
    {
        shadow.push_str(&format!("{name}:{fields}\n"));
        if *name != "root" {
            passwd.push_str(&format!("{name}:x:{uid}:{gid}::{home}:{shell}\n"));
        }
        if *uid != 0 {
            group.push_str(&format!("{name}:x:{uid}:\n"));
        }
    }
    [passwd, shadow, group]
}

fn person(
    random: &mut Random,
    today: i64,
    name: &'static str,
    uid: u32,
    home: &'static str,
) -> Person {
    let (field, usual) = if random.chance(70) {
        (HASH.to_owned(), true)
    } else {
        let locked = format!("!{HASH}");
        (
            random
                .pick(&[locked.as_str(), "!", "*", "!!", "x", "", "!*"])
                .to_owned(),
            false,
        )
    };
    let expires = match random.below(90) {
        0 => "0".into(),
        1 => "1".into(),
        2 => "-1".into(),
        3 => (today - 1).to_string(),
        4 => today.to_string(),
        5 => (today + 1).to_string(),
        6 => "-7".into(),
        _ => String::new(),
    };
    // Last change, most days, days of grace.
    let past = (today - 100).to_string();
    let (changed, max, grace) = match random.below(90) {
        0 => ("0", "", ""),
        1 => (past.as_str(), "50", ""),
        2 => (past.as_str(), "50", "20"),
        3 => (past.as_str(), "90", "20"),
        4 => ("", "10", "1"),
        5 => (past.as_str(), "80", "20"),
        _ => (past.as_str(), "99999", ""),
    };
    let shell = match random.below(24) {
        0 => "/usr/sbin/nologin",
        1 => "/bin/false",
        2 => "/nonexistent",
        3 => "/etc/passwd",
        4 => "",
        5 => "/usr/bin",
        _ => "/bin/sh",
    };
    Person {
        name,
        uid,
        // Now and then two share a group.
        gid: if name == "bob" && random.chance(10) {
            1000
        } else {
            uid
        },
        home,
        shell: if name == "root" { "/bin/bash" } else { shell },
        shadow: format!("{field}:{changed}::{max}::{grace}:{expires}:"),
        empty_password: !usual && field.is_empty(),
        must_change: changed == "0" || matches!(max, "50" | "80" | "90"),
    }
}
