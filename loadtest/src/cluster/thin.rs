//! Due times spread thin over a day: how many rows Cassandra takes for each task.

use std::time::Duration;

use super::Failure;
use super::generator::{Due, Load};
use super::rig::{Endpoints, Ground};
use super::steady::Steady;
use super::terms::{PAYLOAD_BYTES, queue, send};
use crate::Figure;

/// Sends tasks that are due over the next day at the steady rate, and counts rows.
///
/// # Errors
/// When a server or the scheduler fails.
pub async fn run(
    endpoints: &Endpoints,
    steady: &Steady,
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let rig = Ground::prepare(endpoints, steady.partitions)
        .await?
        .start(steady.engine.clone())
        .await?;
    let load = Load {
        rate: steady.rate,
        due: Due::Ahead(steady.ahead_ms.0, steady.ahead_ms.1),
        payload_bytes: PAYLOAD_BYTES,
        queue: queue(),
        lasts: steady.window,
        waiting_max: None,
    };
    let sent = send(&rig.client, load).await?;
    // What is pending is flushed within the interval.
    let flushed = Duration::from_millis(steady.engine.flush_interval_ms as u64 + 3_000);
    let deadline = tokio::time::Instant::now() + flushed;
    while rig.timetable.written().1 < sent && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rows = rig.timetable.rows_written();
    let (blocks, entries) = rig.timetable.written();
    let with = |figure: Figure| {
        figure
            .with("rate", steady.rate)
            .with("flush_interval_ms", steady.engine.flush_interval_ms)
    };
    show(with(Figure::new(
        "thin",
        "rows written for each task",
        rows as f64 / entries.max(1) as f64,
        "rows",
    )));
    show(with(Figure::new(
        "thin",
        "tasks in each block",
        entries as f64 / blocks.max(1) as f64,
        "tasks",
    )));
    show(with(Figure::new(
        "thin",
        "tasks written",
        entries as f64 / sent.max(1) as f64,
        "share",
    )));
    rig.stop().await?.clear().await
}
