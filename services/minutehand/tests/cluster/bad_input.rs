//! What nobody should have written is set aside with its reason, what is beside it runs, and the
//! roles go on.

use std::collections::BTreeMap;
use std::time::Duration;

use minutehand_cluster::kafka::Client;
use minutehand_cluster::kafka::raw::{RawOutgoing, RawProducer, RawReader};

use minutehand_model::limits::SET_ASIDE_BYTES_MAX;

use crate::support::{Cluster, Receiver, eventually, said};

type Headers<'a> = &'a [(&'a str, Option<&'a [u8]>)];

/// A payload beyond what a task may have, and within what Kafka takes.
static OVERSIZED: [u8; 400 * 1024] = [b'x'; 400 * 1024];

/// What was set aside: the bytes as they came, and the reason with the position.
fn rejected(client: &Client, count: usize) -> BTreeMap<Vec<u8>, String> {
    let reader = RawReader::open(client, &client.names().rejected).expect("it can be read");
    let mut found = BTreeMap::new();
    eventually(&format!("{count} records that are set aside"), || {
        let taken = reader.poll(Duration::from_millis(50), 100, |record| {
            let header = |name| {
                String::from_utf8_lossy(record.header(name).unwrap_or_default()).into_owned()
            };
            let said = format!(
                "{} at {}",
                header("minutehand-reason"),
                header("minutehand-position")
            );
            found.insert(record.value.unwrap_or_default().to_vec(), said);
        });
        taken.expect("it can be read");
        (found.len() >= count).then_some(())
    });
    found
}

#[test]
fn unreadable_records_are_set_aside_and_their_neighbours_run() {
    let cluster = Cluster::new(1);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    let gateway = cluster.start("gateway", &[]);
    let receiver = Receiver::start();
    let url = format!("webhook.url={}", receiver.url);
    let worker = cluster.start(
        "worker",
        &["worker.queues=hooks", "webhook.private_networks=true", &url],
    );
    cluster.ready(&gateway);

    let (_runtime, client) = cluster.kafka();
    let queue = ("minutehand-queue", Some(&b"hooks"[..]));
    let bad: [(&str, &[u8], Headers<'_>); 5] = [
        ("unknown kind of command", b"\x01\xff corrupt", &[]),
        (
            "a command of a known version",
            b"\x63\x01 of a later release",
            &[],
        ),
        // 10000-01-01T00:00:00Z in milliseconds.
        (
            "9999-12-31T23:59:59.999Z",
            b"late",
            &[queue, ("minutehand-due-at", Some(b"253402300800000"))],
        ),
        (
            "262144",
            &OVERSIZED,
            &[queue, ("minutehand-delay", Some(b"1s"))],
        ),
        (
            "minutehand-dealy",
            b"misspelt",
            &[queue, ("minutehand-dealy", Some(b"1s"))],
        ),
    ];
    let producer = RawProducer::open(&client, None).expect("it can be written");
    let send = |value: &[u8], headers: Headers<'_>| {
        let outgoing = RawOutgoing {
            partition: Some(0),
            key: Some(value.get(..4).unwrap_or(value)),
            value: Some(value),
            headers,
        };
        producer
            .send(&client.names().commands, outgoing)
            .expect("Kafka takes it");
    };
    for (number, (_, value, headers)) in bad.iter().enumerate() {
        send(value, headers);
        let good = format!("{number} is good");
        send(
            good.as_bytes(),
            &[queue, ("minutehand-delay", Some(b"100ms"))],
        );
    }
    producer.flush().expect("Kafka keeps it");

    let wanted: Vec<String> = (0..bad.len())
        .map(|number| format!("{number} is good"))
        .collect();
    eventually(&format!("what is beside them\n{}", cluster.logs()), || {
        (receiver.received() == wanted).then_some(())
    });
    let rejected = rejected(&client, bad.len());
    assert_eq!(rejected.len(), bad.len(), "{:?}", rejected.values());
    for (words, value, _) in bad {
        let said = &rejected[&value[..value.len().min(SET_ASIDE_BYTES_MAX)]];
        assert!(
            said.contains(words) && said.contains("partition 0, log offset"),
            "{words}: {said}"
        );
        assert!(
            scheduler.log().contains("set a record aside"),
            "{}",
            scheduler.log()
        );
    }
    cluster.ready(&scheduler);

    // A record that the scheduler did not write is a dead letter for those who work.
    let noise = RawOutgoing {
        partition: Some(0),
        value: Some(b"noise"),
        ..RawOutgoing::default()
    };
    let executions = format!("{}.executions.hooks", cluster.name);
    producer.send(&executions, noise).expect("Kafka takes it");
    producer.flush().expect("Kafka keeps it");
    send(b"and on", &[queue, ("minutehand-delay", Some(b"100ms"))]);
    producer.flush().expect("Kafka keeps it");
    eventually(&format!("what comes after\n{}", cluster.logs()), || {
        receiver
            .received()
            .iter()
            .any(|body| body == "and on")
            .then_some(())
    });
    eventually("a dead letter", || {
        let letters = cluster.client(&gateway, &["queue", "dead-letters", "hooks"]);
        said(&letters).contains("cannot be").then_some(())
    });
    for role in [gateway, worker, scheduler] {
        assert_eq!(role.stop().code(), Some(0), "{}", cluster.logs());
    }
}

#[test]
fn a_partition_whose_checkpoint_cannot_be_read_stops_alone() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let (_runtime, client) = cluster.kafka();
    let producer = RawProducer::open(&client, None).expect("it can be written");
    let damaged = RawOutgoing {
        partition: Some(1),
        key: Some(b"1"),
        value: Some(b"\xff\xff\xff\xff"),
        ..RawOutgoing::default()
    };
    producer
        .send(&client.names().checkpoints, damaged)
        .expect("Kafka takes it");
    let waiting: Headers<'_> = &[
        ("minutehand-queue", Some(b"alone")),
        ("minutehand-delay", Some(b"100ms")),
    ];
    let task = RawOutgoing {
        partition: Some(0),
        key: Some(b"k"),
        value: Some(b"runs"),
        headers: waiting,
    };
    producer
        .send(&client.names().commands, task)
        .expect("Kafka takes it");
    producer.flush().expect("Kafka keeps it");

    let scheduler = cluster.start("scheduler", &[]);
    let named = format!("{}[1] at offset 0", client.names().checkpoints);
    eventually(
        &format!("the damaged checkpoint is named\n{}", cluster.logs()),
        || {
            let log = scheduler.log();
            (log.contains(&named) && log.contains("left alone")).then_some(())
        },
    );
    let executions = format!("{}.executions.alone", cluster.name);
    let reader = eventually("a topic of executions", || {
        RawReader::open(&client, &executions).ok()
    });
    eventually(
        &format!("the other partition goes on\n{}", cluster.logs()),
        || {
            let mut found = false;
            let taken = reader.poll(Duration::from_millis(50), 10, |record| {
                found |= record.value == Some(b"runs")
            });
            taken.expect("it can be read");
            found.then_some(())
        },
    );
    assert!(
        scheduler.readiness().starts_with("HTTP/1.1 503"),
        "{}",
        scheduler.readiness()
    );
    assert_eq!(scheduler.stop().code(), Some(0), "{}", cluster.logs());
}
