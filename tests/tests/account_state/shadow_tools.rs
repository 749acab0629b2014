//! Files as the shadow tools read them, which is not quite as the C library does.

use std::collections::HashSet;

/// The lines of passwd(5) or shadow(5) that chage(1) and pwck(8) get to see.
pub struct Seen {
    lines: Option<HashSet<Vec<u8>>>,
}

impl Seen {
    /// They see no end of line behind a NUL, and go on with the next line; where that leads past
    /// the end of the file they take it for one that cannot be read.
    pub fn of(file: &[u8]) -> Self {
        let mut lines = HashSet::new();
        let mut begun: Option<Vec<u8>> = None;
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.strip_suffix(b"\n").unwrap_or(line);
            let text = whole.split(|byte| *byte == 0).next().unwrap_or_default();
            let mut all = begun.take().unwrap_or_default();
            all.extend(text);
            if text.len() < whole.len() && whole.len() < line.len() {
                begun = Some(all);
            } else {
                lines.insert(all);
            }
        }
        Self {
            lines: begun.is_none().then_some(lines),
        }
    }

    /// Whether they can read the file.
    pub const fn is_readable(&self) -> bool {
        self.lines.is_some()
    }

    /// Whether they find this line, under the name it is for us: they pass over no blanks before it.
    pub fn finds(&self, line: &[u8]) -> bool {
        self.has(line) && !line.first().is_some_and(u8::is_ascii_whitespace)
    }

    /// Whether a line stands as it is in the file, and is not made of two.
    pub fn has(&self, line: &[u8]) -> bool {
        self.lines
            .as_ref()
            .is_some_and(|lines| lines.contains(line))
    }
}

/// A line of a file, from 1, as far as readers in C see it.
pub fn line_at(file: &[u8], number: u32) -> &[u8] {
    let line = file.split(|byte| *byte == b'\n').nth(number as usize - 1);
    let text = line.and_then(|line| line.split(|byte| *byte == 0).next());
    text.unwrap_or_default()
}
