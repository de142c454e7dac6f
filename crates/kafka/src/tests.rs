//! Topics on a real broker for the tests of this crate's inside.

use std::sync::Arc;
use std::time::SystemTime;

use minutehand_model::QueueName;

use crate::client::Client;
use crate::config::KafkaConfig;
use crate::raw::{RawOutgoing, RawProducer};

/// The queue of these tests.
pub(crate) fn mail() -> QueueName {
    QueueName::parse("mail").unwrap()
}

/// A client under a name that nobody else has, and the topic of its queue, which has one partition.
pub(crate) async fn queue_topic(name: &str) -> (Arc<Client>, String) {
    let brokers = tokio::task::spawn_blocking(minutehand_testkit::kafka)
        .await
        .unwrap()
        .to_owned();
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let client = Client::new(KafkaConfig {
        brokers: vec![brokers],
        topic_prefix: format!("{name}-{}-{since}", std::process::id()),
        partitions: 1,
        queue_partitions: 1,
        ..KafkaConfig::default()
    })
    .unwrap();
    client.apply_topics().await.unwrap();
    client.ensure_queue(&mail()).await.unwrap();
    let topic = client.names().executions(&mail());
    (client, topic)
}

/// Sends so many records in one transaction.
pub(crate) fn send(producer: &RawProducer, topic: &str, count: usize) {
    producer.begin().unwrap();
    for _ in 0..count {
        let record = RawOutgoing {
            partition: Some(0),
            value: Some(b"a record"),
            ..RawOutgoing::default()
        };
        producer.send(topic, record).unwrap();
    }
    producer.commit().unwrap();
}
