//! How runs end: told by a worker, cancelled while a retry waits, or given up because nothing was
//! heard of them; and how they are asked to stop.
//!
//! A request to stop is repeated until the end of the run is told: the worker that took it may have
//! died with it. It reaches a run that waits for its retry as well: the retry is cancelled in the
//! log, and not published meanwhile.

use minutehand_model::{
    Command, OutcomeKind, RunInProgress, ScheduleDefinition, ScheduleEventKind as Kind, StopAsked,
    StopRequest, TaskKey, Timestamp,
};

use super::{Moment, Outbox, Schedule};
use crate::planted::PlantedBug;
use crate::rules::Rules;

impl Schedule {
    /// Takes note of the end of a run, and starts what waited for it. Whether there was such a run.
    pub(super) fn complete(
        &mut self,
        key: TaskKey,
        due: Option<Timestamp>,
        kind: OutcomeKind,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) -> bool {
        let told = match kind {
            OutcomeKind::Succeeded => Kind::Succeeded,
            // A retry is no end; who says so all the same has nothing more to say.
            OutcomeKind::Dead | OutcomeKind::Retried => Kind::Failed,
            OutcomeKind::Cancelled => Kind::Cancelled,
            OutcomeKind::Lost => Kind::Lost,
            OutcomeKind::Expired => Kind::Expired,
        };
        let takes_any = moment.breaks(PlantedBug::EndAny);
        let is_meant = |run: &RunInProgress| {
            run.key == key && (takes_any || due.is_none_or(|due| run.due == due))
        };
        let Some(index) = self.state.running.iter().position(is_meant) else {
            return false;
        };
        self.end(index, told, moment, outbox);
        true
    }

    /// The run at this index has ended, or is forgotten.
    fn end(&mut self, index: usize, kind: Kind, moment: Moment<impl Rules>, outbox: &mut Outbox) {
        let run = self.state.running.remove(index);
        self.remember(kind, run.nominal, run.cause, moment.now);
        self.pause_after(kind, &run, moment.now);
        if !moment.breaks(PlantedBug::EndSettles) {
            self.settle_overlap(moment, outbox);
        }
    }

    /// A schedule that is to pause on failure does so after a run that did not end well, and was
    /// not asked to stop.
    fn pause_after(&mut self, kind: Kind, run: &RunInProgress, now: Timestamp) {
        let has_failed = run.stop.is_none()
            && matches!(
                kind,
                Kind::Failed | Kind::Lost | Kind::Expired | Kind::TimedOut
            );
        let pauses = self
            .definition()
            .is_some_and(|definition| definition.pause_on_failure);
        if has_failed && pauses && self.state.paused_by_failure_at.is_none() {
            self.state.paused_by_failure_at = Some(now);
            self.begin_rest(now);
            self.remember(Kind::PausedByFailure, run.nominal, run.cause, now);
        }
    }

    /// A run is to be tried again at a time: it goes on, and nothing need be heard of it before
    /// then. What was asked to stop is not tried again.
    pub(super) fn retried(
        &mut self,
        key: TaskKey,
        first_due: Timestamp,
        due: Timestamp,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        let Some(run) = self
            .state
            .running
            .iter_mut()
            .find(|run| run.is(key, first_due))
        else {
            return;
        };
        if due <= run.due {
            return;
        }
        run.retried(due, moment.now);
        if run.stop.is_some() && !moment.breaks(PlantedBug::StoppedRetries) {
            outbox.derived.push(Command::Cancel { key, due });
        }
    }

    /// A task was cancelled: when it was the retry of a run that waited for it, the run has ended.
    pub(super) fn cancelled(
        &mut self,
        key: TaskKey,
        due: Timestamp,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        let waits = |run: &RunInProgress| run.key == key && run.retry_due == Some(due);
        if let Some(index) = self.state.running.iter().position(waits)
            && !moment.breaks(PlantedBug::RetryCancelled)
        {
            self.end(index, Kind::Cancelled, moment, outbox);
        }
    }

    /// A task was moved: when it was the retry of a run, the run goes on at the new time.
    pub(super) fn moved(&mut self, key: TaskKey, due: Timestamp, to: Timestamp, now: Timestamp) {
        let waits = |run: &&mut RunInProgress| run.key == key && run.retry_due == Some(due);
        if let Some(run) = self.state.running.iter_mut().find(waits) {
            run.retried(to, now);
        }
    }

    /// Asks the runs that count to stop, or kills them; those that have been asked are not asked
    /// again, but may be killed.
    pub(super) fn stop_runs(
        &mut self,
        definition: &ScheduleDefinition,
        kill: bool,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        for index in 0..self.state.running.len() {
            let run = &self.state.running[index];
            if run.counts() && (kill || run.stop.is_none()) {
                let (nominal, cause) = (run.nominal, run.cause);
                self.remember(Kind::CancelRequested, nominal, cause, moment.now);
                self.stop(index, kill, Some(definition), moment, outbox);
            }
        }
    }

    fn stop(
        &mut self,
        index: usize,
        kill: bool,
        definition: Option<&ScheduleDefinition>,
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) {
        let run = &mut self.state.running[index];
        let stop = StopAsked::now(kill, moment.now);
        run.stop = Some(stop);
        let mut request = request_to_stop(run, stop);
        if moment.breaks(PlantedBug::StopNominal) {
            request.due = run.nominal;
        }
        if let Some(definition) = definition.filter(|_| moment.breaks(PlantedBug::StopQueue)) {
            request.queue = definition.action.queue.clone();
        }
        outbox.stops.push(request);
        if let Some(due) = run
            .retry_due
            .filter(|_| !moment.breaks(PlantedBug::StoppedRetries))
        {
            outbox.derived.push(Command::Cancel { key: run.key, due });
        }
    }

    /// Gives up the runs of which nothing has been heard for too long, and asks those again that do
    /// not stop. Whether the state changed.
    pub(super) fn ring(&mut self, moment: Moment<impl Rules>, outbox: &mut Outbox) -> bool {
        let mut changed = false;
        let mut index = 0;
        while index < self.state.running.len() {
            let run = &mut self.state.running[index];
            if run.deadline <= moment.now {
                changed = true;
                if !run.counts() {
                    // It was killed that long ago: whoever ran it is gone.
                    self.state.running.remove(index);
                    continue;
                }
                run.deadline = moment.now.plus_millis(run.timeout_ms);
                let given_up = run.clone();
                self.remember(Kind::TimedOut, given_up.nominal, given_up.cause, moment.now);
                self.stop(index, true, None, moment, outbox);
                self.pause_after(Kind::TimedOut, &given_up, moment.now);
            } else if let Some(stop) = run.stop.filter(|stop| stop.again_at <= moment.now) {
                changed = true;
                let stop = stop.again(moment.now);
                run.stop = Some(stop);
                if !moment.breaks(PlantedBug::StopOnce) {
                    outbox.stops.push(request_to_stop(run, stop));
                }
            }
            index += 1;
        }
        self.settle_overlap(moment, outbox) || changed
    }

    /// Nothing waits any longer for the runs in progress.
    pub(super) fn forget_runs(&mut self, moment: Moment<impl Rules>, outbox: &mut Outbox) -> bool {
        let forgotten = std::mem::take(&mut self.state.running);
        for run in &forgotten {
            self.remember(Kind::Forgotten, run.nominal, run.cause, moment.now);
        }
        self.settle_overlap(moment, outbox) || !forgotten.is_empty()
    }

    /// When time alone brings something about.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.state.running.iter().map(RunInProgress::wakes_at).min()
    }

    /// Whether an attempt of a run is not to be published: the run was asked to stop before.
    pub(super) fn withholds(&self, key: TaskKey, first_due: Timestamp, attempt: u32) -> bool {
        attempt > 1
            && self
                .state
                .running
                .iter()
                .any(|run| run.is(key, first_due) && run.stop.is_some())
    }
}

fn request_to_stop(run: &RunInProgress, stop: StopAsked) -> StopRequest {
    StopRequest {
        queue: run.queue.clone(),
        key: run.key,
        due: run.due,
        kill: stop.kill,
    }
}
