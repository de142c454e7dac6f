//! Reading schedules: one, many, and their revisions.

use minutehand_engine::{KnownSchedule, Phase};
use minutehand_model::limits::PAGE_BYTES_MAX;
use minutehand_model::{
    Namespace, OrderKey, PartitionId, Revision, RevisionEntry, RunCause, ScheduleEventKind,
    ScheduleId, ScheduleState, TaskKey, Timestamp,
};

use super::ScheduleName;
use super::view::{RunView, ScheduleHead, SchedulePage, ScheduleView};
use super::why::why;
use crate::gateway::step::Step;
use crate::gateway::wait::not_ready;
use crate::gateway::{
    FindSchedule, Gateway, InvalidField, ListSchedules, LookupError, QueryError, TaskState,
    Unavailable,
};

/// Runs whose outcomes are looked up for one schedule.
const RECENT_RUNS: usize = 5;
/// Most schedules on a page.
const PAGE_SCHEDULES_MAX: usize = 1_000;

impl Gateway {
    /// The head of a schedule that is not deleted.
    ///
    /// # Errors
    /// When there is none, or the partition does not answer.
    pub async fn schedule_head(&self, name: &ScheduleName) -> Result<ScheduleHead, LookupError> {
        let partition = name.partition(self.owners.partitions());
        self.caught_up(partition).await?;
        let known = self.known_schedule(partition, name).await?;
        let living = known.filter(|known| {
            let revision = &known.head.revision;
            revision.definition.is_some() && name.is_of(revision)
        });
        living
            .map(|known| head(partition, known))
            .ok_or_else(|| name.not_found())
    }

    /// What the owner knows of a schedule, deleted or not.
    pub(super) async fn known_schedule(
        &self,
        partition: PartitionId,
        name: &ScheduleName,
    ) -> Result<Option<KnownSchedule>, Unavailable> {
        let query = FindSchedule {
            namespace: name.namespace.clone(),
            id: name.id.clone(),
        };
        let known = self.owners.ask(partition, query).await;
        let known = known.ok_or_else(|| not_ready(partition, None))?;
        Ok(known.map(|known| *known))
    }

    /// A schedule with everything that answers "why has it not run?".
    ///
    /// # Errors
    /// When there is none, or the partition or the history does not answer.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<ScheduleView, LookupError> {
        let schedule = self.schedule_head(name).await?;
        let status = self.owners.status(schedule.partition);
        let owner_phase = status.map_or(Phase::Unowned, |status| status.borrow().phase);
        let runs = self.recent_runs(name, &schedule.state).await?;
        let why = why(&schedule, owner_phase, &runs, self.now());
        Ok(ScheduleView {
            schedule,
            owner_phase,
            runs,
            why,
        })
    }

    async fn recent_runs(
        &self,
        name: &ScheduleName,
        state: &ScheduleState,
    ) -> Result<Vec<RunView>, Unavailable> {
        let mut started: Vec<(Timestamp, RunCause)> = state
            .events
            .iter()
            .filter(|event| event.kind == ScheduleEventKind::Started)
            .map(|event| (event.nominal, event.cause))
            .collect();
        started.reverse();
        started.dedup();
        let mut runs = Vec::new();
        for (nominal, cause) in started.into_iter().take(RECENT_RUNS) {
            runs.push(self.run(name, nominal, cause, state).await?);
        }
        Ok(runs)
    }

    async fn run(
        &self,
        name: &ScheduleName,
        nominal: Timestamp,
        cause: RunCause,
        state: &ScheduleState,
    ) -> Result<RunView, Unavailable> {
        let task_id = cause.task_id(&name.id, nominal);
        let order_key = name.order_key.as_ref().map(OrderKey::as_str);
        let key = TaskKey::of_keyed(name.namespace.as_str(), task_id.as_str(), order_key);
        let last_outcome = self.stores.history.outcomes(key).await?.pop();
        let is_running = state.running.iter().any(|run| run.key == key);
        let told = last_outcome
            .as_ref()
            .filter(|_| !is_running)
            .map(|outcome| outcome.kind.into());
        let state = told.unwrap_or(TaskState::Published);
        Ok(RunView {
            task_id: task_id.to_string(),
            nominal,
            state,
            last_outcome,
        })
    }

    /// The schedules of a namespace, in order of their ids.
    ///
    /// # Errors
    /// A refused limit, or a partition that does not answer.
    pub async fn schedules(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&ScheduleId>,
        count_max: usize,
    ) -> Result<SchedulePage, QueryError> {
        if !(1..=PAGE_SCHEDULES_MAX).contains(&count_max) {
            let limit = format!("1 to {PAGE_SCHEDULES_MAX}");
            return Err(InvalidField::new("limit", "is out of range", limit, count_max).into());
        }
        let bytes_max = PAGE_BYTES_MAX / self.owners.partitions().max(1) as usize;
        let (mut found, mut known_until) = (Vec::new(), None::<ScheduleId>);
        for partition in self.every_partition() {
            self.caught_up(partition).await?;
            let range = (prefix, after);
            let (living, is_cut) = self
                .living_schedules(partition, namespace, range, count_max + 1, bytes_max)
                .await?;
            let last = living
                .last()
                .filter(|_| is_cut)
                .map(|last| last.head.revision.schedule.clone());
            known_until = known_until.into_iter().chain(last).min();
            found.extend(living);
        }
        found.sort_by(|a, b| a.head.revision.schedule.cmp(&b.head.revision.schedule));
        if let Some(until) = &known_until {
            found.retain(|schedule| schedule.head.revision.schedule <= *until);
        }
        let more = known_until.is_some() || found.len() > count_max;
        found.truncate(count_max);
        let next = found
            .last()
            .filter(|_| more)
            .map(|last| last.head.revision.schedule.clone());
        Ok(SchedulePage {
            schedules: found,
            next,
        })
    }

    /// Up to `count_max` schedules of one partition that are not deleted, of about so many bytes;
    /// whether it was the bytes that ended them.
    async fn living_schedules(
        &self,
        partition: PartitionId,
        namespace: &Namespace,
        (prefix, after): (&str, Option<&ScheduleId>),
        count_max: usize,
        bytes_max: usize,
    ) -> Result<(Vec<ScheduleHead>, bool), Unavailable> {
        let (mut living, mut bytes) = (Vec::new(), 0);
        let (mut after, mut step) = (after.cloned(), Step::new(count_max));
        loop {
            let asked = step.count();
            let query = ListSchedules {
                namespace: namespace.clone(),
                after,
                prefix: prefix.to_owned(),
                count_max: asked,
            };
            let page = self.owners.ask(partition, query).await;
            let page = page.ok_or_else(|| not_ready(partition, None))?;
            let is_last = page.len() < asked;
            after = page.last().map(|last| last.head.revision.schedule.clone());
            let came = page.iter().map(|known| size(&known.head.revision)).sum();
            step.came(page.len(), came);
            bytes += came;
            let heads = page.into_iter().map(|known| head(partition, known));
            living.extend(heads.filter(|schedule| schedule.head.revision.definition.is_some()));
            if is_last || living.len() >= count_max || (bytes >= bytes_max && !living.is_empty()) {
                let is_cut = !is_last && living.len() < count_max;
                living.truncate(count_max);
                return Ok((living, is_cut));
            }
        }
    }

    /// Every revision of a schedule, oldest first; also of one that was deleted.
    ///
    /// # Errors
    /// When there was never one, or the partition or the store does not answer.
    pub async fn revisions(&self, name: &ScheduleName) -> Result<Vec<RevisionEntry>, LookupError> {
        let partition = name.partition(self.owners.partitions());
        self.caught_up(partition).await?;
        // Memory before store: what leaves memory has been stored by then.
        let head = self
            .known_schedule(partition, name)
            .await?
            .map(|known| known.head);
        let turn = self.scans.acquire().await;
        let timetable = &self.stores.timetable;
        let stored = timetable.read_revisions_of(partition, &name.namespace, &name.id);
        let mut revisions = stored.await.map_err(Unavailable::from)?;
        drop(turn);
        revisions.extend(head);
        revisions.sort_by_key(|entry| (entry.revision.number, entry.offset));
        // Of one number the first counts: a later one was ignored.
        revisions.dedup_by_key(|entry| entry.revision.number);
        match revisions.is_empty() {
            true => Err(name.not_found()),
            false => Ok(revisions),
        }
    }
}

pub(super) fn head(partition: PartitionId, known: KnownSchedule) -> ScheduleHead {
    ScheduleHead {
        partition,
        head: known.head,
        state: known.state,
        next: known.next,
    }
}

/// What a revision takes in an answer, about.
fn size(revision: &Revision) -> usize {
    const FRAME_BYTES: usize = 1_024;
    let action = revision
        .definition
        .as_ref()
        .map(|definition| &definition.action);
    FRAME_BYTES + action.map_or(0, |action| action.payload.len())
}
