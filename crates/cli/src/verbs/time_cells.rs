//! Cells of tables, and whole answers field by field.

use minutehand_model::Timestamp;
use serde_json::Value;

use crate::output::time::with_relative;

/// A time that may be absent: in UTC, with how far it lies from now.
pub(super) fn time_cell(text: Option<&String>, now: Timestamp) -> String {
    text.map_or_else(String::new, |text| with_relative(text, now))
}

/// A number that may be absent.
pub(super) fn cell(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Text without quotes, lists with commas, the rest as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            items.iter().map(plain).collect::<Vec<String>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Every field of an object as a line, nested ones by their path; times get how far they lie from
/// now.
pub(super) fn all_fields(value: &Value, now: Timestamp) -> Vec<(String, String)> {
    /// What is looked for first.
    const FIRST: [&str; 9] = [
        "id",
        "queue",
        "state",
        "why",
        "cron",
        "every",
        "time_zone",
        "due_at",
        "next_at",
    ];
    let mut found = Vec::new();
    collect("", value, now, &mut found);
    let mut place = FIRST.len();
    let mut placed: Vec<(usize, (String, String))> = Vec::with_capacity(found.len());
    for line in found {
        // A list has one line for each item, the first of them with its name.
        if !line.0.is_empty() {
            place = FIRST
                .iter()
                .position(|first| *first == line.0)
                .unwrap_or(FIRST.len());
        }
        placed.push((place, line));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, line)| line).collect()
}

fn collect(path: &str, value: &Value, now: Timestamp, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || path.is_empty() => {
            for (name, inner) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                collect(&path, inner, now, found);
            }
        }
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let name = if index == 0 {
                    path.to_owned()
                } else {
                    String::new()
                };
                found.push((name, one_line(item, now)));
            }
        }
        Value::String(text) => found.push((path.to_owned(), with_relative(text, now))),
        other => found.push((path.to_owned(), plain(other))),
    }
}

/// An object of a list in one line: `2026-11-24T09:00:00Z (in 4 min), started`.
fn one_line(value: &Value, now: Timestamp) -> String {
    match value {
        Value::Object(fields) => {
            let parts = fields
                .iter()
                .filter(|(_, inner)| !inner.is_null())
                .map(|(name, inner)| match inner {
                    Value::String(text) => format!("{name} {}", with_relative(text, now)),
                    other => format!("{name} {}", plain(other)),
                });
            parts.collect::<Vec<String>>().join(", ")
        }
        other => plain(other),
    }
}
