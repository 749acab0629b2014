//! What matters to the orders in force: files, a change of which may give access back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rescind_protocol::name::AccountName;

use crate::host::lock::AccountFile;

/// The files, by what a change of them can mean.
#[derive(Debug, Default)]
pub struct Interests {
    /// passwd(5) and the sshds' configuration: they say which other files matter.
    everything: BTreeSet<PathBuf>,
    /// What makes members of groups, and what sudo obeys; empty where no order is about it.
    rules: BTreeSet<PathBuf>,
    /// The directories of key files, with the accounts for which those are in force.
    keys: BTreeMap<PathBuf, Vec<AccountName>>,
}

/// What may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// All of it.
    pub everything: bool,
    /// Passwords and expiry.
    pub shadow: bool,
    /// Groups, or rules of sudo.
    pub rules: bool,
    /// The key files of these accounts.
    pub accounts: BTreeSet<AccountName>,
}

impl Touched {
    /// Everything is to be looked at.
    pub const fn everything() -> Self {
        Self {
            everything: true,
            shadow: true,
            rules: true,
            accounts: BTreeSet::new(),
        }
    }

    /// Nothing that matters.
    pub fn is_nothing(&self) -> bool {
        !self.everything && !self.shadow && !self.rules && self.accounts.is_empty()
    }
}

impl Interests {
    /// Files that say which others matter; shadow(5) and key files are told by their accounts.
    pub fn of_everybody(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut everything: BTreeSet<PathBuf> = files.into_iter().collect();
        everything.insert(AccountFile::Passwd.path().to_owned());
        Self {
            everything,
            rules: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Files that say who is in which group, and what sudo obeys: with each, all that lies beside
    /// it in a directory of such files (`sudoers.d`).
    pub fn add_rules(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.rules.extend(files);
    }

    /// Whether any of them matter.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether nothing matters.
    pub fn is_empty(&self) -> bool {
        self.everything.is_empty()
    }

    /// A key file that is in force for an account; says whether its directory is new.
    pub fn add(&mut self, account: &AccountName, file: &Path) -> bool {
        let Some(dir) = file.parent() else {
            return false;
        };
        if let Some(accounts) = self.keys.get_mut(dir) {
            if !accounts.contains(account) {
                accounts.push(account.clone());
            }
            return false;
        }
        self.keys.insert(dir.to_owned(), vec![account.clone()]);
        true
    }

    /// What a change of these paths touches. A path matters when it is one of the files, in one of
    /// the directories, or a directory on the way that was made, moved or given other rights.
    pub fn touched_by(&self, paths: &BTreeSet<PathBuf>) -> Touched {
        if self.is_empty() {
            return Touched::default();
        }
        let on_the_way = |file: &Path| file.ancestors().any(|path| paths.contains(path));
        if self.everything.iter().any(|file| on_the_way(file)) {
            return Touched::everything();
        }
        let mut touched = Touched {
            shadow: on_the_way(AccountFile::Shadow.path()),
            rules: self.rules.iter().any(|file| {
                on_the_way(file) || {
                    let dir = file.parent().filter(|dir| dir.extension().is_some());
                    dir.is_some_and(|dir| paths.iter().any(|path| path.parent() == Some(dir)))
                }
            }),
            ..Touched::default()
        };
        for path in paths {
            let at = path.parent().and_then(|dir| self.keys.get(dir));
            let below = self.keys.range(path.clone()..);
            let below = below.take_while(|(dir, _)| dir.starts_with(path));
            let accounts = at.into_iter().chain(below.map(|(_, accounts)| accounts));
            touched.accounts.extend(accounts.flatten().cloned());
        }
        touched
    }

    /// The nearest directory on the way to each file that is there: those to watch.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        if self.is_empty() {
            return BTreeSet::new();
        }
        let files = self.everything.iter().chain(&self.rules);
        let of_files = files.filter_map(|file| file.parent());
        let shadow = AccountFile::Shadow.path().parent();
        let dirs = of_files
            .chain(shadow)
            .chain(self.keys.keys().map(PathBuf::as_path));
        let nearest = |dir: &Path| dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned);
        dirs.filter_map(nearest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_touches_what_it_is_what_is_in_it_and_what_is_below_it() {
        let mut interests = Interests::of_everybody(["/etc/ssh/sshd_config".into()]);
        interests.add_rules(["/etc/group".into(), "/etc/sudoers.d/zz".into()]);
        let name = |name: &str| name.parse::<AccountName>().unwrap();
        for (account, file) in [
            ("alice", "/home/alice/.ssh/authorized_keys"),
            ("alice", "/home/alice/.ssh/authorized_keys2"),
            ("alicia", "/home/alicia/.ssh/authorized_keys"),
            ("alice", "/etc/keys/alice"),
            ("bob", "/etc/keys/bob"),
        ] {
            interests.add(&name(account), Path::new(file));
        }
        for (path, want) in [
            ("/etc/passwd", "everything"),
            ("/etc", "everything"),
            ("/etc/ssh", "everything"),
            ("/etc/ssh/moduli", ""),
            ("/etc/shadow", "shadow"),
            ("/etc/shadow.lock", ""),
            ("/etc/group", "rules"),
            ("/etc/sudoers.d/other", "rules"),
            ("/etc/sudoers.d", "rules"),
            ("/home/alice/.ssh/authorized_keys", "alice"),
            ("/home/alice/.ssh", "alice"),
            ("/home/alice", "alice"),
            ("/home/alice/mail", ""),
            ("/home/ali", ""),
            ("/home", "alice alicia"),
            ("/etc/keys/alice", "alice bob"),
            ("/etc/keys", "alice bob"),
        ] {
            let touched = interests.touched_by(&BTreeSet::from([path.into()]));
            let names: Vec<&str> = touched.accounts.iter().map(AccountName::as_str).collect();
            let found = match (touched.everything, touched.shadow) {
                (true, _) => "everything".to_owned(),
                (_, true) => "shadow".to_owned(),
                _ if touched.rules => "rules".to_owned(),
                _ => names.join(" "),
            };
            assert_eq!(found, want, "{path}");
        }
    }

    #[test]
    fn the_directories_to_watch_are_those_that_are_there() {
        let dir = std::env::temp_dir().join(format!("rescind-interests-{}", std::process::id()));
        let home = dir.join("alice");
        std::fs::create_dir_all(&home).unwrap();
        let mut interests = Interests::of_everybody([]);
        let alice = "alice".parse().unwrap();
        assert!(interests.add(&alice, &home.join(".ssh/authorized_keys")));
        assert!(!interests.add(&alice, &home.join(".ssh/authorized_keys2")));
        let want = [Path::new("/etc").to_owned(), home.clone()];
        assert_eq!(interests.directories(), BTreeSet::from(want));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
