//! What the options before a key allow: from where, until when (auth-options.c).

use super::evaluate::View;
use super::verdict::Checks;
use crate::sshd::key_options::{Expiry, KeyOptions};
use crate::sshd::matching::{ConnectionCriterion, Decide};
use crate::sshd::printable::printable;

/// Everything that one line says of itself.
pub fn check(view: &View<'_>, options: &KeyOptions, checks: &mut Checks) {
    if options.principals.is_some() && !options.cert_authority {
        checks.closed("principals= on a key that is no CA");
    }
    if !options.from_can_match() {
        checks.closed("from= matches no client");
    } else if let (Some(list), Some(connection)) = (&options.from, &view.facts.connection)
        && !connection
            .clone()
            .decide(&ConnectionCriterion::From(list.clone()))
    {
        checks.closed(format!(
            "from={} does not match this client",
            printable(list)
        ));
    }
    if let Some(expiry) = options.expiry {
        if expiry.utc && !view.release.at_least(9, 1) {
            checks.closed(format!(
                "{} does not understand an expiry-time in UTC",
                view.release
            ));
        }
        check_expiry(view, expiry, checks);
    }
}

/// The widest that any time zone is off UTC, in seconds: behind and ahead.
const ZONE_BEHIND: i64 = 12 * 3600;
const ZONE_AHEAD: i64 = 14 * 3600;

fn check_expiry(view: &View<'_>, expiry: Expiry, checks: &mut Checks) {
    let now = view.facts.now;
    let (earliest, latest) = match (expiry.utc, view.facts.utc_offset) {
        (true, _) => (expiry.seconds, expiry.seconds),
        // The offset of that day may differ by an hour of daylight saving.
        (false, Some(offset)) => (
            expiry.seconds - offset - 3600,
            expiry.seconds - offset + 3600,
        ),
        (false, None) => (expiry.seconds - ZONE_AHEAD, expiry.seconds + ZONE_BEHIND),
    };
    for instant in [earliest, latest] {
        view.facts.turns.note(instant.saturating_add(1), now);
    }
    if latest < now {
        checks.closed("expiry-time is over");
    } else if earliest < now {
        checks.unknown("expiry-time is about now, and in the host's own time zone");
    }
}
