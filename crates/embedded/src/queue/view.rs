//! A queue as its consumers and the committer share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use minutehand_model::{DeliveryToken, PartitionId, QueueName, Timestamp};
use minutehand_ports::{
    Delivery, DeliveryId, QueueDepth, RecentStops, Stop, StopListeners, StopReceiver,
};
use minutehand_record::publication::{Batch, BatchHeader, BatchItem};
use minutehand_record::task::is_for;
use tokio::sync::Notify;

use super::group::{Group, Groups};
use super::lane::GroupLane;

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

    pub(crate) fn published_at(&self) -> Timestamp {
        self.batch.header.published_at
    }
}

/// Publications read back from disk: their first sequence, the one behind the last, and what they
/// say.
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
    /// Who listens serves the queue.
    stops: StopListeners,
    resident_bytes_max: usize,
    /// How often the store has been opened.
    generation: u32,
}

struct Inner {
    /// Deliveries handed out.
    handed_out: u64,
    /// Counts what has been done with the queue.
    activity: u64,
    was_published: bool,

    lanes: Vec<Lane>,
    groups: Groups,
    resident_bytes: usize,
    dead_letters: u64,
}

/// What one partition has published.
struct Lane {
    /// The sequence of the next publication.
    next: u64,
    /// No row begins below.
    kept_from: u64,
    resident: BTreeMap<u64, Arc<Resident>>,
}

impl QueueView {
    /// A queue whose publications are numbered from `first` on.
    pub(crate) fn new(
        name: QueueName,
        partitions: usize,
        first: u64,
        resident_bytes_max: usize,
        generation: u32,
    ) -> QueueView {
        let lane = || Lane {
            next: first,
            kept_from: first,
            resident: BTreeMap::new(),
        };
        let inner = Inner {
            handed_out: 0,
            activity: 0,
            was_published: false,
            lanes: (0..partitions).map(|_| lane()).collect(),
            groups: Groups::default(),
            resident_bytes: 0,
            dead_letters: 0,
        };
        QueueView {
            name,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            stops: StopListeners::new(),
            resident_bytes_max,
            generation,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }

    /// Lets everybody who waits look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Stop requests from now on, and the recent ones. Who listens serves the queue.
    pub(crate) fn listen(&self, recent: &RecentStops) -> StopReceiver {
        self.lock().activity += 1;
        self.stops.listen_after(&self.name, recent)
    }

    /// Sets what the rows of a lane say, when the store is opened.
    pub(crate) fn restore_lane(&self, partition: PartitionId, next: u64, kept_from: u64) {
        let mut inner = self.lock();
        inner.was_published = true;
        let lane = &mut inner.lanes[partition.index()];
        (lane.next, lane.kept_from) = (next, kept_from);
    }

    /// Sets what the row of a group says, when the store is opened.
    pub(crate) fn restore_group(
        &self,
        partition: PartitionId,
        group: &str,
        lane: GroupLane,
        seen_at: Timestamp,
    ) {
        let mut inner = self.lock();
        let count = inner.lanes.len();
        let group = inner.groups.get_or_insert(group, || Group {
            lanes: vec![GroupLane::default(); count],
            turn: 0,
            seen_at,
        });
        group.seen_at = group.seen_at.max(seen_at);
        group.lanes[partition.index()] = lane;
    }

    pub(crate) fn set_dead_letters(&self, count: u64) {
        self.lock().dead_letters = count;
    }

    pub(crate) fn is_published(&self) -> bool {
        let inner = self.lock();
        inner.dead_letters > 0 || inner.was_published
    }

    pub(crate) fn next_sequence(&self, partition: PartitionId) -> u64 {
        self.lock().lanes[partition.index()].next
    }

    pub(crate) fn kept_from(&self, partition: PartitionId) -> u64 {
        self.lock().lanes[partition.index()].kept_from
    }

    /// Takes in what a committed tick published from a sequence on.
    /// Whether nobody serves it.
    pub(crate) fn publish(
        &self,
        partition: PartitionId,
        first: u64,
        batch: Resident,
        stops: &[Stop],
    ) -> bool {
        {
            let mut inner = self.lock();
            inner.activity += 1;
            inner.was_published |= batch.count() > 0;
            let lane = &mut inner.lanes[partition.index()];
            lane.next = first + batch.count();
            let bytes = batch.bytes;
            // Beyond the limit, consumers read it from disk when they come to it.
            if batch.count() > 0 && inner.resident_bytes + bytes <= self.resident_bytes_max {
                inner.lanes[partition.index()]
                    .resident
                    .insert(first, Arc::new(batch));
                inner.resident_bytes += bytes;
            }
        }
        self.stops.send(stops);
        self.wake();
        !self.stops.is_heard()
    }

    /// Tells those who listen of stop requests.
    pub(crate) fn tell_stops(&self, stops: &[Stop]) {
        self.stops.send(stops);
    }

    /// Takes in what was read from disk.
    pub(crate) fn admit(&self, partition: PartitionId, loaded: Vec<Loaded>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let lane = &mut inner.lanes[partition.index()];
        let bytes: usize = loaded
            .iter()
            .filter_map(|loaded| loaded.batch.as_ref())
            .map(|batch| batch.bytes)
            .sum();
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

    /// Hands out up to `count_max` deliveries to a group. What others go on with, and the group has
    /// come by, is added to `passed`: it is in hand until it is passed over.
    pub(crate) fn take(
        &self,
        group: &str,
        count_max: usize,
        passed: &mut Vec<DeliveryId>,
    ) -> Taken {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let name = group;
        let Some(group) = inner.groups.get_mut(name) else {
            return Taken::NewGroup;
        };
        inner.activity += 1;
        let token = DeliveryToken {
            generation: self.generation,
            count: inner.handed_out,
            ..DeliveryToken::default()
        };
        let mut hand = Hand::empty(name, count_max, token, passed);
        let mut on_disk = None;
        let count = inner.lanes.len();
        for step in 0..count {
            let index = (group.turn + step) % count;
            let (lane, place) = (&inner.lanes[index], &mut group.lanes[index]);
            let partition = PartitionId::own(index as u32);
            if !hand.take_from(lane, place, partition) {
                on_disk = on_disk.or(Some((partition, place.next(), lane.next)));
                if step == 0 && hand.deliveries.is_empty() {
                    // Its turn has come, however much the others have in memory.
                    break;
                }
            }
            if hand.is_full() {
                break;
            }
        }
        let Hand {
            token,
            deliveries,
            passed,
            ..
        } = hand;
        if let Some((lane, from, end)) = on_disk
            && deliveries.is_empty()
        {
            return Taken::OnDisk(lane, from, end);
        }
        group.turn = (group.turn + 1) % count;
        inner.handed_out = token.count;
        if !deliveries.is_empty() || !passed.is_empty() {
            inner.drop_passed();
        }
        match deliveries.is_empty() {
            true => Taken::Nothing,
            false => Taken::Deliveries(deliveries),
        }
    }

    /// Adds a group that begins with the oldest kept publication; its place in each lane, to be
    /// written.
    pub(crate) fn add_group(&self, group: &str, now: Timestamp) -> Vec<PartitionId> {
        let mut inner = self.lock();
        inner.activity += 1;
        if inner.groups.get(group).is_some() {
            return Vec::new();
        }
        let lanes: Vec<GroupLane> = inner
            .lanes
            .iter()
            .map(|lane| GroupLane::starting_at(lane.kept_from))
            .collect();
        let partitions = (0..lanes.len())
            .map(|index| PartitionId::own(index as u32))
            .collect();
        inner.groups.get_or_insert(group, || Group {
            lanes,
            turn: 0,
            seen_at: now,
        });
        partitions
    }

    /// Why a settlement cannot be: the group or the delivery does not exist.
    pub(crate) fn check_settlement(&self, group: &str, ids: &[DeliveryId]) -> Result<(), String> {
        let inner = self.lock();
        if inner.groups.get(group).is_none() {
            return Err(format!(
                "the group {group:?} has never polled the queue {}",
                self.name
            ));
        }
        for id in ids {
            let published = inner
                .lanes
                .get(id.partition.index())
                .map_or(0, |lane| lane.next);
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
        self.with_place(group, id.partition, |place| place.settle(id.sequence))
            .unwrap_or(false)
    }

    /// Nobody works on some deliveries of a group any more.
    pub(crate) fn let_go(&self, group: &str, ids: &[DeliveryId]) {
        for id in ids {
            self.with_place(group, id.partition, |place| place.let_go(id.sequence));
        }
        self.wake();
    }

    /// Settles what is not delivered: it cannot be, or is no business of the group.
    pub(crate) fn pass_over(&self, group: &str, partition: PartitionId, first: u64, end: u64) {
        self.with_place(group, partition, |place| place.pass_over(first, end));
    }

    fn with_place<T>(
        &self,
        group: &str,
        partition: PartitionId,
        change: impl FnOnce(&mut GroupLane) -> T,
    ) -> Option<T> {
        let mut inner = self.lock();
        inner.activity += 1;
        inner
            .groups
            .get_mut(group)?
            .lanes
            .get_mut(partition.index())
            .map(change)
    }

    /// The row of a group's place.
    pub(crate) fn group_row(
        &self,
        partition: PartitionId,
        group: &str,
        now: Timestamp,
    ) -> Option<Bytes> {
        let mut inner = self.lock();
        let group = inner.groups.get_mut(group)?;
        group.seen_at = group.seen_at.max(now);
        Some(group.lanes[partition.index()].encode(group.seen_at))
    }

    /// When a group was last seen, as its rows say; `None` when it has never polled.
    pub(crate) fn seen_at(&self, group: &str) -> Option<Timestamp> {
        self.lock().groups.get(group).map(|group| group.seen_at)
    }

    /// The groups that were last seen before a time, when others have been seen since.
    pub(crate) fn gone_groups(&self, before: Timestamp) -> Vec<String> {
        let inner = self.lock();
        if inner.groups.values().all(|group| group.seen_at < before) {
            return Vec::new();
        }
        let gone = inner
            .groups
            .iter()
            .filter(|(_, group)| group.seen_at < before);
        gone.map(|(name, _)| name.to_owned()).collect()
    }

    /// Forgets a group; what only it had not settled may be removed.
    pub(crate) fn remove_group(&self, group: &str) {
        self.lock().groups.remove(group);
    }

    /// How often something was done with the queue, and whether nothing is left of it: no
    /// execution, no dead letter, nobody who listens.
    pub(crate) fn rest(&self) -> (u64, bool) {
        let inner = self.lock();
        let is_settled = |index: usize, lane: &Lane| {
            lane.kept_from == lane.next
                && inner
                    .groups
                    .values()
                    .all(|group| group.lanes[index].cursor() == lane.next)
        };
        let is_spent = inner.dead_letters == 0
            && !self.stops.is_heard()
            && inner
                .lanes
                .iter()
                .enumerate()
                .all(|(index, lane)| is_settled(index, lane));
        (inner.activity, is_spent)
    }

    /// The highest number that a publication may have had.
    pub(crate) fn numbered_below(&self) -> u64 {
        self.lock()
            .lanes
            .iter()
            .map(|lane| lane.next)
            .max()
            .unwrap_or(0)
    }

    /// The names of the groups.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.lock()
            .groups
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Whether any publication is kept.
    pub(crate) fn keeps_any(&self) -> bool {
        self.lock()
            .lanes
            .iter()
            .any(|lane| lane.kept_from < lane.next)
    }

    /// Whether anything waits for a group.
    pub(crate) fn has_waiting(&self, group: &str) -> bool {
        let depth = self.depth(group);
        depth.waiting > depth.in_progress
    }

    /// What every group has settled of a lane, when that is more than has been removed: from, and
    /// below.
    pub(crate) fn consumed(&self, partition: PartitionId) -> Option<(u64, u64)> {
        let inner = self.lock();
        let index = partition.index();
        let below = inner
            .groups
            .values()
            .map(|group| group.lanes[index].cursor())
            .min()?;
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

    /// When the oldest execution in memory that a group has not settled was published, and where
    /// the first ones lie that are on disk.
    pub(crate) fn oldest(&self, group: &str) -> (Option<Timestamp>, Vec<(PartitionId, u64)>) {
        let inner = self.lock();
        let group = inner.groups.get(group);
        let (mut oldest, mut on_disk) = (None::<Timestamp>, Vec::new());
        for (index, lane) in inner.lanes.iter().enumerate() {
            let first = group.map_or(lane.kept_from, |group| group.lanes[index].cursor());
            if first >= lane.next {
                continue;
            }
            let before = lane.resident.range(..=first).next_back();
            match before.filter(|(start, batch)| first < *start + batch.count()) {
                Some((_, batch)) => {
                    let at = batch.published_at();
                    oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
                }
                None => on_disk.push((PartitionId::own(index as u32), first)),
            }
        }
        (oldest, on_disk)
    }

    /// How full the queue is for a group; one that has never polled would begin with the oldest
    /// kept.
    pub(crate) fn depth(&self, group: &str) -> QueueDepth {
        let inner = self.lock();
        let mut depth = QueueDepth {
            dead_letters: inner.dead_letters,
            ..QueueDepth::default()
        };
        match inner.groups.get(group) {
            None => {
                depth.waiting = inner
                    .lanes
                    .iter()
                    .map(|lane| lane.next - lane.kept_from)
                    .sum()
            }
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
            let passed = self
                .groups
                .values()
                .map(|group| group.lanes[index].next())
                .min()
                .unwrap_or(0);
            while let Some(entry) = lane.resident.first_entry()
                && *entry.key() + entry.get().count() <= passed
            {
                self.resident_bytes -= entry.remove().bytes;
            }
        }
    }
}

/// What one poll takes for a group.
struct Hand<'a> {
    group: &'a str,
    count_max: usize,
    token: DeliveryToken,
    deliveries: Vec<Delivery>,
    /// What is no business of the group.
    passed: &'a mut Vec<DeliveryId>,
}

impl<'a> Hand<'a> {
    fn empty(
        group: &'a str,
        count_max: usize,
        token: DeliveryToken,
        passed: &'a mut Vec<DeliveryId>,
    ) -> Hand<'a> {
        Hand {
            group,
            count_max,
            token,
            deliveries: Vec::new(),
            passed,
        }
    }

    fn is_full(&self) -> bool {
        self.deliveries.len() >= self.count_max
    }

    /// Takes from one lane until there is nothing left or enough; `false` when what comes next is
    /// not in memory.
    fn take_from(&mut self, lane: &Lane, place: &mut GroupLane, partition: PartitionId) -> bool {
        while !self.is_full() && place.next() < lane.next {
            let next = place.next();
            let Some((first, resident)) = lane.resident.range(..=next).next_back() else {
                return false;
            };
            if first + resident.count() <= next {
                return false;
            }
            let header = &resident.batch.header;
            let items = &resident.batch.items[(next - first) as usize..];
            for (sequence, item) in (next..).zip(items) {
                if self.is_full() {
                    break;
                }
                if !place.hand_out(sequence) {
                    continue;
                }
                let id = DeliveryId {
                    partition,
                    sequence,
                };
                if is_for(&item.encoded, self.group) {
                    self.push(id, header, item);
                } else {
                    self.passed.push(id);
                }
            }
        }
        true
    }

    fn push(&mut self, id: DeliveryId, header: &BatchHeader, item: &BatchItem) {
        (self.token.epoch, self.token.count) = (header.epoch, self.token.count + 1);
        self.deliveries.push(Delivery {
            id,
            epoch: header.epoch,
            token: self.token,
            offset: item.offset,
            published_at: header.published_at,
            key: item.key,
            due: item.due,
            encoded: item.encoded.clone(),
            may_have_run: false,
        });
    }
}
