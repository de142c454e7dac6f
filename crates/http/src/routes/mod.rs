//! The handlers behind the paths of the API (`router.rs`).

pub(crate) mod bulk;
pub(crate) mod leases;
mod lines;
pub(crate) mod operations;
pub(crate) mod partitions;
pub(crate) mod queue_actions;
pub(crate) mod queues;
pub(crate) mod schedule_actions;
pub(crate) mod schedules;
pub(crate) mod tasks;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::page;

/// An answer in JSON.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes.into()),
        Err(error) => page::unwritten(&error).into_response(),
    }
}

fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
