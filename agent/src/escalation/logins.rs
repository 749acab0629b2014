//! Logins from the host to itself: with a private key that lies on it, or by its own word.

use std::rc::Rc;

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

use super::ground::can_read;
use super::steps::{Means, Step, Sure};
use crate::home::Looked;
use crate::host::account::Account;
use crate::sshd::printable::printable;

/// A private key that lies on the host and logs somebody in to it.
#[derive(Debug, Clone)]
pub struct HeldKey {
    /// Where it lies.
    pub path: Vec<u8>,
    /// What that path leads to.
    pub way: Rc<Looked>,
    /// It is kept under a passphrase.
    pub encrypted: bool,
    /// As whom it logs in.
    pub to: AccountName,
    /// What sshd says of it.
    pub reason: String,
    /// Where its public half stands.
    pub source: Option<Source>,
    /// Whether it is accepted.
    pub sure: Sure,
}

/// Somebody who is let in as another because the host, or Kerberos, says who they are.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// Who.
    pub from: AccountName,
    /// As whom.
    pub to: AccountName,
    /// By which of the two.
    pub means: Means,
    /// What lets them in.
    pub reason: String,
    /// Where that stands.
    pub source: Option<Source>,
    /// Whether it does.
    pub sure: Sure,
}

/// The steps of an account by keys that it can read.
pub(super) fn by_keys(account: &Account, keys: &[HeldKey], steps: &mut Vec<Step>) {
    let others = keys.iter().filter(|key| key.to != account.name);
    for key in others.filter(|key| can_read(account, &key.way)) {
        let (locked, sure) = match key.encrypted {
            true => (", under a passphrase", key.sure.max(Sure::WithPassword)),
            false => ("", key.sure),
        };
        steps.push(Step {
            to: key.to.clone(),
            enters: None,
            means: Means::SshKey,
            reason: format!(
                "it can read the private key {}{locked}, which logs in as {}: {}",
                printable(&key.path),
                key.to,
                key.reason
            ),
            source: key.source.clone(),
            sure,
        });
    }
}

/// The steps of an account by the word of others.
pub(super) fn by_word(account: &Account, vouched: &[Vouched], steps: &mut Vec<Step>) {
    let own = vouched
        .iter()
        .filter(|one| one.from == account.name && one.to != account.name);
    steps.extend(own.map(|one| Step {
        to: one.to.clone(),
        enters: None,
        means: one.means,
        reason: one.reason.clone(),
        source: one.source.clone(),
        sure: one.sure,
    }));
}
