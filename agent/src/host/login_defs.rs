//! login.defs(5), as far as it says who is a person.

use std::path::Path;

use super::root::{HostRoot, ReadError};

/// The uids that useradd(8) gives to people and to the system's own accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginDefs {
    /// `UID_MIN`: the lowest uid of a person.
    pub uid_min: u32,
    /// `UID_MAX`: the highest uid of a person.
    pub uid_max: u32,
    /// `SYS_UID_MAX`: the highest uid of a system account; `UID_MIN` - 1 unless it says else.
    pub sys_uid_max: u32,
}

impl LoginDefs {
    /// Reads `/etc/login.defs`, or the vendor's in `/usr/etc`; the defaults of login.defs(5)
    /// where there is neither.
    pub fn read(root: &HostRoot) -> Result<Self, ReadError> {
        for path in ["/etc/login.defs", "/usr/etc/login.defs"] {
            match root.read(Path::new(path), BYTES_MAX) {
                Err(ReadError::Missing { .. }) => {}
                file => return Ok(Self::parse(&file?.bytes)),
            }
        }
        Ok(Self::parse(b""))
    }

    /// Takes the file's content; the last line of a name counts, a value that is no number does not.
    pub fn parse(bytes: &[u8]) -> Self {
        let value = |name: &str| {
            let lines = bytes.split(|byte| *byte == b'\n').rev();
            let mut named = lines.filter(|l| l.trim_ascii_start().starts_with(name.as_bytes()));
            named.find_map(|line| {
                let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
                (words.next()? == name).then(|| number(words.next()?))?
            })
        };
        let uid_min = value("UID_MIN").unwrap_or(1000);
        Self {
            uid_min,
            uid_max: value("UID_MAX").unwrap_or(60_000),
            sys_uid_max: value("SYS_UID_MAX").unwrap_or(uid_min.saturating_sub(1)),
        }
    }

    /// Whether a uid is one that useradd(8) gives to people.
    pub fn is_person(&self, uid: u32) -> bool {
        (self.uid_min..=self.uid_max).contains(&uid)
    }
}

const BYTES_MAX: u64 = 1024 * 1024;

/// As strtoul(3) with base 0 reads it: decimal, `0x` hexadecimal, `0` octal.
fn number(text: &str) -> Option<u32> {
    let text = text.trim_matches('"');
    if let Some(hex) = text.strip_prefix("0x") {
        u32::from_str_radix(hex, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8).ok()
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_people_is_read() {
        let defs =
            LoginDefs::parse(b"# UID_MIN 1\n\xff\n\tUID_MIN\t\t500\nUID_MAX x\nUID_MAX 0x10000\n");
        assert_eq!(
            (defs.uid_min, defs.uid_max, defs.sys_uid_max),
            (500, 65_536, 499)
        );
        assert!(defs.is_person(500) && !defs.is_person(499));
        let none = LoginDefs::parse(b"");
        assert_eq!(
            (none.uid_min, none.uid_max, none.sys_uid_max),
            (1000, 60_000, 999)
        );
    }
}
