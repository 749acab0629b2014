//! Values that must never be seen again, and the search for any part of them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// So many bytes in a row of a value are a leak.
const PART: usize = 12;

/// Every part of every value, as it is, in hexadecimal and in base64.
pub struct Canaries {
    parts: HashSet<[u8; PART]>,
    /// Which beginnings of three bytes a part may have: most of a memory has none of them.
    begins: Vec<u64>,
    /// How many values there are.
    pub values: usize,
}

impl Default for Canaries {
    fn default() -> Self {
        Self::new()
    }
}

impl Canaries {
    /// None yet.
    pub fn new() -> Self {
        Self {
            parts: HashSet::new(),
            begins: vec![0; 1 << 18],
            values: 0,
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: &[u8]) {
        self.values += 1;
        self.add_text(value);
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add_text(hex.as_bytes());
        self.add_text(hex.to_uppercase().as_bytes());
        // In base64 a value looks different at each of three places; its ends depend on what stands
        // around it.
        for before in 0..3 {
            let shifted = [&[0; 2][..before], value].concat();
            let text = STANDARD.encode(shifted);
            if text.len() > 8 + PART {
                self.add_text(&text.as_bytes()[4..text.len() - 4]);
            }
        }
    }

    fn add_text(&mut self, text: &[u8]) {
        for window in text.windows(PART) {
            let part: [u8; PART] = window.try_into().expect("as long as a part");
            // A value of one byte over and over is no value.
            if part.iter().any(|byte| *byte != part[0]) {
                let (word, bit) = Self::place(&part);
                self.begins[word] |= bit;
                self.parts.insert(part);
            }
        }
    }

    fn place(part: &[u8]) -> (usize, u64) {
        let begin = usize::from(part[0]) << 16 | usize::from(part[1]) << 8 | usize::from(part[2]);
        (begin >> 6, 1 << (begin & 63))
    }

    /// How many parts of values there are in some bytes; the first one's place.
    pub fn search(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut found = bytes
            .windows(PART)
            .enumerate()
            .filter(|(_, window)| {
                let (word, bit) = Self::place(window);
                self.begins[word] & bit != 0 && self.parts.contains(*window)
            })
            .map(|(at, _)| at);
        let first = found.next()?;
        Some((found.count() + 1, first))
    }

    /// Searches everything that a core dump of a process would hold: all that can be read of its
    /// memory. How many bytes that were, and where a value was seen.
    pub fn search_process(&self, pid: u32) -> std::io::Result<(usize, Vec<String>)> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let mut memory = File::open(format!("/proc/{pid}/mem"))?;
        let (mut read, mut seen) = (0, Vec::new());
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let (range, rights) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let name = words.nth(3).unwrap_or("");
            let Some((start, end)) = range.split_once('-') else {
                continue;
            };
            let hex = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            if !rights.starts_with('r') || name.starts_with("[v") {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(hex(end) - hex(start)).unwrap_or(0)];
            memory.seek(SeekFrom::Start(hex(start)))?;
            if memory.read_exact(&mut bytes).is_err() {
                continue; // beyond the end of a mapped file
            }
            read += bytes.len();
            if let Some((count, at)) = self.search(&bytes) {
                seen.push(format!(
                    "{count} parts of values in {range} {name} at {at:#x}"
                ));
            }
        }
        Ok((read, seen))
    }

    /// Searches all files below a directory.
    pub fn search_files(&self, dir: &Path) -> std::io::Result<(usize, Vec<String>)> {
        let (mut read, mut seen) = (0, Vec::new());
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                let (more, where_seen) = self.search_files(&path)?;
                read += more;
                seen.extend(where_seen);
            } else {
                let bytes = std::fs::read(&path)?;
                read += bytes.len();
                if let Some((count, at)) = self.search(&bytes) {
                    seen.push(format!(
                        "{count} parts of values in {} at {at:#x}",
                        path.display()
                    ));
                }
            }
        }
        Ok((read, seen))
    }
}

/// So many bytes of chance.
pub fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut source = File::open("/dev/urandom").expect("/dev/urandom");
    source.read_exact(&mut bytes).expect("/dev/urandom");
    bytes
}

/// So many letters and digits of chance.
pub fn letters(len: usize) -> String {
    const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    random(len)
        .iter()
        .map(|byte| char::from(ALL[usize::from(*byte) % ALL.len()]))
        .collect()
}
