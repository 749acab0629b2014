//! Keys that sshd takes for revoked (`auth_key_is_revoked` of auth.c).

use super::facts::{KeyFiles, ReadAs};
use super::ssh_certificates::rooted;
use super::verdict::Checks;
use crate::host::account::Account;
use crate::sshd::effective::Effective;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::KeyLine;
use crate::sshd::printable::printable;
use crate::sshd::revoked_keys::{Revocation, RevokedKeys};

/// What `RevokedKeys` names, if anything.
pub struct Revocations {
    file: Option<RevokedFile>,
}

struct RevokedFile {
    /// The setting, for reasons.
    told: String,
    keys: Result<RevokedKeys, ReadProblem>,
}

impl Revocations {
    /// Reads the file that is in force.
    pub fn read(account: &Account, settings: &Effective, files: &mut dyn KeyFiles) -> Self {
        let setting = &settings.revoked_keys;
        let file = setting.value.as_deref().map(|name| RevokedFile {
            told: format!("RevokedKeys {} ({})", printable(name), setting.origin),
            keys: files
                .read(account, &rooted(name), ReadAs::Root)
                .map(|facts| RevokedKeys::parse(&facts.bytes)),
        });
        Self { file }
    }

    /// Whether a key, or the key of a CA, is revoked.
    pub fn check(&self, key: &KeyLine, checks: &mut Checks) {
        let Some(RevokedFile { told, keys }) = &self.file else {
            return;
        };
        match keys {
            Ok(keys) => match keys.check(key) {
                Revocation::NotListed => {}
                Revocation::Revoked => checks.closed(told.clone()),
                Revocation::Refused { line } => {
                    checks.closed(format!(
                        "{told}: sshd refuses keys because it cannot read line {line}"
                    ));
                }
                Revocation::Unreadable => {
                    checks.unknown(format!("{told} is a KRL that could not be read"))
                }
            },
            // sshd refuses every key when it cannot read the file.
            Err(ReadProblem::Missing | ReadProblem::Directory) => {
                checks.closed(format!(
                    "{told}: there is no such file, so sshd refuses every key"
                ));
            }
            Err(problem) => checks.unknown(format!("{told} could not be read: {problem}")),
        }
    }
}
