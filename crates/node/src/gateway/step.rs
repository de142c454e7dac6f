//! How many entries to ask for at once where nobody knows how large they are.

/// Entries asked for first: as many of the largest there are take some megabytes.
const FIRST: usize = 16;
/// About how many bytes one answer should have.
const ANSWER_BYTES: usize = 1024 * 1024;

/// The number of entries to ask for next: few at first, then by the size of those that came.
pub(super) struct Step {
    count: usize,
    count_max: usize,
}

impl Step {
    pub(super) fn new(count_max: usize) -> Step {
        Step {
            count: FIRST.min(count_max),
            count_max,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// So many entries of so many bytes came.
    pub(super) fn came(&mut self, count: usize, bytes: usize) {
        let bytes_each = bytes / count.max(1) + 1;
        self.count = (2 * self.count)
            .min(ANSWER_BYTES / bytes_each)
            .clamp(1, self.count_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_come_by_the_thousand_and_large_ones_singly() {
        let mut step = Step::new(2_048);
        for _ in 0..10 {
            step.came(step.count(), step.count() * 100);
        }
        assert_eq!(step.count(), 2_048);
        step.came(2_048, 2_048 * 500_000);
        assert_eq!(step.count(), 2);
        step.came(0, 0);
        assert_eq!(step.count(), 4);
        assert_eq!(Step::new(3).count(), 3);
    }
}
