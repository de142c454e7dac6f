//! The headers of a record, whoever wrote it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

/// A header: its name, and its value where that is not null.
pub(crate) type Header<'a> = (&'a str, Option<&'a [u8]>);

/// A name of a header is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header's name is not UTF-8")]
pub(crate) struct NameIsNotText;

/// The headers in their order. The driver panics at a name that is not UTF-8, which any producer
/// may write: that is a refusal like any other, and must not end the thread that reads.
pub(crate) fn of<'a>(message: &'a BorrowedMessage<'_>) -> Result<Vec<Header<'a>>, NameIsNotText> {
    let Some(headers) = message.headers() else {
        return Ok(Vec::new());
    };
    let collect = || {
        headers
            .iter()
            .map(|header| (header.key, header.value))
            .collect()
    };
    catch_unwind(AssertUnwindSafe(collect)).map_err(|_| NameIsNotText)
}

/// The header of a checkpoint, or of a claim, that says how far follow-ups have been copied.
pub(crate) const COPIED: &str = "minutehand-follow-ups";

/// How far follow-ups had been copied, where a record says it.
pub(crate) fn copied_until(message: &BorrowedMessage<'_>) -> Option<u64> {
    let headers = of(message).ok()?;
    let (_, value) = headers.into_iter().find(|(name, _)| *name == COPIED)?;
    std::str::from_utf8(value?).ok()?.parse().ok()
}
