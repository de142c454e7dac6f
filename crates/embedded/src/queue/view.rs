//! A queue as its consumers and the committer share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use minutehand_model::{DeliveryToken, PartitionId, QueueName};
use minutehand_ports::{Delivery, DeliveryId, QueueDepth, Stop};
use minutehand_record::publication::Batch;
use tokio::sync::{Notify, broadcast};

use super::lane::GroupLane;

/// Stop requests a slow listener may fall behind.
const STOPS_BACKLOG: usize = 1_024;

/// A batch in memory.
pub(crate) struct Resident {
    batch: Batch,
    bytes: usize,
}

impl Resident {
    pub(crate) fn new(batch: Batch) -> Resident {
        let bytes = batch.items.iter().map(|item| item.encoded.len() + 64).sum();
        Resident { batch, bytes }
    }

    pub(crate) fn count(&self) -> u64 {
        self.batch.items.len() as u64
    }
}

/// Publications read back from disk: their first sequence, the one behind the last, and what they say.
pub(crate) struct Loaded {
    pub(crate) first: u64,
    pub(crate) end: u64,
    /// `None` when the row could not be understood.
    pub(crate) batch: Option<Resident>,
}

/// What a poll finds.
pub(crate) enum Taken {
    /// Something to do.
    Deliveries(Vec<Delivery>),
    /// Nothing yet.
    Nothing,
    /// The group has never polled this queue.
    NewGroup,
    /// What comes next is on disk: from this sequence, up to where the partition has published.
    OnDisk(PartitionId, u64, u64),
}

/// One queue.
pub(crate) struct QueueView {
    pub(crate) name: QueueName,
    inner: Mutex<Inner>,
    pub(crate) changed: Notify,
    stops: broadcast::Sender<Stop>,
    resident_bytes_max: usize,
}

struct Inner {
    lanes: Vec<Lane>,
    groups: BTreeMap<String, Group>,
    resident_bytes: usize,
    dead_letters: u64,
}

/// What one partition has published.
#[derive(Default)]
struct Lane {
    /// The sequence of the next publication.
    next: u64,
    /// No row begins below.
    kept_from: u64,
    resident: BTreeMap<u64, Arc<Resident>>,
}

struct Group {
    lanes: Vec<GroupLane>,
    /// The lane that is looked at first by the next poll, so that none starves.
    turn: usize,
}

impl QueueView {
    pub(crate) fn new(name: QueueName, partitions: usize, resident_bytes_max: usize) -> QueueView {
        let lanes = (0..partitions).map(|_| Lane::default()).collect();
        let inner = Inner { lanes, groups: BTreeMap::new(), resident_bytes: 0, dead_letters: 0 };
        QueueView {
            name,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            stops: broadcast::Sender::new(STOPS_BACKLOG),
            resident_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds this lock")
    }

    /// Lets everybody who waits look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn stops(&self) -> &broadcast::Sender<Stop> {
        &self.stops
    }

    /// Sets what the rows of a lane say, when the store is opened.
    pub(crate) fn restore_lane(&self, partition: PartitionId, next: u64, kept_from: u64) {
        let lane = &mut self.lock().lanes[partition.index()];
        (lane.next, lane.kept_from) = (next, kept_from);
    }

    /// Sets what the row of a group says, when the store is opened.
    pub(crate) fn restore_group(&self, partition: PartitionId, group: &str, lane: GroupLane) {
        let mut inner = self.lock();
        let count = inner.lanes.len();
        let group = inner
            .groups
            .entry(group.to_owned())
            .or_insert_with(|| Group { lanes: vec![GroupLane::default(); count], turn: 0 });
        group.lanes[partition.index()] = lane;
    }

    pub(crate) fn set_dead_letters(&self, count: u64) {
        self.lock().dead_letters = count;
    }

    pub(crate) fn is_published(&self) -> bool {
        self.lock().lanes.iter().any(|lane| lane.next > 0)
    }

    pub(crate) fn next_sequence(&self, partition: PartitionId) -> u64 {
        self.lock().lanes[partition.index()].next
    }

    pub(crate) fn kept_from(&self, partition: PartitionId) -> u64 {
        self.lock().lanes[partition.index()].kept_from
    }

    /// Takes in what a committed tick published from a sequence on.
    pub(crate) fn publish(&self, partition: PartitionId, first: u64, batch: Resident, stops: &[Stop]) {
        {
            let mut inner = self.lock();
            let lane = &mut inner.lanes[partition.index()];
            lane.next = first + batch.count();
            let bytes = batch.bytes;
            // Beyond the limit, consumers read it from disk when they come to it.
            if batch.count() > 0 && inner.resident_bytes + bytes <= self.resident_bytes_max {
                inner.lanes[partition.index()].resident.insert(first, Arc::new(batch));
                inner.resident_bytes += bytes;
            }
        }
        for stop in stops {
            // Nobody listening is nobody running.
            drop(self.stops.send(*stop));
        }
        self.wake();
    }

    /// Takes in what was read from disk.
    pub(crate) fn admit(&self, partition: PartitionId, loaded: Vec<Loaded>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let lane = &mut inner.lanes[partition.index()];
        let bytes: usize =
            loaded.iter().filter_map(|loaded| loaded.batch.as_ref()).map(|batch| batch.bytes).sum();
        if inner.resident_bytes + bytes > self.resident_bytes_max {
            let freed: usize = lane.resident.values().map(|batch| batch.bytes).sum();
            lane.resident.clear();
            inner.resident_bytes -= freed;
        }
        for Loaded { first, batch, .. } in loaded {
            let Some(batch) = batch else { continue };
            inner.resident_bytes += batch.bytes;
            if let Some(replaced) = lane.resident.insert(first, Arc::new(batch)) {
                inner.resident_bytes -= replaced.bytes;
            }
        }
    }

    /// Hands out up to `count_max` deliveries to a group.
    pub(crate) fn take(&self, group: &str, count_max: usize) -> Taken {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(group) = inner.groups.get_mut(group) else { return Taken::NewGroup };
        let mut deliveries = Vec::new();
        let mut on_disk = None;
        let count = inner.lanes.len();
        for step in 0..count {
            let index = (group.turn + step) % count;
            let (lane, place) = (&inner.lanes[index], &mut group.lanes[index]);
            let partition = PartitionId::own(index as u32);
            if !take_from(lane, place, partition, count_max, &mut deliveries) {
                on_disk = on_disk.or(Some((partition, place.next(), lane.next)));
            }
            if deliveries.len() >= count_max {
                break;
            }
        }
        group.turn = (group.turn + 1) % count;
        if deliveries.is_empty() {
            return on_disk.map_or(Taken::Nothing, |(lane, from, end)| Taken::OnDisk(lane, from, end));
        }
        inner.drop_passed();
        Taken::Deliveries(deliveries)
    }

    /// Adds a group that begins with the oldest kept publication; its place in each lane, to be written.
    pub(crate) fn add_group(&self, group: &str) -> Vec<PartitionId> {
        let mut inner = self.lock();
        if inner.groups.contains_key(group) {
            return Vec::new();
        }
        let lanes: Vec<GroupLane> =
            inner.lanes.iter().map(|lane| GroupLane::starting_at(lane.kept_from)).collect();
        let partitions = (0..lanes.len()).map(|index| PartitionId::own(index as u32)).collect();
        inner.groups.insert(group.to_owned(), Group { lanes, turn: 0 });
        partitions
    }

    /// Why a settlement cannot be: the group or the delivery does not exist.
    pub(crate) fn check_settlement(&self, group: &str, ids: &[DeliveryId]) -> Result<(), String> {
        let inner = self.lock();
        if !inner.groups.contains_key(group) {
            return Err(format!("the group {group:?} has never polled the queue {}", self.name));
        }
        for id in ids {
            let published = inner.lanes.get(id.partition.index()).map_or(0, |lane| lane.next);
            if id.sequence >= published {
                return Err(format!(
                    "partition {} has published {published} executions to the queue {}; there is no number {}",
                    id.partition, self.name, id.sequence
                ));
            }
        }
        Ok(())
    }

    /// Settles a delivery of a group that exists; `false` when it was settled before.
    pub(crate) fn settle(&self, group: &str, id: DeliveryId) -> bool {
        self.with_place(group, id.partition, |place| place.settle(id.sequence)).unwrap_or(false)
    }

    /// Settles what cannot be delivered.
    pub(crate) fn pass_over(&self, group: &str, partition: PartitionId, first: u64, end: u64) {
        self.with_place(group, partition, |place| place.pass_over(first, end));
    }

    fn with_place<T>(
        &self,
        group: &str,
        partition: PartitionId,
        change: impl FnOnce(&mut GroupLane) -> T,
    ) -> Option<T> {
        self.lock().groups.get_mut(group).map(|group| change(&mut group.lanes[partition.index()]))
    }

    /// The row of a group's place.
    pub(crate) fn group_row(&self, partition: PartitionId, group: &str) -> Option<Bytes> {
        self.with_place(group, partition, |place| place.encode())
    }

    /// What every group has settled of a lane, when that is more than has been removed: from, and below.
    pub(crate) fn consumed(&self, partition: PartitionId) -> Option<(u64, u64)> {
        let inner = self.lock();
        let index = partition.index();
        let below = inner.groups.values().map(|group| group.lanes[index].cursor()).min()?;
        let kept_from = inner.lanes[index].kept_from;
        (below > kept_from).then_some((kept_from, below))
    }

    /// Notes that rows were removed; whether that changes anything.
    pub(crate) fn forget(&self, partition: PartitionId, kept_from: u64) -> bool {
        let lane = &mut self.lock().lanes[partition.index()];
        let changes = lane.kept_from < kept_from;
        lane.kept_from = lane.kept_from.max(kept_from);
        changes
    }

    /// How full the queue is for a group; one that has never polled would begin with the oldest kept.
    pub(crate) fn depth(&self, group: &str) -> QueueDepth {
        let inner = self.lock();
        let mut depth = QueueDepth { dead_letters: inner.dead_letters, ..QueueDepth::default() };
        match inner.groups.get(group) {
            None => depth.waiting = inner.lanes.iter().map(|lane| lane.next - lane.kept_from).sum(),
            Some(group) => {
                for (lane, place) in inner.lanes.iter().zip(&group.lanes) {
                    depth.waiting += place.waiting(lane.next);
                    depth.in_progress += place.in_progress();
                    depth.settled += place.total();
                }
            }
        }
        depth
    }
}

impl Inner {
    /// Lets go of the batches that every group has been given.
    fn drop_passed(&mut self) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let passed = self.groups.values().map(|group| group.lanes[index].next()).min().unwrap_or(0);
            while let Some(entry) = lane.resident.first_entry()
                && *entry.key() + entry.get().count() <= passed
            {
                self.resident_bytes -= entry.remove().bytes;
            }
        }
    }
}

/// Takes from one lane until there is nothing left or enough; `false` when what comes next is not in memory.
fn take_from(
    lane: &Lane,
    place: &mut GroupLane,
    partition: PartitionId,
    count_max: usize,
    deliveries: &mut Vec<Delivery>,
) -> bool {
    while deliveries.len() < count_max && place.next() < lane.next {
        let next = place.next();
        let Some((first, resident)) = lane.resident.range(..=next).next_back() else { return false };
        if first + resident.count() <= next {
            return false;
        }
        let header = &resident.batch.header;
        let items = &resident.batch.items[(next - first) as usize..];
        for (sequence, item) in (next..).zip(items) {
            if deliveries.len() >= count_max {
                break;
            }
            place.hand_out(sequence);
            if place.is_settled(sequence) {
                continue;
            }
            place.hand_out(sequence + 1);
            deliveries.push(Delivery {
                id: DeliveryId { partition, sequence },
                epoch: header.epoch,
                token: DeliveryToken { epoch: header.epoch, ..DeliveryToken::default() },
                offset: item.offset,
                published_at: header.published_at,
                key: item.key,
                due: item.due,
                encoded: item.encoded.clone(),
            });
        }
    }
    true
}
