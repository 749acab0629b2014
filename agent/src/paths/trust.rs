//! Who gets in by the word of another: of a host, or of Kerberos.

use super::evaluate::{View, of_sshd, view};
use super::facts::{Facts, KeyFiles};
use super::ssh_hostbased::{self, Trusted};
use super::ssh_kerberos::{self, Admitted, Principal};
use crate::host::account::Account;
use crate::sshd::printable::printable_path;

/// Those who get in, and what is not known of them.
#[derive(Debug)]
pub struct Trust<T> {
    /// Who.
    pub trusted: Vec<T>,
    /// What could not be told: there may be others.
    pub unknown: Vec<String>,
}

/// The users of other hosts, or of this one, that sshd lets in as an account by their host's word.
pub fn trusted_hosts(
    account: &Account,
    facts: &Facts<'_>,
    files: &mut dyn KeyFiles,
) -> Trust<Trusted> {
    let mut all = Vec::new();
    let unknown = of_each(account, facts, files, |view, files, unknown| {
        if !view
            .worlds
            .iter()
            .any(|world| world.settings.hostbased_authentication.value)
        {
            return;
        }
        let (trusted, unread) = ssh_hostbased::trusted(view, files);
        all.extend(trusted.into_iter().map(|mut one| {
            one.verdict.reason = of_sshd(view.sshd, one.verdict.reason);
            one
        }));
        for (file, verdict) in unread {
            unknown.push(format!("{}: {}", printable_path(&file), verdict.reason));
        }
    });
    Trust {
        trusted: all,
        unknown,
    }
}

/// The Kerberos principals that sshd lets in as an account because its `.k5login` names them.
pub fn principals(
    account: &Account,
    facts: &Facts<'_>,
    files: &mut dyn KeyFiles,
) -> Trust<Principal> {
    let mut all = Vec::new();
    let unknown = of_each(account, facts, files, |view, files, unknown| {
        if ssh_kerberos::enabled(view).is_none() {
            return;
        }
        match ssh_kerberos::admitted(view, files) {
            (_, Admitted::Named(named)) => all.extend(named.into_iter().map(|mut one| {
                one.verdict.reason = of_sshd(view.sshd, one.verdict.reason);
                one
            })),
            (_, Admitted::Nobody | Admitted::Namesake) => {}
            (file, Admitted::Unread(problem)) => {
                unknown.push(format!("{}: {problem}", printable_path(&file)));
            }
        }
    });
    Trust {
        trusted: all,
        unknown,
    }
}

/// Asks every sshd; says why one could not be asked.
fn of_each(
    account: &Account,
    facts: &Facts<'_>,
    files: &mut dyn KeyFiles,
    mut ask: impl FnMut(&View<'_>, &mut dyn KeyFiles, &mut Vec<String>),
) -> Vec<String> {
    let mut unknown = Vec::new();
    for sshd in facts.sshds {
        match view(account, facts, sshd, files) {
            Ok(view) => ask(&view, files, &mut unknown),
            Err(why) => unknown.push(why.reason),
        }
    }
    unknown
}
