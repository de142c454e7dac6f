//! The laboratory's load on `dev`, through the API: every task is known by number.

mod support;

use minutehand_loadtest::load::{HttpTarget, LoadOptions, Scenario, Target, run};

use support::Dev;

/// Some are cancelled and some are asked for twice, in two name spaces.
const SCENARIO: &str = r#"
name = "mixed"
about = "A little of everything."
seed = 5
change_after = "100ms"

[[stream]]
name = "near"
namespace = "one"
queue = "load-near"
due = { between = ["300ms", "2s"] }
cancel_percent = 20
repeat_percent = 20

[[stream]]
name = "late"
namespace = "two"
queue = "load-late"
due = { overdue = "1m" }

[[phase]]
for = "3s"
rate = 100
rate_at_end = 500
shares = { near = 3, late = 1 }
"#;

#[test]
fn a_load_over_http_is_verified_task_by_task() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path(), &["dev"]);
    let target = Target::Http(HttpTarget {
        server: dev.address.clone(),
        token: None,
        cacert: None,
    });
    let scenario = Scenario::parse(SCENARIO).expect("a scenario");
    let options = LoadOptions {
        generators: 2,
        ..LoadOptions::new(scenario, target)
    };
    let report = run(&options, &mut |_| {}).expect("it can be run");
    let counts = report.counts;
    assert!(report.is_kept, "{counts:?} {:?}", report.violations);
    assert_eq!((report.asked, counts.acknowledged), (900, 900));
    // Whoever was cancelled in time did not run, everybody else did.
    assert!(counts.cancelled > 50, "{counts:?}");
    assert_eq!(counts.started + counts.cancelled, 900, "{counts:?}");
    assert_eq!(report.start_ms.count, counts.started);
    assert!(report.answer_ms.count > 0 && report.rows.len() >= 3);
}
