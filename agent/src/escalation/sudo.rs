//! The policy of the host's sudo(8).

use std::ffi::OsString;
use std::path::Path;

use rescind_protocol::path::Source;

use super::steps::{Means, Step, Sure};
use crate::host::account::{Account, PasswordState};
use crate::host::accounts::Accounts;
use crate::host::learnt::Learnt;
use crate::host::root::{HostRoot, ReadError};
use crate::sshd::printable::printable_path;
use crate::sudoers::policy::{Answer, PasswordOf, Way};
use crate::sudoers::sudo_conf::{Decider, decider};
use crate::sudoers::tree::What;
use crate::sudoers::{self, Dialect, HostNames, Policy, ReadProblem, Sudoers, SudoersFiles};

const SUDO_CONF: &str = "/etc/sudo.conf";
/// Where sudo lies; without it rules let nobody do anything.
const PROGRAMS: [&str; 2] = ["/usr/bin/sudo", "/usr/local/bin/sudo"];
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
const SUDOERS_BYTES_MAX: u64 = 4 << 20;
const NAMES_MAX: usize = 65_536;
/// Accounts that rules name as targets, looked at for one account.
const TARGETS_MAX: usize = 256;

/// The dialects of sudo programs.
pub type Dialects = Learnt<Dialect>;

/// What sudo would read, read.
#[derive(Debug)]
pub struct HostSudo {
    /// `None` where there is no sudo, or nothing for it to read.
    sudoers: Option<Sudoers>,
    other_sources: Vec<String>,
    host: HostNames,
    now: i64,
}

impl HostSudo {
    /// Reads the policy that sudo.conf(5) names, as the installed sudo would.
    pub fn read(root: &HostRoot, known: &mut Dialects, now: i64) -> Result<Self, ReadError> {
        let name = crate::config::host_name(root.path());
        let name = name.as_ref().map_or("", |name| name.as_str());
        let missing_is_none = |path: &str| match root.read(Path::new(path), SUDOERS_BYTES_MAX) {
            Ok(file) => Ok(Some(file.bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        };
        let nsswitch = missing_is_none("/etc/nsswitch.conf")?;
        let mut other_sources = sudoers::nsswitch::sources(nsswitch.as_deref()).others;
        let file = match decider(missing_is_none(SUDO_CONF)?.as_deref()) {
            Decider::Sudoers(file) => Some(file),
            Decider::Plugin(plugin) => {
                other_sources.push(plugin);
                None
            }
        };
        // That it cannot be looked at does not make it missing.
        let file = file.filter(|file| !matches!(root.exists(file), Ok(false)));
        let sudoers = match (file, installed(root, known)?) {
            (Some(file), Some(dialect)) => Some(sudoers::parse(
                &PolicyFiles(root),
                &file,
                name.as_bytes(),
                dialect,
            )),
            _ => None,
        };
        Ok(Self {
            sudoers,
            other_sources,
            host: HostNames::new(name.as_bytes(), None),
            now,
        })
    }

    /// How an account becomes another by sudo; `None` when it does not. `root` are the accounts of
    /// uid 0.
    pub fn step(&self, account: &Account, target: &Account, root: &[Account]) -> Option<Step> {
        let superuser = root
            .first()
            .map_or_else(sudoers::Subject::root, sudoers::Subject::from);
        let policy = self.policy(&superuser)?;
        let has_password = |account: &Account| account.password == PasswordState::Usable;
        let usable = |way: &Way| {
            way.nopasswd
                || match way.password_of {
                    PasswordOf::Own => has_password(account),
                    PasswordOf::Target => has_password(target),
                    PasswordOf::Root => root.iter().any(has_password),
                    PasswordOf::RunasDefault => false,
                }
        };
        let (way, sure) = match policy.becomes(&account.into(), &target.into()) {
            Answer::No => return None,
            Answer::Yes(way) if usable(&way) => (Some(way), Sure::Yes),
            Answer::Yes(way) => (Some(way), Sure::WithPassword),
            Answer::Likely(way) => (Some(way), Sure::Likely),
            Answer::Unknown { way, .. } => (way, Sure::Unknown),
        };
        let source = way.as_ref().map(|way| Source {
            file: printable_path(&way.source.file),
            line: Some(way.source.span.line),
        });
        let reason = way.map_or_else(
            || {
                format!(
                    "may become {} by a rule that could not be read",
                    target.name
                )
            },
            |way| way.reason,
        );
        Some(Step {
            to: target.name.clone(),
            means: Means::Sudo,
            reason,
            source,
            sure,
        })
    }

    /// The accounts, besides root, that the rules for an account name as targets.
    pub fn targets(&self, account: &Account, accounts: &Accounts) -> Vec<Account> {
        let superuser = sudoers::Subject::root();
        let Some(policy) = self.policy(&superuser) else {
            return Vec::new();
        };
        let (grants, _) = policy.grants(&account.into());
        let mut named: Vec<&What> = Vec::new();
        for target in grants.iter().flat_map(|grant| &grant.runas_users) {
            if !target.negated {
                named.push(&target.what);
            }
        }
        // Only a first choice, to ask the policy about few: ALL is root, and with it everybody.
        let is_named = |other: &Account| {
            named.iter().any(|what| match what {
                What::Word(word) | What::Alias(word) => match word.strip_prefix(b"#") {
                    Some(uid) => *uid == *other.uid.to_string().as_bytes(),
                    None => *word == other.name.as_str().as_bytes(),
                },
                What::UserGroup(word) => {
                    other
                        .groups
                        .iter()
                        .any(|group| match word.strip_prefix(b"%#") {
                            Some(gid) => *gid == *group.gid.to_string().as_bytes(),
                            None => word.get(1..) == Some(&group.name),
                        })
                }
                _ => false,
            })
        };
        if named.is_empty() {
            return Vec::new();
        }
        let others = accounts.iter().filter(|other| other.uid != 0);
        others.filter(is_named).take(TARGETS_MAX).collect()
    }

    fn policy<'p>(&'p self, superuser: &'p sudoers::Subject) -> Option<Policy<'p>> {
        Some(Policy {
            sudoers: self.sudoers.as_ref()?,
            host: &self.host,
            root: superuser,
            other_sources: &self.other_sources,
            now_unix: self.now,
        })
    }
}

/// The dialect of the installed sudo, by the version inside the program; `None` without one.
fn installed(root: &HostRoot, known: &mut Dialects) -> Result<Option<Dialect>, ReadError> {
    let learn = |bytes: &[u8]| Dialect::of_version(version(bytes).unwrap_or(""));
    for program in PROGRAMS {
        match known.of(root, Path::new(program), PROGRAM_BYTES_MAX, learn) {
            Ok(dialect) => return Ok(Some(dialect)),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// `PACKAGE_VERSION` of sudo's config.h: a string of its own such as `1.9.13p3`.
fn version(program: &[u8]) -> Option<&str> {
    let is_version = |text: &&[u8]| {
        let rest = text.strip_prefix(b"1.9.").or(text.strip_prefix(b"1.8."));
        rest.is_some_and(|rest| {
            rest.first().is_some_and(u8::is_ascii_digit)
                && rest.iter().all(|c| c.is_ascii_digit() || *c == b'p')
        })
    };
    let mut strings = program.split(|byte| *byte == 0);
    std::str::from_utf8(strings.find(is_version)?).ok()
}

/// Policy files as sudo would use them.
struct PolicyFiles<'r>(&'r HostRoot);

impl SudoersFiles for PolicyFiles<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let file = self.0.read(path, SUDOERS_BYTES_MAX).map_err(problem)?;
        Ok(file.bytes)
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem> {
        self.0.read_dir(dir, NAMES_MAX).map_err(problem)
    }
}

fn problem(error: ReadError) -> ReadProblem {
    if error.is_missing() {
        ReadProblem::Missing
    } else {
        // Whether sudo uses a file that we distrust cannot be told from here.
        ReadProblem::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_a_string_of_its_own_in_the_program() {
        let program = b"\x7fELF\0%s: 1.9.x\x001.4.1\0\x001.9.13p3\x001.9.1 rest\0";
        assert_eq!(version(program), Some("1.9.13p3"));
        assert_eq!(version(b"1.9.\0none"), None);
    }
}
