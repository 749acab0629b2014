//! passwd, shadow, group, gshadow, login.defs.

use std::collections::{BTreeMap, BTreeSet};

use rescind_agent::host::expiry::DISABLED_DAY;
use rescind_agent::host::group::Group;
use rescind_agent::host::gshadow::Gshadow;
use rescind_agent::host::lines::{LineKind, kind_of};
use rescind_agent::host::login_defs::LoginDefs;
use rescind_agent::host::passwd::Passwd;
use rescind_agent::host::password::Restored;
use rescind_agent::host::shadow::Shadow;
use rescind_protocol::name::AccountName;

use super::told::{holds_no_control, lines_in};
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "account_files",
    read,
    words: &[
        "alice:",
        "alice:x:1000:1000::/home/alice:/bin/bash\n",
        "root:",
        ":x:",
        ":!:",
        "!!",
        "!*",
        "::::::",
        ":0:0:",
        "$6$salt$hash",
        "$y$j9T$",
        "+::::::\n",
        "-mallory::::::\n",
        "+@admins",
        "##alice",
        "*LK*",
        "UID_MIN",
        "UID_MAX",
        "SYS_UID_MAX",
        "0x3e8",
        "4294967295",
        "99999",
        "-1",
        ",,",
        "alice,bob",
    ],
    made: nothing_made,
    rooms: &["agent/src/host", "agent/tests/host_files"],
};

fn read(bytes: &[u8]) {
    let name = name_in(bytes);
    passwd(bytes, &name);
    shadow(bytes, &name);
    group(bytes);
    gshadow(bytes);
    let defs = LoginDefs::parse(bytes);
    assert!(!defs.is_person(defs.uid_max.saturating_add(1)) || defs.uid_max == u32::MAX);
}

/// The account to edit: the first that has a name an order can hold, so that there is one.
fn name_in(bytes: &[u8]) -> AccountName {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| {
            let name = line.trim_ascii_start().split(|byte| *byte == b':').next()?;
            std::str::from_utf8(name).ok()?.parse().ok()
        })
        .unwrap_or_else(|| "alice".parse().expect("it is a name"))
}

/// Each line is one thing: blank, a comment, of NIS, an entry, or not understood.
fn each_line_is_one_thing(
    file: &[u8],
    entries: impl Iterator<Item = u32>,
    unparsed: impl Iterator<Item = u32>,
) {
    let mut kinds: BTreeMap<u32, u32> = (1..=lines_in(file)).map(|line| (line, 0)).collect();
    for line in entries.chain(unparsed) {
        *kinds.get_mut(&line).expect("a line of the file") += 1;
    }
    for (number, line) in (1..).zip(file.split_inclusive(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let expected = u32::from(matches!(kind_of(line), LineKind::Entry(_)));
        assert_eq!(
            kinds[&number],
            expected,
            "line {number}: {:?}",
            line.escape_ascii().to_string()
        );
    }
}

fn passwd(bytes: &[u8], name: &AccountName) {
    let mut passwd = Passwd::parse(bytes.to_vec());
    assert_eq!(passwd.to_bytes(), bytes);
    each_line_is_one_thing(
        bytes,
        passwd.entries().map(|entry| entry.line),
        passwd.unparsed().map(|line| line.line),
    );
    let named = |entry: &_| -> bool {
        let entry: &rescind_agent::host::passwd::PasswdEntry<'_> = entry;
        entry.name == name.as_str().as_bytes()
    };
    let by_name: Vec<_> = passwd.named(name.as_str().as_bytes()).collect();
    assert_eq!(by_name, passwd.entries().filter(named).collect::<Vec<_>>());
    for entry in passwd.entries() {
        assert_eq!(passwd.entry_at(entry.line), Some(entry));
        holds_no_control(&format!("{entry:?}"));
    }
    let planned = passwd.password_locks(name);
    let locks = passwd.lock_password(name);
    assert_eq!(locks, planned);
    only_these_lines_changed(
        bytes,
        passwd.to_bytes(),
        locks.iter().filter(|l| l.added).map(|l| l.line),
    );
    let locked = passwd.to_bytes().to_vec();
    assert!(passwd.lock_password(name).iter().all(|lock| !lock.added));
    assert_eq!(passwd.to_bytes(), locked, "locking twice is locking once");
    let restored = passwd.unlock_password(name, &locks);
    assert!(
        restored
            .iter()
            .all(|r| matches!(r, Restored::Yes | Restored::NothingToDo))
    );
    assert_eq!(passwd.to_bytes(), bytes, "unlocking undoes it");
}

fn shadow(bytes: &[u8], name: &AccountName) {
    let mut shadow = Shadow::parse(bytes.to_vec());
    assert_eq!(shadow.to_bytes(), bytes);
    each_line_is_one_thing(
        bytes,
        shadow.entries().map(|entry| entry.line),
        shadow.unparsed().map(|line| line.line),
    );
    for entry in shadow.entries() {
        holds_no_control(&format!("{entry:?}"));
    }
    let locks = shadow.lock_password(name);
    let planned = shadow.expiry_changes(name, Some(DISABLED_DAY));
    let changes = shadow.set_expiry(name, Some(DISABLED_DAY));
    assert_eq!(changes, planned);
    let touched = locks.iter().map(|lock| lock.line);
    only_these_lines_changed(
        bytes,
        shadow.to_bytes(),
        touched.chain(changes.iter().map(|c| c.line)),
    );
    let is_it = |candidate: &[u8]| candidate == name.as_str().as_bytes();
    assert_eq!(shadow.not_closed(DISABLED_DAY, is_it).count(), 0);
    let closed = shadow.to_bytes().to_vec();
    shadow.lock_password(name);
    let _again = shadow.set_expiry(name, Some(DISABLED_DAY));
    assert_eq!(shadow.to_bytes(), closed, "closing twice is closing once");
    let password = shadow.unlock_password(name, &locks);
    let expiry = shadow.restore_expiry(name, &changes);
    let done = |r: &Restored| matches!(r, Restored::Yes | Restored::NothingToDo);
    assert!(
        expiry.iter().chain(&password).all(done),
        "{expiry:?} {password:?}"
    );
    assert_eq!(
        shadow.to_bytes().escape_ascii().to_string(),
        bytes.escape_ascii().to_string(),
        "opening again undoes it"
    );
}

fn only_these_lines_changed(before: &[u8], after: &[u8], lines: impl Iterator<Item = u32>) {
    let may: BTreeSet<u32> = lines.collect();
    let split = |file: &[u8]| {
        file.split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (before, after) = (split(before), split(after));
    assert_eq!(before.len(), after.len());
    for (number, (before, after)) in (1..).zip(before.iter().zip(&after)) {
        assert!(
            before == after || may.contains(&number),
            "line {number} changed, too"
        );
    }
}

fn group(bytes: &[u8]) {
    let group = Group::parse(bytes.to_vec());
    assert_eq!(group.to_bytes(), bytes);
    each_line_is_one_thing(
        bytes,
        group.entries().map(|entry| entry.line),
        group.unparsed().map(|line| line.line),
    );
    if let Some(last) = group.entries().last() {
        let of_gid: Vec<_> = group.of_gid(last.gid).collect();
        let all = group.entries().filter(|entry| entry.gid == last.gid);
        assert_eq!(of_gid, all.collect::<Vec<_>>());
        if let Some(member) = last.members().next() {
            let with: Vec<_> = group.with_member(member).collect();
            let all = group
                .entries()
                .filter(|entry| entry.members().any(|m| m == member));
            assert_eq!(with, all.collect::<Vec<_>>());
        }
        holds_no_control(&format!("{last:?}"));
    }
}

fn gshadow(bytes: &[u8]) {
    let gshadow = Gshadow::parse(bytes.to_vec());
    assert_eq!(gshadow.to_bytes(), bytes);
    each_line_is_one_thing(
        bytes,
        gshadow.entries().map(|entry| entry.line),
        gshadow.unparsed().map(|line| line.line),
    );
    for entry in gshadow.entries() {
        let lists = entry.administrators().chain(entry.members());
        assert!(lists.map(<[u8]>::len).sum::<usize>() <= bytes.len());
        holds_no_control(&format!("{entry:?}"));
    }
}
