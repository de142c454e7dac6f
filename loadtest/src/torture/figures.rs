//! The figures of `minutehand-lab bench cluster` that need schedulers to come and go.

use std::path::Path;

use super::loaded;
use super::measure::{self, LEASE_TTL_MS, Measured};
use super::rig::{Failure, SchedulerProgram};
use super::run::{Options, Outcome, run};
use super::session::Ending;
use crate::Figure;

/// Every measurement by name, in the order in which they run.
pub const ALL: &[&str] = &[
    "take-over",
    "hand-over",
    "hand-over-loaded",
    "placement",
    "faults",
];

/// Tasks a second of the hand-overs under load.
const LOADED_RATE: f64 = 40_000.0;
/// How often take-over and hand-over are measured.
const ROUNDS: usize = 4;

/// Takes a measurement; rigs keep their logs below `folder`. `faults` lasts `minutes`;
/// `rate` is that of `hand-over-loaded`.
///
/// # Errors
/// When a rig fails, or there is no such measurement.
pub fn figures(
    name: &str,
    folder: &Path,
    scheduler: &SchedulerProgram,
    minutes: f64,
    rate: Option<u64>,
    seed: u64,
) -> Result<Vec<Figure>, Failure> {
    let (folder, scheduler) = (folder.join(name), scheduler.clone());
    match name {
        "take-over" => {
            measure::take_over(folder, scheduler, ROUNDS).map(|measured| take_over(&measured))
        }
        "hand-over" => {
            measure::hand_over(folder, scheduler, ROUNDS).map(|measured| hand_over(&measured))
        }
        "hand-over-loaded" => {
            let rate = rate.map_or(LOADED_RATE, |rate| rate as f64);
            loaded::hand_overs(folder, scheduler, rate).map(|measured| hand_over_loaded(&measured))
        }
        "placement" => measure::placement(folder, scheduler).map(|measured| placement(&measured)),
        "faults" => {
            let options = Options::new(seed, (minutes * 60_000.0) as i64, folder, scheduler);
            run(options).map(|outcome| faults(&outcome))
        }
        _ => Err(format!(
            "there is no measurement {name:?}; there are {}",
            ALL.join(", ")
        )
        .into()),
    }
}

/// What was promised about every run, whatever was measured in it.
fn promises(bench: &'static str, ending: &Ending) -> Vec<Figure> {
    let audit = &ending.audit;
    let counts = [
        ("lost", audit.lost),
        ("twice", audit.twice),
        ("early", audit.early),
    ];
    let violations = Figure::new(
        bench,
        "promises not kept",
        audit.violations.len() as f64,
        "promises",
    );
    let violations = match audit.violations.first() {
        Some(first) => violations.with("first", first),
        None => violations,
    };
    let of_executions = audit.executions;
    let counts = counts.into_iter().map(|(what, count)| {
        Figure::new(bench, what, count as f64, "executions").with("of", of_executions)
    });
    counts.chain([violations]).collect()
}

fn take_over(measured: &Measured<i64>) -> Vec<Figure> {
    let worst_ms = measured.rounds.iter().copied().max().unwrap_or(0);
    let figure = Figure::new(
        "take-over",
        "last partition firing again after kill -9",
        worst_ms as f64,
        "ms",
    );
    let figure = figure
        .with("lease_ttl_ms", LEASE_TTL_MS)
        .with("kills", measured.rounds.len());
    [figure]
        .into_iter()
        .chain(promises("take-over", &measured.ending))
        .collect()
}

fn hand_over(measured: &Measured<measure::HandOver>) -> Vec<Figure> {
    let worst = measured.rounds.iter().max_by_key(|one| one.added_ms());
    let figure = worst.map(|worst| {
        Figure::new(
            "hand-over",
            "lateness added by a planned hand-over",
            worst.added_ms() as f64,
            "ms",
        )
        .with("latest_before_ms", worst.before_ms)
        .with("latest_during_ms", worst.during_ms)
        .with("hand_overs", measured.rounds.len())
    });
    figure
        .into_iter()
        .chain(promises("hand-over", &measured.ending))
        .collect()
}

fn hand_over_loaded(measured: &loaded::Measured) -> Vec<Figure> {
    const NAME: &str = "hand-over-loaded";
    let of = |figure: String, value: i64, one: &loaded::HandOver| {
        Figure::new(NAME, figure, value as f64, "ms").with("partitions", one.partitions)
    };
    let mut figures = vec![
        Figure::new(
            NAME,
            "executions read before",
            measured.read_per_s,
            "tasks/s",
        )
        .with("rate", measured.rate)
        .with("partitions", loaded::PARTITIONS),
    ];
    for (kind, one) in loaded::worst_by_kind(&measured.hand_overs) {
        let middle = |sorted: &[i64]| sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        figures.push(
            of(format!("lateness added, {kind}"), one.added_ms(), one)
                .with("latest_before_ms", one.before_ms)
                .with("median_during_ms", middle(&one.during_ms))
                .with("caught_up_per_s", one.catching_up_per_s.round()),
        );
        figures.push(
            of(
                format!("longest between two owners, {kind}"),
                one.idle_ms_max(),
                one,
            )
            .with("median_ms", middle(&one.idle_ms)),
        );
        let times = [
            ("fired on after the signal", one.fired_on_ms),
            ("ended after the signal", one.left_ms),
            ("last firing after Cassandra's return", one.after_return_ms),
        ];
        let told = times
            .into_iter()
            .filter_map(|(what, ms)| Some(of(format!("{what}, {kind}"), ms?, one)));
        figures.extend(told);
    }
    let left = Figure::new(
        NAME,
        "left to the backlog at the end",
        measured.left_behind as f64,
        "tasks",
    );
    let counts = [
        ("twice", measured.twice as f64),
        ("early", measured.early as f64),
    ];
    let counts = counts.map(|(what, count)| Figure::new(NAME, what, count, "executions"));
    figures.extend([left].into_iter().chain(counts));
    figures
}

fn placement(measured: &Measured<measure::Placement>) -> Vec<Figure> {
    let rounds = measured.rounds.iter().flat_map(|one| {
        let most = Figure::new(
            "placement",
            "partitions of the fullest scheduler",
            one.most as f64,
            "partitions",
        );
        let moved = Figure::new(
            "placement",
            "partitions moved",
            one.moved as f64,
            "partitions",
        );
        [most, moved].map(|figure| {
            figure
                .with("schedulers", one.nodes)
                .with("allowed_moves", one.allowed)
        })
    });
    rounds
        .chain(promises("placement", &measured.ending))
        .collect()
}

fn faults(outcome: &Outcome) -> Vec<Figure> {
    let count: u64 = outcome.faults.values().sum();
    let minutes = outcome.options.length_ms as f64 / 60_000.0;
    let figure = Figure::new("faults", "random faults endured", count as f64, "faults");
    let figure = figure
        .with("minutes", minutes)
        .with("seed", outcome.options.seed);
    let backlog = Figure::new(
        "faults",
        "backlog gone after healing",
        outcome.backlog_gone_ms as f64,
        "ms",
    );
    let not_drained = Figure::new(
        "faults",
        "not drained in time",
        f64::from(!outcome.ending.is_drained),
        "runs",
    );
    [figure, backlog, not_drained]
        .into_iter()
        .chain(promises("faults", &outcome.ending))
        .collect()
}
