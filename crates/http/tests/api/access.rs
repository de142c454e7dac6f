//! Tokens: who may call, where, and whether to change anything.

use axum::http::Method;
use serde_json::Value;

use crate::support::{Answer, Api, Setup, TASKS, api_with};

const TOKENS: &str = "
    root  root-0123456789abcdef
    team  team-0123456789abcdef namespaces=default,team-a
    view  view-0123456789abcdef read-only
";

async fn guarded() -> Api {
    api_with(Setup {
        tokens: TOKENS,
        ..Setup::default()
    })
    .await
}

async fn call(api: &Api, method: Method, path: &str, token: &str, body: &str) -> Answer {
    api.with_headers(
        method,
        path,
        &[("Authorization", &format!("Bearer {token}"))],
        body,
    )
    .await
}

const TASK: &str = r#"{"queue":"q","delay":1}"#;

#[tokio::test(start_paused = true)]
async fn without_a_known_token_nothing_but_health_is_answered() {
    let api = guarded().await;
    for path in ["/livez", "/readyz", "/openapi.json", "/"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    for headers in [
        &[][..],
        &[("Authorization", "Bearer wrong-0123456789abcdef")],
        &[("Authorization", "Bearer")],
        &[("Authorization", "Basic cm9vdDpyb290")],
        &[("Authorization", "root-0123456789abcdef")],
    ] {
        let answer = api.with_headers(Method::POST, TASKS, headers, TASK).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(
            !answer.text.contains("0123456789abcdef"),
            "a token is never shown"
        );
        answer.problem(401);
    }
    for path in ["/metrics", "/v1/queues", "/v1/partitions", "/v1/namespaces"] {
        api.get(path).await.problem(401);
    }
    assert_eq!(api.store.records(), 0);
    call(&api, Method::POST, TASKS, "root-0123456789abcdef", TASK)
        .await
        .expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_token_changes_nothing() {
    let api = guarded().await;
    let token = "view-0123456789abcdef";
    call(&api, Method::POST, TASKS, token, TASK)
        .await
        .problem(403);
    call(&api, Method::POST, &format!("{TASKS}:bulk"), token, TASK)
        .await
        .problem(403);
    call(&api, Method::DELETE, &format!("{TASKS}/x"), token, "")
        .await
        .problem(403);
    call(&api, Method::GET, TASKS, token, "").await.expect(200);
    call(&api, Method::GET, "/v1/queues", token, "")
        .await
        .expect(200);
    let preview = "/v1/namespaces/default/schedules:preview";
    call(
        &api,
        Method::POST,
        preview,
        token,
        r#"{"cron":"@daily","queue":"q"}"#,
    )
    .await
    .expect(200);
    // An id that ends like a preview does not make a write a read.
    let disguised = "/v1/namespaces/default/tasks/schedules:preview";
    call(&api, Method::DELETE, disguised, token, "")
        .await
        .problem(403);
    let disguised = "/v1/namespaces/default/schedules/x%2Fschedules:preview";
    call(&api, Method::POST, disguised, token, "")
        .await
        .problem(403);
    assert_eq!(api.store.records(), 0);
}

/// Every path and method of the description, with the namespace another one.
fn operations() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path
            .replace("{ns}", "other")
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

#[tokio::test(start_paused = true)]
async fn a_token_for_some_namespaces_reaches_no_others() {
    let api = guarded().await;
    let token = "team-0123456789abcdef";
    call(&api, Method::POST, TASKS, token, TASK)
        .await
        .expect(201);
    call(
        &api,
        Method::POST,
        "/v1/namespaces/team-a/tasks",
        token,
        TASK,
    )
    .await
    .expect(201);
    let records = api.store.records();
    for (method, path) in operations() {
        if ["/livez", "/readyz", "/openapi.json"].contains(&path.as_str()) {
            continue;
        }
        let answer = call(&api, method.clone(), &path, token, TASK).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
        let answer = api.call(method.clone(), &path, TASK).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
    }
    assert_eq!(api.store.records(), records);
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_a_schedule_is_named() {
    let api = guarded().await;
    let schedule = r#"{"id":"s","cron":"@daily","queue":"q"}"#;
    let created = call(
        &api,
        Method::POST,
        "/v1/namespaces/default/schedules",
        "team-0123456789abcdef",
        schedule,
    )
    .await;
    assert_eq!(created.expect(201)["author"], "team");
}
