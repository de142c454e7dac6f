//! Pages that end with their bytes.

use axum::http::StatusCode;
use minutehand_model::limits::PAGE_BYTES_MAX;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::problem::Problem;

/// The entries of a page as they are sent, about [`PAGE_BYTES_MAX`] bytes of them: one is always on it. An entry may take
/// many times the bytes in an answer that it takes in memory.
pub(crate) fn entries<T: Serialize>(items: impl Iterator<Item = T>) -> Result<Vec<Box<RawValue>>, Problem> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for item in items {
        let entry = to_raw_value(&item).map_err(|error| unwritten(&error))?;
        bytes += entry.get().len();
        if bytes > PAGE_BYTES_MAX && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// An answer that could not be written.
pub(crate) fn unwritten(error: &serde_json::Error) -> Problem {
    let title = "The answer could not be written";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_entry_that_is_too_much() {
        let sent = |bytes: &[usize]| entries(bytes.iter().map(|bytes| "x".repeat(*bytes))).unwrap().len();
        assert_eq!(sent(&[]), 0);
        assert_eq!(sent(&[10 * PAGE_BYTES_MAX, 1]), 1);
        assert_eq!(sent(&[PAGE_BYTES_MAX / 2, PAGE_BYTES_MAX / 2 - 4, 1]), 2);
        let escaped = "\u{1}".repeat(PAGE_BYTES_MAX / 5);
        assert_eq!(entries([&escaped, &escaped].into_iter()).unwrap().len(), 1);
    }
}
