//! Topics of its own for each test, on any broker.

use std::sync::Arc;
use std::time::SystemTime;

use minutehand_kafka::{Client, KafkaConfig};

/// Settings under a name that nobody else has, with so many partitions.
pub(crate) async fn config(name: &str, partitions: u32) -> KafkaConfig {
    let brokers = tokio::task::spawn_blocking(minutehand_testkit::kafka)
        .await
        .unwrap()
        .to_owned();
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let topic_prefix = format!("{name}-{}-{since}", std::process::id());
    KafkaConfig {
        brokers: vec![brokers],
        topic_prefix,
        partitions,
        queue_partitions: partitions,
        // Nobody reads from the log again what was put off.
        topic_wait_ms: 60_000,
        ..KafkaConfig::default()
    }
}

/// A client of such topics, which are there.
pub(crate) async fn fresh(name: &str, partitions: u32) -> Arc<Client> {
    let client = Client::new(config(name, partitions).await).unwrap();
    client.apply_topics().await.unwrap();
    client
}
