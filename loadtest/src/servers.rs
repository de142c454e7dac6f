//! The servers of a rig.

use std::thread;

use minutehand_testkit::{Cassandra, CassandraOptions, Etcd, EtcdOptions, Kafka, KafkaOptions};

/// What went wrong with the rig itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts a Kafka, a Cassandra and an etcd at the same time.
///
/// # Errors
/// When one of them does not start.
pub(crate) fn start_servers(
    kafka: &KafkaOptions,
    cassandra: &CassandraOptions,
) -> Result<(Kafka, Cassandra, Etcd), Failure> {
    thread::scope(|scope| {
        let kafka = scope.spawn(|| Kafka::start(kafka));
        let cassandra = scope.spawn(|| Cassandra::start(cassandra));
        let etcd = Etcd::start(&EtcdOptions::default());
        let gone = |_| -> Failure { "a thread that starts a server panicked".into() };
        Ok((
            kafka.join().map_err(gone)??,
            cassandra.join().map_err(gone)??,
            etcd?,
        ))
    })
}
