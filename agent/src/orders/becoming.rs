//! What is read to tell who can become whom.

use std::rc::Rc;

use crate::escalation::explain::{Explanation, Ways, explain as follow};
use crate::host::account::Account;
use crate::orders::acting::su;
use crate::orders::reading::{self, Reading};

/// Why an account can become root, step by step.
pub fn explain(reading: &mut Reading<'_>, account: &Account) -> Explanation {
    let acting = reading.all_acting();
    let accounts = Rc::clone(&reading.accounts);
    let su = su(reading.root());
    let ways = Ways {
        accounts: &accounts,
        sudo: acting.sudo(),
        doas: acting.doas(),
        polkit: acting.polkit(),
        groups: acting.groups(),
        su: &su,
        today: reading::now().div_euclid(86_400),
    };
    follow(account, &ways)
}
