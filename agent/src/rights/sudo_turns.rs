//! When what sudo allows changes although nothing on the host does.

use super::sudo::SudoFacts;
use crate::host::accounts::Accounts;
use crate::sudoers::Subject;

/// As far as the zone of a time that names none may be off, in seconds.
const ZONE_MAX_S: i64 = 14 * 3600;

impl SudoFacts {
    /// When rules begin or end to hold, and when a ticket that still counts is a minute older,
    /// which is said of it; in seconds since 1970, past ones among them.
    pub fn turns(&self, accounts: &Accounts) -> Vec<i64> {
        let root = accounts.superusers();
        let superuser = root.first().map_or_else(Subject::root, Subject::from);
        let Some(policy) = self.policy(&superuser) else {
            return Vec::new();
        };
        let mut turns = Vec::new();
        let privileges = policy
            .sudoers
            .specs
            .iter()
            .flat_map(|spec| &spec.privileges);
        let options = privileges
            .flat_map(|privilege| &privilege.rules)
            .map(|rule| &rule.options);
        for moment in options.flat_map(|options| [options.not_before, options.not_after]) {
            let Some(moment) = moment else { continue };
            let zones: &[i64] = match moment.local {
                true => &[-ZONE_MAX_S, ZONE_MAX_S],
                false => &[0],
            };
            for zone in zones {
                let at = moment.unix.saturating_add(*zone);
                // The one holds from then on, the other until then.
                turns.extend([at, at.saturating_add(1)]);
            }
        }
        for (owner, renewed) in &self.tickets {
            let mut accounts = accounts.iter();
            let owner = accounts.find(|account| account.name.as_str().as_bytes() == owner);
            if owner.is_some_and(|owner| self.spares(&policy, &owner).is_some()) {
                let minutes = self.now.saturating_sub(*renewed).max(0) / 60;
                turns.push(renewed.saturating_add((minutes + 1) * 60));
            }
        }
        turns
    }
}
