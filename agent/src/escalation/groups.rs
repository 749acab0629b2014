//! Groups whose members are root by other means.

use rescind_protocol::path::Source;

use crate::host::account::Account;
use crate::host::accounts::Accounts;

/// Each with what its members can do. Only groups whose rights come with the group itself: what
/// sudo, wheel or adm may do stands in a policy, and is read there.
const AS_GOOD_AS_ROOT: [(&[u8], &str); 9] = [
    (
        b"docker",
        "can start a container with the host's files in it",
    ),
    (
        b"podman",
        "can start a container with the host's files in it",
    ),
    (b"lxd", "can start a container with the host's files in it"),
    (
        b"incus-admin",
        "can start a container with the host's files in it",
    ),
    (
        b"libvirt",
        "can start a machine with the host's disks in it",
    ),
    (b"disk", "can read and write the disks themselves"),
    (b"shadow", "can read the password hashes"),
    (b"kmem", "can read the kernel's memory"),
    (b"root", "may write what the group root may write"),
];

/// A group an account is in, and why that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Why.
    pub reason: String,
    /// The line of group(5), or of passwd(5) for a primary group.
    pub source: Option<Source>,
    /// Reading hashes or the group root's files is a way for those who know how.
    pub likely: bool,
}

/// The groups of an account that are as good as root.
pub fn memberships(account: &Account, accounts: &Accounts) -> Vec<Membership> {
    let groups = accounts.group().ok();
    let mut found = Vec::new();
    for group in &account.groups {
        let known = AS_GOOD_AS_ROOT.iter().find(|(name, _)| *name == group.name);
        let Some((name, can)) = known else { continue };
        let entries = groups.into_iter().flat_map(|groups| groups.entries());
        let line = entries
            .filter(|entry| entry.name == *name)
            .map(|entry| entry.line)
            .next();
        let primary = account.gid == group.gid;
        found.push(Membership {
            reason: format!("is in the group {}, which {can}", name.escape_ascii()),
            source: if primary {
                Some(Source {
                    file: "/etc/passwd".into(),
                    line: Some(account.passwd_line),
                })
            } else {
                line.map(|line| Source {
                    file: "/etc/group".into(),
                    line: Some(line),
                })
            },
            likely: matches!(*name, b"shadow" | b"kmem" | b"root"),
        });
    }
    found
}
