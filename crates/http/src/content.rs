//! What kind of body a request may bring, and reading it as a whole.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use minutehand_api::json::shortened;
use minutehand_api::{ProblemKind, routes};
use minutehand_model::limits::{BODY_BYTES_MAX, BODY_READ_MS_MAX};
use minutehand_peers::{ASK_PATH, CONTENT_TYPE as PEERS_TYPE};

use crate::problem::Problem;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// The media types that a route takes.
fn wanted(route: &str) -> &'static [&'static str] {
    match route {
        routes::TASKS_BULK => &[LINES, JSON],
        ASK_PATH => &[PEERS_TYPE],
        _ => &[JSON],
    }
}

/// Whether a body that has passed [`of_its_kind`] is JSON, and not lines of it.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|given| given.to_str().ok())
        .is_some_and(|given| is(given, JSON))
}

/// Refuses a body that says it is something else than the route takes. A browser sends what says
/// nothing, or text, to anybody, without asking first.
pub(crate) async fn of_its_kind(request: Request, next: Next) -> Response {
    if !request.body().is_end_stream() {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("", MatchedPath::as_str);
        if let Err(problem) = check(request.headers(), wanted(route)) {
            return problem.into_response();
        }
    }
    next.run(request).await
}

fn check(headers: &HeaderMap, wanted: &[&str]) -> Result<(), Problem> {
    let refused = |field: &str, limit: &str, given: String| {
        let detail = format!("{field} is {given:?}; it must be {limit}");
        Err(Problem::new(ProblemKind::UnsupportedMediaType, detail).about(field, limit, given))
    };
    let given = |name: header::HeaderName| {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| shortened(&values.join(", ")))
    };
    let encoding = given(header::CONTENT_ENCODING);
    let encoding = encoding.filter(|given| !given.eq_ignore_ascii_case("identity"));
    if let Some(encoding) = encoding {
        let limit = "left out: bodies are taken as they are";
        return refused("Content-Encoding", limit, encoding);
    }
    match given(header::CONTENT_TYPE) {
        Some(given) if wanted.iter().any(|wanted| is(&given, wanted)) => Ok(()),
        given => {
            let limit = wanted.join(" or ");
            refused("Content-Type", &limit, given.unwrap_or_default())
        }
    }
}

/// Whether a `Content-Type` is this media type, in UTF-8.
fn is(given: &str, wanted: &str) -> bool {
    let mut parts = given.split(';').map(str::trim);
    let is_type = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(wanted));
    let is_other_charset = |parameter: &str| {
        let charset = parameter
            .split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset.is_some_and(|(_, charset)| {
            !charset
                .trim()
                .trim_matches('"')
                .eq_ignore_ascii_case("utf-8")
        })
    };
    is_type && !parts.any(is_other_charset)
}

/// Reads a body as a whole.
///
/// # Errors
/// One that is too large, breaks off, or takes too long.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::body_too_large("body", BODY_BYTES_MAX);
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let gathered = async {
        let mut gathered = BytesMut::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Problem::broken_off(&error, ""))?;
            if gathered.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            gathered.extend_from_slice(&chunk);
        }
        Ok(gathered.freeze())
    };
    let in_time = tokio::time::timeout(Duration::from_millis(BODY_READ_MS_MAX), gathered).await;
    in_time.unwrap_or_else(|_| Err(Problem::too_slow()))
}

/// A body that may be left out; then it counts as `{}`.
pub(crate) async fn read_optional_body(body: Body) -> Result<Bytes, Problem> {
    let bytes = read_body(body).await?;
    Ok(if bytes.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_compared_without_its_parameters() {
        for given in [
            "application/json",
            "Application/JSON ",
            "application/json; charset=\"UTF-8\"",
            "application/json;x=y",
        ] {
            assert!(is(given, JSON), "{given}");
        }
        for given in [
            "",
            "text/plain",
            "application/jsonx",
            "application/json, text/plain",
            "application/json; charset=latin1",
        ] {
            assert!(!is(given, JSON), "{given}");
        }
    }
}
