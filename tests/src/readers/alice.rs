//! An account whose ways in are asked for.

use rescind_agent::host::account::{Account, Aging, GroupRef, Oddities, PasswordState};
use rescind_protocol::path::AccessPath;

use super::told::is_told_safely;

/// A person with a password, a shell and two groups.
pub fn alice() -> Account {
    account("alice", 1000, &[("alice", 1000), ("ops", 1500)])
}

/// Root.
pub fn root() -> Account {
    account("root", 0, &[("root", 0)])
}

fn account(name: &str, uid: u32, groups: &[(&str, u32)]) -> Account {
    let group = |(name, gid): &(&str, u32)| GroupRef {
        name: name.as_bytes().to_vec(),
        gid: *gid,
    };
    Account {
        name: name.parse().expect("it is a name"),
        uid,
        gid: uid,
        home: format!("/home/{name}").into_bytes(),
        shell: b"/bin/bash".to_vec(),
        passwd_line: 1,
        password: PasswordState::Usable,
        shadow_line: Some(1),
        oddities: Oddities::default(),
        expire_day: Some(1),
        aging: Aging::default(),
        groups: groups.iter().map(group).collect(),
    }
}

/// What is told of the ways in is fit for a terminal.
pub fn are_told_safely(paths: &[AccessPath]) {
    for path in paths {
        is_told_safely(&path.reason);
        assert!(!path.reason.is_empty());
        if let Some(source) = &path.source {
            is_told_safely(&source.file);
            assert_ne!(source.line, Some(0), "lines are counted from 1");
        }
    }
}
