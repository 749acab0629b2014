//! The wall clock, read here and nowhere else: everything that decides takes the time as an
//! argument.

use std::time::{SystemTime, UNIX_EPOCH};

use rescind_protocol::name::UnixMillis;

/// A wall-clock instant in microseconds since 1970, for timelines whose steps take less than a
/// millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMicros(pub u64);

impl UnixMicros {
    /// The instant in milliseconds, rounded down.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 / 1000)
    }
    /// Milliseconds from `earlier` to this instant; negative when the clock was set back between.
    pub fn ms_since(self, earlier: Self) -> f64 {
        (self.0 as f64 - earlier.0 as f64) / 1000.0
    }
}

/// Now, by the system's wall clock; a clock before 1970 reads as 1970.
pub fn now_us() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMicros(since.map_or(0, |since| since.as_micros() as u64))
}

/// Now, in milliseconds.
pub fn now() -> UnixMillis {
    now_us().millis()
}
