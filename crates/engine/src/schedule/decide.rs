//! What becomes of an occurrence: run, wait, or left out, and why; and what of all that waits may
//! start.

use minutehand_model::limits::{OVERLAP_BUFFER_MAX, RUNS_IN_PROGRESS_MAX};
use minutehand_model::{
    MisfireRule, OverlapPolicy, RunCause, RunInProgress, ScheduleDefinition,
    ScheduleEventKind as Kind, Timestamp, WaitingRun,
};

use super::occurrence::{self, Run};
use super::segment::Occurrence;
use super::{Moment, Outbox, Schedule};
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// An occurrence that is later than this when it is decided is owed, in milliseconds: an owner that
/// is at work, or follows one that died, is not so late.
const OWED_MS: i64 = 10_000;

impl Schedule {
    /// Decides an occurrence whose time has come, in the order: rest, runs left, end, misfire,
    /// overlap.
    /// Whether the state changed.
    pub(super) fn decide(
        &mut self,
        definition: &ScheduleDefinition,
        occurrence: Occurrence,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) -> bool {
        let Occurrence { nominal, due } = occurrence;
        if self.rested_at(nominal, due, moment) {
            return false;
        }
        if self.is_used_up(definition) {
            self.remember(Kind::RunsExhausted, nominal, RunCause::Calendar, moment.now);
            for segment in &mut self.segments {
                segment.next = None;
            }
            return true;
        }
        if let Some(reason) = self.comes_too_late(definition, due, moment) {
            self.state.missed += 1;
            outbox.occurrences.missed += 1;
            outbox.left_out.push(nominal);
            self.remember(reason, nominal, RunCause::Calendar, moment.now);
            return true;
        }
        let is_awaited = definition.awaits_ends();
        let run = Run {
            nominal,
            due,
            cause: RunCause::Calendar,
            offset: self.created_offset,
            is_awaited,
        };
        self.start_or_wait(definition, definition.overlap, run, moment, outbox);
        // What had to wait by an older revision's policy may start at once by the newest one's.
        self.settle_overlap(moment, outbox);
        true
    }

    /// Whether the schedule rested when an occurrence was due: then it is not owed.
    fn rested_at(&self, nominal: Timestamp, due: Timestamp, moment: Moment<impl Rules>) -> bool {
        let counts = if moment.breaks(PlantedBug::PauseNominal) {
            nominal
        } else {
            due
        };
        self.state.rests.iter().any(|rest| rest.covers(counts))
    }

    /// Why an occurrence that is too late does not run: its schedule has ended meanwhile, or the
    /// misfire rule says so.
    fn comes_too_late(
        &self,
        definition: &ScheduleDefinition,
        due: Timestamp,
        moment: Moment<impl Rules>,
    ) -> Option<Kind> {
        let is_owed = moment.now.millis_since(due) > OWED_MS;
        let has_ended = definition.end.is_some_and(|end| end < moment.now);
        if is_owed && has_ended && !moment.breaks(PlantedBug::EndOwed) {
            return Some(Kind::Ended);
        }
        self.misfire(definition, due, moment.now)
    }

    /// What the misfire rule says of an occurrence that is late; `None` when it runs.
    fn misfire(
        &self,
        definition: &ScheduleDefinition,
        due: Timestamp,
        now: Timestamp,
    ) -> Option<Kind> {
        let policy = definition.misfire;
        let late_ms = now.millis_since(due);
        if late_ms <= policy.grace_ms {
            return None;
        }
        let is_newest = || self.next().is_none_or(|(_, next)| next.due > now);
        let too_old = (late_ms > policy.window_ms).then_some(Kind::MissedWindow);
        match policy.rule {
            MisfireRule::None => Some(Kind::MissedRule),
            MisfireRule::All => too_old,
            MisfireRule::Latest if is_newest() => too_old,
            MisfireRule::OneNow if is_newest() => None,
            MisfireRule::Latest | MisfireRule::OneNow => Some(Kind::MissedRule),
        }
    }

    /// Starts a run, unless the overlap policy says otherwise.
    pub(super) fn start_or_wait(
        &mut self,
        definition: &ScheduleDefinition,
        overlap: OverlapPolicy,
        run: Run,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        // What waits while the schedule rests keeps nothing else from running that is asked for.
        let is_free = !self.is_busy() && (self.state.buffered.is_empty() || self.is_resting());
        match overlap {
            OverlapPolicy::AllowAll => self.start(definition, run, moment, outbox),
            _ if is_free => self.start(definition, run, moment, outbox),
            OverlapPolicy::Skip => self.skip(run.nominal, run.cause, moment.now, outbox),
            OverlapPolicy::BufferOne if !self.state.buffered.is_empty() => {
                self.skip(run.nominal, run.cause, moment.now, outbox);
            }
            OverlapPolicy::BufferAll if self.state.buffered.len() >= OVERLAP_BUFFER_MAX => {
                self.skip(run.nominal, run.cause, moment.now, outbox);
            }
            OverlapPolicy::BufferOne | OverlapPolicy::BufferAll => {
                self.buffer(run, overlap != definition.overlap, moment.now);
            }
            OverlapPolicy::CancelOther => {
                self.stop_runs(definition, false, moment, outbox);
                for replaced in std::mem::take(&mut self.state.buffered) {
                    self.skip(replaced.nominal, cause_of(replaced), moment.now, outbox);
                }
                self.buffer(run, overlap != definition.overlap, moment.now);
            }
            OverlapPolicy::TerminateOther => {
                self.stop_runs(definition, true, moment, outbox);
                self.start(definition, run, moment, outbox);
            }
        }
    }

    pub(super) fn start(
        &mut self,
        definition: &ScheduleDefinition,
        run: Run,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        let now = moment.now;
        let publication = occurrence::publication(&self.namespace, &self.id, definition, run);
        if run.is_awaited {
            let timeout_ms = definition.run_timeout_ms();
            self.track(RunInProgress {
                key: publication.task.key,
                nominal: run.nominal,
                cause: run.cause,
                due: run.due,
                queue: definition.action.queue.clone(),
                started_at: now,
                timeout_ms,
                deadline: match moment.breaks(PlantedBug::RunTimeout) {
                    true => Timestamp::MAX,
                    false => now.plus_millis(timeout_ms),
                },
                retry_due: None,
                stop: None,
            });
        }
        outbox.started_bytes += publication.task.encoded.len();
        outbox.publications.push(publication);
        outbox.occurrences.started += 1;
        self.state.runs_started += 1;
        self.remember(Kind::Started, run.nominal, run.cause, now);
    }

    /// Remembers a run; when there are too many, one that was killed is forgotten, or the oldest.
    fn track(&mut self, run: RunInProgress) {
        let running = &mut self.state.running;
        if running.len() >= RUNS_IN_PROGRESS_MAX {
            let forgotten = running.iter().position(|run| !run.counts()).unwrap_or(0);
            running.remove(forgotten);
        }
        running.push(run);
    }

    fn skip(&mut self, nominal: Timestamp, cause: RunCause, now: Timestamp, outbox: &mut Outbox) {
        self.state.skipped += 1;
        outbox.occurrences.skipped += 1;
        outbox.left_out.push(nominal);
        self.remember(Kind::SkippedOverlap, nominal, cause, now);
    }

    fn buffer(&mut self, run: Run, is_alone: bool, now: Timestamp) {
        let trigger = (run.cause == RunCause::Trigger).then_some(run.offset);
        self.state.buffered.push_back(WaitingRun {
            nominal: run.nominal,
            trigger,
            is_alone,
        });
        self.remember(Kind::Buffered, run.nominal, run.cause, now);
    }

    /// Starts of what waits all that may start now: the one place that decides it, to be asked
    /// after every change. Whether anything changed. Afterwards nothing waits unless the schedule
    /// rests or something runs that is waited for.
    pub(super) fn settle_overlap(
        &mut self,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) -> bool {
        let is_resting = self.is_resting() && !moment.breaks(PlantedBug::RestStarts);
        if self.state.buffered.is_empty() || is_resting {
            return false;
        }
        let Some(definition) = self.definition().cloned() else {
            self.state.buffered.clear();
            return true;
        };
        let mut changed = false;
        while let Some(index) = self.may_start_now(&definition) {
            let Some(waiting) = self.state.buffered.remove(index) else {
                break;
            };
            changed = true;
            if let Some(reason) = self.waited_too_long(&definition, waiting, moment) {
                self.state.skipped += 1;
                self.remember(reason, waiting.nominal, cause_of(waiting), moment.now);
                continue;
            }
            let run = Run::after_waiting(waiting, self.created_offset, moment.now);
            self.start(&definition, run, moment, outbox);
            if moment.breaks(PlantedBug::SettleOne) {
                break;
            }
        }
        changed
    }

    /// The first of what waits that may start now, as far as other runs go.
    fn may_start_now(&self, definition: &ScheduleDefinition) -> Option<usize> {
        let is_busy = self.is_busy();
        let runs_side_by_side = !definition.overlap.awaits_ends();
        let may_start = |waiting: &WaitingRun| !is_busy || (runs_side_by_side && !waiting.is_alone);
        self.state.buffered.iter().position(may_start)
    }

    /// Why what has waited does not run any more: the schedule has ended, or has had its runs. What
    /// was asked for runs all the same.
    fn waited_too_long(
        &self,
        definition: &ScheduleDefinition,
        waiting: WaitingRun,
        moment: Moment<impl Rules>,
    ) -> Option<Kind> {
        if waiting.trigger.is_some() || moment.breaks(PlantedBug::EndBuffer) {
            return None;
        }
        if definition.end.is_some_and(|end| end < moment.now) {
            return Some(Kind::Ended);
        }
        definition
            .runs_max
            .is_some_and(|max| self.state.runs_started >= max)
            .then_some(Kind::RunsExhausted)
    }

    /// Whether something waits that could start: never, after [`Schedule::settle_overlap`].
    pub(super) fn is_stranded(&self) -> bool {
        let may_start = self
            .definition()
            .and_then(|definition| self.may_start_now(definition));
        may_start.is_some() && !self.is_resting()
    }
}

pub(super) fn cause_of(waiting: WaitingRun) -> RunCause {
    if waiting.trigger.is_some() {
        RunCause::Trigger
    } else {
        RunCause::Calendar
    }
}
