//! Producers and consumers that know nothing of us: kcat, through a whole cluster, by the commands
//! of `docs/PRODUCERS.md`.

use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minutehand_testkit::{Kafka, KafkaOptions};
use tempfile::TempDir;

use crate::support::{Cluster, eventually, said};

const DOCUMENT: &str = include_str!("../../../../docs/PRODUCERS.md");

/// The shell examples in their order.
fn examples() -> impl Iterator<Item = &'static str> {
    let begun = DOCUMENT.split("```sh\n").skip(1);
    begun.map(|rest| rest.split("```").next().expect("an example has an end"))
}

/// A shell in which the document's commands run as they stand, but for where Kafka is and what
/// nobody would wait for.
struct Shell {
    folder: TempDir,
    instead: Vec<(&'static str, String)>,
}

impl Shell {
    fn new(brokers: &str) -> Shell {
        let folder = tempfile::tempdir().expect("a folder");
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema");
        std::os::unix::fs::symlink(schema, folder.path().join("schema"))
            .expect("a link to the schema");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock");
        let soon_ms = (now + Duration::from_secs(10)).as_millis();
        let instead = vec![
            ("localhost:9092", brokers.to_owned()),
            (
                "minutehand-due-at=2030-01-01T00:00:00+01:00",
                format!("minutehand-due-at={soon_ms}"),
            ),
            (
                "minutehand-cron=0 9 * * 1-5",
                "minutehand-cron=* * * * * *".to_owned(),
            ),
        ];
        for (written, _) in &instead {
            assert!(
                DOCUMENT.contains(written),
                "the document no longer has {written:?}"
            );
        }
        Shell { folder, instead }
    }

    fn run(&self, commands: &str) -> Output {
        let adapt =
            |text: String, (written, instead): &(&str, String)| text.replace(written, instead);
        let text = self.instead.iter().fold(commands.to_owned(), adapt);
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &text])
            .current_dir(self.folder.path())
            .output()
            .expect("a shell runs")
    }

    /// What the document's command for consumers shows of a topic.
    fn shown(&self, topic: &str) -> Option<String> {
        let is_consumer =
            |example: &&str| example.starts_with("kcat -C ") && example.contains(".executions.");
        let example = examples()
            .find(is_consumer)
            .expect("the document shows how to consume");
        let output = self.run(&example.replace("minutehand.executions.mail", topic));
        // The topic of a queue is made when it is first published to.
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The headers of the first execution of a queue whose key and value begin so, once it is
    /// there.
    #[track_caller]
    fn execution(&self, queue: &str, record: &str) -> String {
        eventually(&format!("{record:?} in the queue {queue}"), || {
            let shown = format!(
                "\n{}",
                self.shown(&format!("minutehand.executions.{queue}"))?
            );
            let (_, found) = shown.split_once(&format!("\n{record}"))?;
            let (_, headers) = found.split_once('\n')?;
            // The last one of each record. An encoded task among them may hold the ends of lines.
            headers.split("minutehand-tick=").next().map(str::to_owned)
        })
    }

    /// What was rejected, by the document's command.
    fn rejected(&self) -> String {
        let example = examples().find(|example| example.contains("-t minutehand.rejected"));
        let output = self.run(example.expect("the document shows how to see what was rejected"));
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[track_caller]
fn has(headers: &str, wanted: &[&str]) {
    let all: Vec<&str> = headers.split(',').collect();
    for header in wanted {
        assert!(
            all.iter().any(|given| given.starts_with(header)),
            "{header} in {headers}"
        );
    }
}

#[test]
fn the_examples_for_producers_run_through_a_cluster() {
    let kafka = Kafka::start(&KafkaOptions::default()).expect("it starts");
    let shell = Shell::new(&kafka.bootstrap());
    // One partition: so what is behind a record is applied after it.
    let cluster = Cluster::new(1);
    let brokers = format!("kafka.brokers={}", kafka.bootstrap());
    let set = [
        &*brokers,
        "kafka.topic_prefix=minutehand",
        "kafka.cloudevents_queues=jobs",
    ];
    let applied = cluster.run(&["schema", "apply"], &set);
    assert!(applied.status.success(), "{}", said(&applied));
    let scheduler = cluster.start("scheduler", &set);
    let gateway = cluster.start("gateway", &set);
    cluster.ready(&scheduler);
    cluster.ready(&gateway);

    let misspelt = "echo 'pay me' | kcat -P -b localhost:9092 -t minutehand.commands \
                    -H minutehand-queue=reminders -H minutehand-delay=5s -H minutehand-guarante=at-most-once";
    let mut sent = 0;
    for example in [misspelt]
        .into_iter()
        .chain(examples().filter(|text| text.contains("kcat -P")))
    {
        let output = shell.run(example);
        assert!(output.status.success(), "{example}\n{}", said(&output));
        sent += example.matches("kcat -P").count();
    }
    assert!(sent > 12, "{sent} records sent");
    let no_object = "echo '[]' | kcat -P -b localhost:9092 -t minutehand.commands -H content-type=application/json";
    assert!(shell.run(no_object).status.success());

    // Headers.
    let headers = shell.execution("reminders", "order-1 pay me");
    has(
        &headers,
        &[
            "minutehand-execution-id=",
            "minutehand-id=kafka-0-1",
            "traceparent=00-1-2-03",
        ],
    );
    let headers = shell.execution("mail", "greetings happy new year");
    has(
        &headers,
        &[
            "minutehand-id=greeting-2030",
            "minutehand-attempt=1",
            "minutehand-due-at=20",
        ],
    );
    let headers = shell.execution("reports", r#"sales-report {"report":"sales"}"#);
    has(&headers, &["minutehand-execution-id="]);
    // CloudEvents.
    let headers = shell.execution("reminders", r#"order-1 {"order":1}"#);
    has(
        &headers,
        &[
            "minutehand-id=e-1~/orders",
            "ce_specversion=1.0",
            "ce_id=e-1",
            "ce_type=order.unpaid",
        ],
    );
    assert!(!headers.contains("ce_minutehand"), "{headers}");
    // JSON.
    let headers = shell.execution("mail", r#"order-1 {"order":1}"#);
    has(
        &headers,
        &["minutehand-id=order-1", "minutehand-namespace=default"],
    );
    let headers = shell.execution("jobs", "nightly@");
    has(
        &headers,
        &[
            "ce_specversion=1.0",
            "ce_type=minutehand.execution.v1",
            "ce_source=/minutehand/default",
        ],
    );

    // What is due later waits.
    let waits = |words: &[&str], wanted: &str| {
        let task = cluster.ask(&gateway, words).to_string();
        assert!(task.contains(wanted), "{words:?}: {task}");
    };
    waits(
        &["task", "show", "order-2", "--namespace", "shop"],
        "2030-01-02T00:00:00",
    );
    waits(&["task", "show", "e-2~/orders"], "2030-01-01T00:00:00");
    waits(&["schedule", "show", "nightly"], "\"paused\":true");

    // Nothing of the document was refused; what was, says why.
    let rejected = eventually("the last record that is refused", || {
        Some(shell.rejected())
            .filter(|text| text.contains("partition 0, log offset") && text.contains("[]\n"))
    });
    let lines: Vec<&str> = rejected.lines().collect();
    let [value, reason, last, last_reason] = lines.as_slice() else {
        panic!("{rejected}")
    };
    assert_eq!((*value, *last), ("pay me", "[]"));
    assert!(
        reason.contains("minutehand-reason=") && reason.contains("minutehand-guarante"),
        "{reason}"
    );
    assert!(
        last_reason.contains("not a JSON object but an array"),
        "{last_reason}"
    );
}
