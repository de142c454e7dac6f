//! Taking a partition over: open (fence) -> checkpoint -> revisions -> timetable -> replay -> fire.

use minutehand_model::time::MINUTE_MS;
use minutehand_model::{
    Checkpoint, Epoch, LogOffset, Namespace, RevisionEntry, ScheduleId, ScheduleState, Timestamp,
};

use crate::effect::Effect;
use crate::fact::TAKEN_LATE_MS_MAX;
use crate::partition::Partition;
use crate::phase::Phase;
use crate::schedule::Revised;

impl Partition {
    pub(crate) fn acquired(&mut self, epoch: Epoch) {
        if self.phase == Phase::Waiting {
            self.epoch = epoch;
            self.lease_confirmed_at = self.now;
            self.phase = Phase::Opening;
        }
    }

    pub(crate) fn open(&mut self) {
        if self.opening.is_free(self.now) {
            let request = self.request();
            self.opening.start(request);
            self.sink_clock.asked(self.moment());
            self.effects.push_back(Effect::Open { request, epoch: self.epoch });
        }
    }

    /// Begins anew from the last checkpoint, when the next tick may be tried: after a commit in doubt, memory is worth nothing.
    pub(crate) fn reopen(&mut self) {
        let mut anew = Partition::new(self.config.clone(), self.id);
        anew.effects = std::mem::take(&mut self.effects);
        anew.requests = self.requests;
        anew.now = self.now;
        anew.sink_clock = self.sink_clock;
        anew.epoch = self.epoch;
        anew.lease_confirmed_at = self.lease_confirmed_at;
        anew.is_handing_over = self.is_handing_over;
        anew.log_end = self.log_end;
        anew.phase = Phase::Opening;
        // Both go on from the failures before: opening may succeed, and the tick fail again.
        (anew.opening, anew.ticking) = (self.ticking, self.ticking);
        *self = anew;
    }

    pub(crate) fn opened(
        &mut self,
        checkpoint: Option<Checkpoint>,
        schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
        log_end: LogOffset,
    ) {
        if self.phase != Phase::Opening {
            return;
        }
        let checkpoint = checkpoint.unwrap_or(Checkpoint::START);
        self.applied = checkpoint.applied;
        self.known = checkpoint.applied;
        self.frontier = checkpoint.frontier.clone();
        self.remembered_from = checkpoint.remembered_from;
        self.next = checkpoint.replay_from;
        self.inbox.begin_at(checkpoint.replay_from);
        self.log_end = self.log_end.max(log_end);
        self.replay_end = log_end;
        self.plan_reading();
        self.committed = checkpoint;
        self.committed_at = self.now;
        self.restored_states = schedule_states;
        self.phase = Phase::Loading;
    }

    /// The timetable is read from before F, and before what F has left behind: what has run within the dedupe window is
    /// remembered. What is left behind itself stays unread for now.
    fn plan_reading(&mut self) {
        let minute_after = |due: Timestamp| due.floor_to_minute().plus_millis(MINUTE_MS);
        let (floor, front) = (self.frontier.floor().due, self.frontier.front().due);
        self.coverage.begin_at(self.first_bucket_needed(floor));
        if !self.frontier.gaps.is_empty() {
            return;
        }
        self.coverage.leave_unread(minute_after(floor), self.first_bucket_needed(front));
        if self.is_late(front) && self.may_leave_behind() {
            let through = self.leave_behind_now();
            self.coverage.leave_unread(minute_after(front), through.due.floor_to_minute());
        }
    }

    /// The first minute that may hold what is to be remembered of a time.
    fn first_bucket_needed(&self, due: Timestamp) -> Timestamp {
        let remembered = self.remembered_from.min(due);
        remembered.plus_millis(-self.config.dedupe_window_ms - TAKEN_LATE_MS_MAX).floor_to_minute()
    }

    pub(crate) fn load(&mut self) {
        if !self.revisions_loaded {
            if self.reading_revisions.is_free(self.now) {
                let request = self.request();
                self.reading_revisions.start(request);
                self.effects.push_back(Effect::ReadRevisions { request });
            }
            return;
        }
        if self.wants_to_read_ahead() {
            self.read_ahead();
            return;
        }
        self.phase = Phase::Replaying;
        self.decide();
    }

    pub(crate) fn loaded_revisions(&mut self, entries: Vec<RevisionEntry>) {
        self.schedules.restore(std::mem::take(&mut self.restored_states));
        for entry in entries {
            // Before-a: what lies above, the log itself will say.
            if entry.offset < self.applied {
                self.stored_revisions.insert(entry.offset);
                // What stands in the log comes again from there, after those before it.
                if entry.offset < self.next {
                    self.revise_again(&entry);
                }
            }
        }
        self.revisions_loaded = true;
    }

    /// A revision that a predecessor has applied and stored.
    pub(crate) fn revise_again(&mut self, entry: &RevisionEntry) {
        let (revised, missing) = self.schedules.revise_again(entry.clone(), &self.frontier, self.now);
        match revised {
            Revised::Refused(reason) => self.set_aside_revision(entry, reason),
            Revised::Applied if missing > 0 => {
                let reason = format!("{missing} before it cannot be read; it is in force without them");
                self.set_aside_revision(entry, reason);
            }
            Revised::Applied | Revised::Ignored => {}
        }
    }
}
