//! One partition on one node: its ticks, its cursors, its memory and its phase.

use std::collections::BTreeMap;

use metrics::{Counter, Gauge, Histogram};
use minutehand_model::{Phase, Precision, ScheduleStatus};

use crate::catalogue::{
    APPLIED, BACKLOG_OLDEST, BACKLOG_SCHEDULES, BACKLOG_TASKS, CLOCK_BEHIND, CLOCK_DIFFERENCE,
    FRONTIER_LAG, LOG_END, MEMORY_BYTES, NEAR_BYTES, NEAR_TASKS, OWNER_PANICS, PENDING_ENTRIES,
    PHASE_IS, PUBLICATIONS, PUBLISH_LATENESS, QUARANTINED, REPLAY_DISTANCE, SCHEDULES, SET_ASIDE,
    TICK, TICKS,
};
use crate::label::ByWord;

/// Where a partition stands; everything that is shown as a gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionStanding {
    /// A: every command below this position of the log has been applied.
    pub applied: u64,
    /// The position that the log's next record will get.
    pub log_end: u64,
    /// From R to A: what a new owner reads again, at most.
    pub replay_distance: u64,
    /// How far F lies behind the clock, in seconds; at least 0.
    pub frontier_lag_seconds: f64,
    /// How far the clock lies behind F, in seconds; at least 0. More than 0 after a clock was set
    /// back.
    pub clock_behind_seconds: f64,
    /// Tasks in memory because they are due soon.
    pub near_tasks: u64,
    /// Their bytes.
    pub near_bytes: u64,
    /// Entries that wait to be written to the timetable.
    pub pending_entries: u64,
    /// Tasks in memory that are caught up with.
    pub backlog_tasks: u64,
    /// Schedules with occurrences that are caught up with.
    pub backlog_schedules: u64,
    /// How late the oldest task or occurrence is that is caught up with, in seconds; 0 when none is.
    pub backlog_oldest_seconds: f64,
    /// The memory that the partition takes.
    pub memory_bytes: u64,
}

/// A gauge for each part of a standing.
#[derive(Clone, Debug)]
struct StandingGauges {
    applied: Gauge,
    log_end: Gauge,
    replay_distance: Gauge,
    frontier_lag: Gauge,
    clock_behind: Gauge,
    near_tasks: Gauge,
    near_bytes: Gauge,
    pending_entries: Gauge,
    backlog_tasks: Gauge,
    backlog_schedules: Gauge,
    backlog_oldest: Gauge,
    memory_bytes: Gauge,
}

impl StandingGauges {
    fn new(partition: &str) -> StandingGauges {
        let only = [partition];
        StandingGauges {
            applied: APPLIED.gauge(&only),
            log_end: LOG_END.gauge(&only),
            replay_distance: REPLAY_DISTANCE.gauge(&only),
            frontier_lag: FRONTIER_LAG.gauge(&only),
            clock_behind: CLOCK_BEHIND.gauge(&only),
            near_tasks: NEAR_TASKS.gauge(&only),
            near_bytes: NEAR_BYTES.gauge(&only),
            pending_entries: PENDING_ENTRIES.gauge(&only),
            backlog_tasks: BACKLOG_TASKS.gauge(&only),
            backlog_schedules: BACKLOG_SCHEDULES.gauge(&only),
            backlog_oldest: BACKLOG_OLDEST.gauge(&only),
            memory_bytes: MEMORY_BYTES.gauge(&only),
        }
    }

    fn set(&self, standing: &PartitionStanding) {
        self.applied.set(standing.applied as f64);
        self.log_end.set(standing.log_end as f64);
        self.replay_distance.set(standing.replay_distance as f64);
        self.frontier_lag
            .set(standing.frontier_lag_seconds.max(0.0));
        self.clock_behind
            .set(standing.clock_behind_seconds.max(0.0));
        self.near_tasks.set(standing.near_tasks as f64);
        self.near_bytes.set(standing.near_bytes as f64);
        self.pending_entries.set(standing.pending_entries as f64);
        self.backlog_tasks.set(standing.backlog_tasks as f64);
        self.backlog_schedules
            .set(standing.backlog_schedules as f64);
        self.backlog_oldest.set(standing.backlog_oldest_seconds);
        self.memory_bytes.set(standing.memory_bytes as f64);
    }
}

/// The handle of one partition.
#[derive(Clone, Debug)]
pub struct PartitionMetrics {
    ticks: Counter,
    tick: Histogram,
    publications: Counter,
    publish_lateness: ByWord<Histogram>,
    standing: StandingGauges,
    phase: ByWord<Gauge>,
    set_aside: Counter,
    panics: Counter,
    quarantined: Gauge,
    clock_difference: Gauge,
    schedules: ByWord<Gauge>,
}

impl PartitionMetrics {
    /// Looks the series of a partition up.
    #[must_use]
    pub fn new(partition: u32) -> PartitionMetrics {
        let number = partition.to_string();
        let only = [number.as_str()];
        PartitionMetrics {
            ticks: TICKS.counter(&only),
            tick: TICK.histogram(&only),
            publications: PUBLICATIONS.counter(&only),
            publish_lateness: ByWord::of(&PUBLISH_LATENESS, |word| {
                PUBLISH_LATENESS.histogram(&[&number, word])
            }),
            standing: StandingGauges::new(&number),
            phase: ByWord::of(&PHASE_IS, |word| PHASE_IS.gauge(&[&number, word])),
            set_aside: SET_ASIDE.counter(&only),
            panics: OWNER_PANICS.counter(&only),
            quarantined: QUARANTINED.gauge(&only),
            clock_difference: CLOCK_DIFFERENCE.gauge(&only),
            schedules: ByWord::of(&SCHEDULES, |word| SCHEDULES.gauge(&[&number, word])),
        }
    }

    /// A tick with so many publications was committed in so many seconds.
    pub fn tick_committed(&self, publications: u64, seconds: f64) {
        self.ticks.increment(1);
        self.publications.increment(publications);
        self.tick.record(seconds);
    }

    /// So many executions of a precision were published so many seconds after their due time.
    /// Executions of one tick with one due time are best given together.
    pub fn published(&self, precision: Precision, lateness_seconds: f64, count: usize) {
        self.publish_lateness
            .get(precision.as_str())
            .record_many(lateness_seconds, count);
    }

    /// Stored records were set aside because they could not be understood.
    pub fn set_aside(&self, count: u64) {
        self.set_aside.increment(count);
    }

    /// There are so many schedules of each state; of those that are not named there is none.
    pub fn schedules(&self, counts: &BTreeMap<ScheduleStatus, u64>) {
        for state in ScheduleStatus::ALL {
            let count = counts.get(state).copied().unwrap_or(0);
            self.schedules.get(state.as_str()).set(count as f64);
        }
    }

    /// The owner's clock is so many seconds ahead of the sink's.
    pub fn clock_is_ahead(&self, seconds: f64) {
        self.clock_difference.set(seconds);
    }

    /// A panic ended the owner.
    pub fn panicked(&self) {
        self.panics.increment(1);
    }

    /// The partition stays stopped here, or does no more.
    pub fn quarantined(&self, is_quarantined: bool) {
        self.quarantined.set(if is_quarantined { 1.0 } else { 0.0 });
    }

    /// The partition stands here.
    pub fn stands(&self, standing: &PartitionStanding) {
        self.standing.set(standing);
    }

    /// The partition entered a phase.
    pub fn entered(&self, phase: Phase) {
        for (word, gauge) in self.phase.iter() {
            gauge.set(if word == phase.as_str() { 1.0 } else { 0.0 });
        }
    }

    /// This node does not own the partition any more: its gauges fall to zero, so that sums over
    /// nodes are right.
    pub fn given_up(&self) {
        self.stands(&PartitionStanding::default());
        self.clock_is_ahead(0.0);
        self.schedules(&BTreeMap::new());
        self.entered(Phase::Stopped);
    }
}
