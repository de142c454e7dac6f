//! The embedded store.

use metrics::{Counter, Gauge};

use crate::catalogue::{STORE_BYTES, STORE_DAMAGE, STORE_FREE};

/// The handle of a process's store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    damage: Counter,
    bytes: Gauge,
    free: Gauge,
}

impl StoreMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> StoreMetrics {
        StoreMetrics {
            damage: STORE_DAMAGE.counter(&[]),
            bytes: STORE_BYTES.gauge(&[]),
            free: STORE_FREE.gauge(&[]),
        }
    }

    /// Something stored was damaged, and passed over.
    pub fn damaged(&self) {
        self.damage.increment(1);
    }

    /// Its files take so many bytes, and there is room for so many more.
    pub fn takes(&self, bytes: u64, free: u64) {
        self.bytes.set(bytes as f64);
        self.free.set(free as f64);
    }
}

impl Default for StoreMetrics {
    fn default() -> StoreMetrics {
        StoreMetrics::new()
    }
}
