//! Numbers that only look random: a seed gives the same ones each time.

/// A small generator (xorshift64*).
pub struct Chance(pub u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// By `SEED`, or one that is always the same.
    pub fn seed() -> u64 {
        std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
