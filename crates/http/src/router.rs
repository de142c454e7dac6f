//! Paths and methods, and what stands before the handlers behind them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, OriginalUri, Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use minutehand_api::{ProblemKind, routes};
use minutehand_peers::LEASES_PATH;

use crate::access::{authenticate, authenticate_peer};
use crate::api::{Api, ApiConfig};
use crate::content::of_its_kind;
use crate::known_parameters::of_known_parameters;
use crate::origin::{addressed_here, of_our_origin};
use crate::problem::Problem;
use crate::routes::{
    bulk, leases, operations, partitions, queue_actions, queues, schedule_actions, schedules, tasks,
};
use crate::tokens::Tokens;

/// The whole API as a router.
pub fn router(config: ApiConfig) -> Router {
    let api = Arc::new(Api::new(config));
    let guarded = Router::new()
        .route(
            routes::NAMESPACES,
            get(operations::list_namespaces).post(operations::create_namespace),
        )
        .route(routes::TASKS, get(tasks::list).post(tasks::create))
        .route(routes::TASKS_BULK, post(bulk::create))
        .route(
            routes::TASK,
            get(tasks::find)
                .patch(tasks::reschedule)
                .delete(tasks::cancel),
        )
        .route(
            routes::SCHEDULES,
            get(schedules::list).post(schedules::create),
        )
        .route(routes::SCHEDULES_PREVIEW, post(schedules::preview_unsaved))
        .route(
            routes::SCHEDULE,
            get(schedules::show)
                .patch(schedules::revise)
                .delete(schedules::delete)
                // A colon within a part of a path cannot be routed; `{id}:pause` is split by hand.
                .post(schedule_actions::dispatch),
        )
        .route(routes::REVISIONS, get(schedules::revisions))
        .route(routes::PREVIEW, get(schedules::preview))
        .route(routes::BACKFILLS, get(schedules::backfills))
        .route(routes::QUEUES, get(queues::list))
        .route(
            routes::QUEUE,
            get(queues::show)
                .delete(queue_actions::delete)
                .post(queue_actions::dispatch),
        )
        .route(routes::DEAD_LETTERS, get(queues::dead_letters))
        .route(routes::DEAD_LETTERS_REPLAY, post(queues::replay))
        .route(routes::DEAD_LETTERS_DISCARD, post(queues::discard))
        .route(routes::PARTITIONS, get(operations::partitions))
        .route(routes::DAMAGE, get(operations::damage))
        .route(routes::SKIPS, post(partitions::skip))
        .route(routes::BUCKETS, get(operations::buckets))
        .route(routes::LEDGER, get(operations::audit))
        .route("/metrics", get(operations::metrics))
        .route_layer(middleware::from_fn(of_known_parameters))
        .route_layer(middleware::from_fn(of_its_kind))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            authenticate,
        ))
        .route_layer(middleware::from_fn_with_state(
            api.tokens.clone(),
            of_our_origin,
        ));
    let open = Router::new()
        .route("/", get(operations::page))
        .route("/livez", get(operations::live))
        .route("/readyz", get(operations::ready))
        .route("/openapi.json", get(operations::openapi));
    let internal = api
        .lease_places
        .as_ref()
        .map(|places| of_peers(&api, &places.tokens))
        .unwrap_or_default();
    guarded
        .merge(open)
        .merge(internal)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            api.tokens.clone(),
            addressed_here,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), count))
        .with_state(api)
}

/// What other gateways ask, who bear a token of the cluster.
fn of_peers(api: &Arc<Api>, tokens: &Tokens) -> Router<Arc<Api>> {
    Router::new()
        .route(LEASES_PATH, post(leases::of_a_peer))
        .route_layer(middleware::from_fn(of_its_kind))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(api),
            authenticate_peer,
        ))
        .route_layer(middleware::from_fn_with_state(
            tokens.clone(),
            of_our_origin,
        ))
}

/// Counts a request by the template of its route, and takes the time until its answer begins.
async fn count(
    State(api): State<Arc<Api>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let (method, since) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    let template = route.as_ref().map_or("", MatchedPath::as_str);
    let seconds = since.elapsed().as_secs_f64();
    api.requests.answered(
        template,
        method.as_str(),
        response.status().as_u16(),
        seconds,
    );
    response
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; /openapi.json lists what there is",
        uri.path()
    ))
}

async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let detail = format!(
        "{} does not take {method}; /openapi.json lists what it takes",
        uri.path()
    );
    Problem::new(ProblemKind::MethodNotAllowed, detail)
}
