//! The routes.

/// Cron, at, timers, units: what runs later.
mod deferred;
/// Keys, and the places they lie in; other sshds.
mod keys;
/// Services of PAM that let expired accounts pass.
mod pam;
/// Passwords, and the shapes of their fields.
mod passwords;
/// Rules that make somebody else, or root.
mod rights;
/// What is open already.
mod running;
/// Certificates and trusted hosts.
mod trust;

use super::route::{On, Route};

/// All of them, as they are on one host.
pub fn all(on: On) -> Vec<Route> {
    let families = [
        passwords::all(on),
        keys::all(),
        trust::all(),
        running::all(),
        deferred::all(),
        rights::all(),
        pam::all(),
    ];
    families.into_iter().flatten().collect()
}
