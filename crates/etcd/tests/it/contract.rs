//! The contract of the coordinator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use minutehand_etcd::{EtcdConfig, EtcdCoordinator};
use minutehand_model::{Epoch, LogOffset, PartitionId, Tick};
use minutehand_ports::contract::{Harness, PARTITIONS, Stores};
use minutehand_ports::{Committed, ErrorClass, ExecutionSink, Opened, PortError};

use crate::support::{config, member};

struct Etcd;

/// What outlives the process of a node.
struct Outside {
    config: EtcdConfig,
    sink: Arc<Fences>,
}

#[async_trait]
impl Harness for Etcd {
    async fn fresh(&self) -> Stores {
        stores(Outside {
            config: config(),
            sink: Arc::default(),
        })
        .await
    }

    async fn reopen(&self, stores_before: Stores) -> Stores {
        let Stores {
            coordinator, keep, ..
        } = stores_before;
        drop(coordinator);
        stores(*keep.downcast::<Outside>().expect("what `fresh` put there")).await
    }
}

async fn stores(outside: Outside) -> Stores {
    let node = EtcdCoordinator::start(&outside.config, &member("node", 2_000), PARTITIONS).await;
    Stores {
        coordinator: Arc::new(node.expect("etcd is there")),
        sink: Arc::clone(&outside.sink) as Arc<dyn ExecutionSink>,
        keep: Box::new(outside),
        ..Stores::absent()
    }
}

/// A sink that knows epochs and nothing else.
#[derive(Default)]
struct Fences {
    opened: Mutex<BTreeMap<PartitionId, Epoch>>,
}

#[async_trait]
impl ExecutionSink for Fences {
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError> {
        let mut opened = self.opened.lock().unwrap();
        let highest = opened.entry(partition).or_default();
        if epoch < *highest {
            return Err(PortError::new(
                ErrorClass::Fenced,
                "open the partition",
                "a later owner has it",
            ));
        }
        *highest = epoch;
        Ok(Opened {
            checkpoint: None,
            schedule_states: Vec::new(),
            log_end: LogOffset::START,
            taken_at: None,
        })
    }

    async fn commit(&self, _: Tick) -> Result<Committed, PortError> {
        Err(PortError::new(
            ErrorClass::Fatal,
            "commit a tick",
            "this sink keeps nothing",
        ))
    }
}

minutehand_ports::contract_tests!(coordinator: Etcd);
