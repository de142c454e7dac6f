//! Carrying effects out: from a value of the engine to a call of a port, and from its answer to an
//! input.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use minutehand_engine::{Effect, Failure, Input, InputRecord, RequestId};
use minutehand_model::{
    Command, Epoch, Fact, LogOffset, PartitionId, QueueName, SetAside, Tick, Timestamp,
    TimetablePage,
};
use minutehand_ports::{
    Committed, ErrorClass, ExecutionSink, LogBatch, LogRecord, PortError, with_causes,
};
use minutehand_record::QueueNames;

use super::troubles::{Operation, Troubles};
use super::{OwnerStores, Surroundings};

/// An effect being carried out: what is asked, the request it answers, and the answer.
type Asked = (
    Operation,
    RequestId,
    BoxFuture<'static, Result<Input, PortError>>,
);

/// Carries out an effect that has an answer. `None` for those that have none.
pub(super) fn out(
    id: PartitionId,
    surroundings: &Surroundings,
    effect: Effect,
) -> Option<BoxFuture<'static, Input>> {
    let (operation, request, answer) = ask(id, surroundings, effect)?;
    let (troubles, requests) = (surroundings.troubles.clone(), surroundings.requests.clone());
    let answered = async move {
        let since = Instant::now();
        let answer = answer.await;
        requests.answered(operation, &answer, since.elapsed());
        match answer {
            Ok(input) => {
                troubles.worked(operation, id);
                input
            }
            Err(error) => failed(id, &troubles, operation, request, &error),
        }
    };
    Some(answered.boxed())
}

fn ask(id: PartitionId, surroundings: &Surroundings, effect: Effect) -> Option<Asked> {
    let OwnerStores {
        log,
        sink,
        timetable,
        ..
    } = surroundings.stores.clone();
    Some(match effect {
        Effect::Open { request, epoch } => {
            let answer = open(id, sink, request, epoch);
            (Operation::Open, request, answer.boxed())
        }
        Effect::ReadRevisions { request } => {
            let answer = async move {
                let entries = timetable.read_revisions(id).await?;
                Ok(Input::Revisions { request, entries })
            };
            (Operation::ReadRevisions, request, answer.boxed())
        }
        Effect::ReadTimetable {
            request,
            from,
            until,
            bytes_max,
        } => {
            let answer = async move {
                let page = timetable.read(id.range(from, until), bytes_max).await?;
                prepare_queues(&*sink, &page);
                Ok(Input::Page { request, page })
            };
            (Operation::ReadTimetable, request, answer.boxed())
        }
        Effect::FindTask { request, key, due } => {
            let answer = async move {
                let entries = timetable.find_due(id, key, due).await?;
                Ok(Input::Found { request, entries })
            };
            (Operation::FindTask, request, answer.boxed())
        }
        Effect::ReadLog {
            request,
            from,
            bytes_max,
        } => {
            let answer = async move {
                let batch = log.read(id, from, bytes_max).await?;
                Ok(records(request, batch, &*sink))
            };
            (Operation::ReadLog, request, answer.boxed())
        }
        Effect::WriteBlocks { request, blocks } => {
            let answer = async move { timetable.write_blocks(blocks).await };
            let answer = answer.map_ok(move |()| Input::Done { request });
            (Operation::WriteBlocks, request, answer.boxed())
        }
        Effect::WriteRevisions { request, revisions } => {
            let answer = async move { timetable.write_revisions(id, revisions).await };
            let answer = answer.map_ok(move |()| Input::Done { request });
            (Operation::WriteRevisions, request, answer.boxed())
        }
        Effect::KeepMinutes { request, tallies } => {
            let (auditor, audited) = (surroundings.auditor.clone(), surroundings.stores.clone());
            let answer = async move {
                let kept = auditor.keep(id, audited, tallies).await;
                kept.map(|()| Input::Done { request }).map_err(passing)
            };
            (Operation::KeepMinutes, request, answer.boxed())
        }
        Effect::Commit { request, tick, .. } => {
            let answer = commit(sink, request, tick);
            (Operation::Commit, request, answer.boxed())
        }
        Effect::Forget { .. }
        | Effect::ForgetRevisions { .. }
        | Effect::Release { .. }
        | Effect::Stopped { .. } => return None,
    })
}

/// A partition goes on without rows of the ledger: whatever is wrong with them is tried again.
fn passing(error: PortError) -> PortError {
    PortError {
        class: ErrorClass::Retry,
        ..error
    }
}

async fn open(
    id: PartitionId,
    sink: Arc<dyn ExecutionSink>,
    request: RequestId,
    epoch: Epoch,
) -> Result<Input, PortError> {
    let opened = sink.open(id, epoch).await?;
    Ok(Input::Opened {
        request,
        checkpoint: opened.checkpoint.map(Box::new),
        schedule_states: opened.schedule_states,
        log_end: opened.log_end,
        taken_at: opened.taken_at,
        prepared_from: None,
    })
}

fn records(request: RequestId, batch: LogBatch, sink: &dyn ExecutionSink) -> Input {
    let (next, end) = (batch.next, batch.end);
    Input::Records {
        request,
        records: decoded(batch, sink),
        next,
        end,
    }
}

async fn commit(
    sink: Arc<dyn ExecutionSink>,
    request: RequestId,
    tick: Box<Tick>,
) -> Result<Input, PortError> {
    let Committed {
        derived_end,
        taken_at,
        ..
    } = sink.commit(*tick).await?;
    Ok(Input::Committed {
        request,
        derived_end,
        taken_at,
    })
}

/// Lets the stores forget. The engine awaits no answer; a failure costs disk, nothing else, and is
/// tried again with the next.
pub(super) fn forget(
    id: PartitionId,
    surroundings: &Surroundings,
    log_below: LogOffset,
    timetable_before: Timestamp,
) -> BoxFuture<'static, Input> {
    let Surroundings {
        stores, troubles, ..
    } = surroundings.clone();
    async move {
        let truncated = stores.log.truncate(id, log_below).await;
        let expired = stores.timetable.expire(id, timetable_before).await;
        forgotten(id, &troubles, truncated.and(expired))
    }
    .boxed()
}

/// Lets the timetable forget revisions. The engine awaits no answer; after a failure they are
/// found, and forgotten, by the next owner.
pub(super) fn forget_revisions(
    id: PartitionId,
    surroundings: &Surroundings,
    offsets: Vec<LogOffset>,
) -> BoxFuture<'static, Input> {
    let Surroundings {
        stores, troubles, ..
    } = surroundings.clone();
    async move {
        let answer = stores.timetable.forget_revisions(id, offsets).await;
        forgotten(id, &troubles, answer)
    }
    .boxed()
}

/// Notes how forgetting went. What the engine is told instead of an answer says nothing new.
fn forgotten(id: PartitionId, troubles: &Troubles, answer: Result<(), PortError>) -> Input {
    match answer {
        Ok(()) => troubles.worked(Operation::Forget, id),
        Err(error) => troubles.failed(Operation::Forget, id, &with_causes(&error)),
    }
    Input::LogGrew {
        end: LogOffset::START,
    }
}

/// The one place where a port's error is logged, with its causes. What is tried again is told of now
/// and then only.
fn failed(
    id: PartitionId,
    troubles: &Troubles,
    operation: Operation,
    request: RequestId,
    error: &PortError,
) -> Input {
    let failure = match error.class {
        ErrorClass::Retry => Failure::Retry,
        ErrorClass::Fenced => Failure::Fenced,
        ErrorClass::Fatal => Failure::Fatal,
    };
    match failure {
        Failure::Retry => troubles.failed(operation, id, &with_causes(error)),
        _ => {
            tracing::warn!(partition = %id, ?failure, error = with_causes(error), "a store failed")
        }
    }
    Input::Failed { request, failure }
}

/// Tells the sink of the queues of what is due, as [`prepare`].
pub(super) fn prepare_queues(sink: &dyn ExecutionSink, page: &TimetablePage) {
    prepare(
        sink,
        page.entries.iter().filter_map(|entry| match &entry.fact {
            Fact::Runs(task) => Some(&task.queue),
            Fact::Void => None,
        }),
    );
}

/// Tells the sink of queues when they are met, before anything is due there.
fn prepare<'a>(sink: &dyn ExecutionSink, queues: impl Iterator<Item = &'a QueueName>) {
    let mut last = None;
    for queue in queues {
        if last.replace(queue) != Some(queue) {
            sink.prepare(queue);
        }
    }
}

/// The queue that a command leads to.
fn queue_of(command: &Command) -> Option<&QueueName> {
    match command {
        Command::Create(task)
        | Command::Move { task, .. }
        | Command::Replace { task, .. }
        | Command::Moved { task, .. } => Some(&task.queue),
        _ => None,
    }
}

/// What the records of a batch say; the sink hears of their queues.
pub(super) fn decoded(batch: LogBatch, sink: &dyn ExecutionSink) -> Vec<InputRecord> {
    let mut names = QueueNames::default();
    let records: Vec<InputRecord> = batch
        .records
        .into_iter()
        .map(|record| decode(record, &mut names))
        .collect();
    prepare(
        sink,
        records
            .iter()
            .filter_map(|record| queue_of(record.command.as_ref().ok()?)),
    );
    records
}

fn decode(record: LogRecord, names: &mut QueueNames) -> InputRecord {
    let LogRecord {
        offset,
        appended_at,
        payload,
        refusal,
    } = record;
    let command = match refusal {
        Some(reason) => Err(reason),
        None => minutehand_record::command::decode_sharing(payload.clone(), names)
            .map_err(|error| error.to_string()),
    };
    let command =
        command.map_err(|reason| SetAside::new(format!("log offset {offset}"), reason, payload));
    InputRecord {
        offset,
        appended_at,
        command,
    }
}
