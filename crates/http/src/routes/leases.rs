//! What is done with a queue by `POST /v1/queues/{queue}:action`: leasing its executions, and
//! answering leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures::future::join_all;
use minutehand_api::{
    LeaseAnswered, LeaseAnswers, LeaseStatus, LeaseTerms, LeasesAnswered, NewLeases, ProblemKind,
    QueueAction, routes,
};
use minutehand_model::QueueName;
use minutehand_node::Unavailable;
use minutehand_peers::LeasePeerError;
use minutehand_worker::{Answered, LeaseError, LeaseRequest, Leases};
use serde::Serialize;

use super::json;
use crate::access::Everywhere;
use crate::api::Api;
use crate::bearer::Bearer;
use crate::content::read_body;
use crate::lease_places::{self, LeasePlaces, NamedLease};
use crate::outcomes::AnswersTaken;
use crate::parameters::OfQueue;
use crate::problem::{Problem, Refused, TooMany};
use crate::views;

/// Carries out an action on leases of a queue.
pub(crate) async fn act(
    api: &Api,
    bearer: &Bearer,
    (queue, action): (QueueName, QueueAction),
    body: Body,
) -> Result<Response, Problem> {
    let nobody = || Problem::not_found("nothing can be leased here");
    let leases = api.leases.as_ref().ok_or_else(nobody)?;
    let asked = Asked {
        api,
        leases,
        queue,
        body,
    };
    match action {
        QueueAction::Lease => lease(asked, bearer).await,
        QueueAction::Ack => ack(asked).await,
        QueueAction::Nack => nack(asked).await,
        QueueAction::Extend => extend(asked).await,
        QueueAction::Snooze => snooze(asked).await,
        other => Err(Problem::not_found(format!("{other} is not about leases"))),
    }
}

/// What was asked for.
struct Asked<'a> {
    api: &'a Api,
    leases: &'a Leases,
    queue: QueueName,
    body: Body,
}

#[utoipa::path(
    post, path = routes::QUEUE_LEASE, tag = "queues", operation_id = "leaseExecutions",
    summary = "Take executions for a while: what is not answered in that time is handed out again",
    params(OfQueue),
    request_body = NewLeases<'_>,
    responses(
        (status = 200, description = "The leases", body = minutehand_api::Leases),
        TooMany,
        Refused,
    )
)]
async fn lease(asked: Asked<'_>, bearer: &Bearer) -> Result<Response, Problem> {
    let body = read_body(asked.body).await?;
    let input: NewLeases<'_> = minutehand_api::json::read(&body)?;
    let LeaseTerms {
        group,
        count_max,
        wait_ms,
        visibility_ms,
    } = input.parse()?;
    let group = group.unwrap_or_else(|| asked.api.default_group.clone());
    drop(body);
    let request = LeaseRequest {
        queue: asked.queue,
        group,
        count_max,
        wait_ms,
        visibility_ms,
    };
    // A call that is dropped has leased nothing: others are handed what comes.
    let leasing = async { asked.leases.lease(request).await.map_err(Problem::from) };
    let leased = bearer.while_allowed(leasing).await?;
    let places = asked.api.lease_places.as_ref();
    let leases = leased
        .iter()
        .map(|leased| views::lease(leased, places))
        .collect();
    Ok(json(StatusCode::OK, &minutehand_api::Leases { leases }))
}

#[utoipa::path(
    post, path = routes::QUEUE_ACK, tag = "queues", operation_id = "ackLeases",
    summary = "Say that leased executions have run",
    params(OfQueue),
    request_body = LeaseAnswers<'_>,
    responses(AnswersTaken)
)]
async fn ack(asked: Asked<'_>) -> Result<Response, Problem> {
    answer(asked, QueueAction::Ack).await
}

#[utoipa::path(
    post, path = routes::QUEUE_NACK, tag = "queues", operation_id = "nackLeases",
    summary = "Say that leased executions have failed: the retry policies of their tasks say what follows",
    params(OfQueue),
    request_body = LeaseAnswers<'_>,
    responses(AnswersTaken)
)]
async fn nack(asked: Asked<'_>) -> Result<Response, Problem> {
    answer(asked, QueueAction::Nack).await
}

#[utoipa::path(
    post, path = routes::QUEUE_EXTEND, tag = "queues", operation_id = "extendLeases",
    summary = "Let leases last longer, or give leased executions back",
    params(OfQueue),
    request_body = LeaseAnswers<'_>,
    responses(AnswersTaken)
)]
async fn extend(asked: Asked<'_>) -> Result<Response, Problem> {
    answer(asked, QueueAction::Extend).await
}

#[utoipa::path(
    post, path = routes::QUEUE_SNOOZE, tag = "queues", operation_id = "snoozeLeases",
    summary = "Have leased executions, which have not run, run later: as the same attempts",
    params(OfQueue),
    request_body = LeaseAnswers<'_>,
    responses(AnswersTaken)
)]
async fn snooze(asked: Asked<'_>) -> Result<Response, Problem> {
    answer(asked, QueueAction::Snooze).await
}

async fn answer(asked: Asked<'_>, action: QueueAction) -> Result<Response, Problem> {
    let places = asked.api.lease_places.as_ref();
    answer_where(asked, action, places).await
}

/// Takes answers that another gateway has passed on.
pub(crate) async fn of_a_peer(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    body: Body,
) -> Result<Response, Problem> {
    let (queue, action) = caller.queue_and_action()?;
    if !action.answers_leases() {
        return Err(Problem::not_found(format!(
            "{action} is no answer to a lease"
        )));
    }
    let leases = api
        .leases
        .as_ref()
        .ok_or_else(|| Problem::not_found("nothing can be leased here"))?;
    // They are ours, or nobody's: nothing goes round.
    answer_where(
        Asked {
            api: &api,
            leases,
            queue,
            body,
        },
        action,
        None,
    )
    .await
}

/// Takes answers to leases that are held here, and passes on those to leases of other gateways when
/// there are any.
async fn answer_where(
    asked: Asked<'_>,
    action: QueueAction,
    places: Option<&LeasePlaces>,
) -> Result<Response, Problem> {
    let body = read_body(asked.body).await?;
    let input: LeaseAnswers<'_> = minutehand_api::json::read(&body)?;
    let words = input.parse(action)?;
    // What is no id is one of a lease that there is not.
    let mut statuses = vec![LeaseStatus::LeaseLost; words.len()];
    let (mut ours, mut answers) = (Vec::new(), Vec::new());
    let mut theirs: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, (text, word)) in words.into_iter().enumerate() {
        match lease_places::read(text, places.or(asked.api.lease_places.as_ref())) {
            Some(NamedLease { id, .. }) if id.holder == asked.leases.holder() => {
                ours.push(index);
                answers.push((id, word));
            }
            Some(NamedLease {
                address: Some(address),
                ..
            }) if places.is_some() => {
                theirs.entry(address).or_default().push(index);
            }
            _ => {}
        }
    }
    let target = format!("{}:{action}", asked.queue);
    let passed_on = theirs.into_iter().map(|(address, indices)| {
        let items = indices.iter().map(|index| &input.items[*index]).collect();
        let body = serde_json::to_vec(&PassedOn { items }).map(Bytes::from);
        let target = &target;
        async move {
            let told = match (body, places) {
                (Ok(body), Some(places)) => {
                    pass_on(places, &address, target, body, indices.len()).await
                }
                _ => vec![LeaseStatus::Unavailable; indices.len()],
            };
            (indices, told)
        }
    });
    let (answered, passed_on) = tokio::join!(
        asked.leases.answer(&asked.queue, answers),
        join_all(passed_on)
    );
    for (index, answered) in ours.into_iter().zip(answered) {
        statuses[index] = status(answered);
    }
    for (index, told) in passed_on
        .into_iter()
        .flat_map(|(indices, told)| indices.into_iter().zip(told))
    {
        statuses[index] = told;
    }
    let named = input.items.iter().zip(statuses);
    let answered = named.map(|(item, status)| LeaseAnswered {
        lease_id: shown(item.lease_id.as_str()),
        status,
    });
    Ok(json(
        StatusCode::OK,
        &LeasesAnswered {
            items: answered.collect(),
        },
    ))
}

/// Answers on their way to another gateway.
#[derive(Serialize)]
struct PassedOn<'a> {
    items: Vec<&'a minutehand_api::LeaseAnswer<'a>>,
}

/// What another gateway says of so many answers.
async fn pass_on(
    places: &LeasePlaces,
    address: &str,
    target: &str,
    body: Bytes,
    count: usize,
) -> Vec<LeaseStatus> {
    let told = match places.peers.pass_on(address, target, body).await {
        Ok(told) => told,
        Err(LeasePeerError::Gone(_)) => return vec![LeaseStatus::LeaseLost; count],
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                address,
                error,
                "another gateway did not say what became of answers to leases"
            );
            return vec![LeaseStatus::Unavailable; count];
        }
    };
    let told: Option<LeasesAnswered> = serde_json::from_slice(&told).ok();
    let statuses = |told: LeasesAnswered| -> Vec<LeaseStatus> {
        told.items.iter().map(|item| item.status).collect()
    };
    told.map(statuses)
        .filter(|statuses| statuses.len() == count)
        .unwrap_or_else(|| vec![LeaseStatus::Unavailable; count])
}

/// An id as it was written; of what is far longer than an id, the beginning.
fn shown(text: &str) -> String {
    /// More than the longest id has.
    const CHARACTERS_MAX: usize = 600;
    text.chars().take(CHARACTERS_MAX).collect()
}

fn status(answered: Answered) -> LeaseStatus {
    match answered {
        Answered::Done => LeaseStatus::Done,
        Answered::Lost => LeaseStatus::LeaseLost,
        Answered::StopRequested => LeaseStatus::StopRequested,
        Answered::Unknown => LeaseStatus::Unavailable,
    }
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Problem {
        let detail = error.to_string();
        let (field, limit, given) = match error {
            LeaseError::Store(error) => return Unavailable::from(error).into(),
            LeaseError::TooManyWaiters { max } => (
                "wait",
                format!("at most {max} calls that wait"),
                "one more".to_owned(),
            ),
            LeaseError::TooManyGroups { max } => (
                "group",
                format!("at most {max} groups on queues"),
                "one more".to_owned(),
            ),
            LeaseError::TooManyLeases {
                leases,
                bytes,
                leases_max,
                bytes_max,
            } => {
                let limit = format!(
                    "at most {leases_max} leases of {bytes_max} bytes that are not answered"
                );
                ("max", limit, format!("{leases} leases of {bytes} bytes"))
            }
        };
        Problem::new(ProblemKind::TooMany, detail).about(field, limit, given)
    }
}
