//! How many of something are taken per second: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rescind_protocol::message::RetryAfter;
use rescind_protocol::sign::fill_random;

/// Lets so many through per second, twice as many at once.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            state: Mutex::new((2.0 * per_second, now)),
        }
    }

    /// Whether one more may pass now.
    #[must_use]
    pub fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, since) = *state;
        let gained = now.saturating_duration_since(since).as_secs_f64() * self.per_second;
        let level = (level + gained).min(2.0 * self.per_second);
        let passes = level >= 1.0;
        *state = (if passes { level - 1.0 } else { level }, now);
        passes
    }
}

/// The answer to those who do not pass: come back after 1 s to `spread`, evenly spread, so that
/// they do not all come back together.
pub fn retry_after(spread: Duration) -> RetryAfter {
    let mut random = [0; 8];
    fill_random(&mut random);
    let spread_ms = spread.as_millis().max(1) as u64;
    RetryAfter {
        ms: 1000 + u64::from_le_bytes(random) % spread_ms,
        why: "more hosts connect at once than this server takes".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let bucket = Bucket::new(10, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 20);
        let later = start + Duration::from_millis(350);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 3);
        // A clock that stands still or goes back gives nothing.
        assert!(!bucket.take(start));
    }
}
