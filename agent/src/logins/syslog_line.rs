//! A line of a text log, as rsyslogd(8), syslog-ng(8) and busybox write them:
//!
//! ```text
//! Nov  3 05:01:02 web1 sshd[56]: Accepted …                        RFC 3164: no year, local time
//! 2026-11-03T05:01:02.152853+01:00 web1 sshd[56]: Accepted …       ISO 8601
//! Nov  3 05:01:02 web1 auth.info sshd[56]: Accepted …              busybox
//! ```

use rescind_protocol::name::UnixMillis;

use crate::sys::process::ProcessId;

const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// The parts of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogLine<'l> {
    /// When.
    pub when: When,
    /// Which host said it.
    pub host: &'l [u8],
    /// Which program: what it says of itself.
    pub tag: &'l [u8],
    /// Which process, as it says.
    pub pid: Option<ProcessId>,
    /// The rest.
    pub message: &'l [u8],
}

/// When a line was written, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At an instant.
    At(UnixMillis),
    /// On a day of some year, in the host's local time.
    Local(Yearless),
}

/// A day and a time without a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yearless {
    month: u32,
    day: u32,
    second: i64,
}

impl Yearless {
    /// The latest such instant that is not after `until` by more than a day, for clocks that were
    /// set. `offset` gives how many seconds local time is ahead of UTC at an instant.
    pub fn not_after(self, until: UnixMillis, offset: impl Fn(i64) -> i64) -> Option<UnixMillis> {
        let until = i64::try_from(until.0 / 1000).ok()? + DAY_S;
        let (year, _, _) = civil(until.div_euclid(DAY_S) + 1);
        // 29 February is there once in four years, at the ends of some centuries once in eight.
        for year in (year - 8..=year).rev() {
            let Some(days) = days_of(year, self.month, self.day) else {
                continue;
            };
            let local = days * DAY_S + self.second;
            // The offset at the instant; near a change of it the one before may be meant.
            let at = local - offset(local - offset(local));
            if at <= until {
                return Some(UnixMillis(u64::try_from(at).ok()?.checked_mul(1000)?));
            }
        }
        None
    }
}

/// Takes a line apart; `None` for what is none.
pub fn parse(line: &[u8]) -> Option<SyslogLine<'_>> {
    let line = line.trim_ascii_end();
    let (when, rest) = stamp(line)?;
    let (host, mut rest) = word(rest)?;
    // busybox says facility and level, too.
    if let Some((first, after)) = word(rest)
        && first.contains(&b'.')
        && first
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || *byte == b'.' || byte.is_ascii_digit())
        && !first.ends_with(b":")
    {
        rest = after;
    }
    let colon = rest.windows(2).position(|pair| pair == b": ")?;
    let (tag, message) = (&rest[..colon], &rest[colon + 2..]);
    if tag.contains(&b' ') {
        return None;
    }
    let (tag, pid) = match tag.strip_suffix(b"]") {
        Some(inner) => {
            let open = inner.iter().rposition(|byte| *byte == b'[')?;
            let pid = std::str::from_utf8(&inner[open + 1..]).ok()?;
            (&inner[..open], pid.parse().ok())
        }
        None => (tag, None),
    };
    Some(SyslogLine {
        when,
        host,
        tag,
        pid,
        message,
    })
}

/// When a line was written; `None` for what is none.
pub fn time(line: &[u8]) -> Option<When> {
    stamp(line).map(|(when, _)| when)
}

fn stamp(line: &[u8]) -> Option<(When, &[u8])> {
    match line.first()? {
        b'0'..=b'9' => iso(line),
        _ => rfc3164(line),
    }
}

fn rfc3164(line: &[u8]) -> Option<(When, &[u8])> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let stamp = line.get(..16)?;
    let month = MONTHS.iter().position(|month| stamp.starts_with(month))?;
    let day = match stamp[4] {
        b' ' => number(&stamp[5..6])?,
        _ => number(&stamp[4..6])?,
    };
    if stamp[3] != b' ' || stamp[6] != b' ' || stamp[15] != b' ' || !(1..=31).contains(&day) {
        return None;
    }
    let when = Yearless {
        month: month as u32 + 1,
        day,
        second: clock(&stamp[7..15])?,
    };
    Some((When::Local(when), &line[16..]))
}

fn iso(line: &[u8]) -> Option<(When, &[u8])> {
    let (stamp, rest) = word(line)?;
    let date = stamp.get(..19)?;
    if [date[4], date[7], date[10]] != *b"--T" {
        return None;
    }
    let year = i64::from(number(&date[..4])?);
    let days = days_of(year, number(&date[5..7])?, number(&date[8..10])?)?;
    let mut tail = &stamp[19..];
    let mut millis = 0;
    if let Some(fraction) = tail.strip_prefix(b".") {
        let digits = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let nanos = i64::from(number(&fraction[..digits])?) * 10_i64.pow(9 - digits as u32);
        millis = nanos / 1_000_000;
        tail = &fraction[digits..];
    }
    let ahead = match tail {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let ahead =
                i64::from(number(hours)?) * 3600 + i64::from(number(&[*m1, *m2])?) * MINUTE_S;
            if *sign == b'+' { ahead } else { -ahead }
        }
        _ => return None,
    };
    let at = days * DAY_S + clock(&date[11..19])? - ahead;
    let at = u64::try_from(at * 1000 + millis).ok()?;
    Some((When::At(UnixMillis(at)), rest))
}

/// Seconds of `HH:MM:SS`; a leap second is the one before.
fn clock(text: &[u8]) -> Option<i64> {
    if text[2] != b':' || text[5] != b':' {
        return None;
    }
    let [h, m, s] = [&text[..2], &text[3..5], &text[6..8]].map(number);
    let (h, m, s) = (i64::from(h?), i64::from(m?), i64::from(s?));
    (h < 24 && m < 60 && s <= 60).then_some(h * 3600 + m * MINUTE_S + s.min(59))
}

fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    (end > 0).then(|| (&text[..end], &text[end + 1..]))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` for a day that is not there.
fn days_of(year: i64, month: u32, day: u32) -> Option<i64> {
    // Howard Hinnant's algorithm, with years counted from March.
    let month = i64::from(month);
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * m + 2) / 5 + i64::from(day) - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    (civil(days) == (year, month as u32, day)).then_some(days)
}

/// Year, month and day of a day since 1970-01-01.
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(month <= 2),
        month as u32,
        day as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        let line = format!("{text} h t: m");
        match time(line.as_bytes()) {
            Some(When::At(at)) => at,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn show(line: &str) -> String {
        let Some(found) = parse(line.as_bytes()) else {
            return String::new();
        };
        let when = match found.when {
            When::At(at) => at.to_string(),
            When::Local(Yearless { month, day, second }) => format!("{month}/{day} {second}"),
        };
        format!(
            "{when}|{}|{}|{:?}|{}",
            found.host.escape_ascii(),
            found.tag.escape_ascii(),
            found.pid,
            found.message.escape_ascii()
        )
    }

    #[test]
    fn lines_of_three_daemons() {
        for (line, want) in [
            (
                "Nov  3 05:01:02 web1 sshd[56]: Accepted x",
                "11/3 18062|web1|sshd|Some(56)|Accepted x",
            ),
            (
                "Nov 13 05:01:02 web1 sshd: Accepted x\n",
                "11/13 18062|web1|sshd|None|Accepted x",
            ),
            (
                "2026-11-03T05:01:02.152853+01:00 web1.example.org sshd-session[56]: a: b",
                "2026-11-03T04:01:02.152Z|web1.example.org|sshd-session|Some(56)|a: b",
            ),
            (
                "2026-11-03T05:01:02Z web1 sshd[56]: x",
                "2026-11-03T05:01:02.000Z|web1|sshd|Some(56)|x",
            ),
            (
                "Nov  3 05:01:02 alpine auth.info sshd[7]: Accepted x",
                "11/3 18062|alpine|sshd|Some(7)|Accepted x",
            ),
            (
                "Feb 29 23:59:60 web1 sshd[1]: x",
                "2/29 86399|web1|sshd|Some(1)|x",
            ),
            // What is not a number of a process is none.
            (
                "Nov  3 05:01:02 web1 sshd[x]: y",
                "11/3 18062|web1|sshd|None|y",
            ),
            (
                "Nov  3 05:01:02 web1 foo: sshd[1]: Accepted x",
                "11/3 18062|web1|foo|None|sshd[1]: Accepted x",
            ),
        ] {
            assert_eq!(show(line), want, "{line}");
        }
        for line in [
            "",
            "Nov",
            "Nov  3 05:01:02",
            "Nov  3 05:01:02 ",
            "Nov  3 05:01:02 web1",
            "Nov  3 05:01:02 web1 last message repeated 2 times",
            "Nov  3 25:01:02 web1 sshd[1]: x",
            "Nov 32 05:01:02 web1 sshd[1]: x",
            "Foo  3 05:01:02 web1 sshd[1]: x",
            "2026-02-30T05:01:02Z web1 sshd[1]: x",
            "2026-11-03 05:01:02 web1 sshd[1]: x",
            "2026-11-03T05:01:02.Z web1 sshd[1]: x",
            "2026-11-03T05:01:02.1234567890Z web1 sshd[1]: x",
            "2026-11-03T05:01:02+0100 web1 sshd[1]: x",
            "1969-11-03T05:01:02Z web1 sshd[1]: x",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ] {
            assert_eq!(show(line), "", "{line}");
        }
    }

    #[test]
    fn the_year_is_the_latest_that_can_be() {
        let resolve = |line: &str, until: &str, offset: i64| {
            let Some(When::Local(when)) = time(format!("{line} h t: m").as_bytes()) else {
                panic!("{line}");
            };
            when.not_after(at(until), |_| offset).unwrap().to_string()
        };
        for (line, until, want) in [
            (
                "Nov  3 05:01:02",
                "2026-11-23T00:00:00Z",
                "2026-11-03T05:01:02.000Z",
            ),
            (
                "Dec 31 23:59:59",
                "2026-01-02T00:00:00Z",
                "2025-12-31T23:59:59.000Z",
            ),
            // A clock that was a little ahead.
            (
                "Nov 23 05:00:00",
                "2026-11-23T04:00:00Z",
                "2026-11-23T05:00:00.000Z",
            ),
            (
                "Jan  1 00:00:30",
                "2026-12-31T23:59:59Z",
                "2027-01-01T00:00:30.000Z",
            ),
            (
                "Nov 25 05:00:00",
                "2026-11-23T04:00:00Z",
                "2025-11-25T05:00:00.000Z",
            ),
            (
                "Feb 29 12:00:00",
                "2026-11-23T04:00:00Z",
                "2024-02-29T12:00:00.000Z",
            ),
        ] {
            assert_eq!(resolve(line, until, 0), want, "{line} {until}");
        }
        let berlin = resolve("Nov 23 05:00:00", "2026-11-23T04:00:00Z", 3600);
        assert_eq!(berlin, "2026-11-23T04:00:00.000Z");
        // Near 1970 there is no earlier year.
        let when = Yearless {
            month: 5,
            day: 1,
            second: 0,
        };
        assert_eq!(when.not_after(UnixMillis(0), |_| 0), None);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), Some(days));
        }
        for (year, month, day) in [
            (2026, 2, 29),
            (2100, 2, 29),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 4, 31),
            (2026, 4, 0),
        ] {
            assert_eq!(days_of(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(
            at("2026-11-23T08:43:04.123Z"),
            UnixMillis(1_795_423_384_123)
        );
    }
}
