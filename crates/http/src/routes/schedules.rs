//! Schedules: create, show, list, change, delete, revisions, preview.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use minutehand_api::{
    Backfills, NewSchedule, RevisionPage, Schedule, ScheduleDetails, SchedulePage, SchedulePreview,
    merged, name_refused, routes,
};
use minutehand_model::{OrderKey, Revision, ScheduleDefinition, ScheduleId, Timestamp};
use minutehand_node::{
    DefinitionChange, InvalidField, Preview, RevisionChange, ScheduleHead, ScheduleName,
    ValidDefinition,
};

use super::json;
use crate::access::{KEY, Params, Scoped};
use crate::api::Api;
use crate::content::read_body;
use crate::cursor;
use crate::page;
use crate::parameters::{AtRevision, Named};
use crate::problem::{NotFound, Problem, Refused, RevisionRefused};
use crate::views;

/// Schedules on a page unless the caller says how many.
const PAGE_DEFAULT: usize = 100;
/// Most schedules on a page.
const PAGE_MAX: usize = 1_000;
/// Times of a preview unless the caller says how many.
const PREVIEW_DEFAULT: usize = 10;
/// Most times of a preview.
const PREVIEW_MAX: usize = 1_000;

pub(super) fn schedule_name(scoped: &Scoped, text: &str) -> Result<ScheduleName, Problem> {
    let id = ScheduleId::parse(text).map_err(|error| name_refused("id", text, &error))?;
    Ok(ScheduleName {
        namespace: scoped.namespace.clone(),
        id,
        order_key: scoped.order_key()?,
    })
}

/// The revision that the caller expects, from `If-Match`; `None` when any will do.
pub(super) fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, InvalidField> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => {
            let limit = "the ETag of the schedule, such as \"3\" with its quotes, or *";
            Err(InvalidField::new(
                "If-Match",
                "is not an ETag of a schedule",
                limit,
                text,
            ))
        }
    }
}

/// A schedule, with its revision in the `ETag`.
pub(super) fn answer(status: StatusCode, schedule: &ScheduleHead) -> Response {
    tagged(json(status, &views::schedule(schedule)), schedule)
}

fn tagged(mut response: Response, schedule: &ScheduleHead) -> Response {
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", schedule.head.revision.number)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

#[utoipa::path(
    post, path = routes::SCHEDULES, tag = "schedules", operation_id = "createSchedule",
    summary = "Create a schedule",
    description = "Creating a schedule that exists with the same definition changes nothing. An id should be used with one `key` only: \
        where a schedule of it with another key lives in the same partition it is refused, and the problem names that key.",
    params(("ns" = String, Path, description = "The namespace")),
    request_body = NewSchedule<'static>,
    responses(
        (status = 201, description = "Created", body = Schedule),
        (status = 200, description = "It was there before, the same", body = Schedule),
        (status = 409, description = "It exists with another definition, or its id is taken by one with another key", body = minutehand_api::Problem, content_type = "application/problem+json"),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_body(body).await?;
    let input: NewSchedule<'_> = minutehand_api::json::read(&bytes)?;
    let definition = input.definition()?;
    let judge = || ValidDefinition::new(definition);
    let definition = api.gateway.search(judge).await?;
    let made = api.ids.next(api.gateway.now());
    let name = ScheduleName {
        order_key: definition.action.order_key.clone(),
        ..schedule_name(&scoped, input.id.as_deref().unwrap_or(made.as_str()))?
    };
    let change = RevisionChange {
        definition,
        paused: input.paused.unwrap_or_default(),
        note: input.note.clone().unwrap_or_default(),
        author: scoped.grant.name.clone(),
    };
    let created = api.gateway.create_schedule(&name, change).await?;
    let status = if created.existed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let mut response = answer(status, &created.schedule);
    let (namespace, id) = (name.namespace.as_str(), name.id.as_str());
    let key = name.order_key.as_ref().map(OrderKey::as_str);
    let location = routes::of_named(routes::SCHEDULE, namespace, id, key);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

#[utoipa::path(
    get, path = routes::SCHEDULES, tag = "schedules", operation_id = "listSchedules",
    summary = "List schedules in order of their ids",
    params(
        ("ns" = String, Path, description = "The namespace"),
        ("prefix" = Option<String>, Query, description = "Ids that begin like this"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = SchedulePage),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, scoped: Scoped) -> Result<Response, Problem> {
    let params = scoped.params(&["prefix", "limit", "cursor"])?;
    let prefix = params.text("prefix").unwrap_or_default();
    let question = ["schedules", scoped.namespace.as_str(), prefix];
    let after: Option<String> = params
        .text("cursor")
        .map(|text| cursor::read(&question, text))
        .transpose()?;
    let after = after
        .map(|id| Ok::<_, Problem>(schedule_name(&scoped, &id)?.id))
        .transpose()?;
    let limit = params.number("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let page = api
        .gateway
        .schedules(&scoped.namespace, prefix, after.as_ref(), limit)
        .await?;
    let schedules = page::entries(page.schedules.iter().map(views::schedule))?;
    let last = schedules
        .len()
        .checked_sub(1)
        .and_then(|last| page.schedules.get(last));
    let last = last.filter(|_| schedules.len() < page.schedules.len());
    let next = last
        .map(|last| last.head.revision.schedule.clone())
        .or(page.next);
    let next_cursor = next.map(|id| cursor::write(&question, &id.as_str()));
    Ok(json(
        StatusCode::OK,
        &SchedulePage {
            schedules,
            next_cursor,
        },
    ))
}

#[utoipa::path(
    get, path = routes::SCHEDULE, tag = "schedules", operation_id = "showSchedule",
    summary = "Show a schedule, and why it has not run",
    params(Named),
    responses(
        (status = 200, description = "The schedule; its revision is the `ETag`", body = ScheduleDetails),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn show(State(api): State<Arc<Api>>, scoped: Scoped) -> Result<Response, Problem> {
    let view = api
        .gateway
        .schedule(&schedule_name(&scoped, scoped.id()?)?)
        .await?;
    Ok(tagged(
        json(StatusCode::OK, &views::schedule_details(&view)),
        &view.schedule,
    ))
}

#[utoipa::path(
    patch, path = routes::SCHEDULE, tag = "schedules", operation_id = "reviseSchedule",
    summary = "Change a schedule",
    description = "Fields that are given replace the stored ones as a whole, `null` takes the default, the others \
        stay. `cron` and `every` replace each other, and so do `payload` and `payload_base64`. What is in force \
        already makes no new revision, unless it has a note of its own.",
    params(Named, AtRevision),
    request_body = NewSchedule<'static>,
    responses((status = 200, description = "The schedule", body = Schedule), RevisionRefused)
)]
pub(crate) async fn revise(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let name = schedule_name(&scoped, scoped.id()?)?;
    let expected = expected_revision(&headers)?;
    let patch = read_body(body).await?;
    let author = &scoped.grant.name;
    let revised = api.gateway.revise(&name, expected, |current| {
        patched(current, &name, &patch, author)
    });
    let schedule = revised
        .await?
        .ok_or_else(|| Problem::not_found("the schedule is deleted"))?;
    Ok(answer(StatusCode::OK, &schedule))
}

/// The revision that a patch makes of the current one.
fn patched(
    current: &Revision,
    name: &ScheduleName,
    patch: &[u8],
    author: &str,
) -> Result<RevisionChange, Problem> {
    let definition = current
        .definition
        .as_ref()
        .ok_or_else(|| Problem::not_found("the schedule is deleted"))?;
    let merged = merged(definition, patch)?;
    let input: NewSchedule<'_> = minutehand_api::json::read(&merged)?;
    if let Some(id) = input.id.as_deref().filter(|id| *id != name.id.as_str()) {
        return Err(InvalidField::new("id", "cannot be changed", name.id.as_str(), id).into());
    }
    let changed = input.definition()?;
    if changed.action.order_key != definition.action.order_key {
        let key = name.order_key.as_ref().map_or("none", OrderKey::as_str);
        let given = input.key.as_deref().unwrap_or("none");
        return Err(InvalidField::new("key", "cannot be changed", key, given).into());
    }
    Ok(RevisionChange {
        definition: DefinitionChange::to(&changed, current),
        paused: input.paused.unwrap_or(current.paused),
        note: input.note.unwrap_or_default(),
        author: author.to_owned(),
    })
}

#[utoipa::path(
    delete, path = routes::SCHEDULE, tag = "schedules", operation_id = "deleteSchedule",
    summary = "Delete a schedule; its revisions stay",
    params(Named, AtRevision),
    responses(
        (status = 204, description = "Deleted"),
        RevisionRefused,
    )
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let name = schedule_name(&scoped, scoped.id()?)?;
    let author = &scoped.grant.name;
    let deletion = |current: &Revision| {
        let (paused, note) = (current.paused, "deleted".to_owned());
        Ok::<_, Problem>(RevisionChange {
            definition: DefinitionChange::Deleted,
            paused,
            note,
            author: author.clone(),
        })
    };
    api.gateway
        .revise(&name, expected_revision(&headers)?, deletion)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    get, path = routes::REVISIONS, tag = "schedules", operation_id = "listRevisions",
    summary = "List every revision of a schedule, oldest first; also of a deleted one",
    params(
        Named,
        ("limit" = Option<u32>, Query, description = "1 to 1000, 1000 by default"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
    ),
    responses(
        (status = 200, description = "The revisions", body = RevisionPage),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn revisions(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
) -> Result<Response, Problem> {
    let params = scoped.params(&[KEY, "limit", "cursor"])?;
    let name = schedule_name(&scoped, scoped.id()?)?;
    let question = ["revisions", scoped.namespace.as_str(), name.id.as_str()];
    let from: Option<u64> = params
        .text("cursor")
        .map(|text| cursor::read(&question, text))
        .transpose()?;
    let limit = params.number("limit", PAGE_MAX, PAGE_MAX)?;
    let mut all = api.gateway.revisions(&name).await?;
    all.retain(|entry| entry.revision.number >= from.unwrap_or_default());
    let revisions = page::entries(all.iter().take(limit).map(views::revision))?;
    let next = all.get(revisions.len()).map(|entry| entry.revision.number);
    let next_cursor = next.map(|number| cursor::write(&question, &number));
    Ok(json(
        StatusCode::OK,
        &RevisionPage {
            revisions,
            next_cursor,
        },
    ))
}

#[utoipa::path(
    get, path = routes::BACKFILLS, tag = "schedules", operation_id = "listBackfills",
    summary = "List the backfills of a schedule that are not over, in the order in which they run",
    params(Named),
    responses(
        (status = 200, description = "The backfills", body = Backfills),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn backfills(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
) -> Result<Response, Problem> {
    let schedule = api
        .gateway
        .schedule_head(&schedule_name(&scoped, scoped.id()?)?)
        .await?;
    Ok(json(
        StatusCode::OK,
        &Backfills {
            backfills: views::backfills(&schedule.state),
        },
    ))
}

#[utoipa::path(
    get, path = routes::PREVIEW, tag = "schedules", operation_id = "previewSchedule",
    summary = "The next times of a schedule, whether or not it is paused",
    params(
        Named,
        ("from" = Option<String>, Query, description = "From this time on; now by default"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 1000; 10 by default"),
    ),
    responses((status = 200, description = "The times", body = SchedulePreview), NotFound, Refused)
)]
pub(crate) async fn preview(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
) -> Result<Response, Problem> {
    let params = scoped.params(&[KEY, "from", "n"])?;
    let times = asked_times(&api, &params)?;
    let schedule = api
        .gateway
        .schedule_head(&schedule_name(&scoped, scoped.id()?)?)
        .await?;
    let definition = schedule.head.revision.definition;
    let definition = definition.ok_or_else(|| Problem::not_found("the schedule is deleted"))?;
    let preview = searched(&api, definition, times).await?;
    Ok(json(StatusCode::OK, &views::preview(preview)))
}

#[utoipa::path(
    post, path = routes::SCHEDULES_PREVIEW, tag = "schedules", operation_id = "previewUnsaved",
    summary = "Check a schedule without saving it, and show its next times",
    params(
        ("ns" = String, Path, description = "The namespace"),
        ("from" = Option<String>, Query, description = "From this time on; now by default"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 1000; 10 by default"),
    ),
    request_body = NewSchedule<'static>,
    responses((status = 200, description = "The times", body = SchedulePreview), NotFound, Refused)
)]
pub(crate) async fn preview_unsaved(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    body: Body,
) -> Result<Response, Problem> {
    let params = scoped.params(&["from", "n"])?;
    let times = asked_times(&api, &params)?;
    let bytes = read_body(body).await?;
    let input: NewSchedule<'_> = minutehand_api::json::read(&bytes)?;
    if let Some(id) = &input.id {
        schedule_name(&scoped, id)?;
    }
    let preview = searched(&api, input.definition()?, times).await?;
    Ok(json(StatusCode::OK, &views::preview(preview)))
}

/// From when on, and how many times a preview is asked for.
fn asked_times(api: &Api, params: &Params) -> Result<(Timestamp, usize), InvalidField> {
    let from = params.time("from")?.unwrap_or_else(|| api.gateway.now());
    Ok((from, params.number("n", PREVIEW_DEFAULT, PREVIEW_MAX)?))
}

/// Looks for the times of a preview.
async fn searched(
    api: &Api,
    definition: ScheduleDefinition,
    (from, count): (Timestamp, usize),
) -> Result<Preview, Problem> {
    let search = move || ValidDefinition::new(definition)?.preview(from, count);
    Ok(api.gateway.search(search).await?)
}
