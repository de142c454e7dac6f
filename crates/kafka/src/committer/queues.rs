//! What a tick knows of the queues that it publishes to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minutehand_model::{QueueName, Tick};

use crate::queue_topics::{Kind, QueueTopics, Standing};

/// After a tick has waited in vain for topics no other waits for so long: those that are ready come
/// first.
const NO_WAIT_FOR: Duration = Duration::from_secs(10);
/// What is refused is told of at most this often.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Queues {
    topics: Arc<QueueTopics>,
    wait: Duration,
    ran_out_at: Option<Instant>,
    told_at: Option<Instant>,
    untold: usize,
}

impl Queues {
    pub(super) fn new(topics: Arc<QueueTopics>, wait_ms: u32) -> Queues {
        let wait = Duration::from_millis(u64::from(wait_ms));
        Queues {
            topics,
            wait,
            ran_out_at: None,
            told_at: None,
            untold: 0,
        }
    }

    pub(super) fn topics(&self) -> &QueueTopics {
        &self.topics
    }

    /// How the topic of each queue of a tick stands. For those that nobody has met before the tick
    /// waits a little.
    pub(super) fn of(&mut self, tick: &Tick) -> HashMap<QueueName, Standing> {
        let mut standings = HashMap::new();
        let mut last = None;
        for publication in &tick.publications {
            let queue = &publication.task.queue;
            if last.replace(queue) != Some(queue) && !standings.contains_key(queue) {
                standings.insert(queue.clone(), self.topics.look(Kind::Executions, queue));
            }
        }
        let wanted = standings
            .iter()
            .filter(|(_, standing)| matches!(standing, Standing::Wanted));
        let wanted: BTreeSet<QueueName> = wanted.map(|(queue, _)| queue.clone()).collect();
        let may_wait = self
            .ran_out_at
            .is_none_or(|ran_out_at| ran_out_at.elapsed() > NO_WAIT_FOR);
        if !wanted.is_empty() && may_wait {
            if !self.topics.wait(Kind::Executions, &wanted, self.wait) {
                self.ran_out_at = Some(Instant::now());
            }
            for queue in wanted {
                let standing = self.topics.look(Kind::Executions, &queue);
                standings.insert(queue, standing);
            }
        }
        debug_assert!(
            tick.publications
                .iter()
                .all(|publication| standings.contains_key(&publication.task.queue)),
            "each queue of a tick stands somehow"
        );
        standings
    }

    /// Tells of executions that cannot be published, now and then.
    pub(super) fn tell(
        &mut self,
        partition: minutehand_model::PartitionId,
        refused: usize,
        reason: Option<&str>,
    ) {
        self.untold += refused;
        let Some(reason) = reason else { return };
        if self
            .told_at
            .is_none_or(|told_at| told_at.elapsed() >= TELL_INTERVAL)
        {
            self.told_at = Some(Instant::now());
            let count = std::mem::take(&mut self.untold);
            tracing::warn!(%partition, count, reason, "executions could not be published and are dead letters");
        }
    }
}
