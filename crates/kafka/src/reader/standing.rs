//! How a partition's log stands, for metrics: what an open transaction holds back, and how much of
//! what a successor must read again the log may forget soon.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use minutehand_metrics::LogMetrics;
use minutehand_model::{PartitionId, Timestamp};

use crate::client::Client;

/// How often the figures are brought up to date.
const INTERVAL: Duration = Duration::from_secs(5);
/// Times of records are remembered this far apart.
const SAMPLES_APART_MS: i64 = 30_000;
/// Most times that are remembered: beyond it every second one is forgotten.
const SAMPLES_MAX: usize = 4_096;

pub(super) struct Standing {
    metrics: LogMetrics,
    retention_ms: u64,
    told_at: Option<Instant>,
    /// Bytes of what the library has fetched and not handed over.
    queued: Arc<AtomicU64>,
    /// When some of the records that were read here were appended, in order of their offsets.
    samples: VecDeque<(u64, Timestamp)>,
}

impl Standing {
    pub(super) fn new(client: &Client, partition: PartitionId) -> Standing {
        Standing {
            metrics: LogMetrics::new(partition.number()),
            retention_ms: client.config().command_retention_ms,
            told_at: None,
            queued: Arc::default(),
            samples: VecDeque::new(),
        }
    }

    /// Where the library is to say how many bytes it holds.
    pub(super) fn queued(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.queued)
    }

    /// So many bytes wait in our own buffer.
    pub(super) fn holds(&self, buffered: usize) {
        let queued = self.queued.load(Ordering::Relaxed);
        self.metrics.read_ahead(queued + buffered as u64);
    }

    /// A record was read.
    pub(super) fn passed(&mut self, offset: u64, at: Timestamp) {
        let is_apart = self
            .samples
            .back()
            .is_none_or(|(of, last)| *of < offset && at.millis_since(*last) >= SAMPLES_APART_MS);
        if is_apart {
            if self.samples.len() >= SAMPLES_MAX {
                let mut index = 0;
                self.samples.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
            self.samples.push_back((offset, at));
        }
    }

    /// The owner reads from elsewhere.
    pub(super) fn begin_anew(&mut self) {
        self.samples.clear();
    }

    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self
            .told_at
            .is_none_or(|told_at| told_at.elapsed() >= INTERVAL);
        if is_due {
            self.told_at = Some(Instant::now());
        }
        is_due
    }

    pub(super) fn tell(&mut self, kept: Range<u64>, stable_end: u64, replay_from: Option<u64>) {
        debug_assert!(kept.start <= kept.end, "a log begins before it ends");
        self.metrics.undecided(kept.end.saturating_sub(stable_end));
        let Some(replay_from) = replay_from else {
            return;
        };
        let age_ms = if replay_from >= stable_end {
            0
        } else {
            self.age_ms(replay_from)
        };
        self.metrics.replay(
            replay_from as f64 - kept.start as f64,
            age_ms as f64 / self.retention_ms.max(1) as f64,
        );
    }

    /// How long ago the record at an offset was appended, as far as is remembered here.
    fn age_ms(&mut self, offset: u64) -> i64 {
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| *second <= offset)
        {
            self.samples.pop_front();
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        self.samples
            .front()
            .map_or(0, |(_, at)| now.millis_since(*at).max(0))
    }

    /// Nobody here reads the log any more.
    pub(super) fn given_up(&self) {
        self.metrics.undecided(0);
        self.metrics.read_ahead(0);
        self.metrics.replay(0.0, 0.0);
    }
}
