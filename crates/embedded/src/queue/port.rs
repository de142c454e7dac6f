//! The port's face of the queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::time::HOUR_MS;
use minutehand_model::{PartitionId, QueueName, Timestamp};
use minutehand_ports::{
    Claim, Delivery, DeliveryId, ErrorClass, ExecutionQueue, PortError, QueueDepth, Report,
    Settlement, Stop, StopReceiver, refuse_output,
};
use minutehand_record::publication;

use super::forget::GROUP_RETENTION_MS;
use super::lane::GROUP_BYTES_MAX;
use super::last_words;
use super::settle::{self, Prepared};
use super::view::{Loaded, QueueView, Resident, Taken};
use crate::keys;
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::store::{Applied, EmbeddedStore};

/// How often the rows of a group that polls say so, at least. It must be far less than a group is
/// remembered.
const SEEN_EVERY_MS: i64 = 6 * HOUR_MS;
const _: () = assert!(SEEN_EVERY_MS * 4 < GROUP_RETENTION_MS);

/// How much a consumer that has fallen behind reads from disk at a time.
const LOAD_BYTES: usize = 4 << 20;

#[async_trait]
impl ExecutionQueue for EmbeddedStore {
    fn partitions(&self) -> u32 {
        self.shared().logs.len() as u32
    }

    async fn poll(
        &self,
        queue: &QueueName,
        group: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        let action = format!("poll the queue {queue} for the group {group:?}");
        check_group(group, &action)?;
        let view = self.shared().queue(queue);
        self.be_seen(&view, group, &action).await?;
        loop {
            let changed = view.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.shared().check_open(&action)?;
            let mut passed = Vec::new();
            let taken = view.take(group, count_max, &mut passed);
            self.pass_over(&view, group, passed);
            match taken {
                Taken::Deliveries(deliveries) => return Ok(deliveries),
                Taken::Nothing if count_max == 0 => return Ok(Vec::new()),
                Taken::Nothing => changed.await,
                Taken::NewGroup => self.register(&view, group, &action).await?,
                Taken::OnDisk(partition, from, end) => {
                    self.load(&view, group, partition, from, end, &action)
                        .await?;
                }
            }
        }
    }

    async fn settle(
        &self,
        queue: &QueueName,
        group: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let action = format!(
            "settle {} deliveries of the queue {queue}",
            settlements.len()
        );
        refuse_output(&settlements, &action)?;
        self.apply(
            action,
            queue,
            group,
            settlements.into_iter().map(Prepared::new).collect(),
        )
        .await?;
        // There is one process.
        Ok(Vec::new())
    }

    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let action = format!("claim {} deliveries of the queue {queue}", claims.len());
        self.apply(
            action,
            queue,
            group,
            claims.iter().map(Prepared::claimed).collect(),
        )
        .await?;
        Ok(claims.into_iter().map(|claim| claim.id).collect())
    }

    async fn report(
        &self,
        queue: &QueueName,
        group: &str,
        reports: Vec<Report>,
    ) -> Result<(), PortError> {
        let action = format!("keep {} reports of the queue {queue}", reports.len());
        self.apply(
            action,
            queue,
            group,
            reports.into_iter().map(Prepared::reported).collect(),
        )
        .await
    }

    fn let_go(&self, queue: &QueueName, group: &str, ids: Vec<DeliveryId>) {
        let Some(view) = self.shared().known_queue(queue) else {
            return;
        };
        let (queue, group) = (queue.clone(), group.to_owned());
        // Behind the settlements that were handed over before.
        self.submit_unheard(64 * ids.len(), true, move |state, writes| {
            view.let_go(&group, &ids);
            last_words::let_go(state, writes, &queue, &group, &ids)
        });
    }

    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        let shared = self.shared();
        shared.check_open(&format!("stop runs of the queue {queue}"))?;
        shared.recent_stops.note(queue, &stops);
        shared.queue(queue).tell_stops(&stops);
        Ok(())
    }

    fn stops(&self, queue: &QueueName) -> StopReceiver {
        let shared = self.shared();
        shared.queue(queue).listen(&shared.recent_stops)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        let published = self
            .shared()
            .queues()
            .into_iter()
            .filter(|queue| queue.is_published());
        Ok(published.map(|queue| queue.name.clone()).collect())
    }

    async fn oldest_waiting(
        &self,
        queue: &QueueName,
        group: &str,
    ) -> Result<Option<Timestamp>, PortError> {
        let Some(view) = self.shared().known_queue(queue) else {
            return Ok(None);
        };
        let (in_memory, on_disk) = view.oldest(group);
        if on_disk.is_empty() {
            return Ok(in_memory);
        }
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let action = format!("find the oldest execution of the queue {queue}");
        let found = self
            .read(&action, move || {
                let mut found = Vec::new();
                for (partition, at) in on_disk {
                    let batches = read_batches(&spaces, &shared, &view, partition, at, at + 1)?;
                    found.extend(batches.into_iter().filter_map(|loaded| loaded.batch));
                }
                Ok(found)
            })
            .await?;
        let published_at = found.iter().map(Resident::published_at);
        Ok(published_at.chain(in_memory).min())
    }

    async fn depth(&self, queue: &QueueName, group: &str) -> Result<QueueDepth, PortError> {
        Ok(self
            .shared()
            .known_queue(queue)
            .map(|view| view.depth(group))
            .unwrap_or_default())
    }
}

fn check_group(group: &str, action: &str) -> Result<(), PortError> {
    if (1..=GROUP_BYTES_MAX).contains(&group.len()) {
        return Ok(());
    }
    let reason = format!(
        "the name of the group is {} bytes long; it must be between 1 and {GROUP_BYTES_MAX}",
        group.len()
    );
    Err(PortError::new(ErrorClass::Fatal, action, reason))
}

impl EmbeddedStore {
    async fn apply(
        &self,
        action: String,
        queue: &QueueName,
        group: &str,
        prepared: Vec<Prepared>,
    ) -> Result<(), PortError> {
        let bytes = prepared.iter().map(Prepared::bytes).sum();
        let (queue, group, words) = (queue.clone(), group.to_owned(), action.clone());
        self.submit(action, bytes, false, move |state, writes| {
            settle::apply(state, writes, &queue, group, prepared, &words)
        })
        .await
    }

    /// Registers a group, so that nothing published from here on is removed before it has settled
    /// it.
    async fn register(
        &self,
        view: &Arc<QueueView>,
        group: &str,
        action: &str,
    ) -> Result<(), PortError> {
        let (view, group) = (Arc::clone(view), group.to_owned());
        self.submit(action.to_owned(), 64, false, move |state, _| {
            for partition in view.add_group(&group, (state.now)()) {
                state.group_changed(&view.name, partition, &group);
            }
            Ok(Applied::now(()))
        })
        .await
    }

    /// Lets the rows of a group say that it still polls, when they have not said so for long.
    async fn be_seen(
        &self,
        view: &Arc<QueueView>,
        group: &str,
        action: &str,
    ) -> Result<(), PortError> {
        let now = self.now();
        if view
            .seen_at(group)
            .is_none_or(|seen_at| now.millis_since(seen_at) < SEEN_EVERY_MS)
        {
            return Ok(());
        }
        let (view, group) = (Arc::clone(view), group.to_owned());
        self.submit(action.to_owned(), 64, false, move |state, _| {
            for index in 0..state.partitions.len() {
                state.group_changed(&view.name, PartitionId::own(index as u32), &group);
            }
            Ok(Applied::now(()))
        })
        .await
    }

    /// Settles for a group what others go on with. Nobody waits for it: who dies before it is durable
    /// comes by it again.
    fn pass_over(&self, view: &Arc<QueueView>, group: &str, passed: Vec<DeliveryId>) {
        if passed.is_empty() {
            return;
        }
        let (view, group) = (Arc::clone(view), group.to_owned());
        self.submit_unheard(64, false, move |state, _| {
            for id in passed {
                view.pass_over(&group, id.partition, id.sequence, id.sequence + 1);
                state.group_changed(&view.name, id.partition, &group);
            }
            Applied::now(())
        });
    }

    /// Waits until something is published to a queue that nobody serves, that is whose stop
    /// requests nobody listens for, and answers with all such queues. Each is told of once: who
    /// stops serving a queue looks whether [`has_waiting`](EmbeddedStore::has_waiting) says that
    /// more has come.
    pub async fn unserved_queues(&self) -> BTreeSet<QueueName> {
        self.shared().take_unserved().await
    }

    /// Somebody who has served a queue serves it no more: it is told of again when something waits
    /// in it.
    pub fn leave(&self, queue: &QueueName, group: &str) {
        if self.has_waiting(queue, group) {
            self.shared().note_unserved(queue);
        }
    }

    /// How many queues are known: those in which something is left, or that somebody uses or has
    /// used just now.
    pub fn queue_count(&self) -> usize {
        self.shared().queue_count()
    }

    /// Whether an execution waits in a queue to be handed to a group.
    pub fn has_waiting(&self, queue: &QueueName, group: &str) -> bool {
        self.shared()
            .known_queue(queue)
            .is_some_and(|view| view.has_waiting(group))
    }

    /// Reads publications back from disk. Rows that cannot be understood are noted and passed over.
    async fn load(
        &self,
        view: &Arc<QueueView>,
        group: &str,
        partition: PartitionId,
        from: u64,
        end: u64,
        action: &str,
    ) -> Result<(), PortError> {
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let read = Arc::clone(view);
        let loaded = self
            .read(action, move || {
                read_batches(&spaces, &shared, &read, partition, from, end)
            })
            .await?;
        let damaged: Vec<(u64, u64)> = loaded
            .iter()
            .filter(|loaded| loaded.batch.is_none())
            .map(|loaded| (loaded.first, loaded.end))
            .collect();
        view.admit(partition, loaded);
        if damaged.is_empty() {
            return Ok(());
        }
        let (view, group) = (Arc::clone(view), group.to_owned());
        self.submit(action.to_owned(), 64, false, move |state, _| {
            for (first, end) in damaged {
                view.pass_over(&group, partition, first, end);
            }
            state
                .changed_groups
                .insert((view.name.clone(), partition, group));
            Ok(Applied::now(()))
        })
        .await
    }
}

/// The rows from the one that holds `from` on, below `end`.
fn read_batches(
    spaces: &Spaces,
    shared: &Shared,
    view: &QueueView,
    partition: PartitionId,
    from: u64,
    end: u64,
) -> fjall::Result<Vec<Loaded>> {
    let queue = &view.name;
    let lane_start = keys::batch(queue, partition, 0);
    let holding = spaces
        .batches
        .range(lane_start..=keys::batch(queue, partition, from))
        .next_back();
    let holding = match holding.map(|guard| guard.key()).transpose() {
        // The row that holds it cannot be read; what follows can.
        Err(error) if scan::is_lasting(&error) => None,
        holding => holding?,
    };
    let start = holding.map_or(from, |key| keys::number_of(&key).unwrap_or(from));
    let lost =
        |lost: Lost| shared.note_lost(&format!("queue {queue}, partition {partition}"), &lost);
    let (first, behind) = (
        keys::batch(queue, partition, start),
        keys::batch(queue, partition, end),
    );
    let mut found: Vec<(u64, Bytes)> = Vec::new();
    let mut bytes = 0;
    let mut stopped_at = end;
    for row in scan::rows(&spaces.batches, first, behind).readable(lost) {
        let (key, value) = row?;
        let first = keys::number_of(&key).unwrap_or(from);
        if bytes >= LOAD_BYTES {
            stopped_at = first;
            break;
        }
        bytes += value.len();
        found.push((first, value.into()));
    }
    Ok(understood(shared, view, partition, from, stopped_at, found))
}

/// Decodes rows; a sequence that none of them holds is filled with an empty stretch.
fn understood(
    shared: &Shared,
    view: &QueueView,
    partition: PartitionId,
    from: u64,
    end: u64,
    found: Vec<(u64, Bytes)>,
) -> Vec<Loaded> {
    let mut loaded = Vec::with_capacity(found.len());
    let mut reached = from;
    // Asked for behind the rows: they are removed after the view has said so, and what was removed
    // while they were read is settled, not damaged.
    let kept_from = view.kept_from(partition);
    let note = |first: u64, end: u64, reason: String| {
        let kept = first.max(kept_from);
        if kept < end {
            let position = format!(
                "queue {}, partition {partition}, publications {kept} to {}",
                view.name,
                end - 1
            );
            shared.note_corruption(position, reason);
        }
        Loaded {
            first,
            end,
            batch: None,
        }
    };
    let ends: Vec<u64> = found
        .iter()
        .skip(1)
        .map(|(first, _)| *first)
        .chain([end])
        .collect();
    for ((first, row), row_end) in found.into_iter().zip(ends) {
        let missing = |reached: u64| note(reached, first, "they are missing".to_owned());
        if first > reached {
            loaded.push(missing(reached));
        }
        match publication::decode_batch(&row) {
            Ok(batch) => {
                let resident = Resident::new(batch);
                reached = reached.max(first + resident.count());
                loaded.push(Loaded {
                    first,
                    end: first + resident.count(),
                    batch: Some(resident),
                });
            }
            Err(error) => {
                loaded.push(note(first.max(reached), row_end, error.reason));
                reached = row_end;
            }
        }
    }
    if reached < end {
        loaded.push(note(reached, end, "they are missing".to_owned()));
    }
    loaded
}
