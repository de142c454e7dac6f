//! A router that is exchanged while it is served.

use axum::Router;
use axum::extract::Request;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// Serves each request by whatever `current` holds when it comes.
pub fn switched(current: watch::Receiver<Router>) -> Router {
    Router::new().fallback(move |request: Request| {
        let router = current.borrow().clone();
        router.oneshot(request)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_request_is_served_by_the_router_of_its_time() {
        let saying =
            |word: &'static str| Router::new().route("/", get(move || async move { word }));
        let (exchange, current) = watch::channel(saying("waiting"));
        let router = switched(current);
        let ask = || async {
            let request = Request::get("/").body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("it answers");
            axum::body::to_bytes(answer.into_body(), 100)
                .await
                .expect("a body")
        };
        assert_eq!(ask().await, "waiting");
        drop(exchange.send_replace(saying("open")));
        assert_eq!(ask().await, "open");
    }
}
