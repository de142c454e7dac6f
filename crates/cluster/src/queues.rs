//! What a worker of a cluster takes from, and a gateway leases from: the queues in Kafka, and what
//! operators say of them.

use std::sync::Arc;

use minutehand_kafka::{Client, KafkaConfig, KafkaQueue, KafkaRulebook};
use minutehand_node::Readiness;
use minutehand_ports::{ExecutionQueue, QueueRulebook};
use tokio::sync::watch;

use crate::error::StartError;
use crate::health::{self, QueueProbe};
use crate::servers::reach_kafka;
use crate::waiting::Waiting;

/// The queues of a cluster.
pub struct Queues {
    queue: Arc<KafkaQueue>,
    rulebook: Arc<KafkaRulebook>,
}

impl Queues {
    /// Waits for Kafka; `waiting` tells so.
    ///
    /// # Errors
    /// When an operator must act.
    pub async fn connect(kafka: KafkaConfig, waiting: &Waiting) -> Result<Queues, StartError> {
        let client = Client::new(kafka)?;
        reach_kafka(&client, waiting).await?;
        Ok(Queues::of(&client))
    }

    pub(crate) fn of(kafka: &Arc<Client>) -> Queues {
        Queues {
            queue: Arc::new(KafkaQueue::new(Arc::clone(kafka))),
            rulebook: Arc::new(KafkaRulebook::new(Arc::clone(kafka))),
        }
    }

    /// What executions are taken from.
    pub fn queue(&self) -> Arc<dyn ExecutionQueue> {
        self.queue.clone()
    }

    /// What operators say of queues.
    pub fn rulebook(&self) -> Arc<dyn QueueRulebook> {
        self.rulebook.clone()
    }

    /// Begins to ask whether they answer: ready while they do.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + use<> {
        let troubles: watch::Receiver<Vec<String>> =
            health::watch_stores(vec![Box::new(QueueProbe(self.queue()))]);
        move || Readiness::unless(troubles.borrow().clone())
    }

    /// Leaves all worker groups, once what was left to settle is settled.
    pub async fn close(&self) {
        self.queue.close().await;
    }
}
