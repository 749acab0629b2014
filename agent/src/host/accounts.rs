//! All accounts of a host, from its files together.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rescind_protocol::name::AccountName;

use super::account::{Account, Aging, GroupRef, HashShape, Oddities, PasswordState, UnaskedShadow};
use super::group::{Group, GroupEntry};
use super::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile};
use super::numbers::Numbers;
use super::passwd::{Passwd, PasswdEntry};
use super::root::{HostRoot, ReadError};
use super::shadow::{Shadow, ShadowEntry};

/// The accounts of passwd(5), with what shadow(5) and group(5) add.
///
/// Files are read whole and understood when asked: one account of ten thousand costs a search
/// through three buffers, all of them one pass with an index. No lock is taken: what is read here is for
/// judging; who wants to change a file reads it again under its lock.
#[derive(Debug)]
pub struct Accounts {
    passwd: Passwd,
    shadow: Result<Shadow, ReadError>,
    group: Result<Group, ReadError>,
    found: Found,
}

/// What is asked for again and again, found when it is asked for first.
#[derive(Debug, Default)]
struct Found {
    uids: OnceCell<Numbers>,
    /// How often a uid was searched for without them.
    searches: Cell<usize>,
    primary_groups: OnceCell<Numbers>,
    gids: OnceCell<Numbers>,
    superusers: OnceCell<Vec<Account>>,
}

/// Uids that are searched for before all of them are put in order.
const SEARCHES_MAX: usize = 8;

/// What could not be known about the accounts.
#[derive(Debug)]
pub enum Gap<'a> {
    /// A file that is missing or could not be read.
    File(&'a ReadError),
    /// A line that no reader of the file understands; nobody can say whom it was meant for.
    Malformed {
        /// The file.
        file: &'static Path,
        /// The line, from 1.
        line: u32,
    },
    /// An account whose name cannot be written into an order.
    Unnameable {
        /// The line of `/etc/passwd`, from 1.
        line: u32,
    },
    /// A line that asks a directory for accounts, where nsswitch.conf(5) says `compat`.
    Nis {
        /// The file.
        file: &'static Path,
        /// The line, from 1.
        line: u32,
    },
}

impl fmt::Display for Gap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Malformed { file, line } => {
                write!(f, "{}:{line} is malformed", file.display())
            }
            Self::Unnameable { line } => {
                write!(f, "/etc/passwd:{line} has a name that no order can name")
            }
            Self::Nis { file, line } => {
                write!(
                    f,
                    "{}:{line} may add accounts of a directory",
                    file.display()
                )
            }
        }
    }
}

impl Accounts {
    /// Reads the files. Only passwd(5) must be there; what is wrong with the others is a gap.
    pub fn load(root: &HostRoot) -> Result<Self, ReadError> {
        let read = |file: AccountFile| {
            let file = root.read(file.path(), ACCOUNT_FILE_BYTES_MAX)?;
            Ok(file.bytes)
        };
        Ok(Self {
            passwd: Passwd::parse(read(AccountFile::Passwd)?),
            shadow: read(AccountFile::Shadow).map(Shadow::parse),
            group: read(AccountFile::Group).map(Group::parse),
            found: Found::default(),
        })
    }

    /// An account by its name: the first line of that name, as getpwnam(3) takes it. Where there
    /// are more, [`Accounts::iter`] shows them all.
    pub fn by_name(&self, name: &AccountName) -> Option<Account> {
        let entry = self.passwd.named(name.as_str().as_bytes()).next()?;
        self.scan_for(&entry)
    }

    /// The same by a name as a file has it.
    pub fn named(&self, name: &[u8]) -> Option<Account> {
        self.by_name(&account_name(name)?)
    }

    /// The account that a file means that takes names and uids: by its name, else the first by its
    /// uid.
    pub fn by_name_or_uid(&self, user: &[u8]) -> Option<Account> {
        self.named(user).or_else(|| {
            let uid = std::str::from_utf8(user).ok()?.parse().ok()?;
            self.by_uid(uid).into_iter().next()
        })
    }

    /// Every account of a uid: each is that user to the kernel, whatever its name.
    pub fn by_uid(&self, uid: u32) -> Vec<Account> {
        let entries = self.of_uid(uid);
        entries.filter_map(|entry| self.scan_for(&entry)).collect()
    }

    /// The accounts of uid 0, as [`Accounts::by_uid`] finds them.
    pub fn superusers(&self) -> &[Account] {
        self.found.superusers.get_or_init(|| self.by_uid(0))
    }

    /// The lines of passwd(5) with a uid, in their order.
    pub fn of_uid(&self, uid: u32) -> impl Iterator<Item = PasswdEntry<'_>> {
        let lines = self.lines_of_uid(uid).into_iter();
        lines.filter_map(|line| self.passwd.entry_at(line))
    }

    /// The lines of passwd(5) with a primary group, in their order.
    pub fn of_primary_group(&self, gid: u32) -> impl Iterator<Item = PasswdEntry<'_>> {
        let entries = || self.passwd.entries().map(|entry| (entry.gid, entry.line));
        let numbers = &self.found.primary_groups;
        let lines = numbers.get_or_init(|| Numbers::new(entries())).lines(gid);
        lines.filter_map(|line| self.passwd.entry_at(line))
    }

    /// A group by its gid, as getgrgid(3) takes it.
    pub fn group_of_gid(&self, gid: u32) -> Result<Option<GroupEntry<'_>>, &ReadError> {
        let group = self.group.as_ref()?;
        let entries = || group.entries().map(|entry| (entry.gid, entry.line));
        let numbers = self.found.gids.get_or_init(|| Numbers::new(entries()));
        let line = numbers.lines(gid).next();
        Ok(line.and_then(|line| group.entry_at(line)))
    }

    /// Whether more than one line of passwd(5) has the uid.
    pub fn is_shared(&self, uid: u32) -> bool {
        self.lines_of_uid(uid).len() > 1
    }

    /// A few are searched for; who asks for more is about to ask for all.
    fn lines_of_uid(&self, uid: u32) -> Vec<u32> {
        let Found { uids, searches, .. } = &self.found;
        if uids.get().is_none() && searches.get() < SEARCHES_MAX {
            searches.set(searches.get() + 1);
            return self.passwd.of_uid(uid).map(|entry| entry.line).collect();
        }
        let entries = || self.passwd.entries().map(|entry| (entry.uid, entry.line));
        let uids = uids.get_or_init(|| Numbers::new(entries()));
        uids.lines(uid).collect()
    }

    /// The first account of a uid, as getpwuid(3) takes it, for an account that has it.
    pub fn first_of_its_uid(&self, account: &Account) -> Account {
        let all = match self.is_shared(account.uid) {
            true => self.by_uid(account.uid),
            false => Vec::new(),
        };
        all.into_iter().next().unwrap_or_else(|| account.clone())
    }

    /// The accounts that have the uid of this one, but another name.
    pub fn twins(&self, account: &Account) -> Vec<Account> {
        if !self.is_shared(account.uid) {
            return Vec::new();
        }
        let mut all = self.by_uid(account.uid);
        all.retain(|twin| twin.name != account.name);
        all
    }

    /// Every account, in the order of passwd(5), names that come twice twice.
    pub fn iter(&self) -> impl Iterator<Item = Account> {
        let index = Index::of(self);
        self.passwd.entries().filter_map(move |entry| {
            let groups = index.groups.get(entry.name).map_or(&[][..], Vec::as_slice);
            self.account(
                &entry,
                index.shadow.get(entry.name).copied(),
                index.gids.get(&entry.gid).copied(),
                groups.iter().copied(),
            )
        })
    }

    /// passwd(5).
    pub fn passwd(&self) -> &Passwd {
        &self.passwd
    }

    /// shadow(5), or why it could not be read.
    pub fn shadow(&self) -> Result<&Shadow, &ReadError> {
        self.shadow.as_ref()
    }

    /// group(5), or why it could not be read.
    pub fn group(&self) -> Result<&Group, &ReadError> {
        self.group.as_ref()
    }

    /// What could not be known. A claim about all accounts needs an answer to each of these.
    pub fn gaps(&self) -> Vec<Gap<'_>> {
        let malformed = |file: AccountFile| {
            move |unparsed: super::lines::Unparsed| Gap::Malformed {
                file: file.path(),
                line: unparsed.line,
            }
        };
        let nis = |file: AccountFile| {
            move |line| Gap::Nis {
                file: file.path(),
                line,
            }
        };
        let mut gaps = Vec::new();
        gaps.extend(self.passwd.unparsed().map(malformed(AccountFile::Passwd)));
        gaps.extend(self.passwd.nis().map(nis(AccountFile::Passwd)));
        let unnameable = |entry: &PasswdEntry<'_>| account_name(entry.name).is_none();
        gaps.extend(
            self.passwd
                .entries()
                .filter(unnameable)
                .map(|entry| Gap::Unnameable { line: entry.line }),
        );
        match &self.shadow {
            Ok(shadow) => gaps.extend(shadow.unparsed().map(malformed(AccountFile::Shadow))),
            Err(error) => gaps.push(Gap::File(error)),
        }
        match &self.group {
            Ok(group) => {
                gaps.extend(group.unparsed().map(malformed(AccountFile::Group)));
                gaps.extend(group.nis().map(nis(AccountFile::Group)));
            }
            Err(error) => gaps.push(Gap::File(error)),
        }
        gaps
    }

    /// Builds one account by searching the other files.
    fn scan_for<'a>(&'a self, entry: &PasswdEntry<'a>) -> Option<Account> {
        let shadow = self.shadow.as_ref().ok();
        let groups = self.group.as_ref();
        let name = entry.name;
        self.account(
            entry,
            shadow.and_then(|shadow| shadow.named(name).next()),
            groups
                .ok()
                .and_then(|groups| groups.of_gid(entry.gid).next()),
            groups.iter().flat_map(|groups| groups.with_member(name)),
        )
    }

    /// `None` for a name that no order can name, which is a gap.
    fn account<'a>(
        &'a self,
        entry: &PasswdEntry<'a>,
        shadow: Option<ShadowEntry<'a>>,
        primary: Option<GroupEntry<'a>>,
        member_of: impl Iterator<Item = GroupEntry<'a>>,
    ) -> Option<Account> {
        let mut groups = vec![GroupRef {
            name: primary.map_or_else(Vec::new, |group| group.name.to_vec()),
            gid: entry.gid,
        }];
        for group in member_of {
            // A group may be spread over several lines, and name those whose primary one it is.
            let known = |other: &GroupRef| other.gid == group.gid && other.name == group.name;
            if !groups.iter().any(known) {
                groups.push(GroupRef {
                    name: group.name.to_vec(),
                    gid: group.gid,
                });
            }
        }
        let decides = shadow.filter(|_| entry.is_shadowed());
        let unasked = shadow.filter(|_| !entry.is_shadowed());
        let field = decides.map_or(entry.password, |shadow| shadow.password);
        Some(Account {
            name: account_name(entry.name)?,
            uid: entry.uid,
            gid: entry.gid,
            home: entry.home.to_vec(),
            shell: entry.shell.to_vec(),
            passwd_line: entry.line,
            password: self.password_state(entry, shadow),
            shadow_line: shadow
                .map(|shadow| shadow.line)
                .or_else(|| self.unread_shadow_line(entry.name)),
            oddities: Oddities {
                hash: HashShape::of(field),
                number: decides.is_some_and(|shadow| shadow.odd_number),
                unasked_shadow: unasked.map(|shadow| UnaskedShadow {
                    password: PasswordState::of_field(shadow.password),
                    hash: HashShape::of(shadow.password),
                    expire_day: shadow.expire_day,
                    odd_number: shadow.odd_number,
                }),
            },
            expire_day: decides.and_then(|shadow| shadow.expire_day),
            aging: decides.map_or_else(Aging::default, |shadow| shadow.aging),
            groups,
        })
    }

    /// A line of shadow(5) with this name that nothing can read.
    fn unread_shadow_line(&self, name: &[u8]) -> Option<u32> {
        self.shadow.as_ref().ok()?.line_of(name)
    }

    fn password_state(
        &self,
        entry: &PasswdEntry<'_>,
        shadow: Option<ShadowEntry<'_>>,
    ) -> PasswordState {
        match (shadow, &self.shadow) {
            _ if !entry.is_shadowed() => PasswordState::of_field(entry.password),
            (Some(shadow), _) => PasswordState::of_field(shadow.password),
            (None, Ok(_) | Err(ReadError::Missing { .. })) => PasswordState::Missing,
            (None, Err(_)) => PasswordState::Unknown,
        }
    }
}

/// Where to find what belongs to a name, for a pass over all accounts.
struct Index<'a> {
    shadow: HashMap<&'a [u8], ShadowEntry<'a>>,
    gids: HashMap<u32, GroupEntry<'a>>,
    groups: HashMap<&'a [u8], Vec<GroupEntry<'a>>>,
}

impl<'a> Index<'a> {
    fn of(accounts: &'a Accounts) -> Self {
        let mut index = Self {
            shadow: HashMap::new(),
            gids: HashMap::new(),
            groups: HashMap::new(),
        };
        // The first line of a name or a gid counts, as in getspnam(3) and getgrgid(3).
        for entry in accounts.shadow.iter().flat_map(Shadow::entries) {
            index.shadow.entry(entry.name).or_insert(entry);
        }
        for entry in accounts.group.iter().flat_map(Group::entries) {
            index.gids.entry(entry.gid).or_insert(entry);
            for member in entry.members() {
                index.groups.entry(member).or_default().push(entry);
            }
        }
        index
    }
}

/// A name as an order can say it.
pub fn account_name(bytes: &[u8]) -> Option<AccountName> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(passwd: &str, shadow: Option<&str>, group: Option<&str>) -> Accounts {
        let missing = |file: AccountFile| ReadError::Missing {
            path: file.path().to_owned(),
        };
        Accounts {
            passwd: Passwd::parse(passwd.into()),
            shadow: shadow
                .map(|text| Shadow::parse(text.into()))
                .ok_or_else(|| missing(AccountFile::Shadow)),
            group: group
                .map(|text| Group::parse(text.into()))
                .ok_or_else(|| missing(AccountFile::Group)),
            found: Found::default(),
        }
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        toor::0:0::/:/bin/sh\n\
        alice:x:1000:1000::/home/alice:/bin/bash\n\
        bob:$6$h:1001:1000::/home/bob:\n\
        bad\n\
        é,x:x:9:9:::\n\
        ghost:x:1002:7::/:/bin/sh\n\
        alice:x:1003:1000::/:/bin/sh\n\
        +@nis::::::\n";
    const SHADOW: &str = "root:*:19000:0:99999:7:::\n\
        alice:!$6$h:19000:1:90:7:14:20000:\n\
        bob:!:19000:0:99999:7::1:\n\
        alice:$6$second:1::::::\n\
        torn\n";
    const GROUP: &str = "root:x:0:\nusers:x:1000:alice\nsudo:x:27:bob,alice\nsudo:x:27:alice\n\
        users2:x:1000:\ndocker:x:99:alice\n";

    fn groups_of(account: &Account) -> String {
        let show = |group: &GroupRef| format!("{}={}", group.name.escape_ascii(), group.gid);
        account
            .groups
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn an_account_is_what_its_three_files_say() {
        let accounts = load(PASSWD, Some(SHADOW), Some(GROUP));
        let alice = accounts.by_name(&"alice".parse().unwrap()).unwrap();
        assert_eq!(alice.password, PasswordState::Locked);
        assert_eq!((alice.passwd_line, alice.shadow_line), (3, Some(2)));
        assert_eq!(alice.expire_day, Some(20000));
        assert_eq!(
            alice.aging,
            Aging {
                last_change: Some(19000),
                max: Some(90),
                inactive: Some(14)
            }
        );
        assert_eq!(groups_of(&alice), "users=1000 sudo=27 docker=99");
        let bob = accounts.by_name(&"bob".parse().unwrap()).unwrap();
        assert_eq!(bob.password, PasswordState::Usable);
        assert_eq!(
            (bob.shadow_line, bob.expire_day),
            (Some(3), None),
            "pam_unix asks no shadow"
        );
        let ghost = accounts.by_name(&"ghost".parse().unwrap()).unwrap();
        assert_eq!(ghost.password, PasswordState::Missing);
        assert_eq!(groups_of(&ghost), "=7");
        let zero: Vec<_> = accounts
            .by_uid(0)
            .into_iter()
            .map(|a| (a.name.to_string(), a.password))
            .collect();
        assert_eq!(
            zero,
            [
                ("root".into(), PasswordState::Unusable),
                ("toor".into(), PasswordState::Empty)
            ]
        );
        assert!(accounts.by_name(&"nobody".parse().unwrap()).is_none());
        let toor = accounts.by_name(&"toor".parse().unwrap()).unwrap();
        assert_eq!(accounts.first_of_its_uid(&toor).name.as_str(), "root");
        assert_eq!(accounts.twins(&toor)[0].name.as_str(), "root");
        assert_eq!(accounts.first_of_its_uid(&ghost), ghost);
        assert!(accounts.twins(&ghost).is_empty());
    }

    #[test]
    fn the_pass_over_all_accounts_says_the_same_as_the_search_for_one() {
        let accounts = load(PASSWD, Some(SHADOW), Some(GROUP));
        let all: Vec<_> = accounts.iter().collect();
        let names: Vec<_> = all.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["root", "toor", "alice", "bob", "ghost", "alice"]);
        for account in all.iter().cycle().take(3 * SEARCHES_MAX) {
            assert!(
                accounts.by_uid(account.uid).contains(account),
                "{account:?}"
            );
        }
    }

    #[test]
    fn names_and_uids_as_files_have_them() {
        let text = "a:x:1:7:::\n1:x:2:7:::\nb:x:3:7:::\nc:x:3:7:::\n";
        let accounts = load(text, None, None);
        let name = |found: Option<Account>| found.map(|account| account.name.to_string());
        for (user, want) in [
            (&b"a"[..], Some("a")),
            (b"1", Some("1")),
            (b"3", Some("b")),
            (b"4", None),
            (b"-3", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(name(accounts.by_name_or_uid(user)).as_deref(), want);
        }
        assert_eq!(name(accounts.named(b"3")), None);
        assert_eq!(name(accounts.named(b"c")).as_deref(), Some("c"));
    }

    #[test]
    fn a_uid_and_a_gid_are_found_however_they_are_written() {
        let accounts = load(
            "a:x:1000:7:::\nb:x:0001000:7:::\nc:x: +1000:7:::\nd:x:11000:7:::\ne:x:7:1000:::\n",
            None,
            Some("g:x:1000:a\nh:x:07\ni:x:10007:ab,a,\n"),
        );
        let names = |accounts: Vec<Account>| -> Vec<String> {
            accounts.iter().map(|a| a.name.to_string()).collect()
        };
        for _ in 0..=SEARCHES_MAX {
            assert_eq!(names(accounts.by_uid(1000)), ["a", "b", "c"]);
        }
        assert_eq!(groups_of(&accounts.by_uid(1000)[0]), "h=7 g=1000 i=10007");
    }

    #[test]
    fn what_cannot_be_known_is_said() {
        let gaps = |accounts: &Accounts| -> Vec<String> {
            accounts.gaps().iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            gaps(&load(PASSWD, Some(SHADOW), Some(GROUP))),
            [
                "/etc/passwd:5 is malformed",
                "/etc/passwd:9 may add accounts of a directory",
                "/etc/passwd:6 has a name that no order can name",
                "/etc/shadow:5 is malformed",
            ]
        );
        let bare = load("a:x:1:1:::\n", None, None);
        assert_eq!(
            gaps(&bare),
            [
                "\"/etc/shadow\" does not exist",
                "\"/etc/group\" does not exist"
            ]
        );
        assert_eq!(bare.iter().next().unwrap().password, PasswordState::Missing);
        let mut unreadable = bare;
        unreadable.shadow = Err(ReadError::Changing {
            path: "/etc/shadow".into(),
        });
        assert_eq!(
            unreadable.iter().next().unwrap().password,
            PasswordState::Unknown
        );
    }
}
