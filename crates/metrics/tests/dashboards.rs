//! Dashboards and alerts name only series and labels that exist, and every alert is tested and
//! explained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use minutehand_metrics::{Kind, catalogue};

/// What the scrape configuration adds to every series (`dashboards/README.md`).
const OF_THE_TARGET: &[&str] = &["job", "region", "role", "instance"];

/// Series of others that may be named, each with its labels besides those of the target.
const OF_OTHERS: &[(&str, &[&str])] = &[
    // Prometheus' own.
    ("up", &[]),
    ("ALERTS", &["alertname", "alertstate"]),
    // node_exporter's.
    ("node_filesystem_avail_bytes", &["fstype", "mountpoint"]),
    ("node_filesystem_size_bytes", &["fstype", "mountpoint"]),
    ("node_timex_offset_seconds", &[]),
    ("node_timex_sync_status", &[]),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../")
        .join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with an ending: name and text, in order.
fn files(name: &str, ending: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder(name)).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == ending));
    let mut files: Vec<_> = wanted
        .map(|path| {
            (
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                read(&path),
            )
        })
        .collect();
    files.sort();
    files
}

/// An alert, as far as its lines say.
struct Alert {
    name: String,
    lines: Vec<String>,
}

impl Alert {
    fn field(&self, key: &str) -> String {
        let line = self
            .lines
            .iter()
            .find_map(|line| line.trim().strip_prefix(key));
        line.unwrap_or_else(|| panic!("{} has no {key}", self.name))
            .trim()
            .to_owned()
    }
}

fn alerts() -> Vec<Alert> {
    let texts: Vec<String> = files("dashboards/rules", "yml")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let rules = texts
        .iter()
        .flat_map(|text| text.split("- alert: ").skip(1));
    rules
        .map(|rule| Alert {
            name: rule.lines().next().expect("a name").to_owned(),
            // The next group begins at the margin of groups.
            lines: rule
                .lines()
                .take_while(|line| !line.starts_with("  - "))
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

/// Names and expressions of the recorded series.
fn recorded() -> Vec<(String, String)> {
    let texts: Vec<String> = files("dashboards/rules", "yml")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let rules = texts
        .iter()
        .flat_map(|text| text.split("- record: ").skip(1));
    rules
        .map(|rule| {
            let mut lines = rule.lines();
            let name = lines.next().expect("a name").to_owned();
            let expression = lines
                .find_map(|line| line.trim().strip_prefix("expr: "))
                .expect("an expression");
            (name, expression.to_owned())
        })
        .collect()
}

/// The series that may be named, each with its labels.
fn series() -> BTreeMap<String, Vec<String>> {
    let mut series = BTreeMap::new();
    let mut add = |name: String, labels: &[&str]| {
        let labels = labels
            .iter()
            .chain(OF_THE_TARGET)
            .map(|label| (*label).to_owned())
            .collect();
        series.insert(name, labels);
    };
    for metric in catalogue() {
        let labels: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
        if metric.kind == Kind::Histogram {
            add(format!("{}_sum", metric.name), &labels);
            add(format!("{}_count", metric.name), &labels);
            add(
                format!("{}_bucket", metric.name),
                &[labels.as_slice(), &["le"]].concat(),
            );
        } else {
            add(metric.name.to_owned(), &labels);
        }
    }
    OF_OTHERS
        .iter()
        .for_each(|(name, labels)| add((*name).to_owned(), labels));
    // A recorded series has the labels that its name begins with.
    for (name, _) in recorded() {
        let level = name.split(':').next().expect("a level");
        add(name.clone(), &level.split('_').collect::<Vec<_>>());
    }
    series
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The series named in a query, each with the labels of its matcher: `a{b="c"}` -> (a, [b]).
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_series = |word: &str| {
        word.starts_with("minutehand_")
            || word.starts_with("process_")
            || word.contains(':')
            || word.starts_with("node_")
            || OF_OTHERS.iter().any(|(name, _)| *name == word)
    };
    let mut found = Vec::new();
    let (mut rest, mut is_quoted) = (expression, false);
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        if length == 0 {
            is_quoted ^= first == '"';
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        if is_series(word) && !is_quoted {
            let matcher = after
                .strip_prefix('{')
                .and_then(|inner| inner.split('}').next())
                .unwrap_or_default();
            let labels = matcher
                .split(',')
                .filter_map(|pair| pair.split(['=', '!']).next())
                .map(str::trim);
            let labels = labels
                .filter(|label| !label.is_empty())
                .map(str::to_owned)
                .collect();
            found.push((word.to_owned(), labels));
        }
        rest = after;
    }
    found
}

/// The labels named in `by (…)` and `on (…)`.
fn grouped(expression: &str) -> BTreeSet<String> {
    let lists = ["by (", "on ("]
        .iter()
        .flat_map(|word| expression.split(word).skip(1));
    lists
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|list| list.split(',').map(|label| label.trim().to_owned()))
        .collect()
}

/// The series that an expression names.
fn checked(expression: &str, series: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let found = named(expression);
    assert!(!found.is_empty(), "no series in {expression}");
    let mut known = BTreeSet::new();
    for (name, labels) in &found {
        let has = series
            .get(name)
            .unwrap_or_else(|| panic!("{name} does not exist: {expression}"));
        for label in labels {
            assert!(
                has.contains(label),
                "{name} has no label {label}: {expression}"
            );
        }
        known.extend(has.iter().cloned());
    }
    for label in grouped(expression) {
        assert!(known.contains(&label), "({label}) in {expression}");
    }
    found.into_iter().map(|(name, _)| name).collect()
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

fn dashboards() -> Vec<(String, serde_json::Value)> {
    let parsed = |(name, text): (String, String)| {
        let dashboard =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, dashboard)
    };
    files("dashboards", "json")
        .into_iter()
        .map(parsed)
        .collect()
}

#[test]
fn dashboards_show_only_what_exists_and_all_of_it() {
    let series = series();
    let mut used = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        let mut found = Vec::new();
        expressions(&dashboard, &mut found);
        assert!(found.len() > 10, "{name}: {}", found.len());
        for expression in &found {
            used.extend(checked(expression, &series));
        }
    }
    for metric in catalogue() {
        assert!(
            used.iter().any(|name| name.starts_with(metric.name)),
            "no panel shows {}",
            metric.name
        );
    }
}

#[test]
fn dashboards_are_linked_and_say_what_they_show() {
    let dashboards = dashboards();
    let uid = |dashboard: &serde_json::Value| dashboard["uid"].as_str().expect("a uid").to_owned();
    let uids: BTreeSet<String> = dashboards
        .iter()
        .map(|(_, dashboard)| uid(dashboard))
        .collect();
    assert_eq!(uids.len(), dashboards.len(), "uids are unique");
    for (name, dashboard) in &dashboards {
        assert_eq!(
            dashboard["links"][0]["tags"][0], "minutehand",
            "{name} leads to the others"
        );
        assert_eq!(
            dashboard["tags"][0], "minutehand",
            "{name} is found by the others"
        );
        let variables = dashboard["templating"]["list"]
            .as_array()
            .expect("variables");
        let variables: Vec<&str> = variables
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert!(
            variables.starts_with(&["datasource", "region"]),
            "{name}: {variables:?}"
        );
        let panels = dashboard["panels"].as_array().expect("panels");
        let ids: BTreeSet<u64> = panels
            .iter()
            .filter_map(|panel| panel["id"].as_u64())
            .collect();
        assert_eq!(ids.len(), panels.len(), "{name}: ids are unique");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let title = &panel["title"];
            assert!(
                panel["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10),
                "{name}: {title}"
            );
            assert_eq!(
                panel["datasource"]["uid"], "${datasource}",
                "{name}: {title}"
            );
            let is_stat = panel["type"] == "stat";
            let has_steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].is_array();
            assert!(has_steps || !is_stat, "{name}: {title} has no thresholds");
            for link in panel["links"].as_array().into_iter().flatten() {
                let url = link["url"].as_str().expect("a url");
                let target = url
                    .strip_prefix("/d/")
                    .and_then(|rest| rest.split('?').next());
                assert!(
                    target.is_some_and(|uid| uids.contains(uid)),
                    "{name}: {title} leads to {url}"
                );
            }
        }
    }
}

#[test]
fn alerts_watch_only_what_exists_and_say_what_to_do() {
    let series = series();
    let mut used = BTreeSet::new();
    for (_, expression) in recorded() {
        used.extend(checked(&expression, &series));
    }
    let (alerts, mut names) = (alerts(), BTreeSet::new());
    for alert in &alerts {
        let name = &alert.name;
        assert!(names.insert(name), "{name} twice");
        used.extend(checked(&alert.field("expr:"), &series));
        assert!(
            ["critical", "warning"].contains(&alert.field("severity:").as_str()),
            "{name}"
        );
        for key in ["summary:", "description:", "runbook:"] {
            let words = alert.field(key);
            let is_said = words.starts_with('"') && words.ends_with('"') && words.len() > 20;
            assert!(is_said, "{name}: {key} {words}");
        }
    }
    for name in [
        "minutehand_partition_frontier_lag_seconds",
        "minutehand_partition_phase",
        "minutehand_partition_replay_distance_records",
        "minutehand_partition_set_aside_total",
        "minutehand_publish_lateness_seconds_bucket",
        "minutehand_queue_depth",
        "minutehand_runs_total",
        "up",
    ] {
        assert!(used.contains(name), "no alert watches {name}");
    }
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let page = read(&folder("docs/RUNBOOKS.md"));
    let sections: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### Minutehand"))
        .collect();
    let alerts = alerts();
    for Alert { name, .. } in &alerts {
        assert!(
            sections
                .iter()
                .any(|section| format!("Minutehand{section}") == *name),
            "docs/RUNBOOKS.md has no section ### {name}"
        );
    }
    assert_eq!(
        sections.len(),
        alerts.len(),
        "docs/RUNBOOKS.md has a section whose alert is gone"
    );
    for alert in &alerts {
        let url = alert.field("runbook_url:");
        assert_eq!(
            url,
            format!("docs/RUNBOOKS.md#{}", alert.name.to_lowercase()),
            "where its page is"
        );
    }
}

/// The tests themselves are run by `cargo xtask deploy-check`, which needs promtool.
#[test]
fn every_alert_is_tested_for_firing_and_for_silence() {
    let tests = files("dashboards/tests", "yml");
    let all: String = tests.iter().map(|(_, text)| text.as_str()).collect();
    for Alert { name, .. } in alerts() {
        assert!(
            all.lines()
                .any(|line| line.trim() == format!("# fires: {name}")),
            "{name} is not tested"
        );
    }
    let steady = tests
        .iter()
        .find(|(name, _)| name == "steady.yml")
        .map(|(_, text)| text);
    let steady = steady.expect("the test of two healthy regions");
    assert!(
        steady.contains("rule_files: [../rules/*.yml]"),
        "it loads every rule"
    );
    assert!(
        steady.contains("expr: ALERTS\n") && steady.contains("exp_samples: []"),
        "it wants silence"
    );
    // Silence says nothing about a rule whose series are not there at all.
    for name in alerts()
        .iter()
        .flat_map(|alert| named(&alert.field("expr:")))
        .map(|(name, _)| name)
    {
        let is_there = name.contains(':') || steady.contains(&format!("'{name}{{"));
        assert!(is_there, "dashboards/tests/steady.yml has no series {name}");
    }
}
