//! The port by which operators say what holds for queues.

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::{QueueName, QueueRules};
use minutehand_ports::{PortError, QueueRulebook, RulesChange, RulesOfQueues};
use minutehand_record::queue_rules;
use tokio::sync::watch;

use crate::keys;
use crate::store::{Applied, EmbeddedStore};

/// About what a row takes.
const ROW_BYTES: usize = 1_024;

#[async_trait]
impl QueueRulebook for EmbeddedStore {
    async fn change(
        &self,
        queue: &QueueName,
        change: RulesChange,
    ) -> Result<Option<QueueRules>, PortError> {
        let action = format!("say what holds for the queue {queue}");
        let queue = queue.clone();
        self.submit(action, ROW_BYTES, false, move |state, writes| {
            let shared = Arc::clone(&state.shared);
            let Some((rules, all)) = shared.rules.write(&queue, change) else {
                return Ok(Applied::now(None));
            };
            let key = keys::rules(&queue);
            if rules == QueueRules::default() {
                writes.remove(&state.spaces.meta, key);
            } else {
                let row = queue_rules::encode(&rules);
                writes.insert(&state.spaces.meta, key, row);
            }
            let tell = move || shared.rules.tell(all);
            Ok(Applied::then(Some(rules), tell))
        })
        .await
    }

    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.shared().rules.subscribe()
    }
}
