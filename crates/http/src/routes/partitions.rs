//! What operators do to a partition.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minutehand_api::{NewSkip, Skip, routes};
use minutehand_node::InvalidField;

use super::json;
use crate::access::Everywhere;
use crate::api::Api;
use crate::content::read_body;
use crate::problem::{Problem, Refused};

#[utoipa::path(
    post, path = routes::SKIPS, tag = "operations", operation_id = "skipRecords",
    summary = "Have records of a partition's log passed over, for good",
    description = "For what nobody foresaw: a record that stops its partition whenever it is read. In its place stands a \
        record set aside, with the reason. It works while the partition is stopped; the owner learns of it when it takes \
        the partition again, within half a minute. What the records said is lost.",
    params(("partition" = u32, Path, description = "The partition's number")),
    request_body = NewSkip,
    responses(
        (status = 200, description = "They are passed over from now on", body = Skip),
        Refused,
    )
)]
pub(crate) async fn skip(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    Path(partition): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_body(body).await?;
    let NewSkip {
        offset,
        through,
        reason,
    } = minutehand_api::json::read(&bytes)?;
    let number = partition.parse::<u32>().map_err(|_| {
        InvalidField::new(
            "partition",
            "is not a number",
            "a partition's number",
            format!("{partition:?}"),
        )
    })?;
    let through = through.unwrap_or(offset);
    let partition = api.gateway.skip(number, offset..=through, &reason).await?;
    Ok(json(
        StatusCode::OK,
        &Skip {
            partition: partition.number(),
            offset,
            through,
            reason,
        },
    ))
}
