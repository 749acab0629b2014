//! `NOTBEFORE`, `NOTAFTER` and `TIMEOUT` values.

use super::files::Dialect;
use super::tree::Moment;

/// Generalized Time (RFC 4517 section 3.3.13) as sudo reads it: `yyyymmddHH[MM[SS]][.f][Z|±hh[mm]]`.
pub(super) fn moment(text: &[u8], dialect: Dialect) -> Option<Moment> {
    let strict = dialect.is_strict_with_times();
    let digits = count_digits(text);
    let (fields, rest) = if strict {
        if !(10..=14).contains(&digits) || digits % 2 == 1 {
            return None;
        }
        (digits / 2 - 1, &text[digits..])
    } else {
        // Fields of up to four and two digits; what follows is looked for where full ones would end.
        let dots = text
            .iter()
            .take_while(|c| c.is_ascii_digit() || matches!(c, b'.' | b','))
            .count();
        if dots > 16 || digits < 7 {
            return None;
        }
        let fields = (1 + (digits - 4).div_ceil(2)).min(6);
        if fields < 4 {
            return None;
        }
        (fields, text.get((fields + 1) * 2..).unwrap_or_default())
    };
    let number = |from: usize, to: usize| {
        let field = text[..digits].get(from..to.min(digits)).unwrap_or_default();
        field
            .iter()
            .fold(0_i64, |n, c| n * 10 + i64::from(c - b'0'))
    };
    let (year, month, day, hour) = (number(0, 4), number(4, 6), number(6, 8), number(8, 10));
    let (mut minute, mut second) = (number(10, 12), number(12, 14));
    let mut rest = rest;
    if let [b'.' | b',', tenth @ b'0'..=b'9', after @ ..] = rest {
        let sixths = 6 * i64::from(tenth - b'0');
        match fields {
            4 => minute += sixths,
            5 => second += sixths,
            _ => {}
        }
        rest = after;
    }
    let (zone_s, local) = zone(rest, strict)?;
    let unix = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    // sudo takes -1 for an error of timegm(3).
    (unix != -1).then_some(Moment {
        unix: unix - zone_s,
        local,
    })
}

/// Seconds east of UTC, and whether they are the host's own to say.
fn zone(text: &[u8], strict: bool) -> Option<(i64, bool)> {
    match text {
        [] => Some((0, true)),
        [b'Z'] => Some((0, false)),
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let (hours, minutes) = if strict {
                whole_offset(offset)
            } else {
                guessed_offset(offset)
            }?;
            let seconds = (hours * 60 + minutes) * 60;
            Some((if *sign == b'-' { -seconds } else { seconds }, false))
        }
        _ => None,
    }
}

/// `hh` or `hhmm`.
fn whole_offset(text: &[u8]) -> Option<(i64, i64)> {
    if !matches!(text.len(), 2 | 4) || count_digits(text) != text.len() {
        return None;
    }
    let two = |at: usize| {
        text.get(at..at + 2)
            .map_or(0, |d| i64::from(d[0] - b'0') * 10 + i64::from(d[1] - b'0'))
    };
    Some((two(0), two(2)))
}

/// Two numbers as scanf(3) finds them, and no more text than two digits for each would take.
fn guessed_offset(text: &[u8]) -> Option<(i64, i64)> {
    let (hours, used) = scan_number(text)?;
    let minutes = scan_number(&text[used..]).map(|(minutes, _)| minutes);
    let room = if minutes.is_some() { 4 } else { 2 };
    (text.len() <= room).then(|| (hours, minutes.unwrap_or(0)))
}

/// The `%2d` of scanf(3): a number, and where it ends.
fn scan_number(text: &[u8]) -> Option<(i64, usize)> {
    let blank = text
        .iter()
        .take_while(|c| matches!(**c, b' ' | b'\t'..=b'\r'))
        .count();
    let field = &text[blank..text.len().min(blank + 2)];
    let sign = usize::from(matches!(field.first(), Some(b'+' | b'-')));
    let digits = count_digits(&field[sign..]);
    let number = field[sign..sign + digits]
        .iter()
        .fold(0_i64, |n, c| n * 10 + i64::from(c - b'0'));
    let number = if field.first() == Some(&b'-') {
        -number
    } else {
        number
    };
    (digits > 0).then_some((number, blank + sign + digits))
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; months and days out of range carry
/// over, as timegm(3) has it.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
    // Years that begin in March put the leap day last.
    let shifted = if month < 2 { year - 1 } else { year };
    let month_from_march = (month + 10) % 12;
    let century_days =
        365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    century_days + (153 * month_from_march + 2) / 5 + day - 1 - 719_468
}

/// Seconds of `2d3h4m5s`, units in this order, each number optional but one; a bare number is
/// seconds.
pub(super) fn timeout(text: &[u8]) -> Option<u32> {
    const UNITS: [(u8, u64); 4] = [(b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];
    const SECONDS_MAX: u64 = i32::MAX as u64;
    let mut rest = text;
    let mut units = &UNITS[..];
    let mut total = 0_u64;
    loop {
        let (number, after) = leading_number(rest)?;
        rest = after;
        let mut seconds = number;
        if let Some((&letter, after)) = rest.split_first() {
            let at = units
                .iter()
                .position(|(unit, _)| *unit == letter.to_ascii_lowercase())?;
            seconds = number.checked_mul(units[at].1)?;
            units = &units[at..];
            rest = after;
        }
        total = total
            .checked_add(seconds)
            .filter(|total| *total <= SECONDS_MAX)?;
        if rest.is_empty() {
            return u32::try_from(total).ok();
        }
    }
}

/// As strtol(3): blanks and a sign may come first.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let blank = text
        .iter()
        .take_while(|c| matches!(**c, b' ' | b'\t'..=b'\r'))
        .count();
    let sign = usize::from(matches!(text.get(blank), Some(b'+' | b'-')));
    let start = blank + sign;
    let digits = text[start..]
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .count();
    if digits == 0 {
        return None;
    }
    let number = text[start..start + digits].iter().try_fold(0_u64, |n, c| {
        n.checked_mul(10)?.checked_add(u64::from(c - b'0'))
    })?;
    let negative = sign == 1 && text[blank] == b'-' && number != 0;
    (!negative && number <= i32::MAX as u64).then_some((number, &text[start + digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, unix) in [
            ("19700101000000Z", Some(0)),
            ("20240229120000Z", Some(1_709_208_000)),
            ("2024022912Z", Some(1_709_208_000)),
            ("2024022912.5Z", Some(1_709_209_800)),
            ("20240229120000+0130", Some(1_709_202_600)),
            ("20240229120000-01", Some(1_709_211_600)),
            ("20241301000000Z", Some(1_735_689_600)),
            ("2024", None),
            ("202402291Z", None),
            ("20240229120000X", None),
            ("20240229120000+1", None),
        ] {
            assert_eq!(
                moment(text.as_bytes(), Dialect::Sudo1_9_16).map(|m| m.unix),
                unix,
                "{text}"
            );
        }
        assert!(moment(b"20240229120000", Dialect::Sudo1_9_16).is_some_and(|m| m.local));
    }

    #[test]
    fn old_versions_guess() {
        let of = |text: &str| moment(text.as_bytes(), Dialect::Sudo1_9_5);
        assert_eq!(
            of("200120301Z"),
            Some(Moment {
                unix: 1_030_669_200,
                local: true
            })
        );
        assert_eq!(
            of("20240229120000Z"),
            Some(Moment {
                unix: 1_709_208_000,
                local: false
            })
        );
        assert_eq!(
            of("2024022912.5Z"),
            Some(Moment {
                unix: 1_709_209_800,
                local: false
            })
        );
        for (zone, seconds) in [
            ("+1+", 3_600),
            ("+1", 3_600),
            ("-0130", -5_400),
            ("+1+5", 3_900),
        ] {
            let unix = of(&format!("20240229120000{zone}")).map(|moment| moment.unix);
            assert_eq!(unix, Some(1_709_208_000 - seconds), "{zone}");
        }
        assert_eq!(of("20240229120000+01000"), None);
        assert_eq!(of("2024"), None);
        assert_eq!(of("202402291200001"), None);
    }

    #[test]
    fn timeouts() {
        for (text, seconds) in [
            ("30", Some(30)),
            ("2d3h4m5s", Some(183_845)),
            ("1H30", Some(3_630)),
            ("1m1h", None),
            ("1m1m", Some(120)),
            ("m", None),
            ("", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), seconds, "{text}");
        }
    }
}
