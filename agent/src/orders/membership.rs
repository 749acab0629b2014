//! Whether an account is in a group, by whatever way, for an order that takes it out.
//!
//! A group is its gid: several lines, and several names, can have one. Lists of group(5) and
//! gshadow(5) are what an order changes; what else makes somebody a member it tells.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_protocol::name::{AccountName, GroupName};
use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source, in_short};

use crate::host::account::{Account, PasswordState};
use crate::host::group::Group;
use crate::host::gshadow::Gshadow;
use crate::host::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile};
use crate::host::membership::{List, ListChange};
use crate::host::nsswitch::{USERDB, beyond_files_for_groups, lines};
use crate::host::root::ReadError;
use crate::orders::directory::NSSWITCH;
use crate::orders::host::HostError;
use crate::orders::kept::KeptMembers;
use crate::orders::reading::Reading;
use crate::processes::Subject;
use crate::sshd::printable::printable;
use crate::sys::command::ask;

/// pam_group(8) gives groups by it.
const GROUP_CONF: &str = "/etc/security/group.conf";
/// How long the name service may take to say in which groups somebody is.
const ID_DEADLINE: Duration = Duration::from_secs(5);

/// What makes an account a member of a group.
#[derive(Debug, Default)]
pub struct Membership {
    /// The lists that name it, file by file, and what they are without it.
    pub lists: Vec<KeptMembers>,
    /// Every way in which it is in the group, or can enter it.
    pub paths: Vec<AccessPath>,
    /// What could not be told.
    pub gaps: Vec<String>,
    /// Whose processes still have the group, where some do.
    pub holding: Option<Subject>,
}

impl Reading<'_> {
    /// Looks at everything that can make an account a member of a group.
    pub fn membership(
        &self,
        account: &AccountName,
        group: &GroupName,
    ) -> Result<Membership, HostError> {
        let files = Files::read(self)?;
        let known = self.account(account);
        let of = files.of(group);
        let mut found = Membership::default();
        for (file, changes) in files.removals(&of, account) {
            for change in &changes {
                let uid = known.as_ref().map_or(u32::MAX, |account| account.uid);
                found.paths.push(listed(account, uid, file, change));
            }
            if !changes.is_empty() {
                found.lists.push(KeptMembers {
                    file,
                    account: account.clone(),
                    changes,
                });
            }
        }
        if let Some(account) = known {
            self.add_primary(&account, &of, &mut found);
            files.add_passwords(&account, &of, &mut found);
            self.add_processes(&account, group, &of, &mut found);
            self.add_by_other_means(&account, group, &of, &mut found)?;
        }
        Ok(found)
    }

    fn add_primary(&self, account: &Account, of: &OfGroup, found: &mut Membership) {
        if of.gids.contains(&account.gid) {
            let words = "it is the account's primary group; usermod -g gives it another";
            let mut path = path_of(account, words.into());
            let line = Some(account.passwd_line).filter(|line| *line > 0);
            path.source = line.and_then(|line| source(AccountFile::Passwd, line));
            found.paths.push(path);
        }
    }

    /// The kernel leaves a process its groups until it ends.
    fn add_processes(
        &self,
        account: &Account,
        group: &GroupName,
        of: &OfGroup,
        found: &mut Membership,
    ) {
        let Some(moment) = self.moment() else {
            return;
        };
        for process in moment.processes_of(account.uid) {
            let has = process.gids.iter().any(|gid| of.gids.contains(gid))
                || match moment.proc().groups(process.pid) {
                    Ok(groups) => groups.iter().flatten().any(|gid| of.gids.contains(gid)),
                    Err(gap) => {
                        found.gaps.push(gap.to_string());
                        continue;
                    }
                };
            if has {
                let mut path = path_of(account, format!("{process} still has group {group}"));
                path.mechanism = Mechanism::Process;
                found.paths.push(path);
                found.holding = Some(self.subject(account));
            }
        }
    }

    /// PAM, and name services other than the files.
    fn add_by_other_means(
        &self,
        account: &Account,
        group: &GroupName,
        of: &OfGroup,
        found: &mut Membership,
    ) -> Result<(), HostError> {
        let is_named = |name: &[u8]| {
            name == group.as_str().as_bytes() || of.names.iter().any(|other| other == name)
        };
        if let Some(text) = self.optional(GROUP_CONF)? {
            let given = lines(&text).any(|line| {
                let last = line.split(|byte| *byte == b';').nth(4);
                let mut names = last
                    .unwrap_or_default()
                    .split(|byte| b", \t".contains(byte));
                names.any(is_named)
            });
            if given {
                found.gaps.push(format!(
                    "{GROUP_CONF} gives group {group} to some of those who log in (pam_group)"
                ));
            }
        }
        for directory in USERDB {
            let file = format!("{directory}/{}:{group}.membership", account.name);
            // No path is built from a name that leads elsewhere.
            let is_plain = !file[directory.len() + 1..].contains('/');
            if is_plain && self.root().exists(Path::new(&file))? {
                let mut path = path_of(account, "systemd-userdbd makes it a member".into());
                path.source = Some(Source { file, line: None });
                found.paths.push(path);
            }
        }
        let others = beyond_files_for_groups(self.optional(NSSWITCH)?.as_deref());
        if others.is_empty() {
            return Ok(());
        }
        let others = others.join(", ");
        match self.root().is_live().then(|| groups_by_id(&account.name)) {
            Some(Some(names)) if names.iter().any(|name| is_named(name)) => {
                // Also said while a list of ours still names it; told once that is gone.
                if found.lists.is_empty() && !of.gids.contains(&account.gid) {
                    let words = format!("a directory makes it a member ({NSSWITCH}: {others})");
                    found.paths.push(path_of(account, words));
                }
            }
            Some(Some(_)) => {}
            Some(None) | None => found.gaps.push(format!(
                "whether {others} makes {} a member of {group} is not known ({NSSWITCH})",
                account.name
            )),
        }
        Ok(())
    }
}

/// The files that hold lists.
struct Files {
    group: Group,
    /// `None` where the host has none: the passwords stand in group(5) then.
    gshadow: Option<Gshadow>,
}

/// A group, as the files know it.
struct OfGroup {
    gids: BTreeSet<u32>,
    /// Its names: others of the same gid are the same group.
    names: BTreeSet<Vec<u8>>,
}

impl Files {
    fn read(reading: &Reading<'_>) -> Result<Self, ReadError> {
        let read = |file: AccountFile| reading.root().read(file.path(), ACCOUNT_FILE_BYTES_MAX);
        let optional = |file| match read(file) {
            Ok(file) => Ok(Some(file.bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self {
            group: Group::parse(optional(AccountFile::Group)?.unwrap_or_default()),
            gshadow: optional(AccountFile::Gshadow)?.map(Gshadow::parse),
        })
    }

    fn of(&self, group: &GroupName) -> OfGroup {
        let name = group.as_str().as_bytes();
        let own = self.group.entries().filter(|entry| entry.name == name);
        let gids: BTreeSet<u32> = own.map(|entry| entry.gid).collect();
        let same = self.group.entries();
        let same = same.filter(|entry| gids.contains(&entry.gid));
        let mut names: BTreeSet<Vec<u8>> = same.map(|entry| entry.name.to_vec()).collect();
        names.insert(name.to_vec());
        OfGroup { gids, names }
    }

    fn removals(&self, of: &OfGroup, account: &AccountName) -> [(AccountFile, Vec<ListChange>); 2] {
        let names = || of.names.iter();
        let group = names().flat_map(|name| self.group.removals(name, account));
        let gshadow = self.gshadow.iter();
        let gshadow =
            gshadow.flat_map(|file| names().flat_map(move |name| file.removals(name, account)));
        [
            (AccountFile::Group, group.collect()),
            (AccountFile::Gshadow, gshadow.collect()),
        ]
    }

    /// newgrp(1) lets in who knows a group's password.
    fn add_passwords(&self, account: &Account, of: &OfGroup, found: &mut Membership) {
        let gshadow = self.gshadow.iter().flat_map(Gshadow::entries);
        let gshadow: Vec<_> = gshadow
            .filter(|entry| of.names.contains(entry.name))
            .collect();
        let in_group = self.group.entries().filter(|entry| {
            let shadowed = gshadow.iter().any(|other| other.name == entry.name);
            of.names.contains(entry.name) && !shadowed
        });
        let in_group = in_group.map(|entry| (AccountFile::Group, entry.line, entry.password));
        let in_gshadow = gshadow.iter();
        let in_gshadow = in_gshadow.map(|entry| (AccountFile::Gshadow, entry.line, entry.password));
        for (file, line, password) in in_group.chain(in_gshadow) {
            if PasswordState::of_field(password) == PasswordState::Usable {
                let words =
                    "who knows the group's password enters it (newgrp); gpasswd -r takes it";
                let mut path = path_of(account, words.into());
                path.mechanism = Mechanism::GroupPassword;
                path.source = source(file, line);
                found.paths.push(path);
            }
        }
    }
}

fn listed(account: &AccountName, uid: u32, file: AccountFile, change: &ListChange) -> AccessPath {
    let what = match change.list {
        List::Members => "is a member",
        List::Administrators => "is an administrator",
    };
    AccessPath {
        account: account.clone(),
        uid,
        mechanism: Mechanism::GroupMembership,
        state: PathState::Open,
        reason: in_short(format!("it {what} of group {}", printable(&change.group))),
        source: source(file, change.line),
        fingerprint: None,
    }
}

fn path_of(account: &Account, reason: String) -> AccessPath {
    AccessPath {
        account: account.name.clone(),
        uid: account.uid,
        mechanism: Mechanism::GroupMembership,
        state: PathState::Open,
        reason: in_short(reason),
        source: None,
        fingerprint: None,
    }
}

fn source(file: AccountFile, line: u32) -> Option<Source> {
    Some(Source {
        file: file.path().display().to_string(),
        line: Some(line),
    })
}

/// The names of an account's groups, as `id` has them from all name services.
fn groups_by_id(account: &AccountName) -> Option<Vec<Vec<u8>>> {
    let arguments = ["-nG", "--", account.as_str()].map(OsStr::new);
    let answer = ask("id", &arguments, ID_DEADLINE).ok()?;
    answer.status.success().then(|| {
        let names = answer.stdout.trim_ascii_end().split(|byte| *byte == b' ');
        names.map(<[u8]>::to_vec).collect()
    })
}

/// The files of which a change may make somebody a member.
pub fn files() -> [PathBuf; 4] {
    [
        AccountFile::Group.path().to_owned(),
        AccountFile::Gshadow.path().to_owned(),
        GROUP_CONF.into(),
        NSSWITCH.into(),
    ]
}
