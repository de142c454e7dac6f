//! What operators ask: partitions, load per minute, readiness.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_engine::Phase;
use minutehand_model::time::DAY_MS;
use minutehand_model::{PartitionId, Timestamp};

use super::wait::not_ready;
use super::{CountTasks, Gateway, InvalidField, QueryError, Unavailable};
use crate::owner::OwnerStatus;

/// Longest range of one question for the load per minute: a week.
const LOAD_RANGE_MS_MAX: i64 = 7 * DAY_MS;

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct PartitionView {
    /// Which one.
    pub partition: PartitionId,
    /// How far its owner is.
    pub phase: Phase,
    /// Its cursors and sizes.
    pub status: OwnerStatus,
}

/// What is due in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteLoad {
    /// Tasks in the timetable; duplicates and cancelled ones included.
    pub stored: u64,
    /// Tasks that are in memory only.
    pub in_memory: u64,
    /// Stored bytes.
    pub bytes: u64,
}

/// Whether a node can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Every partition assigned to it is owned.
    Ready,
    /// It cannot, for these reasons.
    NotReady(Vec<String>),
}

impl Readiness {
    /// Ready when no reason speaks against it.
    pub fn unless(reasons: Vec<String>) -> Readiness {
        match reasons.is_empty() {
            true => Readiness::Ready,
            false => Readiness::NotReady(reasons),
        }
    }
}

impl Gateway {
    /// Every partition, whoever owns it. One that nobody is known to own tells nothing but that.
    pub fn partitions(&self) -> Vec<PartitionView> {
        let mut statuses: BTreeMap<PartitionId, OwnerStatus> =
            self.owners.statuses().into_iter().collect();
        let view = |partition| match statuses.remove(&partition) {
            Some(status) => PartitionView {
                partition,
                phase: status.phase,
                status,
            },
            None => PartitionView {
                partition,
                phase: Phase::Unowned,
                status: OwnerStatus::default(),
            },
        };
        self.every_partition().map(view).collect::<Vec<_>>()
    }

    /// Tasks per minute from the minute of `from` up to `until`, over all partitions; empty minutes
    /// left out. Occurrences of schedules are computed when their time comes and are not counted.
    ///
    /// # Errors
    /// A range that runs backwards or is longer than a week, or a partition or store that does not
    /// answer.
    pub async fn loads(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<Timestamp, MinuteLoad>, QueryError> {
        if from > until {
            return Err(InvalidField::new(
                "from",
                "lies after until",
                format!("at or before {until}"),
                from,
            )
            .into());
        }
        if until.millis_since(from) > LOAD_RANGE_MS_MAX {
            let given = format!("{from} to {until}");
            return Err(InvalidField::new(
                "until",
                "gives too long a range",
                "at most seven days",
                given,
            )
            .into());
        }
        let from = from.floor_to_minute();
        let mut minutes: BTreeMap<Timestamp, MinuteLoad> = BTreeMap::new();
        for partition in self.every_partition() {
            let in_memory = self.owners.ask(partition, CountTasks { from, until }).await;
            for (minute, tasks) in in_memory.ok_or_else(|| not_ready(partition, None))? {
                minutes.entry(minute).or_default().in_memory += tasks;
            }
            let stored = self
                .stores
                .timetable
                .loads(partition.range(from, until))
                .await
                .map_err(Unavailable::from)?;
            for bucket in stored {
                let minute = minutes.entry(bucket.bucket).or_default();
                minute.stored += bucket.tasks;
                minute.bytes += bucket.bytes;
            }
        }
        Ok(minutes)
    }

    /// Whether this node can do its work, and why not.
    pub fn readiness(&self) -> Readiness {
        let phases: BTreeMap<PartitionId, Phase> = self
            .owners
            .statuses()
            .into_iter()
            .map(|(partition, status)| (partition, status.phase))
            .collect();
        let assigned: BTreeSet<PartitionId> = match &self.assignment {
            Some(assignment) => assignment.borrow().clone(),
            None => phases.keys().copied().collect(),
        };
        if assigned.is_empty() {
            return Readiness::NotReady(vec![
                "no partition is assigned to this node yet".to_owned(),
            ]);
        }
        let phase = |partition: &PartitionId| phases.get(partition).copied().unwrap_or_default();
        let mut reasons = self.told_troubles();
        let not_owned = assigned
            .iter()
            .filter(|partition| phase(partition) != Phase::Owning);
        let not_owned =
            not_owned.map(|partition| format!("partition {partition} is {}", phase(partition)));
        reasons.extend(not_owned);
        Readiness::unless(reasons)
    }

    /// What is told of stores that do not answer.
    fn told_troubles(&self) -> Vec<String> {
        let troubles = self.troubles.as_ref();
        troubles.map_or_else(Vec::new, |troubles| troubles.borrow().clone())
    }
}
