//! Which parameters a query may have: those that the description of the API names, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Params;
use crate::openapi;

/// What the paths of the API begin with. Others are asked by tools that send what they like.
const API: &str = "/v1/";

/// Names by method and path, as both are described.
type Names = BTreeMap<(&'static str, String), BTreeSet<String>>;

static DESCRIBED: LazyLock<Names> = LazyLock::new(openapi::query_parameters);

/// Refuses a query with a parameter that its route does not take: whoever gives one that narrows a
/// request must not be answered as if it had been obeyed.
pub(crate) async fn of_known_parameters(request: Request, next: Next) -> Response {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("", MatchedPath::as_str);
        if route.starts_with(API)
            && let Err(problem) = Params::parse(request.uri(), &names(request.method(), route))
        {
            return problem.into_response();
        }
    }
    next.run(request).await
}

/// What a route takes. Actions on what a path names (`…/{id}:pause`) share one route.
fn names(method: &Method, route: &str) -> Vec<&'static str> {
    let method = match *method {
        Method::HEAD => "GET",
        ref other => other.as_str(),
    };
    let is_of_route = |path: &str| {
        path.strip_prefix(route)
            .is_some_and(|rest| rest.is_empty() || (route.ends_with('}') && rest.starts_with(':')))
    };
    let described = DESCRIBED
        .iter()
        .filter(|((of, path), _)| *of == method && is_of_route(path));
    let names: BTreeSet<&str> = described
        .flat_map(|(_, names)| names.iter().map(String::as_str))
        .collect();
    names.into_iter().collect()
}
