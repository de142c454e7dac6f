//! One task, or a page of them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use minutehand_api::{
    CancelledTasks, NewTask, ProblemKind, Task, TaskDetails, TaskHandle, TaskMove, TaskPage,
    choice, name_refused, parse_queue, routes, time_text,
};
use minutehand_model::limits::{TASK_WAIT_MS_MAX, TASK_WAITERS_MAX};
use minutehand_model::{Choice, OrderKey, OutcomeKind, QueueName, TaskId, TaskState, Timestamp};
use minutehand_node::{
    CancelError, InvalidField, LookupError, RunsToStop, TaskName, TaskQuery, TaskView,
};
use minutehand_ports::EndedQuery;
use xxhash_rust::xxh3::xxh3_128;

use super::{json, json_bytes};
use crate::access::{KEY, Params, Scoped};
use crate::api::Api;
use crate::content::read_body;
use crate::cursor;
use crate::idempotency::{KeyInUse, Remembered};
use crate::ids::IdSource;
use crate::known_parameters::{IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_WORDS};
use crate::page;
use crate::parameters::Named;
use crate::problem::{NotFound, Problem, Refused, TooMany};
use crate::trace;
use crate::views;

/// Tasks on a page unless the caller says how many.
const PAGE_DEFAULT: usize = 100;
/// Most tasks on a page.
const PAGE_MAX: usize = 1_000;
/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

#[utoipa::path(
    post, path = routes::TASKS, tag = "tasks", operation_id = "createTask",
    summary = "Create a task",
    description = "Answered when the task is durable. The same id and due time twice is one task. An \
        `Idempotency-Key` is remembered for a day: the same request is answered again, another one is refused. The \
        task's runs belong to the trace of the request (`traceparent`), unless its own headers name one.",
    params(
        ("ns" = String, Path, description = "The namespace"),
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 visible ASCII characters"),
    ),
    request_body = NewTask<'static>,
    responses(
        (status = 201, description = "Created", body = TaskHandle),
        (status = 200, description = "It was there before", body = TaskHandle),
        (status = 409, description = "The request with this `Idempotency-Key` is under way", body = minutehand_api::Problem, content_type = "application/problem+json"),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_body(body).await?;
    let Some(key) = idempotency_key(&headers)? else {
        let (status, place, answer) = create_one(&api, &scoped, (&headers, &bytes), None).await?;
        return Ok(created(status, &place, answer));
    };
    let scope = [
        scoped.grant.name.as_bytes(),
        scoped.namespace.as_str().as_bytes(),
        key.as_bytes(),
    ];
    let key_hash = xxh3_128(&scope.join(&b"\0"[..]));
    match api
        .idempotency
        .begin(key_hash, xxh3_128(&bytes), api.gateway.now())
    {
        Remembered::New => {}
        Remembered::Answered(answer) => return Ok(json_bytes(StatusCode::OK, answer)),
        Remembered::InProgress => {
            let detail = "the request with this Idempotency-Key is under way";
            return Err(Problem::new(ProblemKind::InProgress, detail));
        }
        Remembered::OtherRequest => {
            let limit = "a key of its own for every request";
            return Err(InvalidField::new(
                IDEMPOTENCY_KEY_WORDS,
                "was used for another request",
                limit,
                key,
            )
            .into());
        }
    }
    let in_use = KeyInUse::new(&api.idempotency, &scoped.grant.name, key_hash);
    let request = (&headers, &bytes);
    let (status, place, answer) = create_one(&api, &scoped, request, Some(key_hash)).await?;
    in_use.succeeded(answer.clone(), api.gateway.now());
    Ok(created(status, &place, answer))
}

/// Creates the task of a body: how that went, where the task is found, and the answer.
async fn create_one(
    api: &Api,
    scoped: &Scoped,
    (headers, bytes): (&HeaderMap, &Bytes),
    key: Option<u128>,
) -> Result<(StatusCode, String, Bytes), Problem> {
    let mut input: NewTask<'_> = minutehand_api::json::read(bytes)?;
    trace::hand_on(headers, &mut input);
    // With a delay it is due at another time whenever it is sent, and is another task: there is
    // none to look for.
    let may_be_there = input.due_at.is_some() && (input.id.is_some() || key.is_some());
    let now = api.gateway.now();
    let task = input.into_task(&scoped.namespace, now, None, || match key {
        Some(key) => IdSource::of_key(key),
        None => api.ids.next(now),
    });
    let task = task.inspect_err(|_| api.gateway.count_refused(1))?;
    let (id, order_key) = (task.id.clone(), task.order_key.clone());
    let created = match may_be_there {
        true => api.gateway.create_named(task).await?,
        false => api.gateway.create_new(task).await?,
    };
    let name = (&id, order_key.as_ref());
    let handle = views::task_handle(&scoped.namespace, name, &created);
    let answer = serde_json::to_vec(&handle).unwrap_or_default().into();
    let status = if created.existed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, place(scoped, name), answer))
}

/// The path under which a task is found.
fn place(scoped: &Scoped, (id, key): (&TaskId, Option<&OrderKey>)) -> String {
    let key = key.map(OrderKey::as_str);
    routes::of_named(routes::TASK, scoped.namespace.as_str(), id.as_str(), key)
}

fn created(status: StatusCode, place: &str, answer: Bytes) -> Response {
    let mut response = json_bytes(status, answer);
    if let Ok(location) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, InvalidField> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let limit = format!("1 to {KEY_BYTES_MAX} visible ASCII characters");
    let text = value.to_str().map(str::trim).unwrap_or_default();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        let given = format!("{} bytes", value.len());
        return Err(InvalidField::new(
            IDEMPOTENCY_KEY_WORDS,
            "is not accepted",
            limit,
            given,
        ));
    }
    Ok(Some(text))
}

#[utoipa::path(
    get, path = routes::TASKS, tag = "tasks", operation_id = "listTasks",
    summary = "List tasks by state",
    description = "Without a state, or with `scheduled`: those that wait, in order of due time and id. With one in which attempts \
        end: what the history keeps of it, the newest end first; a page looks at the newest 10,000 ends behind its cursor (in a \
        cluster at the newest 20,000 of all).",
    params(
        ("ns" = String, Path, description = "The namespace"),
        ("state" = Option<String>, Query, description = "`scheduled` (the default), `succeeded`, `retried`, `dead`, `cancelled`, `lost` or `expired`"),
        ("queue" = Option<String>, Query, description = "Of this queue"),
        ("from" = Option<String>, Query, description = "Due at or after, RFC 3339; of those that wait"),
        ("until" = Option<String>, Query, description = "Due before, RFC 3339; of those that wait"),
        ("prefix" = Option<String>, Query, description = "Ids that begin like this; of those that wait"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = TaskPage),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, scoped: Scoped) -> Result<Response, Problem> {
    let known = [
        "state", "queue", "from", "until", "prefix", "limit", "cursor",
    ];
    let params = scoped.params(&known)?;
    let page = match wanted_kind(&params)? {
        None => list_waiting(&api, &scoped, &params).await?,
        Some(kind) => list_ended(&api, &scoped, &params, kind).await?,
    };
    Ok(json(StatusCode::OK, &page))
}

/// How what is listed has ended; `None`: it waits.
fn wanted_kind(params: &Params) -> Result<Option<OutcomeKind>, InvalidField> {
    let Some(word) = params.text("state") else {
        return Ok(None);
    };
    let state = TaskState::of_word(word).ok();
    let kinds = OutcomeKind::ALL.iter().copied();
    let kind = kinds
        .clone()
        .find(|kind| Some(TaskState::from(*kind)) == state);
    if kind.is_none() && state != Some(TaskState::Scheduled) {
        let words: Vec<&str> = kinds.map(OutcomeKind::as_str).collect();
        let limit = format!("one of scheduled, {}", words.join(", "));
        return Err(InvalidField::new("state", "cannot be listed", limit, word));
    }
    let of_waiting = ["from", "until", "prefix"];
    match of_waiting
        .into_iter()
        .find(|name| params.text(name).is_some())
    {
        Some(name) if kind.is_some() => {
            let limit = "a question about tasks that wait: state=scheduled";
            let given = params.text(name).unwrap_or_default();
            Err(InvalidField::new(
                name,
                "is given beside state",
                limit,
                given,
            ))
        }
        _ => Ok(kind),
    }
}

fn wanted_queue(params: &Params) -> Result<Option<QueueName>, InvalidField> {
    params.text("queue").map(parse_queue).transpose()
}

async fn list_waiting(api: &Api, scoped: &Scoped, params: &Params) -> Result<TaskPage, Problem> {
    let asked = |name| params.text(name).unwrap_or_default();
    let (prefix, namespace) = (asked("prefix"), scoped.namespace.as_str());
    let question = [
        "tasks",
        namespace,
        asked("from"),
        asked("until"),
        prefix,
        asked("queue"),
    ];
    let position: Option<(i64, String)> = params
        .text("cursor")
        .map(|text| cursor::read(&question, text))
        .transpose()?;
    let query = TaskQuery {
        namespace: scoped.namespace.clone(),
        from: params.time("from")?,
        until: params.time("until")?,
        prefix: prefix.to_owned(),
        queue: wanted_queue(params)?,
        start: position.map(|(due_ms, id)| (Timestamp::from_millis(due_ms), id)),
        count_max: params.number("limit", PAGE_DEFAULT, PAGE_MAX)?,
    };
    let page = api.gateway.list(&query).await?;
    let tasks = page::entries(page.tasks.iter().map(views::task))?;
    let left_out = page
        .tasks
        .get(tasks.len())
        .map(|task| (task.due, task.listed_as()));
    let next = left_out.or(page.next);
    let next_cursor = next.map(|(due, name)| cursor::write(&question, &(due.as_millis(), name)));
    Ok(TaskPage { tasks, next_cursor })
}

async fn list_ended(
    api: &Api,
    scoped: &Scoped,
    params: &Params,
    kind: OutcomeKind,
) -> Result<TaskPage, Problem> {
    let queue = params.text("queue").unwrap_or_default();
    let question = ["ended", scoped.namespace.as_str(), kind.as_str(), queue];
    let query = EndedQuery {
        namespace: scoped.namespace.clone(),
        kind,
        queue: wanted_queue(params)?,
        before: params
            .text("cursor")
            .map(|text| cursor::read(&question, text))
            .transpose()?,
        count_max: params.number("limit", PAGE_DEFAULT, PAGE_MAX)?,
    };
    let page = api.gateway.list_ended(&query).await?;
    let tasks = page::entries(page.tasks.iter().map(|(_, view)| views::task(view)))?;
    let is_cut = tasks.len() < page.tasks.len();
    let last = tasks.len().checked_sub(1).map(|last| &page.tasks[last].0);
    let next = if is_cut { last.cloned() } else { page.next };
    let next_cursor = next.map(|place| cursor::write(&question, &place));
    Ok(TaskPage { tasks, next_cursor })
}

/// The task that a path and the parameter `key` name.
fn task_name(scoped: &Scoped) -> Result<TaskName, Problem> {
    let text = scoped.id()?;
    let id = TaskId::parse(text).map_err(|error| name_refused("id", text, &error))?;
    Ok(TaskName {
        namespace: scoped.namespace.clone(),
        id,
        order_key: scoped.order_key()?,
    })
}

#[utoipa::path(
    get, path = routes::TASK, tag = "tasks", operation_id = "findTask",
    summary = "Show a task: the due time it stands at, and the others",
    params(
        Named,
        ("wait" = Option<String>, Query, description = "Answer when it has ended, or after so long: up to 50s. An end is known \
            where the history keeps it"),
    ),
    responses(
        (status = 200, description = "The task", body = TaskDetails),
        NotFound,
        TooMany,
        Refused,
    )
)]
pub(crate) async fn find(State(api): State<Arc<Api>>, scoped: Scoped) -> Result<Response, Problem> {
    let params = scoped.params(&[KEY, "wait"])?;
    let wait_ms = params.duration_ms("wait", TASK_WAIT_MS_MAX)?;
    let name = task_name(&scoped)?;
    let views = match wait_ms {
        None | Some(0) => api.gateway.find(&name).await?,
        Some(wait_ms) => {
            let Ok(_turn) = api.waits.try_acquire() else {
                let detail = format!("{TASK_WAITERS_MAX} calls wait for the ends of tasks already");
                let limit = format!("at most {TASK_WAITERS_MAX} calls that wait");
                let problem = Problem::new(ProblemKind::TooMany, detail);
                return Err(problem.about("wait", limit, "one more"));
            };
            let wait = Duration::from_millis(wait_ms.unsigned_abs());
            // Whoever waits does not hold up the end of the process.
            let stops = async {
                match &api.leases {
                    Some(leases) => leases.stops().await,
                    None => std::future::pending().await,
                }
            };
            let found = async {
                tokio::select! {
                    ended = api.gateway.find_ended(&name, wait) => ended.map_err(Problem::from),
                    () = stops => api.gateway.find(&name).await.map_err(Problem::from),
                }
            };
            scoped.bearer.while_allowed(found).await?
        }
    };
    let mut tasks = views.iter().map(views::task);
    let latest = tasks
        .next()
        .ok_or_else(|| Problem::not_found("there is no such task"))?;
    Ok(json(
        StatusCode::OK,
        &TaskDetails {
            latest,
            earlier: tasks.collect(),
        },
    ))
}

#[utoipa::path(
    delete, path = routes::TASK, tag = "tasks", operation_id = "cancelTask",
    summary = "Cancel a task",
    description = "One that has not been published does not run. With `running` its runs are cancelled as well, in every process that \
        has workers: a success that comes nevertheless counts, anything else is an end as `cancelled`, of which the history says whether \
        it had stopped when asked, was killed, or had not begun. No attempt follows. A run whose process is asked before it starts may not hear of it.",
    params(
        Named,
        ("due_at" = Option<String>, Query, description = "Only at this due time (of runs, that of the first attempt); left out, at every \
            one that is known"),
        ("running" = Option<String>, Query, description = "What becomes of runs that have begun: `ask` them to stop, or `kill` them"),
        ("queue" = Option<String>, Query, description = "With `running`: the queue it was published to, where that is not known any more"),
    ),
    responses(
        (status = 200, description = "Cancelled", body = CancelledTasks),
        (status = 409, description = "It has gone out", body = minutehand_api::Problem, content_type = "application/problem+json"),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
) -> Result<Response, Problem> {
    let params = scoped.params(&[KEY, "due_at", "running", "queue"])?;
    let (name, due) = (task_name(&scoped)?, params.time("due_at")?);
    let how = params.text("running").map(|word| choice("running", word));
    let queue = wanted_queue(&params)?;
    let Some(how) = how.transpose()? else {
        if queue.is_some() {
            let limit = "left out: it says where runs are, and running is not given";
            return Err(InvalidField::new("queue", "is given", limit, "a name").into());
        }
        let cancelled = api.gateway.cancel(&name, due).await?;
        return Ok(cancelled_tasks(&cancelled, Vec::new()));
    };
    let cancelled = match api.gateway.cancel(&name, due).await {
        Ok(cancelled) => cancelled,
        // Of one that has gone out long ago nobody knows but who runs it.
        Err(CancelError::TooLate { .. } | CancelError::Lookup(LookupError::NotFound { .. })) => {
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let runs = RunsToStop { due, queue, how };
    let stopping = match api.gateway.stop_runs(&name, &runs).await {
        Ok(stopping) => stopping,
        Err(_) if !cancelled.is_empty() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(cancelled_tasks(&cancelled, stopping))
}

fn cancelled_tasks(cancelled: &[TaskView], stopping: Vec<Timestamp>) -> Response {
    let answer = CancelledTasks {
        cancelled: cancelled.iter().map(views::task).collect(),
        stopping: stopping.into_iter().map(time_text).collect(),
    };
    json(StatusCode::OK, &answer)
}

#[utoipa::path(
    patch, path = routes::TASK, tag = "tasks", operation_id = "rescheduleTask",
    summary = "Move a task to another due time",
    params(Named),
    request_body = TaskMove<'static>,
    responses(
        (status = 200, description = "The task at its new due time", body = Task),
        (status = 409, description = "It has gone out, or has several due times", body = minutehand_api::Problem, content_type = "application/problem+json"),
        NotFound,
        Refused,
    )
)]
pub(crate) async fn reschedule(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    body: Body,
) -> Result<Response, Problem> {
    scoped.params(&[KEY])?;
    let name = task_name(&scoped)?;
    let bytes = read_body(body).await?;
    let wanted = minutehand_api::json::read::<TaskMove<'_>>(&bytes)?.parse(api.gateway.now())?;
    let moved = api
        .gateway
        .reschedule(&name, wanted.from, wanted.to, wanted.mode)
        .await?;
    Ok(json(StatusCode::OK, &views::task(&moved)))
}
