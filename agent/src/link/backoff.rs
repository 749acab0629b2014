//! How long to wait before the next attempt: exponential, with full jitter, so that a fleet that
//! lost its control plane at one instant does not come back at one instant.

use std::time::Duration;

use rescind_protocol::sign::fill_random;

/// The longest first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait of our own choosing.
const LONGEST: Duration = Duration::from_secs(120);
/// The longest wait a control plane can ask for.
const ASKED_LONGEST: Duration = Duration::from_secs(600);

/// Counts failures and says how long to wait.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: anything from nothing to a ceiling that doubles each time.
    pub fn after_failure(&mut self, random: u32) -> Duration {
        let ceiling = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        fraction(ceiling, random)
    }

    /// The wait that the control plane asked for, and up to a quarter more.
    pub fn asked(&self, wait: Duration, random: u32) -> Duration {
        let wait = wait.min(ASKED_LONGEST);
        wait + fraction(wait / 4, random)
    }

    /// A control plane has served us.
    pub const fn served(&mut self) {
        self.failures = 0;
    }
}

/// `random` parts in 2^32 of a duration.
pub fn fraction(of: Duration, random: u32) -> Duration {
    let nanos = (of.as_nanos() * u128::from(random)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// 32 random bits.
pub fn random() -> u32 {
    let mut bytes = [0; 4];
    fill_random(&mut bytes);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_minutes_and_start_again() {
        let mut backoff = Backoff::default();
        let seconds: Vec<f64> = (0..10)
            .map(|_| {
                backoff
                    .after_failure(u32::MAX)
                    .as_secs_f64()
                    .round_ties_even()
            })
            .collect();
        assert_eq!(
            seconds,
            [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0]
        );
        assert_eq!(backoff.after_failure(0), Duration::ZERO);
        backoff.served();
        assert!(backoff.after_failure(u32::MAX) <= FIRST);
        for _ in 0..100 {
            assert!(backoff.after_failure(u32::MAX) <= LONGEST);
        }
    }

    #[test]
    fn a_control_plane_cannot_send_a_host_away_for_good() {
        let backoff = Backoff::default();
        assert_eq!(
            backoff.asked(Duration::from_millis(u64::MAX), 0),
            ASKED_LONGEST
        );
        let asked = backoff.asked(Duration::from_secs(4), u32::MAX);
        assert!(asked > Duration::from_millis(4_900) && asked <= Duration::from_secs(5));
    }
}
