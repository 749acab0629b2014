//! CRC-32C (Castagnoli; RFC 3720 appendix B.4), the checksum of iSCSI and ext4.
//!
//! It finds accidents, not forgeries: those are found by the chain and its signatures. Our own
//! because aws-lc has none and the crates that have one are larger than these lines; a byte at a
//! time is fast enough for a journal that is read once per start.

/// A running checksum.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Over nothing yet.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Takes in some more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = TABLE[usize::from(self.0 as u8 ^ byte)] ^ (self.0 >> 8);
        }
    }

    /// The checksum of everything taken in.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_3720_come_out() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, want) in [
            (vec![0; 32], 0x8a91_36aa),
            (vec![0xff; 32], 0x62a8_ab43),
            (ascending, 0x46dd_794e),
            (b"123456789".to_vec(), 0xe306_9283),
        ] {
            let mut crc = Crc32c::new();
            let (head, tail) = bytes.split_at(5);
            crc.update(head);
            crc.update(tail);
            assert_eq!(crc.value(), want);
        }
    }
}
