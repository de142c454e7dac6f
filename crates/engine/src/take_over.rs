//! Taking a partition over: open (fence) -> checkpoint -> revisions -> timetable -> replay -> fire.

use minutehand_model::time::MINUTE_MS;
use minutehand_model::{
    Checkpoint, LogOffset, Namespace, Phase, RevisionEntry, ScheduleId, ScheduleState, Timestamp,
};

use crate::effect::Effect;
use crate::fact::TAKEN_LATE_MS_MAX;
use crate::partition::Partition;
use crate::rules::Rules;
use crate::schedule::{Cursors, Revised};

impl<R: Rules> Partition<R> {
    pub(crate) fn open(&mut self) {
        if self.ownership.opening.is_free(self.now) {
            let request = self.request();
            self.ownership.opening.start(request);
            self.sink_clock.asked(self.moment());
            self.effects.push(Effect::Open {
                request,
                epoch: self.ownership.epoch(),
            });
        }
    }

    pub(crate) fn opened(
        &mut self,
        checkpoint: Option<Checkpoint>,
        schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
        log_end: LogOffset,
        prepared_from: Option<LogOffset>,
    ) {
        if self.phase() != Phase::Opening {
            return;
        }
        let checkpoint = checkpoint.unwrap_or(Checkpoint::START);
        self.frontier = checkpoint.frontier.clone();
        self.schedules.frontier_is(&self.frontier);
        self.coverage.forget_up_to(checkpoint.remembered_from);
        let from = prepared_from.map_or(checkpoint.replay_from, |prepared_from| {
            prepared_from.min(checkpoint.replay_from)
        });
        self.log.begin(&checkpoint, from, log_end);
        self.plan_reading();
        self.minutes.go_on(&checkpoint.minutes);
        self.ticker.begin(checkpoint, self.now);
        self.revisions.keep(schedule_states);
        self.ownership.enter(Phase::Loading);
    }

    /// The timetable is read from before F, and before what F has left behind: what has run within
    /// the dedupe window is remembered. What is left behind itself stays unread for now.
    fn plan_reading(&mut self) {
        let minute_after = |due: Timestamp| due.floor_to_minute().plus_millis(MINUTE_MS);
        let floor = self.frontier.floor_of_tasks().due;
        let front = self.frontier.front().due;
        self.coverage.begin_at(self.first_bucket_needed(floor));
        if !self.frontier.gaps.is_empty() {
            return;
        }
        self.coverage
            .leave_unread(minute_after(floor), self.first_bucket_needed(front));
        if self.is_late(front) && self.may_leave_behind() {
            let through = self.leave_behind_now();
            self.coverage
                .leave_unread(minute_after(front), through.due.floor_to_minute());
        }
    }

    /// The first minute that may hold what is to be remembered of a time.
    fn first_bucket_needed(&self, due: Timestamp) -> Timestamp {
        let remembered = self.coverage.remembered_from().min(due);
        remembered
            .plus_millis(-self.config.dedupe_window_ms - TAKEN_LATE_MS_MAX)
            .floor_to_minute()
    }

    pub(crate) fn load(&mut self) {
        if !self.revisions.are_loaded() {
            if self.revisions.reading_mut().is_free(self.now) {
                let request = self.request();
                self.revisions.reading_mut().start(request);
                self.effects.push(Effect::ReadRevisions { request });
            }
            return;
        }
        if self.wants_to_read_ahead() {
            self.read_ahead();
            return;
        }
        self.ownership.enter(Phase::Replaying);
        self.decide();
    }

    pub(crate) fn loaded_revisions(&mut self, entries: Vec<RevisionEntry>) {
        self.schedules.restore(self.revisions.loaded());
        for entry in entries {
            // Before-a: what lies above, the log itself will say.
            if entry.offset < self.log.applied() {
                self.revisions.stored(entry.offset);
                // What stands in the log comes again from there, after those before it.
                if entry.offset < self.log.next() {
                    self.revise_again(&entry);
                }
            }
        }
    }

    /// A revision that a predecessor has applied and stored.
    pub(crate) fn revise_again(&mut self, entry: &RevisionEntry) {
        let cursors = Cursors {
            frontier: &self.frontier,
            told: self.ticker.told(),
        };
        let (revised, missing) = self
            .schedules
            .revise_again(entry.clone(), cursors, self.now);
        match revised {
            Revised::Refused(reason) => self.set_aside_revision(entry, reason),
            Revised::Applied if missing > 0 => {
                let reason =
                    format!("{missing} before it cannot be read; it is in force without them");
                self.set_aside_revision(entry, reason);
            }
            Revised::Applied | Revised::Ignored => {}
        }
    }
}
