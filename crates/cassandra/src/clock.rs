//! The one place where this crate asks for the time: for the time to live of rows, and for what
//! people read.

use std::time::{SystemTime, UNIX_EPOCH};

use minutehand_model::Timestamp;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}
