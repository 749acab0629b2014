//! Giving memory back that only starting needed.

use std::fs;
use std::io;
use std::ops::Range;

use nix::libc;

/// Where this process's own code and constants, and those of its shared objects, lie.
///
/// Look it up before a sandbox takes /proc away.
#[derive(Debug)]
pub struct Code(Vec<Range<usize>>);

impl Code {
    /// Reads /proc/self/maps: of each file the mappings of which it is plain that nothing writes to
    /// them, as `constant_range` says.
    pub fn of_this_process() -> io::Result<Self> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        Ok(Self(maps.lines().filter_map(constant_range).collect()))
    }

    /// Gives back the pages of code and constants that are not in use right now, and the heap's
    /// free pages.
    ///
    /// Parsing options and files, loading, TLS handshakes: most of a daemon's code runs once. What
    /// is needed again is mapped again from the page cache.
    pub fn release(&self) {
        for range in &self.0 {
            // SAFETY: the range is a private mapping of a file, of code or of what lies before it
            // with the file's header, and not writable, for the whole life of the process (the
            // program and the shared objects it was linked with are never unmapped). Such pages
            // are never changed in memory, so that reading them from the file again gives the same
            // bytes.
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

/// A line of /proc/PID/maps (proc_pid_maps(5)) that is code from a file, or the beginning of a file:
/// its header and the constants with it. Other mappings that are only read now may have been written
/// to, by the dynamic linker that protects them when it has (`PT_GNU_RELRO`).
fn constant_range(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, offset) = (fields.next()?, fields.next()?);
    let is_header = rights == "r--p" && offset.bytes().all(|digit| digit == b'0');
    if !(rights == "r-xp" || is_header) || !fields.nth(2)?.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_writes_to_is_known_by_its_mapping() {
        for (line, found) in [
            ("7f00-8000 r-xp 00028000 fe:00 77 /usr/lib/libc.so.6", true),
            (
                "7f00-8000 r-xp 00028000 fe:00 77 /usr/bin/a b (deleted)",
                true,
            ),
            ("7f00-8000 r--p 00000000 fe:00 77 /usr/lib/libc.so.6", true),
            ("7f00-8000 r--p 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 rw-p 00000000 fe:00 77 /usr/lib/libc.so.6", false),
            (
                "7f00-8000 r--s 00000000 fe:00 77 /var/cache/nscd/passwd",
                false,
            ),
            ("7f00-8000 rwxp 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 r-xs 00028000 fe:00 77 /usr/lib/libc.so.6", false),
            ("7f00-8000 r-xp 00000000 00:00 0 [vdso]", false),
            ("7f00-8000 r-xp 00000000 00:00 0", false),
            ("", false),
        ] {
            assert_eq!(
                constant_range(line),
                found.then_some(0x7f00..0x8000),
                "{line}"
            );
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
