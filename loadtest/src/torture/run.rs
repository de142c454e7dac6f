//! A torture from its seed to its verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use minutehand_node::{Clock, SystemClock};
use minutehand_sim::journal::{Journal, Said};

use super::plan::{Kind, Planned, Target, plan};
use super::plant::Plant;
use super::rig::{Failure, RigOptions, SchedulerProgram};
use super::session::{Ending, Load, Session};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Repeats the faults and the load.
    pub seed: u64,
    /// How long faults go on, in milliseconds.
    pub length_ms: i64,
    /// The kinds of faults.
    pub kinds: Vec<Kind>,
    /// Schedulers, at least 1.
    pub nodes: usize,
    /// Partitions.
    pub partitions: u32,
    /// Records a second.
    pub rate: f64,
    /// The furthest due time, in milliseconds ahead.
    pub horizon_ms: i64,
    /// How far ahead schedulers keep tasks in memory, in milliseconds: less than the horizon, so
    /// that the timetable is used.
    pub look_ahead_ms: i64,
    /// Where logs and journals are kept.
    pub folder: PathBuf,
    /// What runs as a scheduler.
    pub scheduler: SchedulerProgram,
    /// A mistake put into what was read: the audit must fail.
    pub plant: Option<Plant>,
    /// Keep the journals of a good run too.
    pub keep: bool,
}

impl Options {
    /// A run of so many milliseconds with all kinds of faults, at 2,000 records a second due up to
    /// 90 s ahead.
    pub fn new(seed: u64, length_ms: i64, folder: PathBuf, scheduler: SchedulerProgram) -> Options {
        Options {
            seed,
            length_ms,
            kinds: Kind::ALL.to_vec(),
            nodes: 3,
            partitions: 4,
            rate: 2_000.0,
            horizon_ms: 90_000,
            look_ahead_ms: 20_000,
            folder,
            scheduler,
            plant: None,
            keep: false,
        }
    }

    /// A run of about a minute: less load, due times nearer.
    pub fn short(
        seed: u64,
        kinds: &[Kind],
        folder: PathBuf,
        scheduler: SchedulerProgram,
    ) -> Options {
        Options {
            kinds: kinds.to_vec(),
            nodes: 2,
            rate: 300.0,
            horizon_ms: 12_000,
            look_ahead_ms: 3_000,
            ..Options::new(seed, 35_000, folder, scheduler)
        }
    }
}

/// Each scheduler's lease, in milliseconds.
const LEASE_TTL_MS: i64 = 5_000;
/// How long schedulers remember what ran, in milliseconds.
const DEDUPE_WINDOW_MS: i64 = 20_000;
/// The load goes on after the faults for so long, to show that new work is taken.
const AFTER_HEALING: Duration = Duration::from_secs(4);
/// A line for people every so often.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// A take-over is looked for so long after a kill, in milliseconds.
const TAKE_OVER_MS_MAX: i64 = 30_000;

/// A take-over after a scheduler was killed.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    /// When it was killed, in milliseconds from the beginning of the load.
    pub at_ms: i64,
    /// How long until the last of its partitions fired again, in milliseconds; `None` when it had
    /// none.
    pub took_ms: Option<i64>,
    /// Nothing else was broken meanwhile.
    pub is_undisturbed: bool,
}

/// What a torture came to.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked for.
    pub options: Options,
    /// The faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How it ended.
    pub ending: Ending,
    /// Take-overs after kills.
    pub take_overs: Vec<TakeOver>,
    /// How long after healing the last execution came that had been due before, in milliseconds.
    pub backlog_gone_ms: i64,
    /// How late any execution of a task was, faults or not, in milliseconds from when it was due
    /// and asked for.
    pub lateness_ms_max: i64,
}

impl Outcome {
    /// Whether every promise was kept.
    pub fn is_ok(&self) -> bool {
        self.ending.audit.is_ok() && self.ending.is_drained
    }
}

/// Runs a torture; progress goes to the standard error.
///
/// # Errors
/// When the rig itself fails; what schedulers do wrong is in the outcome.
pub fn run(options: Options) -> Result<Outcome, Failure> {
    let planned = plan(
        options.seed,
        options.length_ms,
        options.nodes,
        LEASE_TTL_MS,
        &options.kinds,
    );
    eprintln!(
        "seed {}, {} faults; everything about it is kept in {}",
        options.seed,
        planned.len(),
        options.folder.display()
    );
    let rig = RigOptions {
        folder: options.folder.clone(),
        scheduler: options.scheduler.clone(),
        nodes: options.nodes,
        partitions: options.partitions,
        lease_ttl_ms: LEASE_TTL_MS,
        look_ahead_ms: options.look_ahead_ms,
        dedupe_window_ms: DEDUPE_WINDOW_MS,
        catch_up_rate_per_s: 0,
        is_direct: false,
    };
    let load = Load {
        seed: options.seed,
        rate: options.rate,
        horizon_ms: options.horizon_ms,
        schedules_end_ms: Some(options.length_ms),
    };
    let session = Session::start(rig, options.nodes, load)?;
    let begin_ms = SystemClock.now().as_millis() - session.elapsed_ms();
    for fault in &planned {
        session.note(&format!("planned: {fault}"));
    }
    let mut next_note = Instant::now() + NOTE_EVERY;
    session.suffer(&planned, |session| {
        if Instant::now() > next_note {
            next_note += NOTE_EVERY;
            session.note_progress();
        }
    })?;
    let healed_at_ms = SystemClock.now().as_millis();
    session.note("everything is healed");
    thread::sleep(AFTER_HEALING);
    let ending = session.finish(healed_at_ms, options.plant)?;
    if options.keep || !ending.audit.is_ok() {
        super::report::keep_evidence(&options.folder, &ending.audit)?;
    }
    let journal = &ending.audit.journal;
    let mut faults = BTreeMap::new();
    for fault in &planned {
        *faults.entry(fault.kind.as_str()).or_insert(0) += 1;
    }
    Ok(Outcome {
        faults,
        take_overs: take_overs(&planned, journal, begin_ms),
        backlog_gone_ms: backlog_gone_ms(journal),
        lateness_ms_max: lateness_ms_max(journal),
        ending,
        options,
    })
}

/// The take-overs that followed kills.
fn take_overs(planned: &[Planned], journal: &Journal, begin_ms: i64) -> Vec<TakeOver> {
    let kills = planned
        .iter()
        .filter(|fault| fault.kind == Kind::KillScheduler);
    let took = |kill: &Planned| TakeOver {
        at_ms: kill.at_ms,
        took_ms: took_ms(journal, begin_ms + kill.at_ms),
        is_undisturbed: !planned
            .iter()
            .any(|other| other != kill && overlaps(other, kill)),
    };
    kills.map(took).collect()
}

fn overlaps(other: &Planned, kill: &Planned) -> bool {
    let (from_ms, until_ms) = (kill.at_ms - 5_000, kill.at_ms + LEASE_TTL_MS + 5_000);
    let is_same_node = matches!((other.target, kill.target), (Target::Scheduler(a), Target::Scheduler(b)) if a == b);
    other.at_ms < until_ms && other.at_ms + other.lasts_ms > from_ms && !is_same_node
}

/// What a killed owner had sent may still become durable for so long.
const LAST_TICK_MS: i64 = 1_000;

/// How long after a kill the last of the partitions fired again that had lost their owner by it.
/// Those whose owner fired on meanwhile, and gave them away later, are none of them.
fn took_ms(journal: &Journal, killed_at_ms: i64) -> Option<i64> {
    let fired_again = |partition: &minutehand_sim::journal::PartitionJournal| {
        let before = partition
            .ticks
            .iter()
            .rev()
            .find(|tick| tick.committed_at_ms <= killed_at_ms)?;
        let mut after = partition
            .ticks
            .iter()
            .filter(|tick| tick.committed_at_ms > killed_at_ms);
        let fired_on = after.clone().any(|tick| {
            tick.epoch == before.epoch && tick.committed_at_ms > killed_at_ms + LAST_TICK_MS
        });
        if fired_on {
            return None;
        }
        let next = after.find(|tick| tick.epoch > before.epoch && tick.declared > 0)?;
        let took_ms = next.committed_at_ms - killed_at_ms;
        (took_ms <= TAKE_OVER_MS_MAX).then_some(took_ms)
    };
    journal.partitions.iter().filter_map(fired_again).max()
}

/// When an execution was received, and when it was due and asked for; for executions of tasks.
fn received_and_wanted_ms(journal: &Journal) -> impl Iterator<Item = (i64, i64)> + '_ {
    journal.partitions.iter().flat_map(|partition| {
        partition.publications.iter().filter_map(|one| {
            let found = partition
                .log
                .binary_search_by_key(&one.offset, |record| record.offset)
                .ok()?;
            let record = &partition.log[found];
            let is_task = !matches!(record.said, Said::Revise(_) | Said::Trigger { .. });
            let wanted_ms = one.due.as_millis().max(record.appended_at_ms);
            is_task.then_some((partition.ticks[one.tick].committed_at_ms, wanted_ms))
        })
    })
}

/// How long after healing the last execution came that had been wanted before.
fn backlog_gone_ms(journal: &Journal) -> i64 {
    let all =
        received_and_wanted_ms(journal).filter(|(_, wanted_ms)| *wanted_ms < journal.healed_at_ms);
    all.map(|(received_ms, _)| received_ms - journal.healed_at_ms)
        .max()
        .unwrap_or(0)
        .max(0)
}

fn lateness_ms_max(journal: &Journal) -> i64 {
    received_and_wanted_ms(journal)
        .map(|(received_ms, wanted_ms)| received_ms - wanted_ms)
        .max()
        .unwrap_or(0)
}
