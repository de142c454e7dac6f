//! Every limit a caller can run into, in one place.

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// Largest crontab that is read, in bytes.
pub const CRONTAB_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest payload of a task, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Most headers of a task.
pub const HEADERS_MAX: usize = 64;
/// Longest header name, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// Longest header value, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Longest result of a run that is kept, and that a chained task is given, in bytes.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;
/// Most tasks of a chain, one after the other, behind the first.
pub const CHAIN_DEPTH_MAX: usize = 8;
/// Largest chain of a task: what all its tasks take together, payloads and headers included, in
/// bytes.
pub const CHAIN_BYTES_MAX: usize = 64 * 1024;
/// Longest delay of a chained task, in milliseconds: a year.
pub const CHAIN_DELAY_MS_MAX: i64 = 366 * DAY_MS;
/// Most headers of a chained task: the others tell of the task before it.
pub const CHAIN_HEADERS_MAX: usize = HEADERS_MAX - crate::chain::PARENT_HEADERS.len();
/// Longest key of a Kafka record that is delivered with its task, in bytes.
pub const RECORD_KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest namespace or queue name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most queues that the tasks and schedules of one namespace name within [`QUEUE_NAME_KEPT_MS`].
pub const QUEUE_NAMES_OF_NAMESPACE_MAX: usize = 10_000;
/// Most queues that those of all namespaces name.
pub const QUEUE_NAMES_MAX: usize = 20_000;
/// How long a queue that nobody names any more counts, in milliseconds: an hour.
pub const QUEUE_NAME_KEPT_MS: i64 = HOUR_MS;
/// Longest task id, in bytes.
pub const ID_BYTES_MAX: usize = 200;
/// Longest key of tasks that keep an order among themselves, in bytes.
pub const ORDER_KEY_BYTES_MAX: usize = 200;
/// Longest schedule id, in bytes: its occurrences are named `<schedule>@<nominal time>`.
pub const SCHEDULE_ID_BYTES_MAX: usize = ID_BYTES_MAX - 40;
/// Oldest due time accepted, in milliseconds before now: ten years.
pub const DUE_PAST_MS_MAX: i64 = 3_653 * DAY_MS;
/// Most attempts of a retry policy.
pub const RETRY_ATTEMPTS_MAX: u32 = 1_000;
/// Longest delay between two attempts, in milliseconds: thirty days.
pub const RETRY_DELAY_MS_MAX: i64 = 30 * DAY_MS;
/// Most doublings of a delay between attempts.
pub const RETRY_DOUBLINGS_MAX: u32 = 30;
/// Longest jitter of a schedule, in milliseconds: one day.
pub const JITTER_MS_MAX: i64 = DAY_MS;
/// Most occurrences one backfill may ask for.
pub const BACKFILL_OCCURRENCES_MAX: usize = 10_000;
/// Most occurrences that wait behind a running one.
pub const OVERLAP_BUFFER_MAX: usize = 1_000;
/// Runs of one schedule that are remembered while they go on; beyond it the oldest is forgotten.
pub const RUNS_IN_PROGRESS_MAX: usize = 1_000;
/// Backfills of one schedule that wait at once.
pub const BACKFILLS_MAX: usize = 100;
/// How long a run of a schedule may stay unheard of when neither its schedule nor its attempt's
/// time limit says more, in milliseconds: two hours.
pub const RUN_TIMEOUT_MS_DEFAULT: i64 = 2 * HOUR_MS;
/// Shortest such time, in milliseconds.
pub const RUN_TIMEOUT_MS_MIN: i64 = SECOND_MS;
/// Longest such time, in milliseconds: the longest attempt (thirty days), and a day.
pub const RUN_TIMEOUT_MS_MAX: i64 = RETRY_DELAY_MS_MAX + DAY_MS;
/// A run that was asked to stop is asked again after this many milliseconds, then ever more rarely.
pub const STOP_REPEAT_MS_MIN: i64 = 10 * SECOND_MS;
/// Longest pause between two requests to stop a run, in milliseconds.
pub const STOP_REPEAT_MS_MAX: i64 = 10 * MINUTE_MS;
/// How long the revisions of a deleted schedule are kept, in milliseconds: a day.
pub const DELETED_SCHEDULE_KEPT_MS: i64 = DAY_MS;
/// Deleted schedules whose revisions one partition keeps; beyond it the oldest are forgotten.
pub const DELETED_SCHEDULES_MAX: usize = 1_000;
/// Events a schedule remembers about itself ("why has it not run?").
pub const SCHEDULE_EVENTS_MAX: usize = 20;
/// Longest cron expression, in bytes.
pub const CRON_BYTES_MAX: usize = 1_024;
/// Most steps (a few nanoseconds each) of the search for one time of a schedule.
pub const SEARCH_STEPS_MAX: u64 = 5_000_000;
/// Most steps of all the searches of one request.
pub const REQUEST_SEARCH_STEPS_MAX: u64 = 20_000_000;
/// Most offsets of a log that an operator can have passed over at once.
pub const SKIP_OFFSETS_MAX: u64 = 100_000;
/// Longest note on a revision, in bytes.
pub const NOTE_BYTES_MAX: usize = 1_024;
/// Largest body of a request that is read as a whole, in bytes: the largest payload in Base64, all
/// headers, and room.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longest time until such a body has come, in milliseconds.
pub const BODY_READ_MS_MAX: u64 = 30_000;
/// Largest answer to a listing, in bytes, about: a page ends with the entry that reaches it.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most connections open to one server at once; fewer where the process may open fewer files.
pub const CONNECTIONS_MAX: usize = 2_048;
/// Bytes of bodies and answers that one server has in memory while their peers are waited for.
pub const HELD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest TLS handshake, in milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Longest time from the first byte of a request to the end of its head, in milliseconds.
pub const REQUEST_HEAD_MS_MAX: u64 = 10_000;
/// How long a caller may send nothing within a body, or take nothing of an answer, in milliseconds.
pub const REQUEST_STALLED_MS_MAX: u64 = 60_000;
/// How long a connection may wait for its next request, in milliseconds: longer than clients keep
/// one that is idle.
pub const CONNECTION_IDLE_MS_MAX: u64 = 120_000;
/// Most idempotency keys whose answers are remembered.
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;
/// How long they are remembered, in milliseconds.
pub const IDEMPOTENCY_KEPT_MS: i64 = DAY_MS;

/// Longest time that a call waits for the end of a task, in milliseconds: less than balancers
/// commonly let a request take.
pub const TASK_WAIT_MS_MAX: i64 = 50 * SECOND_MS;
/// Most calls that wait for the end of a task at one process.
pub const TASK_WAITERS_MAX: usize = 512;

/// Most executions that one call leases, and answers that one call gives.
pub const LEASES_OF_CALL_MAX: usize = 1_000;
/// Longest time that a call waits for something to lease, in milliseconds: less than balancers
/// commonly let a request take.
pub const LEASE_WAIT_MS_MAX: i64 = 50 * SECOND_MS;
/// Shortest visibility timeout of a lease, in milliseconds.
pub const LEASE_VISIBILITY_MS_MIN: i64 = 100;
/// Longest visibility timeout of a lease, in milliseconds: twelve hours. A lease can be extended
/// any number of times.
pub const LEASE_VISIBILITY_MS_MAX: i64 = 12 * HOUR_MS;
/// How often a lease of one execution may end without an answer, as far as one process knows,
/// before the attempt counts as failed.
pub const LEASE_EXPIRIES_MAX: u32 = 20;
/// Most leases that one process holds at once.
pub const LEASES_MAX: usize = 100_000;
/// Most bytes of tasks that are out on leases of one process.
pub const LEASED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most calls that wait for something to lease at one process: half of the connections that it
/// serves.
pub const LEASE_WAITERS_MAX: usize = CONNECTIONS_MAX / 2;
/// Longest name of a worker group, in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

/// Most records that a run leaves on topics.
pub const OUTPUT_RECORDS_MAX: usize = 100;
/// Most bytes of all of them: keys, values and headers.
pub const OUTPUT_BYTES_MAX: usize = 512 * 1024;
/// Longest name of a topic, in bytes: Kafka's own limit.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Most queues of which operators have said something.
pub const QUEUE_RULES_MAX: usize = 10_000;
/// Longest reason for pausing a queue, in bytes.
pub const PAUSE_REASON_BYTES_MAX: usize = 1_024;
/// Longest time until a paused queue opens by itself, in milliseconds: a year.
pub const PAUSE_MS_MAX: i64 = 366 * DAY_MS;
/// Shortest time between two probes of a paused queue, in milliseconds.
pub const PROBE_EVERY_MS_MIN: i64 = SECOND_MS;
/// Longest time between two probes of a paused queue, in milliseconds: a day.
pub const PROBE_EVERY_MS_MAX: i64 = DAY_MS;
/// Most executions of one key that a queue may be told to have at work at once.
pub const PER_KEY_MAX: u32 = 1_000;
/// Most failed attempts in a row after which a queue may be told to be paused.
pub const FAILURES_MAX: u32 = 10_000;
/// Most namespaces of which something is said for one queue.
pub const NAMESPACES_OF_QUEUE_MAX: usize = 100;
/// Greatest weight of a namespace in a queue.
pub const WEIGHT_MAX: u32 = 100;
/// Most executions a second that a queue can be limited to.
pub const PER_SECOND_MAX: u32 = 1_000_000;

// The chain of sizes: each link holds the one before it, so what one side takes the next one takes
// too.

/// What an encoded header costs beside its name and value, in bytes: tags and lengths.
const HEADER_FRAME_BYTES: usize = 16;
/// What names, times and policies of an encoded task cost together, in bytes.
const TASK_FRAME_BYTES: usize = ID_BYTES_MAX
    + ORDER_KEY_BYTES_MAX
    + 2 * NAME_BYTES_MAX
    + SCHEDULE_ID_BYTES_MAX
    + GROUP_BYTES_MAX
    + 1024;
/// Largest encoded task without its payload, in bytes: headers, key and chain at their limits, and
/// whatever else stands in it.
pub const TASK_HEAD_BYTES_MAX: usize = HEADERS_MAX
    * (HEADER_NAME_BYTES_MAX + HEADER_VALUE_BYTES_MAX + HEADER_FRAME_BYTES)
    + RECORD_KEY_BYTES_MAX
    + CHAIN_BYTES_MAX
    + TASK_FRAME_BYTES;
/// Largest encoded task, in bytes.
pub const TASK_BYTES_MAX: usize = TASK_HEAD_BYTES_MAX + PAYLOAD_BYTES_MAX;
/// Largest execution as a record, in bytes: headers and key travel twice, as they are and in the
/// encoded task beside them; the scheduler's own headers come to it.
pub const EXECUTION_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 2 * TASK_HEAD_BYTES_MAX + 4 * 1024;
/// Longest reason that is kept with a dead letter or with a record that was set aside, in bytes.
pub const REASON_BYTES_MAX: usize = 4 * 1024;
/// Most bytes that are kept of a record that was set aside; where it stands and how long it is are
/// kept as well.
pub const SET_ASIDE_BYTES_MAX: usize = 64 * 1024;
/// Largest record that anything of ours appends to a log or a topic, in bytes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Largest record, and batch of records, that a topic must take, in bytes: producers of others may
/// send more than ours do.
pub const TOPIC_RECORD_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;

const _: () = assert!(
    EXECUTION_BYTES_MAX < 1_000_000,
    "an execution must fit Kafka's default message size"
);
const _: () = assert!(
    EXECUTION_BYTES_MAX <= RECORD_BYTES_MAX,
    "an execution is a record of ours"
);
const _: () = assert!(
    BODY_BYTES_MAX > 2 * TASK_BYTES_MAX,
    "a body must hold the largest task, whichever way it is written"
);
const _: () = assert!(
    TASK_BYTES_MAX + REASON_BYTES_MAX + 1024 <= RECORD_BYTES_MAX,
    "a dead letter, and a command about a task, are records of ours"
);
const _: () = assert!(
    SET_ASIDE_BYTES_MAX + REASON_BYTES_MAX + 1024 <= RECORD_BYTES_MAX,
    "what is set aside is a record of ours"
);
const _: () = assert!(
    OUTPUT_BYTES_MAX + OUTPUT_RECORDS_MAX * 1024 < 1_000_000,
    "what a run leaves must fit Kafka's default message size, in one record or in many"
);
const _: () = assert!(
    RECORD_BYTES_MAX < TOPIC_RECORD_BYTES_MAX,
    "a topic takes what anything of ours appends"
);
const _: () = assert!(
    SEARCH_STEPS_MAX < REQUEST_SEARCH_STEPS_MAX,
    "a request may search for more than one time"
);
const _: () = assert!(
    QUEUE_NAMES_OF_NAMESPACE_MAX < QUEUE_NAMES_MAX,
    "no namespace takes all the names there are"
);
const _: () = assert!(
    ID_BYTES_MAX <= u8::MAX as usize,
    "an id's length is stored in one byte"
);
const _: () = assert!(
    RUN_TIMEOUT_MS_MIN < RUN_TIMEOUT_MS_DEFAULT && RUN_TIMEOUT_MS_DEFAULT < RUN_TIMEOUT_MS_MAX
);
// A run in progress takes its queue's name and some 80 bytes, one that waits or a backfill at most
// 32, an event at most 40.
const _: () = assert!(
    RUNS_IN_PROGRESS_MAX * (NAME_BYTES_MAX + 80)
        + (OVERLAP_BUFFER_MAX + BACKFILLS_MAX) * 32
        + SCHEDULE_EVENTS_MAX * 40
        < 512 * 1024,
    "what a schedule remembers must fit Kafka's default message size"
);
