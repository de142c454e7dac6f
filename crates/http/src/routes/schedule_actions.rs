//! What is done to a schedule by `POST …/schedules/{id}:action`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use minutehand_api::json::shortened;
use minutehand_api::{
    BackfillRange, BackfillStop, Nothing, RevisionNote, Rollback, RunsRequested, Schedule,
    ScheduleAction, Trigger, parse_time, routes,
};
use minutehand_model::{LogOffset, Revision};
use minutehand_node::{DefinitionChange, InvalidField, RevisionChange, RunRequested, ScheduleName};

use super::json;
use super::schedules::{answer, expected_revision, schedule_name};
use crate::access::{Scoped, no_such_action};
use crate::api::Api;
use crate::content::read_optional_body;
use crate::outcomes::RunsAccepted;
use crate::parameters::{AtRevision, Named};
use crate::problem::{NotFound, Problem, Refused, RevisionRefused};
use crate::views;

/// An action as it was asked for.
struct Asked<'a> {
    api: &'a Api,
    name: ScheduleName,
    author: &'a str,
    expected: Option<u64>,
    body: Bytes,
}

/// Splits the action from the id and carries it out.
pub(crate) async fn dispatch(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, action) = scoped.id_and_verb()?;
    let asked = Asked {
        api: &api,
        name: schedule_name(&scoped, id)?,
        author: &scoped.grant.name,
        expected: expected_revision(&headers)?,
        body: read_optional_body(body).await?,
    };
    match action
        .parse::<ScheduleAction>()
        .map_err(|_| no_such_action::<ScheduleAction>(action))?
    {
        ScheduleAction::Pause => pause(asked).await,
        ScheduleAction::Resume => resume(asked).await,
        ScheduleAction::Rollback => rollback(asked).await,
        ScheduleAction::Trigger => trigger(asked).await,
        ScheduleAction::Backfill => backfill(asked).await,
        ScheduleAction::StopBackfill => stop_backfill(asked).await,
        ScheduleAction::ForgetRuns => forget_runs(asked).await,
    }
}

#[utoipa::path(
    post, path = routes::SCHEDULE_PAUSE, tag = "schedules", operation_id = "pauseSchedule",
    summary = "Pause a schedule: its occurrences do not run until it is resumed",
    params(Named, AtRevision),
    request_body = RevisionNote,
    responses((status = 200, description = "The schedule", body = Schedule), RevisionRefused)
)]
async fn pause(asked: Asked<'_>) -> Result<Response, Problem> {
    set_paused(asked, true).await
}

#[utoipa::path(
    post, path = routes::SCHEDULE_RESUME, tag = "schedules", operation_id = "resumeSchedule",
    summary = "Resume a schedule that is paused or has paused itself",
    params(Named, AtRevision),
    request_body = RevisionNote,
    responses((status = 200, description = "The schedule", body = Schedule), RevisionRefused)
)]
async fn resume(asked: Asked<'_>) -> Result<Response, Problem> {
    set_paused(asked, false).await
}

async fn set_paused(asked: Asked<'_>, paused: bool) -> Result<Response, Problem> {
    let RevisionNote { note } = minutehand_api::json::read(&asked.body)?;
    let note = note.unwrap_or_default();
    let change = |_: &Revision| {
        let (definition, author) = (DefinitionChange::Kept, asked.author.to_owned());
        Ok::<_, Problem>(RevisionChange {
            definition,
            paused,
            note: note.clone(),
            author,
        })
    };
    let revised = asked
        .api
        .gateway
        .revise(&asked.name, asked.expected, change)
        .await?;
    let schedule = revised.ok_or_else(|| Problem::not_found("the schedule is deleted"))?;
    Ok(answer(StatusCode::OK, &schedule))
}

#[utoipa::path(
    post, path = routes::SCHEDULE_ROLLBACK, tag = "schedules", operation_id = "rollbackSchedule",
    summary = "Put the definition of an earlier revision in force again, as a new revision",
    params(Named, AtRevision),
    request_body = Rollback,
    responses((status = 200, description = "The schedule", body = Schedule), RevisionRefused)
)]
async fn rollback(asked: Asked<'_>) -> Result<Response, Problem> {
    let input: Rollback = minutehand_api::json::read(&asked.body)?;
    let note = input.note.unwrap_or_default();
    let Asked {
        api,
        name,
        author,
        expected,
        ..
    } = asked;
    let schedule = api
        .gateway
        .rollback(&name, expected, input.to_revision, &note, author)
        .await?;
    Ok(answer(StatusCode::OK, &schedule))
}

#[utoipa::path(
    post, path = routes::SCHEDULE_TRIGGER, tag = "schedules", operation_id = "triggerSchedule",
    summary = "Run a schedule once, now",
    params(Named),
    request_body = Trigger,
    responses(RunsAccepted)
)]
async fn trigger(asked: Asked<'_>) -> Result<Response, Problem> {
    let Trigger { overlap } = minutehand_api::json::read(&asked.body)?;
    let requested = asked.api.gateway.trigger(&asked.name, overlap).await?;
    Ok(accepted(&requested))
}

#[utoipa::path(
    post, path = routes::SCHEDULE_BACKFILL, tag = "schedules", operation_id = "backfillSchedule",
    summary = "Run the occurrences of a range, as if they were due now; at most 10,000",
    params(Named),
    request_body = BackfillRange,
    responses(RunsAccepted)
)]
async fn backfill(asked: Asked<'_>) -> Result<Response, Problem> {
    let input: BackfillRange = minutehand_api::json::read(&asked.body)?;
    let (from, to) = (
        parse_time("from", &input.from)?,
        parse_time("to", &input.to)?,
    );
    let requested = asked.api.gateway.backfill(&asked.name, from, to).await?;
    Ok(accepted(&requested))
}

#[utoipa::path(
    post, path = routes::SCHEDULE_STOP_BACKFILL, tag = "schedules", operation_id = "stopBackfill",
    summary = "Let what is left of a backfill not run; what of it runs already goes on",
    params(Named),
    request_body = BackfillStop,
    responses(
        (status = 204, description = "Nothing more of it starts"),
        NotFound,
        Refused,
    )
)]
async fn stop_backfill(asked: Asked<'_>) -> Result<Response, Problem> {
    let BackfillStop { backfill } = minutehand_api::json::read(&asked.body)?;
    let backfill = LogOffset::parse(&backfill).ok_or_else(|| {
        let limit = "an id from the schedule's list of backfills";
        InvalidField::new(
            "backfill",
            "is not an id of a backfill",
            limit,
            shortened(&backfill),
        )
    })?;
    asked
        .api
        .gateway
        .stop_backfill(&asked.name, backfill)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[utoipa::path(
    post, path = routes::SCHEDULE_FORGET_RUNS, tag = "schedules", operation_id = "forgetRuns",
    summary = "Wait no longer for the runs of a schedule that are in progress",
    description = "For runs of which nothing will be heard any more, before their `run_timeout_ms` is over. They are not \
        stopped: when they do go on, others run beside them.",
    params(Named),
    request_body = Nothing,
    responses(
        (status = 202, description = "The request is durable; how many runs were in progress", body = RunsRequested),
        NotFound,
        Refused,
    )
)]
async fn forget_runs(asked: Asked<'_>) -> Result<Response, Problem> {
    let Nothing {} = minutehand_api::json::read(&asked.body)?;
    let requested = asked.api.gateway.forget_runs(&asked.name).await?;
    Ok(accepted(&requested))
}

/// The answer to a request for runs.
fn accepted(requested: &RunRequested) -> Response {
    json(StatusCode::ACCEPTED, &views::runs_requested(requested))
}
