//! Where ticks go: one transaction each, under the partition's transactional id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use minutehand_model::{Checkpoint, Epoch, PartitionId, QueueName, Tick};
use minutehand_ports::{Committed, ErrorClass, ExecutionSink, Opened, PortError};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::committer::{Committer, Job};
use crate::queue_topics::{Kind, QueueTopics};

/// The sink of every partition. Each that was opened has a thread that holds its producer.
pub struct KafkaSink {
    client: Arc<Client>,
    topics: Arc<QueueTopics>,
    committers: Mutex<HashMap<PartitionId, std::sync::mpsc::Sender<Job>>>,
}

impl KafkaSink {
    /// The sink of a cluster.
    pub fn new(client: Arc<Client>) -> KafkaSink {
        KafkaSink {
            topics: QueueTopics::new(Arc::clone(&client)),
            client,
            committers: Mutex::default(),
        }
    }

    /// Gives a job to a partition's thread and waits for its answer.
    async fn ask<T>(
        &self,
        partition: PartitionId,
        action: impl Fn() -> String,
        job: impl FnOnce(oneshot::Sender<Result<T, PortError>>) -> Job,
    ) -> Result<T, PortError> {
        if partition.bits() >= self.client.config().partitions {
            return Err(PortError::new(
                ErrorClass::Fatal,
                action(),
                "there is no such partition",
            ));
        }
        let (answer, answered) = oneshot::channel();
        let is_taken = {
            let mut committers = self
                .committers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let start = || {
                Committer::start(
                    Arc::clone(&self.client),
                    Arc::clone(&self.topics),
                    partition,
                )
            };
            committers
                .entry(partition)
                .or_insert_with(start)
                .send(job(answer))
                .is_ok()
        };
        let ended = || {
            PortError::new(
                ErrorClass::Retry,
                action(),
                "the partition's thread has ended",
            )
        };
        if !is_taken {
            self.committers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&partition);
            return Err(ended());
        }
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[async_trait]
impl ExecutionSink for KafkaSink {
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError> {
        let action = || format!("open partition {partition} under epoch {epoch}");
        self.ask(partition, action, |answer| Job::Open { epoch, answer })
            .await
    }

    async fn peek(&self, partition: PartitionId) -> Result<Option<Checkpoint>, PortError> {
        let action = || format!("look at the checkpoint of partition {partition}");
        self.ask(partition, action, |answer| Job::Peek { answer })
            .await
    }

    async fn commit(&self, tick: Tick) -> Result<Committed, PortError> {
        let (partition, number) = (tick.partition, tick.checkpoint.tick);
        let action = || format!("commit tick {number} of partition {partition}");
        self.ask(partition, action, |answer| Job::Commit {
            tick: Box::new(tick),
            answer,
        })
        .await
    }

    fn prepare(&self, queue: &QueueName) {
        self.topics.look(Kind::Executions, queue);
    }
}
