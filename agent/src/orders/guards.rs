//! The rules that keep an order from harming the organisation. Pure.
//!
//! A guard that cannot tell refuses: an order that is refused is reported and can be given again
//! with the host's `agent.toml` changed by its administrator; a host that locked everybody out
//! cannot be given anything.

use std::collections::BTreeSet;

use rescind_protocol::name::AccountName;
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Guard;

use crate::config::{Ceiling, Guards, Protected};

/// What an order would touch.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Accounts that would be closed, or whose sessions would end.
    pub closed: BTreeSet<AccountName>,
    /// Accounts that would lose some access: those, and those that would lose a key.
    pub accounts: BTreeSet<AccountName>,
    /// The accounts that lost access to other orders within the window.
    pub recently: BTreeSet<AccountName>,
    /// The ways in for root that would be gone, and those that would be left.
    pub root: RootWays,
}

/// Ways in for root, each in words: an account and how it gets in and becomes root.
#[derive(Debug, Clone, Default)]
pub struct RootWays {
    /// Those the order would close; also those of which it cannot be told.
    pub closed: Vec<String>,
    /// Those that certainly stay.
    pub left: Vec<String>,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// By which guard.
    pub guard: Guard,
    /// Why, and what to do.
    pub reason: String,
}

/// Judges an action by its kind alone, before anything of the host is read.
pub fn ceiling(action: &Action, ceiling: &Ceiling) -> Result<(), Refusal> {
    if ceiling.allows(action) {
        return Ok(());
    }
    Err(Refusal {
        guard: Guard::Ceiling,
        reason: format!(
            "this host's agent.toml does not allow {} ([ceiling] allow)",
            action.name()
        ),
    })
}

/// Judges what an action would do to this host.
///
/// A protected account is never closed. A key can be taken from it, for as long as root keeps a
/// way in: a leaver's key in root's own file is what revoking keys is for.
pub fn judge(reach: &Reach, limits: &Guards) -> Result<(), Refusal> {
    let refuse = |guard, reason| Err(Refusal { guard, reason });
    for account in &reach.closed {
        match limits.protects(account) {
            None => {}
            Some(Protected::AgentUser) => {
                let reason = format!("{account} is the user the agent itself runs as");
                return refuse(Guard::AgentUser, reason);
            }
            Some(Protected::Listed) => {
                let reason = format!(
                    "{account} is protected by this host's agent.toml \
                     ([guards] protected-accounts)"
                );
                return refuse(Guard::ProtectedAccount, reason);
            }
        }
    }
    if !reach.root.closed.is_empty() && reach.root.left.is_empty() {
        return refuse(
            Guard::LastRootWayIn,
            format!(
                "it would close the last way in for root ({}); give root another way in first",
                reach.root.closed.join("; ")
            ),
        );
    }
    let together = reach.accounts.union(&reach.recently).count();
    let allowed = limits.blast_radius_accounts as usize;
    if !reach.accounts.is_subset(&reach.recently) && together > allowed {
        return refuse(
            Guard::BlastRadius,
            format!(
                "{together} accounts would have lost access within the window, this host allows \
                 {allowed} ([guards] blast-radius-accounts)"
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn names(text: &str) -> BTreeSet<AccountName> {
        text.split_whitespace()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn verdict(accounts: &str, recently: &str, closed: &str, left: &str) -> Option<Guard> {
        let limits = Guards {
            protected_accounts: names("breakglass"),
            blast_radius_accounts: 3,
            ..Config::default().guards
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let reach = Reach {
            closed: names(accounts),
            accounts: names(accounts),
            recently: names(recently),
            root: RootWays {
                closed: words(closed),
                left: words(left),
            },
        };
        judge(&reach, &limits).err().map(|refusal| refusal.guard)
    }

    #[test]
    fn guards_refuse_exactly_what_they_are_for() {
        for (accounts, recently, closed, left, want) in [
            ("alice", "", "", "", None),
            ("rescind-link", "", "", "", Some(Guard::AgentUser)),
            (
                "alice breakglass",
                "",
                "",
                "",
                Some(Guard::ProtectedAccount),
            ),
            ("alice", "", "alice", "", Some(Guard::LastRootWayIn)),
            ("alice", "", "alice", "root", None),
            ("alice", "b c", "", "", None),
            ("alice", "b c d", "", "", Some(Guard::BlastRadius)),
            // Who already lost access does not count again, even beyond the limit.
            ("b", "b c d e", "", "", None),
            ("a b c d", "", "", "", Some(Guard::BlastRadius)),
        ] {
            assert_eq!(
                verdict(accounts, recently, closed, left),
                want,
                "{accounts} {recently}"
            );
        }
    }

    #[test]
    fn a_key_can_be_taken_from_a_protected_account() {
        let reach = Reach {
            accounts: names("root"),
            ..Reach::default()
        };
        assert_eq!(judge(&reach, &Config::default().guards), Ok(()));
    }

    #[test]
    fn an_action_above_the_ceiling_is_refused() {
        let none = Ceiling {
            allow: BTreeSet::new(),
        };
        let account: AccountName = "alice".parse().unwrap();
        let end = Action::EndSessions { account };
        assert_eq!(ceiling(&end, &none).unwrap_err().guard, Guard::Ceiling);
        assert_eq!(ceiling(&end, &Config::default().ceiling), Ok(()));
    }
}
