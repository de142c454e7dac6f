//! What the committer knows without reading: the ends of logs, epochs, and which rows have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{Epoch, LogOffset, PartitionId, QueueName, TaskKey, Timestamp};

use crate::config::Clock;
use crate::keys;
use crate::queue::Spent;
use crate::row::Packed;
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::successes::Successes;
use crate::survey::Inventory;
use crate::tail::TailRow;
use crate::writes::{Finish, Writes, pair};

/// Batches that are removed at a time: one commit must not hold up the others.
const FORGET_ROWS: usize = 4_096;

/// The committer's state. It runs ahead of the disk within a commit; when that fails, it is not
/// used again.
pub(crate) struct State {
    pub(crate) spaces: Spaces,
    pub(crate) shared: Arc<Shared>,
    pub(crate) now: Clock,
    pub(crate) partitions: Vec<PartitionState>,
    /// The next sequence of each partition in a queue, committed or not.
    pub(crate) sequences: BTreeMap<QueueName, Vec<u64>>,
    pub(crate) dead_letters: BTreeMap<QueueName, DeadLetterCount>,
    /// The highest number that a dead letter of a forgotten queue had.
    pub(crate) last_letter: u64,
    pub(crate) spent: Spent,
    pub(crate) inventory: Inventory,
    pub(crate) history: HistoryBounds,
    pub(crate) successes: Successes,
    pub(crate) history_rows_max: u64,
    /// Groups whose rows must be written with this commit.
    pub(crate) changed_groups: BTreeSet<(QueueName, PartitionId, String)>,
    /// Lanes whose rows must be written with this commit.
    pub(crate) changed_lanes: BTreeSet<(QueueName, PartitionId)>,
}

/// What the committer knows of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionState {
    /// The lowest offset kept.
    pub(crate) log_start: LogOffset,
    /// The next offset.
    pub(crate) log_end: LogOffset,
    /// The newest time the log gave.
    pub(crate) appended_at: Timestamp,
    /// The highest epoch the sink was opened under.
    pub(crate) opened: Epoch,
    /// The number of the last tick.
    pub(crate) tick: u64,
    /// The highest epoch the coordinator has given.
    pub(crate) granted: Epoch,
    /// The epoch under which somebody holds it.
    pub(crate) held: Option<Epoch>,
}

/// The dead letters of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeadLetterCount {
    /// The next one's number less one.
    pub(crate) last: u64,
    /// How many are kept.
    pub(crate) kept: u64,
}

/// Which outcomes are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HistoryBounds {
    /// The number of the oldest.
    pub(crate) oldest: u64,
    /// The number of the next.
    pub(crate) next: u64,
}

/// Rows appended to logs by an operation; they become readable when its commit is durable.
#[derive(Default)]
pub(crate) struct NewRows(Vec<(PartitionId, TailRow)>);

impl NewRows {
    /// Shows them to readers.
    pub(crate) fn publish(self, shared: &Shared) {
        for (partition, row) in self.0 {
            shared.logs[partition.index()].push(row);
        }
    }
}

impl State {
    /// Has the rows of a group written with the next batch.
    pub(crate) fn group_changed(&mut self, queue: &QueueName, partition: PartitionId, group: &str) {
        let group = (queue.clone(), partition, group.to_owned());
        self.changed_groups.insert(group);
    }

    /// Appends records to the log of a partition that exists; the offset of the first and the time
    /// they got.
    pub(crate) fn append(
        &mut self,
        writes: &mut Writes,
        partition: PartitionId,
        packed: Packed,
        rows: &mut NewRows,
    ) -> (LogOffset, Timestamp) {
        let log = &mut self.partitions[partition.index()];
        // The clock may be set back; the log's time is not.
        log.appended_at = log.appended_at.max((self.now)());
        let (first, appended_at, count) = (log.log_end, log.appended_at, packed.count());
        if count > 0 {
            log.log_end = log.log_end.plus(u64::from(count));
            let row = packed.seal(appended_at);
            let key = keys::log_row(partition, first, count);
            writes.insert(&self.spaces.log, key, row.clone());
            let end = log.log_end;
            rows.0.push((partition, TailRow { first, end, row }));
        }
        (first, appended_at)
    }

    /// Appends commands that stand in no order between partitions, one row for each partition.
    pub(crate) fn append_commands(
        &mut self,
        writes: &mut Writes,
        commands: BTreeMap<PartitionId, Vec<Bytes>>,
        rows: &mut NewRows,
    ) {
        for (partition, records) in commands {
            self.append(writes, partition, Packed::new(&records), rows);
        }
    }

    /// Remembers an outcome.
    pub(crate) fn add_outcome(&mut self, writes: &mut Writes, key: TaskKey, encoded: Bytes) {
        let number = self.history.next;
        self.history.next += 1;
        writes.insert(&self.spaces.outcomes, keys::outcome(key, number), encoded);
        writes.insert(
            &self.spaces.outcome_order,
            number.to_be_bytes(),
            Bytes::copy_from_slice(&key.0.to_be_bytes()),
        );
    }

    /// Keeps a dead letter.
    pub(crate) fn add_dead_letter(
        &mut self,
        writes: &mut Writes,
        queue: &QueueName,
        encoded: Bytes,
    ) {
        let unknown = DeadLetterCount {
            last: self.last_letter,
            kept: 0,
        };
        let count = self.dead_letters.entry(queue.clone()).or_insert(unknown);
        count.last += 1;
        count.kept += 1;
        writes.insert(
            &self.spaces.dead_letters,
            keys::numbered(queue, count.last),
            encoded,
        );
        self.write_dead_letter_count(writes, queue);
    }

    /// Writes how many dead letters a queue has.
    pub(crate) fn write_dead_letter_count(&self, writes: &mut Writes, queue: &QueueName) {
        let count = self.dead_letters.get(queue).copied().unwrap_or_default();
        writes.insert(
            &self.spaces.meta,
            keys::dead_letter_count(queue),
            pair(count.last, count.kept),
        );
    }

    /// Adds the rows that are written once a commit however many operations changed them. What is
    /// to be done when they are durable.
    pub(crate) fn write_changed(&mut self, writes: &mut Writes) -> Option<Finish> {
        for (queue, partition, group) in std::mem::take(&mut self.changed_groups) {
            let view = self.shared.queue(&queue);
            if let Some(row) = view.group_row(partition, &group, (self.now)()) {
                let key = keys::group(&queue, partition, &group);
                writes.insert(&self.spaces.groups, key, row);
            }
            if let Some((kept_from, below)) = view.consumed(partition) {
                self.forget_batches(writes, &queue, partition, kept_from, below);
            }
        }
        for (queue, partition) in std::mem::take(&mut self.changed_lanes) {
            let next = self
                .sequences
                .get(&queue)
                .map_or(0, |lanes| lanes[partition.index()]);
            let kept_from = self.shared.queue(&queue).kept_from(partition);
            let key = keys::lane(&queue, partition);
            writes.insert(&self.spaces.lanes, key, pair(next, kept_from));
        }
        self.forget_outcomes(writes);
        self.tidy_successes(writes)
    }

    /// Makes a run of successes when there are enough, and forgets the oldest.
    fn tidy_successes(&mut self, writes: &mut Writes) -> Option<Finish> {
        let rolled = self
            .successes
            .roll(&self.spaces, &self.shared.successes, writes);
        let forgotten = self.successes.forget(&self.spaces, writes, (self.now)());
        if rolled.is_none() && forgotten.is_none() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        Some(Box::new(move || {
            rolled
                .iter()
                .for_each(|rolled| shared.successes.rolled(rolled));
            forgotten
                .iter()
                .for_each(|run| shared.successes.forgot(*run));
        }))
    }

    /// Writes down which files there are, when they have changed. What cannot be listed now is
    /// listed the next time.
    pub(crate) fn take_inventory(&mut self) {
        let Ok(inventory) = Inventory::taken(&self.shared.folder) else {
            return;
        };
        if inventory != self.inventory && inventory.write(&self.shared.folder).is_ok() {
            self.inventory = inventory;
        }
    }

    /// Removes the batches of which every group has settled everything: those that end at or before
    /// `below`, some thousands at a time.
    pub(crate) fn forget_batches(
        &mut self,
        writes: &mut Writes,
        queue: &QueueName,
        partition: PartitionId,
        kept_from: u64,
        below: u64,
    ) {
        let from = keys::batch(queue, partition, kept_from);
        let through = keys::batch(queue, partition, below);
        let mut last: Option<fjall::UserKey> = None;
        let mut kept_from = kept_from;
        for guard in self.spaces.batches.range(from..=through).take(FORGET_ROWS) {
            // What cannot be read now is removed at the next opportunity.
            let Ok(key) = guard.key() else { break };
            kept_from = keys::number_of(&key).unwrap_or(kept_from);
            if let Some(passed) = last.replace(key) {
                writes.remove(&self.spaces.batches, passed);
            }
        }
        let view = self.shared.queue(queue);
        if let Some(last) = last
            && kept_from < below
            && view.next_sequence(partition) == below
        {
            writes.remove(&self.spaces.batches, last);
            kept_from = below;
        }
        if view.forget(partition, kept_from) {
            self.changed_lanes.insert((queue.clone(), partition));
        }
    }

    /// Forgets the oldest outcomes above the limit, as far as earlier commits wrote them.
    fn forget_outcomes(&mut self, writes: &mut Writes) {
        let HistoryBounds { oldest, next } = self.history;
        let excess = (next - oldest).saturating_sub(self.history_rows_max);
        if excess == 0 {
            return;
        }
        let numbers = self
            .spaces
            .outcome_order
            .range(oldest.to_be_bytes()..(oldest + excess).to_be_bytes());
        for guard in numbers {
            let Ok((number, key)) = guard.into_inner() else {
                break;
            };
            let (Some(number_value), Ok(key)) =
                (keys::number_of(&number), <[u8; 16]>::try_from(&key[..]))
            else {
                continue;
            };
            writes.remove(&self.spaces.outcome_order, number);
            let key = TaskKey(u128::from_be_bytes(key));
            writes.remove(&self.spaces.outcomes, keys::outcome(key, number_value));
            self.history.oldest = number_value + 1;
        }
        let history = pair(self.history.next, self.history.oldest);
        writes.insert(&self.spaces.meta, "history", history);
    }
}
