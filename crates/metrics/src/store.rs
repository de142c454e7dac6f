//! The embedded store.

use metrics::Counter;

use crate::catalogue::STORE_DAMAGE;

/// The handle of a process's store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    damage: Counter,
}

impl StoreMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> StoreMetrics {
        StoreMetrics {
            damage: STORE_DAMAGE.counter(&[]),
        }
    }

    /// Something stored was damaged, and passed over.
    pub fn damaged(&self) {
        self.damage.increment(1);
    }
}

impl Default for StoreMetrics {
    fn default() -> StoreMetrics {
        StoreMetrics::new()
    }
}
