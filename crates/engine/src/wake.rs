//! When the partition wants to be woken, and why.

use minutehand_model::{Phase, Timestamp};

use crate::partition::Partition;
use crate::phase::WakeReason;
use crate::rules::Rules;

impl<R: Rules> Partition<R> {
    /// The earliest of everything that time alone brings about.
    pub(crate) fn next_wake(&self) -> Option<(Timestamp, WakeReason)> {
        if matches!(self.phase(), Phase::Waiting | Phase::Stopped) {
            return None;
        }
        if matches!(self.phase(), Phase::Opening | Phase::Loading) {
            // Until the timetable is loaded only answers, and retries of what failed, lead on.
            return self
                .retry_at()
                .map(|time| (time.max(self.now), WakeReason::Retry));
        }
        if self.has_sent_last_tick() {
            // Nothing else is done any more, so nothing else is to be woken for.
            return self.hand_over_at().map(|time| (time, WakeReason::HandOver));
        }
        let flush_at = self
            .writes
            .pending()
            .flush_at(self.config.flush_interval_ms)
            .filter(|_| self.may_write_blocks());
        let mut wakes = vec![
            (self.retry_at(), WakeReason::Retry),
            (flush_at, WakeReason::Flush),
            (self.look_ahead_at(), WakeReason::LookAhead),
            (self.forget_at(), WakeReason::Forget),
            (self.log_asks_at(), WakeReason::Log),
            (self.hand_over_at(), WakeReason::HandOver),
            (self.applies_at(), WakeReason::Busy),
            (self.looks_up_turns().then_some(self.now), WakeReason::Busy),
        ];
        if self.ticker.is_free(self.now) && self.may_fire() {
            wakes.push((self.due_at(), WakeReason::Due));
            wakes.push((self.checkpoint_at(), WakeReason::Checkpoint));
            wakes.push((self.minute_closes_at(), WakeReason::Checkpoint));
            let is_busy = self.outgoing.len() > 0 || self.schedules.has_news();
            wakes.push((is_busy.then_some(self.now), WakeReason::Busy));
            let backfills = self.backfills() && self.phase() != Phase::Replaying;
            wakes.push((backfills.then(|| self.now.plus_millis(1)), WakeReason::Busy));
        }
        let soonest = wakes
            .into_iter()
            .filter_map(|(time, reason)| Some((time?, reason)))
            .min_by_key(|wake| wake.0);
        soonest.map(|(time, reason)| (time.max(self.now), reason))
    }

    fn retry_at(&self) -> Option<Timestamp> {
        let singles = self.singles().filter_map(|single| single.not_before);
        let writes = self.writes.resends_at();
        singles.chain(writes).filter(|time| *time > self.now).min()
    }

    fn look_ahead_at(&self) -> Option<Timestamp> {
        if self.coverage.awaits_ahead(self.now) || self.is_memory_full() || !self.knows_the_time() {
            return None;
        }
        let short_after = self
            .coverage
            .loaded()
            .plus_millis(-(self.config.look_ahead_ms * 3 / 4));
        // Where F stands at the horizon, time alone makes nothing short.
        let is_ever = short_after < self.reach();
        is_ever.then(|| short_after.max(self.now).plus_millis(1))
    }

    /// At once, when there is room again for records that waited for it.
    fn applies_at(&self) -> Option<Timestamp> {
        let may_go_on = self.log.inbox().is_stalled() && self.has_room_to_apply();
        may_go_on.then_some(self.now)
    }

    fn forget_at(&self) -> Option<Timestamp> {
        let time = self.tasks.forgettable_at()?;
        Some(time.max(self.now.plus_millis(self.config.checkpoint_interval_ms)))
    }
}
