//! The time zone of this machine.

use nix::libc;

/// Seconds that local time is ahead of UTC at an instant; `None` where the C library cannot say.
pub fn utc_offset(unix_s: i64) -> Option<i64> {
    let time: libc::time_t = unix_s;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: `time` is a valid time_t, and `parts` is room for one tm, which localtime_r fills
    // in completely when it returns a pointer that is not null, and which is read only then.
    let offset = unsafe {
        if libc::localtime_r(&raw const time, parts.as_mut_ptr()).is_null() {
            return None;
        }
        parts.assume_init().tm_gmtoff
    };
    Some(offset)
}
