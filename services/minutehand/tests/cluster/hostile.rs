//! Whatever anybody writes into `commands` and into a queue's topic, no partition stops: each
//! record runs, or is set aside with its reason, and what lies behind it goes on. The records are
//! made here, so that their neighbours are tried as well.

use std::collections::BTreeSet;
use std::time::Duration;

use minutehand_cluster::kafka::Client;
use minutehand_cluster::kafka::raw::{RawOutgoing, RawProducer, RawReader};
use minutehand_model::limits::{
    EXECUTION_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX,
    RECORD_KEY_BYTES_MAX, SET_ASIDE_BYTES_MAX, TASK_BYTES_MAX, TASK_HEAD_BYTES_MAX,
    TOPIC_RECORD_BYTES_MAX,
};
use minutehand_model::{Command, Namespace, QueueName, Task, TaskId, TaskKey, Timestamp};

use crate::support::{Cluster, Receiver, eventually};

/// A record that nobody asked for.
#[derive(Clone, Debug, Default)]
struct Hostile {
    name: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Hostile {
    fn value(name: impl Into<String>, value: Vec<u8>) -> Hostile {
        Hostile {
            name: name.into(),
            value: Some(value),
            ..Hostile::default()
        }
    }

    fn keyed(self, key: Option<Vec<u8>>) -> Hostile {
        Hostile { key, ..self }
    }

    fn with(mut self, name: &str, value: Option<&[u8]>) -> Hostile {
        self.headers
            .push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    /// In the form of headers: for a queue, due in a moment.
    fn asked(name: impl Into<String>, value: Vec<u8>) -> Hostile {
        Hostile::value(name, value)
            .with("minutehand-queue", Some(b"hooks"))
            .with("minutehand-delay", Some(b"10ms"))
    }

    fn send(&self, producer: &RawProducer, topic: &str, partition: u32) {
        let headers: Vec<(&str, Option<&[u8]>)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        let outgoing = RawOutgoing {
            partition: Some(partition),
            key,
            value,
            headers: &headers,
        };
        // What the client itself refuses cannot be written by it; what the broker refuses is no
        // trouble of ours.
        if let Err(error) = producer.send(topic, outgoing) {
            assert!(error.to_string().contains("size"), "{}: {error}", self.name);
        }
    }
}

fn task(id: &str, payload: usize) -> Task {
    let due = Timestamp::from_millis(1_700_000_000_000);
    Task {
        payload: vec![b'p'; payload].into(),
        ..Task::new(
            Namespace::parse("default").expect("a name"),
            TaskId::parse(id).expect("an id"),
            QueueName::parse("hooks").expect("a name"),
            due,
        )
    }
}

fn encoded(command: &Command) -> Vec<u8> {
    minutehand_record::command::encode(command).to_vec()
}

fn create(task: &Task) -> Vec<u8> {
    encoded(&Command::Create(minutehand_record::task::record(task)))
}

/// One below a limit, the limit, and one above it.
fn around(limit: usize) -> [usize; 3] {
    [limit - 1, limit, limit + 1]
}

/// Sizes around every link of the chain, and around what Kafka and its clients have by themselves.
fn sizes() -> BTreeSet<usize> {
    let links = [
        RECORD_KEY_BYTES_MAX,
        SET_ASIDE_BYTES_MAX,
        PAYLOAD_BYTES_MAX,
        TASK_HEAD_BYTES_MAX,
        TASK_BYTES_MAX,
        EXECUTION_BYTES_MAX,
        999_950,
        1_000_000,
        RECORD_BYTES_MAX,
        1_048_588,
        TOPIC_RECORD_BYTES_MAX - 200,
    ];
    links.into_iter().flat_map(around).collect()
}

/// What the encoded form of a task is bent into.
fn bent_tasks() -> Vec<Hostile> {
    let whole = create(&task("bent", 100));
    let mut bent = Vec::new();
    for eighth in 0..8 {
        let cut = whole.len() * eighth / 8;
        bent.push(Hostile::value(
            format!("cut at {cut}"),
            whole[..cut].to_vec(),
        ));
    }
    for bit in (0..whole.len() * 8).step_by(37) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        bent.push(Hostile::value(format!("bit {bit} flipped"), flipped));
    }
    for version in [0, 2, 8, 99, 255] {
        let mut other = whole.clone();
        other[0] = version;
        bent.push(Hostile::value(format!("version {version}"), other));
    }
    for kind in 0..=12 {
        bent.push(Hostile::value(
            format!("kind {kind} and nothing"),
            vec![1, kind],
        ));
        let mut other = whole.clone();
        other[1] = kind;
        bent.push(Hostile::value(format!("kind {kind} with a task"), other));
    }
    bent
}

/// Tasks at and beyond every limit, in the scheduler's own form.
fn large_tasks() -> Vec<Hostile> {
    let mut large: Vec<Hostile> = around(PAYLOAD_BYTES_MAX)
        .map(|bytes| {
            Hostile::value(
                format!("payload of {bytes}"),
                create(&task("payload", bytes)),
            )
        })
        .into();
    for count in around(HEADERS_MAX) {
        let headers = (0..count)
            .map(|n| (format!("x-{n}"), "v".repeat(HEADER_VALUE_BYTES_MAX)))
            .collect();
        let full = Task {
            headers,
            ..task("headers", PAYLOAD_BYTES_MAX)
        };
        large.push(Hostile::value(
            format!("{count} full headers"),
            create(&full),
        ));
    }
    for bytes in [
        TASK_HEAD_BYTES_MAX / 2,
        TASK_HEAD_BYTES_MAX,
        500_000,
        900_000,
    ] {
        let huge = Task {
            headers: vec![("x".to_owned(), "v".repeat(bytes))],
            ..task("huge-header", 10)
        };
        large.push(Hostile::value(
            format!("a header of {bytes}"),
            create(&huge),
        ));
    }
    let tiny = (0..20_000)
        .map(|n| (format!("{n}"), String::new()))
        .collect();
    large.push(Hostile::value(
        "20000 headers",
        create(&Task {
            headers: tiny,
            ..task("tiny-headers", 10)
        }),
    ));
    for bytes in sizes() {
        // A field that no version knows, behind a whole task: it is kept with it.
        let mut unknown = create(&task("unknown", 10));
        let (field, length) = ([0xfa, 0x07], bytes.saturating_sub(unknown.len() + 6));
        unknown.extend(field);
        let mut rest = length;
        while rest >= 0x80 {
            unknown.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        unknown.push(rest as u8);
        unknown.resize(unknown.len() + length, b'u');
        large.push(Hostile::value(
            format!("an unknown field up to {bytes}"),
            unknown,
        ));
    }
    for name in ["", "a\0b", "é", "a b", &"n".repeat(300)] {
        let odd = Task {
            headers: vec![(name.to_owned(), "v".to_owned())],
            ..task("odd-header", 10)
        };
        large.push(Hostile::value(
            format!("a header named {name:?}"),
            create(&odd),
        ));
    }
    large
}

/// In the form of headers, and as JSON.
fn bent_requests() -> Vec<Hostile> {
    let mut bent = Vec::new();
    for bytes in sizes() {
        bent.push(Hostile::value(
            format!("{bytes} bytes of noise"),
            vec![0xfe; bytes],
        ));
        bent.push(Hostile::asked(
            format!("a value of {bytes}"),
            vec![b'v'; bytes],
        ));
        bent.push(
            Hostile::asked(format!("a header of {bytes}"), b"v".to_vec())
                .with("x-large", Some(&vec![b'h'; bytes])),
        );
        bent.push(
            Hostile::asked(format!("a key of {bytes}"), b"v".to_vec())
                .keyed(Some(vec![b'k'; bytes])),
        );
    }
    for due in [
        "",
        "0",
        "-1",
        "NaN",
        "9999999999999999999",
        "yesterday",
        "2026-13-45T99:99:99Z",
        "253402300800000",
    ] {
        bent.push(
            Hostile::value(format!("due at {due:?}"), b"v".to_vec())
                .with("minutehand-queue", Some(b"hooks"))
                .with("minutehand-due-at", Some(due.as_bytes())),
        );
    }
    for delay in ["", "-5s", "5", "1e9y", "99999999999999999999s"] {
        bent.push(
            Hostile::value(format!("a delay of {delay:?}"), b"v".to_vec())
                .with("minutehand-queue", Some(b"hooks"))
                .with("minutehand-delay", Some(delay.as_bytes())),
        );
    }
    let long = "q".repeat(65);
    for queue in [
        "", ".", "..", "_", "-", "a b", "é", "ho/oks", "ho\0oks", "ho.oks", "ho_oks", "h.o_ks",
        &long,
    ] {
        bent.push(
            Hostile::value(format!("queue {queue:?}"), b"v".to_vec())
                .with("minutehand-queue", Some(queue.as_bytes()))
                .with("minutehand-delay", Some(b"10ms")),
        );
    }
    let json = |name: &str, text: String| {
        Hostile::value(name, text.into_bytes()).with("content-type", Some(b"application/json"))
    };
    bent.extend([
        json("no JSON", "{".to_owned()),
        json("a JSON array", "[]".to_owned()),
        json("deep JSON", "[".repeat(100_000)),
        json(
            "a large JSON number",
            r#"{"queue":"hooks","due_at":1e400}"#.to_owned(),
        ),
        json(
            "JSON with a long text",
            format!(r#"{{"queue":"{}"}}"#, "q".repeat(900_000)),
        ),
        json("JSON of null", "null".to_owned()),
        Hostile {
            name: "nothing at all".to_owned(),
            ..Hostile::default()
        },
        Hostile::value("an empty value", Vec::new()),
        Hostile::value("a key that is no text", b"v".to_vec()).keyed(Some(vec![0xff; 10])),
        Hostile::asked("a null header", b"v".to_vec()).with("x-null", None),
        Hostile::asked("a header without a name", b"v".to_vec()).with("", Some(b"v")),
        Hostile::asked("a cron as well", b"v".to_vec())
            .with("minutehand-cron", Some(b"* * * * * * *")),
    ]);
    for bytes in [1, 64, 65, 2_000] {
        let many = (0..bytes).fold(
            Hostile::asked(format!("{bytes} headers"), b"v".to_vec()),
            |record, n| record.with(&format!("x-{n}"), Some(b"v")),
        );
        bent.push(many);
    }
    bent
}

/// Records of a queue's topic that no scheduler wrote.
fn bent_executions() -> Vec<Hostile> {
    let own = [
        "partition",
        "epoch",
        "offset",
        "published-at",
        "task",
        "stop",
        "task-key",
        "due-at",
    ];
    let values: [&[u8]; 6] = [b"", b"x", b"-1", b"99999999999999999999", b"\xff\xfe", b"0"];
    let mut bent: Vec<Hostile> = own
        .iter()
        .flat_map(|name| {
            values.map(|value| {
                let name = format!("minutehand-{name}");
                Hostile::value(format!("{name} is {value:?}"), b"noise".to_vec())
                    .with(&name, Some(value))
            })
        })
        .collect();
    for bytes in sizes() {
        bent.push(Hostile::value(format!("{bytes} bytes"), vec![0xfe; bytes]));
    }
    bent.push(Hostile {
        name: "nothing at all".to_owned(),
        ..Hostile::default()
    });
    let head = minutehand_record::task::encode(&task("forged", 0));
    bent.push(
        Hostile::value("an execution of another partition", b"v".to_vec())
            .with("minutehand-partition", Some(b"77"))
            .with("minutehand-epoch", Some(b"1"))
            .with("minutehand-offset", Some(b"1"))
            .with("minutehand-published-at", Some(b"2026-11-29T00:00:00.000Z"))
            .with("minutehand-task", Some(&head)),
    );
    bent.push(Hostile::value("a lone task", head.to_vec()));
    bent
}

/// Asks for an execution on both partitions, and waits until both have come out.
fn goes_on(client: &Client, producer: &RawProducer, cluster: &Cluster, round: &str) {
    let topic = format!("{}.executions.good", cluster.name);
    let wanted: BTreeSet<Vec<u8>> = (0..2)
        .map(|partition| format!("{round} {partition}").into_bytes())
        .collect();
    for (partition, value) in (0..).zip(&wanted) {
        Hostile::value(round, value.clone())
            .with("minutehand-queue", Some(b"good"))
            .with("minutehand-delay", Some(b"10ms"))
            .send(producer, &client.names().commands, partition);
    }
    producer.poll();
    let reader = eventually("the topic of what is good", || {
        RawReader::open(client, &topic).ok()
    });
    let mut found = BTreeSet::new();
    eventually(&format!("{round} goes on\n{}", cluster.logs()), || {
        let taken = reader.poll(Duration::from_millis(50), 1_000, |record| {
            found.extend(record.value.map(<[u8]>::to_vec));
        });
        taken.expect("it can be read");
        found.is_superset(&wanted).then_some(())
    });
}

#[test]
fn no_record_stops_a_partition() {
    let cluster = Cluster::new(2);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    cluster.ready(&scheduler);
    let (_runtime, client) = cluster.kafka();
    let producer = RawProducer::open(&client, None).expect("it can be written");
    goes_on(&client, &producer, &cluster, "before");
    for (kind, records) in [
        ("bent tasks", bent_tasks()),
        ("large tasks", large_tasks()),
        ("bent requests", bent_requests()),
    ] {
        for record in &records {
            record.send(&producer, &client.names().commands, 0);
        }
        // What the broker itself refuses (too large for the topic) never was.
        producer.flush().ok();
        goes_on(&client, &producer, &cluster, kind);
    }
    let log = scheduler.log();
    for word in ["the owner stopped", "left alone", "panicked"] {
        assert!(!log.contains(word), "{word}: {}", cluster.logs());
    }
    cluster.ready(&scheduler);
    assert_eq!(scheduler.stop().code(), Some(0), "{}", cluster.logs());
}

#[test]
fn no_record_of_a_queue_stops_its_workers() {
    let cluster = Cluster::new(1);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    let receiver = Receiver::start();
    let url = format!("webhook.url={}", receiver.url);
    let worker = cluster.start(
        "worker",
        &["worker.queues=hooks", "webhook.private_networks=true", &url],
    );
    let (_runtime, client) = cluster.kafka();
    let producer = RawProducer::open(&client, None).expect("it can be written");
    let good = |name: &str| {
        Hostile::asked(name, name.as_bytes().to_vec()).send(&producer, &client.names().commands, 0);
        producer.flush().expect("Kafka keeps it");
        eventually(&format!("{name}\n{}", cluster.logs()), || {
            receiver
                .received()
                .iter()
                .any(|body| body == name)
                .then_some(())
        });
    };
    good("before");
    let executions = format!("{}.executions.hooks", cluster.name);
    for record in bent_executions() {
        record.send(&producer, &executions, 0);
    }
    producer.flush().ok();
    good("after");
    // Asked to stop, whoever it is meant for.
    let stops = &client.names().stops;
    for record in bent_executions()
        .into_iter()
        .filter(|record| record.value.as_ref().is_none_or(|v| v.len() < 100))
    {
        record.send(&producer, stops, 0);
    }
    let key = TaskKey::of("default", "nobody").0;
    Hostile::value("a stop for nobody", Vec::new())
        .with(
            "minutehand-task-key",
            Some(format!("{key:032x}").as_bytes()),
        )
        .send(&producer, stops, 0);
    producer.flush().expect("Kafka keeps it");
    good("in the end");
    for role in [worker, scheduler] {
        assert_eq!(role.stop().code(), Some(0), "{}", cluster.logs());
    }
}
