//! The contract of the ports, held against a real Kafka. Each case has topics of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use minutehand_kafka::{Client, KafkaConfig, KafkaHistory, KafkaLog, KafkaQueue, KafkaSink};
use minutehand_ports::contract::{Harness, PARTITIONS, Stores};
use minutehand_ports::contract_tests;

static FRESH: AtomicU64 = AtomicU64::new(0);

/// A prefix that no other run has.
fn prefix() -> String {
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .expect("a clock after 1970")
        .as_nanos();
    format!("contract-{since}-{}", FRESH.fetch_add(1, Ordering::Relaxed))
}

/// Stores on a real Kafka.
struct Kafka;

/// What belongs to the stores of one test.
struct Kept {
    client: Arc<Client>,
    queue: Arc<KafkaQueue>,
}

fn stores(client: Arc<Client>) -> Stores {
    let queue = Arc::new(KafkaQueue::new(Arc::clone(&client)));
    Stores {
        queue: Arc::clone(&queue) as _,
        history: Arc::new(KafkaHistory::new(Arc::clone(&client))),
        log: Arc::new(KafkaLog::new(Arc::clone(&client))),
        sink: Arc::new(KafkaSink::new(Arc::clone(&client))),
        keep: Box::new(Kept { client, queue }),
        ..Stores::absent()
    }
}

#[async_trait]
impl Harness for Kafka {
    async fn fresh(&self) -> Stores {
        let config = KafkaConfig {
            brokers: vec![
                tokio::task::spawn_blocking(minutehand_testkit::kafka)
                    .await
                    .expect("a broker")
                    .to_owned(),
            ],
            topic_prefix: prefix(),
            partitions: PARTITIONS,
            queue_partitions: PARTITIONS,
            // Nobody reads from the log again what was put off.
            topic_wait_ms: 60_000,
            // The ticks of the contract bear times of their own.
            clock_skew_ms_max: 100 * 365 * 86_400_000,
            ..KafkaConfig::default()
        };
        let client = Client::new(config).unwrap();
        client.apply_topics().await.unwrap();
        stores(client)
    }

    async fn reopen(&self, before: Stores) -> Stores {
        let kept = before
            .keep
            .downcast_ref::<Kept>()
            .expect("made by this harness");
        let config = kept.client.config().clone();
        kept.queue.close().await;
        drop(before);
        stores(Client::new(config).unwrap())
    }
}

contract_tests!(log, sink, queue, history: Kafka);
