//! The description of the API: committed, complete, and true of the router.

use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use crate::support::api;

#[test]
fn the_committed_description_is_the_present_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/openapi.json");
    let present = minutehand_http::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, present).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == present, "run the tests with UPDATE_OPENAPI=1 and commit schema/openapi.json");
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
        assert!(description.pointer(pointer).is_some(), "{reference} has no target");
    }
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, references)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn everything_described_is_routed() {
    let api = api().await;
    let description: Value = serde_json::from_str(minutehand_http::openapi_json()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path.replace("{ns}", "default").replace("{id}", "x").replace("{queue}", "q");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = api.call(method.clone(), &path, "{}").await;
            let is_missing = answer.status == 405 || answer.text.contains("there is nothing at");
            assert!(!is_missing && answer.status.as_u16() != 500, "{method} {path}: {}", answer.text);
        }
    }
}
