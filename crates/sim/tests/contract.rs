//! The ports' contract, held against the in-memory stores.

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::Timestamp;
use minutehand_ports::contract::{Harness, PARTITIONS, Stores};
use minutehand_ports::contract_tests;
use minutehand_sim::ports::MemoryStores;

struct Memory;

fn stores(memory: MemoryStores) -> Stores {
    Stores {
        log: Arc::new(memory.clone()),
        sink: Arc::new(memory.clone()),
        timetable: Arc::new(memory.clone()),
        ledger: Arc::new(memory.clone()),
        coordinator: Arc::new(memory.clone()),
        queue: Arc::new(memory.clone()),
        history: Arc::new(memory.clone()),
        keep: Box::new(memory),
    }
}

fn memory(stores: &Stores) -> &MemoryStores {
    stores.keep.downcast_ref().expect("made by this harness")
}

#[async_trait]
impl Harness for Memory {
    async fn fresh(&self) -> Stores {
        stores(MemoryStores::new(PARTITIONS))
    }

    async fn reopen(&self, before: Stores) -> Stores {
        let memory = memory(&before).clone();
        memory.restart();
        stores(memory)
    }

    fn set_clock(&self, stores: &Stores, now: Timestamp) -> bool {
        memory(stores).set_clock(now);
        true
    }
}

contract_tests!(Memory);
