//! The laboratory's load on the roles of a cluster, through Kafka.

use minutehand_cluster::KafkaConfig;
use minutehand_loadtest::load::{LoadOptions, Scenario, Target, run};

use crate::support::Cluster;

/// Some are cancelled and some are sent twice; most belong to one partition.
const SCENARIO: &str = r#"
name = "mixed"
about = "A little of everything."
seed = 6
change_after = "100ms"

[[stream]]
name = "hot"
queue = "load-hot"
due = { between = ["300ms", "2s"] }
guarantee = "exactly-once"
repeat_percent = 20
hot = true

[[stream]]
name = "cancelled"
queue = "load-cancelled"
due = { between = ["3s", "4s"] }
cancel_percent = 50

[[phase]]
for = "4s"
rate = 400
shares = { hot = 3, cancelled = 1 }
"#;

#[test]
fn a_load_through_kafka_is_verified_task_by_task() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    cluster.ready(&scheduler);
    let (_runtime, client) = cluster.kafka();
    let config = KafkaConfig {
        partitions: 2,
        queue_partitions: 2,
        region: cluster.name.clone(),
        ..client.config().clone()
    };
    let scenario = Scenario::parse(SCENARIO).expect("a scenario");
    let options = LoadOptions {
        generators: 2,
        ..LoadOptions::new(scenario, Target::Kafka(Box::new(config)))
    };
    let report = run(&options, &mut |_| {}).expect("it can be run");
    let counts = report.counts;
    let told = format!("{counts:?} {:?}\n{}", report.violations, cluster.logs());
    assert!(report.is_kept, "{told}");
    assert_eq!(
        (report.asked, counts.acknowledged),
        (1_600, 1_600),
        "{told}"
    );
    let (sure, unsure) = (1_600 - counts.may_be_cancelled, counts.may_be_cancelled);
    assert!(unsure > 100, "{told}");
    assert!((sure..=1_600).contains(&counts.started), "{told}");
    assert_eq!(report.publish_ms.count, counts.started);
}
