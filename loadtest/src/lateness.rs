//! A histogram of lateness in milliseconds that many threads fill at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lateness from this on is counted together.
const MS_MAX: usize = 120_000;

/// Counts by whole milliseconds.
#[derive(Debug)]
pub struct Lateness {
    counts: Vec<AtomicU64>,
    early: AtomicU64,
}

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness {
            counts: (0..=MS_MAX).map(|_| AtomicU64::new(0)).collect(),
            early: AtomicU64::new(0),
        }
    }
}

impl Lateness {
    /// Counts one start; a negative lateness is an early one.
    pub fn record(&self, late_ms: i64) {
        match usize::try_from(late_ms) {
            Ok(late_ms) => self.counts[late_ms.min(MS_MAX)].fetch_add(1, Ordering::Relaxed),
            Err(_) => self.early.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for count in &self.counts {
            count.store(0, Ordering::Relaxed);
        }
        self.early.store(0, Ordering::Relaxed);
    }

    /// Starts before the due time.
    pub fn early(&self) -> u64 {
        self.early.load(Ordering::Relaxed)
    }

    /// The lateness that a share of all starts does not exceed, in milliseconds.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let total: u64 = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count.load(Ordering::Relaxed);
            seen >= wanted
        });
        found.unwrap_or(0) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let lateness = Lateness::default();
        for late_ms in (0..1_000).rev() {
            lateness.record(late_ms);
        }
        lateness.record(-1);
        assert_eq!(
            [0.5, 0.99, 1.0].map(|share| lateness.quantile_ms(share)),
            [499.0, 989.0, 999.0]
        );
        assert_eq!(lateness.early(), 1);
    }
}
