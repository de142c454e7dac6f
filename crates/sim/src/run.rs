//! A run from its seed to its verdict, hunts for planted bugs, and the measurement of speed.

use std::ops::Range;
use std::time::Instant;

use minutehand_model::Timestamp;
use minutehand_model::time::SECOND_MS;

use crate::check::{self, Violation};
use crate::cluster::World;
use crate::faults::{FaultCounts, FaultModel};
use crate::journal::{Books, Journal};
use crate::options::Options;
use crate::parallel;
use crate::planted::Planted;
use crate::setup::Setup;

/// After healing: a lease that has to run out, restarts and retries, a backlog to drain.
const RECOVERY_BOUND_MS: i64 = 40 * SECOND_MS;
/// Without faults an execution is out this soon after it was due and asked for: class `low` waits
/// half a second, a tick that is full takes another round.
const HEALTHY_LATENESS_MS: i64 = 3 * SECOND_MS;
/// Once owners have settled after the faults, an execution that is on time is out this soon,
/// whatever else is still owed: half of each tick is for it.
const ON_TIME_MS: i64 = 2 * HEALTHY_LATENESS_MS;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every promise was kept.
    Ok,
    /// One was not; the first that was noticed.
    Violation(Violation),
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Repeats the run.
    pub seed: u64,
    /// What it came to.
    pub verdict: Verdict,
    /// Every violation that was noticed, at most one of each checker and partition.
    pub violations: Vec<Violation>,
    /// Virtual time that passed, in milliseconds.
    pub virtual_ms: i64,
    /// Events that happened.
    pub events: u64,
    /// Records that the log took.
    pub commands: u64,
    /// Executions published.
    pub published: u64,
    /// Ticks committed.
    pub ticks: u64,
    /// Blocks written.
    pub blocks: u64,
    /// A fingerprint of the trace: equal for equal runs.
    pub trace_hash: u64,
    /// Lines of the trace.
    pub trace_lines: u64,
    /// The trace, when it was asked for: one aligned line per event.
    pub trace: Option<String>,
    /// The faults that could happen.
    pub fault_model: FaultModel,
    /// The faults that did.
    pub faults: FaultCounts,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }
}

/// Simulates a cluster from a seed.
pub fn run(seed: u64, options: &Options) -> Report {
    simulate(Setup::draw(seed, options))
}

/// Simulates a cluster from each seed, on all cores; the reports come in the order of the seeds.
pub fn run_each(seeds: Range<u64>, options: &Options) -> impl Iterator<Item = Report> {
    let batches = seeds.clone().step_by(parallel::batch());
    batches.flat_map(move |first| {
        let count = (seeds.end - first).min(parallel::batch() as u64) as usize;
        parallel::map(count, |number| run(first + number as u64, options))
    })
}

fn simulate(setup: Setup) -> Report {
    let begin_ms = setup.begin_ms;
    let end_ms = setup.faults_end_ms + setup.drain_ms;
    let drawn = setup.model.clone();
    let mut world = World::new(setup);
    world.run_until(end_ms);
    let mut violations = misconduct(&mut world);
    let journal = take_journal(&mut world, end_ms, &drawn);
    violations.extend(check::audit(&journal));
    let verdict = violations
        .first()
        .map_or(Verdict::Ok, |first| Verdict::Violation(first.clone()));
    let sum = |count: fn(&crate::journal::PartitionJournal) -> usize| {
        journal.partitions.iter().map(count).sum::<usize>() as u64
    };
    Report {
        seed: world.setup.seed,
        verdict,
        violations,
        virtual_ms: world.now_ms - begin_ms,
        events: world.events,
        commands: sum(|partition| partition.log.len()),
        published: sum(|partition| partition.publications.len()),
        ticks: sum(|partition| partition.ticks.len()),
        blocks: world
            .stores
            .timetables
            .iter()
            .map(|timetable| timetable.blocks_written)
            .sum(),
        trace_hash: world.trace.fingerprint(),
        trace_lines: world.trace.lines(),
        trace: world.trace.into_text(),
        fault_model: drawn,
        faults: world.counts,
    }
}

/// What the ledger says, where one is kept.
fn books(world: &World, partition: usize) -> Option<Books> {
    world.setup.engine.ledger.then(|| {
        let checkpoint = world.stores.sinks[partition].checkpoint();
        let counting = checkpoint.map_or_else(Vec::new, |last| {
            let (tallies, supplements) = (&last.minutes.tallies, &last.minutes.supplements);
            tallies.iter().chain(supplements).copied().collect()
        });
        Books {
            rows: world.stores.ledgers[partition].rows(Timestamp::MIN, Timestamp::MAX),
            counting,
        }
    })
}

/// What owners did that they may not do.
fn misconduct(world: &mut World) -> Vec<Violation> {
    for node in 0..world.setup.nodes {
        for partition in 0..world.setup.partitions {
            if let Some(id) = world.owner_id(node, partition) {
                world.note_slow_hand_over(id);
            }
        }
    }
    let misconduct = &world.misconduct;
    let found = [
        ("standstill", misconduct.standstill.as_ref()),
        ("fatal stop", misconduct.fatal_stops.first()),
        ("memory", misconduct.memory_overruns.first()),
        ("hand-over", misconduct.slow_hand_overs.first()),
    ];
    let violation = |(checker, message): (&'static str, Option<&String>)| {
        Some(Violation {
            checker,
            partition: None,
            message: message?.clone(),
        })
    };
    found.into_iter().filter_map(violation).collect()
}

fn take_journal(world: &mut World, ended_at_ms: i64, drawn: &FaultModel) -> Journal {
    let is_healthy = drawn.is_healthy();
    let partitions = (0..world.setup.partitions).map(|partition| {
        let ledger = books(world, partition);
        let sink = &mut world.stores.sinks[partition];
        crate::journal::PartitionJournal {
            log: std::mem::take(&mut world.stores.logs[partition].history),
            ledger,
            schedule_states: sink.states(),
            ticks: std::mem::take(&mut sink.ticks),
            publications: std::mem::take(&mut sink.publications),
            stops: Some(std::mem::take(&mut sink.stops)),
            set_aside: sink
                .set_aside
                .iter()
                .map(|set_aside| set_aside.position.clone())
                .collect(),
            unpublished: std::mem::take(&mut sink.unpublished),
            damaged_tasks: std::mem::take(&mut world.stores.timetables[partition].damaged_tasks),
        }
    });
    Journal {
        partitions: partitions.collect(),
        healed_at_ms: if is_healthy {
            world.setup.begin_ms
        } else {
            world.setup.faults_end_ms
        },
        ended_at_ms,
        recovery_bound_ms: RECOVERY_BOUND_MS,
        healthy_lateness_ms: is_healthy.then_some(HEALTHY_LATENESS_MS),
        on_time_ms: world.setup.leaves_behind().then_some(ON_TIME_MS),
        dedupe_window_ms: world.setup.engine.dedupe_window_ms,
        clock_skew_ms_max: world
            .setup
            .sinks_tell_the_time
            .then_some(world.setup.engine.clock_skew_ms_max),
        clock_error_ms: world.clock_error_ms,
        closings: world
            .speaker
            .as_ref()
            .map_or_else(Vec::new, |speaker| speaker.register.closings().to_vec()),
    }
}

/// A planted bug that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunted {
    /// The seed that found it.
    pub seed: u64,
    /// Seeds that were tried, this one included.
    pub tried: u64,
    /// What the checkers said.
    pub violation: Violation,
}

/// Plants a bug and tries seeds from 0 on until one finds it; `None` when none of them does.
///
/// A seed counts only if the same run without the bug keeps every promise.
pub fn hunt(planted: Planted, seeds: u64) -> Option<Hunted> {
    hunt_from(planted, 0, seeds, &Options::default())
}

/// The same from a seed on, with other options.
pub fn hunt_from(planted: Planted, from: u64, seeds: u64, options: &Options) -> Option<Hunted> {
    let options = Options {
        planted: Some(planted),
        ..options.clone()
    };
    (from..from.saturating_add(seeds))
        .zip(1..)
        .find_map(|(seed, tried)| match run(seed, &options).verdict {
            Verdict::Violation(violation)
                if simulate(Setup::draw_aimed(seed, &options)).is_ok() =>
            {
                Some(Hunted {
                    seed,
                    tried,
                    violation,
                })
            }
            _ => None,
        })
}

/// Hunts for planted bugs on all cores, as [`hunt`] does for one; the answers are in the order of
/// the bugs.
pub fn hunt_all(planted: &[Planted], seeds: u64) -> Vec<Option<Hunted>> {
    parallel::map(planted.len(), |number| hunt(planted[number], seeds))
}

/// How fast the simulator is on this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Virtual seconds simulated.
    pub virtual_seconds: f64,
    /// Seconds it took.
    pub real_seconds: f64,
    /// Virtual time to real time, on one core.
    pub ratio: f64,
    /// Events a second.
    pub events_per_second: f64,
    /// Executions published.
    pub published: u64,
}

/// Simulates that many virtual seconds of load on a healthy cluster of 3 nodes and 8 partitions at
/// 100 tasks a second, and takes the time; checking is part of it. Only the loaded time counts as
/// virtual time.
pub fn speed(virtual_seconds: u64) -> Speed {
    let options = Options {
        nodes: 3,
        partitions: 8,
        tasks_per_second: 100,
        virtual_seconds,
        fault_model: Some(FaultModel::healthy()),
        ..Options::default()
    };
    let begin = Instant::now();
    let report = simulate(Setup::for_speed(1, &options));
    let real_seconds = begin.elapsed().as_secs_f64();
    assert!(
        report.is_ok(),
        "the measured run must be a good one: {:?}",
        report.verdict
    );
    Speed {
        virtual_seconds: virtual_seconds as f64,
        real_seconds,
        ratio: virtual_seconds as f64 / real_seconds,
        events_per_second: report.events as f64 / real_seconds,
        published: report.published,
    }
}
