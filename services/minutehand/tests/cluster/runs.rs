//! Tasks that run, through gateway, schedulers and worker.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::support::{Cluster, Receiver, Role, eventually, said};

const PARTITIONS: u32 = 4;

/// Creates tasks `PREFIX-0…` for the receiver, due in a moment.
fn create(
    cluster: &Cluster,
    gateway: &Role,
    receiver: &Receiver,
    prefix: &str,
    count: usize,
) -> BTreeSet<String> {
    let mut lines = String::new();
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let task = serde_json::json!({
            "id": id, "queue": "hooks", "delay": "200ms", "payload": id,
            "headers": {"minutehand-url": receiver.url},
        });
        writeln!(lines, "{task}").expect("text can be written");
    }
    let file = cluster.config().with_file_name(format!("{prefix}.jsonl"));
    std::fs::write(&file, lines).expect("written");
    let imported = cluster.client(gateway, &["task", "import", file.to_str().expect("UTF-8")]);
    assert!(
        imported.status.success(),
        "{}\n{}",
        said(&imported),
        cluster.logs()
    );
    (0..count)
        .map(|number| format!("{prefix}-{number}"))
        .collect()
}

/// Waits until every task has arrived, and says how often each did.
fn arrived(cluster: &Cluster, receiver: &Receiver, wanted: &BTreeSet<String>) -> Vec<String> {
    eventually(
        &format!("the arrival of {} tasks\n{}", wanted.len(), cluster.logs()),
        || {
            let received = receiver.received();
            wanted
                .iter()
                .all(|id| received.binary_search(id).is_ok())
                .then_some(received)
        },
    )
}

#[test]
fn tasks_run_through_a_hand_over_and_a_crash() {
    let cluster = Cluster::new(PARTITIONS);
    cluster.apply_schema();
    let receiver = Receiver::start();
    let first = cluster.start("scheduler", &[]);
    let gateway = cluster.start("gateway", &[]);
    let worker = cluster.start(
        "worker",
        &["worker.queues=hooks", "webhook.private_networks=true"],
    );
    cluster.ready(&gateway);
    cluster.ready(&first);
    cluster.ready(&worker);

    let mut wanted = create(&cluster, &gateway, &receiver, "one", 200);
    arrived(&cluster, &receiver, &wanted);

    // The second one gets its share, then all of it when the first one stops.
    let second = cluster.start("scheduler", &[]);
    cluster.ready(&second);
    wanted.extend(create(&cluster, &gateway, &receiver, "two", 200));
    arrived(&cluster, &receiver, &wanted);
    assert_eq!(first.stop().code(), Some(0), "{}", cluster.logs());
    cluster.ready(&gateway);
    wanted.extend(create(&cluster, &gateway, &receiver, "three", 200));
    let received = arrived(&cluster, &receiver, &wanted);
    assert_eq!(received.len(), wanted.len(), "nothing ran twice");

    // What a crashed one owned is taken over once its lease has ended.
    let third = cluster.start("scheduler", &[]);
    cluster.ready(&third);
    second.kill();
    wanted.extend(create(&cluster, &gateway, &receiver, "four", 200));
    let received = arrived(&cluster, &receiver, &wanted);
    assert_eq!(received.len(), wanted.len(), "nothing ran twice");

    for role in [gateway, worker, third] {
        assert_eq!(role.stop().code(), Some(0), "{}", cluster.logs());
    }
}

#[test]
fn a_gateway_without_owners_answers_of_tasks_and_schedules() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let _scheduler = cluster.start("scheduler", &[]);
    let gateway = cluster.start("gateway", &[]);
    cluster.ready(&gateway);

    cluster.ask(
        &gateway,
        &[
            "task",
            "create",
            "--queue",
            "q",
            "--id",
            "far",
            "--in",
            "1h",
            "--payload",
            "x",
        ],
    );
    assert_eq!(
        cluster.ask(&gateway, &["task", "get", "far"])["state"],
        "scheduled"
    );
    cluster.ask(&gateway, &["task", "cancel", "far"]);
    assert_eq!(
        cluster.ask(&gateway, &["task", "get", "far"])["state"],
        "cancelled"
    );
    cluster.ask(
        &gateway,
        &[
            "schedule",
            "create",
            "nightly",
            "--cron",
            "0 3 * * *",
            "--queue",
            "q",
        ],
    );
    let shown = cluster.ask(&gateway, &["schedule", "show", "nightly"]);
    assert_eq!(shown["owner"], "owning", "{shown}");
    let partitions =
        String::from_utf8(cluster.client(&gateway, &["partition", "list"]).stdout).expect("text");
    assert_eq!(partitions.matches("owning").count(), 2, "{partitions}");
}

#[test]
fn commands_run_with_retries_and_dead_letters() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let _scheduler = cluster.start("scheduler", &[]);
    let gateway = cluster.start("gateway", &[]);
    let out = cluster.config().with_file_name("out");
    let _worker = cluster.start(
        "worker",
        &["worker.queues=commands", "worker.process_executor=true"],
    );
    cluster.ready(&gateway);

    let good = format!("minutehand-command=echo done >> {}", out.display());
    cluster.ask(
        &gateway,
        &[
            "task", "create", "--queue", "commands", "--in", "100ms", "--header", &good,
        ],
    );
    eventually("the command's output", || {
        std::fs::read_to_string(&out)
            .ok()
            .filter(|text| text == "done\n")
    });
    let retry = r#"{"policy": "fixed", "delay_ms": 100, "max_attempts": 2}"#;
    let bad = ["--header", "minutehand-command=exit 7", "--retry", retry];
    let create = [
        &[
            "task", "create", "--queue", "commands", "--id", "bad", "--in", "100ms",
        ][..],
        &bad,
    ]
    .concat();
    cluster.ask(&gateway, &create);
    eventually(&format!("a dead letter\n{}", cluster.logs()), || {
        let letters = cluster.client(&gateway, &["queue", "dead-letters", "commands"]);
        String::from_utf8_lossy(&letters.stdout)
            .contains("\"bad\"")
            .then_some(())
    });
}

#[test]
fn gateways_and_schedulers_use_https_and_a_shared_token() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = |name: &str, text: &str| {
        let path = cluster.config().with_file_name(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let cert = file("cert.pem", &certificate.pem());
    let key = file("key.pem", &key.serialize_pem());
    let token = file("token", "a-token-of-the-cluster\n");

    let token = format!("cluster.token_file={token}");
    let tls = [
        format!("http.tls_cert_file={cert}"),
        format!("http.tls_key_file={key}"),
    ];
    let scheduler = cluster.start("scheduler", &[&token, &tls[0], &tls[1]]);
    assert!(
        scheduler.greeting.contains("https://127.0.0.1:"),
        "{}",
        scheduler.greeting
    );
    let peer = format!("http.peer_ca_file={cert}");
    let gateway = cluster.start("gateway", &[&token, &peer]);
    cluster.ready(&gateway);
    let stranger = cluster.start("gateway", &["cluster.token=another-token-of-nobody", &peer]);
    eventually("a refusal", || {
        cluster
            .logs()
            .contains("the token is not known")
            .then_some(())
    });
    let partitions = cluster.client(&stranger, &["partition", "list"]);
    assert!(
        !String::from_utf8_lossy(&partitions.stdout).contains("owning"),
        "{}",
        said(&partitions)
    );
}
