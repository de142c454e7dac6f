//! What the gateway tells, as the API answers it.

use minutehand_api::{self as api, time_text};
use minutehand_model::limits::REASON_BYTES_MAX;
use minutehand_model::{
    Branch, Gate, Namespace, NamespaceRules, OrderKey, Outcome, OutcomeKind, RevisionEntry,
    RunInProgress, ScheduleId, ScheduleState, Stopping, Tally, Task, TaskId, Timestamp, Verdict,
};
use minutehand_node::{
    Created, LetterView, MinuteAudit, MinuteLoad, PartitionView, Preview, QueueView, Replayed,
    RunRequested, RunView, ScheduleHead, ScheduleView, TaskView,
};
use minutehand_worker::Leased;

use crate::lease_places::{self, LeasePlaces};

pub(crate) fn task_handle(
    namespace: &Namespace,
    (id, key): (&TaskId, Option<&OrderKey>),
    created: &Created,
) -> api::TaskHandle {
    api::TaskHandle {
        namespace: namespace.to_string(),
        id: id.to_string(),
        key: key.map(ToString::to_string),
        partition: created.handle.partition.into(),
        due_at: time_text(created.handle.due),
        offset: created.handle.offset.into(),
    }
}

pub(crate) fn task(view: &TaskView) -> api::Task {
    let task = view.task.as_ref();
    api::Task {
        namespace: view.namespace.to_string(),
        id: view.id.to_string(),
        key: view.order_key.as_ref().map(ToString::to_string),
        partition: view.partition.into(),
        offset: view.offset.map(api::Offset::from),
        state: view.state,
        due_at: time_text(view.due),
        attempt: view.attempt,
        queue: task
            .map(|task| task.queue.to_string())
            .or_else(|| queue_of(&view.outcomes)),
        payload: task
            .map(|task| api::Payload::from(&task.payload))
            .unwrap_or_default(),
        headers: task
            .map(|task| task.headers.iter().cloned().collect())
            .unwrap_or_default(),
        retry: task.map(|task| task.retry.into()),
        guarantee: task.map(|task| task.guarantee),
        precision: task.map(|task| task.precision),
        priority: task.map(|task| task.priority.level()),
        schedule: task
            .and_then(|task| task.origin.as_ref())
            .map(|origin| origin.schedule.to_string()),
        on_success: task.and_then(|task| chained(task, Branch::Success)),
        on_failure: task.and_then(|task| chained(task, Branch::Failure)),
        result: result(&view.outcomes),
        outcomes: view.outcomes.iter().map(outcome).collect(),
    }
}

/// The queue that the last attempt went to.
fn queue_of(outcomes: &[Outcome]) -> Option<String> {
    let task = outcomes.last()?.task.as_ref()?;
    Some(task.queue.to_string())
}

/// What the last success has said.
fn result(outcomes: &[Outcome]) -> Option<String> {
    let mut successes = outcomes
        .iter()
        .filter(|outcome| outcome.kind == OutcomeKind::Succeeded);
    let said = &successes.next_back()?.detail;
    (!said.is_empty()).then(|| said.clone())
}

fn chained(task: &Task, branch: Branch) -> Option<api::ChainedTask> {
    task.chain.on(branch).map(api::ChainedTask::from)
}

/// As much as is shown of what an attempt said.
fn beginning(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(REASON_BYTES_MAX)]
}

fn outcome(outcome: &Outcome) -> api::Outcome {
    api::Outcome {
        execution_id: outcome.execution.to_string(),
        attempt: outcome.attempt,
        outcome: outcome.kind,
        detail: beginning(&outcome.detail).to_owned(),
        started_at: time_text(outcome.started_at),
        ended_at: time_text(outcome.ended_at),
    }
}

pub(crate) fn lease(leased: &Leased, places: Option<&LeasePlaces>) -> api::Lease {
    let execution = leased.execution();
    let task = &execution.task;
    api::Lease {
        lease_id: lease_places::written(leased.id, places),
        delivery_token: execution.token.to_string(),
        execution_id: execution.id.to_string(),
        message_id: execution.message.to_string(),
        namespace: task.namespace.to_string(),
        task_id: task.id.to_string(),
        key: task.order_key.as_ref().map(ToString::to_string),
        schedule: task
            .origin
            .as_ref()
            .map(|origin| origin.schedule.to_string()),
        due_at: time_text(task.due),
        attempt: task.attempt,
        payload: (&task.payload).into(),
        headers: task.headers.iter().cloned().collect(),
        expires_at: time_text(leased.expires_at),
    }
}

pub(crate) fn queue(view: &QueueView, group: &str) -> api::Queue {
    api::Queue {
        queue: view.name.to_string(),
        group: group.to_owned(),
        state: view.state,
        waiting: view.depth.waiting,
        oldest_at: view.oldest_at.map(time_text),
        in_progress: view.depth.in_progress,
        settled: view.depth.settled,
        dead_letters: view.depth.dead_letters,
        paused: view.rules.gate.as_ref().map(paused),
        per_second_max: view.rules.per_second_max,
        concurrency_per_key: view.rules.per_key_max,
        namespace_per_second: view.rules.of_each_namespace.per_second_max,
        namespaces: view
            .rules
            .of_namespaces
            .iter()
            .map(|(namespace, rules)| (namespace.to_string(), namespace_limit(rules)))
            .collect(),
        breaker: view.rules.breaker.as_ref().map(|breaker| api::BreakerTold {
            failures: breaker.failures_max,
            probe_every: api::duration_text(breaker.probe_every_ms),
            drain_per_second: breaker.drain_per_second,
        }),
        purged_through: view
            .rules
            .purge
            .as_ref()
            .map(|purge| time_text(purge.through)),
    }
}

fn namespace_limit(rules: &NamespaceRules) -> api::NamespaceLimit {
    api::NamespaceLimit {
        weight: Some(u64::from(rules.weight)),
        per_second: rules.per_second_max.map(u64::from),
    }
}

fn paused(gate: &Gate) -> api::Paused {
    let opened = gate.opened.as_ref();
    api::Paused {
        since: time_text(gate.closed_at),
        by: gate.closed_by.clone(),
        reason: (!gate.reason.is_empty()).then(|| gate.reason.clone()),
        until: gate.until.map(time_text),
        probe_every: gate.probe_every_ms.map(api::duration_text),
        drain_per_second: gate.drain_per_second,
        opened_at: opened.map(|opened| time_text(opened.at)),
        opened_by: opened.map(|opened| opened.by.clone()),
    }
}

pub(crate) fn dead_letter(view: &LetterView) -> api::DeadLetter {
    let task = view.task.as_ref().ok();
    api::DeadLetter {
        number: view.number,
        queue: view.letter.queue.to_string(),
        partition: view.letter.partition.into(),
        namespace: task.map(|task| task.namespace.to_string()),
        id: task.map(|task| task.id.to_string()),
        due_at: task.map(|task| time_text(task.due)),
        dead_at: time_text(view.letter.at),
        attempts: view.letter.attempts,
        reason: view.letter.reason.clone(),
        payload: task
            .map(|task| api::Payload::from(&task.payload))
            .unwrap_or_default(),
        unreadable: view.task.as_ref().err().cloned(),
    }
}

pub(crate) fn dead_letters_settled(replayed: &Replayed) -> api::DeadLettersSettled {
    api::DeadLettersSettled {
        count: replayed.count,
        unreadable: replayed.unreadable,
        more: replayed.more,
    }
}

pub(crate) fn partition(view: &PartitionView) -> api::Partition {
    let status = &view.status;
    let shown = |at: Timestamp| {
        (at.as_millis() > 0 && at <= Timestamp::END_OF_YEAR_9999).then(|| time_text(at))
    };
    api::Partition {
        partition: view.partition.into(),
        phase: view.phase,
        epoch: status.epoch.0,
        applied: status.applied.into(),
        log_end: status.log_end.into(),
        replay_from: status.replay_from.into(),
        set_aside: status.set_aside,
        published_until: shown(status.published_until()),
        loaded_until: shown(status.loaded_until),
        near_tasks: status.near_tasks,
        near_bytes: status.near_bytes,
        pending_entries: status.pending_entries,
        backlog_tasks: status.backlog_tasks,
        backlog_schedules: status.backlog_schedules,
        backlog_is_partly_unread: status.backlog_is_partly_unread,
        backlog_oldest: status.backlog_oldest.and_then(shown),
        memory_bytes: status.memory_bytes,
        reason: status.stop_reason.clone(),
    }
}

pub(crate) fn audit(minute: Timestamp, audits: &[MinuteAudit]) -> api::Audit {
    let worst = audits.iter().map(MinuteAudit::verdict).max();
    api::Audit {
        minute: time_text(minute.floor_to_minute()),
        verdict: worst.unwrap_or(Verdict::Open),
        partitions: audits.iter().map(partition_audit).collect(),
    }
}

fn partition_audit(audit: &MinuteAudit) -> api::PartitionAudit {
    let tally = audit.tally();
    let of = |number: fn(&Tally) -> u64| tally.as_ref().map_or(0, number);
    api::PartitionAudit {
        partition: audit.partition.into(),
        verdict: audit.verdict(),
        differences: audit.differences(),
        expected: of(Tally::expected),
        published: of(|tally| tally.published.count),
        late: of(|tally| tally.late),
        recurring: of(|tally| tally.recurring),
        early: of(|tally| tally.early),
        withdrawn: of(|tally| tally.withdrawn),
        left_out: of(|tally| tally.left_out),
        stored: of(|tally| tally.stored.count),
        found: audit.found().map(|found| found.count),
        dead_letters: audit.dead_letters,
        digest: format!("{:016x}", of(|tally| tally.published.digest)),
        closed_before: audit.closed_before.map(time_text),
    }
}

pub(crate) fn minute_load((minute, load): (Timestamp, MinuteLoad)) -> api::MinuteLoad {
    let MinuteLoad {
        stored,
        in_memory,
        bytes,
    } = load;
    api::MinuteLoad {
        minute: time_text(minute),
        tasks: stored + in_memory,
        stored,
        in_memory,
        bytes,
    }
}

pub(crate) fn schedule(schedule: &ScheduleHead) -> api::Schedule {
    let revision = &schedule.head.revision;
    let state = schedule
        .state
        .status(revision.paused, schedule.next.is_some());
    api::Schedule {
        namespace: revision.namespace.to_string(),
        id: revision.schedule.to_string(),
        revision: revision.number,
        partition: schedule.partition.into(),
        state,
        paused: revision.paused,
        note: revision.note.clone(),
        author: revision.author.clone(),
        revised_at: time_text(schedule.head.appended_at),
        next_nominal_at: schedule.next.map(|(nominal, _)| time_text(nominal)),
        next_at: schedule.next.map(|(_, due)| time_text(due)),
        definition: revision.definition.as_ref().map(api::Definition::from),
    }
}

pub(crate) fn schedule_details(view: &ScheduleView) -> api::ScheduleDetails {
    let state: &ScheduleState = &view.schedule.state;
    let id = &view.schedule.head.revision.schedule;
    api::ScheduleDetails {
        schedule: schedule(&view.schedule),
        owner: view.owner_phase,
        why: view.why.clone(),
        counts: api::Counts {
            started: state.runs_started,
            skipped: state.skipped,
            missed: state.missed,
        },
        running: state
            .runs_that_count()
            .map(|run| time_text(run.nominal))
            .collect(),
        runs_in_progress: state
            .running
            .iter()
            .map(|run| run_in_progress(id, run))
            .collect(),
        waiting: state
            .buffered
            .iter()
            .map(|waiting| time_text(waiting.nominal))
            .collect(),
        backfills: backfills(state),
        events: state
            .events
            .iter()
            .rev()
            .map(|event| api::Event {
                what: event.kind.as_str().to_owned(),
                nominal_at: time_text(event.nominal),
                at: time_text(event.at),
            })
            .collect(),
        runs: view.runs.iter().map(run).collect(),
    }
}

pub(crate) fn backfills(state: &ScheduleState) -> Vec<api::Backfill> {
    let one = |backfill: &minutehand_model::Backfill| api::Backfill {
        id: backfill.offset.to_string(),
        after: time_text(backfill.after),
        to: time_text(backfill.to),
    };
    state.backfills.iter().map(one).collect()
}

fn run_in_progress(schedule: &ScheduleId, run: &RunInProgress) -> api::RunInProgress {
    api::RunInProgress {
        task_id: run.cause.task_id(schedule, run.nominal).to_string(),
        nominal_at: time_text(run.nominal),
        due_at: time_text(run.due),
        queue: run.queue.to_string(),
        started_at: time_text(run.started_at),
        retry_at: run.retry_due.map(time_text),
        deadline_at: time_text(run.deadline),
        stopping: match run.stop {
            None => Stopping::No,
            Some(stop) if stop.kill => Stopping::Killed,
            Some(_) => Stopping::Asked,
        },
    }
}

fn run(run: &RunView) -> api::Run {
    let outcome = run.last_outcome.as_ref();
    api::Run {
        task_id: run.task_id.clone(),
        nominal_at: time_text(run.nominal),
        state: run.state,
        attempt: outcome.map(|outcome| outcome.attempt),
        detail: outcome
            .map(|outcome| beginning(&outcome.detail).to_owned())
            .filter(|detail| !detail.is_empty()),
        ended_at: outcome.map(|outcome| time_text(outcome.ended_at)),
    }
}

pub(crate) fn revision(entry: &RevisionEntry) -> api::Revision {
    let revision = &entry.revision;
    api::Revision {
        revision: revision.number,
        revised_at: time_text(entry.appended_at),
        author: revision.author.clone(),
        note: revision.note.clone(),
        paused: revision.paused,
        deleted: revision.definition.is_none(),
        definition: revision.definition.as_ref().map(api::Definition::from),
    }
}

pub(crate) fn preview(preview: Preview) -> api::SchedulePreview {
    let note = |(at, message)| api::ClockChange {
        at: time_text(at),
        message,
    };
    api::SchedulePreview {
        description: preview.description,
        next: preview.times.into_iter().map(time_text).collect(),
        notes: preview.notes.into_iter().map(note).collect(),
    }
}

pub(crate) fn runs_requested(requested: &RunRequested) -> api::RunsRequested {
    api::RunsRequested {
        partition: requested.partition.into(),
        offset: requested.offset.into(),
        runs: requested.runs,
    }
}
