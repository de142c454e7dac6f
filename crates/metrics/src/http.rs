//! Requests to the HTTP API.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Counter, Histogram};

use crate::bounds::ROUTES_MAX;
use crate::catalogue::{HTTP_REQUEST, HTTP_REQUESTS};
use crate::label::{ByWord, Names, OTHER};
use crate::metric::Values;

/// Requests by route, method and class of status; one value of it per process.
#[derive(Debug)]
pub struct HttpMetrics {
    routes: Names,
    known: RwLock<BTreeMap<(String, &'static str), Arc<RouteMetrics>>>,
}

#[derive(Debug)]
struct RouteMetrics {
    requests: ByWord<Counter>,
    seconds: Histogram,
}

impl HttpMetrics {
    /// No route yet.
    #[must_use]
    pub fn new() -> HttpMetrics {
        HttpMetrics {
            routes: Names::new(ROUTES_MAX),
            known: RwLock::new(BTreeMap::new()),
        }
    }

    /// A request was answered.
    ///
    /// `route` is the template that matched (`/v1/namespaces/{namespace}/tasks/{id}`), never the
    /// path: a path holds ids. Give an empty text when none matched.
    pub fn answered(&self, route: &str, method: &str, status: u16, seconds: f64) {
        let handle = self.route(route, known_method(method));
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => OTHER,
        };
        handle.requests.get(class).increment(1);
        handle.seconds.record(seconds);
    }

    fn route(&self, route: &str, method: &'static str) -> Arc<RouteMetrics> {
        let route = if route.is_empty() {
            OTHER
        } else {
            self.routes.label(route)
        };
        let key = (route.to_owned(), method);
        if let Some(handle) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Arc::clone(handle);
        }
        let handle = Arc::new(RouteMetrics {
            requests: ByWord::of(&HTTP_REQUESTS, |class| {
                HTTP_REQUESTS.counter(&[route, method, class])
            }),
            seconds: HTTP_REQUEST.histogram(&[route, method]),
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key).or_insert(handle))
    }
}

impl Default for HttpMetrics {
    fn default() -> HttpMetrics {
        HttpMetrics::new()
    }
}

/// The method's word from the catalogue, or `other`: a client may send any word as a method.
fn known_method(method: &str) -> &'static str {
    let words = HTTP_REQUESTS
        .labels
        .iter()
        .find_map(|label| match label.values {
            Values::Words(words) if label.name == "method" => Some(words),
            _ => None,
        });
    words
        .unwrap_or_default()
        .iter()
        .copied()
        .find(|known| *known == method)
        .unwrap_or(OTHER)
}
