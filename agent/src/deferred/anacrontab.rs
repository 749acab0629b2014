//! anacrontab(5): jobs that run once in so many days, all of them as root.

use super::schedule::take_word;
use crate::host::lines::{Lines, number};

/// `/etc/anacrontab`, kept as it stands.
#[derive(Debug)]
pub struct Anacrontab {
    lines: Lines,
}

/// A line of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Blank, a comment, or `NAME=value`.
    Nothing,
    /// A job.
    Job {
        /// Days between two runs, or `@monthly` and the like, as it stands.
        period: &'a [u8],
        /// The name under which anacron remembers when it ran.
        name: &'a [u8],
        /// What is run, as it stands.
        command: &'a [u8],
    },
    /// What anacron(8) does not understand and passes over.
    Broken,
}

impl Anacrontab {
    /// Takes the file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// All lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (u32, Line<'_>)> {
        let lines = self.lines.iter().enumerate();
        lines.map(|(index, line)| (number(index), read(line)))
    }
}

fn read(line: &[u8]) -> Line<'_> {
    let line = line.trim_ascii();
    if matches!(line.first(), None | Some(b'#')) {
        return Line::Nothing;
    }
    let (period, rest) = take_word(line);
    let (delay, rest) = take_word(rest);
    let (name, command) = take_word(rest);
    let is_number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    if (is_number(period) || period.starts_with(b"@")) && is_number(delay) && !command.is_empty() {
        return Line::Job {
            period,
            name,
            command,
        };
    }
    match memchr::memchr(b'=', line) {
        Some(_) => Line::Nothing,
        None => Line::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_the_rest() {
        let file = b"SHELL=/bin/sh\n# x\n\n1\t5\tcron.daily\trun-parts /etc/cron.daily\n\
            @monthly 15 m  a=b\nSTART_HOURS_RANGE = 3-22\n7 x w y\nbogus\n1 5 z";
        let table = Anacrontab::parse(file.to_vec());
        assert_eq!(table.to_bytes(), file);
        let seen: Vec<String> = table
            .lines()
            .map(|(number, line)| match line {
                Line::Nothing => format!("{number}"),
                Line::Broken => format!("{number} broken"),
                Line::Job {
                    period,
                    name,
                    command,
                } => [period, name, command]
                    .map(|text| text.escape_ascii().to_string())
                    .join("|"),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "1",
                "2",
                "3",
                "1|cron.daily|run-parts /etc/cron.daily",
                "@monthly|m|a=b",
                "6",
                "7 broken",
                "8 broken",
                "9 broken",
            ]
        );
    }
}
