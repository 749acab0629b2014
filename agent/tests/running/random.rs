//! Numbers that are the same for the same seed (xorshift64, Marsaglia 2003).

pub struct Random(u64);

impl Random {
    /// From the environment, or by the clock; told, so that a failure can be had again.
    pub fn told(what: &str) -> Self {
        let seed = std::env::var("RESCIND_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.unwrap().as_secs()
        };
        let seed: u64 = seed.unwrap_or_else(clock);
        println!("{what}: RESCIND_SEED={seed}");
        // Seconds that follow each other are to be far apart.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub const fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Once in so many times.
    pub const fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
