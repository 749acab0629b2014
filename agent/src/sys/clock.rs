//! The host's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use rescind_protocol::name::UnixMillis;

/// The wall clock; a clock set before 1970 reads as 0.
pub fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}

/// Microseconds that this host has slept since it booted: what CLOCK_BOOTTIME is ahead of
/// CLOCK_MONOTONIC.
pub fn slept_us() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec()).unwrap_or(0) / 1000;
    boot_us().saturating_sub(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// The ticks in which /proc counts (proc(5), `starttime`), as microseconds.
pub fn ticks_us(ticks: u64) -> u64 {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let per_second = per_second
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| *n > 0);
    // 100 is what every Linux has.
    ticks.saturating_mul(1_000_000 / per_second.unwrap_or(100))
}

/// Microseconds since the host booted, time asleep included; never steps. 0 on a kernel without
/// `CLOCK_BOOTTIME` (before 2.6.39).
pub fn boot_us() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        return 0;
    };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec()).unwrap_or(0) / 1000;
    seconds.saturating_mul(1_000_000).saturating_add(micros)
}
