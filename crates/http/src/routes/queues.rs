//! Queues and their dead letters.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minutehand_api::{
    DeadLetterFilter, DeadLetterPage, DeadLetterSelection, DeadLettersSettled, Queue, Queues,
    name_refused, parse_group, parse_time, routes,
};
use minutehand_model::{GroupName, Namespace};
use minutehand_node::{InvalidField, LetterFilter, REASON_FILTER_BYTES_MAX, Selection};

use super::json;
use crate::access::{Everywhere, Params};
use crate::api::Api;
use crate::content::read_body;
use crate::cursor;
use crate::page;
use crate::parameters::OfQueue;
use crate::problem::{Problem, Refused};
use crate::views;

/// Dead letters on a page unless the caller says how many.
const PAGE_DEFAULT: usize = 100;
/// Most dead letters on a page.
const PAGE_MAX: usize = 1_000;

fn group(api: &Api, params: &Params) -> Result<GroupName, InvalidField> {
    match params.text("group") {
        Some(group) => parse_group(group),
        None => Ok(api.default_group.clone()),
    }
}

#[utoipa::path(
    get, path = routes::QUEUES, tag = "queues", operation_id = "listQueues",
    summary = "List the queues that were ever published to, and how full they are",
    params(("group" = Option<String>, Query, description = "The worker group the numbers are for")),
    responses(
        (status = 200, description = "The queues", body = Queues),
        Refused,
    )
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(&uri, &["group"])?;
    let group = group(&api, &params)?;
    let queues = api.gateway.queues(group.as_str()).await?;
    let queues = queues
        .iter()
        .map(|queue| views::queue(queue, group.as_str()))
        .collect();
    Ok(json(StatusCode::OK, &Queues { queues }))
}

#[utoipa::path(
    get, path = routes::QUEUE, tag = "queues", operation_id = "showQueue",
    summary = "How full a queue is",
    params(
        OfQueue,
        ("group" = Option<String>, Query, description = "The worker group the numbers are for"),
    ),
    responses(
        (status = 200, description = "The queue", body = Queue),
        Refused,
    )
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(&uri, &["group"])?;
    let group = group(&api, &params)?;
    let queue = api.gateway.queue(&caller.queue()?, group.as_str()).await?;
    Ok(json(StatusCode::OK, &views::queue(&queue, group.as_str())))
}

#[utoipa::path(
    get, path = routes::DEAD_LETTERS, tag = "queues", operation_id = "listDeadLetters",
    summary = "List the tasks that failed for the last time",
    params(
        OfQueue,
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("namespace" = Option<String>, Query, description = "Only those whose tasks are of this namespace"),
        ("reason" = Option<String>, Query, description = "Only those whose reasons have this part"),
        ("since" = Option<String>, Query, description = "Only those that were given up at this time or later"),
        ("before" = Option<String>, Query, description = "Only those that were given up before this time"),
    ),
    responses(
        (status = 200, description = "A page; with a filter it may have fewer than `limit`, and go on", body = DeadLetterPage),
        Refused,
    )
)]
pub(crate) async fn dead_letters(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    uri: Uri,
) -> Result<Response, Problem> {
    let known = ["limit", "cursor", "namespace", "reason", "since", "before"];
    let params = Params::parse(&uri, &known)?;
    let queue = caller.queue()?;
    let wanted = |name| params.text(name).map(str::to_owned);
    let input = DeadLetterFilter {
        namespace: wanted("namespace"),
        reason: wanted("reason"),
        since: wanted("since"),
        before: wanted("before"),
    };
    let (filter, asked) = (filter_of(&input)?, format!("{input:?}"));
    let question = ["dead-letters", queue.as_str(), &asked];
    let from: Option<u64> = params
        .text("cursor")
        .map(|text| cursor::read(&question, text))
        .transpose()?;
    let limit = params.number("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let page = api
        .gateway
        .dead_letters(&queue, from.unwrap_or_default(), limit, &filter)
        .await?;
    let dead_letters = page::entries(page.letters.iter().map(views::dead_letter))?;
    let left_out = page
        .letters
        .get(dead_letters.len())
        .map(|letter| letter.number);
    let next_cursor = left_out
        .or(page.next)
        .map(|next| cursor::write(&question, &next));
    Ok(json(
        StatusCode::OK,
        &DeadLetterPage {
            dead_letters,
            next_cursor,
        },
    ))
}

async fn selection(body: Body) -> Result<Selection, Problem> {
    let input: DeadLetterSelection = minutehand_api::json::read(&read_body(body).await?)?;
    match (input.numbers, input.filter, input.all) {
        (Some(numbers), None, None | Some(false)) => {
            Ok(Selection::Numbers(numbers.into_iter().collect()))
        }
        (None, Some(input), None | Some(false)) => match filter_of(&input)? {
            filter if filter.is_empty() => {
                let limit = "one of namespace, reason, since and before; all: true for all";
                Err(InvalidField::new("filter", "is empty", limit, "nothing").into())
            }
            filter => Ok(Selection::Matching(filter)),
        },
        (None, None, Some(true)) => Ok(Selection::all()),
        _ => {
            let limit = "one of numbers, filter and all: true";
            let given = "none or several";
            Err(InvalidField::new("numbers", "or filter or all is needed", limit, given).into())
        }
    }
}

/// The filter that a caller means.
fn filter_of(input: &DeadLetterFilter) -> Result<LetterFilter, InvalidField> {
    let namespace = input.namespace.as_deref().map(|text| {
        Namespace::parse(text).map_err(|error| name_refused("namespace", text, &error))
    });
    let time = |name, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| parse_time(name, text)).transpose()
    };
    if let Some(reason) = &input.reason
        && !(1..=REASON_FILTER_BYTES_MAX).contains(&reason.len())
    {
        let limit = format!("1 to {REASON_FILTER_BYTES_MAX} bytes");
        let given = format!("{} bytes", reason.len());
        return Err(InvalidField::new(
            "reason",
            "is too short or too long",
            limit,
            given,
        ));
    }
    Ok(LetterFilter {
        namespace: namespace.transpose()?,
        reason: input.reason.clone(),
        since: time("since", &input.since)?,
        before: time("before", &input.before)?,
    })
}

#[utoipa::path(
    post, path = routes::DEAD_LETTERS_REPLAY, tag = "queues", operation_id = "replayDeadLetters",
    summary = "Run the tasks of dead letters again, now, from their first attempt on",
    params(OfQueue),
    request_body = DeadLetterSelection,
    responses((status = 200, description = "What was done", body = DeadLettersSettled), Refused)
)]
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    body: Body,
) -> Result<Response, Problem> {
    let replayed = api
        .gateway
        .replay(&caller.queue()?, selection(body).await?)
        .await?;
    Ok(json(
        StatusCode::OK,
        &views::dead_letters_settled(&replayed),
    ))
}

#[utoipa::path(
    post, path = routes::DEAD_LETTERS_DISCARD, tag = "queues", operation_id = "discardDeadLetters",
    summary = "Take dead letters away for good",
    params(OfQueue),
    request_body = DeadLetterSelection,
    responses((status = 200, description = "What was done", body = DeadLettersSettled), Refused)
)]
pub(crate) async fn discard(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    body: Body,
) -> Result<Response, Problem> {
    let discarded = api
        .gateway
        .discard(&caller.queue()?, selection(body).await?)
        .await?;
    Ok(json(
        StatusCode::OK,
        &views::dead_letters_settled(&discarded),
    ))
}
