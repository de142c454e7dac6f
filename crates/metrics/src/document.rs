//! The catalogue as a document.

use std::fmt::Write as _;

use crate::catalogue::catalogue;
use crate::metric::{HISTOGRAM_BUCKETS, Metric, Values};

/// `docs/METRICS.md`, complete.
#[must_use]
pub fn render_markdown() -> String {
    let bounds: Vec<String> = HISTOGRAM_BUCKETS.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "# Metrics\n\n\
         Every metric that `GET /metrics` can show. This file is rendered from the catalogue in `crates/metrics` and\n\
         compared with it by a test; `UPDATE_DOCS=1 cargo test -p minutehand-metrics` writes it again.\n\n\
         Histograms have the buckets {} (seconds), and the usual `_bucket`, `_sum` and `_count` series.\n\
         The dashboards in `dashboards/` show these metrics, and the rules in `dashboards/rules/` watch them.\n\n\
         | name | kind | unit | labels | what it says |\n|---|---|---|---|---|\n",
        bounds.join(", ")
    );
    for metric in catalogue() {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{}`", label.name))
            .collect();
        let Metric {
            name,
            kind,
            unit,
            help,
            ..
        } = metric;
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} | {help} |",
            kind.as_str(),
            unit.as_str(),
            labels.join(", ")
        );
    }
    text.push_str("\n## Labels\nWhat is none of the words of its label is `other`.\n\n| label | values |\n|---|---|\n");
    let mut seen = Vec::new();
    for label in catalogue().iter().flat_map(|metric| metric.labels) {
        if seen.contains(&label.name) {
            continue;
        }
        seen.push(label.name);
        let values = match label.values {
            Values::Words(words) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<String>>()
                .join(", "),
            Values::Bounded(sentence) => sentence.to_owned(),
        };
        let _ = writeln!(text, "| `{}` | {values} |", label.name);
    }
    text
}
