//! What a caller says that it takes: lists of names, each with a weight.

use axum::http::{HeaderMap, HeaderName};

/// Whether a header of the caller lists a name, and does not weigh it with nought.
pub(crate) fn is_listed(headers: &HeaderMap, header: HeaderName, name: &str) -> bool {
    let values = headers.get_all(header).iter();
    let mut entries = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let is_refused = |part: &str| {
        let weight = part.strip_prefix("q=").map(str::parse::<f64>);
        weight == Some(Ok(0.0))
    };
    entries.any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let listed = parts.next().unwrap_or_default();
        listed.eq_ignore_ascii_case(name) && !parts.any(is_refused)
    })
}
