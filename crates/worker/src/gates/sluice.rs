//! How much of a queue a group may be handed now: without a clock and without I/O.

use std::collections::VecDeque;
use std::time::Duration;

use minutehand_model::{Gate, OutcomeKind, QueueRules, Timestamp};
use minutehand_ports::{Delivery, DeliveryId};
use tokio::time::Instant;

use super::bucket::Bucket;
use crate::settings::duration_ms;

/// Longest wait for a time of the machine's clock, which may be set meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Shortest wait for the next execution of a rate.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// A member finds what was purged within that time, once it has partitions.
const SWEEP_MIN: Duration = Duration::from_secs(5);
/// By then a group has given its members their partitions.
const SWEEP_MAX: Duration = Duration::from_secs(60);
/// Probes of which no end was told that are remembered.
const PROBES_MAX: usize = 100;

/// What a poll is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To run what comes.
    Work,
    /// To run one execution of a queue that is paused.
    Probe,
    /// To find, in a queue that is paused, what was purged.
    Sweep,
}

/// What may be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing for so long, unless something else is said.
    Wait(Duration),
    /// Up to so many may be taken.
    Poll(usize, Purpose),
}

/// What becomes of deliveries.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) taken: Vec<Delivery>,
    /// They go back.
    pub(super) back: Vec<DeliveryId>,
}

/// A group's share of a queue of which something was said.
#[derive(Debug)]
pub(super) struct Sluice {
    /// Executions that may be taken by the rate.
    rate: Bucket,
    /// How many of them those may take who poll now.
    reserved: usize,
    /// Somebody looks for a probe.
    looks_for_probe: bool,
    /// What came last had waited while the queue was paused.
    drains: bool,
    probed_at: Option<Instant>,
    /// The oldest first.
    probes: VecDeque<DeliveryId>,
    /// Nothing is left of what was purged up to here.
    swept_through: Timestamp,
    /// Since when what was purged is looked for.
    sweeps_since: Option<Instant>,
    /// Attempts that have failed since the last one that succeeded.
    failures: u32,
}

impl Sluice {
    pub(super) fn new(now: Instant) -> Sluice {
        Sluice {
            rate: Bucket::one(now),
            reserved: 0,
            looks_for_probe: false,
            drains: true,
            probed_at: None,
            probes: VecDeque::new(),
            swept_through: Timestamp::MIN,
            sweeps_since: None,
            failures: 0,
        }
    }

    /// What may be done by a member of the group that has such a share of the queue's partitions.
    pub(super) fn next(
        &mut self,
        rules: &QueueRules,
        (now, steady_now): (Timestamp, Instant),
        share: f64,
        count_max: usize,
    ) -> Next {
        let Some(gate) = rules.closed(now) else {
            return self.next_by_rate(rules, steady_now, share, count_max);
        };
        // What waits now drains by its rate when the gate opens.
        self.drains = true;
        let is_swept = |through: Timestamp| through <= self.swept_through;
        match &rules.purge {
            Some(purge) if !is_swept(purge.through) => Next::Poll(count_max, Purpose::Sweep),
            _ => self.next_while_closed(gate, now, steady_now),
        }
    }

    fn next_while_closed(&self, gate: &Gate, now: Timestamp, steady_now: Instant) -> Next {
        let until_open = gate.opens_at().map(|opens_at| opens_at.millis_since(now));
        let wait = until_open
            .map_or(WAIT_MAX, duration_ms)
            .clamp(WAIT_MIN, WAIT_MAX);
        let Some(every_ms) = gate.probe_every_ms else {
            return Next::Wait(wait);
        };
        // Closing is followed by one pause: what runs still may say enough.
        let closed_for = duration_ms(now.millis_since(gate.closed_at));
        let since = self
            .probed_at
            .map_or(closed_for, |at| steady_now.duration_since(at));
        match duration_ms(every_ms).checked_sub(since) {
            // Who looks tells when it is over.
            None | Some(Duration::ZERO) if self.looks_for_probe => Next::Wait(wait),
            None | Some(Duration::ZERO) => Next::Poll(1, Purpose::Probe),
            Some(rest) => Next::Wait(wait.min(rest)),
        }
    }

    fn next_by_rate(
        &mut self,
        rules: &QueueRules,
        steady_now: Instant,
        share: f64,
        count_max: usize,
    ) -> Next {
        let oldest = if self.drains {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        let Some(per_second) = rules.per_second(oldest) else {
            return Next::Poll(count_max, Purpose::Work);
        };
        let rate = f64::from(per_second) * share;
        let reserved = self.reserved as f64;
        let tokens = self.rate.fill(rate, steady_now) - reserved;
        if tokens >= 1.0 {
            return Next::Poll(count_max.min(tokens as usize), Purpose::Work);
        }
        let wait = self.rate.wait(reserved + 1.0, rate);
        // Who polls now tells when it is over.
        Next::Wait(wait.unwrap_or(WAIT_MAX).clamp(WAIT_MIN, WAIT_MAX))
    }

    /// Somebody begins to poll for so many: nobody else counts on them, until they are released.
    pub(super) fn reserve(&mut self, count: usize, purpose: Purpose) {
        match purpose {
            Purpose::Work => self.reserved += count,
            Purpose::Probe => self.looks_for_probe = true,
            Purpose::Sweep => {}
        }
    }

    /// That poll is over.
    pub(super) fn release(&mut self, count: usize, purpose: Purpose) {
        match purpose {
            Purpose::Work => self.reserved = self.reserved.saturating_sub(count),
            Purpose::Probe => self.looks_for_probe = false,
            Purpose::Sweep => {}
        }
    }

    /// Deliveries came of a poll, by a member that has such a share of the partitions now.
    pub(super) fn came(
        &mut self,
        rules: &QueueRules,
        purpose: Purpose,
        polled: Vec<Delivery>,
        (steady_now, share): (Instant, f64),
    ) -> Came {
        match purpose {
            Purpose::Work => {
                self.started(rules, polled.iter().map(|delivery| delivery.published_at));
                Came {
                    taken: polled,
                    back: Vec::new(),
                }
            }
            Purpose::Probe => {
                if let Some(probe) = polled.first() {
                    self.probed_at = Some(steady_now);
                    self.probes.push_back(probe.id);
                    if self.probes.len() > PROBES_MAX {
                        self.probes.pop_front();
                    }
                }
                Came {
                    taken: polled,
                    back: Vec::new(),
                }
            }
            Purpose::Sweep => {
                let is_purged = |delivery: &Delivery| rules.is_purged(delivery.published_at);
                let (taken, back): (Vec<_>, Vec<_>) = polled.into_iter().partition(is_purged);
                let began = *self.sweeps_since.get_or_insert(steady_now);
                let looked_for = steady_now.duration_since(began);
                // Who has just become a member has no partitions yet, and nothing of them.
                let is_over = !back.is_empty()
                    || looked_for >= SWEEP_MAX
                    || (share > 0.0 && looked_for >= SWEEP_MIN);
                if taken.is_empty() && is_over {
                    let through = rules.purge.as_ref().map(|purge| purge.through);
                    self.swept_through = through.unwrap_or(Timestamp::MIN);
                    self.sweeps_since = None;
                }
                Came {
                    taken,
                    back: back.into_iter().map(|delivery| delivery.id).collect(),
                }
            }
        }
    }

    /// Executions were handed out to run, that were published at these times.
    pub(super) fn started(
        &mut self,
        rules: &QueueRules,
        published: impl Iterator<Item = Timestamp>,
    ) {
        let opened_at = rules.gate.as_ref().and_then(Gate::opens_at);
        self.drains = false;
        for published_at in published {
            if rules.per_second(published_at).is_some() {
                self.rate.spend();
            }
            self.drains |= opened_at.is_some_and(|at| published_at < at);
        }
    }

    /// An attempt has ended; whether that makes so many that failed in a row.
    pub(super) fn has_failed_often(&mut self, kind: OutcomeKind, failures_max: u32) -> bool {
        self.failures = match kind {
            OutcomeKind::Succeeded => 0,
            OutcomeKind::Retried | OutcomeKind::Dead => self.failures.saturating_add(1),
            // It says nothing of what it works with.
            OutcomeKind::Cancelled | OutcomeKind::Lost | OutcomeKind::Expired => self.failures,
        };
        let is_over = self.failures >= failures_max;
        if is_over {
            self.failures = 0;
        }
        is_over
    }

    /// Whether a delivery was handed out as a probe.
    pub(super) fn is_probe(&self, id: DeliveryId) -> bool {
        self.probes.contains(&id)
    }

    /// A run has ended; whether it was a probe.
    pub(super) fn probe_ended(&mut self, id: DeliveryId) -> bool {
        let before = self.probes.len();
        self.probes.retain(|probe| *probe != id);
        self.probes.len() < before
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use minutehand_model::{DeliveryToken, Epoch, LogOffset, Opening, PartitionId, Purge, TaskKey};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn published(sequence: u64, published_at: i64) -> Delivery {
        Delivery {
            id: DeliveryId {
                partition: PartitionId::own(0),
                sequence,
            },
            epoch: Epoch(1),
            token: DeliveryToken::default(),
            offset: LogOffset::START,
            published_at: at(published_at),
            key: TaskKey(1),
            due: at(published_at),
            encoded: Bytes::new(),
            may_have_run: false,
        }
    }

    fn closed_and_purged(through: i64) -> QueueRules {
        let purge = Purge {
            through: at(through),
            by: "ops".to_owned(),
        };
        QueueRules {
            purge: Some(purge),
            ..closed(|_| {})
        }
    }

    fn closed(gate: impl FnOnce(&mut Gate)) -> QueueRules {
        let mut closed = Gate {
            closed_at: at(0),
            closed_by: "ops".to_owned(),
            reason: String::new(),
            until: None,
            probe_every_ms: None,
            drain_per_second: None,
            opened: None,
        };
        gate(&mut closed);
        QueueRules {
            gate: Some(closed),
            ..QueueRules::default()
        }
    }

    #[test]
    fn a_closed_gate_hands_out_nothing_until_its_time() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed(|gate| gate.until = Some(at(3_000)));
        let mut ask = |now: i64| sluice.next(&rules, (at(now), start), 1.0, 500);
        assert_eq!(ask(0), Next::Wait(Duration::from_secs(3)));
        assert_eq!(ask(2_999), Next::Wait(WAIT_MIN));
        assert_eq!(ask(3_000), Next::Poll(500, Purpose::Work));
        let forever = closed(|_| {});
        let told = sluice.next(&forever, (at(1 << 40), start), 1.0, 500);
        assert_eq!(told, Next::Wait(WAIT_MAX));
    }

    #[test]
    fn one_probe_comes_each_interval_and_is_known_by_its_end() {
        let start = Instant::now();
        let later = |ms| (at(ms), start + duration_ms(ms));
        let mut sluice = Sluice::new(start);
        let rules = closed(|gate| gate.probe_every_ms = Some(5_000));
        assert_eq!(
            sluice.next(&rules, later(1_000), 1.0, 9),
            Next::Wait(Duration::from_secs(4))
        );
        assert_eq!(
            sluice.next(&rules, later(5_000), 1.0, 9),
            Next::Poll(1, Purpose::Probe)
        );
        let probe = published(7, 10);
        let came = sluice.came(
            &rules,
            Purpose::Probe,
            vec![probe.clone()],
            (later(5_000).1, 1.0),
        );
        assert_eq!(came.taken, std::slice::from_ref(&probe));
        assert_eq!(
            sluice.next(&rules, later(6_000), 1.0, 9),
            Next::Wait(Duration::from_secs(4))
        );
        assert!(sluice.is_probe(probe.id) && !sluice.probe_ended(published(8, 10).id));
        assert!(sluice.probe_ended(probe.id) && !sluice.probe_ended(probe.id));
        assert_eq!(
            sluice.next(&rules, later(10_000), 1.0, 9),
            Next::Poll(1, Purpose::Probe)
        );
    }

    #[test]
    fn hung_probes_do_not_hide_the_one_that_succeeds() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed(|gate| gate.probe_every_ms = Some(5_000));
        // The newest has the smallest number of all.
        for sequence in (0..=3 * PROBES_MAX as u64).rev() {
            let polled = vec![published(sequence, 10)];
            sluice.came(&rules, Purpose::Probe, polled, (start, 1.0));
            assert!(sluice.is_probe(published(sequence, 10).id));
        }
        assert_eq!(sluice.probes.len(), PROBES_MAX);
        assert!(sluice.probe_ended(published(0, 10).id));
    }

    #[test]
    fn one_of_all_who_wait_looks_for_a_probe() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed(|gate| gate.probe_every_ms = Some(1_000));
        let ask = |sluice: &mut Sluice| sluice.next(&rules, (at(1_000), start), 1.0, 9);
        assert_eq!(ask(&mut sluice), Next::Poll(1, Purpose::Probe));
        sluice.reserve(1, Purpose::Probe);
        assert_eq!(ask(&mut sluice), Next::Wait(WAIT_MAX));
        sluice.release(1, Purpose::Probe);
        assert_eq!(ask(&mut sluice), Next::Poll(1, Purpose::Probe));
    }

    #[test]
    fn who_polls_has_reserved_what_may_come() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = QueueRules {
            per_second_max: Some(30),
            ..QueueRules::default()
        };
        let later = start + Duration::from_secs(1);
        let ask = |sluice: &mut Sluice, count| sluice.next(&rules, (at(0), later), 1.0, count);
        assert_eq!(ask(&mut sluice, 2), Next::Poll(2, Purpose::Work));
        sluice.reserve(2, Purpose::Work);
        assert_eq!(ask(&mut sluice, 2), Next::Poll(1, Purpose::Work));
        sluice.reserve(1, Purpose::Work);
        assert_eq!(
            ask(&mut sluice, 2),
            Next::Wait(WAIT_MAX),
            "until they are over"
        );
        sluice.release(2, Purpose::Work);
        assert_eq!(ask(&mut sluice, 9), Next::Poll(2, Purpose::Work));
    }

    #[test]
    fn what_waited_comes_out_at_its_rate_and_the_rest_at_once() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed(|gate| {
            gate.drain_per_second = Some(100);
            gate.opened = Some(Opening {
                at: at(1_000),
                by: "ops".to_owned(),
            });
        });
        let (mut taken, mut now_ms, mut sequence) = (0, 1_000, 0);
        // A member with half of the partitions gets half of the rate.
        while now_ms < 11_000 {
            match sluice.next(
                &rules,
                (at(now_ms), start + duration_ms(now_ms)),
                0.5,
                1_000,
            ) {
                Next::Wait(pause) => now_ms += pause.as_millis().max(1) as i64,
                Next::Poll(count, purpose) => {
                    let polled: Vec<_> = (0..count)
                        .map(|_| {
                            sequence += 1;
                            published(sequence, 500)
                        })
                        .collect();
                    taken += sluice
                        .came(&rules, purpose, polled, (start + duration_ms(now_ms), 0.5))
                        .taken
                        .len();
                }
            }
        }
        assert!(
            (480..=520).contains(&taken),
            "50 a second for ten seconds: {taken}"
        );
        while let Next::Wait(pause) = sluice.next(
            &rules,
            (at(now_ms), start + duration_ms(now_ms)),
            0.5,
            1_000,
        ) {
            now_ms += pause.as_millis().max(1) as i64;
        }
        sluice.came(
            &rules,
            Purpose::Work,
            vec![published(sequence + 1, 1_500)],
            (start, 0.5),
        );
        let told = sluice.next(
            &rules,
            (at(now_ms), start + duration_ms(now_ms)),
            0.5,
            1_000,
        );
        assert_eq!(
            told,
            Next::Poll(1_000, Purpose::Work),
            "what waited has come out"
        );
    }

    #[test]
    fn a_limit_holds_whether_or_not_there_was_a_gate() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = QueueRules {
            per_second_max: Some(20),
            ..QueueRules::default()
        };
        let (mut taken, mut now_ms) = (0, 0);
        while now_ms < 5_000 {
            match sluice.next(&rules, (at(now_ms), start + duration_ms(now_ms)), 1.0, 50) {
                Next::Wait(pause) => now_ms += pause.as_millis().max(1) as i64,
                Next::Poll(count, purpose) => {
                    let polled = (0..count as u64)
                        .map(|sequence| published(sequence, now_ms))
                        .collect();
                    taken += sluice
                        .came(&rules, purpose, polled, (start, 1.0))
                        .taken
                        .len();
                }
            }
        }
        assert!(
            (95..=105).contains(&taken),
            "20 a second for five seconds: {taken}"
        );
    }

    #[test]
    fn failures_count_until_one_succeeds() {
        use OutcomeKind::{Cancelled, Dead, Retried, Succeeded};
        let mut sluice = Sluice::new(Instant::now());
        let kinds = [
            Retried, Dead, Succeeded, Retried, Cancelled, Dead, Retried, Retried,
        ];
        let often = kinds.map(|kind| sluice.has_failed_often(kind, 3));
        let expected = [false, false, false, false, false, false, true, false];
        assert_eq!(often, expected, "three in a row, then anew");
    }

    #[test]
    fn a_purge_is_swept_once_and_takes_only_what_is_old() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed_and_purged(100);
        assert_eq!(
            sluice.next(&rules, (at(200), start), 1.0, 10),
            Next::Poll(10, Purpose::Sweep)
        );
        let came = sluice.came(
            &rules,
            Purpose::Sweep,
            vec![published(1, 100), published(2, 101)],
            (start, 1.0),
        );
        assert_eq!(
            (came.taken, came.back),
            (vec![published(1, 100)], vec![published(2, 101).id])
        );
        assert_eq!(
            sluice.next(&rules, (at(200), start), 1.0, 10),
            Next::Poll(10, Purpose::Sweep)
        );
        let came = sluice.came(
            &rules,
            Purpose::Sweep,
            vec![published(2, 101)],
            (start, 1.0),
        );
        assert_eq!(came.back, [published(2, 101).id]);
        assert_eq!(
            sluice.next(&rules, (at(200), start), 1.0, 10),
            Next::Wait(WAIT_MAX)
        );
    }

    #[test]
    fn a_new_member_looks_for_the_purged_until_it_has_partitions() {
        let start = Instant::now();
        let mut sluice = Sluice::new(start);
        let rules = closed_and_purged(100);
        let mut empty = |ms, share| {
            let now = start + duration_ms(ms);
            sluice.came(&rules, Purpose::Sweep, Vec::new(), (now, share));
            sluice.next(&rules, (at(200), now), share, 10)
        };
        let sweep = Next::Poll(10, Purpose::Sweep);
        assert_eq!(empty(0, 0.0), sweep);
        assert_eq!(empty(20_000, 0.0), sweep, "it has no partitions yet");
        assert_eq!(empty(30_000, 0.5), Next::Wait(WAIT_MAX));
    }
}
