//! Stores in folders of their own, with a clock that the test sets, and things to put into them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::contract::PARTITIONS;
use minutehand_ports::{DeliveryId, Settlement};

/// A clock that stands still until it is set.
#[derive(Clone)]
pub(crate) struct TestClock(pub(crate) Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(ms: i64) -> TestClock {
        TestClock(Arc::new(AtomicI64::new(ms)))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Settings that take the time from this clock.
    pub(crate) fn config(&self, folder: &Path) -> Config {
        let clock = self.clone();
        let now = move || Timestamp::from_millis(clock.0.load(Ordering::SeqCst));
        Config::new(folder, PARTITIONS, Arc::new(now))
    }
}

/// The usual settings for a folder.
pub(crate) fn config(folder: &Path) -> Config {
    TestClock::at(1_000).config(folder)
}

/// A store with the usual settings.
pub(crate) fn open(folder: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(config(folder)).unwrap()
}

/// Rows of a table, counted beside the store.
pub(crate) fn rows(folder: &Path, table: &str) -> usize {
    let database = fjall::Database::builder(folder.join("database"))
        .open()
        .unwrap();
    let table = database
        .keyspace(table, fjall::KeyspaceCreateOptions::default)
        .unwrap();
    table.len().unwrap()
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

pub(crate) fn task(id: &str, to: &str, payload: Bytes) -> TaskRecord {
    let due = Timestamp::from_millis(1_800_000_000_000);
    minutehand_record::task::record(&Task {
        payload,
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
            queue(to),
            due,
        )
    })
}

/// The id in an encoded task.
pub(crate) fn id_of(encoded: &Bytes) -> String {
    minutehand_record::task::name(encoded)
        .unwrap()
        .id
        .to_string()
}

pub(crate) fn tick(
    partition: PartitionId,
    epoch: Epoch,
    number: u64,
    tasks: Vec<TaskRecord>,
) -> Tick {
    Tick {
        partition,
        checkpoint: Checkpoint {
            epoch,
            tick: number,
            ..Checkpoint::START
        },
        published_at: Timestamp::from_millis(1_800_000_000_000),
        publications: tasks
            .into_iter()
            .map(|task| Publication {
                offset: LogOffset::at(number),
                task,
            })
            .collect(),
        stops: Vec::new(),
        derived: Vec::new(),
        schedule_states: Vec::new(),
        set_aside: Vec::new(),
    }
}

pub(crate) fn done(id: DeliveryId) -> Settlement {
    Settlement::bare(id)
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Bytes that do not compress.
    pub(crate) fn bytes(&mut self, length: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes.into()
    }
}
