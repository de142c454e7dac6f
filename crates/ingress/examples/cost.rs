//! What a record costs on its way in and out: `cargo run --release -p minutehand-ingress --example
//! cost`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use minutehand_ingress::egress::{Envelope, Writer, read};
use minutehand_ingress::{Header, Input, understand};
use minutehand_model::{
    Command, Epoch, Guarantee, LogOffset, Namespace, PartitionId, Publication, QueueName, Task,
    TaskId, Timestamp,
};
use minutehand_record::{QueueNames, command, task};

const ROUNDS: u32 = 300_000;

fn main() {
    let task = sample();
    let native = command::encode(&Command::Create(task::record(&task)));
    let tracing: [Header<'_>; 2] = [
        (
            "traceparent",
            Some(b"00-0af7651916cd43dd8448eb211c80319c-01"),
        ),
        ("x", Some(b"y")),
    ];
    let delayed: [Header<'_>; 3] = [
        ("minutehand-queue", Some(b"mail")),
        ("minutehand-delay", Some(b"5s")),
        ("trace", Some(b"abc")),
    ];
    let json: [Header<'_>; 1] = [("content-type", Some(b"application/json"))];
    let body = br#"{"id":"order-2026-11-25-0000001","queue":"mail","delay":"5s","payload":{"order":1,"lines":[1,2,3]}}"#;
    for (name, value, headers) in [
        ("in: native, no headers", &native[..], &[][..]),
        ("in: native, two headers", &native, &tracing),
        ("in: delayed by headers", &task.payload, &delayed),
        ("in: JSON", body, &json),
    ] {
        let input = Input {
            partition: PartitionId::own(3),
            offset: LogOffset::at(17),
            timestamp: Timestamp::from_millis(1_795_608_000_000),
            key: Some(b"order-2026-11-25-0000001"),
            value: Some(value),
            headers,
        };
        measure(name, || {
            black_box(understand(black_box(&input))).expect("it is understood");
        });
    }
    let publication = Publication {
        offset: LogOffset::at(123_456_789),
        task: task::record(&task),
    };
    let mut writer = Writer::new(
        PartitionId::own(3),
        Epoch(12),
        Timestamp::from_millis(1_795_608_000_007),
    );
    for (name, envelope) in [
        ("out: plain", Envelope::Plain),
        ("out: CloudEvent", Envelope::CloudEvents),
    ] {
        measure(name, || {
            black_box(writer.publication(black_box(&publication), envelope)).expect("it is a task");
        });
    }
    let outgoing = writer
        .publication(&publication, Envelope::Plain)
        .expect("it is a task");
    let mut names = QueueNames::new();
    measure("back: read by a worker", || {
        black_box(read(
            outgoing.value,
            outgoing.headers.iter().copied(),
            &mut names,
        ))
        .expect("it is ours");
    });
}

fn measure(name: &str, mut run: impl FnMut()) {
    let since = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    println!(
        "{name:<28} {:>8.0} ns",
        since.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    );
}

fn sample() -> Task {
    let due = Timestamp::from_millis(1_795_608_000_000);
    Task {
        payload: Bytes::from(vec![b'x'; 300]),
        guarantee: Guarantee::ExactlyOnce,
        ..Task::new(
            Namespace::parse("default").expect("a name"),
            TaskId::parse("order-2026-11-25-0000001").expect("an id"),
            QueueName::parse("mail").expect("a name"),
            due,
        )
    }
}
