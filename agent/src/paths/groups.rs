//! Groups: those that make root of their members, and those that can be entered with a password.
//!
//! `sudo`, `wheel` and `adm` are not among them: what they grant stands in sudoers(5) and in
//! polkit's rules, and is told from there.

use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::account_state::{self, Judge};
use super::rows::Rows;
use super::verdict::Checks;
use crate::host::account::{Account, PasswordState};
use crate::host::group::Group;
use crate::host::gshadow::Gshadow;
use crate::sshd::printable::printable;

const GROUP: &str = "/etc/group";
const GSHADOW: &str = "/etc/gshadow";

/// Groups by name, and how a member of each becomes root.
const ROOT_EQUIVALENT: [(&[u8], &str); 14] = [
    (b"docker", "starts containers as root (docker.sock)"),
    (b"podman", "starts containers as root (podman.sock)"),
    (b"lxd", "starts containers as root (lxd's unix.socket)"),
    (
        b"incus",
        "starts containers, as root unless incus confines them",
    ),
    (
        b"incus-admin",
        "starts containers as root (incus's unix.socket)",
    ),
    (b"microk8s", "starts containers as root (microk8s)"),
    (b"snap_microk8s", "starts containers as root (microk8s)"),
    (
        b"libvirt",
        "starts virtual machines with any disk of the host (libvirt-sock)",
    ),
    (
        b"libvirtd",
        "starts virtual machines with any disk of the host (libvirt-sock)",
    ),
    (b"disk", "reads and writes the disks themselves"),
    (b"kmem", "reads the kernel's memory"),
    (
        b"shadow",
        "reads the password hashes of root and all others",
    ),
    (b"staff", "writes programs in /usr/local that root runs"),
    (b"nomad", "starts tasks as root (nomad)"),
];

/// What a host has of groups.
#[derive(Debug)]
pub struct GroupFacts<'a> {
    /// group(5), or why it could not be read.
    pub group: Result<&'a Group, String>,
    /// gshadow(5), or why it could not be read; `None` where there is none.
    pub gshadow: Option<&'a Result<Gshadow, String>>,
    /// Whether `/usr/local` can be written to by its group, and which that is.
    pub writes_usr_local: Option<u32>,
}

/// Adds what the account is by its groups.
///
/// It takes a process of the account to make use of a group. Who is expired gets none; what runs
/// as the account nevertheless is a path of its own.
pub fn add(account: &Account, facts: &GroupFacts<'_>, today: i64, paths: &mut Vec<AccessPath>) {
    let mut gate = Checks::default();
    account_state::check(account, Judge::Pam, today, &mut gate);
    add_root_equivalent(account, facts, &gate, paths);
    add_passwords(account, facts, &gate, paths);
}

fn add_root_equivalent(
    account: &Account,
    facts: &GroupFacts<'_>,
    gate: &Checks,
    paths: &mut Vec<AccessPath>,
) {
    if account.uid == 0 {
        return;
    }
    let mut rows = Rows::new(account, Mechanism::RootEquivalentGroup);
    let group = match &facts.group {
        Ok(group) => group,
        Err(why) => {
            let mut checks = gate.clone();
            checks.unknown(format!("which groups it is in is not known: {why}"));
            rows.add(checks.verdict(""), Path::new(GROUP), None);
            rows.finish(paths);
            return;
        }
    };
    for entry in group.entries() {
        // The gid counts, by whatever name the account is in it.
        let is_in = account.groups.iter().any(|group| group.gid == entry.gid);
        let how = ROOT_EQUIVALENT.iter().find(|(name, _)| *name == entry.name);
        let (true, Some((_, how))) = (is_in, how) else {
            continue;
        };
        if entry.name == b"staff" && facts.writes_usr_local != Some(entry.gid) {
            continue;
        }
        let name = printable(entry.name);
        let verdict = gate
            .clone()
            .verdict(&format!("root by group {name}: it {how}"));
        let is_member = entry
            .members()
            .any(|name| name == account.name.as_str().as_bytes());
        if is_member {
            rows.add(verdict, Path::new(GROUP), Some(entry.line));
        } else if account.gid == entry.gid {
            rows.add(verdict, Path::new("/etc/passwd"), Some(account.passwd_line));
        } else {
            // By another line with the same gid.
            let member = group.entries().find(|other| {
                let names = |name: &[u8]| name == account.name.as_str().as_bytes();
                other.gid == entry.gid && other.members().any(names)
            });
            let line = member.map_or(entry.line, |member| member.line);
            rows.add(verdict, Path::new(GROUP), Some(line));
        }
    }
    rows.finish(paths);
}

/// newgrp(1) lets in who knows a group's password; gpasswd(1) obeys a group's administrator.
fn add_passwords(
    account: &Account,
    facts: &GroupFacts<'_>,
    gate: &Checks,
    paths: &mut Vec<AccessPath>,
) {
    let mut rows = Rows::new(account, Mechanism::GroupPassword);
    let is_in = |name: &[u8]| account.groups.iter().any(|group| group.name == name);
    let enters = |name: &[u8]| {
        let root = ROOT_EQUIVALENT.iter().find(|(known, _)| *known == name);
        let root = root.map_or_else(String::new, |(_, how)| format!("; a member {how}"));
        let name = printable(name);
        gate.clone().verdict(&format!(
            "who knows its password enters group {name} (newgrp){root}"
        ))
    };
    // Where gshadow(5) has the group, the password of group(5) is not asked.
    let mut shadowed: Vec<&[u8]> = Vec::new();
    match facts.gshadow {
        None => {}
        Some(Err(why)) => {
            let mut checks = gate.clone();
            checks.unknown(format!("the passwords of groups are not known: {why}"));
            rows.add(checks.verdict(""), Path::new(GSHADOW), None);
        }
        Some(Ok(gshadow)) => {
            for entry in gshadow.entries() {
                shadowed.push(entry.name);
                let state = PasswordState::of_field(entry.password);
                if state == PasswordState::Usable && !is_in(entry.name) {
                    rows.add(enters(entry.name), Path::new(GSHADOW), Some(entry.line));
                }
                let name = account.name.as_str().as_bytes();
                if entry
                    .administrators()
                    .any(|administrator| administrator == name)
                {
                    let open = format!(
                        "as its administrator it makes anybody a member of group {} (gpasswd)",
                        printable(entry.name)
                    );
                    let verdict = gate.clone().verdict(&open);
                    rows.add(verdict, Path::new(GSHADOW), Some(entry.line));
                }
            }
        }
    }
    for entry in facts.group.iter().flat_map(|group| group.entries()) {
        let state = PasswordState::of_field(entry.password);
        let asked = state == PasswordState::Usable && !shadowed.contains(&entry.name);
        if asked && !is_in(entry.name) {
            rows.add(enters(entry.name), Path::new(GROUP), Some(entry.line));
        }
    }
    rows.finish(paths);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::GroupRef;
    use crate::paths::account_state::tests::alice;

    fn told(account: &Account, group: &str, gshadow: Option<&str>) -> Vec<String> {
        let group = Group::parse(group.into());
        let gshadow = gshadow.map(|text| Ok(Gshadow::parse(text.into())));
        let facts = GroupFacts {
            group: Ok(&group),
            gshadow: gshadow.as_ref(),
            writes_usr_local: Some(50),
        };
        let mut paths = Vec::new();
        add(account, &facts, 20_100, &mut paths);
        let show = |path: AccessPath| {
            let source = path.source.unwrap();
            let line = source.line.unwrap_or_default();
            format!("{:?} {}:{line} {}", path.state, source.file, path.reason)
        };
        paths.into_iter().map(show).collect()
    }

    #[test]
    fn groups_that_make_root() {
        let mut account = alice();
        let in_group = |name: &str, gid| GroupRef {
            name: name.into(),
            gid,
        };
        account.groups.push(in_group("friends", 99));
        account.groups.push(in_group("sudo", 27));
        let group =
            "disk:x:6:bob\ndocker:x:99:\nfriends:x:99:alice\nstaff:x:50:alice\nsudo:x:27:alice\n";
        assert_eq!(
            told(&account, group, None),
            [
                "Open /etc/group:3 root by group docker: it starts containers as root (docker.sock)",
                "Open /etc/group:4 root by group staff: it writes programs in /usr/local that root runs",
            ]
        );
        account.expire_day = Some(1);
        let closed = told(&account, group, None);
        assert!(
            closed.iter().all(|path| path.starts_with("Closed")),
            "{closed:?}"
        );
        account.groups.clear();
        (account.gid, account.expire_day) = (99, None);
        account.groups.push(in_group("docker", 99));
        assert!(told(&account, group, None)[0].starts_with("Open /etc/passwd:20"));
    }

    #[test]
    fn passwords_of_groups() {
        let group = "staff:$1$h:50:alice\nopen:$1$h:60:\nold:$1$h:70:\nempty::80:\nshut:!:90:\n";
        let gshadow = "staff:$6$h::\nopen:$6$h:bob,alice:\nempty:::\nshut:!$6$h::\ndocker:$6$h::\n";
        assert_eq!(
            told(&alice(), group, Some(gshadow)),
            [
                "Open /etc/group:1 root by group staff: it writes programs in /usr/local that root runs",
                "Open /etc/gshadow:2 who knows its password enters group open (newgrp)",
                "Open /etc/gshadow:2 as its administrator it makes anybody a member of group open (gpasswd)",
                "Open /etc/gshadow:5 who knows its password enters group docker (newgrp); a member starts containers as root (docker.sock)",
                "Open /etc/group:3 who knows its password enters group old (newgrp)",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_empty() {
        let unread = Err("denied".to_owned());
        let facts = GroupFacts {
            group: Err("denied".into()),
            gshadow: Some(&unread),
            writes_usr_local: None,
        };
        let mut paths = Vec::new();
        add(&alice(), &facts, 20_100, &mut paths);
        let states: Vec<_> = paths.iter().map(|path| path.state).collect();
        assert_eq!(states, [rescind_protocol::path::PathState::Unknown; 2]);
    }
}
