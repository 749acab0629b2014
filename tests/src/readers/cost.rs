//! How much time and memory reading has taken.
//!
//! libFuzzer's limits are on its whole process, with its corpus and its tables of coverage in it, and
//! on time as the wall's clock shows it, whoever else uses the machine. Here are counted what is asked
//! of the allocator, and the time for which this thread was running.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The most that a reader may hold at one time, whatever it is given.
pub const BYTES_MAX: usize = 64 << 20;
/// The longest that it may take, as it is released.
pub const TIME_MAX: Duration = Duration::from_secs(1);

/// What reading has taken.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// How many bytes more than before were held at one time; 0 where [`Counting`] is not the global
    /// allocator.
    pub bytes: usize,
    /// How long the thread was running.
    pub time: Duration,
}

/// Runs something on this thread.
///
/// # Panics
/// When it takes longer than `longest`, or more memory than a reader may.
pub fn bounded(longest: Duration, run: impl FnOnce()) -> Cost {
    let before = HELD.get();
    PEAK.set(before);
    LONGEST.set(longest);
    ASIDE.set((Duration::ZERO, Duration::ZERO));
    let began = thread_time();
    run();
    let (aside, longest_aside) = ASIDE.get();
    let time = thread_time().saturating_sub(began).saturating_sub(aside);
    let bytes = usize::try_from(PEAK.get() - before).unwrap_or(0);
    assert!(time <= longest, "it took {time:?}");
    assert!(bytes <= BYTES_MAX, "it held {bytes} bytes at one time");
    Cost {
        bytes,
        time: time.max(longest_aside),
    }
}

/// Runs something that is a reading of its own: the same bytes as another version of a program takes
/// them. It may take as long as all the rest, and does not count there.
///
/// # Panics
/// When it takes longer.
pub fn alone(run: impl FnOnce()) {
    let began = thread_time();
    run();
    let time = thread_time().saturating_sub(began);
    assert!(
        time <= LONGEST.get(),
        "one reading of several took {time:?}"
    );
    let (aside, longest) = ASIDE.get();
    ASIDE.set((aside + time, longest.max(time)));
}

/// How long this thread has been running.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("every Linux has this clock").into()
}

/// The system's allocator, counting.
pub struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// What one reading may take.
    static LONGEST: Cell<Duration> = const { Cell::new(Duration::MAX) };
    /// What those that count for themselves took together, and the longest of them.
    static ASIDE: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

fn count(more: isize) {
    let held = HELD.get() + more;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting
// allocates nothing, for the cells are constants without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `at` came from one of the functions here, so from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is moved, both are there.
        count(size.cast_signed());
        count(-layout.size().cast_signed());
        // SAFETY: as in `dealloc`; the size is what the caller answers for.
        unsafe { System.realloc(at, layout, size) }
    }
}
