//! The children of a worker's pool.

use metrics::{Counter, Gauge};

use crate::catalogue::{POOL_CHILDREN, POOL_CHILDREN_ENDED};
use crate::label::ByWord;

/// The handle of a process's pool.
#[derive(Debug)]
pub struct PoolMetrics {
    children: Gauge,
    ended: ByWord<Counter>,
}

impl PoolMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> PoolMetrics {
        PoolMetrics {
            children: POOL_CHILDREN.gauge(&[]),
            ended: ByWord::of(&POOL_CHILDREN_ENDED, |why| {
                POOL_CHILDREN_ENDED.counter(&[why])
            }),
        }
    }

    /// A child was started.
    pub fn started(&self) {
        self.children.increment(1.0);
    }

    /// A child ended: `why` is a word of the metric's label.
    pub fn ended(&self, why: &str) {
        self.children.decrement(1.0);
        self.ended.get(why).increment(1);
    }
}

impl Default for PoolMetrics {
    fn default() -> PoolMetrics {
        PoolMetrics::new()
    }
}
