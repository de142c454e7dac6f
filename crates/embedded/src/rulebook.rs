//! The port by which operators say what holds for queues.

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::{QueueName, QueueRules};
use minutehand_ports::{PortError, QueueRulebook, RulesOfQueues};
use minutehand_record::queue_rules;
use tokio::sync::watch;

use crate::keys;
use crate::store::{Applied, EmbeddedStore};

#[async_trait]
impl QueueRulebook for EmbeddedStore {
    async fn set_rules(&self, queue: &QueueName, rules: QueueRules) -> Result<(), PortError> {
        let (action, queue) = (
            format!("say what holds for the queue {queue}"),
            queue.clone(),
        );
        let (key, row) = (keys::rules(&queue), queue_rules::encode(&rules));
        self.submit(
            action,
            key.len() + row.len(),
            false,
            move |state, writes| {
                if rules == QueueRules::default() {
                    writes.remove(&state.spaces.meta, key.clone());
                } else {
                    writes.insert(&state.spaces.meta, key.clone(), row.clone());
                }
                let shared = Arc::clone(&state.shared);
                Ok(Applied::then((), move || shared.rules.set(queue, rules)))
            },
        )
        .await
    }

    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.shared().rules.subscribe()
    }
}
