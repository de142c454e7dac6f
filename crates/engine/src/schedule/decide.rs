//! What becomes of an occurrence: run, wait, or left out, and why.

use minutehand_model::limits::OVERLAP_BUFFER_MAX;
use minutehand_model::{
    MisfireRule, OutcomeKind, OverlapPolicy, ScheduleDefinition, ScheduleEventKind as Kind, StopRequest,
    TaskKey, Timestamp, WaitingRun,
};

use super::occurrence::{self, Run};
use super::segment::Occurrence;
use super::{Outbox, Schedule};

impl Schedule {
    /// Decides an occurrence whose time has come, in the order: pause, runs left, misfire, overlap.
    pub(super) fn decide(
        &mut self,
        definition: &ScheduleDefinition,
        occurrence: Occurrence,
        now: Timestamp,
        outbox: &mut Outbox,
    ) {
        let Occurrence { nominal, due } = occurrence;
        if self.state.paused_by_failure_at.is_some_and(|paused_at| nominal > paused_at) {
            return;
        }
        if self.has_had_its_runs(definition, nominal, now) {
            return;
        }
        if let Some(reason) = self.misfire(definition, due, now) {
            self.state.missed += 1;
            self.remember(reason, nominal, now);
            return;
        }
        let run = Run { nominal, due, suffix: "", offset: self.created_offset };
        self.start_or_wait(definition, definition.overlap, run, now, outbox);
    }

    /// Whether the schedule has used up `runs_max`; then it owes nothing any more.
    fn has_had_its_runs(
        &mut self,
        definition: &ScheduleDefinition,
        nominal: Timestamp,
        now: Timestamp,
    ) -> bool {
        let waiting = self.state.buffered.len() as u64;
        if definition.runs_max.is_none_or(|max| self.state.runs_started + waiting < max) {
            return false;
        }
        self.remember(Kind::RunsExhausted, nominal, now);
        for segment in &mut self.segments {
            segment.next = None;
        }
        true
    }

    /// Why an occurrence that is too late does not run; `None` when it does.
    fn misfire(&self, definition: &ScheduleDefinition, due: Timestamp, now: Timestamp) -> Option<Kind> {
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
        run: Run<'_>,
        now: Timestamp,
        outbox: &mut Outbox,
    ) {
        let busy = !self.state.running.is_empty();
        match overlap {
            OverlapPolicy::AllowAll => self.start(definition, run, now, outbox),
            _ if !busy && self.state.buffered.is_empty() => self.start(definition, run, now, outbox),
            OverlapPolicy::Skip => self.skip(run.nominal, now),
            OverlapPolicy::BufferOne if !self.state.buffered.is_empty() => self.skip(run.nominal, now),
            OverlapPolicy::BufferAll if self.state.buffered.len() >= OVERLAP_BUFFER_MAX => {
                self.skip(run.nominal, now);
            }
            OverlapPolicy::BufferOne | OverlapPolicy::BufferAll => self.buffer(run, now),
            OverlapPolicy::CancelOther => {
                if self.state.buffered.is_empty() {
                    self.stop_running(definition, false, now, outbox);
                }
                for replaced in std::mem::take(&mut self.state.buffered) {
                    self.skip(replaced.nominal, now);
                }
                self.buffer(run, now);
            }
            OverlapPolicy::TerminateOther => {
                self.stop_running(definition, true, now, outbox);
                self.state.running.clear();
                self.start(definition, run, now, outbox);
            }
        }
    }

    fn start(&mut self, definition: &ScheduleDefinition, run: Run<'_>, now: Timestamp, outbox: &mut Outbox) {
        outbox.publications.push(occurrence::publication(&self.namespace, &self.id, definition, run));
        self.state.runs_started += 1;
        if definition.overlap != OverlapPolicy::AllowAll {
            self.state.running.push(run.nominal);
        }
        self.remember(Kind::Started, run.nominal, now);
    }

    fn skip(&mut self, nominal: Timestamp, now: Timestamp) {
        self.state.skipped += 1;
        self.remember(Kind::SkippedOverlap, nominal, now);
    }

    fn buffer(&mut self, run: Run<'_>, now: Timestamp) {
        let trigger = (run.suffix == occurrence::TRIGGERED).then_some(run.offset);
        self.state.buffered.push_back(WaitingRun { nominal: run.nominal, trigger });
        self.remember(Kind::Buffered, run.nominal, now);
    }

    fn stop_running(
        &mut self,
        definition: &ScheduleDefinition,
        kill: bool,
        now: Timestamp,
        outbox: &mut Outbox,
    ) {
        for nominal in self.state.running.clone() {
            // The state knows the nominal time only; the run may also have been started by request.
            for suffix in ["", occurrence::TRIGGERED, occurrence::BACKFILLED] {
                let id = occurrence::task_id(&self.id, nominal, suffix);
                outbox.stops.push(StopRequest {
                    queue: definition.action.queue.clone(),
                    key: TaskKey::of(self.namespace.as_str(), id.as_str()),
                    due: nominal,
                    kill,
                });
            }
            self.remember(Kind::CancelRequested, nominal, now);
        }
    }

    /// Takes note of the end of a run and starts what waited for it.
    pub(super) fn complete(
        &mut self,
        nominal: Timestamp,
        kind: OutcomeKind,
        at: Timestamp,
        outbox: &mut Outbox,
    ) {
        if let Some(position) = self.state.running.iter().position(|running| *running == nominal) {
            self.state.running.remove(position);
        }
        let failed = kind == OutcomeKind::Dead;
        self.remember(if failed { Kind::Failed } else { Kind::Succeeded }, nominal, at);
        let Some(definition) = self.definition().cloned() else { return };
        if failed && definition.pause_on_failure {
            self.state.paused_by_failure_at = Some(at.max(nominal));
            self.remember(Kind::PausedByFailure, nominal, at);
            return;
        }
        if self.state.running.is_empty()
            && let Some(waiting) = self.state.buffered.pop_front()
        {
            self.start(&definition, Run::after_waiting(waiting, self.created_offset), at, outbox);
        }
    }

    /// Runs what the oldest backfills ask for; whether the state changed.
    pub(super) fn run_backfill(&mut self, now: Timestamp, count_max: usize, outbox: &mut Outbox) -> bool {
        let Some(definition) = self.definition().cloned() else {
            self.state.backfills.clear();
            return true;
        };
        let Ok(calendar) = super::compile(&definition) else {
            self.state.backfills.clear();
            return true;
        };
        let mut changed = false;
        for _ in 0..count_max {
            let may_start = definition.overlap == OverlapPolicy::AllowAll
                || (self.state.running.is_empty() && self.state.buffered.is_empty());
            let Some((after, to)) = self.state.backfills.front().copied() else { break };
            if !may_start {
                break;
            }
            changed = true;
            let next = calendar.next_after(after).filter(|nominal| *nominal <= to);
            let had_all = definition.runs_max.is_some_and(|max| self.state.runs_started >= max);
            let Some(nominal) = next.filter(|_| !had_all) else {
                self.state.backfills.pop_front();
                continue;
            };
            self.state.backfills[0].0 = nominal;
            let run = Run { nominal, due: now, suffix: occurrence::BACKFILLED, offset: self.created_offset };
            self.start(&definition, run, now, outbox);
        }
        changed
    }
}
