//! What a scheduler or a worker serves: health, metrics and, of a scheduler, the questions of
//! gateways.
//!
//! Everything but health wants the cluster's token, as a bearer token, where one is configured.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::stream;
use minutehand_node::{OwnerQueries, Readiness};
use minutehand_peers::{ASK_PATH, CONTENT_TYPE, STATUSES_PATH, StatusFeed};
use tokio::sync::watch;

use crate::access::grant;
use crate::api::RenderMetrics;
use crate::content::{of_its_kind, read_body};
use crate::origin::{addressed_here, of_our_origin};
use crate::problem::Problem;
use crate::routes::operations;
use crate::tokens::Tokens;

/// What a scheduler or a worker serves.
pub struct NodeConfig {
    /// The owners of a scheduler; `None` in a worker.
    pub owners: Option<Arc<dyn OwnerQueries>>,
    /// Who may ask and scrape.
    pub tokens: Tokens,
    /// What `/readyz` answers.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// What `/metrics` answers.
    pub metrics: RenderMetrics,
    /// Ends the streams of statuses once it is true; without that they would hold up a stop.
    pub stopping: watch::Receiver<bool>,
}

/// Health, metrics and, of a scheduler, the questions of gateways.
pub fn node_router(config: NodeConfig) -> Router {
    let has_owners = config.owners.is_some();
    let state = Arc::new(config);
    let mut guarded = Router::new().route("/metrics", get(metrics));
    if has_owners {
        guarded = guarded
            .route(ASK_PATH, post(ask))
            .route(STATUSES_PATH, get(statuses));
    }
    let tokens = state.tokens.clone();
    let guarded = guarded
        .route_layer(middleware::from_fn(of_its_kind))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            authenticate,
        ))
        .route_layer(middleware::from_fn_with_state(
            tokens.clone(),
            of_our_origin,
        ));
    let open = Router::new()
        .route("/livez", get(operations::live))
        .route("/readyz", get(ready));
    guarded
        .merge(open)
        .fallback(|request: Request| async move {
            Problem::not_found(format!("there is nothing at {}", request.uri().path()))
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(tokens, addressed_here))
        .with_state(state)
}

/// What any role serves until it can do its work: health and metrics; everything else is not ready
/// yet.
pub fn waiting_router(config: NodeConfig) -> Router {
    let readiness = Arc::clone(&config.readiness);
    let not_ready = move || std::future::ready(operations::readiness(readiness()));
    node_router(NodeConfig {
        owners: None,
        ..config
    })
    .fallback(not_ready)
}

async fn authenticate(
    State(node): State<Arc<NodeConfig>>,
    request: Request,
    next: Next,
) -> Response {
    match grant(&node.tokens, request.headers()) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn metrics(State(node): State<Arc<NodeConfig>>, headers: HeaderMap) -> Response {
    operations::rendered(&node.metrics, &(node.readiness)(), &headers)
}

async fn ready(State(node): State<Arc<NodeConfig>>) -> Response {
    operations::readiness((node.readiness)())
}

async fn ask(State(node): State<Arc<NodeConfig>>, body: Body) -> Response {
    let Some(owners) = &node.owners else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let question = match read_body(body).await {
        Ok(question) => question,
        Err(problem) => return problem.into_response(),
    };
    match minutehand_peers::answer(&**owners, question).await {
        Ok(answer) => protobuf(Body::from(answer)),
        Err(error) => Problem::malformed(error.to_string()).into_response(),
    }
}

async fn statuses(State(node): State<Arc<NodeConfig>>) -> Response {
    let Some(owners) = &node.owners else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let feed = StatusFeed::new(Arc::clone(owners));
    let frames = stream::unfold(
        (feed, node.stopping.clone()),
        |(mut feed, mut stopping)| async move {
            let frame = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => None,
                frame = feed.next() => Some(Ok::<_, std::convert::Infallible>(frame)),
            };
            frame.map(|frame| (frame, (feed, stopping)))
        },
    );
    protobuf(Body::from_stream(frames))
}

fn protobuf(body: Body) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}
