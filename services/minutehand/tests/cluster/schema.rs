//! `minutehand schema apply|status`

use std::process::Output;

use crate::support::{Cluster, said};

/// The states in the order printed, by store.
fn states(output: &Output) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let item = |line: &str| {
        let item: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        let text = |name: &str| item[name].as_str().expect("text").to_owned();
        (text("store"), text("state"))
    };
    text.lines().map(item).collect()
}

#[test]
fn the_schema_is_missing_then_created_then_present() {
    let cluster = Cluster::new(2);
    let before = cluster.run(&["schema", "status", "--json"], &[]);
    assert_eq!(before.status.code(), Some(3), "{}", said(&before));
    let missing = states(&before);
    for store in ["kafka", "cassandra", "etcd"] {
        assert!(
            missing.iter().any(|(found, _)| found == store),
            "{missing:?}"
        );
    }
    assert!(
        missing.iter().all(|(_, state)| state == "missing"),
        "{missing:?}"
    );

    let applied = cluster.run(&["schema", "apply", "--json"], &[]);
    assert!(applied.status.success(), "{}", said(&applied));
    assert_eq!(states(&applied).len(), missing.len());
    assert!(
        states(&applied).iter().all(|(_, state)| state == "created"),
        "{}",
        said(&applied)
    );

    for verb in ["apply", "status"] {
        let again = cluster.run(&["schema", verb, "--json"], &[]);
        assert!(again.status.success(), "{}", said(&again));
        assert!(
            states(&again).iter().all(|(_, state)| state == "present"),
            "{}",
            said(&again)
        );
    }
}

#[test]
fn another_partition_count_is_refused_and_changes_nothing() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let set = ["cluster.partitions=4", "kafka.queue_partitions=4"];
    for verb in ["apply", "status"] {
        let refused = cluster.run(&["schema", verb], &set);
        assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
        let words = format!(
            "topic {}.commands has 2 partitions; the settings want 4",
            cluster.name
        );
        assert!(said(&refused).contains(&words), "{}", said(&refused));
    }
    let refused = cluster.run(&["scheduler"], &set);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains(".commands has 2 partitions and must have 4"),
        "{}",
        said(&refused)
    );
    assert!(cluster.run(&["schema", "status"], &[]).status.success());
}
