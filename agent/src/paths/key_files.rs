//! Which key files sshd reads for an account.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::facts::Sshd;
use crate::host::account::Account;
use crate::sshd::effective::{List, Origin};
use crate::sshd::matching::Subject;
use crate::sshd::tokens::{self, BadTemplate};
use crate::sshd::worlds::worlds;

/// A key file that some sshd reads for an account, at least for some connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFileRef {
    /// The file.
    pub path: PathBuf,
    /// The line of `AuthorizedKeysFile` that names it, or sshd's default.
    pub source: Origin,
    /// It serves every account alike: its name does not depend on the account.
    pub shared: bool,
    /// It lies under the account's home as the name stands, before any link is followed.
    pub under_home: bool,
}

/// Every key file that may be read for an account, once each.
///
/// Where an sshd's configuration could not be read, the files that it reads by default are named; where it tells too
/// many kinds of connection apart, all that it names for anybody.
pub fn key_files_in_force(account: &Account, sshds: &[Sshd]) -> Vec<KeyFileRef> {
    let mut found: Vec<KeyFileRef> = Vec::new();
    for template in sshds.iter().flat_map(|sshd| templates(account, sshd)) {
        // A template that cannot be expanded makes sshd drop the connection: there is no file to edit.
        let Ok(Some(file)) = expand(account, &template.value, &template.origin) else {
            continue;
        };
        if !found.iter().any(|known| known.path == file.path) {
            found.push(file);
        }
    }
    found
}

fn templates(account: &Account, sshd: &Sshd) -> List {
    let default = |name: &[u8]| crate::sshd::effective::Sourced {
        value: name.to_vec(),
        origin: Origin::Default,
    };
    let Ok(config) = &sshd.config else {
        return vec![
            default(b".ssh/authorized_keys"),
            default(b".ssh/authorized_keys2"),
        ];
    };
    let groups = group_names(account);
    let subject = subject(account, &groups);
    match worlds(|connection| config.effective(&subject, connection)) {
        Ok(worlds) => worlds
            .into_iter()
            .flat_map(|(_, settings)| settings.authorized_keys_files.clone())
            .collect(),
        Err(_) => config.authorized_keys_files_of_anybody(),
    }
}

/// The file that a template names; none for the word `none`.
pub fn expand(
    account: &Account,
    template: &[u8],
    source: &Origin,
) -> Result<Option<KeyFileRef>, BadTemplate> {
    if template.eq_ignore_ascii_case(b"none") {
        return Ok(None);
    }
    let path = tokens::expand(
        template,
        account.name.as_str().as_bytes(),
        account.uid,
        &account.home,
    )?;
    let home = account.home.strip_suffix(b"/").unwrap_or(&account.home);
    let under_home = !home.is_empty()
        && path
            .strip_prefix(home)
            .is_some_and(|rest| rest.starts_with(b"/"));
    Ok(Some(KeyFileRef {
        path: PathBuf::from(OsString::from_vec(path)),
        source: source.clone(),
        shared: !tokens::is_per_account(template),
        under_home,
    }))
}

/// The names of an account's groups, as `Match Group` wants them.
pub fn group_names(account: &Account) -> Vec<&[u8]> {
    account
        .groups
        .iter()
        .map(|g| g.name.as_slice())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The account as `Match` sees it.
pub fn subject<'a>(account: &'a Account, groups: &'a [&'a [u8]]) -> Subject<'a> {
    Subject {
        name: account.name.as_str().as_bytes(),
        groups,
    }
}
