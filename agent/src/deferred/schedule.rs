//! When a job runs: what stands first on a line of crontab(5).
//!
//! A line is as broken as Vixie's reader (Debian's cron, cronie) finds it: it reads numbers and
//! names as far as it understands them, and passes over the rest of a field.

/// When a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule<'a> {
    /// `@reboot`: once, when cron starts after a boot.
    Reboot,
    /// `@daily` and the like, as it stands.
    Nickname(&'a [u8]),
    /// The five fields, as they stand.
    Fields(&'a [u8]),
}

impl<'a> Schedule<'a> {
    /// Takes the schedule off the beginning of a line that begins with no blank; the rest begins
    /// with none either. `Err` says what is wrong.
    pub fn take(line: &'a [u8]) -> Result<(Self, &'a [u8]), &'static str> {
        if line.first() == Some(&b'@') {
            let (word, rest) = take_word(line);
            return match word {
                b"@reboot" => Ok((Self::Reboot, rest)),
                _ if NICKNAMES.contains(&word) => Ok((Self::Nickname(word), rest)),
                _ => Err("no such @nickname"),
            };
        }
        // cronie and SUSE: do not log this job.
        let fields = line.strip_prefix(b"-").unwrap_or(line);
        let mut rest = fields;
        for field in &FIELDS {
            let (word, after) = take_word(rest);
            if !field.accepts(word) {
                return Err(field.wrong);
            }
            rest = after;
        }
        let taken = fields[..fields.len() - rest.len()].trim_ascii_end();
        Ok((Self::Fields(taken), rest))
    }

    /// Whether Debian's cron takes it, too. cronie has `5/10` for "from 5 on, every 10".
    pub fn is_debians(&self) -> bool {
        let Self::Fields(text) = self else {
            return true;
        };
        let elements = text.split(|byte| matches!(byte, b' ' | b'\t' | b','));
        let mut steps = elements.filter_map(|element| {
            let slash = memchr::memchr(b'/', element)?;
            Some(&element[..slash])
        });
        steps.all(|before| !before.iter().all(u8::is_ascii_alphanumeric))
    }

    /// As it stands in the file.
    pub const fn text(&self) -> &'a [u8] {
        match *self {
            Self::Reboot => b"@reboot",
            Self::Nickname(text) | Self::Fields(text) => text,
        }
    }
}

const NICKNAMES: [&[u8]; 7] = [
    b"@yearly",
    b"@annually",
    b"@monthly",
    b"@weekly",
    b"@daily",
    b"@midnight",
    b"@hourly",
];

/// The first word, and what follows it and its blanks.
pub(super) fn take_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, skip_blanks(rest))
}

/// Without the blanks and tabs it begins with; other white space is text to cron.
pub(super) fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte));
    &text[start.unwrap_or(text.len())..]
}

const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static [u8]],
    wrong: &'static str,
}

const FIELDS: [Field; 5] = [
    Field {
        low: 0,
        high: 59,
        names: &[],
        wrong: "bad minute",
    },
    Field {
        low: 0,
        high: 23,
        names: &[],
        wrong: "bad hour",
    },
    Field {
        low: 1,
        high: 31,
        names: &[],
        wrong: "bad day of the month",
    },
    Field {
        low: 1,
        high: 12,
        names: &[
            b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
            b"dec",
        ],
        wrong: "bad month",
    },
    Field {
        low: 0,
        high: 7,
        names: &[b"sun", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat"],
        wrong: "bad day of the week",
    },
];

impl Field {
    /// Ranges, steps and random ranges (`0~59`, cronie), in a list.
    fn accepts(&self, text: &[u8]) -> bool {
        let mut rest = text;
        loop {
            let Some(after) = self.element(rest) else {
                return false;
            };
            match after.split_first() {
                Some((b',', next)) => rest = next,
                // Whatever follows an element that is whole is passed over.
                _ => return true,
            }
        }
    }

    /// What follows one element of the list.
    fn element<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let after = if let Some((b'*', after)) = text.split_first() {
            after
        } else {
            let (_, after) = self.number(text)?;
            match after.split_first() {
                Some((b'-' | b'~', end)) => self.number(end)?.1,
                _ => after,
            }
        };
        match after.split_first() {
            Some((b'/', step)) => {
                let end = step.iter().take_while(|b| b.is_ascii_alphanumeric());
                let (word, rest) = step.split_at(end.count());
                let is_step =
                    word.iter().all(u8::is_ascii_digit) && word.iter().any(|b| *b != b'0');
                is_step.then_some(rest)
            }
            _ => Some(after),
        }
    }

    /// A number within the bounds, or a name, whichever the letters and digits here are.
    fn number<'t>(&self, text: &'t [u8]) -> Option<(u32, &'t [u8])> {
        let end = text
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let (word, rest) = text.split_at(end);
        let value = match self
            .names
            .iter()
            .zip(self.low..)
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
        {
            Some((_, value)) => value,
            None => std::str::from_utf8(word).ok()?.parse().ok()?,
        };
        (self.low..=self.high)
            .contains(&value)
            .then_some((value, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_as_vixie_reads_them() {
        for (line, text, rest) in [
            ("* * * * * cmd", "* * * * *", "cmd"),
            (
                "*/5\t0-6,22 1 jan-Mar 7  a b",
                "*/5\t0-6,22 1 jan-Mar 7",
                "a b",
            ),
            ("0~59 * * * sun x", "0~59 * * * sun", "x"),
            ("-5 4 * * * x", "5 4 * * *", "x"),
            // What follows a whole element is passed over.
            ("5/10 4; *x * * x", "5/10 4; *x * *", "x"),
            ("@reboot x", "@reboot", "x"),
            ("@midnight\tx", "@midnight", "x"),
            ("1 2 3 4 5", "1 2 3 4 5", ""),
        ] {
            let (schedule, left) = Schedule::take(line.as_bytes()).unwrap();
            assert_eq!(schedule.text(), text.as_bytes(), "{line}");
            assert_eq!(left, rest.as_bytes(), "{line}");
        }
    }

    #[test]
    fn what_cronie_alone_takes() {
        for (line, debians) in [
            ("5/10 * * * * x", false),
            ("1,5/10 * * * * x", false),
            ("1-5/10,*/2 4; * * * x", true),
            ("@daily x", true),
        ] {
            let (schedule, _) = Schedule::take(line.as_bytes()).unwrap();
            assert_eq!(schedule.is_debians(), debians, "{line}");
        }
    }

    #[test]
    fn schedules_that_are_none() {
        for (line, wrong) in [
            ("60 * * * * x", "bad minute"),
            ("bogus line", "bad minute"),
            ("* 24 * * * x", "bad hour"),
            ("* * 0 * * x", "bad day of the month"),
            ("* * * 13 * x", "bad month"),
            ("* * * foo * x", "bad month"),
            ("* * * * 8 x", "bad day of the week"),
            ("* * * * ,1 x", "bad day of the week"),
            ("*/0 * * * * x", "bad minute"),
            ("*/5x * * * * x", "bad minute"),
            ("1- * * * * x", "bad minute"),
            ("* * * *", "bad day of the week"),
            ("@often x", "no such @nickname"),
            ("", "bad minute"),
        ] {
            assert_eq!(Schedule::take(line.as_bytes()), Err(wrong), "{line}");
        }
    }
}
