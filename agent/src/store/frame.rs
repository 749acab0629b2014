//! One frame: a sealed record and its private attachment, as they lie in a file.
//!
//! | bytes | field |
//! | --- | --- |
//! | 4 | `REC1` |
//! | 4 | CRC-32C over the file's number and everything below |
//! | 4 | length of the record |
//! | 4 | length of the attachment, 0 when there is none |
//! | 4 | how much of the file was known to be on the disk when this frame was written |
//! | … | the record (CBOR) |
//! | … | the attachment |
//!
//! Numbers are little-endian. The last field of the header is what tells a torn write from a
//! damaged disk: bytes before it had been synced, so if they are bad now, the disk lost them.

use zeroize::Zeroizing;

use super::crc32c::Crc32c;

/// The bytes before the record.
pub const HEADER_BYTES: usize = 20;
/// The largest record, in bytes: a sealed record, or a part of a checkpoint.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// The largest private attachment, in bytes, with its salt.
pub const PRIVATE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What opens every frame, so that reading can find its feet again after damage.
pub const MAGIC: [u8; 4] = *b"REC1";

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// Reads a header; `None` when no frame can begin so.
    pub fn parse(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        let header = Self { bytes };
        let possible = bytes[..4] == MAGIC
            && (1..=RECORD_BYTES_MAX).contains(&header.record_len())
            && header.private_len() <= PRIVATE_BYTES_MAX;
        possible.then_some(header)
    }

    /// Bytes of the record.
    pub const fn record_len(&self) -> usize {
        self.word(8) as usize
    }

    /// Bytes of the attachment.
    pub const fn private_len(&self) -> usize {
        self.word(12) as usize
    }

    /// How much of the file was known to be on the disk.
    pub const fn durable(&self) -> u32 {
        self.word(16)
    }

    /// Bytes of the whole frame.
    pub const fn frame_len(&self) -> u64 {
        (HEADER_BYTES + self.record_len() + self.private_len()) as u64
    }

    /// A checksum that has taken in what comes before the record.
    pub fn checksum(&self, file: u64) -> Crc32c {
        let mut crc = Crc32c::new();
        crc.update(&file.to_le_bytes());
        crc.update(&self.bytes[8..]);
        crc
    }

    /// Whether the checksum of what followed is the one that was written.
    pub const fn fits(&self, crc: Crc32c) -> bool {
        crc.value() == self.word(4)
    }

    const fn word(&self, at: usize) -> u32 {
        let b = &self.bytes;
        u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
    }
}

/// A whole frame. The caller has checked both lengths.
pub fn encode(file: u64, durable: u32, record: &[u8], private: &[u8]) -> Zeroizing<Vec<u8>> {
    debug_assert!(record.len() <= RECORD_BYTES_MAX && private.len() <= PRIVATE_BYTES_MAX);
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&(record.len() as u32).to_le_bytes());
    bytes[12..16].copy_from_slice(&(private.len() as u32).to_le_bytes());
    bytes[16..].copy_from_slice(&durable.to_le_bytes());
    let mut crc = Header { bytes }.checksum(file);
    crc.update(record);
    crc.update(private);
    bytes[4..8].copy_from_slice(&crc.value().to_le_bytes());
    // Exact capacity: a buffer that grew would leave copies of the attachment behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(
        HEADER_BYTES + record.len() + private.len(),
    ));
    frame.extend_from_slice(&bytes);
    frame.extend_from_slice(record);
    frame.extend_from_slice(private);
    frame
}
