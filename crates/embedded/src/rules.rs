//! What operators have said of queues: a row for each queue, all of them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{QueueName, QueueRules};
use minutehand_ports::RulesOfQueues;
use minutehand_record::queue_rules;
use tokio::sync::watch;

use crate::keys;

/// What is said, for whoever hands out.
#[derive(Debug)]
pub(crate) struct Rules(watch::Sender<Option<RulesOfQueues>>);

impl Default for Rules {
    fn default() -> Rules {
        Rules(watch::Sender::new(Some(Arc::default())))
    }
}

impl Rules {
    /// Takes a stored row in; `false` when it is none.
    pub(crate) fn load(&self, key: &[u8], value: &[u8]) -> bool {
        let rules = queue_rules::decode(&Bytes::copy_from_slice(value)).ok();
        let row = keys::rules_of(key).zip(rules);
        let is_row = row.is_some();
        if let Some((queue, rules)) = row {
            self.set(queue, rules);
        }
        is_row
    }

    /// Puts what is said of a queue now in the place of what was.
    pub(crate) fn set(&self, queue: QueueName, rules: QueueRules) {
        self.0.send_modify(|all| {
            let mut changed: BTreeMap<_, _> = all.as_deref().cloned().unwrap_or_default();
            if rules == QueueRules::default() {
                changed.remove(&queue);
            } else {
                changed.insert(queue, rules);
            }
            *all = Some(Arc::new(changed));
        });
    }

    /// What holds, and whatever will.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.0.subscribe()
    }
}
