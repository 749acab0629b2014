//! Keys that sshd takes for revoked (`auth_key_is_revoked` of auth.c).

use super::facts::{KeyFiles, ReadAs};
use super::ssh_certificates::rooted;
use super::verdict::Checks;
use crate::host::account::Account;
use crate::sshd::certificate::Certificate;
use crate::sshd::effective::Effective;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::KeyLine;
use crate::sshd::printable::printable;
use crate::sshd::release::Release;
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
    pub fn read(
        account: &Account,
        settings: &Effective,
        release: &Release,
        files: &mut dyn KeyFiles,
    ) -> Self {
        let setting = &settings.revoked_keys;
        let file = setting.value.as_deref().map(|name| RevokedFile {
            told: format!("RevokedKeys {} ({})", printable(name), setting.origin),
            keys: files
                .read(account, &rooted(name), ReadAs::Root)
                .map(|facts| RevokedKeys::parse(&facts.bytes, release)),
        });
        Self { file }
    }

    /// Whether a key, or the key of a CA, is revoked.
    pub fn check(&self, key: &KeyLine, checks: &mut Checks) {
        self.check_with(|keys| keys.check(key), checks);
    }

    /// Whether a certificate is revoked, or the CA that signed it.
    pub fn check_certificate(&self, certificate: &Certificate, checks: &mut Checks) {
        self.check_with(|keys| keys.check_certificate(certificate), checks);
    }

    /// Says that some certificates of a CA are revoked, though it is not.
    pub fn note_certificates(&self, authority: &KeyLine, checks: &mut Checks) {
        if let Some(RevokedFile {
            told,
            keys: Ok(keys),
        }) = &self.file
            && keys.names_certificates_of(&authority.fingerprint)
        {
            checks.note(format!("but some that {told} revokes by serial or key id"));
        }
    }

    fn check_with(&self, find: impl FnOnce(&RevokedKeys) -> Revocation, checks: &mut Checks) {
        let Some(RevokedFile { told, keys }) = &self.file else {
            return;
        };
        match keys {
            Ok(keys) => match find(keys) {
                Revocation::NotListed => {}
                Revocation::Revoked => checks.closed(told.clone()),
                Revocation::Refused { line } => {
                    checks.closed(format!(
                        "{told}: sshd refuses keys because it cannot read line {line}"
                    ));
                }
                Revocation::Damaged => checks.closed(format!(
                    "{told} is a KRL that sshd cannot read, so it refuses every key"
                )),
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
