//! Every limit a caller can run into, in one place.

use crate::time::DAY_MS;

/// Largest payload of a task, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Most headers of a task.
pub const HEADERS_MAX: usize = 64;
/// Longest header name, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// Longest header value, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Longest key of a Kafka record that is delivered with its task, in bytes.
pub const RECORD_KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest namespace or queue name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest task id, in bytes.
pub const ID_BYTES_MAX: usize = 200;
/// Longest schedule id, in bytes: its occurrences are named `<schedule>@<nominal time>`.
pub const SCHEDULE_ID_BYTES_MAX: usize = ID_BYTES_MAX - 40;
/// Oldest due time accepted, in milliseconds before now: ten years.
pub const DUE_PAST_MS_MAX: i64 = 3_653 * DAY_MS;
/// Most attempts of a retry policy.
pub const RETRY_ATTEMPTS_MAX: u32 = 1_000;
/// Longest delay between two attempts, in milliseconds: thirty days.
pub const RETRY_DELAY_MS_MAX: i64 = 30 * DAY_MS;
/// Longest jitter of a schedule, in milliseconds: one day.
pub const JITTER_MS_MAX: i64 = DAY_MS;
/// Most occurrences one backfill may ask for.
pub const BACKFILL_OCCURRENCES_MAX: usize = 10_000;
/// Most occurrences that wait behind a running one.
pub const OVERLAP_BUFFER_MAX: usize = 1_000;
/// Events a schedule remembers about itself ("why has it not run?").
pub const SCHEDULE_EVENTS_MAX: usize = 20;
/// Longest cron expression, in bytes.
pub const CRON_BYTES_MAX: usize = 1_024;
/// Longest note on a revision, in bytes.
pub const NOTE_BYTES_MAX: usize = 1_024;

const _: () = assert!(PAYLOAD_BYTES_MAX < 1024 * 1024, "a record must fit Kafka's default message size");
// Headers and key travel twice: as they are, and in the encoded task beside them.
const _: () = assert!(
    PAYLOAD_BYTES_MAX
        + 2 * (HEADERS_MAX * (HEADER_NAME_BYTES_MAX + HEADER_VALUE_BYTES_MAX) + RECORD_KEY_BYTES_MAX)
        < 960 * 1024,
    "an execution must fit Kafka's default message size"
);
const _: () = assert!(ID_BYTES_MAX <= u8::MAX as usize, "an id's length is stored in one byte");
