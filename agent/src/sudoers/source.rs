//! The files of a policy, open on top of each other, and where in them the scanner is.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::{BYTES_MAX, Dialect, FILES_MAX, FINDINGS_MAX, ReadProblem, SudoersFiles};
use super::tree::{FileId, Finding, FindingKind, SourceFile, Span, Unread};

/// The text of one opened file.
pub(super) struct Text {
    /// What sudo scans: always ends in a newline, without what it never sees.
    pub(super) bytes: Vec<u8>,
    /// Position in `bytes` and how many bytes are missing before it.
    cuts: Vec<(usize, usize)>,
    raw_size: usize,
}

/// A file and the place in it.
pub(super) struct Frame {
    file: FileId,
    pub(super) text: Rc<Text>,
    pub(super) at: usize,
    pub(super) line: u32,
    pub(super) at_line_start: bool,
    /// The other files of the same include directory.
    rest: VecDeque<PathBuf>,
}

/// What was opened, and what was found on the way.
pub(super) struct Sources<'a> {
    reader: &'a dyn SudoersFiles,
    pub(super) dialect: Dialect,
    pub(super) files: Vec<SourceFile>,
    pub(super) findings: Vec<Finding>,
    pub(super) unread: Vec<Unread>,
    bytes_read: usize,
    stack: Vec<Frame>,
}

/// The place before anything was opened.
pub(super) const NOWHERE: Span = Span {
    file: 0,
    start: 0,
    end: 0,
    line: 1,
    last_line: 1,
};

impl<'a> Sources<'a> {
    pub(super) fn new(reader: &'a dyn SudoersFiles, dialect: Dialect) -> Self {
        Self {
            reader,
            dialect,
            files: Vec::new(),
            findings: Vec::new(),
            unread: Vec::new(),
            bytes_read: 0,
            stack: Vec::new(),
        }
    }

    pub(super) fn finding(&mut self, at: Option<Span>, kind: FindingKind) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { at, kind });
        }
    }

    /// Notes a file that sudo was told to read.
    pub(super) fn not_included(&mut self, at: Option<Span>, path: &Path, problem: ReadProblem) {
        if let ReadProblem::Other(reason) = &problem
            && self.unread.len() < FINDINGS_MAX
        {
            let unread = Unread {
                path: path.to_owned(),
                reason: reason.clone(),
            };
            // A file that includes itself meets the limit on its way back again and again.
            if !self.unread.contains(&unread) {
                self.unread.push(unread);
            }
        }
        self.finding(
            at,
            FindingKind::NotIncluded {
                path: path.to_owned(),
                problem,
            },
        );
    }

    /// The caller's eyes.
    pub(super) fn reader(&self) -> &'a dyn SudoersFiles {
        self.reader
    }

    /// The file being scanned.
    pub(super) fn current_path(&self) -> &Path {
        self.stack
            .last()
            .and_then(|frame| self.files.get(frame.file as usize))
            .map_or(Path::new(""), |file| &file.path)
    }

    /// Files that are open, the main one included.
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The file being scanned and the place in it; `None` before the first.
    pub(super) fn frame(&self) -> Option<&Frame> {
        self.stack.last()
    }

    /// The same, to move on.
    pub(super) fn frame_mut(&mut self) -> Option<&mut Frame> {
        self.stack.last_mut()
    }

    /// The span of the next `length` bytes.
    pub(super) fn span(&self, length: usize) -> Span {
        self.stack.last().map_or(NOWHERE, |frame| Span {
            file: frame.file,
            start: frame.text.on_disk(frame.at),
            end: frame.text.on_disk(frame.at + length),
            line: frame.line,
            last_line: frame.line,
        })
    }

    /// Opens a file on top of the others; `rest` follows when it ends, and comes back when the file
    /// cannot be opened.
    pub(super) fn open(
        &mut self,
        path: &Path,
        rest: VecDeque<PathBuf>,
    ) -> Result<(), (ReadProblem, VecDeque<PathBuf>)> {
        match self.read(path) {
            Ok(frame) => {
                self.stack.push(Frame { rest, ..frame });
                Ok(())
            }
            Err(problem) => Err((problem, rest)),
        }
    }

    /// Goes on in the next file of the directory or in the including file. False at the very end.
    pub(super) fn leave_file(&mut self) -> bool {
        while let Some(next) = self
            .stack
            .last_mut()
            .and_then(|frame| frame.rest.pop_front())
        {
            match self.read(&next) {
                Ok(frame) => {
                    if let Some(top) = self.stack.last_mut() {
                        let rest = std::mem::take(&mut top.rest);
                        *top = Frame { rest, ..frame };
                    }
                    return true;
                }
                Err(problem) => self.not_included(None, &next, problem),
            }
        }
        if self.stack.len() <= 1 {
            return false;
        }
        self.stack.pop();
        true
    }

    fn read(&mut self, path: &Path) -> Result<Frame, ReadProblem> {
        if self.files.len() >= FILES_MAX {
            return Err(ReadProblem::Other(format!(
                "more than {FILES_MAX} files were included"
            )));
        }
        let raw = self.reader.read(path)?;
        self.bytes_read += raw.len();
        if self.bytes_read > BYTES_MAX {
            return Err(ReadProblem::Other(format!(
                "the policy is larger than {BYTES_MAX} bytes"
            )));
        }
        let text = Text::new(&raw, self.dialect);
        let file = FileId::try_from(self.files.len()).unwrap_or(FileId::MAX);
        let size = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        self.files.push(SourceFile {
            path: path.to_owned(),
            size,
        });
        if let Some(nul) = raw.iter().position(|c| *c == 0) {
            let line = line_of(&raw, nul);
            let start = u32::try_from(nul).unwrap_or(u32::MAX);
            let span = Span {
                file,
                start,
                end: start.saturating_add(1),
                line,
                last_line: line,
            };
            self.finding(Some(span), FindingKind::Nul);
        }
        Ok(Frame {
            file,
            text: Rc::new(text),
            at: 0,
            line: 1,
            at_line_start: true,
            rest: VecDeque::new(),
        })
    }
}

impl Text {
    fn new(raw: &[u8], dialect: Dialect) -> Self {
        let mut bytes = Vec::with_capacity(raw.len() + 1);
        let mut cuts = Vec::new();
        let mut missing = 0;
        for line in raw.split_inclusive(|c| *c == b'\n') {
            match line.iter().position(|c| *c == 0) {
                Some(nul) if dialect.cuts_lines_at_nul() => {
                    bytes.extend_from_slice(&line[..nul]);
                    bytes.push(b'\n');
                    missing += (line.len() - nul).saturating_sub(1);
                    cuts.push((bytes.len(), missing));
                }
                _ => bytes.extend_from_slice(line),
            }
        }
        if bytes.last().is_some_and(|c| *c != b'\n') {
            bytes.push(b'\n');
        }
        Self {
            bytes,
            cuts,
            raw_size: raw.len(),
        }
    }

    /// Where a position of `bytes` is on disk.
    fn on_disk(&self, at: usize) -> u32 {
        let before = self.cuts.partition_point(|(cut, _)| *cut <= at);
        let missing = before.checked_sub(1).map_or(0, |i| self.cuts[i].1);
        u32::try_from((at + missing).min(self.raw_size)).unwrap_or(u32::MAX)
    }
}

fn line_of(raw: &[u8], at: usize) -> u32 {
    let newlines = raw[..at].iter().filter(|c| **c == b'\n').count();
    u32::try_from(newlines + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_what_sudo_does_not_see() {
        let raw = b"ab\0cd\nef\0\ng";
        let text = Text::new(raw, Dialect::Sudo1_9_13);
        assert_eq!(text.bytes, b"ab\nef\ng\n");
        let places: Vec<u32> = (0..=text.bytes.len()).map(|at| text.on_disk(at)).collect();
        assert_eq!(places, [0, 1, 2, 6, 7, 8, 10, 11, 11]);
        assert_eq!(
            Text::new(raw, Dialect::Sudo1_9_5).bytes,
            b"ab\0cd\nef\0\ng\n"
        );
    }
}
