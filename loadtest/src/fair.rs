//! Fairness: many namespaces share a queue, and one of them has a hundred times the load of each of
//! the others, in bursts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::{Namespace, Task};
use minutehand_node::{Clock, SystemClock};
use minutehand_worker::{Handler, Run, Verdict};

use crate::Figure;
use crate::end_to_end::{Counts, Failure, Rig, Work};
use crate::engine::sample_task;
use crate::pace::Pace;

/// Namespaces with little.
const OTHERS: u64 = 999;
/// How many times the load of one of them the one with much has.
const TIMES: u64 = 100;
/// It comes in bursts of so many seconds' worth.
const BURST_SECONDS: u64 = 5;
/// Executions that run at once, and how long each takes: so many a second are possible.
const PLACES: usize = 16;
const RUN: Duration = Duration::from_millis(4);
/// Steps in which tasks are created, and how far ahead.
const STEP_MS: i64 = 20;
const AHEAD_MS: i64 = 2_000;
/// The namespace with much.
const MUCH: &str = "much";

/// A handler that takes a while, and counts the runs of the others.
struct Waits(Counts);

#[async_trait]
impl Handler for Waits {
    async fn run(&self, run: Run) -> Verdict {
        let task = run.task();
        if task.namespace.as_str() != MUCH {
            let late_ms = run.started_at().millis_since(task.due);
            self.0.lateness.record(late_ms);
        }
        self.0.ran.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RUN).await;
        Verdict::success()
    }
}

/// The others at a rate together, alone and beside the one with much.
pub async fn run(
    folder: &Path,
    rate: u64,
    seconds: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    let much = rate * TIMES / OTHERS;
    let mut figures = Vec::new();
    for (name, figure, of_much) in [
        ("alone", "p99 of 999 namespaces, alone", 0),
        (
            "beside",
            "p99 of 999 namespaces, beside one with 100 times the load of each",
            much,
        ),
    ] {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let (p50, p99) = lateness(&folder, (rate, of_much), seconds, payload_bytes).await?;
        let of = Figure::new("fair", figure, p99, "ms");
        let of = of.with("rate", rate).with("rate_of_much", of_much);
        figures.push(of.with("p50_ms", p50).with("seconds", seconds));
    }
    Ok(figures)
}

/// The median and the 99th percentile of the others' start lateness, in milliseconds.
async fn lateness(
    folder: &Path,
    (rate, of_much): (u64, u64),
    seconds: u64,
    payload_bytes: usize,
) -> Result<(f64, f64), Failure> {
    let counts = Counts::default();
    let work = Work {
        runs_max: PLACES,
        has_gates: true,
    };
    let handler = Arc::new(Waits(counts.clone()));
    let rig = Rig::working(folder, handler, counts, work).await?;
    let start = SystemClock.now().plus_millis(AHEAD_MS);
    let named = |name: &str| Namespace::parse(name).expect("a valid name");
    let others: Vec<Namespace> = (0..OTHERS).map(|n| named(&format!("n{n}"))).collect();
    let of_others = |number: u64| Task {
        namespace: others[(number % OTHERS) as usize].clone(),
        ..sample_task(
            number,
            start.plus_millis((number * 1_000 / rate) as i64),
            payload_bytes,
        )
    };
    let burst = of_much * BURST_SECONDS;
    let of_one = |number: u64| Task {
        namespace: named(MUCH),
        ..sample_task(
            number,
            start.plus_millis((number / burst.max(1) * BURST_SECONDS * 1_000) as i64),
            payload_bytes,
        )
    };
    let pace = Pace {
        start: start.plus_millis(-AHEAD_MS),
        rate,
        lasts_ms: seconds as i64 * 1_000,
        step_ms: STEP_MS,
    };
    let (mut number, mut created, mut bursts) = (0, 0, 0);
    while let Some(step) = pace.step(number).await {
        (number, created) = (number + 1, step.tasks.end);
        rig.create_tasks(step.tasks, &of_others).await?;
        if burst > 0 && step.at_ms as u64 >= bursts * BURST_SECONDS * 1_000 {
            rig.create_tasks(bursts * burst..(bursts + 1) * burst, &of_one)
                .await?;
            bursts += 1;
        }
    }
    rig.until_settled(created + bursts * burst).await?;
    let quantiles = (
        rig.lateness.quantile_ms(0.5),
        rig.lateness.quantile_ms(0.99),
    );
    rig.stop().await?;
    Ok(quantiles)
}
