//! A run with everything drawn: what a seed makes of the options.

use minutehand_engine::Config;
use minutehand_model::LogGeneration;

use crate::faults::FaultModel;
use crate::planted::{Breakable, Flaw};
use crate::store::Reception;
use crate::workload::RunMix;

/// The shape of the workload, as a seed draws it.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    /// Furthest due time of a task, from its creation.
    pub(crate) horizon_ms: i64,
    /// How long before its creation a task may have been due.
    pub(crate) late_ms_max: i64,
    /// Probability that a due time is a whole second, so that many are equal.
    pub(crate) round_due: f64,
    /// Probability that a command comes as one of a burst with one due time.
    pub(crate) burst: f64,
    /// Of a hundred commands: cancels, moves, replaces, repeated creates, creates of cancelled
    /// tasks.
    pub(crate) cancels: u64,
    pub(crate) moves: u64,
    pub(crate) replaces: u64,
    pub(crate) repeats: u64,
    pub(crate) schedules: usize,
    /// Changes to schedules a minute.
    pub(crate) schedule_changes_per_minute: i64,
    /// Of a hundred schedules: those whose revisions each have an overlap policy of their own.
    pub(crate) restless: u64,
    /// Per cent of the changes that make a schedule forget its runs; then an equal backfill follows.
    pub(crate) forgetful: u64,
    /// How runs of schedules go.
    pub(crate) runs: RunMix,
}

/// A run with everything drawn.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) begin_ms: i64,
    pub(crate) faults_end_ms: i64,
    /// How long after the end of the faults the run goes on, at least.
    pub(crate) drain_ms: i64,
    pub(crate) nodes: usize,
    pub(crate) partitions: usize,
    pub(crate) tasks_per_second: u64,
    pub(crate) model: FaultModel,
    pub(crate) engine: Config,
    /// The rules that partitions obey.
    pub(crate) rules: Breakable,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) trace: bool,
    /// Sinks have a clock of their own, which shows true time.
    pub(crate) sinks_tell_the_time: bool,
    /// Every tick takes an offset of the log, as transaction markers do.
    pub(crate) log_has_markers: bool,
    /// Probability that partitions have more logs than their first one.
    pub(crate) several_logs: f64,
    /// Which of a partition's logs the first one of the run is.
    pub(crate) log_generation: LogGeneration,
    /// When the next log of a partition begins.
    pub(crate) logs_begin: Vec<(i64, usize)>,
    /// The log forgets nothing while the run goes on, as one does that is cut by time.
    pub(crate) log_keeps_all: bool,
    /// How the sinks receive executions.
    pub(crate) reception: Reception,
    pub(crate) mix: Mix,
}
