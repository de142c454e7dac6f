//! What is refused before anything is done for it: other names, pages of other origins, bodies of
//! another kind.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::support::{Api, SCHEDULES, Setup, TASKS, api, api_with, request};

const TASK: &str = r#"{"queue":"q","delay":1}"#;

/// Every path and method of the description.
fn operations() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path
            .replace("{ns}", "default")
            .replace("{id}", "x")
            .replace("{queue}", "q");
        for method in methods.as_object().unwrap().keys() {
            operations.push((
                Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path.clone(),
            ));
        }
    }
    operations
}

async fn status(api: &Api, method: Method, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    api.with_headers(method, path, headers, TASK).await.status
}

#[tokio::test(start_paused = true)]
async fn without_tokens_no_other_name_is_answered_anywhere() {
    let api = api().await;
    for (method, path) in operations().into_iter().chain([
        (Method::GET, "/".to_owned()),
        (Method::GET, "/x".to_owned()),
    ]) {
        for name in ["evil.example", "127.0.0.1.evil.example:8080", "10.0.0.1"] {
            let answered = status(&api, method.clone(), &path, &[("host", name)]).await;
            assert_eq!(answered, 421, "{method} {path} by {name}");
        }
    }
    let absolute = request(
        Method::GET,
        "http://evil.example/v1/queues",
        &[],
        Body::empty(),
    );
    assert_eq!(api.send(absolute).await.problem(421)["field"], "Host");
    assert_eq!(
        status(&api, Method::GET, "/livez", &[("host", "")]).await,
        400,
        "HTTP/1.1 names its host"
    );
    for name in ["localhost", "127.0.0.1:8080", "[::1]:8080"] {
        assert_eq!(
            status(&api, Method::POST, TASKS, &[("host", name)]).await,
            201,
            "{name}"
        );
    }
    assert_eq!(api.store.records(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_tokens_no_page_of_another_origin_is_answered() {
    let api = api().await;
    let foreign = [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:3000"),
        ("origin", "http://localhost.evil.example"),
        ("origin", "localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "Same-Origin"),
    ];
    let open = ["/livez", "/readyz", "/openapi.json"];
    for (method, path) in operations()
        .into_iter()
        .filter(|(_, path)| !open.contains(&path.as_str()))
    {
        for header in foreign {
            let answer = api
                .with_headers(method.clone(), &path, &[header], TASK)
                .await;
            assert_eq!(
                answer.problem(403)["type"],
                "urn:minutehand:problem:foreign-origin",
                "{method} {path}"
            );
        }
    }
    assert_eq!(api.store.records(), 0);
    for ours in [
        ("origin", "http://localhost"),
        ("origin", "https://LOCALHOST"),
        ("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(
            status(&api, Method::POST, TASKS, &[ours]).await,
            201,
            "{ours:?}"
        );
    }
    // A link to the page, which holds nothing yet.
    assert_eq!(
        status(&api, Method::GET, "/", &[("sec-fetch-site", "cross-site")]).await,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn with_tokens_a_name_and_an_origin_are_free() {
    let api = api_with(Setup {
        tokens: "root root-0123456789abcdef",
        ..Setup::default()
    })
    .await;
    let bearer = ("authorization", "Bearer root-0123456789abcdef");
    let headers = [
        bearer,
        ("host", "tasks.example"),
        ("origin", "https://console.example"),
    ];
    assert_eq!(status(&api, Method::POST, TASKS, &headers).await, 201);
    let text = [bearer, ("content-type", "text/plain")];
    assert_eq!(
        status(&api, Method::POST, TASKS, &text).await,
        415,
        "the kind of a body is never free"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_is_of_the_kind_its_route_takes() {
    let api = api().await;
    let bulk = format!("{TASKS}:bulk");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let refused: [Case<'_>; 10] = [
        (TASKS, &[("content-type", "")], "Content-Type"),
        (TASKS, &[("content-type", "text/plain")], "Content-Type"),
        (
            TASKS,
            &[("content-type", "text/plain; application/json")],
            "Content-Type",
        ),
        (
            TASKS,
            &[("content-type", "application/x-www-form-urlencoded")],
            "Content-Type",
        ),
        (
            TASKS,
            &[("content-type", "multipart/form-data; boundary=x")],
            "Content-Type",
        ),
        (
            TASKS,
            &[("content-type", "application/json; charset=utf-16")],
            "Content-Type",
        ),
        (
            TASKS,
            &[
                ("content-type", "application/json"),
                ("content-type", "text/plain"),
            ],
            "Content-Type",
        ),
        (TASKS, &[("content-encoding", "gzip")], "Content-Encoding"),
        (
            SCHEDULES,
            &[("content-encoding", "identity, br")],
            "Content-Encoding",
        ),
        (
            &bulk,
            &[("content-type", "application/jsonl")],
            "Content-Type",
        ),
    ];
    for (path, headers, field) in refused {
        let problem = api
            .with_headers(Method::POST, path, headers, TASK)
            .await
            .problem(415);
        assert_eq!(problem["field"], field, "{headers:?}");
        assert!(!problem["limit"].as_str().unwrap().is_empty());
    }
    assert_eq!(api.store.records(), 0);
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            status(&api, Method::POST, TASKS, &[("content-type", kind)]).await,
            201
        );
    }
    // What has no body needs no kind.
    let bare = api
        .with_headers(
            Method::DELETE,
            &format!("{TASKS}/x"),
            &[("content-type", "")],
            "",
        )
        .await;
    bare.problem(404);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_large_broken_or_slow_is_told_so() {
    let api = api().await;
    let sent = |chunks: Vec<Result<Vec<u8>, std::io::Error>>, last: bool| {
        let chunks = futures::stream::iter(chunks);
        let body = match last {
            true => Body::from_stream(chunks),
            false => Body::from_stream(futures::StreamExt::chain(
                chunks,
                futures::stream::pending(),
            )),
        };
        api.send(request(Method::POST, TASKS, &[], body))
    };
    let megabyte = || Ok(vec![b' '; 1024 * 1024]);
    assert_eq!(
        sent(vec![megabyte(), megabyte(), Ok(vec![b' '])], false)
            .await
            .problem(413)["field"],
        "body"
    );
    let reset = || Err(std::io::Error::other("reset"));
    let problem = sent(vec![Ok(b"{".to_vec()), reset()], true)
        .await
        .problem(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("broke off"),
        "{problem}"
    );
    assert_eq!(
        sent(vec![Ok(b"{".to_vec())], false).await.problem(408)["field"],
        "body"
    );
    assert_eq!(api.store.records(), 0);
}

#[tokio::test(start_paused = true)]
async fn dots_are_no_names() {
    let api = api().await;
    for body in [
        r#"{"queue":"q","delay":1,"id":".."}"#,
        r#"{"queue":".","delay":1}"#,
    ] {
        api.post(TASKS, body).await.problem(422);
    }
    api.post("/v1/namespaces", r#"{"name":".."}"#)
        .await
        .problem(422);
    for path in [
        "/v1/namespaces/%2e%2e/tasks",
        "/v1/namespaces/default/tasks/%2E",
        "/v1/queues/..",
    ] {
        api.get(path).await.problem(422);
    }
    assert_eq!(api.store.records(), 0);
}
