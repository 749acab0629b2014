//! For tests: numbers that are the same for the same seed (xorshift64, Marsaglia 2003), and files of
//! them.

/// Where they come from.
pub struct Random(u64);

impl Random {
    /// Begins at a seed, which is not 0.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "nothing but zeros follow it");
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % (limit as u64).max(1)).unwrap_or(0)
    }

    /// Fewer than `limit` of these letters.
    pub fn file(&mut self, letters: &[u8], limit: usize) -> Vec<u8> {
        let len = self.below(limit);
        (0..len)
            .map(|_| letters[self.below(letters.len())])
            .collect()
    }
}
