//! What is left of queues when nothing is left in them: nothing. Anybody may name a queue, so a
//! name must not cost anything for longer than it is used.

use std::collections::BTreeSet;

use minutehand_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use minutehand_model::{PartitionId, QueueName};

use crate::keys;
use crate::state::State;
use crate::writes::{Writes, pair};

/// A queue that nobody has touched for this long is forgotten when nothing is left in it.
const FORGET_AFTER_MS: i64 = MINUTE_MS;
/// A group that was not seen for this long is forgotten, when another group of its queue was. What
/// only it had not settled is removed.
pub(crate) const GROUP_RETENTION_MS: i64 = 7 * DAY_MS;
/// After a start, groups have this long to be seen.
const GROUPS_RETURN_MS: i64 = HOUR_MS;
/// A small row: where the numbers of new queues' publications and dead letters begin.
pub(crate) const NUMBERED: &[u8] = b"numbered";

impl State {
    /// Looks at every queue; takes away rows and views of those that are spent, and of groups that
    /// are gone.
    pub(crate) fn forget_spent(&mut self, writes: &mut Writes) {
        let now = (self.now)();
        self.spent.looked_at = now;
        self.take_inventory();
        let mut forgotten = BTreeSet::new();
        for view in self.shared.queues() {
            let name = view.name.clone();
            if now.millis_since(self.spent.opened_at) >= GROUPS_RETURN_MS {
                for group in view.gone_groups(now.plus_millis(-GROUP_RETENTION_MS)) {
                    view.remove_group(&group);
                    self.remove_group_rows(writes, &name, &group);
                }
            }
            for partition in self.all_partitions() {
                if let Some((kept_from, below)) = view.consumed(partition) {
                    self.forget_batches(writes, &name, partition, kept_from, below);
                }
            }
            let (activity, is_spent) = view.rest();
            let groups = view.groups();
            // The view must be nobody's when it is forgotten, not this function's either.
            drop(view);
            if !is_spent {
                self.spent.resting.remove(&name);
                continue;
            }
            let since = self.spent.rests(&name, activity, now);
            if now.millis_since(since) >= FORGET_AFTER_MS && self.shared.forget_queue(&name) {
                self.remove_queue_rows(writes, &name, &groups);
                forgotten.insert(name);
            }
        }
        if !forgotten.is_empty() {
            let row = pair(self.shared.first_sequence(), self.last_letter);
            writes.insert(&self.spaces.meta, NUMBERED, row);
        }
        self.spent
            .resting
            .retain(|name, _| !forgotten.contains(name));
    }

    fn all_partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.partitions.len()).map(|index| PartitionId::own(index as u32))
    }

    fn remove_group_rows(&self, writes: &mut Writes, queue: &QueueName, group: &str) {
        for partition in self.all_partitions() {
            writes.remove(&self.spaces.groups, keys::group(queue, partition, group));
        }
    }

    fn remove_queue_rows(&mut self, writes: &mut Writes, queue: &QueueName, groups: &[String]) {
        groups
            .iter()
            .for_each(|group| self.remove_group_rows(writes, queue, group));
        for partition in self.all_partitions() {
            writes.remove(&self.spaces.lanes, keys::lane(queue, partition));
        }
        self.sequences.remove(queue);
        if let Some(count) = self.dead_letters.remove(queue) {
            self.last_letter = self.last_letter.max(count.last);
            writes.remove(&self.spaces.meta, keys::dead_letter_count(queue));
        }
    }
}
