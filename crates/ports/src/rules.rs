//! Where what operators say of queues is kept, and how every process hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::{QueueName, QueueRules};
use tokio::sync::watch;

use crate::PortError;

/// What was said, by queue. Of a queue that is not among them nothing was.
pub type RulesOfQueues = Arc<BTreeMap<QueueName, QueueRules>>;

/// What becomes of what is said of a queue; `None` leaves it.
pub type RulesChange = Box<dyn FnOnce(&QueueRules) -> Option<QueueRules> + Send>;

/// What operators have said of queues. All processes that hand out executions read it.
#[async_trait]
pub trait QueueRulebook: Send + Sync + 'static {
    /// Changes what is said of a queue, and answers what holds then; `None` when the change left
    /// it. Durable, and known here, when it answers.
    ///
    /// Changes of one process come one after the other: each is given what the one before it has
    /// left. Where processes share a queue, a change of one leaves alone what it did not change of
    /// the gate, the purge and the limits.
    async fn change(
        &self,
        queue: &QueueName,
        change: RulesChange,
    ) -> Result<Option<QueueRules>, PortError>;

    /// What is said, kept up to date; `None` while that is not known yet, when nothing may be
    /// handed out.
    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>>;
}
