//! Giving memory back that only starting needed.

use std::fs;
use std::io;
use std::ops::Range;

use nix::libc;

/// Where this process's own code and that of its shared objects lies.
///
/// Look it up before a sandbox takes /proc away.
#[derive(Debug)]
pub struct Code(Vec<Range<usize>>);

impl Code {
    /// Reads /proc/self/maps: mappings of files that can be executed and not written.
    pub fn of_this_process() -> io::Result<Self> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        Ok(Self(maps.lines().filter_map(code_range).collect()))
    }

    /// Gives back the pages of code that are not in use right now, and the heap's free pages.
    ///
    /// Parsing options and files, loading, TLS handshakes: most of a daemon's code runs once. What
    /// is needed again is mapped again from the page cache.
    pub fn release(&self) {
        for range in &self.0 {
            // SAFETY: the range is a private mapping of a file, executable and not writable, for
            // the whole life of the process (the program and the shared objects it was linked
            // with are never unmapped). Such pages are never changed in memory, so that reading
            // them from the file again gives the same bytes.
            unsafe {
                libc::madvise(
                    range.start as *mut libc::c_void,
                    range.len(),
                    libc::MADV_DONTNEED,
                );
            }
        }
        #[cfg(target_env = "gnu")]
        // SAFETY: malloc_trim(3) has no preconditions and is safe among threads.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// A line of /proc/PID/maps (proc_pid_maps(5)) that is code from a file.
fn code_range(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    if fields.next()? != "r-xp" || !fields.nth(3)?.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_executable_unwritable_and_from_a_file() {
        for (line, found) in [
            ("7f00-8000 r-xp 00028000 fe:00 77 /usr/lib/libc.so.6", true),
            (
                "7f00-8000 r-xp 00028000 fe:00 77 /usr/bin/a b (deleted)",
                true,
            ),
            ("7f00-8000 r--p 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 rwxp 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 r-xs 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 r-xp 00000000 00:00 0 [vdso]", false),
            ("7f00-8000 r-xp 00000000 00:00 0", false),
            ("", false),
        ] {
            assert_eq!(code_range(line), found.then_some(0x7f00..0x8000), "{line}");
        }
    }

    #[test]
    fn the_process_goes_on_as_before() {
        let code = Code::of_this_process().unwrap();
        assert!(!code.0.is_empty());
        for _ in 0..10 {
            code.release();
            let words: Vec<String> = (0..100).map(|i| format!("{i}")).collect();
            assert_eq!(words.concat().len(), 190);
        }
    }
}
