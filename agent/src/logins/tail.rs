//! Files that are read from where the last reading ended: what is new first, then what is older,
//! backwards, as far as time allows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// Bytes that can be read at any place.
pub trait Bytes {
    /// Fills the buffer from a place on, as far as there is something; says how many bytes.
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Bytes for File {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Bytes for &[u8] {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Bytes of which the blocks read last are kept: many small readings near each other.
#[derive(Debug)]
pub struct Window<B> {
    bytes: B,
    /// By the number of the block, modulo how many there are.
    blocks: Vec<Option<(u64, Vec<u8>)>>,
}

const BLOCK_BYTES: u64 = 16 << 10;
const BLOCKS: u64 = 64;

impl<B: Bytes> Window<B> {
    /// Nothing is read yet.
    pub fn new(bytes: B) -> Self {
        Self {
            bytes,
            blocks: (0..BLOCKS).map(|_| None).collect(),
        }
    }
}

impl<B: Bytes> Bytes for Window<B> {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let here = at + filled as u64;
            let (number, within) = (here / BLOCK_BYTES, (here % BLOCK_BYTES) as usize);
            let slot = &mut self.blocks[(number % BLOCKS) as usize];
            if slot.as_ref().is_none_or(|(held, _)| *held != number) {
                let mut block = slot.take().map_or_else(Vec::new, |(_, block)| block);
                block.resize(BLOCK_BYTES as usize, 0);
                let count = self.bytes.read_at(number * BLOCK_BYTES, &mut block)?;
                block.truncate(count);
                *slot = Some((number, block));
            }
            let block = slot.as_ref().map_or(&[][..], |(_, block)| block);
            let part = block.get(within..).unwrap_or_default();
            let count = part.len().min(buffer.len() - filled);
            if count == 0 {
                break;
            }
            buffer[filled..filled + count].copy_from_slice(&part[..count]);
            filled += count;
        }
        Ok(filled)
    }
}

/// Which part of a sequence (bytes of a file, entries of a list) has been read: all of `lo..hi`.
/// It grows at both ends until it begins at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What is before this was not read yet.
    pub lo: u64,
    /// What is from this on was not read yet.
    pub hi: u64,
}

impl Span {
    /// Nothing is read yet of a sequence that ends here: what is added later is new.
    pub const fn before(end: u64) -> Self {
        Self { lo: end, hi: end }
    }

    /// Whether nothing older is left.
    pub const fn is_whole(&self) -> bool {
        self.lo == 0
    }
}

/// How long a reading may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// Whether time is up.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.0
    }
}

/// Bytes of text that are read at once.
pub const CHUNK_BYTES: u64 = 1 << 20;

/// Reads what is new in a text, then what is older, in pieces of whole lines. `size` is how long
/// the text is now; what comes after its last line end is not a line yet. The pieces are given
/// with whether they are older than all before them.
///
/// A line of more than 1 MiB is passed over.
pub fn read_lines(
    bytes: &mut dyn Bytes,
    size: u64,
    span: &mut Span,
    deadline: Deadline,
    mut each: impl FnMut(&[u8], bool),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    if span.lo == span.hi && span.hi > 0 {
        // The first time: what is after the last line end is not a line yet.
        let start = span.hi.saturating_sub(CHUNK_BYTES);
        let wanted = (span.hi - start) as usize;
        let count = bytes.read_at(start, &mut buffer[..wanted])?;
        if count < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = memchr::memrchr(b'\n', &buffer[..count]) {
            *span = Span::before(start + end as u64 + 1);
        } else if start == 0 {
            *span = Span::before(0);
        }
    }
    while span.hi < size && !deadline.is_over() {
        let count = bytes.read_at(span.hi, &mut buffer)?;
        let piece = &buffer[..count];
        match memchr::memrchr(b'\n', piece) {
            Some(end) => {
                each(&piece[..=end], false);
                span.hi += end as u64 + 1;
            }
            None if count as u64 == CHUNK_BYTES => span.hi += CHUNK_BYTES,
            None => break,
        }
    }
    while span.lo > 0 && !deadline.is_over() {
        let start = span.lo.saturating_sub(CHUNK_BYTES);
        let wanted = (span.lo - start) as usize;
        let count = bytes.read_at(start, &mut buffer[..wanted])?;
        if count < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = &buffer[..wanted];
        // The first line is whole only at the start of the file.
        let cut = match start {
            0 => 0,
            _ => memchr::memchr(b'\n', piece).map_or(wanted, |end| end + 1),
        };
        if cut < wanted {
            each(&piece[cut..], true);
            span.lo = start + cut as u64;
        } else {
            span.lo = start;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Deadline {
        Deadline(Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn a_window_says_what_is_there() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let mut window = Window::new(&bytes[..]);
        for (at, len) in [
            (0, 10),
            (16_380, 10),
            (99_990, 50),
            (5, 70_000),
            (100_000, 1),
            (u64::MAX / 2, 4),
        ] {
            let mut got = vec![0; len];
            let count = window.read_at(at, &mut got).unwrap();
            let start = (at as usize).min(bytes.len());
            assert_eq!(&got[..count], &bytes[start..(start + len).min(bytes.len())]);
        }
    }

    /// All lines, in the order they were given: `+` before the new ones, `-` before older ones.
    fn lines(text: &[u8], size: usize, span: &mut Span) -> Vec<String> {
        let mut seen = Vec::new();
        let mut bytes = text;
        read_lines(&mut bytes, size as u64, span, soon(), |piece, older| {
            for line in piece.split_inclusive(|byte| *byte == b'\n') {
                let sign = if older { '-' } else { '+' };
                seen.push(format!("{sign}{}", line.trim_ascii_end().escape_ascii()));
            }
        })
        .unwrap();
        seen
    }

    #[test]
    fn every_line_is_read_once() {
        let text = b"one\ntwo\nthree\nfour";
        // At first all is older than the end; what is after the last line end waits.
        let mut span = Span::before(18);
        assert_eq!(lines(text, 18, &mut span), ["-one", "-two", "-three"]);
        assert_eq!(span, Span { lo: 0, hi: 14 });
        assert_eq!(lines(b"one\ntwo\nthree\nfour\n", 19, &mut span), ["+four"]);
        assert_eq!(lines(b"one\ntwo\nthree\nfour\n", 19, &mut span), [""; 0]);
    }

    #[test]
    fn a_large_file_is_read_in_whole_lines_backwards() {
        let mut text = Vec::new();
        for n in 0..200_000 {
            text.extend_from_slice(format!("line {n}\n").as_bytes());
        }
        let mut span = Span::before(text.len() as u64);
        let seen = lines(&text, text.len(), &mut span);
        assert_eq!(seen.len(), 200_000);
        let all: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(all.len(), 200_000);
        assert!(span.is_whole());
        // A line that is longer than a piece, between two that are not.
        let text = [
            b"first\n".to_vec(),
            vec![b'x'; 3 << 20],
            b"\nlast\n".to_vec(),
        ]
        .concat();
        let mut span = Span::before(text.len() as u64);
        let seen = lines(&text, text.len(), &mut span);
        assert!(seen.contains(&"-last".to_owned()) && seen.contains(&"-first".to_owned()));
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_an_error_and_time_ends() {
        let mut bytes = &b"abc\n"[..];
        let mut span = Span::before(10);
        assert!(read_lines(&mut bytes, 10, &mut span, soon(), |_, _| ()).is_err());
        let mut span = Span::before(4);
        let over = Deadline(Instant::now());
        read_lines(&mut bytes, 4, &mut span, over, |_, _| panic!("no time")).unwrap();
        assert_eq!(span, Span::before(4));
    }
}
