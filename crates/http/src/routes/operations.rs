//! Namespaces, partitions, load, health, metrics, the description of the API and the status page.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use minutehand_api::{
    Audit, Damage, DamageReport, InvalidField, Load, NamespaceName, Namespaces, NewNamespace,
    Partitions, ProblemKind, name_refused, routes,
};
use minutehand_model::Namespace;
use minutehand_model::time::MINUTE_MS;
use minutehand_node::Readiness;

use super::json;
use crate::accepted::is_listed;
use crate::access::{Everywhere, Params};
use crate::api::{Api, RenderMetrics};
use crate::content::read_body;
use crate::openmetrics;
use crate::problem::{Closed, Problem, Refused};
use crate::views;

/// The load that is shown unless the caller names a range: the next hour.
const LOAD_RANGE_MS: i64 = 60 * MINUTE_MS;
/// The status page: one file without scripts or styles from elsewhere.
const PAGE: &str = include_str!("../page.html");

#[utoipa::path(
    get, path = routes::NAMESPACES, tag = "operations", operation_id = "listNamespaces",
    summary = "List the namespaces known to this node",
    description = "A namespace comes to be by its first use, unless the server is configured with a list. \
        `default` always exists.",
    responses(
        (status = 200, description = "The namespaces", body = Namespaces),
        Closed,
    )
)]
pub(crate) async fn list_namespaces(State(api): State<Arc<Api>>, _: Everywhere) -> Response {
    let namespaces = api
        .namespaces
        .known()
        .iter()
        .map(Namespace::to_string)
        .collect();
    json(
        StatusCode::OK,
        &Namespaces {
            created: api.namespaces.created(),
            namespaces,
        },
    )
}

#[utoipa::path(
    post, path = routes::NAMESPACES, tag = "operations", operation_id = "createNamespace",
    summary = "Check and note the name of a namespace",
    request_body = NewNamespace,
    responses(
        (status = 201, description = "Noted", body = NamespaceName),
        (status = 200, description = "It was known before", body = NamespaceName),
        (status = 409, description = "Only the configured ones exist here", body = minutehand_api::Problem, content_type = "application/problem+json"),
        Refused,
    )
)]
pub(crate) async fn create_namespace(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read_body(body).await?;
    let NewNamespace { name } = minutehand_api::json::read(&bytes)?;
    let namespace = Namespace::parse(&name).map_err(|error| name_refused("name", &name, &error))?;
    if !api.namespaces.exists(&namespace) {
        let detail = format!("namespace {namespace} is not on the configured list");
        return Err(Problem::new(ProblemKind::NamespacesAreListed, detail));
    }
    let status = if api.namespaces.remember(&namespace) {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(json(
        status,
        &NamespaceName {
            namespace: namespace.to_string(),
        },
    ))
}

#[utoipa::path(
    get, path = routes::PARTITIONS, tag = "operations", operation_id = "listPartitions",
    summary = "Every partition, and where it stands",
    responses(
        (status = 200, description = "The partitions", body = Partitions),
        Closed,
    )
)]
pub(crate) async fn partitions(State(api): State<Arc<Api>>, _: Everywhere) -> Response {
    let partitions = api
        .gateway
        .partitions()
        .iter()
        .map(views::partition)
        .collect();
    json(
        StatusCode::OK,
        &Partitions {
            count: api.gateway.partitions_count(),
            partitions,
        },
    )
}

#[utoipa::path(
    get, path = routes::DAMAGE, tag = "operations", operation_id = "listDamage",
    summary = "What this node's store has met damaged and passed over",
    description = "Since the store was opened, oldest first, at most the newest 1,000. In a cluster records that cannot be read \
        are set aside instead, and this is empty.",
    responses(
        (status = 200, description = "What was damaged", body = DamageReport),
        Closed,
    )
)]
pub(crate) async fn damage(State(api): State<Arc<Api>>, _: Everywhere) -> Response {
    let damage = api.gateway.damage().into_iter();
    let damage = damage
        .map(|one| Damage {
            position: one.position,
            reason: one.reason,
        })
        .collect();
    json(StatusCode::OK, &DamageReport { damage })
}

#[utoipa::path(
    get, path = routes::BUCKETS, tag = "operations", operation_id = "listBuckets",
    summary = "The upcoming load per minute",
    params(
        ("from" = Option<String>, Query, description = "From this minute on; now by default"),
        ("until" = Option<String>, Query, description = "Up to this time; an hour after `from` by default, a week at most"),
    ),
    responses(
        (status = 200, description = "The minutes with load", body = Load),
        Refused,
    )
)]
pub(crate) async fn buckets(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(&uri, &["from", "until"])?;
    let from = params.time("from")?.unwrap_or_else(|| api.gateway.now());
    let until = params
        .time("until")?
        .unwrap_or_else(|| from.plus_millis(LOAD_RANGE_MS));
    let loads = api.gateway.loads(from, until).await?;
    Ok(json(
        StatusCode::OK,
        &Load {
            buckets: loads.into_iter().map(views::minute_load).collect(),
        },
    ))
}

#[utoipa::path(
    get, path = routes::LEDGER, tag = "operations", operation_id = "auditMinute",
    summary = "Whether everything ran that was due in a minute",
    description = "A minute is closed some seconds after it is over, and later while a backlog of it is caught up with. \
        Rows are kept for 35 days.",
    params(
        ("minute" = String, Query, description = "A time in the minute; its seconds may be left out: 2026-11-29T09:00Z"),
    ),
    responses(
        (status = 200, description = "What was decided, and what is found in the timetable", body = Audit),
        Refused,
    )
)]
pub(crate) async fn audit(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(&uri, &["minute"])?;
    let minute = params.minute("minute")?.ok_or_else(|| {
        InvalidField::new("minute", "is missing", "a time as RFC 3339", "nothing")
    })?;
    let audits = api.gateway.audit(minute).await?;
    Ok(json(StatusCode::OK, &views::audit(minute, &audits)))
}

#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    summary = "Metrics in the text format of Prometheus",
    description = "As OpenMetrics where `Accept` names `application/openmetrics-text`; compressed where `Accept-Encoding` names gzip.",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        Closed,
    )
)]
pub(crate) async fn metrics(
    State(api): State<Arc<Api>>,
    _: Everywhere,
    headers: HeaderMap,
) -> Response {
    rendered(&api.metrics, &api.gateway.readiness(), &headers)
}

/// Metrics as Prometheus reads them, or as OpenMetrics has them where the caller names that;
/// compressed where the caller takes that.
pub(crate) fn rendered(
    metrics: &RenderMetrics,
    readiness: &Readiness,
    headers: &HeaderMap,
) -> Response {
    minutehand_metrics::set_ready(*readiness == Readiness::Ready);
    let (kind, text) = match openmetrics::is_wanted(headers) {
        true => (openmetrics::CONTENT_TYPE, openmetrics::of(&metrics())),
        false => ("text/plain; version=0.0.4; charset=utf-8", metrics()),
    };
    let mut response = match takes_gzip(headers).then(|| compressed(&text)) {
        Some(Ok(bytes)) => {
            let mut response = bytes.into_response();
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
            response
        }
        Some(Err(_)) | None => text.into_response(),
    };
    let told = response.headers_mut();
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let vary = HeaderValue::from_static("accept, accept-encoding");
    told.insert(header::VARY, vary);
    response
}

/// Whether the caller says that it takes gzip; a weight of nought says that it does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    is_listed(headers, header::ACCEPT_ENCODING, "gzip")
}

fn compressed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[utoipa::path(
    get, path = "/livez", tag = "operations", operation_id = "live", security(()),
    summary = "Whether the process answers",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "ready", security(()),
    summary = "Whether every partition assigned to this node is owned and fires",
    responses(
        (status = 200, description = "Ready", body = String, content_type = "text/plain"),
        (status = 503, description = "Not ready, with the reasons", body = minutehand_api::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Response {
    readiness(api.gateway.readiness())
}

/// 200, or 503 with the reasons.
pub(crate) fn readiness(readiness: Readiness) -> Response {
    match readiness {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(reasons) => {
            let detail = reasons.join("; ");
            let problem = Problem::new(ProblemKind::NotReady, detail);
            problem.because(reasons).into_response()
        }
    }
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "openapi", security(()),
    summary = "This description",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(crate) async fn openapi() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        crate::openapi::openapi_json(),
    )
        .into_response()
}

/// The status page.
pub(crate) async fn page() -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_is_taken_by_whoever_says_so() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a value"));
            takes_gzip(&headers)
        };
        for yes in ["gzip", "br, GZIP", "gzip;q=0.5", "identity;q=0, gzip; q=1"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["identity", "gzip;q=0", "br", "xgzip"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_is_the_same_text() {
        let text = "minutehand_up 1\n".repeat(1_000);
        let packed = compressed(&text).expect("memory is enough");
        assert!(packed.len() < text.len() / 10);
        let mut unpacked = String::new();
        let mut decoder = flate2::read::GzDecoder::new(packed.as_slice());
        decoder.read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, text);
    }
}
