//! What is in a journal file, as journal-def.h of systemd lays it out: a header, and objects that
//! point to each other by their offsets.
//!
//! The file may be written to meanwhile, may have been cut off by a power cut, and may be damaged:
//! every offset and size is checked against the file, every chain against a limit.

use std::io;

use super::hash;
use crate::logins::tail::{Bytes, Window};

/// Entries of one list that are looked at in one file; journald stops a file far before.
const ENTRIES_MAX: u64 = 16 << 20;
/// Objects with the same hash, one after the other.
const CHAIN_MAX: usize = 4096;
/// Arrays of a list: each holds twice as many entries as the one before.
const ARRAYS_MAX: usize = 4096;
/// Fields of an entry; journald takes 1024 from a program.
const ITEMS_MAX: u64 = 4096;
/// The oldest header that is understood, that of systemd 183.
const HEADER_BYTES_MIN: usize = 208;

const KEYED_HASH: u32 = 4;
const COMPACT: u32 = 16;
/// Compression by XZ, LZ4 and Zstandard, of single objects: a flag says of which.
const COMPRESSED: u32 = 1 | 2 | 8;

/// Why a journal file, or a part of it, is not read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It does not begin as one.
    #[error("is not a journal")]
    NotOne,
    /// It needs what this version does not know.
    #[error("is a journal of a newer kind (flags {0:#x})")]
    Newer(u32),
    /// Something in it points to where there is nothing.
    #[error("is damaged, or was cut off (at byte {0})")]
    Damaged(u64),
    /// The system said no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// An open journal file.
#[derive(Debug)]
pub struct JournalFile<B> {
    bytes: Window<B>,
    /// What it says of itself.
    pub header: Header,
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    flags: u32,
    /// No entry is added any more.
    pub archived: bool,
    /// The file's own id; it stays over renaming.
    pub file_id: [u8; 16],
    /// The machine-id(5) of the host that wrote it.
    pub machine_id: [u8; 16],
    /// The boot in which its last entry was written.
    pub tail_boot_id: [u8; 16],
    table: u64,
    buckets: u64,
    /// Its first entry, in microseconds since 1970; 0 where there is none.
    pub head_us: u64,
    /// Its last entry.
    pub tail_us: u64,
}

/// A `FIELD=value` that entries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Where it is: entries name it by that.
    pub at: u64,
    first: u64,
    array: u64,
    entries: u64,
}

/// The entries that have a `FIELD=value`, the oldest first.
#[derive(Debug)]
pub struct Entries {
    first: u64,
    /// The places of their items, and how many entries are before and in each.
    arrays: Vec<(u64, u64, u64)>,
    count: u64,
}

impl Entries {
    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When journald took it, in microseconds since 1970.
    pub realtime_us: u64,
    /// The same on the clock of its boot.
    pub monotonic_us: u64,
    /// Which boot.
    pub boot_id: [u8; 16],
    /// Its fields, by where they are.
    pub items: Vec<u64>,
}

/// The text of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// `FIELD=value`, or the beginning of it.
    Plain(Vec<u8>),
    /// It is compressed; only long ones are.
    Compressed,
}

const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
const OBJECT_HEADER_BYTES: u64 = 16;

impl<B: Bytes> JournalFile<B> {
    /// Reads the header.
    pub fn open(bytes: B) -> Result<Self, JournalError> {
        let mut bytes = Window::new(bytes);
        let mut head = [0; HEADER_BYTES_MIN];
        if bytes.read_at(0, &mut head)? < head.len() || &head[..8] != b"LPKSHHRH" {
            return Err(JournalError::NotOne);
        }
        let flags = u32_at(&head, 12);
        if flags & !(KEYED_HASH | COMPACT | COMPRESSED) != 0 {
            return Err(JournalError::Newer(flags));
        }
        let buckets = u64_at(&head, 112) / 16;
        if buckets == 0 {
            return Err(JournalError::Damaged(112));
        }
        let header = Header {
            flags,
            archived: head[16] == 2,
            file_id: id_at(&head, 24),
            machine_id: id_at(&head, 40),
            tail_boot_id: id_at(&head, 56),
            table: u64_at(&head, 104),
            buckets,
            head_us: u64_at(&head, 184),
            tail_us: u64_at(&head, 192),
        };
        Ok(Self { bytes, header })
    }

    /// Finds a `FIELD=value`; `None` where no entry has it.
    pub fn find(&mut self, text: &[u8]) -> Result<Option<Data>, JournalError> {
        let hash = match self.header.flags & KEYED_HASH {
            0 => hash::jenkins(text),
            _ => hash::sip(&self.header.file_id, text),
        };
        let bucket = self
            .header
            .table
            .saturating_add(16 * (hash % self.header.buckets));
        let mut at = self.long(bucket)?;
        for _ in 0..CHAIN_MAX {
            if at == 0 {
                return Ok(None);
            }
            let (object, size) = self.object::<64>(at, DATA)?;
            let prefix = self.data_header_bytes();
            let same = u64_at(&object, 16) == hash && size == prefix + text.len() as u64;
            if same && self.text(at, text.len())? == Text::Plain(text.to_vec()) {
                return Ok(Some(Data {
                    at,
                    first: u64_at(&object, 40),
                    array: u64_at(&object, 48),
                    entries: u64_at(&object, 56),
                }));
            }
            at = u64_at(&object, 24);
        }
        Err(JournalError::Damaged(bucket))
    }

    /// The entries that have it.
    pub fn entries(&mut self, data: &Data) -> Result<Entries, JournalError> {
        let wanted = data.entries.min(ENTRIES_MAX);
        let mut found = Entries {
            first: data.first,
            arrays: Vec::new(),
            count: wanted,
        };
        let (mut at, mut before) = (data.array, 1);
        while before < wanted {
            if at == 0 || found.arrays.len() == ARRAYS_MAX {
                return Err(JournalError::Damaged(data.at));
            }
            let (object, size) = self.object::<24>(at, ENTRY_ARRAY)?;
            let count = (size - 24) / self.array_item_bytes();
            if count == 0 {
                return Err(JournalError::Damaged(at));
            }
            found.arrays.push((at + 24, before, count));
            before += count;
            at = u64_at(&object, 16);
        }
        Ok(found)
    }

    /// One of them, counted from the oldest; `None` where it is not there yet.
    pub fn entry(&mut self, entries: &Entries, nth: u64) -> Result<Option<Entry>, JournalError> {
        let at = match nth {
            0 => entries.first,
            _ => {
                let past = entries
                    .arrays
                    .partition_point(|(_, before, _)| *before <= nth);
                let Some((items, before, count)) = past.checked_sub(1).map(|n| entries.arrays[n])
                else {
                    return Ok(None);
                };
                if nth - before >= count {
                    return Ok(None);
                }
                self.item(items, nth - before)?
            }
        };
        match at {
            0 => Ok(None),
            at => self.entry_at(at).map(Some),
        }
    }

    fn item(&mut self, items: u64, nth: u64) -> Result<u64, JournalError> {
        let at = items.saturating_add(nth * self.array_item_bytes());
        match self.header.flags & COMPACT {
            0 => self.long(at),
            _ => {
                let mut word = [0; 4];
                self.fill(at, &mut word)?;
                Ok(u32::from_le_bytes(word).into())
            }
        }
    }

    fn entry_at(&mut self, at: u64) -> Result<Entry, JournalError> {
        let (object, size) = self.object::<64>(at, ENTRY)?;
        let item_bytes = match self.header.flags & COMPACT {
            0 => 16,
            _ => 4,
        };
        let count = (size - 64) / item_bytes;
        if count > ITEMS_MAX {
            return Err(JournalError::Damaged(at));
        }
        let mut bytes = vec![0; (count * item_bytes) as usize];
        self.fill(at + 64, &mut bytes)?;
        let items = bytes
            .chunks_exact(item_bytes as usize)
            .map(|item| match item_bytes {
                4 => u32_at(item, 0).into(),
                _ => u64_at(item, 0),
            });
        Ok(Entry {
            realtime_us: u64_at(&object, 24),
            monotonic_us: u64_at(&object, 32),
            boot_id: id_at(&object, 40),
            items: items.collect(),
        })
    }

    /// The first `max` bytes of a field of an entry.
    pub fn text(&mut self, at: u64, max: usize) -> Result<Text, JournalError> {
        let (object, size) = self.object::<16>(at, DATA)?;
        if object[1] & 7 != 0 {
            return Ok(Text::Compressed);
        }
        let prefix = self.data_header_bytes();
        let len = size.checked_sub(prefix).ok_or(JournalError::Damaged(at))?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(max).min(max)];
        self.fill(at + prefix, &mut bytes)?;
        Ok(Text::Plain(bytes))
    }

    const fn data_header_bytes(&self) -> u64 {
        if self.header.flags & COMPACT == 0 {
            64
        } else {
            72
        }
    }

    const fn array_item_bytes(&self) -> u64 {
        if self.header.flags & COMPACT == 0 {
            8
        } else {
            4
        }
    }

    /// The first bytes of an object, and its size, which is at least that.
    fn object<const N: usize>(
        &mut self,
        at: u64,
        kind: u8,
    ) -> Result<([u8; N], u64), JournalError> {
        let damaged = || JournalError::Damaged(at);
        if !at.is_multiple_of(8) || at < OBJECT_HEADER_BYTES {
            return Err(damaged());
        }
        let mut bytes = [0; N];
        self.fill(at, &mut bytes)?;
        let size = u64_at(&bytes, 8);
        if bytes[0] != kind || size < N as u64 {
            return Err(damaged());
        }
        Ok((bytes, size))
    }

    fn long(&mut self, at: u64) -> Result<u64, JournalError> {
        let mut bytes = [0; 8];
        self.fill(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), JournalError> {
        // No offset near the end of all numbers is one of a file.
        if at > i64::MAX as u64 / 2 || self.bytes.read_at(at, buffer)? < buffer.len() {
            return Err(JournalError::Damaged(at));
        }
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn id_at(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[at..at + 16]);
    id
}
