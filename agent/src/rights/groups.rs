//! Groups: those that make root of their members, and those that can be entered with a password.
//!
//! `sudo`, `wheel` and `adm` are not among them: what they grant stands in sudoers(5) and in
//! polkit's rules, and is told from there.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
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

/// Which groups can write to programs below `/usr/local`.
#[derive(Debug, Default)]
pub struct UsrLocal {
    /// Their gids.
    pub groups: Vec<u32>,
    /// Why there may be others.
    pub not_known: Option<String>,
}

/// What a host has of groups that lets somebody do more, found once for all accounts.
#[derive(Debug, Default)]
pub struct GroupFacts {
    /// Why group(5) could not be read.
    not_read: Option<String>,
    /// Why gshadow(5) could not be read.
    gshadow_not_read: Option<String>,
    root_equivalent: Vec<RootEquivalent>,
    with_password: Vec<WithPassword>,
    /// By name: the groups of which somebody is administrator, and where that stands.
    administrators: HashMap<Vec<u8>, Vec<(Vec<u8>, u32)>>,
}

#[derive(Debug)]
struct RootEquivalent {
    name: &'static [u8],
    reach: Reach,
    how: &'static str,
    gid: u32,
    line: u32,
    /// By name: the first line that makes somebody a member of the gid, that of the group itself
    /// before others.
    members: HashMap<Vec<u8>, u32>,
    /// Why it is not known to be one.
    doubt: Option<String>,
}

#[derive(Debug)]
struct WithPassword {
    name: Vec<u8>,
    file: &'static str,
    line: u32,
}

impl GroupFacts {
    /// From group(5) and gshadow(5), or why they could not be read; `None` where there is no
    /// gshadow(5).
    pub fn new(
        group: Result<&Group, String>,
        gshadow: Option<Result<Gshadow, String>>,
        usr_local: &UsrLocal,
    ) -> Self {
        let mut facts = Self::default();
        match &gshadow {
            None => {}
            Some(Err(why)) => facts.gshadow_not_read = Some(why.clone()),
            Some(Ok(gshadow)) => {
                for entry in gshadow.entries() {
                    facts.add_password(entry.name, entry.password, GSHADOW, entry.line);
                    for name in entry.administrators() {
                        let of_name = facts.administrators.entry(name.to_vec()).or_default();
                        of_name.push((entry.name.to_vec(), entry.line));
                    }
                }
            }
        }
        // Where gshadow(5) has the group, the password of group(5) is not asked.
        let shadowed: OnceCell<HashSet<&[u8]>> = OnceCell::new();
        let is_shadowed = |name: &[u8]| {
            let gshadow = gshadow.iter().flatten();
            let names = || gshadow.flat_map(Gshadow::entries).map(|entry| entry.name);
            shadowed.get_or_init(|| names().collect()).contains(name)
        };
        match group {
            Err(why) => facts.not_read = Some(why),
            Ok(group) => {
                for entry in group.entries() {
                    // Few have one there.
                    if is_password(entry.password) && !is_shadowed(entry.name) {
                        facts.add_password(entry.name, entry.password, GROUP, entry.line);
                    }
                    let known = ROOT_EQUIVALENT.iter().find(|known| known.0 == entry.name);
                    let Some((name, reach, how)) = known else {
                        continue;
                    };
                    let doubt = match entry.name {
                        b"staff" if !usr_local.groups.contains(&entry.gid) => {
                            let Some(why) = &usr_local.not_known else {
                                continue;
                            };
                            Some(format!("whether it {how} is not known: {why}"))
                        }
                        _ => None,
                    };
                    let mut members = HashMap::new();
                    // The gid counts, by whatever name somebody is in it.
                    let same_gid = group.entries().filter(|other| other.gid == entry.gid);
                    for line in std::iter::once(entry).chain(same_gid) {
                        for member in line.members() {
                            members.entry(member.to_vec()).or_insert(line.line);
                        }
                    }
                    facts.root_equivalent.push(RootEquivalent {
                        name,
                        reach: *reach,
                        how,
                        gid: entry.gid,
                        line: entry.line,
                        members,
                        doubt,
                    });
                }
            }
        }
        facts
    }

    fn add_password(&mut self, name: &[u8], field: &[u8], file: &'static str, line: u32) {
        if is_password(field) {
            self.with_password.push(WithPassword {
                name: name.to_vec(),
                file,
                line,
            });
        }
    }
}

fn is_password(field: &[u8]) -> bool {
    PasswordState::of_field(field) == PasswordState::Usable
}

/// What the account is by its groups.
pub fn rights(account: &Account, facts: &GroupFacts) -> Vec<Right> {
    let mut rights = Vec::new();
    if account.uid != 0 {
        add_root_equivalent(account, facts, &mut rights);
    }
    add_passwords(account, facts, &mut rights);
    rights
}

fn add_root_equivalent(account: &Account, facts: &GroupFacts, rights: &mut Vec<Right>) {
    let right = |file: &str, line| Right {
        mechanism: Mechanism::RootEquivalentGroup,
        whom: Whom::Root,
        ..right(file, line)
    };
    if let Some(why) = &facts.not_read {
        rights.push(Right {
            doubt: Some(format!("which groups it is in is not known: {why}")),
            ..right(GROUP, None)
        });
    }
    let me = account.name.as_str().as_bytes();
    for group in &facts.root_equivalent {
        if !account.groups.iter().any(|one| one.gid == group.gid) {
            continue;
        }
        let (file, line) = match group.members.get(me) {
            Some(line) if *line == group.line || account.gid != group.gid => (GROUP, *line),
            _ if account.gid == group.gid => ("/etc/passwd", account.passwd_line),
            _ => (GROUP, group.line),
        };
        rights.push(Right {
            words: format!("root by group {}: it {}", printable(group.name), group.how),
            reach: group.reach,
            doubt: group.doubt.clone(),
            ..right(file, Some(line))
        });
    }
}

/// newgrp(1) lets in who knows a group's password; gpasswd(1) obeys a group's administrator.
fn add_passwords(account: &Account, facts: &GroupFacts, rights: &mut Vec<Right>) {
    let right = |file: &str, line, group: &[u8]| Right {
        mechanism: Mechanism::GroupPassword,
        whom: Whom::Group(group.to_vec()),
        ..right(file, line)
    };
    let is_in = |name: &[u8]| account.groups.iter().any(|group| group.name == name);
    if let Some(why) = &facts.gshadow_not_read {
        rights.push(Right {
            doubt: Some(format!("the passwords of groups are not known: {why}")),
            ..right(GSHADOW, None, b"")
        });
    }
    let mut found = Vec::new();
    for group in &facts.with_password {
        if is_in(&group.name) {
            continue;
        }
        let root = ROOT_EQUIVALENT.iter().find(|known| known.0 == group.name);
        let root = root.map_or_else(String::new, |(_, _, how)| format!("; a member {how}"));
        let name = printable(&group.name);
        found.push(Right {
            words: format!("who knows its password enters group {name} (newgrp){root}"),
            asks: Asks::GroupPassword,
            ..right(group.file, Some(group.line), &group.name)
        });
    }
    let of_me = facts.administrators.get(account.name.as_str().as_bytes());
    for (group, line) in of_me.into_iter().flatten() {
        let name = printable(group);
        found.push(Right {
            words: format!(
                "as its administrator it makes anybody a member of group {name} (gpasswd)"
            ),
            ..right(GSHADOW, Some(*line), group)
        });
    }
    found.sort_by_key(|right| (right.file.as_os_str() == GROUP, right.line));
    rights.append(&mut found);
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
        let usr_local = UsrLocal {
            groups: vec![50],
            not_known: None,
        };
        let facts = GroupFacts::new(Ok(&group), gshadow, &usr_local);
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
    fn a_directory_that_cannot_be_looked_at_may_be_anybodys() {
        let mut account = alice();
        account.groups.push(GroupRef {
            name: "staff".into(),
            gid: 50,
        });
        let group = Group::parse("staff:x:50:alice\n".into());
        let told_with = |not_known: Option<&str>| {
            let usr_local = UsrLocal {
                groups: vec![51],
                not_known: not_known.map(Into::into),
            };
            let facts = GroupFacts::new(Ok(&group), None, &usr_local);
            told(&account, rights(&account, &facts))
        };
        assert_eq!(told_with(None), [""; 0]);
        assert_eq!(
            told_with(Some("/usr/local is not read")),
            [
                "Unknown /etc/group:1 whether it writes programs in /usr/local that root runs is not known: \
                 /usr/local is not read"
            ]
        );
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
        let denied = || "denied".to_owned();
        let facts = GroupFacts::new(Err(denied()), Some(Err(denied())), &UsrLocal::default());
        let told = told(&alice(), rights(&alice(), &facts));
        assert!(
            told.len() == 2 && told.iter().all(|path| path.starts_with("Unknown")),
            "{told:?}"
        );
    }
}
