//! Questions a partition answers about what it holds in memory. None of them changes anything.

use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use minutehand_model::{
    Epoch, Frontier, LogOffset, Namespace, Phase, Place, QueueName, ScheduleId, ScheduleStatus,
    TaskKey, Timestamp,
};

use crate::fact::{StoredFact, flag};
use crate::partition::Partition;
use crate::retry::Write;
use crate::rules::Rules;
use crate::schedule::KnownSchedule;
use crate::task_store::TaskIndex;

/// How a task in memory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownState {
    /// It will run.
    Scheduled,
    /// It has been published.
    Published,
    /// It will not run.
    Cancelled,
}

/// A task in memory: near, recently published, or waiting for its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTask {
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// When it is due.
    pub due: Timestamp,
    /// The log offset of the fact.
    pub offset: LogOffset,
    /// How it stands.
    pub state: KnownState,
    /// The queue that it goes or went to; `None` for one that does not run, and for one that has run
    /// when there are more names than a partition remembers.
    pub queue: Option<QueueName>,
    /// The task in the encoding of the `record` crate; `None` once it has been published or
    /// cancelled.
    pub encoded: Option<Bytes>,
}

/// Where a partition stands, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The phase of the ownership.
    pub phase: Phase,
    /// The ownership's epoch.
    pub epoch: Epoch,
    /// A.
    pub applied: LogOffset,
    /// F.
    pub frontier: Frontier,
    /// R, as last committed.
    pub replay_from: LogOffset,
    /// The number of the last committed tick.
    pub tick: u64,
    /// Records and blocks that this owner has set aside because they could not be used.
    pub set_aside: u64,
    /// The end of the log, as far as known.
    pub log_end: LogOffset,
    /// The timetable is in memory up to here, without a part that is left out.
    pub loaded_until: Timestamp,
    /// Tasks in the calendar queue.
    pub near_tasks: usize,
    /// The memory they take, about.
    pub near_bytes: usize,
    /// Facts that wait for their block.
    pub pending_entries: usize,
    /// Tasks in memory that F has left behind.
    pub backlog_tasks: usize,
    /// Schedules that owe occurrences which F has left behind.
    pub backlog_schedules: usize,
    /// When the oldest of what F has left behind is due, in memory or not; `None` when nothing is.
    pub backlog_oldest: Option<Timestamp>,
    /// Whether more of it waits in the timetable, and is not counted.
    pub backlog_is_partly_unread: bool,
    /// The memory that the partition takes, about.
    pub memory_bytes: usize,
    /// Minutes that start before this are over for the ledger: they have their rows, or get none;
    /// `None` before the first.
    pub closed_before: Option<Timestamp>,
    /// Minutes that this owner has given up counting: of those there is no row.
    pub minutes_given_up: u64,
    /// Why it has stopped, in words, when it has; told by whoever runs the partition.
    pub stop_reason: Option<String>,
}

impl Status {
    /// Everything that is due up to here has been published, or decided against. A revision that
    /// was read late owes what lies before all that F has left behind.
    pub fn published_until(&self) -> Timestamp {
        let floor = self.frontier.floor().due;
        match self.backlog_oldest {
            Some(oldest) if oldest < floor => oldest.plus_millis(-1),
            _ => floor,
        }
    }
}

impl<R: Rules> Partition<R> {
    /// Where the partition stands.
    pub fn status(&self) -> Status {
        Status {
            phase: self.phase(),
            epoch: self.ownership.epoch(),
            applied: self.log.applied(),
            frontier: self.frontier.clone(),
            replay_from: self.ticker.committed().replay_from,
            tick: self.ticker.committed().tick,
            set_aside: self.outgoing.set_aside_count(),
            log_end: self.log.end(),
            loaded_until: self.coverage.loaded_whole(),
            near_tasks: self.due.len(),
            near_bytes: self.tasks.near_bytes(),
            pending_entries: self.writes.pending().len(),
            backlog_tasks: self.due.behind.len(),
            backlog_schedules: self.schedules.behind(),
            backlog_oldest: self.backlog_oldest(),
            backlog_is_partly_unread: self.coverage.has_unread(),
            memory_bytes: self.memory().total(),
            closed_before: self.minutes_done_before(),
            minutes_given_up: self.minutes.given_up(),
            stop_reason: None,
        }
    }

    /// How many schedules there are in each state. Looks at every one of them.
    pub fn schedules_by_state(&self) -> BTreeMap<ScheduleStatus, u64> {
        self.schedules.count_by_state()
    }

    /// When the oldest of what F has left behind is due; the beginning of time is no such time.
    fn backlog_oldest(&self) -> Option<Timestamp> {
        let tasks = self.frontier.backlog.first();
        let tasks = tasks.map(|stretch| stretch.after.due);
        let oldest = tasks.into_iter().chain(self.owed_oldest()).min()?;
        (oldest > Timestamp::MIN).then_some(oldest)
    }

    /// What memory knows of a task: one line for each due time, the newest fact about it.
    pub fn find(&self, key: TaskKey) -> Vec<KnownTask> {
        let mut newest: BTreeMap<Timestamp, (TaskIndex, &StoredFact)> = BTreeMap::new();
        for (index, fact) in self.tasks.chain(key) {
            let known = newest.entry(fact.due).or_insert((index, fact));
            if is_newer(fact, known.1) {
                *known = (index, fact);
            }
        }
        newest
            .values()
            .map(|(index, _)| self.known(*index))
            .collect()
    }

    /// Tasks in memory that are to run, in order of their places, after one place and before a
    /// time: the calendar queue, and what is on its way to the timetable.
    pub fn list(&self, after: Option<Place>, until: Timestamp, count_max: usize) -> Vec<KnownTask> {
        let sent = self.writes.sent();
        let on_its_way = self
            .writes
            .pending()
            .iter()
            .chain(sent.flat_map(Write::facts));
        let far = on_its_way
            .map(|index| (self.tasks.get(index), index))
            .filter(|(fact, index)| {
                fact.is_far() && fact.due < until && self.tasks.opens_live_generation(*index)
            })
            .map(|(fact, index)| (fact.place(), index))
            .filter(|(place, _)| after.is_none_or(|after| *place > after));
        let far = first_ones(far, count_max);
        // What is far is due after everything in the calendar, but for a short time while a read is
        // under way.
        let near: Vec<(Place, TaskIndex)> = self
            .due
            .behind
            .range(after, until)
            .chain(self.due.on_time.range(after, until))
            .filter(|(_, index)| self.tasks.opens_live_generation(*index))
            .take(count_max)
            .collect();
        let mut all = [near, far].concat();
        all.sort_by_key(|(place, _)| *place);
        let living = all
            .into_iter()
            .filter(|(_, index)| self.tasks.opens_live_generation(*index));
        living
            .take(count_max)
            .map(|(_, index)| self.known(index))
            .collect()
    }

    fn known(&self, index: TaskIndex) -> KnownTask {
        let fact = self.tasks.get(index);
        let state = if fact.is(flag::VOID) {
            KnownState::Cancelled
        } else if fact.is(flag::PASSED) {
            KnownState::Published
        } else {
            KnownState::Scheduled
        };
        let names = &self.tasks.queue_names;
        let encoded = self.tasks.body(index);
        let queue = match &encoded {
            _ if fact.is(flag::VOID) => None,
            Some(encoded) => Some(names.name(fact.queue, encoded)),
            None => names.known_name(fact.queue),
        };
        let encoded = encoded.filter(|_| state == KnownState::Scheduled);
        KnownTask {
            key: fact.key(),
            due: fact.due,
            offset: fact.offset,
            state,
            queue,
            encoded,
        }
    }

    /// Tasks in memory per minute that are not stored in the timetable as well.
    pub fn loads(&self, from: Timestamp, until: Timestamp) -> BTreeMap<Timestamp, u64> {
        let mut loads = BTreeMap::new();
        let start = Place::end_of(from.plus_millis(-1));
        let near = self
            .due
            .behind
            .range(Some(start), until)
            .chain(self.due.on_time.range(Some(start), until));
        for (place, index) in near {
            let fact = self.tasks.get(index);
            if fact.is(flag::UNSETTLED) && !fact.is(flag::VOID) {
                *loads.entry(place.due.floor_to_minute()).or_insert(0) += 1;
            }
        }
        for (bucket, facts) in self.writes.pending().buckets(from, until) {
            let count = facts
                .iter()
                .filter(|index| self.tasks.get(**index).is_far())
                .count();
            if count > 0 {
                *loads.entry(bucket).or_insert(0) += count as u64;
            }
        }
        loads
    }

    /// A schedule as it stands.
    pub fn schedule(&self, namespace: &Namespace, id: &ScheduleId) -> Option<KnownSchedule> {
        self.schedules.get(namespace, id)
    }

    /// Deleted schedules that are still remembered.
    pub fn deleted_schedules(&self) -> usize {
        self.schedules.deleted()
    }

    /// Schedules of a namespace in order of id, deleted ones left out.
    pub fn schedules(
        &self,
        namespace: &Namespace,
        after: Option<&ScheduleId>,
        prefix: &str,
        count_max: usize,
    ) -> Vec<KnownSchedule> {
        self.schedules.list(namespace, after, prefix, count_max)
    }
}

/// A later fact tells more; but of a task that ran, the fact that ran it does, and a void that came
/// too late does not.
fn is_newer(fact: &StoredFact, known: &StoredFact) -> bool {
    match (fact.is(flag::PUBLISHED), known.is(flag::PUBLISHED)) {
        (true, false) => true,
        (false, true) => false,
        _ => fact.order() > known.order(),
    }
}

/// The first so many of places that come in any order, in their order; what waits to be stored may
/// be millions.
fn first_ones(
    places: impl Iterator<Item = (Place, TaskIndex)>,
    count_max: usize,
) -> Vec<(Place, TaskIndex)> {
    let mut first = BinaryHeap::new();
    for place in places {
        if first.len() < count_max {
            first.push(place);
        } else if let Some(mut last) = first.peek_mut().filter(|last| place < **last) {
            *last = place;
        }
    }
    first.into_sorted_vec()
}
