use super::super::Dialect;
use super::super::files::ReadProblem;
use super::super::testing::Files;
use super::*;
use crate::host::account::GroupRef;

const NOON: i64 = 1_709_208_000; // 2024-02-29 12:00 UTC

fn subject(name: &str, uid: u32, groups: &[(&str, u32)]) -> Subject {
    let groups: Vec<_> = groups
        .iter()
        .map(|(name, gid)| GroupRef {
            name: name.as_bytes().to_vec(),
            gid: *gid,
        })
        .collect();
    let gid = groups.first().map_or(uid, |group| group.gid);
    Subject {
        name: name.as_bytes().to_vec(),
        uid,
        gid,
        groups,
    }
}

fn alice() -> Subject {
    subject("alice", 1000, &[("alice", 1000), ("adm", 4)])
}

fn answer_of(files: &Files, who: &Subject, others: &[String]) -> String {
    let sudoers = files.parse(Dialect::Sudo1_9_16);
    let host = HostNames::new(b"web1", Some(b"web1.example.org"));
    let policy = Policy {
        sudoers: &sudoers,
        host: &host,
        root: &Subject::root(),
        other_sources: others,
        now_unix: NOON,
    };
    let way = |way: &Way| format!("{} {}", way.source, way.reason);
    match policy.root_equivalent(who) {
        Answer::Yes(found) => format!("yes {}", way(&found)),
        Answer::Likely(found) => format!("likely {}", way(&found)),
        Answer::No => "no".into(),
        Answer::Unknown { why, way: found } => {
            let why: Vec<_> = why.iter().map(ToString::to_string).collect();
            format!(
                "unknown ({}) {}",
                why.join("; "),
                found.as_ref().map_or(String::new(), way)
            )
        }
    }
}

fn check(text: &str, expected: &str) {
    assert_eq!(
        answer_of(&Files::sudoers(text), &alice(), &[]),
        expected,
        "{text}"
    );
}

const YES: &str = "yes /etc/sudoers:1 may run any command as root, with its own password";
const FREE: &str = "yes /etc/sudoers:1 may run any command as root, without a password";

#[test]
fn all_is_root() {
    check("alice ALL=(ALL:ALL) ALL\n", YES);
    check("alice ALL=ALL\n", YES);
    check("#1000 WEB1=(root) NOPASSWD: ALL\n", FREE);
    check("%adm web1.example.org=(#0) ALL\n", YES);
    check("%#4 ALL=(ALL) ALL, !/bin/su, !/bin/sh\n", YES);
    check("ALL,!bob ALL=(ALL,!www) ALL\n", YES);
    check(
        "User_Alias OPS=A,!bob:A=%adm\nOPS ALL=ALL\n",
        &YES.replace(":1", ":2"),
    );
    check("alice ALL=EVERY\nCmnd_Alias EVERY=/bin/ls,ALL\n", YES);
}

#[test]
fn no_root() {
    for text in [
        "",
        "bob ALL=ALL\n",
        "alice other=ALL\n",
        "alice ALL=(www) ALL\n",
        "alice ALL=(ALL,!root) ALL\n",
        "alice ALL=() ALL\n",
        "alice ALL=(:adm) ALL\n",
        "alice ALL=ALL\nalice ALL=!ALL\n",
        "ALL,!alice ALL=ALL\n",
        "Defaults runas_default=www\nalice ALL=ALL\n",
        "alice ALL=NOTAFTER=20240101000000Z ALL\n",
        "alice ALL=NOTBEFORE=20250101000000Z ALL\n",
        "alice ALL=/usr/bin/id, /bin/cat /etc/motd\n",
        "alice ALL=CHROOT=/srv /usr/bin/id\n",
        "# alice ALL=ALL\n",
        "alice ALL=ALL \\",
    ] {
        check(text, "no");
    }
}

#[test]
fn passwords() {
    check(
        "Defaults:alice !authenticate\nalice ALL=ALL\n",
        &FREE.replace(":1", ":2"),
    );
    check(
        "Defaults>root !authenticate\nalice ALL=ALL\n",
        &FREE.replace(":1", ":2"),
    );
    check(
        "Defaults>root authenticate\nDefaults !authenticate\nalice ALL=ALL\n",
        &FREE.replace(":1", ":3"),
    );
    check(
        "Defaults!ALL authenticate\nDefaults !authenticate\nalice ALL=ALL\n",
        &YES.replace(":1", ":3"),
    );
    check(
        "Defaults exempt_group=adm\nalice ALL=ALL\n",
        &FREE.replace(":1", ":2"),
    );
    check(
        "Defaults !authenticate\nalice ALL=PASSWD:ALL\n",
        &YES.replace(":1", ":2"),
    );
    check(
        "alice ALL=ALL\nDefaults targetpw\n",
        "yes /etc/sudoers:1 may run any command as root, with root's password",
    );
}

#[test]
fn as_good_as_root() {
    check(
        "alice ALL=NOPASSWD: /usr/bin/vim.basic\n",
        "likely /etc/sudoers:1 may run /usr/bin/vim.basic (a program that writes any file) as root, without a password",
    );
    check(
        "alice ALL=/usr/bin/\n",
        "likely /etc/sudoers:1 may run /usr/bin/ (every command of a system directory) as root, with its own password",
    );
    check("alice ALL=/bin/bash\nalice ALL=!/bin/bash\n", "no");
    check("alice ALL=(www) /bin/bash\n", "no");
    check("alice ALL=/bin/bash \"\"\n", "no");
}

#[test]
fn unknown_is_neither_yes_nor_no() {
    check(
        "+ops ALL=ALL\n",
        "unknown (membership in netgroup +ops is not known) /etc/sudoers:1 may run any command as root, with its own password",
    );
    check(
        "alice ALL=ALL\n+ops ALL=!ALL\n",
        "unknown (membership in netgroup +ops is not known) /etc/sudoers:1 may run any command as root, with its own password",
    );
    check("+ops ALL=!ALL\nalice ALL=ALL\n", &YES.replace(":1", ":2"));
    check(
        "alice 10.0.0.0/8=ALL\n",
        "unknown (whether this host has the address 10.0.0.0/8 is not known) /etc/sudoers:1 may run any command as root, with its own password",
    );
    check(
        "alice ALL=CHROOT=/srv ALL\n",
        "unknown (the command runs under another root directory) /etc/sudoers:1 may run any command as root, with its own password",
    );
    let files =
        Files::sudoers("@include a\n").without("/etc/a", ReadProblem::Other("i/o error".into()));
    assert_eq!(
        answer_of(&files, &alice(), &[]),
        "unknown (/etc/a could not be read: i/o error) "
    );
    let others = ["sss".to_owned()];
    assert_eq!(
        answer_of(&Files::sudoers(""), &alice(), &others),
        "unknown (sudo also takes rules from sss) "
    );
    assert_eq!(
        answer_of(&Files::sudoers("alice ALL=ALL\n"), &alice(), &others),
        YES
    );
}

#[test]
fn circles_and_multiplying_aliases_end() {
    check("User_Alias A=B:B=A\nA ALL=ALL\n", "no");
    let mut text = String::from("A60 ALL=ALL\nUser_Alias A0=bob\n");
    for n in 1..=60 {
        text += &format!("User_Alias A{n}=A{0},A{0}\n", n - 1);
    }
    let answer = answer_of(&Files::sudoers(&text), &alice(), &[]);
    assert!(
        answer.starts_with("unknown (the aliases are nested too deeply"),
        "{answer}"
    );
    // Every command asked for is answered soon, however many ways lead to it.
    let mut text = String::from("Cmnd_Alias A0=/bin/sh, !/bin/bash, /bin/x\n");
    for n in 1..=12 {
        text += &format!("Cmnd_Alias A{n}=A{0}, A{0}, A{0}\n", n - 1);
    }
    text += "alice ALL=ALL, !A12\n";
    let answer = answer_of(&Files::sudoers(&text), &alice(), &[]);
    assert!(answer.starts_with("unknown"), "{answer}");
}

#[test]
fn of_an_account_with_too_many_rules_some_are_listed() {
    let text = format!("alice ALL=/bin/x{}\n", ", /bin/x".repeat(30_000));
    let sudoers = Files::sudoers(&text).parse(Dialect::Sudo1_9_16);
    let host = HostNames::new(b"web1", None);
    let policy = Policy {
        sudoers: &sudoers,
        host: &host,
        root: &Subject::root(),
        other_sources: &[],
        now_unix: NOON,
    };
    let (grants, doubts) = policy.grants(&alice());
    assert_eq!(grants.len(), 20_000);
    assert_eq!(doubts, [Doubt::TooMany]);
}

#[test]
fn rules_to_become_somebody_name_them() {
    let text = "Runas_Alias DB=alice,postgres\n\
                bob ALL=(alice) /bin/ls\n\
                %ops,carol ALL=(DB) NOPASSWD: ALL\n\
                dave ALL=(ALL) ALL\n\
                eve ALL=(root,alice) ALL\n\
                frank ALL=(alice,!alice) ALL\n\
                grace web9=(alice) ALL\n\
                heidi ALL=ALL\n\
                ivan ALL=/bin/true, (alice) /bin/id\n";
    let sudoers = Files::sudoers(text).parse(Dialect::Sudo1_9_16);
    let host = HostNames::new(b"web1", None);
    let policy = Policy {
        sudoers: &sudoers,
        host: &host,
        root: &Subject::root(),
        other_sources: &[],
        now_unix: NOON,
    };
    let is_alice = |what: &What| *what == What::Word(b"alice".to_vec());
    let rules = policy.rules_to_become(&is_alice);
    let shown: Vec<String> = rules
        .iter()
        .map(|rule| format!("{} {}", rule.source.span.line, rule.users.len()))
        .collect();
    assert_eq!(shown, ["2 1", "3 2", "9 1"]);
}
