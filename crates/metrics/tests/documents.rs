//! The catalogue's conventions, and the document that is rendered from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use minutehand_metrics::{
    HISTOGRAM_BUCKETS, Kind, OTHER, Unit, Values, catalogue, render_markdown,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in catalogue() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} twice");
        assert!(
            name.starts_with("minutehand_") || name.starts_with("process_"),
            "{name}"
        );
        let base = name.strip_suffix("_total").unwrap_or(name);
        assert!(
            name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'),
            "{name}"
        );
        assert_eq!(
            metric.kind == Kind::Counter,
            name.ends_with("_total"),
            "{name}"
        );
        assert_eq!(
            metric.unit == Unit::Seconds,
            base.ends_with("_seconds"),
            "{name}"
        );
        assert_eq!(
            metric.unit == Unit::Bytes,
            base.ends_with("_bytes"),
            "{name}"
        );
        assert!(
            metric.kind != Kind::Histogram || metric.unit == Unit::Seconds,
            "{name}: the buckets are seconds"
        );
        assert!(
            metric.help.len() > 20 && metric.help.ends_with('.'),
            "{name}"
        );
        for label in metric.labels {
            assert!(
                !["id", "task", "schedule", "le"].contains(&label.name),
                "{name}: {}",
                label.name
            );
            let Values::Words(words) = label.values else {
                continue;
            };
            assert!(
                !words.contains(&OTHER) && !words.is_empty(),
                "{name}: {}",
                label.name
            );
        }
    }
    assert!(HISTOGRAM_BUCKETS.windows(2).all(|pair| pair[0] < pair[1]));
    for bound in [0.1, 1.0, 10.0] {
        assert!(
            HISTOGRAM_BUCKETS.contains(&bound),
            "the bound of a precision class"
        );
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
