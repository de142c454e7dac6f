//! The figures of `minutehand-lab bench cluster` that need schedulers to come and go.

use std::path::Path;

use super::measure::{self, LEASE_TTL_MS, Measured};
use super::rig::{Failure, SchedulerProgram};
use super::run::{Options, Outcome, run};
use super::session::Ending;
use crate::Figure;

/// Every measurement by name, in the order in which they run.
pub const ALL: &[&str] = &["take-over", "hand-over", "placement", "faults"];

/// How often take-over and hand-over are measured.
const ROUNDS: usize = 4;

/// Takes a measurement; rigs keep their logs below `folder`. `faults` lasts `minutes`.
///
/// # Errors
/// When a rig fails, or there is no such measurement.
pub fn figures(
    name: &str,
    folder: &Path,
    scheduler: &SchedulerProgram,
    minutes: f64,
    seed: u64,
) -> Result<Vec<Figure>, Failure> {
    let (folder, scheduler) = (folder.join(name), scheduler.clone());
    match name {
        "take-over" => measure::take_over(folder, scheduler, ROUNDS).map(|measured| take_over(&measured)),
        "hand-over" => measure::hand_over(folder, scheduler, ROUNDS).map(|measured| hand_over(&measured)),
        "placement" => measure::placement(folder, scheduler).map(|measured| placement(&measured)),
        "faults" => {
            let options = Options::new(seed, (minutes * 60_000.0) as i64, folder, scheduler);
            run(options).map(|outcome| faults(&outcome))
        }
        _ => Err(format!("there is no measurement {name:?}; there are {}", ALL.join(", ")).into()),
    }
}

/// What was promised about every run, whatever was measured in it.
fn promises(bench: &'static str, ending: &Ending) -> Vec<Figure> {
    let audit = &ending.audit;
    let counts = [("lost", audit.lost), ("twice", audit.twice), ("early", audit.early)];
    let violations = Figure::new(bench, "promises not kept", audit.violations.len() as f64, "promises");
    let violations = match audit.violations.first() {
        Some(first) => violations.with("first", first),
        None => violations,
    };
    let of_executions = audit.executions;
    let counts = counts
        .into_iter()
        .map(|(what, count)| Figure::new(bench, what, count as f64, "executions").with("of", of_executions));
    counts.chain([violations]).collect()
}

fn take_over(measured: &Measured<i64>) -> Vec<Figure> {
    let worst_ms = measured.rounds.iter().copied().max().unwrap_or(0);
    let figure = Figure::new("take-over", "last partition firing again after kill -9", worst_ms as f64, "ms");
    let figure = figure.with("lease_ttl_ms", LEASE_TTL_MS).with("kills", measured.rounds.len());
    [figure].into_iter().chain(promises("take-over", &measured.ending)).collect()
}

fn hand_over(measured: &Measured<measure::HandOver>) -> Vec<Figure> {
    let worst = measured.rounds.iter().max_by_key(|one| one.added_ms());
    let figure = worst.map(|worst| {
        Figure::new("hand-over", "lateness added by a planned hand-over", worst.added_ms() as f64, "ms")
            .with("latest_before_ms", worst.before_ms)
            .with("latest_during_ms", worst.during_ms)
            .with("hand_overs", measured.rounds.len())
    });
    figure.into_iter().chain(promises("hand-over", &measured.ending)).collect()
}

fn placement(measured: &Measured<measure::Placement>) -> Vec<Figure> {
    let rounds = measured.rounds.iter().flat_map(|one| {
        let most =
            Figure::new("placement", "partitions of the fullest scheduler", one.most as f64, "partitions");
        let moved = Figure::new("placement", "partitions moved", one.moved as f64, "partitions");
        [most, moved].map(|figure| figure.with("schedulers", one.nodes).with("allowed_moves", one.allowed))
    });
    rounds.chain(promises("placement", &measured.ending)).collect()
}

fn faults(outcome: &Outcome) -> Vec<Figure> {
    let count: u64 = outcome.faults.values().sum();
    let minutes = outcome.options.length_ms as f64 / 60_000.0;
    let figure = Figure::new("faults", "random faults endured", count as f64, "faults");
    let figure = figure.with("minutes", minutes).with("seed", outcome.options.seed);
    let backlog = Figure::new("faults", "backlog gone after healing", outcome.backlog_gone_ms as f64, "ms");
    let not_drained =
        Figure::new("faults", "not drained in time", f64::from(!outcome.ending.is_drained), "runs");
    [figure, backlog, not_drained].into_iter().chain(promises("faults", &outcome.ending)).collect()
}
