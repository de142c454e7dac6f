//! Queues that nobody has touched, and since when.

use std::collections::BTreeMap;

use minutehand_model::time::SECOND_MS;
use minutehand_model::{QueueName, Timestamp};

/// How often spent queues are looked for.
const LOOK_EVERY_MS: i64 = 10 * SECOND_MS;

/// Queues that nobody has touched since a look.
pub(crate) struct Spent {
    pub(super) opened_at: Timestamp,
    pub(super) looked_at: Timestamp,
    pub(super) resting: BTreeMap<QueueName, (u64, Timestamp)>,
}

impl Spent {
    pub(crate) fn starting_at(now: Timestamp) -> Spent {
        Spent {
            opened_at: now,
            looked_at: now,
            resting: BTreeMap::new(),
        }
    }

    /// Whether it is time for a look. A clock that went back is no reason to wait.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now < self.looked_at || now.millis_since(self.looked_at) >= LOOK_EVERY_MS
    }

    /// Notes that a queue rests; since when.
    pub(super) fn rests(&mut self, queue: &QueueName, activity: u64, now: Timestamp) -> Timestamp {
        let since = self
            .resting
            .get(queue)
            .filter(|(last, since)| *last == activity && *since <= now);
        let since = since.map_or(now, |(_, since)| *since);
        self.resting.insert(queue.clone(), (activity, since));
        since
    }
}
