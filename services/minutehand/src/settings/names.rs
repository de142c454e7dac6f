//! Names of settings beside those of their types.

use minutehand_settings::Names;

/// Short names of variables, and the names that settings had in the release before this one.
pub(super) const NAMES: Names = Names {
    short: &[
        #[cfg(feature = "cluster")]
        ("MINUTEHAND_KAFKA", "kafka.brokers"),
        #[cfg(feature = "cluster")]
        ("MINUTEHAND_CASSANDRA", "cassandra.contact_points"),
        #[cfg(feature = "cluster")]
        ("MINUTEHAND_ETCD", "etcd.endpoints"),
        ("MINUTEHAND_DATA_DIR", "embedded.data_dir"),
        ("MINUTEHAND_HTTP", "gateway.listen"),
        ("MINUTEHAND_LOG", "telemetry.log"),
    ],
    former: &[
        ("scheduler.*", "engine.*"),
        ("timetable.persist", "engine.persist"),
        ("timetable_persist", "engine.persist"),
        ("look_ahead_ms", "engine.look_ahead_ms"),
        ("dedupe_window_ms", "engine.dedupe_window_ms"),
        ("memory_bytes_max", "engine.memory_bytes_max"),
        ("flush_interval_ms", "engine.flush_interval_ms"),
        ("tick_publications_max", "engine.tick_publications_max"),
        ("normal_tick_delay_ms", "engine.normal_tick_delay_ms"),
        ("low_tick_delay_ms", "engine.low_tick_delay_ms"),
        ("catch_up_after_ms", "engine.catch_up_after_ms"),
        ("catch_up_rate_per_s", "engine.catch_up_rate_per_s"),
        ("checkpoint_interval_ms", "engine.checkpoint_interval_ms"),
        ("worker.webhook_*", "webhook.*"),
        ("webhook_*", "webhook.*"),
        ("worker_*", "worker.*"),
        ("run_timeout_ms", "worker.run_timeout_ms"),
        ("drain_ms", "worker.drain_ms"),
        ("drain_ms", "http.drain_ms"),
        ("history", "worker.history"),
        ("unclaimed", "worker.unclaimed"),
        ("process_executor", "worker.process_executor"),
        ("history_rows_max", "embedded.history_rows_max"),
        ("task_index", "embedded.task_index"),
        ("cache_bytes", "embedded.cache_bytes"),
        ("log_tail_bytes", "embedded.log_tail_bytes"),
        ("queue_resident_bytes", "embedded.queue_resident_bytes"),
        ("partitions", "cluster.partitions"),
        ("tokens_file", "gateway.tokens_file"),
        ("tls_cert_file", "http.tls_cert_file"),
        ("tls_key_file", "http.tls_key_file"),
        ("tls_client_ca_file", "http.tls_client_ca_file"),
    ],
};
