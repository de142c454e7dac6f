//! Creating tasks by the million: lines in, a summary and the refused lines out.
//!
//! The body is cut into batches of whole lines; each is parsed and appended by a task of its own, a
//! few at a time, so that parsing, the log and the network work side by side and memory stays
//! bounded. The answer begins when the body has ended: a client that does not read while it writes
//! is not held up. A log that fails ends it at once, with the line to go on from.
//!
//! A list in JSON, which clients that were made from the API's description can write, is read as a
//! whole, and its batches are created one after the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use minutehand_api::{
    BulkLine, BulkReport, BulkStopped, BulkSummary, NewTask, NewTasks, ProblemKind, RefusedLine,
    routes,
};
use minutehand_model::Namespace;
use minutehand_node::{CreateError, ValidTask};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::json;
use super::lines::{Batch, LINE_BYTES_MAX, LineCutter};
use crate::access::Scoped;
use crate::api::Api;
use crate::bearer::Bearer;
use crate::content::{is_json, read_body};
use crate::problem::{NotFound, Problem, Refused};

/// Batches being parsed or appended at once.
const IN_FLIGHT_MAX: usize = 8;
/// Refused lines that are listed; more are only counted.
const LISTED_MAX: usize = 10_000;
/// Most tasks of a batch of a list.
const LIST_BATCH_MAX: usize = 4_096;
/// How long lines wait for company when their sender is slow.
const LINGER: Duration = Duration::from_millis(20);

/// What became of lines.
#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    listed: Vec<RefusedLine>,
    /// The first line that a store failed to take, and why.
    failed: Option<(u64, Problem)>,
}

impl Tally {
    fn refuse(&mut self, line: u64, problem: Problem) {
        self.refused += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(RefusedLine {
                line,
                problem: problem.into_inner(),
            });
        }
    }

    fn add(&mut self, other: Tally) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        let room = LISTED_MAX.saturating_sub(self.listed.len());
        self.listed.extend(other.listed.into_iter().take(room));
        if let Some((line, problem)) = other.failed {
            self.fail(line, problem);
        }
    }

    fn fail(&mut self, line: u64, problem: Problem) {
        if self.failed.as_ref().is_none_or(|(first, _)| line < *first) {
            self.failed = Some((line, problem));
        }
    }
}

#[utoipa::path(
    post, path = routes::TASKS_BULK, tag = "tasks", operation_id = "createTasks",
    summary = "Create many tasks",
    description = "One task a line (NDJSON), of any number, or a list in JSON; the answer has the form of the request. Tasks are \
        durable before they are counted as accepted; a refused one does not stop the others. In lines, the first of the answer \
        is the summary, then come the refused lines in order, at most 10,000 of them. When a store fails, the answer comes at \
        once and names the line to go on from. A client that is cut off in the middle sends everything again: with ids and due times of its \
        own, nothing is created twice.",
    params(("ns" = String, Path, description = "The namespace")),
    request_body(content(
        (NewTasks<'static> = "application/json"),
        (NewTask<'static> = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "What became of them; in lines the summary, then refused lines like `{\"line\":17,\"problem\":{…}}`", content(
            (BulkReport = "application/json"),
            (BulkLine = "application/x-ndjson"),
        )),
        NotFound,
        (status = "5XX", description = "A store failed; the rest of the body was not read", body = BulkStopped, content_type = "application/problem+json"),
        Refused,
    )
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    scoped: Scoped,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if is_json(&headers) {
        return create_list(&api, &scoped.namespace, body).await;
    }
    let mut stream = body.into_data_stream();
    let mut cutter = LineCutter::new();
    let mut tally = Tally::default();
    let mut in_flight = InFlight {
        api,
        namespace: scoped.namespace,
        bearer: scoped.bearer,
        batches: JoinSet::new(),
    };
    let mut deadline = Instant::now();
    while tally.failed.is_none() {
        let had_lines = cutter.has_whole_lines();
        let batch = tokio::select! {
            biased;
            Some(done) = in_flight.batches.join_next() => {
                tally.add(whole(done));
                None
            }
            chunk = stream.next() => match chunk {
                None => break,
                Some(Ok(chunk)) => cutter.push(&chunk),
                Some(Err(error)) => return Err(Problem::broken_off(&error, "; lines before that may have been created")),
            },
            () = sleep_until(deadline), if had_lines => {
                deadline = Instant::now() + LINGER;
                cutter.cut()
            }
        };
        if !had_lines {
            deadline = Instant::now() + LINGER;
        }
        if let Some(batch) = batch {
            in_flight.begin(batch, &mut tally).await;
        }
        refuse_too_long(&mut cutter, &mut tally);
    }
    if let Some(batch) = cutter.finish().filter(|_| tally.failed.is_none()) {
        in_flight.begin(batch, &mut tally).await;
    }
    refuse_too_long(&mut cutter, &mut tally);
    in_flight.finish(&mut tally).await;
    Ok(answer(tally))
}

/// Creates the tasks of a list, which is bounded by the largest body.
async fn create_list(api: &Api, namespace: &Namespace, body: Body) -> Result<Response, Problem> {
    let bytes = read_body(body).await?;
    let NewTasks { tasks } = minutehand_api::json::read(&bytes)?;
    let _room = api.batches.acquire().await;
    let (mut tally, mut number) = (Tally::default(), 1);
    for batch in tasks.chunks(LIST_BATCH_MAX) {
        let lines = (number..).zip(batch.iter().map(|task| task.get().as_bytes()));
        tally.add(create_batch(api, namespace, lines).await);
        if tally.failed.is_some() {
            break;
        }
        number += batch.len() as u64;
        tokio::task::yield_now().await;
    }
    if let Some((line, problem)) = tally.failed.take() {
        return Ok(stopped(tally, line, &problem));
    }
    let Tally {
        accepted,
        refused,
        listed: refused_lines,
        ..
    } = sorted(tally);
    Ok(json(
        StatusCode::OK,
        &BulkReport {
            accepted,
            refused,
            refused_lines,
        },
    ))
}

fn sorted(mut tally: Tally) -> Tally {
    tally.listed.sort_by_key(|refused| refused.line);
    tally
}

fn refuse_too_long(cutter: &mut LineCutter, tally: &mut Tally) {
    for line in cutter.take_too_long() {
        tally.refuse(line, line_too_long());
    }
}

fn line_too_long() -> Problem {
    Problem::body_too_large("line", LINE_BYTES_MAX)
}

/// The batches under way.
struct InFlight {
    api: Arc<Api>,
    namespace: Namespace,
    bearer: Bearer,
    batches: JoinSet<Tally>,
}

impl InFlight {
    /// Begins a batch, once there is room for it. Lines may come for hours: whoever may not send
    /// them any more is stopped.
    async fn begin(&mut self, batch: Batch, tally: &mut Tally) {
        if let Err(problem) = self.bearer.check() {
            return tally.fail(batch.first_line, problem);
        }
        while self.batches.len() >= IN_FLIGHT_MAX {
            self.join_one(tally).await;
        }
        let (api, namespace) = (Arc::clone(&self.api), self.namespace.clone());
        let room = Arc::clone(&api.batches).acquire_owned().await;
        self.batches.spawn(async move {
            let _room = room;
            let lines = (batch.first_line..).zip(batch.bytes.split(|byte| *byte == b'\n'));
            create_batch(&api, &namespace, lines).await
        });
    }

    async fn finish(mut self, tally: &mut Tally) {
        while !self.batches.is_empty() {
            self.join_one(tally).await;
        }
    }

    async fn join_one(&mut self, tally: &mut Tally) {
        if let Some(done) = self.batches.join_next().await {
            tally.add(whole(done));
        }
    }
}

/// The tally of a batch that has ended.
fn whole(done: Result<Tally, JoinError>) -> Tally {
    match done {
        Ok(tally) => tally,
        // A batch is never aborted while the request lives; a panic is a bug and must be seen.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Tally::default(),
    }
}

/// Creates the tasks of lines with their numbers.
async fn create_batch<'a>(
    api: &Api,
    namespace: &Namespace,
    lines: impl Iterator<Item = (u64, &'a [u8])>,
) -> Tally {
    let mut tally = Tally::default();
    let (lines, tasks) = parse(api, namespace, lines, &mut tally);
    api.gateway.count_refused(tally.refused);
    for (line, created) in lines.into_iter().zip(api.gateway.create(tasks).await) {
        match created {
            Ok(_) => tally.accepted += 1,
            Err(CreateError::Unavailable(error)) => tally.fail(line, error.into()),
            Err(error @ CreateError::Invalid(_)) => tally.refuse(line, error.into()),
        }
    }
    tally
}

/// The tasks of lines with the numbers of these.
fn parse<'a>(
    api: &Api,
    namespace: &Namespace,
    numbered: impl Iterator<Item = (u64, &'a [u8])>,
    tally: &mut Tally,
) -> (Vec<u64>, Vec<ValidTask>) {
    let now = api.gateway.now();
    let (mut lines, mut tasks): (Vec<u64>, Vec<ValidTask>) = (Vec::new(), Vec::new());
    for (number, line) in numbered {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            tally.refuse(number, line_too_long());
            continue;
        }
        let queue_before = tasks.last().map(|task| &task.queue);
        let parsed = minutehand_api::json::read::<NewTask<'_>>(line)
            .map_err(Problem::from)
            .and_then(|input| {
                Ok(input.into_task(namespace, now, queue_before, || api.ids.next(now))?)
            });
        match parsed {
            Ok(task) => {
                lines.push(number);
                tasks.push(task);
            }
            Err(problem) => tally.refuse(number, problem),
        }
    }
    (lines, tasks)
}

fn answer(tally: Tally) -> Response {
    let mut tally = sorted(tally);
    if let Some((line, problem)) = tally.failed.take() {
        return stopped(tally, line, &problem);
    }
    let summary = BulkSummary {
        accepted: tally.accepted,
        refused: tally.refused,
    };
    let mut body = serde_json::to_vec(&summary).unwrap_or_default();
    body.push(b'\n');
    for refused in &tally.listed {
        body.extend(serde_json::to_vec(refused).unwrap_or_default());
        body.push(b'\n');
    }
    let mut response = (StatusCode::OK, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    response
}

/// The answer when a store failed: what is settled, and where to go on.
fn stopped(tally: Tally, line: u64, cause: &Problem) -> Response {
    let detail = format!(
        "{}; every line before line {line} is settled: go on from there. Of the lines behind it some may have been \
         created: with ids and due times of their own nothing is created twice",
        cause.detail
    );
    let problem = Problem::new(ProblemKind::BulkStopped, detail).with_status(cause.status);
    let stopped = BulkStopped {
        problem: problem.clone().into_inner(),
        accepted: tally.accepted,
        refused: tally.refused,
        resume_from_line: line,
        refused_lines: tally.listed,
    };
    let mut response = problem.into_response();
    *response.body_mut() = Body::from(serde_json::to_vec(&stopped).unwrap_or_default());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}
