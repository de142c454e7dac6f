//! What a store is met like: its damage, and what the embedded one takes.

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

/// What of another store's was damaged; one value of it for each.
#[derive(Clone, Debug)]
pub struct StoreDamage(Counter);

impl StoreDamage {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> StoreDamage {
        StoreDamage(STORE_DAMAGE.counter(&[]))
    }

    /// Something stored was damaged, and passed over.
    pub fn met(&self) {
        self.0.increment(1);
    }
}

impl Default for StoreDamage {
    fn default() -> StoreDamage {
        StoreDamage::new()
    }
}

impl Default for StoreMetrics {
    fn default() -> StoreMetrics {
        StoreMetrics::new()
    }
}
