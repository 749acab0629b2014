//! Jobs of at(1) and batch(1): what the names of their spool files say.
//!
//! atd(8) runs a file as its owner, when the time in its name has come. It asks nobody else.

/// Where the jobs lie: Debian, Red Hat, SUSE.
pub const SPOOLS: [&str; 3] = [
    "/var/spool/cron/atjobs",
    "/var/spool/at",
    "/var/spool/atjobs",
];

/// A job, from its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtJob {
    /// `a` for at(1), `b` for batch(1), any other letter as the user chose.
    pub queue: u8,
    /// Its number, as atq(1) shows it.
    pub number: u32,
    /// When it is due, in seconds since 1970-01-01T00:00:00Z.
    pub due: i64,
}

impl AtJob {
    /// Takes a file's name: a letter, five hexadecimal digits of the number and eight of the
    /// minute. `None` for other files, and for what atd has begun to run (`=…`).
    pub fn of_file_name(name: &[u8]) -> Option<Self> {
        let (queue, digits) = name.split_first()?;
        if !queue.is_ascii_alphabetic() || digits.len() != 13 {
            return None;
        }
        let hex = |digits: &[u8]| {
            let text = std::str::from_utf8(digits).ok()?;
            let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            all.then(|| u32::from_str_radix(text, 16).ok())?
        };
        Some(Self {
            queue: *queue,
            number: hex(&digits[..5])?,
            due: i64::from(hex(&digits[5..])?) * 60,
        })
    }
}

/// Why atd passes a file of this mode and number of names over, if it does.
pub const fn is_passed_over(mode: u32, links: u64) -> Option<&'static str> {
    if mode & 0o100 == 0 {
        return Some("at(1) has not finished it: its owner may not execute it");
    }
    // One of the two names is atd's own, `=…`, while it runs the job.
    if links > 2 {
        return Some("it has several names");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs() {
        let job = |queue, number, due| Some(AtJob { queue, number, due });
        for (name, want) in [
            ("a0000101c89a7c", job(b'a', 1, 0x01c8_9a7c * 60)),
            ("Z00a0f01C89A7C", job(b'Z', 0xa0f, 0x01c8_9a7c * 60)),
            ("bffffFffffffff", job(b'b', 0xf_ffff, 0xffff_ffff * 60)),
            ("=0000101c89a7c", None),
            (".SEQ", None),
            ("a0000101c89a7", None),
            ("a0000101c89a7cc", None),
            ("a+000101c89a7c", None),
            ("", None),
        ] {
            assert_eq!(AtJob::of_file_name(name.as_bytes()), want, "{name}");
        }
        assert!(is_passed_over(0o700, 1).is_none() && is_passed_over(0o700, 2).is_none());
        assert!(is_passed_over(0o600, 1).is_some() && is_passed_over(0o700, 3).is_some());
    }
}
