//! Listing what is to run: owners' memory and timetable of every partition, in order of due time
//! and id.
//!
//! A page reads the stores until it is full or has read its share of bytes; then the next page goes
//! on from where this one is sure of itself. So a page may be short or even empty, with more behind
//! it. Blocks of one minute lie over one another, so a page that begins within a minute reads that
//! minute up to there again.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_engine::{KnownState, KnownTask};
use minutehand_model::limits::PAGE_BYTES_MAX;
use minutehand_model::time::MINUTE_MS;
use minutehand_model::{
    Fact, LogOffset, Namespace, PartitionId, Place, QueueName, TaskKey, Timestamp, TimetablePage,
};

use super::super::step::Step;
use super::find::corrupt;
use super::window::{Candidate, Position, Window};
use crate::gateway::view::listed_as;
use crate::gateway::wait::not_ready;
use crate::gateway::{
    FindTasks, Gateway, InvalidField, ListTasks, QueryError, TaskState, TaskView, Unavailable,
};

/// Most tasks asked of an owner's memory at once.
const NEAR_STEP_MAX: usize = 2_048;
/// What a task in memory counts against the bytes of a page.
const NEAR_TASK_BYTES: usize = 128;
/// Most tasks on a page.
const PAGE_TASKS_MAX: usize = 1_000;

/// What is to be listed.
#[derive(Clone, Debug)]
pub struct TaskQuery {
    /// The namespace listed.
    pub namespace: Namespace,
    /// Due at or after this time; `None` for everything that still waits.
    pub from: Option<Timestamp>,
    /// Due before this time; `None` for no end.
    pub until: Option<Timestamp>,
    /// Ids that begin like this.
    pub prefix: String,
    /// What goes to this queue; `None`: to any.
    pub queue: Option<QueueName>,
    /// Where the page begins, from the page before.
    pub start: Option<(Timestamp, String)>,
    /// Most tasks wanted, 1 to 1,000.
    pub count_max: usize,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct TaskPage {
    /// Tasks that wait, in order of due time and id.
    pub tasks: Vec<TaskView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<(Timestamp, String)>,
}

/// One listing under way.
struct Listing<'a> {
    query: &'a TaskQuery,
    until: Timestamp,
    window: Window,
    bytes_left: usize,
}

impl Gateway {
    /// Lists the tasks that wait for their time.
    ///
    /// # Errors
    /// A refused limit or range, or a partition or store that does not answer.
    pub async fn list(&self, query: &TaskQuery) -> Result<TaskPage, QueryError> {
        let mut listing = self.begin_listing(query)?;
        let mut loaded_until = BTreeMap::new();
        for partition in self.every_partition() {
            let status = self.caught_up(partition).await?;
            loaded_until.insert(partition, status.loaded_until);
        }
        let turn = self.scans.acquire().await;
        for partition in self.every_partition() {
            self.list_near(partition, &mut listing).await?;
        }
        self.list_far(&loaded_until, &mut listing).await?;
        drop(turn);
        let (live, next) = listing.window.finish();
        Ok(TaskPage {
            tasks: self.confirmed(query, live).await?,
            next,
        })
    }

    fn begin_listing<'a>(&self, query: &'a TaskQuery) -> Result<Listing<'a>, QueryError> {
        if !(1..=PAGE_TASKS_MAX).contains(&query.count_max) {
            let limit = format!("1 to {PAGE_TASKS_MAX}");
            return Err(
                InvalidField::new("limit", "is out of range", limit, query.count_max).into(),
            );
        }
        if let (Some(from), Some(until)) = (query.from, query.until)
            && from > until
        {
            let limit = format!("at or before until ({until})");
            return Err(InvalidField::new("from", "lies after until", limit, from).into());
        }
        let from = (query.from.unwrap_or(Timestamp::MIN), String::new());
        let start = query
            .start
            .clone()
            .map_or(from.clone(), |start| start.max(from));
        Ok(Listing {
            query,
            until: query
                .until
                .unwrap_or(Timestamp::END_OF_YEAR_9999.plus_millis(1)),
            window: Window::new(start, query.count_max, PAGE_BYTES_MAX),
            bytes_left: self.limits.scan_bytes_max,
        })
    }

    /// Offers what one owner has in memory.
    async fn list_near(
        &self,
        partition: PartitionId,
        listing: &mut Listing<'_>,
    ) -> Result<(), Unavailable> {
        let start = listing.window.start_due();
        let mut after = (start > Timestamp::MIN).then(|| Place::end_of(start.plus_millis(-1)));
        let mut bytes_read = 0;
        let mut step = Step::new(NEAR_STEP_MAX);
        loop {
            let query = ListTasks {
                after,
                until: listing.until,
                count_max: step.count(),
            };
            let tasks = self.owners.ask(partition, query).await;
            let tasks = tasks.ok_or_else(|| not_ready(partition, None))?;
            step.came(
                tasks.len(),
                tasks
                    .iter()
                    .filter_map(|task| task.encoded.as_ref())
                    .map(Bytes::len)
                    .sum(),
            );
            let Some(last) = tasks.last().map(|task| Place {
                due: task.due,
                offset: task.offset,
            }) else {
                return Ok(());
            };
            bytes_read += tasks.len() * NEAR_TASK_BYTES;
            let over =
                bytes_read > listing.bytes_left && after.is_some_and(|after| after.due < last.due);
            for task in tasks {
                listing.offer_known(partition, task)?;
            }
            if over {
                // Everything before the last due time has been seen.
                listing.window.end_at((last.due, String::new()));
            }
            if !listing.window.wants(last.due) || over {
                return Ok(());
            }
            after = Some(last);
        }
    }

    /// Offers what the timetables hold behind the part that the owners have in memory, the earliest
    /// first.
    async fn list_far(
        &self,
        loaded_until: &BTreeMap<PartitionId, Timestamp>,
        listing: &mut Listing<'_>,
    ) -> Result<(), Unavailable> {
        let start = listing.window.start_due();
        let mut read_until: BTreeMap<PartitionId, Timestamp> = loaded_until
            .iter()
            .map(|(partition, loaded)| (*partition, floor_to_minute((*loaded).max(start))))
            .collect();
        let begin = read_until
            .values()
            .min()
            .copied()
            .unwrap_or(Timestamp::MAX)
            .max(start);
        while let Some((partition, from)) = earliest(&read_until) {
            if from >= listing.until || !listing.window.wants(from.max(start)) {
                return Ok(());
            }
            // A page that ended where it began would be followed by itself.
            if listing.bytes_left == 0 && from > begin {
                listing.window.end_at((from, String::new()));
                return Ok(());
            }
            let page = self
                .stores
                .timetable
                .read(
                    partition.range(from, listing.until),
                    self.limits.read_bytes_max,
                )
                .await?;
            // A store that stood still would hold the listing up for ever.
            read_until.insert(partition, page.complete_until.max(from.plus_millis(1)));
            let loaded = loaded_until
                .get(&partition)
                .copied()
                .unwrap_or(Timestamp::MIN);
            listing.offer_page(partition, loaded, page)?;
        }
        Ok(())
    }

    /// Leaves out what has been cancelled, moved or published since it was stored, and decodes the
    /// rest.
    async fn confirmed(
        &self,
        query: &TaskQuery,
        live: Vec<(Position, Candidate)>,
    ) -> Result<Vec<TaskView>, Unavailable> {
        let mut keys: BTreeMap<PartitionId, Vec<TaskKey>> = BTreeMap::new();
        for (_, candidate) in &live {
            keys.entry(candidate.partition)
                .or_default()
                .push(candidate.key);
        }
        let mut outdated: BTreeMap<(TaskKey, Timestamp), LogOffset> = BTreeMap::new();
        for (partition, keys) in keys {
            let known = self.owners.ask(partition, FindTasks { keys }).await;
            let known = known.ok_or_else(|| not_ready(partition, None))?;
            for task in known
                .into_iter()
                .flatten()
                .filter(|task| task.state != KnownState::Scheduled)
            {
                outdated.insert((task.key, task.due), task.offset);
            }
        }
        let is_current = |due: Timestamp, candidate: &Candidate| {
            outdated
                .get(&(candidate.key, due))
                .is_none_or(|offset| *offset < candidate.offset)
        };
        live.into_iter()
            .filter(|((due, _), candidate)| is_current(*due, candidate))
            .map(|((due, _), candidate)| view(&query.namespace, due, &candidate))
            .collect()
    }
}

impl Listing<'_> {
    fn offer_known(&mut self, partition: PartitionId, task: KnownTask) -> Result<(), Unavailable> {
        let KnownTask {
            key,
            due,
            offset,
            state,
            queue: _,
            encoded,
        } = task;
        match (state, encoded) {
            (KnownState::Scheduled, Some(encoded)) => {
                self.offer(partition, key, due, offset, encoded)
            }
            _ => {
                self.window.void(due, key, offset);
                Ok(())
            }
        }
    }

    fn offer_page(
        &mut self,
        partition: PartitionId,
        loaded_until: Timestamp,
        page: TimetablePage,
    ) -> Result<(), Unavailable> {
        for entry in page.entries {
            let (key, due, offset) = (entry.key, entry.due, entry.offset);
            let size = match &entry.fact {
                Fact::Runs(record) => record.encoded.len() + 32,
                Fact::Void => 32,
            };
            self.bytes_left = self.bytes_left.saturating_sub(size);
            if due < loaded_until || due >= self.until {
                continue;
            }
            match entry.fact {
                Fact::Runs(record) => self.offer(partition, key, due, offset, record.encoded)?,
                Fact::Void => self.window.void(due, key, offset),
            }
        }
        Ok(())
    }

    /// Whether a task goes to the queue that is listed.
    fn goes_to_queue(&self, encoded: &Bytes) -> Result<bool, Unavailable> {
        let Some(queue) = &self.query.queue else {
            return Ok(true);
        };
        let record = minutehand_record::task::read_record(encoded.clone());
        Ok(record.map_err(corrupt)?.queue == *queue)
    }

    fn offer(
        &mut self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
        offset: LogOffset,
        encoded: Bytes,
    ) -> Result<(), Unavailable> {
        if !self.window.wants(due) {
            return Ok(());
        }
        let name = minutehand_record::task::name(&encoded).map_err(corrupt)?;
        let has_prefix = name.id.as_str().starts_with(&self.query.prefix);
        let is_wanted = name.namespace == self.query.namespace && has_prefix;
        if is_wanted && self.goes_to_queue(&encoded)? {
            self.window.offer(
                due,
                &listed_as(&name.id, name.order_key.as_ref()),
                Candidate {
                    partition,
                    key,
                    offset,
                    encoded,
                },
            );
        }
        Ok(())
    }
}

fn earliest(read_until: &BTreeMap<PartitionId, Timestamp>) -> Option<(PartitionId, Timestamp)> {
    read_until
        .iter()
        .map(|(partition, until)| (*partition, *until))
        .min_by_key(|(_, until)| *until)
}

/// The start of the minute; the ends of time have none and stay.
fn floor_to_minute(at: Timestamp) -> Timestamp {
    let edge = i64::MAX - MINUTE_MS;
    if (-edge..edge).contains(&at.as_millis()) {
        at.floor_to_minute()
    } else {
        at
    }
}

fn view(
    namespace: &Namespace,
    due: Timestamp,
    candidate: &Candidate,
) -> Result<TaskView, Unavailable> {
    let task = super::find::decode(&candidate.encoded)?;
    Ok(TaskView {
        namespace: namespace.clone(),
        id: task.id.clone(),
        order_key: task.order_key.clone(),
        partition: candidate.partition,
        due,
        offset: Some(candidate.offset),
        state: TaskState::Scheduled,
        queue: Some(task.queue.clone()),
        attempt: Some(task.attempt),
        task: Some(task),
        outcomes: Vec::new(),
    })
}
