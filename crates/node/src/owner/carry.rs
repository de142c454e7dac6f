//! Carrying effects out: from a value of the engine to a call of a port, and from its answer to an input.

use futures::FutureExt;
use futures::future::BoxFuture;
use minutehand_engine::{Effect, Failure, Input, InputRecord, RequestId};
use minutehand_model::{LogOffset, PartitionId, SetAside, Timestamp};
use minutehand_ports::{ErrorClass, LogBatch, LogRecord, PortError};
use minutehand_record::QueueNames;

use super::OwnerStores;

/// Carries out an effect that has an answer. `None` for those that have none.
pub(super) fn out(
    id: PartitionId,
    stores: &OwnerStores,
    effect: Effect,
) -> Option<BoxFuture<'static, Input>> {
    let OwnerStores { log, sink, timetable } = stores.clone();
    Some(match effect {
        Effect::Open { request, epoch } => async move {
            match sink.open(id, epoch).await {
                Ok(opened) => Input::Opened {
                    request,
                    checkpoint: opened.checkpoint,
                    schedule_states: opened.schedule_states,
                    log_end: opened.log_end,
                },
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::ReadRevisions { request } => async move {
            match timetable.read_revisions(id).await {
                Ok(entries) => Input::Revisions { request, entries },
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::ReadTimetable { request, from, until, bytes_max } => async move {
            match timetable.read(id, from, until, bytes_max).await {
                Ok(page) => Input::Page { request, page },
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::FindTask { request, key, due } => async move {
            match timetable.find_due(id, key, due).await {
                Ok(entries) => Input::Found { request, entries },
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::ReadLog { request, from, bytes_max } => async move {
            match log.read(id, from, bytes_max).await {
                Ok(batch) => decoded(request, batch),
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::WriteBlocks { request, blocks } => {
            async move { done(id, request, timetable.write_blocks(blocks).await) }.boxed()
        }
        Effect::WriteRevisions { request, revisions } => {
            async move { done(id, request, timetable.write_revisions(id, revisions).await) }.boxed()
        }
        Effect::Commit { request, tick } => async move {
            match sink.commit(*tick).await {
                Ok(derived_end) => Input::Committed { request, derived_end },
                Err(error) => failed(id, request, &error),
            }
        }
        .boxed(),
        Effect::Forget { .. } | Effect::Release { .. } | Effect::Stopped { .. } => return None,
    })
}

/// Lets the stores forget. The engine awaits no answer; a failure costs disk, nothing else, and is tried again with the next.
pub(super) fn forget(
    id: PartitionId,
    stores: &OwnerStores,
    log_below: LogOffset,
    timetable_before: Timestamp,
) -> BoxFuture<'static, Input> {
    let OwnerStores { log, timetable, .. } = stores.clone();
    async move {
        let truncated = log.truncate(id, log_below).await;
        let expired = timetable.expire(id, timetable_before).await;
        for error in [truncated.err(), expired.err()].into_iter().flatten() {
            tracing::warn!(partition = %id, error = %error, "could not forget");
        }
        Input::LogGrew { end: 0 }
    }
    .boxed()
}

fn done(id: PartitionId, request: RequestId, answer: Result<(), PortError>) -> Input {
    match answer {
        Ok(()) => Input::Done { request },
        Err(error) => failed(id, request, &error),
    }
}

/// The one place where a port's error is logged, with its chain.
fn failed(id: PartitionId, request: RequestId, error: &PortError) -> Input {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    let failure = match error.class {
        ErrorClass::Retry => Failure::Retry,
        ErrorClass::Fenced => Failure::Fenced,
        ErrorClass::Fatal => Failure::Fatal,
    };
    tracing::warn!(partition = %id, ?failure, error = chain, "a store failed");
    Input::Failed { request, failure }
}

fn decoded(request: RequestId, batch: LogBatch) -> Input {
    let LogBatch { records, next, end } = batch;
    let mut names = QueueNames::default();
    let records = records.into_iter().map(|record| decode(record, &mut names)).collect();
    Input::Records { request, records, next, end }
}

fn decode(record: LogRecord, names: &mut QueueNames) -> InputRecord {
    let LogRecord { offset, appended_at, payload, refusal } = record;
    let command = match refusal {
        Some(reason) => Err(reason),
        None => minutehand_record::command::decode_sharing(payload.clone(), names)
            .map_err(|error| error.to_string()),
    };
    let command = command.map_err(|reason| SetAside {
        position: format!("log offset {offset}"),
        reason,
        bytes: payload,
    });
    InputRecord { offset, appended_at, command }
}
