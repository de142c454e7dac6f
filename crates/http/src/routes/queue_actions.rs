//! What is done with a queue by `POST /v1/queues/{queue}:action`, and forgetting it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minutehand_api::{
    Nothing, Queue, QueueAction, QueueLimit, QueuePause, QueueResumption, routes,
};
use minutehand_model::QueueName;
use minutehand_node::{QueueChange, Selection};

use super::{json, leases};
use crate::access::Everywhere;
use crate::api::Api;
use crate::content::read_optional_body;
use crate::parameters::OfQueue;
use crate::problem::{Problem, Refused};
use crate::views;

/// What was asked for.
struct Asked<'a> {
    api: &'a Api,
    queue: QueueName,
    by: &'a str,
}

/// Splits the action from the queue and carries it out.
pub(crate) async fn dispatch(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
    body: Body,
) -> Result<Response, Problem> {
    let (queue, action) = caller.queue_and_action()?;
    let carry_out = match action {
        QueueAction::Pause => pause,
        QueueAction::Resume => resume,
        QueueAction::Purge => purge,
        QueueAction::Limit => limit,
        QueueAction::Lease
        | QueueAction::Ack
        | QueueAction::Nack
        | QueueAction::Extend
        | QueueAction::Snooze => {
            return leases::act(&api, &caller.bearer, (queue, action), body).await;
        }
    };
    let asked = Asked {
        api: &api,
        queue,
        by: &caller.name,
    };
    let change = carry_out(&asked, &read_optional_body(body).await?)?;
    asked.change(change).await
}

impl Asked<'_> {
    /// Says something of the queue; the queue as it is then.
    async fn change(self, change: QueueChange) -> Result<Response, Problem> {
        let Asked { api, queue, by } = self;
        if !api.gateway.takes_rules() {
            return Err(Problem::not_found("nothing can be said of queues here"));
        }
        let purges = matches!(change, QueueChange::Purge | QueueChange::Forget);
        api.gateway.change_queue(&queue, change, by).await?;
        let group = &api.default_group;
        if let Some(leases) = api.leases.as_ref().filter(|_| purges) {
            let (leases, queue, group) = (leases.clone(), queue.clone(), group.clone());
            // It may take a while, and whoever consumes the queue does the same.
            tokio::spawn(async move {
                if let Err(error) = leases.sweep(queue.clone(), group).await {
                    tracing::warn!(%queue, %error, "what was purged is settled by whoever comes to it");
                }
            });
        }
        let view = api.gateway.queue(&queue, group.as_str()).await?;
        Ok(json(StatusCode::OK, &views::queue(&view, group.as_str())))
    }
}

#[utoipa::path(
    post, path = routes::QUEUE_PAUSE, tag = "queues", operation_id = "pauseQueue",
    summary = "Hand out nothing of a queue, for a while or until an execution succeeds; what is published waits",
    params(OfQueue),
    request_body = QueuePause<'_>,
    responses(
        (status = 200, description = "The queue", body = Queue),
        Refused,
    )
)]
fn pause(asked: &Asked<'_>, body: &[u8]) -> Result<QueueChange, Problem> {
    let input: QueuePause<'_> = minutehand_api::json::read(body)?;
    Ok(QueueChange::Pause(input.parse(asked.api.gateway.now())?))
}

#[utoipa::path(
    post, path = routes::QUEUE_RESUME, tag = "queues", operation_id = "resumeQueue",
    summary = "Hand out what waits in a queue again, at a rate where one is given",
    params(OfQueue),
    request_body = QueueResumption,
    responses(
        (status = 200, description = "The queue", body = Queue),
        Refused,
    )
)]
fn resume(_: &Asked<'_>, body: &[u8]) -> Result<QueueChange, Problem> {
    let input: QueueResumption = minutehand_api::json::read(body)?;
    let drain_per_second = input.parse()?;
    Ok(QueueChange::Resume { drain_per_second })
}

#[utoipa::path(
    post, path = routes::QUEUE_PURGE, tag = "queues", operation_id = "purgeQueue",
    summary = "Cancel what waits in a queue now, for all worker groups; what runs or is leased goes on",
    params(OfQueue),
    request_body = Nothing,
    responses(
        (status = 200, description = "The queue; it empties within moments where somebody consumes it", body = Queue),
        Refused,
    )
)]
fn purge(_: &Asked<'_>, body: &[u8]) -> Result<QueueChange, Problem> {
    let Nothing {} = minutehand_api::json::read(body)?;
    Ok(QueueChange::Purge)
}

#[utoipa::path(
    post, path = routes::QUEUE_LIMIT, tag = "queues", operation_id = "limitQueue",
    summary = "Say how many executions a second each worker group is handed, how many of a key at once, and what namespaces get",
    description = "What is left out is not limited any more. Namespaces take turns while more than one has something that \
        waits; a key's executions are counted from what is handed out from then on.",
    params(OfQueue),
    request_body = QueueLimit<'static>,
    responses(
        (status = 200, description = "The queue", body = Queue),
        Refused,
    )
)]
fn limit(_: &Asked<'_>, body: &[u8]) -> Result<QueueChange, Problem> {
    let input: QueueLimit<'_> = minutehand_api::json::read(body)?;
    Ok(QueueChange::Limit(input.parse()?))
}

#[utoipa::path(
    delete, path = routes::QUEUE, tag = "queues", operation_id = "deleteQueue",
    summary = "Cancel what waits in a queue, discard its dead letters, and forget what was said of it; what is published later makes it anew",
    params(OfQueue),
    responses(
        (status = 200, description = "The queue; it empties within moments where somebody consumes it", body = Queue),
        Refused,
    )
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Everywhere,
) -> Result<Response, Problem> {
    let queue = caller.queue()?;
    while api.gateway.discard(&queue, Selection::all()).await?.more {}
    let asked = Asked {
        api: &api,
        queue,
        by: &caller.name,
    };
    asked.change(QueueChange::Forget).await
}
