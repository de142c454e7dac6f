//! Presets: names, and the values they change.

type Changes = &'static [(&'static str, &'static str)];

/// Every preset.
pub(super) const PROFILES: &[(&str, Changes)] = &[
    ("balanced", &[]),
    (
        "high-performance",
        &[
            ("scheduler.normal_tick_delay_ms", "0"),
            ("scheduler.low_tick_delay_ms", "100"),
            ("scheduler.look_ahead_ms", "60000"),
            ("worker.concurrency", "2048"),
            ("kafka.read_ahead_bytes_max", "67108864"),
            ("cassandra.writes_in_flight_max", "64"),
        ],
    ),
    (
        "cost-optimized",
        &[
            ("scheduler.normal_tick_delay_ms", "250"),
            ("scheduler.low_tick_delay_ms", "5000"),
            ("scheduler.flush_interval_ms", "30000"),
            ("scheduler.checkpoint_interval_ms", "5000"),
            ("cassandra.task_index", "false"),
            ("worker.history", "none"),
            ("kafka.append_linger_ms", "5"),
            ("kafka.read_ahead_bytes_max", "4194304"),
        ],
    ),
];
