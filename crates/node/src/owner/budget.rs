//! The memory that the partitions of a node share: each gets the same part of it, whichever they
//! are at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No partition has to do with less, in bytes: what is read at once must fit.
const SHARE_BYTES_MIN: usize = 1024 * 1024;

/// What there is for all partitions together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    sharers: Arc<AtomicUsize>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Budget {
        Budget {
            bytes_max,
            sharers: Arc::default(),
        }
    }

    /// One more partition takes its part, until the answer is dropped.
    pub(crate) fn share(&self) -> Share {
        self.sharers.fetch_add(1, Ordering::Relaxed);
        Share {
            budget: self.clone(),
            told: None,
        }
    }
}

/// A partition's part.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    told: Option<usize>,
}

impl Share {
    /// The bytes of the part, when they are others than were answered last.
    pub(crate) fn news(&mut self) -> Option<usize> {
        let sharers = self.budget.sharers.load(Ordering::Relaxed).max(1);
        let bytes = (self.budget.bytes_max / sharers).max(SHARE_BYTES_MIN);
        (self.told != Some(bytes)).then(|| {
            self.told = Some(bytes);
            bytes
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_together_have_what_there_is() {
        let budget = Budget::new(64 * SHARE_BYTES_MIN);
        let mut first = budget.share();
        assert_eq!(
            (first.news(), first.news()),
            (Some(64 * SHARE_BYTES_MIN), None)
        );
        let mut second = budget.share();
        assert_eq!(first.news(), Some(32 * SHARE_BYTES_MIN));
        assert_eq!(second.news(), Some(32 * SHARE_BYTES_MIN));
        drop(first);
        assert_eq!(second.news(), Some(64 * SHARE_BYTES_MIN));
        let many: Vec<Share> = (0..200).map(|_| budget.share()).collect();
        assert_eq!(
            second.news(),
            Some(SHARE_BYTES_MIN),
            "and each enough to go on, {} of them",
            many.len()
        );
    }
}
