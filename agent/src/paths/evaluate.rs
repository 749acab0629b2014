//! All of it for one account.

use std::sync::Arc;

use rescind_protocol::name::KeyFingerprint;
use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source, in_short, in_short_with};

use super::facts::{Facts, KeyFiles, Sshd};
use super::key_files::{group_names, subject};
use super::revocations::Revocations;
use super::verdict::{Checks, Verdict};
use super::{
    chroot, console, ssh_certificates, ssh_gate, ssh_hostbased, ssh_kerberos, ssh_keys, ssh_others,
};
use crate::host::account::Account;
use crate::sshd::effective::{Effective, Origin};
use crate::sshd::include::ConfigError;
use crate::sshd::printable::printable_path;
use crate::sshd::release::Release;
use crate::sshd::worlds::{TooManyWorlds, World, worlds};

/// Every way in for an account that depends on credentials: keys, certificates and passwords, over each sshd and at
/// the console. Files are read through `files`, each once for each sshd.
pub fn evaluate(account: &Account, facts: &Facts<'_>, files: &mut dyn KeyFiles) -> Vec<AccessPath> {
    let mut paths = Vec::new();
    for sshd in facts.sshds {
        let from = paths.len();
        match view(account, facts, sshd, files) {
            Ok(view) => {
                ssh_keys::add(&view, files, &mut paths);
                ssh_certificates::add(&view, files, &mut paths);
                ssh_others::add(&view, &mut paths);
                ssh_hostbased::add(&view, files, &mut paths);
                ssh_kerberos::add(&view, files, &mut paths);
            }
            Err(unknown) => {
                for mechanism in [
                    Mechanism::SshPublicKey,
                    Mechanism::SshCertificate,
                    Mechanism::SshPassword,
                ] {
                    paths.push(AccessPath {
                        account: account.name.clone(),
                        uid: account.uid,
                        mechanism,
                        state: PathState::Unknown,
                        reason: in_short(unknown.reason.clone()),
                        source: Some(unknown.source.clone()),
                        fingerprint: None,
                    });
                }
            }
        }
        for path in &mut paths[from..] {
            path.reason = of_sshd(sshd, std::mem::take(&mut path.reason));
        }
    }
    paths.push(console::path(account, facts));
    paths
}

/// A reason, with what is to be said of the sshd itself.
pub(super) fn of_sshd(sshd: &Sshd, reason: String) -> String {
    match sshd.running {
        true => reason,
        false => in_short_with(reason, "; this sshd is not running"),
    }
}

/// One sshd as an account meets it.
pub struct View<'a> {
    /// The account.
    pub account: &'a Account,
    /// What is so now.
    pub facts: &'a Facts<'a>,
    /// Which sshd, for sources.
    pub sshd: &'a Sshd,
    /// Its release.
    pub release: &'a Release,
    /// The kinds of connection that it tells apart, at least one.
    pub worlds: Vec<Situation>,
}

/// What holds in one world.
pub struct Situation {
    /// The world.
    pub world: World,
    /// The settings in force.
    pub settings: Arc<Effective>,
    /// What stands before every login.
    pub gate: Checks,
    /// The keys that are revoked.
    pub revoked: Revocations,
}

/// Why nothing can be told of an sshd.
pub(super) struct Unknown {
    pub reason: String,
    source: Source,
}

/// One sshd as an account meets it.
pub(super) fn view<'a>(
    account: &'a Account,
    facts: &'a Facts<'a>,
    sshd: &'a Sshd,
    files: &mut dyn KeyFiles,
) -> Result<View<'a>, Unknown> {
    let whole_file = || Source {
        file: sshd.name.clone(),
        line: None,
    };
    let config = sshd.config.as_ref().map_err(|error| Unknown {
        reason: format!("what sshd allows is not known: {error}"),
        source: match error {
            ConfigError::Unreadable { file, .. } => Source {
                file: printable_path(file),
                line: None,
            },
            ConfigError::Invalid { file, line, .. } => Source {
                file: printable_path(file),
                line: Some(*line),
            },
        },
    })?;
    let groups = group_names(account);
    let subject = subject(account, &groups);
    let situation = |connection: &mut dyn crate::sshd::matching::Decide| {
        let settings = config.effective(&subject, connection);
        let gate = ssh_gate::check(account, &settings, facts, &sshd.pam, connection);
        (settings, gate)
    };
    let found = match &facts.connection {
        Some(connection) => Ok(vec![(World::new(), situation(&mut connection.clone()))]),
        None => worlds(situation),
    };
    let worlds = found.map_err(|error: TooManyWorlds| Unknown {
        reason: format!("what sshd allows is not known: {error}"),
        source: whole_file(),
    })?;
    let worlds = worlds
        .into_iter()
        .map(|(world, (settings, mut gate))| {
            chroot::check(account, &settings, config.release(), files, &mut gate);
            Situation {
                revoked: Revocations::read(account, &settings, config.release(), files),
                world,
                settings,
                gate,
            }
        })
        .collect();
    Ok(View {
        account,
        facts,
        sshd,
        release: config.release(),
        worlds,
    })
}

impl View<'_> {
    /// A path of this account.
    pub fn path(
        &self,
        mechanism: Mechanism,
        verdict: Verdict,
        source: Source,
        fingerprint: Option<KeyFingerprint>,
    ) -> AccessPath {
        AccessPath {
            account: self.account.name.clone(),
            uid: self.account.uid,
            mechanism,
            state: verdict.state,
            reason: verdict.reason,
            source: Some(source),
            fingerprint,
        }
    }

    /// Where a setting stands; this sshd's configuration as a whole for a default.
    pub fn source_of(&self, origin: &Origin) -> Source {
        match origin {
            Origin::Line { file, line } => Source {
                file: printable_path(file),
                line: Some(*line),
            },
            Origin::Default => Source {
                file: self.sshd.name.clone(),
                line: None,
            },
        }
    }
}

#[cfg(test)]
mod tests;
