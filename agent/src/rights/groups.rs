//! Groups: those that make root of their members, and those that can be entered with a password.
//!
//! `sudo`, `wheel` and `adm` are not among them: what they grant stands in sudoers(5) and in
//! polkit's rules, and is told from there.

use std::path::PathBuf;

use rescind_protocol::path::Mechanism;

use super::right::{Asks, Reach, Right, Whom};
use crate::host::account::{Account, PasswordState};
use crate::host::group::Group;
use crate::host::gshadow::Gshadow;
use crate::sshd::printable::printable;

const GROUP: &str = "/etc/group";
const GSHADOW: &str = "/etc/gshadow";

/// Groups by name, and how a member of each becomes root.
const ROOT_EQUIVALENT: [(&[u8], Reach, &str); 14] = [
    (
        b"docker",
        Reach::Everything,
        "starts containers as root (docker.sock)",
    ),
    (
        b"podman",
        Reach::Everything,
        "starts containers as root (podman.sock)",
    ),
    (
        b"lxd",
        Reach::Everything,
        "starts containers as root (lxd's unix.socket)",
    ),
    (
        b"incus",
        Reach::Leads,
        "starts containers, as root unless incus confines them",
    ),
    (
        b"incus-admin",
        Reach::Everything,
        "starts containers as root (incus's unix.socket)",
    ),
    (
        b"microk8s",
        Reach::Everything,
        "starts containers as root (microk8s)",
    ),
    (
        b"snap_microk8s",
        Reach::Everything,
        "starts containers as root (microk8s)",
    ),
    (
        b"libvirt",
        Reach::Everything,
        "starts virtual machines with any disk of the host (libvirt-sock)",
    ),
    (
        b"libvirtd",
        Reach::Everything,
        "starts virtual machines with any disk of the host (libvirt-sock)",
    ),
    (
        b"disk",
        Reach::Everything,
        "reads and writes the disks themselves",
    ),
    (b"kmem", Reach::Leads, "reads the kernel's memory"),
    (
        b"shadow",
        Reach::Leads,
        "reads the password hashes of root and all others",
    ),
    (
        b"staff",
        Reach::Leads,
        "writes programs in /usr/local that root runs",
    ),
    (b"nomad", Reach::Everything, "starts tasks as root (nomad)"),
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

/// What the account is by its groups.
pub fn rights(account: &Account, facts: &GroupFacts<'_>) -> Vec<Right> {
    let mut rights = Vec::new();
    if account.uid != 0 {
        add_root_equivalent(account, facts, &mut rights);
    }
    add_passwords(account, facts, &mut rights);
    rights
}

fn add_root_equivalent(account: &Account, facts: &GroupFacts<'_>, rights: &mut Vec<Right>) {
    let right = |file: &str, line| Right {
        mechanism: Mechanism::RootEquivalentGroup,
        whom: Whom::Root,
        ..right(file, line)
    };
    let group = match &facts.group {
        Ok(group) => group,
        Err(why) => {
            rights.push(Right {
                doubt: Some(format!("which groups it is in is not known: {why}")),
                ..right(GROUP, None)
            });
            return;
        }
    };
    let me = account.name.as_str().as_bytes();
    for entry in group.entries() {
        // The gid counts, by whatever name the account is in it.
        let is_in = account.groups.iter().any(|group| group.gid == entry.gid);
        let known = ROOT_EQUIVALENT
            .iter()
            .find(|(name, _, _)| *name == entry.name);
        let (true, Some((_, reach, how))) = (is_in, known) else {
            continue;
        };
        if entry.name == b"staff" && facts.writes_usr_local != Some(entry.gid) {
            continue;
        }
        let (file, line) = if entry.members().any(|name| name == me) {
            (GROUP, entry.line)
        } else if account.gid == entry.gid {
            ("/etc/passwd", account.passwd_line)
        } else {
            // By another line with the same gid.
            let member = group
                .entries()
                .find(|other| other.gid == entry.gid && other.members().any(|name| name == me));
            (GROUP, member.map_or(entry.line, |member| member.line))
        };
        rights.push(Right {
            words: format!("root by group {}: it {how}", printable(entry.name)),
            reach: *reach,
            ..right(file, Some(line))
        });
    }
}

/// newgrp(1) lets in who knows a group's password; gpasswd(1) obeys a group's administrator.
fn add_passwords(account: &Account, facts: &GroupFacts<'_>, rights: &mut Vec<Right>) {
    let is_in = |name: &[u8]| account.groups.iter().any(|group| group.name == name);
    let right = |file: &str, line, group: &[u8]| Right {
        mechanism: Mechanism::GroupPassword,
        whom: Whom::Group(group.to_vec()),
        ..right(file, line)
    };
    let enters = |name: &[u8], file: &str, line| {
        let root = ROOT_EQUIVALENT.iter().find(|(known, _, _)| *known == name);
        let root = root.map_or_else(String::new, |(_, _, how)| format!("; a member {how}"));
        let group = printable(name);
        Right {
            words: format!("who knows its password enters group {group} (newgrp){root}"),
            asks: Asks::GroupPassword,
            ..right(file, Some(line), name)
        }
    };
    // Where gshadow(5) has the group, the password of group(5) is not asked.
    let mut shadowed: Vec<&[u8]> = Vec::new();
    match facts.gshadow {
        None => {}
        Some(Err(why)) => rights.push(Right {
            doubt: Some(format!("the passwords of groups are not known: {why}")),
            ..right(GSHADOW, None, b"")
        }),
        Some(Ok(gshadow)) => {
            for entry in gshadow.entries() {
                shadowed.push(entry.name);
                let state = PasswordState::of_field(entry.password);
                if state == PasswordState::Usable && !is_in(entry.name) {
                    rights.push(enters(entry.name, GSHADOW, entry.line));
                }
                let me = account.name.as_str().as_bytes();
                if entry.administrators().any(|name| name == me) {
                    let group = printable(entry.name);
                    rights.push(Right {
                        words: format!(
                            "as its administrator it makes anybody a member of group {group} \
                             (gpasswd)"
                        ),
                        ..right(GSHADOW, Some(entry.line), entry.name)
                    });
                }
            }
        }
    }
    for entry in facts.group.iter().flat_map(|group| group.entries()) {
        let state = PasswordState::of_field(entry.password);
        let asked = state == PasswordState::Usable && !shadowed.contains(&entry.name);
        if asked && !is_in(entry.name) {
            rights.push(enters(entry.name, GROUP, entry.line));
        }
    }
}

fn right(file: &str, line: Option<u32>) -> Right {
    Right {
        mechanism: Mechanism::GroupPassword,
        whom: Whom::Root,
        words: String::new(),
        reach: Reach::Everything,
        programs: Vec::new(),
        asks: Asks::Nothing,
        spares: None,
        file: PathBuf::from(file),
        line,
        shut: None,
        doubt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::GroupRef;
    use crate::paths::account_state::tests::alice;
    use crate::paths::rights::tests::told;

    fn groups(account: &Account, group: &str, gshadow: Option<&str>) -> Vec<String> {
        let group = Group::parse(group.into());
        let gshadow = gshadow.map(|text| Ok(Gshadow::parse(text.into())));
        let facts = GroupFacts {
            group: Ok(&group),
            gshadow: gshadow.as_ref(),
            writes_usr_local: Some(50),
        };
        told(account, rights(account, &facts))
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
            groups(&account, group, None),
            [
                "Open /etc/group:3 root by group docker: it starts containers as root (docker.sock)",
                "Open /etc/group:4 root by group staff: it writes programs in /usr/local that root runs",
            ]
        );
        account.expire_day = Some(1);
        let closed = groups(&account, group, None);
        assert!(
            closed.iter().all(|path| path.starts_with("Closed")),
            "{closed:?}"
        );
        account.groups.clear();
        (account.gid, account.expire_day) = (99, None);
        account.groups.push(in_group("docker", 99));
        assert!(groups(&account, group, None)[0].starts_with("Open /etc/passwd:20"));
    }

    #[test]
    fn passwords_of_groups() {
        let group = "staff:$1$h:50:alice\nopen:$1$h:60:\nold:$1$h:70:\nempty::80:\nshut:!:90:\n";
        let gshadow = "staff:$6$h::\nopen:$6$h:bob,alice:\nempty:::\nshut:!$6$h::\ndocker:$6$h::\n";
        assert_eq!(
            groups(&alice(), group, Some(gshadow)),
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
        let told = told(&alice(), rights(&alice(), &facts));
        assert!(
            told.len() == 2 && told.iter().all(|path| path.starts_with("Unknown")),
            "{told:?}"
        );
    }
}
