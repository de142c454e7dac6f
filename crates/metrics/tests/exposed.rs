//! What an exporter shows of every handle: the catalogue and the handles agree.

use std::collections::{BTreeMap, BTreeSet};

use metrics_exporter_prometheus::PrometheusBuilder;
use minutehand_metrics::{
    CommandMetrics, ExpiredExecutions, GROUPS_MAX, HISTOGRAM_BUCKETS, HttpMetrics, Kind,
    LeaseMetrics, LedgerMetrics, LogMetrics, OTHER, PartitionMetrics, PartitionStanding,
    PoolMetrics, ProcessMetrics, ProcessStanding, QUEUES_MAX, QueueStanding, Queues, ROUTES_MAX,
    RequestMetrics, ScheduleMetrics, SinkMetrics, StoreMetrics, catalogue, describe,
    set_build_info, set_certificate_expiry, set_lease_left, set_ready,
};
use minutehand_model::{OutcomeKind, Phase, Precision, ScheduleStatus, Timestamp};

/// Everything in the exposition format after `record` has run.
fn exposed(record: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&HISTOGRAM_BUCKETS)
        .expect("buckets are not empty")
        .build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, record);
    handle.run_upkeep();
    handle.render()
}

/// Uses every verb of every handle once.
fn use_everything() {
    describe();
    set_build_info("0.1.0", "2026f");
    set_ready(true);
    set_certificate_expiry(1.8e9);
    set_lease_left(4.5);
    RequestMetrics::new("sink", "commit").answered("ok", 0.01);
    let process = ProcessMetrics::new();
    process.stands(&ProcessStanding {
        started_s: 1.7e9,
        ..ProcessStanding::default()
    });
    process.runs(12, 1);
    let commands = CommandMetrics::new();
    commands.accepted("create", 3);
    commands.refused("revise", 1);
    commands.appended(3, 0.004);
    commands.append_failed();
    let partition = PartitionMetrics::new(7);
    partition.tick_committed(5, 0.01);
    partition.published(Precision::Normal, 0.02, 5);
    partition.stands(&PartitionStanding {
        applied: 100,
        log_end: 120,
        replay_distance: 60,
        ..PartitionStanding::default()
    });
    partition.entered(Phase::Owning);
    partition.set_aside(1);
    partition.panicked();
    partition.quarantined(true);
    partition.clock_is_ahead(-0.02);
    partition.schedules(&BTreeMap::from([(ScheduleStatus::Paused, 3)]));
    let ledger = LedgerMetrics::new(7);
    ledger.kept(&[], true);
    ledger.beats(Timestamp::from_millis(1_800_000_000_000));
    ledger.given_up(2);
    let store = StoreMetrics::new();
    store.damaged();
    store.takes(4_096, 1 << 30);
    let log = LogMetrics::new(7);
    log.undecided(0);
    log.replay(40.0, 0.01);
    SinkMetrics::new(7).not_published(1, 2);
    let schedules = ScheduleMetrics::new();
    schedules.fired(2);
    schedules.skipped(1);
    schedules.missed(1);
    let queues = Queues::new();
    let mail = queues.queue("mail");
    mail.started(0.003);
    mail.ended(OutcomeKind::Succeeded, 0.2);
    mail.started(0.003);
    mail.abandoned();
    mail.started(0.003);
    mail.returned("expired");
    mail.answer_lost();
    mail.ended_before_it_began(OutcomeKind::Cancelled);
    LeaseMetrics::new().stand(3, 900, 1);
    let pool = PoolMetrics::new();
    pool.started();
    pool.ended("died");
    queues.stand([QueueStanding {
        queue: "mail",
        group: "default",
        depth: 9,
        dead_letters: 2,
        is_paused: true,
    }]);
    ExpiredExecutions::new().expired("mail", 4);
    HttpMetrics::new().answered("/v1/namespaces/{namespace}/tasks", "POST", 201, 0.002);
}

/// The lines of the format: `minutehand_x{a="b"} 3` -> (name, labels, value).
fn samples(text: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels
                .strip_suffix('}')
                .unwrap_or(labels)
                .split("\",")
                .filter_map(|pair| pair.split_once("=\""))
                .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
                .collect();
            (name.to_owned(), labels, value.parse().expect("a number"))
        })
        .collect()
}

fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(text).into_iter().find_map(|(found, has, value)| {
        (found == name
            && labels
                .iter()
                .all(|(k, v)| has.get(*k).is_some_and(|w| w == v)))
        .then_some(value)
    })
}

#[test]
fn every_metric_is_exposed_with_its_kind_labels_and_help() {
    let text = exposed(use_everything);
    let samples = samples(&text);
    for metric in catalogue() {
        let name = metric.name;
        assert!(
            text.contains(&format!("# TYPE {name} {}\n", metric.kind.as_str())),
            "{name}\n{text}"
        );
        assert!(
            text.contains(&format!("# HELP {name} {}\n", metric.help)),
            "{name}\n{text}"
        );
        let series = if metric.kind == Kind::Histogram {
            format!("{name}_count")
        } else {
            name.to_owned()
        };
        let wanted: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
        let mut seen = 0;
        for (_, labels, _) in samples.iter().filter(|(found, _, _)| *found == series) {
            assert_eq!(
                labels
                    .keys()
                    .map(String::as_str)
                    .collect::<BTreeSet<&str>>(),
                wanted,
                "{name}"
            );
            seen += 1;
        }
        assert!(seen > 0, "{name} has no series");
    }
    let known: BTreeSet<&str> = catalogue().iter().map(|metric| metric.name).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(
            known.contains(line.split(' ').next().expect("a name")),
            "{line} is not in the catalogue"
        );
    }
}

/// A series, some of its labels and its value.
type Case = (&'static str, &'static [(&'static str, &'static str)], f64);

#[test]
fn verbs_count_what_they_say() {
    let text = exposed(use_everything);
    let cases: [Case; 13] = [
        (
            "minutehand_commands_accepted_total",
            &[("kind", "create")],
            3.0,
        ),
        (
            "minutehand_commands_accepted_total",
            &[("kind", "cancel")],
            0.0,
        ),
        ("minutehand_log_records_appended_total", &[], 3.0),
        (
            "minutehand_partition_replay_distance_records",
            &[("partition", "7")],
            60.0,
        ),
        ("minutehand_partition_phase", &[("phase", "owning")], 1.0),
        ("minutehand_partition_phase", &[("phase", "waiting")], 0.0),
        (
            "minutehand_publish_lateness_seconds_count",
            &[("precision", "normal")],
            5.0,
        ),
        (
            "minutehand_publish_lateness_seconds_bucket",
            &[("precision", "normal"), ("le", "0.025")],
            5.0,
        ),
        (
            "minutehand_publish_lateness_seconds_bucket",
            &[("precision", "normal"), ("le", "0.01")],
            0.0,
        ),
        ("minutehand_runs_in_progress", &[("queue", "mail")], 0.0),
        (
            "minutehand_queue_depth",
            &[("queue", "mail"), ("group", "default")],
            9.0,
        ),
        ("minutehand_queue_expired_total", &[("queue", "mail")], 4.0),
        (
            "minutehand_http_requests_total",
            &[("status", "2xx"), ("method", "POST")],
            1.0,
        ),
    ];
    for (name, labels, wanted) in cases {
        assert_eq!(
            value(&text, name, labels),
            Some(wanted),
            "{name} {labels:?}\n{text}"
        );
    }
}

#[test]
fn a_partition_that_was_given_up_counts_no_more() {
    let text = exposed(|| {
        let partition = PartitionMetrics::new(0);
        partition.entered(Phase::Owning);
        let standing = PartitionStanding {
            near_tasks: 5,
            frontier_lag_seconds: 3.0,
            ..PartitionStanding::default()
        };
        partition.stands(&standing);
        partition.given_up();
    });
    for name in [
        "minutehand_partition_near_tasks",
        "minutehand_partition_frontier_lag_seconds",
    ] {
        assert_eq!(value(&text, name, &[]), Some(0.0), "{name}");
    }
    assert_eq!(
        value(&text, "minutehand_partition_phase", &[("phase", "owning")]),
        Some(0.0)
    );
    assert_eq!(
        value(&text, "minutehand_partition_phase", &[("phase", "stopped")]),
        Some(1.0)
    );
}

#[test]
fn each_group_of_a_queue_has_its_own_depth() {
    let text = exposed(|| {
        let queues = Queues::new();
        let standing = |group| QueueStanding {
            queue: "mail",
            group,
            depth: 4,
            dead_letters: 3,
            is_paused: false,
        };
        let groups: Vec<String> = (0..GROUPS_MAX + 2).map(|n| format!("group-{n}")).collect();
        queues.stand(groups.iter().map(|group| standing(group)));
        queues.stand(groups.iter().skip(1).map(|group| standing(group)));
    });
    let depth = |group: &str| value(&text, "minutehand_queue_depth", &[("group", group)]);
    assert_eq!(depth("group-0"), Some(0.0), "it is gone");
    assert_eq!(depth("group-1"), Some(4.0));
    assert_eq!(depth(OTHER), Some(8.0));
    let letters = value(&text, "minutehand_queue_dead_letters", &[("queue", "mail")]);
    assert_eq!(letters, Some(3.0), "no sum over groups");
}

#[test]
fn labels_stay_bounded_and_folded_queues_add_up() {
    let text = exposed(|| {
        let queues = Queues::new();
        for number in 0..QUEUES_MAX + 3 {
            queues
                .queue(&format!("queue-{number}"))
                .ended(OutcomeKind::Succeeded, 0.1);
        }
        let names: Vec<String> = (0..QUEUES_MAX + 3)
            .map(|number| format!("queue-{number}"))
            .collect();
        let standing = |queue, depth, dead_letters| QueueStanding {
            queue,
            group: "default",
            depth,
            dead_letters,
            is_paused: false,
        };
        queues.stand(names.iter().map(|name| standing(name, 5, 0)));
        queues.stand(names.iter().skip(1).map(|name| standing(name, 2, 1)));
        let http = HttpMetrics::new();
        for number in 0..ROUTES_MAX + 5 {
            http.answered(&format!("/r{number}"), "BREW", 200, 0.1);
        }
        http.answered("", "GET", 999, 0.1);
    });
    assert_eq!(
        value(&text, "minutehand_queue_depth", &[("queue", OTHER)]),
        Some(6.0)
    );
    assert_eq!(
        value(&text, "minutehand_queue_depth", &[("queue", "queue-0")]),
        Some(0.0),
        "it is gone"
    );
    assert_eq!(
        value(&text, "minutehand_queue_dead_letters", &[("queue", OTHER)]),
        Some(3.0)
    );
    let unmatched = [("route", OTHER), ("method", "GET"), ("status", OTHER)];
    assert_eq!(
        value(&text, "minutehand_http_requests_total", &unmatched),
        Some(1.0)
    );
    let distinct = |name: &str, label: &str| {
        let found = samples(&text)
            .into_iter()
            .filter(|(found, _, _)| found == name);
        found
            .filter_map(|(_, labels, _)| labels.get(label).cloned())
            .collect::<BTreeSet<String>>()
            .len()
    };
    assert_eq!(distinct("minutehand_queue_depth", "queue"), QUEUES_MAX + 1);
    assert_eq!(
        distinct("minutehand_http_requests_total", "route"),
        ROUTES_MAX + 1
    );
    assert_eq!(
        distinct("minutehand_http_requests_total", "method"),
        2,
        "GET and other"
    );
}
