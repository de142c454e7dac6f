//! Paced: due times spread evenly, created ahead of time while others fire; start lateness of a
//! no-op handler.

use std::path::Path;
use std::time::Instant;

use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};

use crate::Figure;
use crate::end_to_end::{Failure, Rig, cpu_seconds};
use crate::pace::Pace;

/// How far ahead of its due time a task is created, in milliseconds.
const AHEAD_MS: i64 = 3_000;
/// The first seconds are not counted: caches and tables grow to their size.
const WARM_UP_MS: i64 = 2_000;
/// Creations go out in steps of this length.
const STEP_MS: i64 = 10;

/// What a paced run came to.
#[derive(Clone, Copy, Debug)]
pub struct Paced {
    /// Tasks a second that were asked for.
    pub rate: u64,
    /// Start lateness in milliseconds: median, 99 %, 99.9 %.
    pub late_ms: [f64; 3],
    /// Starts before the due time.
    pub early: u64,
    /// CPU seconds for 100,000 tasks, creation included.
    pub cpu: f64,
    /// How long the last creation came after its planned time, in milliseconds: the generator's own
    /// lag.
    pub generator_lag_ms: f64,
}

/// Fires `rate` tasks a second for `seconds` seconds.
pub async fn run(
    folder: &Path,
    rate: u64,
    seconds: u64,
    payload_bytes: usize,
) -> Result<Paced, Failure> {
    let rig = Rig::start(folder).await?;
    let start = SystemClock.now().plus_millis(200);
    let total_ms = WARM_UP_MS + seconds as i64 * 1_000;
    let due =
        |number: u64| start.plus_millis(AHEAD_MS + (number as f64 * 1_000.0 / rate as f64) as i64);
    let pace = Pace {
        start,
        rate,
        lasts_ms: total_ms,
        step_ms: STEP_MS,
    };
    let (mut number, mut created, mut lag_ms) = (0, 0, 0);
    let (began, mut cpu, mut cleared) = (Instant::now(), cpu_seconds(), false);
    while let Some(step) = pace.step(number).await {
        (number, created, lag_ms) = (number + 1, step.tasks.end, step.lag_ms);
        rig.create(step.tasks, payload_bytes, due).await?;
        if !cleared && is_past(start.plus_millis(AHEAD_MS + WARM_UP_MS)) {
            cleared = true;
            rig.lateness.clear();
            cpu = cpu_seconds();
        }
    }
    rig.until_settled(created).await?;
    let measured = (created as f64 - rate as f64 * began.elapsed().as_secs_f64().min(5.0)).max(1.0);
    let paced = Paced {
        rate,
        late_ms: [0.5, 0.99, 0.999].map(|share| rig.lateness.quantile_ms(share)),
        early: rig.lateness.early(),
        cpu: (cpu_seconds() - cpu) / measured * 100_000.0,
        generator_lag_ms: lag_ms as f64,
    };
    rig.stop().await?;
    Ok(paced)
}

fn is_past(time: Timestamp) -> bool {
    SystemClock.now() >= time
}

/// The figures of a run.
pub fn figures(paced: Paced) -> Vec<Figure> {
    let of = |figure: &str, value, unit| {
        Figure::new("paced", figure, value, unit).with("rate", paced.rate)
    };
    vec![
        of("start lateness p50", paced.late_ms[0], "ms"),
        of("start lateness p99", paced.late_ms[1], "ms"),
        of("start lateness p99.9", paced.late_ms[2], "ms"),
        of("early starts", paced.early as f64, "tasks"),
        of(
            "generator's own lag at the end",
            paced.generator_lag_ms,
            "ms",
        ),
    ]
}
