//! What a request may carry beside its body: the parameters of a query, and the `Idempotency-Key`,
//! that the description of the API names for its route, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Params;
use crate::openapi::{self, DescribedParameters};
use crate::problem::Problem;

/// What the paths of the API begin with. Others are asked by tools that send what they like.
const API: &str = "/v1/";

/// The header that makes a request one that can be sent again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The same as callers know it.
pub(crate) const IDEMPOTENCY_KEY_WORDS: &str = "Idempotency-Key";

/// What a route takes.
#[derive(Default)]
struct Taken {
    query: BTreeSet<String>,
    idempotency_key: bool,
}

/// By method and path, as the router has them.
type Routes = BTreeMap<(&'static str, String), Taken>;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let mut routes = Routes::new();
    for described in openapi::described_parameters() {
        let DescribedParameters {
            method,
            path,
            query,
            headers,
        } = described;
        let taken = routes.entry((method, routed(&path))).or_default();
        taken.query.extend(query);
        taken.idempotency_key |= headers.contains(IDEMPOTENCY_KEY_WORDS);
    }
    routes
});

/// The path by which the router finds what is described. Actions on what a path names
/// (`…/{id}:pause`) share one route.
fn routed(described: &str) -> String {
    match described.rsplit_once("}:") {
        Some((named, _)) => format!("{named}}}"),
        None => described.to_owned(),
    }
}

/// Refuses what its route does not obey: whoever gives a parameter that narrows a request, or a key
/// so that it can be sent again, must not be answered as if that had been obeyed.
pub(crate) async fn of_known_parameters(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    match refused(&request, route) {
        Some(problem) if route.starts_with(API) => problem.into_response(),
        _ => next.run(request).await,
    }
}

fn refused(request: &Request, route: &str) -> Option<Problem> {
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
    let has_key = request.headers().contains_key(IDEMPOTENCY_KEY);
    if !has_query && !has_key {
        return None;
    }
    let method = match *request.method() {
        Method::HEAD => "GET",
        ref other => other.as_str(),
    };
    // A method that is not described is refused as such.
    let taken = ROUTES.get(&(as_described(method)?, route.to_owned()))?;
    let names: Vec<&str> = taken.query.iter().map(String::as_str).collect();
    if has_query && let Err(problem) = Params::parse(request.uri(), &names) {
        return Some(problem);
    }
    // What only reads is the same however often it is sent.
    let is_ignored = has_key && !taken.idempotency_key && method != "GET";
    is_ignored.then(|| key_not_taken(request.headers()))
}

/// The method as the description has it; `None` when it has none of that name.
fn as_described(method: &str) -> Option<&'static str> {
    openapi::METHODS.into_iter().find(|known| *known == method)
}

fn key_not_taken(headers: &HeaderMap) -> Problem {
    let given = headers.get(IDEMPOTENCY_KEY);
    let given = given.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    });
    let takers = ROUTES
        .iter()
        .filter(|(_, taken)| taken.idempotency_key)
        .map(|((method, path), _)| format!("{method} {path}"));
    let takers: Vec<String> = takers.collect();
    let limit = format!("no key: {} takes one", takers.join(", "));
    let detail = format!("{IDEMPOTENCY_KEY_WORDS} is not obeyed here; {limit}");
    let given = minutehand_api::json::shortened(&given);
    Problem::malformed(detail).about(IDEMPOTENCY_KEY_WORDS, limit, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_found_by_the_route_that_they_share() {
        for (described, route) in [
            ("/v1/queues/{queue}:purge", "/v1/queues/{queue}"),
            ("/v1/queues/{queue}", "/v1/queues/{queue}"),
            (
                "/v1/queues/{queue}/dead-letters:discard",
                "/v1/queues/{queue}/dead-letters:discard",
            ),
            (
                "/v1/namespaces/{ns}/tasks:bulk",
                "/v1/namespaces/{ns}/tasks:bulk",
            ),
        ] {
            assert_eq!(routed(described), route);
        }
    }
}
