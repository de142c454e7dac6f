//! The heartbeat of a partition: the end of the newest minute whose row is kept.

use minutehand_engine::{Phase, RequestId, Status};
use minutehand_model::{Tally, Timestamp};

/// When a partition has given a sign of life last. A partition that keeps no ledger gives none.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    is_counting: bool,
    newest: Option<Timestamp>,
    /// The rows on their way, and the end of their last minute.
    keeping: Option<(RequestId, Timestamp)>,
}

impl Heartbeat {
    /// The partition stands so. The answer: it beats, because an owner has begun to count.
    pub(super) fn stands(&mut self, status: &Status, now: Timestamp) -> Option<Timestamp> {
        let is_counting = status.phase == Phase::Owning && status.closed_before.is_some();
        let begins = is_counting && !self.is_counting;
        self.is_counting = is_counting;
        if begins {
            self.newest = Some(now);
        }
        self.newest.filter(|_| begins)
    }

    /// Rows are on their way.
    pub(super) fn sent(&mut self, request: RequestId, tallies: &[Tally]) {
        let end = tallies.iter().map(Tally::end).max();
        self.keeping = end.map(|end| (request, end));
    }

    /// A request is done. The answer: it beats, because that was about rows. Old minutes that are
    /// caught up with do not set it back; that a clock was ahead does.
    pub(super) fn done(&mut self, request: RequestId, now: Timestamp) -> Option<Timestamp> {
        let (_, end) = self.keeping.take_if(|(about, _)| *about == request)?;
        let before = self.newest.map_or(end, |newest| newest.min(now));
        self.newest = Some(end.max(before));
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn status(phase: Phase, closed_before: Option<Timestamp>) -> Status {
        Status {
            phase,
            closed_before,
            ..Status::default()
        }
    }

    fn keep(heartbeat: &mut Heartbeat, minute: i64, now: i64) -> Option<Timestamp> {
        let tally = Tally::begin(at(minute - 1), LogOffset::START);
        heartbeat.sent(RequestId(7), &[tally]);
        assert_eq!(heartbeat.done(RequestId(6), at(now)), None);
        heartbeat.done(RequestId(7), at(now))
    }

    #[test]
    fn a_partition_without_a_ledger_has_no_heartbeat() {
        let mut heartbeat = Heartbeat::default();
        let off = status(Phase::Owning, None);
        assert_eq!(heartbeat.stands(&off, at(5)), None);
        let on = status(Phase::Owning, Some(at(5)));
        assert_eq!(heartbeat.stands(&on, at(6)), Some(at(6)));
        assert_eq!(heartbeat.stands(&on, at(7)), None, "it has begun already");
        let opens = status(Phase::Opening, Some(at(5)));
        assert_eq!(heartbeat.stands(&opens, at(8)), None);
        assert_eq!(heartbeat.stands(&on, at(9)), Some(at(9)));
    }

    #[test]
    fn minutes_that_are_caught_up_with_do_not_set_it_back() {
        let mut heartbeat = Heartbeat::default();
        heartbeat.stands(&status(Phase::Owning, Some(at(5))), at(100));
        assert_eq!(keep(&mut heartbeat, 40, 101), Some(at(100)));
        assert_eq!(keep(&mut heartbeat, 101, 102), Some(at(101)));
    }

    #[test]
    fn a_clock_that_comes_back_sets_it_back() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(keep(&mut heartbeat, 1_000, 1_001), Some(at(1_000)));
        assert_eq!(keep(&mut heartbeat, 10, 11), Some(at(11)));
    }
}
