//! The ports' contract, held against the in-memory stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use minutehand_model::Timestamp;
use minutehand_ports::contract::{Harness, PARTITIONS, Stores};
use minutehand_ports::contract_tests;
use minutehand_sim::ports::MemoryStores;

struct Memory;

/// The stores, and the clock that they go by.
#[derive(Clone)]
struct Kept {
    memory: MemoryStores,
    clock_ms: Arc<AtomicI64>,
}

fn stores(kept: Kept) -> Stores {
    let memory = &kept.memory;
    Stores {
        log: Arc::new(memory.clone()),
        sink: Arc::new(memory.clone()),
        timetable: Arc::new(memory.clone()),
        ledger: Arc::new(memory.clone()),
        coordinator: Arc::new(memory.clone()),
        queue: Arc::new(memory.clone()),
        history: Arc::new(memory.clone()),
        keep: Box::new(kept),
    }
}

fn kept(stores: &Stores) -> &Kept {
    stores.keep.downcast_ref().expect("made by this harness")
}

#[async_trait]
impl Harness for Memory {
    async fn fresh(&self) -> Stores {
        let clock_ms = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&clock_ms);
        let now = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        stores(Kept {
            memory: MemoryStores::new(PARTITIONS, now),
            clock_ms,
        })
    }

    async fn reopen(&self, before: Stores) -> Stores {
        let kept = kept(&before).clone();
        kept.memory.restart();
        stores(kept)
    }

    fn set_clock(&self, stores: &Stores, now: Timestamp) -> bool {
        let Kept { memory, clock_ms } = kept(stores);
        clock_ms.store(now.as_millis(), Ordering::Relaxed);
        memory.confirm();
        true
    }
}

contract_tests!(Memory);
