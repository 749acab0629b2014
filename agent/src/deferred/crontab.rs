//! crontab(5): jobs, environment lines and what is neither, line by line and byte for byte.

use super::schedule::{Schedule, skip_blanks, take_word};
use crate::host::lines::{Lines, number};

/// Whose jobs a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One account's own table: no user on the lines.
    User,
    /// `/etc/crontab` and `/etc/cron.d`: each line names its user.
    System,
}

/// A crontab, kept as it stands.
#[derive(Debug)]
pub struct Crontab {
    lines: Lines,
    format: Format,
}

/// A line of a crontab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// `NAME=value`, both without their quotes.
    Environment {
        /// The variable.
        name: &'a [u8],
        /// What it is set to.
        value: &'a [u8],
    },
    /// A job.
    Job(Job<'a>),
    /// What cron does not understand, and why. Debian's cron then ignores the whole table, cronie
    /// only the line.
    Broken(&'static str),
}

/// A job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job<'a> {
    /// When it runs.
    pub schedule: Schedule<'a>,
    /// As whom, where the line says so.
    pub user: Option<&'a [u8]>,
    /// What is run and what it is given, as it stands; nothing may stand there.
    pub text: &'a [u8],
}

impl Crontab {
    /// Takes the content of a table.
    pub fn parse(bytes: Vec<u8>, format: Format) -> Self {
        Self {
            lines: Lines::parse(bytes),
            format,
        }
    }

    /// The table as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// All lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (u32, Line<'_>)> {
        let format = self.format;
        self.lines
            .iter()
            .enumerate()
            .map(move |(index, line)| (number(index), read(line, format)))
    }

    /// The jobs with their line numbers.
    pub fn jobs(&self) -> impl Iterator<Item = (u32, Job<'_>)> {
        self.lines().filter_map(|(number, line)| match line {
            Line::Job(job) => Some((number, job)),
            _ => None,
        })
    }

    /// The first line that Debian's cron does not understand, and why.
    pub fn first_broken(&self) -> Option<(u32, &'static str)> {
        self.lines().find_map(|(number, line)| match line {
            Line::Broken(why) => Some((number, why)),
            Line::Job(job) if !job.schedule.is_debians() => {
                Some((number, "a step without a range"))
            }
            _ => None,
        })
    }

    /// Whether the last line has no end, for which Debian's cron ignores the table.
    pub fn is_unended(&self) -> bool {
        !self.lines.is_empty() && !self.lines.bytes().ends_with(b"\n")
    }
}

impl<'a> Job<'a> {
    /// The command: up to the first `%` without a backslash before it, `\%` meaning `%`.
    pub fn command(&self) -> Vec<u8> {
        unescape(&self.text[..end_of_command(self.text)])
    }

    /// What the command is given as standard input, one line for each further `%`.
    pub fn input(&self) -> Option<Vec<u8>> {
        let rest = self.text.get(end_of_command(self.text) + 1..)?;
        let mut input = Vec::with_capacity(rest.len() + 1);
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'%' if !is_escaped(rest, at) => input.push(b'\n'),
                byte => input.push(*byte),
            }
        }
        Some(unescape(&input))
    }
}

fn end_of_command(text: &[u8]) -> usize {
    let mut marks = text.iter().enumerate();
    marks
        .find(|(at, byte)| **byte == b'%' && !is_escaped(text, *at))
        .map_or(text.len(), |(at, _)| at)
}

fn is_escaped(text: &[u8], at: usize) -> bool {
    at > 0 && text[at - 1] == b'\\'
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let kept = |(at, byte): (usize, &u8)| {
        let escapes = *byte == b'\\' && text.get(at + 1) == Some(&b'%');
        (!escapes).then_some(*byte)
    };
    text.iter().enumerate().filter_map(kept).collect()
}

fn read(line: &[u8], format: Format) -> Line<'_> {
    // White space of any kind before a comment or an entry is passed over.
    let line = line.trim_ascii_start();
    if matches!(line.first(), None | Some(b'#')) {
        return Line::Nothing;
    }
    if memchr::memchr(0, line).is_some() {
        return Line::Broken("a NUL byte");
    }
    if let Some((name, value)) = environment(line) {
        return Line::Environment { name, value };
    }
    let (schedule, rest) = match Schedule::take(line) {
        Ok(taken) => taken,
        Err(why) => return Line::Broken(why),
    };
    let (user, text) = match format {
        Format::User => (None, rest),
        Format::System => {
            let (user, text) = take_word(rest);
            (Some(user), text)
        }
    };
    if user == Some(b"") {
        return Line::Broken("no user");
    }
    Line::Job(Job {
        schedule,
        user,
        text,
    })
}

/// `NAME = value`; either may be in quotes.
fn environment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = match line.first()? {
        quote @ (b'"' | b'\'') => {
            let end = memchr::memchr(*quote, &line[1..])? + 1;
            (&line[1..end], &line[end + 1..])
        }
        _ => {
            let end = line.iter().position(|b| matches!(b, b' ' | b'\t' | b'='))?;
            line.split_at(end)
        }
    };
    let value = skip_blanks(rest).strip_prefix(b"=")?.trim_ascii();
    let unquoted = match value {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last => inner,
        value => value,
    };
    (!name.is_empty()).then_some((name, unquoted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn show(bytes: &[u8], format: Format) -> Vec<String> {
        let table = Crontab::parse(bytes.to_vec(), format);
        assert_eq!(table.to_bytes(), bytes);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        table
            .lines()
            .map(|(number, line)| match line {
                Line::Nothing => format!("{number}"),
                Line::Environment { name, value } => {
                    format!("{number} {}={}", text(name), text(value))
                }
                Line::Job(job) => format!(
                    "{number} [{}] {} {} {:?}",
                    text(job.schedule.text()),
                    job.user.map(text).unwrap_or_default(),
                    text(&job.command()),
                    job.input().map(|input| text(&input))
                ),
                Line::Broken(why) => format!("{number} broken: {why}"),
            })
            .collect()
    }

    #[test]
    fn a_table_as_people_leave_it() {
        let table = b"# mine\nMAILTO=\"me@example.com\"\n 'X Y' = ' a b '\n\n\
            \t*/5 * * * *  /bin/backup --all\r\n@reboot ~/agent &\n\
            0 3 * * 1 mail -s \"50\\% off\" bob%Hello%100\\% yours%\n\
            bogus\n* * * * *\n* * * * * a\0b\n#* * * * * off\n1 2 3 4 5 \xff";
        assert_eq!(
            show(table, Format::User),
            [
                "1",
                "2 MAILTO=me@example.com",
                "3 X Y= a b ",
                "4",
                "5 [*/5 * * * *]  /bin/backup --all\\r None",
                "6 [@reboot]  ~/agent & None",
                "7 [0 3 * * 1]  mail -s \\\"50% off\\\" bob Some(\"Hello\\\\n100% yours\\\\n\")",
                "8 broken: bad minute",
                "9 [* * * * *]   None",
                "10 broken: a NUL byte",
                "11",
                "12 [1 2 3 4 5]  \\xff None",
            ]
        );
        let table = Crontab::parse(table.to_vec(), Format::User);
        assert_eq!(table.first_broken(), Some((8, "bad minute")));
        assert!(table.is_unended());
        assert_eq!(table.jobs().count(), 5);
    }

    #[test]
    fn a_system_table_names_users() {
        assert_eq!(
            show(
                b"SHELL=/bin/sh\n17 * * * * root cd / && x\n@daily alice y\n* * * * * root\n* * * * *\n",
                Format::System
            ),
            [
                "1 SHELL=/bin/sh",
                "2 [17 * * * *] root cd / && x None",
                "3 [@daily] alice y None",
                "4 [* * * * *] root  None",
                "5 broken: no user",
            ]
        );
    }

    #[test]
    fn random_tables_come_out_as_they_went_in() {
        const LETTERS: &[u8] = b"* * * * 159/-,@=\"'%\\#\n\n\t\r\0\xffaz";
        let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
        for _ in 0..20_000 {
            let bytes = random.file(LETTERS, 120);
            for format in [Format::User, Format::System] {
                let table = Crontab::parse(bytes.clone(), format);
                assert_eq!(table.to_bytes(), bytes);
                for (_, job) in table.jobs() {
                    let _ = (job.command(), job.input());
                }
                assert!(table.lines().count() <= bytes.len());
            }
        }
    }
}
