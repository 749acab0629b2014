//! What each fuzz target is made of: the reader's function from `rescind_tests::readers`, changes to
//! inputs that know of words and lines, and limits on time and memory.

use rescind_tests::readers::cost::{Counting, TIME_MAX, bounded};
use rescind_tests::readers::mutate::mutate;
use rescind_tests::readers::random::Random;
use rescind_tests::readers::target;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[doc(hidden)]
pub use libfuzzer_sys;

/// The whole of a target's program.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::read($name, bytes));
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8],
                                              size: usize,
                                              max_size: usize,
                                              seed: u32| {
            $crate::change($name, data, size, max_size, seed)
        });
    };
}

/// Gives an input to the target's function.
///
/// # Panics
/// When it fails, or takes more time or memory than a reader may.
pub fn read(name: &str, bytes: &[u8]) {
    let target = target(name);
    bounded(TIME_MAX, || (target.read)(bytes));
}

/// Changes an input: as libFuzzer does, or by words and lines.
pub fn change(name: &str, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed % 2 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut input = data[..size].to_vec();
    let mut random = Random::new(seed.into());
    mutate(&mut input, target(name).words, &mut random, max_size);
    data[..input.len()].copy_from_slice(&input);
    input.len()
}
