//! Steady state: tasks come in at an even rate and go out when they are due, seen by a reader of
//! what is committed.

use std::sync::Arc;
use std::time::Duration;

use minutehand_engine::Config;
use minutehand_model::{Persist, Timestamp};
use minutehand_node::{Clock, SystemClock};

use super::generator::{self, Due, Load};
use super::reader::{self, Seen};
use super::rig::{Endpoints, Ground};
use super::terms::{CEILING_LASTS, PAYLOAD_BYTES, joined, on_a_thread, queue};
use super::{Failure, ceiling, persisted};
use crate::{Figure, Lateness};

/// What is run.
#[derive(Clone, Debug)]
pub struct Steady {
    /// The benchmark's name.
    pub name: &'static str,
    /// Tasks a second.
    pub rate: f64,
    /// From creation to due time, in milliseconds.
    pub ahead_ms: (i64, i64),
    /// How long the even rate is watched, after it has come up.
    pub window: Duration,
    /// Partitions.
    pub partitions: u32,
    /// How the engine is set up.
    pub engine: Config,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Executions a second that were read in the window.
    pub seen_per_s: f64,
    /// Start lateness at the reader's clock, of what was due in the window.
    pub lateness: Lateness,
    /// Executions that came before their time.
    pub early: u64,
    /// Tasks that never came.
    pub missing: i64,
    /// Executions of tasks that had come before.
    pub twice: u64,
    /// Tasks that were sent, over all.
    pub sent: u64,
    /// Rows written to Cassandra, those of indexes included.
    pub rows: u64,
    /// Entries written to Cassandra.
    pub entries: u64,
}

impl Outcome {
    /// Whether the scheduler kept up: what was due in the window came out in it, nearly on time.
    pub fn kept_up(&self, rate: f64) -> bool {
        self.seen_per_s > 0.97 * rate && self.lateness.quantile_ms(0.99) < 1_000.0
    }
}

/// How long the reader goes on after the last task was due.
const GRACE: Duration = Duration::from_secs(3);

/// Runs it on topics and tables of its own.
///
/// # Errors
/// When a server or the scheduler fails.
pub async fn run(endpoints: &Endpoints, steady: &Steady) -> Result<Outcome, Failure> {
    let ground = Ground::prepare(endpoints, steady.partitions).await?;
    ground.client.ensure_queue(&queue()).await?;
    let rig = ground.start(steady.engine.clone()).await?;
    let topic = rig.client.names().executions(&queue());
    // The rate has come up when the first task that was due as late as can be has come out.
    let ramp = Duration::from_millis(steady.ahead_ms.1 as u64) + Duration::from_secs(5);
    let start = SystemClock.now();
    let window = (
        start.plus_millis(ramp.as_millis() as i64),
        start.plus_millis((ramp + steady.window).as_millis() as i64),
    );
    let load = Load {
        rate: steady.rate,
        due: Due::Ahead(steady.ahead_ms.0, steady.ahead_ms.1),
        payload_bytes: PAYLOAD_BYTES,
        queue: queue(),
        lasts: ramp + steady.window,
        waiting_max: None,
    };
    let seen = Seen::default();
    let sending = on_a_thread(&rig.client, move |client| generator::run(client, &load));
    let reading = on_a_thread(&rig.client, {
        let seen = seen.clone();
        move |client| reader::run(client, &topic, window, &seen)
    });
    let count_at = async |at: Timestamp| {
        let wait = at.millis_since(SystemClock.now()).max(0) as u64;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        seen.count()
    };
    let before = count_at(window.0).await;
    let after = count_at(window.1).await;
    let sent = joined(sending).await?;
    // Everything comes out in the end.
    let rest = Duration::from_millis(steady.ahead_ms.1 as u64) + GRACE;
    let deadline = tokio::time::Instant::now() + rest;
    while seen.count() < sent && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    seen.stop();
    let lateness = joined(reading).await?;
    let (_, entries) = rig.timetable.written();
    let seconds = steady.window.as_secs_f64();
    let outcome = Outcome {
        seen_per_s: (after - before) as f64 / seconds,
        lateness,
        early: seen.early(),
        missing: (sent + seen.twice()) as i64 - seen.count() as i64,
        twice: seen.twice(),
        sent,
        rows: rig.timetable.rows_written(),
        entries,
    };
    rig.stop().await?.clear().await?;
    Ok(outcome)
}

/// The figures of a run.
pub fn figures(steady: &Steady, outcome: &Outcome) -> Vec<Figure> {
    let of = |figure: &str, value: f64, unit: &'static str| {
        Figure::new(steady.name, figure, value, unit)
            .with("rate", steady.rate)
            .with("partitions", steady.partitions)
            .with("kept up", outcome.kept_up(steady.rate))
    };
    let late = |share| outcome.lateness.quantile_ms(share);
    let sent = outcome.sent.max(1) as f64;
    let (rows, entries) = (outcome.rows as f64 / sent, outcome.entries as f64 / sent);
    vec![
        of("executions read", outcome.seen_per_s, "tasks/s"),
        of("start lateness p50", late(0.5), "ms"),
        of("start lateness p99", late(0.99), "ms"),
        of("start lateness p99.9", late(0.999), "ms"),
        of("early", outcome.early as f64, "tasks"),
        of("missing", outcome.missing as f64, "tasks"),
        of("twice", outcome.twice as f64, "tasks"),
        of("rows written to Cassandra for each task", rows, "rows"),
        of("written to Cassandra", entries, "share"),
    ]
}

/// Shares of the ceiling that are tried, the highest first.
const SHARES: [f64; 3] = [0.62, 0.45, 0.3];

/// The rate asked for, and the highest of some shares of the ceiling of a raw pipeline that is kept
/// up with.
///
/// # Errors
/// When a server or the scheduler fails.
pub async fn highest(
    endpoints: &Endpoints,
    steady: &Steady,
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let (figure, ceiling) = matching_ceiling(endpoints, steady).await?;
    show(Figure::new(steady.name, figure, ceiling, "tasks/s"));
    let mut try_rate = async |rate: f64| -> Result<Option<f64>, Failure> {
        let steady = Steady {
            rate,
            ..steady.clone()
        };
        let outcome = run(endpoints, &steady).await?;
        figures(&steady, &outcome).into_iter().for_each(&mut show);
        Ok(outcome.kept_up(rate).then_some(outcome.seen_per_s))
    };
    let mut best = try_rate(steady.rate).await?.unwrap_or(0.0);
    for rate in SHARES
        .map(|share| (share * ceiling).round())
        .into_iter()
        .filter(|rate| *rate > steady.rate)
    {
        if let Some(kept_up) = try_rate(rate).await? {
            best = kept_up;
            break;
        }
    }
    show(Figure::new(steady.name, "sustained", best, "tasks/s"));
    show(Figure::new(
        steady.name,
        "sustained, of the ceiling",
        best / ceiling,
        "share",
    ));
    Ok(())
}

/// What raw clients do with the same bytes, in words and as tasks a second.
async fn matching_ceiling(
    endpoints: &Endpoints,
    steady: &Steady,
) -> Result<(&'static str, f64), Failure> {
    Ok(match steady.engine.persist {
        Persist::BeyondLookAhead => (
            "ceiling: a raw pipeline of the same bytes",
            pipeline_ceiling(endpoints, steady.partitions).await?,
        ),
        Persist::All => (
            "ceiling: a raw pipeline of the same bytes, blocks to Cassandra included",
            persisted::ceiling(endpoints, steady.partitions).await?,
        ),
    })
}

/// What raw clients do on the same topics.
///
/// # Errors
/// When a server fails.
pub async fn pipeline_ceiling(endpoints: &Endpoints, partitions: u32) -> Result<f64, Failure> {
    let ground = Ground::prepare(endpoints, partitions).await?;
    ground.client.ensure_queue(&queue()).await?;
    let client = Arc::clone(&ground.client);
    let run = move || {
        ceiling::pipeline(
            &client,
            &queue(),
            PAYLOAD_BYTES,
            CEILING_LASTS,
            &ceiling::nothing(),
        )
    };
    let ceiling = tokio::task::spawn_blocking(run)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    ground.clear().await?;
    Ok(ceiling?)
}
