//! What operators have said of queues: a row for each queue, all of them in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use minutehand_model::{QueueName, QueueRules};
use minutehand_ports::{RulesChange, RulesOfQueues};
use minutehand_record::queue_rules;
use tokio::sync::watch;

use crate::keys;

/// What is said, for whoever hands out.
#[derive(Debug)]
pub(crate) struct Rules {
    /// As the last change has left it, which may not be durable yet.
    written: Mutex<RulesOfQueues>,
    told: watch::Sender<Option<RulesOfQueues>>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            written: Mutex::default(),
            told: watch::Sender::new(Some(Arc::default())),
        }
    }
}

impl Rules {
    /// Takes a stored row in; `false` when it is none.
    pub(crate) fn load(&self, key: &[u8], value: &[u8]) -> bool {
        let rules = queue_rules::decode(&Bytes::copy_from_slice(value)).ok();
        let row = keys::rules_of(key).zip(rules);
        let is_row = row.is_some();
        if let Some((queue, rules)) = row
            && let Some((_, all)) = self.write(&queue, Box::new(|_| Some(rules)))
        {
            self.tell(all);
        }
        is_row
    }

    /// Changes what is said of a queue: what is said of it then, and of all. The one who writes
    /// rows calls it, and tells of it when the row is durable.
    pub(crate) fn write(
        &self,
        queue: &QueueName,
        change: RulesChange,
    ) -> Option<(QueueRules, RulesOfQueues)> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let before = written.get(queue).cloned().unwrap_or_default();
        let rules = change(&before)?;
        let mut all: BTreeMap<_, _> = (**written).clone();
        if rules == QueueRules::default() {
            all.remove(queue);
        } else {
            all.insert(queue.clone(), rules.clone());
        }
        *written = Arc::new(all);
        Some((rules, Arc::clone(&written)))
    }

    /// This is durable.
    pub(crate) fn tell(&self, all: RulesOfQueues) {
        self.told.send_replace(Some(all));
    }

    /// What holds, and whatever will.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.told.subscribe()
    }
}
