//! The producers: an even rate, whatever becomes of what was sent before, and a journal of what was
//! meant and heard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use minutehand_model::{Command, OutcomeKind, PartitionId, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::CommandLog;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::reader::RunToComplete;
use super::recorded::{Heard, Intent, digest};
use super::workload::{Draw, Workload, encoded};

/// The load is handed over in steps of this length.
const STEP: Duration = Duration::from_millis(20);
/// How often a schedule is changed or triggered.
const SCHEDULE_CHANGE: Duration = Duration::from_millis(1_700);
/// A run of a schedule takes so long, at most, in milliseconds.
const RUN_MS_MAX: u64 = 3_000;

/// What producers meant and heard.
#[derive(Default)]
pub(crate) struct Intents {
    all: Mutex<Vec<Intent>>,
    sent: AtomicU64,
}

impl Intents {
    fn add(&self, partition: u32, digests: Vec<u64>, heard: impl Fn(usize) -> Heard) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let intents = digests.into_iter().enumerate();
        all.extend(intents.map(|(index, digest)| Intent {
            partition,
            digest,
            heard: heard(index),
        }));
    }

    pub(crate) fn take(&self) -> Vec<Intent> {
        std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records handed over so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Appends records and writes down what was heard of them; answers whether they are durable.
async fn append(
    log: Arc<dyn CommandLog>,
    intents: Arc<Intents>,
    partition: u32,
    records: Vec<Bytes>,
) -> bool {
    let digests: Vec<u64> = records.iter().map(|record| digest(record)).collect();
    intents
        .sent
        .fetch_add(digests.len() as u64, Ordering::Relaxed);
    match log.append(PartitionId::own(partition), records).await {
        Ok(appended) => {
            intents.add(partition, digests, |index| {
                appended
                    .offsets
                    .get(index)
                    .map_or(Heard::Nothing, |offset| Heard::Acknowledged(*offset))
            });
            true
        }
        Err(error) => {
            tracing::debug!(partition, %error, "heard nothing of an append");
            intents.add(partition, digests, |_| Heard::Nothing);
            false
        }
    }
}

/// The producers of a run.
pub(crate) struct Producer {
    pub(crate) log: Arc<dyn CommandLog>,
    pub(crate) intents: Arc<Intents>,
    pub(crate) workload: Workload,
    /// Records a second.
    pub(crate) rate: f64,
    /// When schedules end.
    pub(crate) schedules_end: Timestamp,
    pub(crate) runs: UnboundedReceiver<RunToComplete>,
}

impl Producer {
    /// Produces until told to stop, and waits until something was heard of everything.
    pub(crate) async fn run(mut self, stop: Arc<AtomicBool>) -> Producer {
        let mut under_way = JoinSet::new();
        let schedules = self
            .workload
            .schedules(SystemClock.now(), self.schedules_end);
        self.hand_over(schedules, &mut under_way);
        let (since, mut drawn) = (Instant::now(), 0_u64);
        let mut next_change = since + SCHEDULE_CHANGE;
        while !stop.load(Ordering::Relaxed) {
            let now = SystemClock.now();
            let owed = (since.elapsed().as_secs_f64() * self.rate) as u64;
            let mut draws: Vec<Draw> = (drawn..owed).map(|_| self.workload.draw(now)).collect();
            drawn = owed.max(drawn);
            if Instant::now() > next_change {
                next_change += SCHEDULE_CHANGE;
                draws.extend(self.workload.schedule_change(now));
            }
            self.hand_over(draws, &mut under_way);
            self.complete_runs(&mut under_way);
            while under_way.try_join_next().is_some() {}
            tokio::time::sleep(STEP).await;
        }
        while under_way.join_next().await.is_some() {}
        self
    }

    fn hand_over(&self, draws: Vec<Draw>, under_way: &mut JoinSet<()>) {
        let mut by_partition: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
        for (partition, record) in draws {
            by_partition.entry(partition).or_default().push(record);
        }
        for (partition, records) in by_partition {
            let (log, intents) = (Arc::clone(&self.log), Arc::clone(&self.intents));
            under_way.spawn(async move {
                append(log, intents, partition, records).await;
            });
        }
    }

    /// Plays the worker of schedules whose runs must not overlap: each run takes a while and is
    /// then reported.
    fn complete_runs(&mut self, under_way: &mut JoinSet<()>) {
        while let Ok(run) = self.runs.try_recv() {
            let (log, intents) = (Arc::clone(&self.log), Arc::clone(&self.intents));
            let lasts_ms = digest(&run.due.as_millis().to_be_bytes()) % RUN_MS_MAX;
            under_way.spawn(async move {
                tokio::time::sleep(Duration::from_millis(lasts_ms)).await;
                let RunToComplete {
                    partition,
                    key,
                    due,
                } = run;
                let record = encoded(Command::Completed {
                    key,
                    due: Some(due),
                    kind: OutcomeKind::Succeeded,
                });
                append(log, intents, partition, vec![record]).await;
            });
        }
    }

    /// Appends the last task of every partition, due behind everything else, until each is durable;
    /// answers its due time.
    pub(crate) async fn sentinels(&self, partitions: u32) -> Timestamp {
        let due = self
            .workload
            .latest_due()
            .max(SystemClock.now())
            .plus_millis(1_000);
        for partition in 0..partitions {
            let record = self.workload.sentinel(partition, due);
            while !append(
                Arc::clone(&self.log),
                Arc::clone(&self.intents),
                partition,
                vec![record.clone()],
            )
            .await
            {}
        }
        due
    }
}
