//! The one source of chance: xoshiro256++, seeded by splitmix64, the same on every machine.
//!
//! Only integer arithmetic decides, so a seed gives the same run wherever it is tried.

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        let mut state = seed;
        Rng {
            state: std::array::from_fn(|_| splitmix(&mut state)),
        }
    }

    /// A generator of its own for one purpose, so that a draw more here does not change what is
    /// drawn there.
    pub(crate) fn fork(seed: u64, purpose: u64) -> Rng {
        let mut state = seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Rng::new(splitmix(&mut state))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let (s2, s3) = (s2 ^ s0, s3 ^ s1);
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17), s3.rotate_left(45)];
        result
    }

    /// Evenly from `0..bound`; `bound` is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound.max(1))) >> 64) as u64
    }

    /// Evenly from `low..=high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.abs_diff(low).saturating_add(1)) as i64
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && ((self.next() >> 11) as f64) < p * (1_u64 << 53) as f64
    }

    /// Around `mean`: evenly from 0 to twice as much.
    pub(crate) fn around(&mut self, mean: i64) -> i64 {
        self.range(0, mean.saturating_mul(2))
    }

    /// One of a few values.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_and_every_value_comes_up() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[(rng.range(-3, 3) + 3) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn chances_come_true_as_often_as_they_say() {
        let mut rng = Rng::new(2);
        let hits = (0..100_000).filter(|_| rng.chance(0.03)).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| rng.chance(0.0)));
        assert!((0..1_000).all(|_| rng.chance(1.0)));
    }

    #[test]
    fn forks_differ_by_purpose_and_agree_by_seed() {
        assert_eq!(Rng::fork(7, 1).next(), Rng::fork(7, 1).next());
        assert_ne!(Rng::fork(7, 1).next(), Rng::fork(7, 2).next());
    }
}
