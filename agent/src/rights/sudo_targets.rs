//! Whom a rule of sudoers(5) lets somebody become.

use std::cell::RefCell;

use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::sudoers::policy::Granted;
use crate::sudoers::tree::What;

/// Lists of targets whose account is remembered.
const REMEMBERED_MAX: usize = 64;

/// The accounts that lists of targets were found to mean, so that a rule for everybody is not
/// looked through for everybody.
///
/// For one reading of the accounts: another may find others.
#[derive(Debug, Default)]
pub struct Targets(RefCell<Vec<(Vec<Granted>, Option<Account>)>>);

impl Targets {
    /// One account that the list is for, root before others.
    pub(super) fn one_of(&self, list: &[Granted], accounts: &Accounts) -> Option<Account> {
        let is_for = |account: &Account| is_for(list, account);
        if let Some(root) = accounts.superusers().iter().find(|root| is_for(root)) {
            return Some(root.clone());
        }
        if list.iter().all(|member| member.negated) {
            return None;
        }
        let mut known = self.0.borrow_mut();
        if let Some((_, account)) = known.iter().find(|(other, _)| other == list) {
            return account.clone();
        }
        let account = accounts.iter().find(is_for);
        if known.len() < REMEMBERED_MAX {
            known.push((list.to_vec(), account.clone()));
        }
        account
    }
}

/// Whether an account is one of a list's: the last member that fits decides.
fn is_for(list: &[Granted], account: &Account) -> bool {
    let fits = |member: &&Granted| is_named(&member.what, account);
    let last = list.iter().rev().find(fits);
    last.is_some_and(|member| !member.negated)
}

/// Whether a member of a runas list names an account.
pub(super) fn is_named(what: &What, account: &Account) -> bool {
    match what {
        What::All => true,
        What::Word(word) | What::Alias(word) => match word.strip_prefix(b"#") {
            Some(uid) => *uid == *account.uid.to_string().as_bytes(),
            None => *word == account.name.as_str().as_bytes(),
        },
        What::UserGroup(word) => {
            account
                .groups
                .iter()
                .any(|group| match word.strip_prefix(b"%#") {
                    Some(gid) => *gid == *group.gid.to_string().as_bytes(),
                    None => word.get(1..) == Some(&group.name),
                })
        }
        _ => false,
    }
}
