//! Where what operators say of queues is kept, and how every process hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::{QueueName, QueueRules};
use tokio::sync::watch;

use crate::PortError;

/// What was said, by queue. Of a queue that is not among them nothing was.
pub type RulesOfQueues = Arc<BTreeMap<QueueName, QueueRules>>;

/// What operators have said of queues. All processes that hand out executions read it.
#[async_trait]
pub trait QueueRulebook: Send + Sync + 'static {
    /// Says something else of a queue, in place of all that was said before. Durable, and known
    /// here, when it answers.
    async fn set_rules(&self, queue: &QueueName, rules: QueueRules) -> Result<(), PortError>;

    /// What is said, kept up to date; `None` while that is not known yet, when nothing may be
    /// handed out.
    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>>;
}
