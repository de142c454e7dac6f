//! What an owner tells metrics and the log about its partition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use minutehand_engine::{Effect, Input, Occurrences, Partition, Phase, RequestId, Status};
use minutehand_metrics::{LedgerMetrics, PartitionMetrics, PartitionStanding, ScheduleMetrics};
use minutehand_model::{PartitionId, Precision, Tick, Timestamp};

use super::heartbeat::Heartbeat;

/// Gauges are brought up to date at most this often, in milliseconds.
const STANDING_INTERVAL_MS: i64 = 250;
/// Schedules are counted at most this often, in milliseconds.
const SCHEDULES_COUNTED_EVERY_MS: i64 = 60_000;
/// A clock that lies further than this behind F was set back: reported, and again after so long.
const CLOCK_LAG_MS_MAX: i64 = 60_000;
const CLOCK_LAG_REPORTED_EVERY: Duration = Duration::from_secs(600);

/// A tick that has been sent.
struct Sent {
    request: RequestId,
    since: Instant,
    at: Timestamp,
    publications: u64,
    set_aside: u64,
    lateness_ms: BTreeMap<(Precision, i64), usize>,
}

/// How long each part of a take-over took.
struct TakeOver {
    phase_since: Instant,
    opening: Duration,
    loading: Duration,
}

impl TakeOver {
    fn begin() -> TakeOver {
        TakeOver {
            phase_since: Instant::now(),
            opening: Duration::ZERO,
            loading: Duration::ZERO,
        }
    }

    /// A phase has ended; with the last one the partition fires.
    fn enters(&mut self, ended: Phase, status: &Status, partition: PartitionId) {
        let took = std::mem::replace(&mut self.phase_since, Instant::now()).elapsed();
        match ended {
            Phase::Opening => self.opening = took,
            Phase::Loading => self.loading = took,
            Phase::Replaying if status.phase == Phase::Owning => {
                let TakeOver {
                    opening, loading, ..
                } = self;
                let records = status.replay_from.records_until(status.applied);
                tracing::info!(%partition, ?opening, ?loading, replaying = ?took, records, "took the partition over");
            }
            _ => {}
        }
    }
}

/// How far a clock is ahead of another one that showed a time between two of its own: about, the
/// middle of what is possible.
fn ahead_ms(before: Timestamp, other: Timestamp, after: Timestamp) -> i64 {
    let (least_ms, most_ms) = (before.millis_since(other), after.millis_since(other));
    least_ms.midpoint(most_ms)
}

pub(super) struct Report {
    id: PartitionId,
    metrics: PartitionMetrics,
    ledger: LedgerMetrics,
    heartbeat: Heartbeat,
    schedules: ScheduleMetrics,
    phase: Phase,
    take_over: TakeOver,
    stood_at: Timestamp,
    schedules_counted_at: Timestamp,
    /// When the log was last told that the clock lies behind F, by the steady clock.
    clock_behind_reported_at: Option<Instant>,
    tick: Option<Sent>,
}

impl Report {
    pub(super) fn new(id: PartitionId) -> Report {
        let metrics = PartitionMetrics::new(id.number());
        Report {
            id,
            metrics,
            ledger: LedgerMetrics::new(id.number()),
            heartbeat: Heartbeat::default(),
            schedules: ScheduleMetrics::new(),
            phase: Phase::Waiting,
            take_over: TakeOver::begin(),
            stood_at: Timestamp::MIN,
            schedules_counted_at: Timestamp::MIN,
            clock_behind_reported_at: None,
            tick: None,
        }
    }

    /// A panic ended the owner.
    pub(super) fn panicked(&self) {
        self.metrics.panicked();
        self.metrics.given_up();
    }

    pub(super) fn sent(&mut self, effect: &Effect, now: Timestamp) {
        match effect {
            Effect::Commit {
                request,
                tick,
                occurrences,
            } => {
                self.report_occurrences(*occurrences);
                self.tick = Some(self.sent_tick(*request, tick, now));
            }
            Effect::KeepMinutes { request, tallies } => self.heartbeat.sent(*request, tallies),
            Effect::Stopped { reason } => {
                tracing::error!(partition = %self.id, reason = %reason, "the owner stopped");
            }
            _ => {}
        }
    }

    fn sent_tick(&self, request: RequestId, tick: &Tick, now: Timestamp) -> Sent {
        let mut lateness_ms = BTreeMap::new();
        for publication in &tick.publications {
            let late_ms = now.millis_since(publication.task.due).max(0);
            *lateness_ms
                .entry((publication.task.precision, late_ms))
                .or_insert(0) += 1;
        }
        for set_aside in &tick.set_aside {
            let (position, reason) = (&set_aside.position, &set_aside.reason);
            tracing::warn!(partition = %self.id, position, reason, "set a record aside");
        }
        let (publications, set_aside) =
            (tick.publications.len() as u64, tick.set_aside.len() as u64);
        Sent {
            request,
            since: Instant::now(),
            at: now,
            publications,
            set_aside,
            lateness_ms,
        }
    }

    fn report_occurrences(&self, occurrences: Occurrences) {
        let Occurrences {
            started,
            skipped,
            missed,
        } = occurrences;
        self.schedules.fired(started);
        self.schedules.skipped(skipped);
        self.schedules.missed(missed);
    }

    pub(super) fn received(&mut self, input: &Input, now: Timestamp) {
        if let Input::Done { request } = input
            && let Some(at) = self.heartbeat.done(*request, now)
        {
            self.ledger.beats(at);
        }
        if let Input::Committed {
            request, taken_at, ..
        } = input
            && let Some(tick) = self.tick.take_if(|tick| tick.request == *request)
        {
            let took = tick.since.elapsed();
            if let Some(taken_at) = taken_at {
                self.metrics
                    .clock_is_ahead(ahead_ms(tick.at, *taken_at, now) as f64 / 1_000.0);
            }
            tracing::trace!(
                partition = %self.id,
                publications = tick.publications,
                worst_ms = tick.lateness_ms.keys().map(|(_, late_ms)| *late_ms).max(),
                ?took,
                "tick"
            );
            self.metrics
                .tick_committed(tick.publications, took.as_secs_f64());
            if tick.set_aside > 0 {
                self.metrics.set_aside(tick.set_aside);
            }
            for ((precision, late_ms), count) in tick.lateness_ms {
                self.metrics
                    .published(precision, late_ms as f64 / 1_000.0, count);
            }
        }
    }

    pub(super) fn stands(&mut self, status: &Status, now: Timestamp) {
        if status.phase != self.phase {
            tracing::debug!(partition = %self.id, from = self.phase.as_str(), to = status.phase.as_str(), "phase");
            self.take_over.enters(self.phase, status, self.id);
            self.phase = status.phase;
            self.metrics.entered(status.phase);
        } else if now.millis_since(self.stood_at) < STANDING_INTERVAL_MS {
            return;
        }
        self.stood_at = now;
        if status.phase == Phase::Stopped {
            self.metrics.given_up();
            return;
        }
        if let Some(at) = self.heartbeat.stands(status, now) {
            self.ledger.beats(at);
        }
        self.ledger.given_up(status.minutes_given_up);
        let lag_ms = match status.published_until() {
            Timestamp::MIN => 0,
            due => now.millis_since(due).max(0),
        };
        let clock_behind_ms = status.frontier.head.due.millis_since(now).max(0);
        self.report_clock(clock_behind_ms, status.frontier.head.due);
        let backlog_ms = status
            .backlog_oldest
            .map_or(0, |due| now.millis_since(due).max(0));
        self.metrics.stands(&PartitionStanding {
            applied: status.applied.position(),
            log_end: status.log_end.position(),
            replay_distance: status
                .replay_from
                .records_until(status.applied)
                .unwrap_or(status.applied.position()),
            frontier_lag_seconds: lag_ms as f64 / 1_000.0,
            clock_behind_seconds: clock_behind_ms as f64 / 1_000.0,
            near_tasks: status.near_tasks as u64,
            near_bytes: status.near_bytes as u64,
            pending_entries: status.pending_entries as u64,
            backlog_tasks: status.backlog_tasks as u64,
            backlog_schedules: status.backlog_schedules as u64,
            backlog_oldest_seconds: backlog_ms as f64 / 1_000.0,
            memory_bytes: status.memory_bytes as u64,
        });
    }

    /// Counts schedules now and then: every one of them is looked at.
    pub(super) fn count_schedules(&mut self, partition: &Partition, now: Timestamp) {
        let since_ms = now.millis_since(self.schedules_counted_at);
        let is_due = !(0..SCHEDULES_COUNTED_EVERY_MS).contains(&since_ms);
        if partition.phase() == Phase::Owning && is_due {
            self.schedules_counted_at = now;
            self.metrics.schedules(&partition.schedules_by_state());
        }
    }

    /// Warns of a clock that was set back, or had been ahead: what recurs waits for it, and nothing
    /// else tells why.
    fn report_clock(&mut self, behind_ms: i64, until: Timestamp) {
        if behind_ms <= CLOCK_LAG_MS_MAX {
            self.clock_behind_reported_at = None;
            return;
        }
        let is_recent = |reported_at: Instant| reported_at.elapsed() < CLOCK_LAG_REPORTED_EVERY;
        if self.clock_behind_reported_at.is_some_and(is_recent) {
            return;
        }
        self.clock_behind_reported_at = Some(Instant::now());
        tracing::warn!(
            partition = %self.id,
            behind_seconds = behind_ms / 1_000,
            %until,
            "the clock lies behind what has been published, because it was set back or had been ahead; schedules that existed \
             then run again from that time on; delete and create a schedule again to have it run by the present clock"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_by_the_middle_of_what_is_possible() {
        let at = Timestamp::from_millis;
        assert_eq!(ahead_ms(at(1_000), at(1_050), at(1_100)), 0);
        assert_eq!(ahead_ms(at(6_000), at(1_010), at(6_020)), 5_000);
        assert_eq!(ahead_ms(at(1_000), at(3_010), at(1_020)), -2_000);
    }
}
