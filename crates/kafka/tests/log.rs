//! The command log on a real broker: what transactions leave behind, what producers write in their
//! own forms, and a reader that goes back.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minutehand_kafka::raw::{RawOutgoing, RawProducer, set_topic};
use minutehand_kafka::{Client, KafkaConfig, KafkaLog, TopicStanding};
use minutehand_model::{Command, LogOffset, PartitionId};
use minutehand_ports::{CommandLog, ErrorClass, LogRecord};
use support::fresh;

const P0: PartitionId = PartitionId::own(0);

fn log(client: &Arc<Client>) -> KafkaLog {
    KafkaLog::new(Arc::clone(client))
}

/// Reads until the end that the log itself names.
async fn read_all(log: &KafkaLog, from: LogOffset) -> Vec<LogRecord> {
    let end = log.bounds(P0).await.unwrap().end;
    let (mut records, mut next) = (Vec::new(), from);
    while next < end {
        let batch = log.read(P0, next, 1_000).await.unwrap();
        assert!(batch.next > next, "a read below the end moves on");
        next = batch.next;
        records.extend(batch.records);
    }
    records
}

fn payloads(records: &[LogRecord]) -> Vec<Bytes> {
    records
        .iter()
        .map(|record| record.payload.clone())
        .collect()
}

fn send(producer: &RawProducer, client: &Client, value: &str) {
    let outgoing = RawOutgoing {
        partition: Some(0),
        value: Some(value.as_bytes()),
        ..RawOutgoing::default()
    };
    producer.send(&client.names().commands, outgoing).unwrap();
}

/// In a transaction that is committed, or given up by the next producer under its id.
fn in_transaction(client: &Client, values: &[&str], is_committed: bool) {
    let id = client.names().commands.clone();
    let producer = RawProducer::open(client, Some(&id)).unwrap();
    producer.begin().unwrap();
    for value in values {
        send(&producer, client, value);
    }
    if is_committed {
        producer.commit().unwrap();
    } else {
        producer.flush().unwrap();
        drop(producer);
        drop(RawProducer::open(client, Some(&id)).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_of_transactions_and_what_was_given_up_are_passed_over() {
    let client = fresh("holes", 2).await;
    let log = log(&client);
    let mut end = log.watch_end(P0);
    for (index, (values, is_committed)) in [
        (["a", "b"], true),
        (["no", "no"], false),
        (["c", "d"], true),
        (["no", "no"], false),
    ]
    .into_iter()
    .enumerate()
    {
        let writing = Arc::clone(&client);
        tokio::task::spawn_blocking(move || in_transaction(&writing, &values, is_committed))
            .await
            .unwrap();
        // A watcher hears of the end, though nothing but holes may lie before it.
        let bound = log.bounds(P0).await.unwrap().end;
        tokio::time::timeout(Duration::from_secs(30), end.wait_for(|end| *end >= bound))
            .await
            .unwrap_or_else(|_| panic!("after step {index} the end {bound} is never announced"))
            .unwrap();
    }
    assert_eq!(
        payloads(&read_all(&log, LogOffset::START).await),
        ["a", "b", "c", "d"]
    );
    let appended = log.append(P0, vec!["e".into(), "f".into()]).await.unwrap();
    assert_eq!(
        payloads(&read_all(&log, appended.offsets[0]).await),
        ["e", "f"]
    );
    assert_eq!(
        payloads(&read_all(&log, LogOffset::START).await),
        ["a", "b", "c", "d", "e", "f"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_back_and_forth() {
    let client = fresh("back", 2).await;
    let log = log(&client);
    for number in 0..50 {
        log.append(P0, vec![format!("{number}").into()])
            .await
            .unwrap();
    }
    for from in [0, 40, 10, 49, 0, 50] {
        let read = payloads(&read_all(&log, LogOffset::at(from)).await);
        let expected: Vec<Bytes> = (from..50)
            .map(|number| format!("{number}").into())
            .collect();
        assert_eq!(read, expected, "from {from}");
    }
    let beyond = log.read(P0, LogOffset::at(51), 100).await.unwrap_err();
    assert_eq!(beyond.class, ErrorClass::Fatal, "{beyond}");
    assert!(beyond.to_string().contains("ends at offset 50"), "{beyond}");
    assert_eq!(
        log.read(P0, LogOffset::at(50), 100).await.unwrap().next,
        LogOffset::at(50),
        "the reader lives on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_said_only_when_the_cluster_says_so() {
    let client = fresh("end", 2).await;
    let (reading, writing) = (log(&client), log(&client));
    let mut next = LogOffset::START;
    for number in 0..30_u64 {
        // The writer is another client: what it was told is durable must be found by a read that
        // begins afterwards.
        let appended = writing
            .append(P0, vec![format!("{number}").into()])
            .await
            .unwrap();
        let batch = reading.read(P0, next, 1_000).await.unwrap();
        assert_eq!(payloads(&batch.records), [format!("{number}")]);
        next = batch.next;
        assert_eq!(Some(next), appended.end());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_other_forms_are_read_or_refused_with_a_reason() {
    let client = fresh("forms", 2).await;
    let writing = Arc::clone(&client);
    tokio::task::spawn_blocking(move || {
        let producer = RawProducer::open(&writing, None).unwrap();
        let topic = &writing.names().commands;
        let partition = Some(0);
        let delayed = [
            ("minutehand-queue", Some(&b"mail"[..])),
            ("minutehand-delay", Some(b"5s")),
            ("x", None),
        ];
        let misspelt = [
            ("minutehand-queue", Some(&b"mail"[..])),
            ("minutehand-dealy", Some(b"5s")),
        ];
        let (body, noise) = (Some(&b"body"[..]), Some(&b"\xff\xfe"[..]));
        for (value, headers) in [
            (body, &delayed[..]),
            (body, &misspelt),
            (noise, &[]),
            (None, &[]),
        ] {
            producer
                .send(
                    topic,
                    RawOutgoing {
                        partition,
                        key: Some(b"k"),
                        value,
                        headers,
                    },
                )
                .unwrap();
        }
        producer.flush().unwrap();
    })
    .await
    .unwrap();
    let records = read_all(&log(&client), LogOffset::START).await;
    assert_eq!(records.len(), 4);
    let command = minutehand_record::command::decode(records[0].payload.clone()).unwrap();
    let Command::Create(task) = command else {
        panic!("a creation, not {command:?}")
    };
    assert_eq!(
        task.due,
        records[0].appended_at.plus_millis(5_000),
        "a delay counts from the log's time"
    );
    let task = minutehand_record::task::decode(&task.encoded).unwrap();
    assert_eq!(
        (task.queue.as_str(), &task.payload[..]),
        ("mail", &b"body"[..])
    );
    let reason = records[1].refusal.as_deref().unwrap();
    assert!(reason.contains("minutehand-dealy"), "{reason}");
    assert_eq!(
        records[1].payload, "body",
        "what was refused is kept as it came"
    );
    assert!(
        minutehand_record::command::decode(records[2].payload.clone()).is_err()
            || records[2].refusal.is_some()
    );
    assert!(records[3].refusal.is_some(), "nothing at all is no command");
}

/// librdkafka hands out names of headers as they are; its wrapper takes them for text.
#[test]
fn a_header_name_that_is_not_text_does_not_stop_the_reader() {
    let brokers = minutehand_testkit::kafka();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(fresh("odd", 2));
    // kcat sends header names as bytes.
    let topic = &client.names().commands;
    let mut kcat = std::process::Command::new("kcat")
        .args(["-P", "-b", brokers, "-t", topic, "-p", "0", "-H"])
        .arg(std::ffi::OsStr::from_bytes(b"\xff=1"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("kcat is installed");
    kcat.stdin.take().unwrap().write_all(b"value").unwrap();
    assert!(kcat.wait().unwrap().success());
    runtime.block_on(async {
        let log = log(&client);
        let records = read_all(&log, LogOffset::START).await;
        assert_eq!(
            records[0].refusal.as_deref(),
            Some("a header's name is not UTF-8")
        );
        let appended = log.append(P0, vec!["on".into()]).await.unwrap();
        assert_eq!(payloads(&read_all(&log, appended.offsets[0]).await), ["on"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_missing_or_differ_are_named() {
    let client = fresh("topics", 2).await;
    client.check_topics().await.unwrap();
    let again = client.apply_topics().await.unwrap();
    assert!(
        again
            .iter()
            .all(|(_, standing)| *standing == TopicStanding::Present),
        "nothing is made twice"
    );
    let other = Client::new(KafkaConfig {
        partitions: 3,
        ..client.config().clone()
    })
    .unwrap();
    let wrong = other.check_topics().await.unwrap_err();
    assert_eq!(wrong.class, ErrorClass::Fatal);
    let expected = format!(
        "{} has 2 partitions and must have 3",
        client.names().commands
    );
    assert!(wrong.to_string().contains(&expected), "{wrong}");
    let nowhere = Client::new(KafkaConfig {
        topic_prefix: "nowhere".to_owned(),
        ..client.config().clone()
    })
    .unwrap();
    let missing = nowhere.check_topics().await.unwrap_err();
    assert!(
        missing.to_string().contains("nowhere.commands is missing"),
        "{missing}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_not_there_is_refused() {
    let client = fresh("nowhere", 2).await;
    let refused = log(&client)
        .append(PartitionId::own(2), vec!["x".into()])
        .await
        .unwrap_err();
    assert_eq!(refused.class, ErrorClass::Fatal);
}

/// A producer that died in the middle of its transaction, or a user's own: nobody may take its
/// beginning for the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_does_not_hide_the_end_of_the_log() {
    let client = fresh("open", 2).await;
    let log = log(&client);
    let opening = Arc::clone(&client);
    let open = move || {
        let producer = RawProducer::open(&opening, Some(&opening.names().commands)).unwrap();
        producer.begin().unwrap();
        send(&producer, &opening, "undecided");
        producer.flush().unwrap();
        producer
    };
    let producer = tokio::task::spawn_blocking(open).await.unwrap();
    let appended = log.append(P0, vec!["acknowledged".into()]).await.unwrap();
    let end = log.bounds(P0).await.unwrap().end;
    assert_eq!(
        Some(end),
        appended.end(),
        "what was acknowledged lies below the end"
    );
    let batch = log.read(P0, LogOffset::START, 1_000).await.unwrap();
    assert_eq!(
        (batch.records.len(), batch.next, batch.end),
        (0, LogOffset::START, end),
        "there is more, which cannot be read yet"
    );
    tokio::task::spawn_blocking(move || producer.commit().unwrap())
        .await
        .unwrap();
    assert_eq!(
        payloads(&read_all(&log, LogOffset::START).await),
        ["undecided", "acknowledged"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_passed_over_is_refused_with_the_reason() {
    let client = fresh("skip", 2).await;
    let (log, operator, at) = (log(&client), log(&client), LogOffset::at);
    log.append(
        P0,
        ["a", "poison", "b", "worse", "worse", "c"]
            .map(Bytes::from)
            .to_vec(),
    )
    .await
    .unwrap();
    assert_eq!(read_all(&log, LogOffset::START).await.len(), 6);
    operator
        .skip(P0, at(1)..=at(1), "it stops the partition")
        .await
        .unwrap();
    operator
        .skip(P0, at(3)..=at(4), "these as well")
        .await
        .unwrap();
    for wrong in [at(5)..=at(6), at(3)..=at(2), at(0)..=at(200_000)] {
        let refused = operator.skip(P0, wrong, "reason").await.unwrap_err();
        assert_eq!(refused.class, ErrorClass::Fatal, "{refused}");
    }
    assert_eq!(
        operator
            .skip(P0, at(1)..=at(1), "")
            .await
            .unwrap_err()
            .class,
        ErrorClass::Fatal
    );
    // A new owner begins to read, here and in another process.
    for log in [&log, &operator] {
        let records = read_all(log, LogOffset::START).await;
        for (index, reason) in [
            (1, "it stops the partition"),
            (3, "these as well"),
            (4, "these as well"),
        ] {
            let words = format!("passed over as an operator asked: {reason}");
            assert_eq!(records[index].refusal.as_deref(), Some(&*words));
            assert!(records[index].payload.is_empty());
        }
        assert_eq!(
            (&records[0].payload[..], &records[2].payload[..]),
            (&b"a"[..], &b"b"[..])
        );
        assert_eq!(records[5].payload, "c");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_set_up_otherwise_are_named_and_retention_is_raised() {
    let client = fresh("settings", 2).await;
    let commands = &client.names().commands;
    let longer = KafkaConfig {
        command_retention_ms: 172_800_000,
        ..client.config().clone()
    };
    let longer = Client::new(longer).unwrap();
    let short = longer.check_topics().await.unwrap_err().to_string();
    let words = format!("{commands} has retention.ms=86400000, which must be at least 172800000");
    assert!(short.contains(&words), "{short}");
    longer.apply_topics().await.unwrap();
    longer.check_topics().await.unwrap();
    client.check_topics().await.unwrap();
    set_topic(&client, commands, "message.timestamp.type", "CreateTime")
        .await
        .unwrap();
    set_topic(
        &client,
        &client.names().checkpoints,
        "cleanup.policy",
        "delete",
    )
    .await
    .unwrap();
    let wanted = [
        "message.timestamp.type=CreateTime, which must be LogAppendTime",
        "cleanup.policy=delete, which must be compact",
    ];
    // A change is not known to every broker at once.
    loop {
        let Err(wrong) = client.check_topics().await else {
            continue;
        };
        assert_eq!(wrong.class, ErrorClass::Fatal);
        if wanted.iter().all(|words| wrong.to_string().contains(words)) {
            break;
        }
    }
}
