//! One file of frames: a segment of the journal, or a checkpoint.
//!
//! It begins with 64 bytes: 7 of magic, the format version, the index of the first record (8),
//! the digest of the record before that one (32), the CRC-32C of all these (4), zeros. The digest
//! lets the chain go on behind a segment whose predecessor was lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rescind_protocol::evidence::ChainHead;
use rescind_protocol::name::Digest;
use zeroize::Zeroizing;

use super::crc32c::Crc32c;
use super::error::StoreError;
use super::frame;

/// The bytes before the first frame.
pub const HEADER_BYTES: u64 = 64;
/// The format this version writes.
pub const FORMAT: u8 = 1;

/// What a file of frames is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A segment of the journal.
    Segment,
    /// A checkpoint.
    Checkpoint,
}

impl Kind {
    const fn magic(self) -> &'static [u8; 7] {
        match self {
            Self::Segment => b"rescSEG",
            Self::Checkpoint => b"rescCHK",
        }
    }
}

/// The name of the segment whose first record is `first`.
pub fn file_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The first record of the segment with this name; `None` when it is not a segment's name.
pub fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// A file's first bytes, for the file that begins where `head` stands.
pub fn header(kind: Kind, head: ChainHead) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..7].copy_from_slice(kind.magic());
    bytes[7] = FORMAT;
    bytes[8..16].copy_from_slice(&head.next.to_le_bytes());
    bytes[16..48].copy_from_slice(head.prev.as_bytes());
    let crc = header_crc(&bytes);
    bytes[48..52].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a file's first bytes: where the chain stood, or `None` when they are damaged.
///
/// A whole header of a later format is an error: such a file is not to be touched.
pub fn read_header(kind: Kind, file: &File, path: &Path) -> Result<Option<ChainHead>, StoreError> {
    let mut bytes = [0; HEADER_BYTES as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read.map_err(StoreError::io("read", path))?,
    }
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[48..52]);
    if bytes[..7] != *kind.magic() || u32::from_le_bytes(word) != header_crc(&bytes) {
        return Ok(None);
    }
    if bytes[7] != FORMAT {
        return Err(StoreError::NewerFormat {
            path: path.to_path_buf(),
            found: bytes[7],
            known: FORMAT,
        });
    }
    let (mut next, mut prev) = ([0; 8], [0; 32]);
    next.copy_from_slice(&bytes[8..16]);
    prev.copy_from_slice(&bytes[16..48]);
    Ok(Some(ChainHead {
        next: u64::from_le_bytes(next),
        prev: Digest::from_bytes(prev),
    }))
}

fn header_crc(bytes: &[u8; HEADER_BYTES as usize]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&bytes[..48]);
    crc.value()
}

/// A frame that was read and whose checksum fits.
#[derive(Debug)]
pub struct Frame {
    /// Where it begins in the file.
    pub at: u64,
    /// Where the next one begins.
    pub end: u64,
    /// How much of the file was on the disk when it was written.
    pub durable: u64,
    /// The record.
    pub record: Vec<u8>,
    /// Bytes of the attachment, which ends where the frame ends.
    pub private_len: usize,
}

/// What stands at a place in a file of frames.
#[derive(Debug)]
pub enum Found {
    /// A frame.
    Frame(Frame),
    /// Nothing but zeros up to the end of the file, or the end itself.
    End,
    /// Something else.
    Damage,
}

/// Reads the frames of one file, a piece at a time: a segment never lies in memory whole.
#[derive(Debug)]
pub struct Frames<'f> {
    file: &'f File,
    number: u64,
    len: u64,
    piece: Zeroizing<Vec<u8>>,
}

/// Attachments and zeros are read in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
/// After so many places that looked like a frame and were none, the rest of a file is given up:
/// a bound on the work that a file full of false beginnings can make.
const FALSE_FRAMES_MAX: usize = 1024;

impl<'f> Frames<'f> {
    /// For a file whose frames were checksummed with `number`, the index of its first record.
    pub fn new(file: &'f File, number: u64) -> io::Result<Self> {
        Ok(Self {
            file,
            number,
            len: file.metadata()?.len(),
            piece: Zeroizing::new(vec![0; PIECE_BYTES]),
        })
    }

    /// What stands at `at`.
    pub fn read(&mut self, at: u64) -> io::Result<Found> {
        let mut bytes = [0; frame::HEADER_BYTES];
        if at + bytes.len() as u64 > self.len || !self.fill(&mut bytes, at)? {
            return self.end_or_damage(at);
        }
        let Some(header) = frame::Header::parse(bytes) else {
            return self.end_or_damage(at);
        };
        let end = at + header.frame_len();
        if end > self.len || u64::from(header.durable()) > at {
            return Ok(Found::Damage);
        }
        let mut crc = header.checksum(self.number);
        let mut record = vec![0; header.record_len()];
        let body = at + bytes.len() as u64;
        if !self.fill(&mut record, body)? {
            return Ok(Found::Damage);
        }
        crc.update(&record);
        let mut place = body + record.len() as u64;
        while place < end {
            let take = usize::try_from(end - place).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
            let mut piece = std::mem::take(&mut self.piece);
            let read = self.fill(&mut piece[..take], place);
            crc.update(&piece[..take]);
            self.piece = piece;
            if !read? {
                return Ok(Found::Damage);
            }
            place += take as u64;
        }
        if !header.fits(crc) {
            return Ok(Found::Damage);
        }
        Ok(Found::Frame(Frame {
            at,
            end,
            durable: u64::from(header.durable()),
            record,
            private_len: header.private_len(),
        }))
    }

    /// The attachment of a frame that [`Self::read`] returned.
    pub fn private(&self, frame: &Frame) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut private = Zeroizing::new(vec![0; frame.private_len]);
        self.file
            .read_exact_at(&mut private, frame.end - frame.private_len as u64)?;
        Ok(private)
    }

    /// The first frame that begins at `from` or later and that `accept` takes.
    ///
    /// What lies in between may hold anything, text of users included, so whoever asks must not
    /// take a frame for genuine because it is well-formed.
    pub fn seek(
        &mut self,
        from: u64,
        mut accept: impl FnMut(&Frame) -> bool,
    ) -> io::Result<Option<Frame>> {
        let mut false_frames = 0;
        let mut at = from;
        let mut window = vec![0; PIECE_BYTES];
        while at + frame::HEADER_BYTES as u64 <= self.len {
            let have = usize::try_from(self.len - at).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
            if !self.fill(&mut window[..have], at)? {
                // An unreadable block (EIO): step over the smallest a disk has.
                at = (at / 512 + 1) * 512;
                continue;
            }
            let begins = window[..have]
                .windows(frame::MAGIC.len())
                .position(|bytes| bytes == frame::MAGIC);
            let Some(begins) = begins else {
                at += (have - (frame::MAGIC.len() - 1)) as u64;
                continue;
            };
            at += begins as u64;
            match self.read(at)? {
                Found::Frame(frame) if accept(&frame) => return Ok(Some(frame)),
                _ => false_frames += 1,
            }
            if false_frames == FALSE_FRAMES_MAX {
                return Ok(None);
            }
            at += 1;
        }
        Ok(None)
    }

    /// The last byte from `from` on that is not zero, counted from `from`; 0 when there is none.
    pub fn rest(&mut self, from: u64) -> io::Result<u64> {
        let (mut at, mut last) = (from, from);
        while at < self.len {
            let take = usize::try_from(self.len - at).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
            let mut piece = std::mem::take(&mut self.piece);
            let read = self.fill(&mut piece[..take], at);
            let used = piece[..take].iter().rposition(|byte| *byte != 0);
            self.piece = piece;
            match (read?, used) {
                (true, None) => {}
                (true, Some(used)) => last = at + used as u64 + 1,
                (false, _) => last = at + take as u64,
            }
            at += take as u64;
        }
        Ok(last - from)
    }

    fn end_or_damage(&mut self, at: u64) -> io::Result<Found> {
        Ok(match self.rest(at)? {
            0 => Found::End,
            _ => Found::Damage,
        })
    }

    /// Fills `buffer`; `false` when the disk cannot read that place or the file ends before.
    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        match self.file.read_exact_at(buffer, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) if is_medium_error(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// EIO from a read: the disk has lost this place, which is damage to be named, not a reason to
/// give up on the rest.
fn is_medium_error(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.raw_os_error() == Some(EIO)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(parts: &[&[u8]]) -> File {
        let path = std::env::temp_dir().join(format!(
            "rescind-segment-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(path).unwrap();
        parts.iter().for_each(|part| file.write_all(part).unwrap());
        file
    }

    fn describe(file: &File) -> String {
        let mut frames = Frames::new(file, 7).unwrap();
        let (mut at, mut out) = (0, String::new());
        loop {
            match frames.read(at).unwrap() {
                Found::Frame(frame) => {
                    let private = frames.private(&frame).unwrap();
                    let text = String::from_utf8(frame.record).unwrap();
                    out += &format!("{text}+{} ", String::from_utf8(private.to_vec()).unwrap());
                    at = frame.end;
                }
                Found::End => return out + "end",
                Found::Damage => {
                    let Some(frame) = frames.seek(at + 1, |_| true).unwrap() else {
                        return format!("{out}damage({})", frames.rest(at).unwrap());
                    };
                    out += "damage ";
                    at = frame.at;
                }
            }
        }
    }

    #[test]
    fn frames_are_told_from_zeros_and_damage() {
        let [a, b] = [("a", "secret"), ("b", "")]
            .map(|(r, p)| frame::encode(7, 0, r.as_bytes(), p.as_bytes()).to_vec());
        let foreign = frame::encode(8, 0, b"x", b"").to_vec();
        for (parts, want) in [
            (vec![&a[..], &b], "a+secret b+ end"),
            (vec![&a, &b, &[0; 5000]], "a+secret b+ end"),
            (vec![&a, &b[..9]], "a+secret damage(9)"),
            (vec![&a, &b[..9], &[0; 50]], "a+secret damage(9)"),
            (vec![&a, b"REC1REC1", &b], "a+secret damage b+ end"),
            (vec![&a, &[0; 40_000], &b], "a+secret damage b+ end"),
            (vec![&a, &foreign, &b], "a+secret damage b+ end"),
            (vec![], "end"),
        ] {
            assert_eq!(describe(&file(&parts)), want);
        }
    }

    #[test]
    fn a_file_full_of_false_beginnings_is_given_up() {
        let lies = frame::MAGIC.repeat(200_000);
        assert_eq!(describe(&file(&[&lies])), "damage(800000)");
    }

    #[test]
    fn a_header_of_a_later_format_is_not_called_damage() {
        let head = ChainHead {
            next: 42,
            prev: Digest::from_bytes([9; 32]),
        };
        let mut bytes = header(Kind::Segment, head);
        let read = |bytes: &[u8]| read_header(Kind::Segment, &file(&[bytes]), Path::new("f"));
        assert_eq!(read(&bytes).unwrap(), Some(head));
        assert_eq!(read(&bytes[..63]).unwrap(), None);
        bytes[7] = 2;
        assert_eq!(read(&bytes).unwrap(), None);
        let crc = header_crc(&bytes).to_le_bytes();
        bytes[48..52].copy_from_slice(&crc);
        assert!(matches!(
            read(&bytes),
            Err(StoreError::NewerFormat { found: 2, .. })
        ));
        assert_eq!(first_of_name(&file_name(42)), Some(42));
        assert_eq!(first_of_name("42.seg"), None);
    }
}
