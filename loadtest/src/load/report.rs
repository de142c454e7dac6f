//! What a run has shown, in numbers.

use minutehand_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::sample::{Folder, Process, Sampled};
use super::timeline::{RowReport, Spread};
use super::verifier::{Counts, Verdict};

/// The form of a report; it grows with every change that a reader would stumble over.
const FORMAT: u32 = 1;

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The form of this report.
    pub format: u32,
    /// What was asked for.
    #[serde(flatten)]
    pub asked_for: AskedFor,
    /// Which way tasks went in and executions came out.
    pub via: String,
    /// Whether executions were compared with what was asked for.
    pub is_verified: bool,
    /// Whether every promise was kept, as far as it was looked at.
    pub is_kept: bool,
    /// Tasks that were handed over.
    pub asked: u64,
    /// What became of them.
    pub counts: Counts,
    /// Executions a second, over the time from the first to the last row with some.
    pub started_per_s: f64,
    /// How far the generator was behind its plan at most, in milliseconds.
    pub behind_ms_max: u64,
    /// From due to published, in milliseconds; all nought where nothing tells it (over HTTP).
    pub publish_ms: Spread,
    /// From due to started, in milliseconds.
    pub start_ms: Spread,
    /// From when tasks were to be asked for to the answer, in milliseconds; of batches, over HTTP.
    pub answer_ms: Spread,
    /// Shares of all starts, and the lateness that they do not exceed, in milliseconds.
    pub curve: Vec<(f64, f64)>,
    /// Each stream; schedules are the last, where there are some.
    pub streams: Vec<StreamReport>,
    /// Rates and lateness over time.
    pub rows: Vec<RowReport>,
    /// Processes that were watched.
    pub processes: Vec<Process>,
    /// Folders that were watched.
    pub folders: Vec<Folder>,
    /// What was found wrong, in words; the first of it.
    pub violations: Vec<String>,
}

/// What a run was to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedFor {
    /// The scenario's name.
    pub scenario: String,
    /// What it is for.
    pub about: String,
    /// What every id began with.
    pub run: String,
    /// The scenario's seed.
    pub seed: u64,
    /// The highest rate that was asked for, in tasks a second.
    pub rate: f64,
    /// How long tasks were asked for, in seconds.
    pub for_s: f64,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Which part of the tasks was asked for here: `1/1` is all of them.
    pub share: String,
    /// When it began, in RFC 3339.
    pub began_at: String,
}

/// One stream of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// From due to started, in milliseconds.
    pub start_ms: Spread,
}

/// How a run was carried out.
pub(super) struct Course {
    pub(super) via: &'static str,
    pub(super) share: (u64, u64),
    pub(super) is_verified: bool,
    pub(super) asked: u64,
    pub(super) behind_ms_max: u64,
    pub(super) sampled: Sampled,
}

impl AskedFor {
    fn of(plan: &Plan, (part, of): (u64, u64)) -> AskedFor {
        let scenario = plan.scenario();
        AskedFor {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            run: plan.run().to_owned(),
            seed: scenario.seed,
            rate: scenario.rate(),
            for_s: scenario.lasts() as f64 / 1_000.0,
            payload_bytes: scenario.payload_bytes,
            share: format!("{part}/{of}"),
            began_at: time(plan.begin()),
        }
    }
}

impl LoadReport {
    pub(super) fn new(plan: &Plan, verdict: Verdict, course: Course) -> LoadReport {
        let scenario = plan.scenario();
        let timeline = &verdict.timeline;
        let schedules = scenario.schedules.iter().map(|_| "schedules".to_owned());
        let names = scenario.streams.iter().map(|stream| stream.name.clone());
        let spreads = timeline.streams().into_iter();
        let streams = names.chain(schedules).zip(spreads);
        let streams = streams.map(|(name, start_ms)| StreamReport { name, start_ms });
        let rows = timeline.rows();
        LoadReport {
            format: FORMAT,
            asked_for: AskedFor::of(plan, course.share),
            via: course.via.to_owned(),
            is_verified: course.is_verified,
            is_kept: verdict.counts.is_kept() && verdict.counts.refused == 0,
            asked: course.asked,
            counts: verdict.counts,
            started_per_s: started_per_s(&rows),
            behind_ms_max: course.behind_ms_max,
            publish_ms: timeline.publish(),
            start_ms: timeline.start(),
            answer_ms: timeline.answer(),
            curve: timeline.curve(),
            streams: streams.collect(),
            rows,
            processes: course.sampled.0,
            folders: course.sampled.1,
            violations: verdict.violations,
        }
    }

    /// The figures that two runs are compared by: name, unit and value.
    pub fn figures(&self) -> Vec<(String, &'static str, f64)> {
        let mut figures = vec![
            ("asked".to_owned(), "tasks", self.asked as f64),
            (
                "acknowledged".to_owned(),
                "tasks",
                self.counts.acknowledged as f64,
            ),
            ("unknown".to_owned(), "tasks", self.counts.unknown as f64),
            ("refused".to_owned(), "tasks", self.counts.refused as f64),
            ("started".to_owned(), "tasks/s", self.started_per_s),
            ("lost".to_owned(), "tasks", self.counts.lost as f64),
            ("twice".to_owned(), "executions", self.counts.twice as f64),
            ("early".to_owned(), "executions", self.counts.early as f64),
            (
                "generator behind".to_owned(),
                "ms",
                self.behind_ms_max as f64,
            ),
        ];
        let spreads = [
            ("publish lateness", self.publish_ms),
            ("start lateness", self.start_ms),
            ("answer", self.answer_ms),
        ];
        for (name, spread) in spreads.iter().filter(|(_, spread)| spread.count > 0) {
            for (share, value) in [
                ("p50", spread.p50),
                ("p99", spread.p99),
                ("p99.9", spread.p999),
                ("max", spread.max),
            ] {
                figures.push((format!("{name} {share}"), "ms", value));
            }
        }
        for process in &self.processes {
            figures.push((
                format!("{}: processors", process.name),
                "",
                process.processors(),
            ));
            let mib = process.bytes_max() as f64 / f64::from(1 << 20);
            figures.push((format!("{}: memory", process.name), "MiB", mib));
        }
        for folder in &self.folders {
            let first = folder.samples.first().map_or(0, |(_, bytes)| *bytes);
            let last = folder.samples.last().map_or(0, |(_, bytes)| *bytes);
            let mib = last.saturating_sub(first) as f64 / f64::from(1 << 20);
            figures.push((format!("{}: grew by", folder.name), "MiB", mib));
        }
        figures
    }
}

/// A time in RFC 3339.
pub(super) fn time(at: Timestamp) -> String {
    minutehand_api::time_text(at)
}

/// Executions a second, over the time in which some came.
fn started_per_s(rows: &[RowReport]) -> f64 {
    let with_some = |row: &RowReport| row.started_per_s > 0.0;
    let first = rows.iter().position(with_some);
    let last = rows.iter().rposition(with_some);
    let Some((first, last)) = first.zip(last) else {
        return 0.0;
    };
    let within = &rows[first..=last];
    within.iter().map(|row| row.started_per_s).sum::<f64>() / within.len() as f64
}
