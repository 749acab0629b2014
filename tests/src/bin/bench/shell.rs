//! The same edits as an administrator makes them: usermod and sed over ssh. Neither durable, nor
//! verified, nor on record, and whoever is logged in stays.

use crate::Figures;
use crate::people::People;
use rescind_tests::{Account, Host, Key, Login};

/// Closes accounts over a new ssh connection each, and over one that is open already.
pub fn usermod(host: &Host, people: &People, key: &Key, times: usize) -> (Figures, Figures) {
    Account::existing(host, "root").authorize(key);
    let login = Login::to(host, "root").with(key);
    let command = |nth: usize| {
        let (name, keys) = (people.name(nth), people.key_file(nth));
        format!("usermod -e 1 -L {name} && sed -i /ssh-ed25519/d {keys}")
    };
    let (mut afresh, mut over_master) = (Figures::default(), Figures::default());
    for nth in 0..times {
        afresh.add_time(login.run(&command(nth)).ok().took);
    }
    let master = login.open_master();
    for nth in 0..times {
        // Others than before, as far as there are others.
        over_master.add_time(master.run(&command(times + nth)).ok().took);
    }
    (afresh, over_master)
}
