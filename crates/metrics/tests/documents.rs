//! The catalogue's conventions, and the files that name its metrics: document, dashboard and alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use minutehand_metrics::{HISTOGRAM_BUCKETS, Kind, OTHER, Unit, Values, catalogue, render_markdown};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in catalogue() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} twice");
        assert!(name.starts_with("minutehand_"), "{name}");
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{name}");
        assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(metric.unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
        assert_eq!(metric.unit == Unit::Bytes, name.ends_with("_bytes"), "{name}");
        assert!(
            metric.kind != Kind::Histogram || metric.unit == Unit::Seconds,
            "{name}: the buckets are seconds"
        );
        assert!(metric.help.len() > 20 && metric.help.ends_with('.'), "{name}");
        for label in metric.labels {
            assert!(!["id", "task", "schedule", "le"].contains(&label.name), "{name}: {}", label.name);
            let Values::Words(words) = label.values else { continue };
            assert!(!words.contains(&OTHER) && !words.is_empty(), "{name}: {}", label.name);
        }
    }
    assert!(HISTOGRAM_BUCKETS.windows(2).all(|pair| pair[0] < pair[1]));
    for bound in [0.1, 1.0, 10.0] {
        assert!(HISTOGRAM_BUCKETS.contains(&bound), "the bound of a precision class");
    }
}

#[test]
fn the_document_is_up_to_date() {
    let path = root().join("docs/METRICS.md");
    let wanted = render_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("docs/METRICS.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/METRICS.md is out of date; run UPDATE_DOCS=1 cargo test -p minutehand-metrics"
    );
}

/// The series that exist, each with its labels.
fn series() -> BTreeMap<String, Vec<&'static str>> {
    let mut series = BTreeMap::new();
    for metric in catalogue() {
        let mut labels: Vec<&'static str> = metric.labels.iter().map(|label| label.name).collect();
        if metric.kind == Kind::Histogram {
            for suffix in ["_sum", "_count"] {
                series.insert(format!("{}{suffix}", metric.name), labels.clone());
            }
            labels.push("le");
            series.insert(format!("{}_bucket", metric.name), labels);
        } else {
            series.insert(metric.name.to_owned(), labels);
        }
    }
    series
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The series named in a query, each with the labels of its matcher: `a{b="c"}` -> (a, [b]).
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    expression
        .match_indices("minutehand_")
        .filter(|(at, _)| !expression[..*at].ends_with(is_word))
        .map(|(at, _)| {
            let rest = &expression[at..];
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let matcher =
                rest[end..].strip_prefix('{').and_then(|inner| inner.split('}').next()).unwrap_or("");
            let labels = matcher.split(',').filter_map(|pair| pair.split(['=', '!']).next()).map(str::trim);
            (rest[..end].to_owned(), labels.filter(|label| !label.is_empty()).map(str::to_owned).collect())
        })
        .collect()
}

/// The labels named in `by (…)`.
fn grouped(expression: &str) -> BTreeSet<String> {
    expression
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|list| list.split(',').map(|label| label.trim().to_owned()))
        .collect()
}

fn check_expression(
    expression: &str,
    series: &BTreeMap<String, Vec<&'static str>>,
    used: &mut BTreeSet<String>,
) {
    let found = named(expression);
    assert!(!found.is_empty(), "no metric of ours in {expression}");
    let mut known = BTreeSet::new();
    for (name, labels) in &found {
        let has = series.get(name).unwrap_or_else(|| panic!("{name} is not in the catalogue: {expression}"));
        for label in labels {
            assert!(has.contains(&label.as_str()), "{name} has no label {label}: {expression}");
        }
        known.extend(has.iter().copied());
        used.insert(name.clone());
    }
    for label in grouped(expression) {
        assert!(known.contains(label.as_str()), "by ({label}) in {expression}");
    }
    assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{expression}");
}

/// Every query of a panel, a variable or an annotation.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, inner) in fields {
                match inner.as_str() {
                    Some(text) if ["expr", "definition"].contains(&key.as_str()) => {
                        found.push(text.to_owned())
                    }
                    _ => expressions(inner, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_only_what_exists_and_all_of_it() {
    let text = std::fs::read_to_string(root().join("dashboards/minutehand.json")).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 25, "{}", found.len());
    let (series, mut used) = (series(), BTreeSet::new());
    for expression in &found {
        check_expression(expression, &series, &mut used);
    }
    for metric in catalogue() {
        assert!(used.iter().any(|name| name.starts_with(metric.name)), "no panel shows {}", metric.name);
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{}", panel["title"]);
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
    }
}

#[test]
fn alerts_watch_only_what_exists_and_say_what_to_do() {
    let text = std::fs::read_to_string(root().join("dashboards/alerts.yml")).expect("the alert rules");
    let (series, mut used) = (series(), BTreeSet::new());
    let rules: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 6);
    for rule in rules {
        let name = rule.lines().next().expect("a name");
        let field = |key: &str| {
            let line = rule.lines().find_map(|line| line.trim().strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).trim().to_owned()
        };
        check_expression(&field("expr:"), &series, &mut used);
        assert!(["critical", "warning"].contains(&field("severity:").as_str()), "{name}");
        for key in ["summary:", "description:", "runbook:"] {
            let words = field(key);
            assert!(
                words.starts_with('"') && words.ends_with('"') && words.len() > 20,
                "{name}: {key} {words}"
            );
        }
    }
    for name in [
        "minutehand_partition_frontier_lag_seconds",
        "minutehand_partition_phase",
        "minutehand_partition_replay_distance_records",
        "minutehand_runs_total",
        "minutehand_partition_set_aside_total",
    ] {
        assert!(used.contains(name), "no alert watches {name}");
    }
}
