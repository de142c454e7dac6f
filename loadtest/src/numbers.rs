//! Sets of numbers that lie close together.

/// A set of numbers, a bit for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Vec<u64>);

impl Numbers {
    /// Whether a number is in it.
    pub(crate) fn has(&self, number: u64) -> bool {
        let word = self.0.get((number / 64) as usize).copied().unwrap_or(0);
        word & (1 << (number % 64)) != 0
    }

    /// Adds a number; whether it was there before.
    pub(crate) fn add(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1_u64 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let had = self.0[word] & bit != 0;
        self.0[word] |= bit;
        had
    }

    /// The numbers from `64 * at` on that are in it, a bit for each.
    pub(crate) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// How many words have numbers.
    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    /// How many are in it.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_met_before_when_it_was() {
        let mut numbers = Numbers::default();
        let story = [
            (3, false),
            (64, false),
            (3, true),
            (63, false),
            (1_000, false),
            (64, true),
            (65, false),
        ];
        for (number, had) in story {
            assert_eq!(numbers.add(number), had, "{number}");
        }
    }
}
