//! Metrics as OpenMetrics has them, from the text format of Prometheus: counters are named without
//! `_total`, nothing stands between families, and the end is told.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use crate::accepted::is_listed;

/// What an answer in this format is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the caller would rather have this format: it names it, and does not weigh it with nought.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    is_listed(headers, header::ACCEPT, "application/openmetrics-text")
}

/// The same metrics.
pub(crate) fn of(text: &str) -> String {
    let mut counters = Vec::new();
    for line in text.lines() {
        let family = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.strip_suffix(" counter"));
        counters.extend(family);
    }
    let mut told = String::with_capacity(text.len() + 8);
    for line in text.lines().filter(|line| !line.is_empty()) {
        told.push_str(&told_as(line, &counters));
        told.push('\n');
    }
    told.push_str("# EOF\n");
    told
}

/// A line as this format has it.
fn told_as<'a>(line: &'a str, counters: &[&str]) -> Cow<'a, str> {
    if !line.starts_with('#') {
        return Cow::Borrowed(line);
    }
    let words = line.splitn(4, ' ').collect::<Vec<_>>();
    match words[..] {
        ["#", what @ ("TYPE" | "HELP"), name, rest] => {
            let is_counter = counters.contains(&name);
            let family = name.strip_suffix("_total").filter(|_| is_counter);
            let rest = match what {
                "HELP" => rest.replace('"', "\\\""),
                _ => rest.to_owned(),
            };
            Cow::Owned(format!("# {what} {} {rest}", family.unwrap_or(name)))
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_lose_their_ending_and_the_end_is_told() {
        let text = "# HELP runs_total Runs, \"all\" of them.\n# TYPE runs_total counter\nruns_total{queue=\"q\"} 3\n\n\
            # HELP size_total A gauge.\n# TYPE size_total gauge\nsize_total 1\n\n\
            # TYPE took_seconds histogram\ntook_seconds_bucket{le=\"+Inf\"} 1\n";
        let expected = "# HELP runs Runs, \\\"all\\\" of them.\n# TYPE runs counter\nruns_total{queue=\"q\"} 3\n\
            # HELP size_total A gauge.\n# TYPE size_total gauge\nsize_total 1\n\
            # TYPE took_seconds histogram\ntook_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        assert_eq!(of(text), expected);
    }

    #[test]
    fn it_is_given_to_whoever_names_it() {
        let wants = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().expect("a value"));
            is_wanted(&headers)
        };
        for yes in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5,*/*;q=0.1",
        ] {
            assert!(wants(yes), "{yes}");
        }
        for no in ["*/*", "text/plain", "application/openmetrics-text; q=0"] {
            assert!(!wants(no), "{no}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
