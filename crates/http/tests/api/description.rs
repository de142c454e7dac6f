//! The description of the API: committed, complete, and true of the router.

use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use crate::support::{TASKS, api};

#[test]
fn the_committed_description_is_the_present_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/openapi.json");
    let present = minutehand_http::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, present).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == present,
        "run the tests with UPDATE_OPENAPI=1 and commit schema/openapi.json"
    );
}

#[test]
fn it_is_openapi_3_1_and_every_reference_has_a_target() {
    let text = minutehand_http::openapi_json();
    let description: Value = serde_json::from_str(text).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = Vec::new();
    collect(&description, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            description.pointer(pointer).is_some(),
            "{reference} has no target"
        );
    }
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members
                .values()
                .for_each(|member| collect(member, references));
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| collect(element, references)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn no_operation_takes_a_parameter_that_it_does_not_describe() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        let filled = filled(path);
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            // Given to a purge, `group` would seem to spare the others.
            for name in ["colour", "Group"] {
                let asked = format!("{filled}?{name}=x");
                let answer = api.call(method.clone(), &asked, "{}").await;
                let problem = answer.problem(422);
                assert_eq!(problem["field"], name, "{method} {asked}");
            }
        }
    }
    let answer = api.delete("/v1/queues/x?group=g").await;
    assert_eq!(answer.problem(422)["field"], "group");
    let all = r#"{"all":true}"#;
    let path = "/v1/queues/x/dead-letters:discard";
    let answer = api.post(&format!("{path}?namespace=a"), all).await;
    assert_eq!(answer.problem(422)["field"], "namespace");
    api.post(path, all).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_obeyed_or_refused() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    let mut takers = Vec::new();
    for (name, operation) in operations(&description) {
        let (method, path) = name.split_once(' ').unwrap();
        if !path.starts_with("/v1/") {
            continue;
        }
        let filled = filled(path);
        let method: Method = method.to_uppercase().parse().unwrap();
        let headers = [("Idempotency-Key", "k1"), JSON[0]];
        let answer = api
            .with_headers(method.clone(), &filled, &headers, "{}")
            .await;
        let described = operation["parameters"]
            .to_string()
            .contains("Idempotency-Key");
        if described || method == Method::GET {
            assert!(
                !answer.text.contains("Idempotency-Key"),
                "{name}: {}",
                answer.text
            );
            takers.extend(described.then_some(name));
            continue;
        }
        let problem = answer.problem(400);
        assert_eq!(problem["field"], "Idempotency-Key", "{name}");
        assert_eq!(problem["given"], "k1", "{name}");
        let limit = problem["limit"].as_str().unwrap();
        assert!(
            limit.contains("POST /v1/namespaces/{ns}/tasks takes"),
            "{limit}"
        );
    }
    assert_eq!(takers, ["post /v1/namespaces/{ns}/tasks"]);
}

#[tokio::test(start_paused = true)]
async fn everything_described_is_routed() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path
            .replace("{ns}", "default")
            .replace("{id}", "x")
            .replace("{queue}", "q");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = api.call(method.clone(), &path, "{}").await;
            let is_missing = answer.status == 405 || answer.text.contains("there is nothing at");
            assert!(
                !is_missing && answer.status.as_u16() != 500,
                "{method} {path}: {}",
                answer.text
            );
        }
    }
}

/// A described path with names in it.
fn filled(path: &str) -> String {
    path.replace("{ns}", "default")
        .replace("{partition}", "0")
        .replace("{id}", "x")
        .replace("{queue}", "x")
}

fn operations(description: &Value) -> impl Iterator<Item = (String, &Value)> {
    description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
}

#[test]
fn the_problems_of_each_operation_are_described() {
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    for (name, operation) in operations(&description) {
        let answers = operation["responses"].as_object().unwrap();
        let parameters = operation["parameters"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let takes = |parameter: &str| parameters.iter().any(|one| one["name"] == parameter);
        let expected = [
            ("404", takes("ns")),
            ("409", takes("If-Match") || takes("Idempotency-Key")),
            ("412", takes("If-Match")),
            (
                "422",
                operation.get("requestBody").is_some() || !parameters.is_empty(),
            ),
        ];
        for (status, _) in expected.into_iter().filter(|(_, is_expected)| *is_expected) {
            let schema = &answers[status]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name}: {status}");
        }
    }
}

#[test]
fn what_may_be_left_out_is_not_null_as_well() {
    let text = minutehand_http::openapi_json();
    let description: Value = serde_json::from_str(text).unwrap();
    // The two times that a schedule may lack are always there, and null then.
    assert_eq!(text.matches("\"null\"").count(), 2);
    for name in description["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            !["Dto", "Input", "List", "Show"]
                .iter()
                .any(|end| name.ends_with(end)),
            "{name}"
        );
    }
}

/// The requests that the description shows: method, path and body.
fn example_requests(description: &Value) -> Vec<(Method, String, Value)> {
    let mut requests = Vec::new();
    for (name, operation) in operations(description) {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(schema) = body
            .as_str()
            .and_then(|name| description.pointer(name.trim_start_matches('#')))
        else {
            continue;
        };
        let example = schema
            .get("example")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({}));
        let (method, path) = name.split_once(' ').unwrap();
        let path = path
            .replace("{ns}", "default")
            .replace("{queue}", "q")
            .replace("{partition}", "0");
        let path = path.replace("{id}", "order-17");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        requests.push((method, path, example));
    }
    assert!(requests.len() > 15);
    requests
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test(start_paused = true)]
async fn every_example_of_a_request_is_accepted() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    for id in 0..8 {
        let task = format!(r#"{{"id":"{id}","queue":"q","delay":"1h"}}"#);
        api.post(TASKS, &task).await.expect(201);
    }
    for (method, path, example) in example_requests(&description) {
        let body = example.to_string();
        let answer = api.with_headers(method.clone(), &path, &JSON, &body).await;
        assert!(
            ![400, 415, 422].contains(&answer.status.as_u16()),
            "{method} {path}: {}",
            answer.text
        );
    }
}

/// Where objects stand in a value, itself left out. A payload is anything.
fn objects_within(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut look = |member: &Value, at: String| {
        if member.is_object() {
            found.push(at.clone());
        }
        objects_within(member, &at, found);
    };
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !["payload", "result"].contains(&name.as_str()))
            .for_each(|(name, member)| look(member, format!("{at}/{name}"))),
        Value::Array(elements) => {
            (0..elements.len()).for_each(|index| look(&elements[index], format!("{at}/{index}")))
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn no_object_is_written_as_an_array_of_its_values() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    let yearly = r#"{"id":"order-17","cron":"0 0 1 1 *","queue":"q"}"#;
    let schedules = "/v1/namespaces/default/schedules";
    api.post(schedules, yearly).await.expect(201);
    let mut sent = 0;
    for (method, path, mut example) in example_requests(&description) {
        // What some examples leave out.
        if let Some(fields) = example
            .as_object_mut()
            .filter(|fields| fields.contains_key("queue"))
        {
            fields.insert("headers".to_owned(), serde_json::json!({ "a": "b" }));
            fields.insert("retry".to_owned(), serde_json::json!({ "policy": "none" }));
        }
        let mut places = Vec::new();
        objects_within(&example, "", &mut places);
        // A list of tasks is answered one by one, and here nothing can be leased.
        let is_read = |path: &str| !path.ends_with(":bulk") && !path.contains("queues/q:");
        for place in places.iter().filter(|_| is_read(&path)) {
            let object = example.pointer(place).unwrap().as_object().unwrap();
            let values: Vec<Value> = object.values().cloned().collect();
            for wrong in [Value::from(values), Value::from(5), Value::Null] {
                let mut body = example.clone();
                // A field may be null, which is as if it were left out.
                if wrong.is_null() && !place.ends_with(char::is_numeric) {
                    continue;
                }
                *body.pointer_mut(place).unwrap() = wrong;
                let answer = api
                    .with_headers(method.clone(), &path, &JSON, &body.to_string())
                    .await;
                let problem = answer.problem(400);
                let limit = problem["limit"].as_str().unwrap();
                assert!(
                    !limit.contains("struct "),
                    "{method} {path} {body}: {problem}"
                );
                sent += 1;
            }
        }
    }
    assert!(sent > 5, "{sent}");
}
