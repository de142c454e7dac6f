//! Every metric there is.

use minutehand_model::{Difference, OutcomeKind, Phase, Precision, ScheduleStatus};

use crate::bounds::{GROUPS_MAX, QUEUES_MAX, ROUTES_MAX};
use crate::metric::{Kind, Label, Metric, Unit, Values};

const PARTITION: Label = Label {
    name: "partition",
    values: Values::Bounded("the partition's number"),
};
const QUEUE: Label = Label {
    name: "queue",
    values: Values::Bounded(
        "the queue's name, or `other` beyond the first 200 (labels stay bounded)",
    ),
};
const GROUP: Label = Label {
    name: "group",
    values: Values::Bounded(
        "the worker group's name, `nobody` for a queue that no group has taken anything from, or `other` beyond the first 50",
    ),
};
const _: () = assert!(
    QUEUES_MAX == 200 && ROUTES_MAX == 100 && GROUPS_MAX == 50,
    "the texts of QUEUE, ROUTE and GROUP say these numbers"
);
const ROUTE: Label = Label {
    name: "route",
    values: Values::Bounded("the route as a template, or `other` beyond the first 100"),
};
const COMMAND: Label = Label {
    name: "kind",
    values: Values::Words(&[
        "create",
        "cancel",
        "move",
        "replace",
        "revise",
        "trigger",
        "backfill",
        "completed",
    ]),
};
const PRECISION: Label = Label {
    name: "precision",
    values: Values::Words(Precision::WORDS),
};
const PHASE: Label = Label {
    name: "phase",
    values: Values::Words(Phase::WORDS),
};
const OUTCOME: Label = Label {
    name: "outcome",
    values: Values::Words(OUTCOMES),
};
/// The outcomes of runs, and the word for those that the worker has given up itself.
const OUTCOMES: &[&str] = &with::<{ OutcomeKind::WORDS.len() + 1 }>(OutcomeKind::WORDS, ABANDONED);
/// The outcome of a run whose worker went down before it had an answer.
pub(crate) const ABANDONED: &str = "abandoned";
const VERDICT: Label = Label {
    name: "verdict",
    values: Values::Words(VERDICTS),
};
/// In what a minute differs, and the words for one that differs in nothing.
const VERDICTS: &[&str] = &with::<{ DIFFERENCES.len() + 1 }>(DIFFERENCES, UNVERIFIED);
const DIFFERENCES: &[&str] = &with::<{ Difference::WORDS.len() + 1 }>(Difference::WORDS, COMPLETE);
/// Verdicts on a minute that no difference has been found in.
pub(crate) const COMPLETE: &str = "complete";
pub(crate) const UNVERIFIED: &str = "unverified";
const STORE: Label = Label {
    name: "store",
    values: Values::Words(&["log", "sink", "timetable", "ledger"]),
};
const OPERATION: Label = Label {
    name: "operation",
    values: Values::Words(&[
        "open",
        "read",
        "write",
        "find",
        "read-revisions",
        "write-revisions",
        "commit",
        "forget",
    ]),
};
const ANSWER: Label = Label {
    name: "answer",
    values: Values::Words(&["ok", "retry", "fenced", "fatal"]),
};
const SCHEDULE_STATE: Label = Label {
    name: "state",
    values: Values::Words(ScheduleStatus::WORDS),
};
const RETURN: Label = Label {
    name: "why",
    values: Values::Words(&["expired", "released", "snoozed"]),
};
const POOL_END: Label = Label {
    name: "why",
    values: Values::Words(&["retired", "stopped", "died", "garbled", "not-ready"]),
};
const RESULT: Label = Label {
    name: "result",
    values: Values::Words(&["fired", "skipped", "missed"]),
};
const METHOD: Label = Label {
    name: "method",
    values: Values::Words(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
};
const STATUS: Label = Label {
    name: "status",
    values: Values::Words(&["1xx", "2xx", "3xx", "4xx", "5xx"]),
};
const VERSION: Label = Label {
    name: "version",
    values: Values::Bounded("the version of the program"),
};
const TZDB: Label = Label {
    name: "tzdb",
    values: Values::Bounded("the release of the time zone database compiled in"),
};

/// Words, and one more behind them.
const fn with<const COUNT: usize>(
    words: &[&'static str],
    last: &'static str,
) -> [&'static str; COUNT] {
    let mut all = [last; COUNT];
    let mut index = 0;
    while index < words.len() {
        all[index] = words[index];
        index += 1;
    }
    all
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $const:ident = $kind:ident $name:literal $unit:ident [$($label:ident),*];)+) => {
        $($(#[doc = $help])+
        pub(crate) const $const: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: concat!($($help),+).trim_ascii(),
        };)+

        static CATALOGUE: &[Metric] = &[$($const),+];
    };
}

metrics! {
    /// 1, with the version of the program and of its time zone data as labels.
    BUILD_INFO = Gauge "minutehand_build_info" Truth [VERSION, TZDB];

    /// 1 while the process does all of its work (`/readyz`), 0 while it does not.
    READY = Gauge "minutehand_ready" Truth [];
    /// When the certificate runs out that callers are shown, in seconds since 1970.
    CERTIFICATE_EXPIRY = Gauge "minutehand_certificate_expiry_time_seconds" Seconds [];
    /// When the process started, in seconds since 1970: a change is a restart.
    PROCESS_START = Gauge "process_start_time_seconds" Seconds [];
    /// Whole seconds that the process has had a processor for.
    PROCESS_CPU = Counter "process_cpu_seconds_total" Seconds [];
    /// Memory of the process that is not swapped out.
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" Bytes [];
    /// Threads of the process.
    PROCESS_THREADS = Gauge "process_threads" Count [];
    /// Files and sockets that the process holds open.
    PROCESS_FILES = Gauge "process_open_fds" Count [];
    /// Files and sockets that the process may hold open.
    PROCESS_FILES_MAX = Gauge "process_max_fds" Count [];
    /// Tasks that live in the asynchronous runtime.
    RUNTIME_TASKS = Gauge "minutehand_runtime_tasks" Count [];
    /// Tasks of the asynchronous runtime that wait for one of its threads.
    RUNTIME_WAITING = Gauge "minutehand_runtime_waiting_tasks" Count [];

    /// Commands that were appended to a log, by kind; `create` counts tasks, each of a bulk.
    COMMANDS_ACCEPTED = Counter "minutehand_commands_accepted_total" Count [COMMAND];
    /// Commands that were refused because of what they say, by kind; nothing was appended.
    COMMANDS_REFUSED = Counter "minutehand_commands_refused_total" Count [COMMAND];
    /// Time from handing records to the log until they are durable.
    LOG_APPEND = Histogram "minutehand_log_append_seconds" Seconds [];
    /// Records that became durable in a command log.
    LOG_RECORDS_APPENDED = Counter "minutehand_log_records_appended_total" Count [];
    /// Appends to a command log that failed.
    LOG_APPEND_FAILURES = Counter "minutehand_log_append_failures_total" Count [];

    /// Records of the command log that lie behind the first open transaction: nobody can read them
    /// yet. Seconds of it are usual while a tick is committed; minutes mean a transaction that
    /// nobody ends.
    LOG_UNDECIDED = Gauge "minutehand_log_undecided_records" Count [PARTITION];
    /// R - the start of the log: records that the log keeps and nobody needs any more. Below zero a
    /// new owner cannot go on.
    LOG_REPLAY_MARGIN = Gauge "minutehand_log_replay_margin_records" Count [PARTITION];
    /// The age of the record at R, as a share of the time that the log keeps records. At 1 the log
    /// forgets what a new owner needs.
    LOG_REPLAY_RETENTION = Gauge "minutehand_log_replay_retention_ratio" Ratio [PARTITION];
    /// The memory of what the reader of the log has fetched ahead of the owner, about, the client's
    /// queue included.
    LOG_READ_AHEAD = Gauge "minutehand_log_read_ahead_bytes" Bytes [PARTITION];

    /// Ticks that were committed.
    TICKS = Counter "minutehand_partition_ticks_total" Count [PARTITION];
    /// Time that committing a tick took.
    TICK = Histogram "minutehand_partition_tick_seconds" Seconds [PARTITION];
    /// Executions that were published.
    PUBLICATIONS = Counter "minutehand_partition_publications_total" Count [PARTITION];
    /// Publish lateness: time from an execution's due time until its tick was built.
    PUBLISH_LATENESS = Histogram "minutehand_publish_lateness_seconds" Seconds [PARTITION, PRECISION];
    /// A: the offset up to which the owner has applied the log.
    APPLIED = Gauge "minutehand_partition_applied_offset" Offset [PARTITION];
    /// The offset that the log's next record will get.
    LOG_END = Gauge "minutehand_partition_log_end_offset" Offset [PARTITION];
    /// A - R: records that a new owner would have to read again. The log must keep them.
    REPLAY_DISTANCE = Gauge "minutehand_partition_replay_distance_records" Count [PARTITION];
    /// How far F lies behind the clock: the age of the oldest due time that may still be owed.
    FRONTIER_LAG = Gauge "minutehand_partition_frontier_lag_seconds" Seconds [PARTITION];
    /// How far the clock lies behind F because it was set back: until then nothing that recurs
    /// runs.
    CLOCK_BEHIND = Gauge "minutehand_partition_clock_behind_seconds" Seconds [PARTITION];
    /// Tasks held in memory because they are due soon.
    NEAR_TASKS = Gauge "minutehand_partition_near_tasks" Count [PARTITION];
    /// Bytes of the tasks held in memory because they are due soon.
    NEAR_BYTES = Gauge "minutehand_partition_near_bytes" Bytes [PARTITION];
    /// Entries that wait to be written to the timetable.
    PENDING_ENTRIES = Gauge "minutehand_partition_pending_entries" Count [PARTITION];
    /// Tasks in memory that were missed and are caught up with. More may wait in the timetable for
    /// their turn.
    BACKLOG_TASKS = Gauge "minutehand_backlog_tasks" Count [PARTITION];
    /// Schedules with occurrences that were missed and are caught up with. One that is behind has its
    /// next times after them.
    BACKLOG_SCHEDULES = Gauge "minutehand_backlog_schedules" Count [PARTITION];
    /// How late the oldest task or occurrence is that is caught up with; 0 when none is.
    BACKLOG_OLDEST = Gauge "minutehand_backlog_oldest_seconds" Seconds [PARTITION];
    /// The memory that the partition takes, about. Near its budget commands wait in the log.
    MEMORY_BYTES = Gauge "minutehand_memory_bytes" Bytes [PARTITION];
    /// 1 for the phase the partition is in on this node, 0 for the others.
    PHASE_IS = Gauge "minutehand_partition_phase" Truth [PARTITION, PHASE];
    /// Owners that a panic ended; the partition is tried again after a pause, the others go on.
    OWNER_PANICS = Counter "minutehand_partition_panics_total" Count [PARTITION];
    /// 1 while a partition stays stopped on this node because its owner panicked again and again;
    /// it is not tried again by itself.
    QUARANTINED = Gauge "minutehand_partition_quarantined" Truth [PARTITION];
    /// Executions that could not be published (too large, or their queue's topic cannot be made or
    /// used) and became dead letters.
    REFUSED = Counter "minutehand_partition_publications_refused_total" Count [PARTITION];
    /// Executions that were put off because their queue's topic was not there yet.
    POSTPONED = Counter "minutehand_partition_publications_postponed_total" Count [PARTITION];
    /// Stored records that could not be understood and were set aside; the partition went on
    /// without them.
    SET_ASIDE = Counter "minutehand_partition_set_aside_total" Count [PARTITION];

    /// Requests of owners that a store has answered: log and sink are Kafka's in a cluster, timetable
    /// and ledger Cassandra's. What is answered with `retry` is asked again after a pause.
    STORE_REQUESTS = Counter "minutehand_store_requests_total" Count [STORE, OPERATION, ANSWER];
    /// Time until a store had answered a request of an owner. A read of the log that finds nothing
    /// may wait a while for more.
    STORE_REQUEST = Histogram "minutehand_store_request_seconds" Seconds [STORE, OPERATION];
    /// How far the clock of a partition's owner is ahead of the sink's (the brokers', in a cluster),
    /// as the last tick told it, about; below zero it is behind. 0 where the sink has no clock of its
    /// own.
    CLOCK_DIFFERENCE = Gauge "minutehand_partition_clock_difference_seconds" Seconds [PARTITION];
    /// How long the scheduler's lease lasts without news of it. When a third of it is left its owners
    /// stop firing.
    LEASE_LEFT = Gauge "minutehand_lease_left_seconds" Seconds [];

    /// Closed minutes whose row of the ledger was kept, by verdict: complete, unverified (more
    /// records than are compared), or in what it differs; a minute can differ in several.
    LEDGER_MINUTES = Counter "minutehand_ledger_minutes_total" Count [PARTITION, VERDICT];
    /// The end of the newest minute whose row of the ledger is kept, or when its owner began, in
    /// seconds since 1970: the partition's heartbeat. It goes through the engine's clock, a tick's
    /// commit, a read of the timetable and a write, whether or not anything is due.
    LEDGER_KEPT = Gauge "minutehand_ledger_kept_time_seconds" Seconds [PARTITION];
    /// Minutes that this node's owner has given up counting, because too many were open at once: of
    /// those there is no row.
    LEDGER_GIVEN_UP = Gauge "minutehand_ledger_given_up_minutes" Count [PARTITION];

    /// Stored rows, or stretches of them, that the embedded store met damaged and passed over since
    /// it was opened (`GET /v1/damage` lists them); in a cluster revisions of schedules in Cassandra
    /// that could not be understood, counted at every read.
    STORE_DAMAGE = Counter "minutehand_store_damage_total" Count [];

    /// Bytes of the files in the data folder.
    STORE_BYTES = Gauge "minutehand_store_bytes" Bytes [];
    /// Bytes that the file system of the data folder still has room for.
    STORE_FREE = Gauge "minutehand_store_free_bytes" Bytes [];

    /// Occurrences of schedules: fired, skipped by the overlap policy, or missed under the misfire
    /// policy.
    OCCURRENCES = Counter "minutehand_schedule_occurrences_total" Count [RESULT];

    /// Schedules that there are, by state; counted once a minute.
    SCHEDULES = Gauge "minutehand_schedules" Count [PARTITION, SCHEDULE_STATE];

    /// Executions that are published and that a group has not settled, those in progress included; of
    /// the groups that this process serves.
    QUEUE_DEPTH = Gauge "minutehand_queue_depth" Count [QUEUE, GROUP];
    /// Dead letters that are kept.
    DEAD_LETTERS = Gauge "minutehand_queue_dead_letters" Count [QUEUE];
    /// Whether an operator has paused the queue, so that it hands out nothing: 1 or 0.
    QUEUE_PAUSED = Gauge "minutehand_queue_paused" Count [QUEUE];
    /// Executions that the brokers had dropped (`kafka.retention_ms`) before a worker read them: at
    /// most so many, ends of transactions are counted as well.
    EXPIRED = Counter "minutehand_queue_expired_total" Count [QUEUE];
    /// Start lateness: time from an execution's due time until its handler started.
    START_LATENESS = Histogram "minutehand_start_lateness_seconds" Seconds [QUEUE];
    /// Time that handlers ran.
    RUN = Histogram "minutehand_run_seconds" Seconds [QUEUE];
    /// Runs that ended, by outcome.
    RUNS = Counter "minutehand_runs_total" Count [QUEUE, OUTCOME];
    /// Runs that have started and not ended.
    RUNS_IN_PROGRESS = Gauge "minutehand_runs_in_progress" Count [QUEUE];

    /// Leases that are out, those whose end is being made durable included.
    LEASES = Gauge "minutehand_leases" Count [];
    /// Bytes of the tasks that are out on lease.
    LEASED_BYTES = Gauge "minutehand_leased_bytes" Bytes [];
    /// Calls that wait for something to lease.
    LEASE_WAITERS = Gauge "minutehand_lease_waiters" Count [];
    /// Leases that ended without an end of the run: not answered in time, given back, or put off by
    /// their holder.
    LEASES_RETURNED = Counter "minutehand_leases_returned_total" Count [QUEUE, RETURN];
    /// Answers that were refused because there was no such lease, or none any more.
    LEASE_ANSWERS_LOST = Counter "minutehand_lease_answers_lost_total" Count [QUEUE];

    /// Children of the pool that live.
    POOL_CHILDREN = Gauge "minutehand_pool_children" Count [];
    /// Children of the pool that ended: after their runs, with a run that was to stop, by themselves,
    /// for what they said, or before they were ready.
    POOL_CHILDREN_ENDED = Counter "minutehand_pool_children_ended_total" Count [POOL_END];

    /// Requests to the HTTP API that were answered.
    HTTP_REQUESTS = Counter "minutehand_http_requests_total" Count [ROUTE, METHOD, STATUS];
    /// Time until a request to the HTTP API was answered.
    HTTP_REQUEST = Histogram "minutehand_http_request_seconds" Seconds [ROUTE, METHOD];
}

/// Every metric, in the order of the documentation.
#[must_use]
pub fn catalogue() -> &'static [Metric] {
    CATALOGUE
}

/// Gives the installed recorder the help of every metric.
pub fn describe() {
    for metric in catalogue() {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}
