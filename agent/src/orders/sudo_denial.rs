//! Taking sudo from an account: the rule of our own that does it, written and taken away.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::AccessPath;

use crate::host::create::{create_file, remove_file};
use crate::host::replace::replace_file;
use crate::host::root::{HostRoot, SystemFile};
use crate::orders::host::{ChangeError, HostError};
use crate::orders::reading::{Reading, today};
use crate::sudoers::denial;
use crate::sys::command::{INPUT_BYTES_MAX, NoAnswer, ask_of};

const FILE_BYTES_MAX: u64 = 1 << 20;
const VISUDO_DEADLINE: Duration = Duration::from_secs(5);

/// What taking sudo from an account finds.
#[derive(Debug, Default)]
pub struct SudoSeen {
    /// What sudo lets it do, as paths.
    pub paths: Vec<AccessPath>,
    /// Whether our rule is to be written: there is none, and sudo is on the host.
    pub to_deny: bool,
    /// What could not be told.
    pub gaps: Vec<String>,
}

impl Reading<'_> {
    /// What sudo lets an account do, and whether our rule against it is there.
    pub fn sudo_of(&mut self, account: &AccountName) -> Result<SudoSeen, HostError> {
        let mut seen = SudoSeen::default();
        let acting = self.all_acting();
        if let Some(account) = self.account(account) {
            seen.paths = acting.sudo_paths(&account, &self.accounts, today());
        }
        // Without a policy there is nothing to add to, and nothing that grants.
        let has_policy = acting.sudo().is_ok_and(|sudo| sudo.sudoers.is_some());
        let file = read(self.root())?;
        match denial::has(file.as_ref().map(|file| file.bytes.as_slice()), account) {
            Ok(has) => seen.to_deny = has_policy && !has,
            Err(error) => seen.gaps.push(error.to_string()),
        }
        Ok(seen)
    }
}

/// Writes the rule; says whether it was not there.
pub fn deny(root: &HostRoot, account: &AccountName) -> Result<bool, ChangeError> {
    let file = read(root)?;
    let before = file.as_ref().map(|file| file.bytes.as_slice());
    let unnameable = |error: denial::Unnameable| ChangeError::NotRestored(error.to_string());
    let after = denial::with(before, account).map_err(unnameable)?;
    if before == Some(&after) {
        return Ok(false);
    }
    if root.is_live() {
        let rule = denial::rule(account).map_err(unnameable)?;
        check(&rule)?;
    }
    let path = Path::new(denial::FILE);
    match file {
        Some(file) => replace_file(root, path, &file.stamp, &after)?,
        None => create_file(root, path, denial::MODE, &after)?,
    };
    Ok(true)
}

/// Takes the rule away; says whether it was there.
pub fn undo(root: &HostRoot, account: &AccountName) -> Result<bool, ChangeError> {
    let Some(file) = read(root)? else {
        return Ok(false);
    };
    let unnameable = |error: denial::Unnameable| ChangeError::NotRestored(error.to_string());
    if !denial::has(Some(&file.bytes), account).map_err(unnameable)? {
        return Ok(false);
    }
    let path = Path::new(denial::FILE);
    match denial::without(&file.bytes, account).map_err(unnameable)? {
        Some(after) => drop(replace_file(root, path, &file.stamp, &after)?),
        None => remove_file(root, path, &file.stamp)?,
    }
    Ok(true)
}

/// Whether the rule is not there.
pub fn is_undone(root: &HostRoot, account: &AccountName) -> Result<bool, ChangeError> {
    let file = read(root)?;
    let has = denial::has(file.as_ref().map(|file| file.bytes.as_slice()), account);
    has.map(|has| !has)
        .map_err(|error| ChangeError::NotRestored(error.to_string()))
}

/// The file of our rules, where there is one.
fn read(root: &HostRoot) -> Result<Option<SystemFile>, crate::host::root::ReadError> {
    match root.read(Path::new(denial::FILE), FILE_BYTES_MAX) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks visudo(8), where the host has it, before sudo sees the rule: one mistake in one file makes
/// some versions of sudo refuse everybody.
fn check(rule: &str) -> Result<(), ChangeError> {
    let text = format!("{rule}\n");
    debug_assert!(text.len() <= INPUT_BYTES_MAX);
    let arguments = ["-c", "-q", "-f", "-"].map(OsStr::new);
    match ask_of("visudo", &arguments, text.as_bytes(), VISUDO_DEADLINE) {
        Ok(answer) if answer.status.success() => Ok(()),
        Err(NoAnswer::Missing(_)) => Ok(()),
        Ok(_) => Err(ChangeError::NotRestored(format!(
            "visudo(8) does not take the rule {rule}"
        ))),
        Err(error) => Err(ChangeError::NotRestored(error.to_string())),
    }
}

/// The files of which a change may give sudo back; what else a policy includes, surveys see.
pub fn files() -> [PathBuf; 3] {
    ["/etc/sudoers", denial::FILE, "/etc/sudo.conf"].map(PathBuf::from)
}
