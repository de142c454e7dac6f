//! What the parts of a run share: those that hand tasks over and those that take executions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use minutehand_model::Timestamp;

use super::payload::Payloads;
use super::plan::{Plan, schedule_cron, schedule_id};
use super::scenario::Schedules;
use super::verifier::Verifier;

/// What all parts of a run share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) payloads: Payloads,
    pub(super) verifier: Mutex<Verifier>,
    /// When it began: nobody sets this clock.
    pub(super) since: Instant,
    pub(super) asked: AtomicU64,
    pub(super) behind_ms_max: AtomicU64,
    /// No more executions are needed.
    pub(super) is_over: AtomicBool,
    /// Why the run is to end early.
    pub(super) failed: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn verifier(&self) -> MutexGuard<'_, Verifier> {
        self.verifier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning; none before it.
    pub(super) fn elapsed_ms(&self) -> Option<f64> {
        let elapsed = Instant::now().checked_duration_since(self.since)?;
        Some(elapsed.as_secs_f64() * 1_000.0)
    }

    /// Notes how far behind its plan a generator is.
    pub(super) fn behind(&self, asked_ms: f64, elapsed_ms: f64) {
        let behind = (elapsed_ms - asked_ms).max(0.0) as u64;
        self.behind_ms_max.fetch_max(behind, Ordering::Relaxed);
    }

    /// Ends the run: it cannot be carried out.
    pub(super) fn fail(&self, why: String) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(why);
    }

    pub(super) fn has_failed(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || self.has_failed()
    }
}

/// The numbers that a generator asks for, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    next: u64,
    step: u64,
}

impl Share {
    /// The share of a generator of this process, `share` being that of the process, from 1.
    pub(super) fn of(share: (u64, u64), generator: u64, generators: u64) -> Share {
        Share {
            next: (share.0 - 1) * generators + generator,
            step: share.1 * generators,
        }
    }

    /// The next number below a bound, if there is one.
    pub(super) fn take(&mut self, below: u64) -> Option<u64> {
        let number = self.next;
        (number < below).then(|| {
            self.next += self.step;
            number
        })
    }

    /// Whether nothing below a bound is left.
    pub(super) fn is_done(&self, below: u64) -> bool {
        self.next >= below
    }
}

/// Schedules that are there from the start.
#[derive(Clone, Copy)]
pub(super) struct AskedSchedules<'a> {
    pub(super) run: &'a str,
    pub(super) schedules: &'a Schedules,
    pub(super) end: Timestamp,
}

impl AskedSchedules<'_> {
    /// How one is asked for in JSON, over HTTP and in records.
    pub(super) fn body(&self, number: u64) -> serde_json::Value {
        serde_json::json!({
            "id": schedule_id(self.run, number),
            "cron": schedule_cron(number, self.schedules.every_minutes),
            "queue": self.schedules.queue.as_str(),
            "end_at": minutehand_api::time_text(self.end),
        })
    }
}

/// A thread of a run.
pub(super) type Part = std::thread::JoinHandle<()>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_are_every_number_once() {
        let mut taken = Vec::new();
        for part in 1..=3 {
            for generator in 0..2 {
                let mut share = Share::of((part, 3), generator, 2);
                while let Some(number) = share.take(100) {
                    taken.push(number);
                }
                assert!(share.is_done(100) && share.take(100).is_none());
            }
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..100).collect::<Vec<u64>>());
    }
}
