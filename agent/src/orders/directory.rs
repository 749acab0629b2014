//! Accounts that a directory serves (sss, ldap, winbind, nis, systemd): not in passwd(5), and not
//! ours to change. Their keys in homes on this host, their sessions and their rules are.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::{AccessPath, Mechanism, PathState, in_short};

use crate::host::account::{Account, Aging, GroupRef, HashShape, Oddities, PasswordState};
use crate::host::accounts::Accounts;
use crate::host::nsswitch::{USERDB, beyond_files};
use crate::host::passwd::Passwd;
use crate::orders::host::HostError;
use crate::orders::reading::Reading;
use crate::sys::command::ask;

pub const NSSWITCH: &str = "/etc/nsswitch.conf";
pub const SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// How long the name service may take.
const DEADLINE: Duration = Duration::from_secs(5);

impl Reading<'_> {
    /// An account by its name, this host's own or, on a host that is booted, one that a directory
    /// serves.
    pub fn account(&self, name: &AccountName) -> Option<Account> {
        self.accounts
            .by_name(name)
            .or_else(|| self.served_by_directory(name))
    }

    /// The account, if it is not this host's own and a directory serves it.
    pub fn served_by_directory(&self, name: &AccountName) -> Option<Account> {
        if !self.root().is_live() || self.accounts.by_name(name).is_some() {
            return None;
        }
        let mut known = self.served.borrow_mut();
        known
            .entry(name.clone())
            .or_insert_with(|| asked(name))
            .clone()
    }

    /// Why closing an account is not for this host to do, where a directory serves it.
    pub fn why_not_ours(&self, account: &AccountName) -> Result<Option<String>, HostError> {
        if self.served_by_directory(account).is_none() {
            return Ok(None);
        }
        let servers = match self.directories()?.as_slice() {
            [] => "a directory".to_owned(),
            some => some.join(", "),
        };
        Ok(Some(format!(
            "{account} is not in /etc/passwd, {servers} serves it (nsswitch.conf(5)): disable it \
             there. On this host its keys, sessions and processes are gone but for what is named"
        )))
    }

    /// Who serves accounts besides passwd(5), in the words of nsswitch.conf(5).
    pub fn directories(&self) -> Result<Vec<String>, HostError> {
        let text = self.optional(NSSWITCH)?;
        let mut others = beyond_files(text.as_deref(), "passwd");
        let has_userdb = USERDB.iter().map(|dir| self.root().exists(Path::new(dir)));
        if has_userdb
            .collect::<Result<Vec<bool>, _>>()?
            .contains(&true)
        {
            others.push("systemd-userdbd".into());
        }
        Ok(others)
    }

    /// The content of a settings file of the host that may be missing.
    pub fn optional(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        match self.root().read(Path::new(path), SETTINGS_BYTES_MAX) {
            Ok(file) => Ok(Some(file.bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every way in of an account of a directory: as of others, but for what the directory decides.
    pub fn paths_of_directory(&mut self, account: &Account) -> Result<Vec<AccessPath>, HostError> {
        let servers = self.directories()?.join(", ");
        let mut paths = self.paths_to_close(account);
        for path in &mut paths {
            if matches!(
                path.mechanism,
                Mechanism::SshPassword | Mechanism::ConsolePassword
            ) {
                path.state = PathState::Unknown;
                path.source = None;
                let words =
                    format!("its password is the directory's ({servers}); disable it there");
                path.reason = in_short(words);
            }
        }
        Ok(paths)
    }
}

/// An account by its name, this host's own or, where it is booted, one that a directory serves.
pub fn find(accounts: &Accounts, name: &AccountName, is_live: bool) -> Option<Account> {
    let own = accounts.by_name(name);
    own.or_else(|| is_live.then(|| asked(name)).flatten())
}

/// Asks the name service; `None` where it knows nobody of that name, or does not answer.
fn asked(name: &AccountName) -> Option<Account> {
    let line = answer("getent", &["passwd", "--", name.as_str()])?;
    let passwd = Passwd::parse(line);
    let entry = passwd.entries().next()?;
    // Some directories give the name back as they write it.
    if !entry.name.eq_ignore_ascii_case(name.as_str().as_bytes()) {
        return None;
    }
    let words = |bytes: Vec<u8>| -> Vec<Vec<u8>> {
        let words = bytes.trim_ascii_end().split(|byte| *byte == b' ');
        words.map(<[u8]>::to_vec).collect()
    };
    let gids = answer("id", &["-G", "--", name.as_str()]).map(words);
    let names = answer("id", &["-nG", "--", name.as_str()]).map(words);
    let named = gids
        .unwrap_or_default()
        .into_iter()
        .zip(names.unwrap_or_default());
    let mut groups: Vec<GroupRef> = named
        .filter_map(|(gid, name)| {
            let gid = std::str::from_utf8(&gid).ok()?.parse().ok()?;
            Some(GroupRef { name, gid })
        })
        .collect();
    if groups.first().is_none_or(|group| group.gid != entry.gid) {
        let name = Vec::new();
        groups.insert(
            0,
            GroupRef {
                name,
                gid: entry.gid,
            },
        );
    }
    Some(Account {
        name: name.clone(),
        uid: entry.uid,
        gid: entry.gid,
        home: entry.home.to_vec(),
        shell: entry.shell.to_vec(),
        passwd_line: 0,
        password: PasswordState::Unknown,
        shadow_line: None,
        oddities: Oddities {
            hash: HashShape::Possible,
            number: false,
            unasked_shadow: None,
        },
        expire_day: None,
        aging: Aging::default(),
        groups,
    })
}

fn answer(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let answer = ask(program, &arguments, DEADLINE).ok()?;
    answer.status.success().then(|| answer.stdout.to_vec())
}
