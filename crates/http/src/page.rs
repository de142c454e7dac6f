//! Pages that end with their bytes.

use std::io;

use minutehand_api::ProblemKind;
use minutehand_model::limits::PAGE_BYTES_MAX;
use serde::Serialize;

use crate::problem::Problem;

/// The entries of a page, about [`PAGE_BYTES_MAX`] bytes of them as they are sent: one is always on
/// it. An entry may take many times the bytes in an answer that it takes in memory.
pub(crate) fn entries<T: Serialize>(items: impl Iterator<Item = T>) -> Result<Vec<T>, Problem> {
    let (mut entries, mut bytes) = (Vec::new(), Counter(0));
    for item in items {
        serde_json::to_writer(&mut bytes, &item).map_err(|error| unwritten(&error))?;
        if bytes.0 > PAGE_BYTES_MAX && !entries.is_empty() {
            break;
        }
        entries.push(item);
    }
    Ok(entries)
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that could not be written.
pub(crate) fn unwritten(error: &serde_json::Error) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        format!("the answer could not be written: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_entry_that_is_too_much() {
        let sent = |bytes: &[usize]| {
            entries(bytes.iter().map(|bytes| "x".repeat(*bytes)))
                .unwrap()
                .len()
        };
        assert_eq!(sent(&[]), 0);
        assert_eq!(sent(&[10 * PAGE_BYTES_MAX, 1]), 1);
        assert_eq!(sent(&[PAGE_BYTES_MAX / 2, PAGE_BYTES_MAX / 2 - 4, 1]), 2);
        let escaped = "\u{1}".repeat(PAGE_BYTES_MAX / 5);
        assert_eq!(entries([&escaped, &escaped].into_iter()).unwrap().len(), 1);
    }
}
