//! Opening a partition where something is not as it must be: one error that says what and where,
//! and the next partition opens.

mod support;

use std::sync::Arc;

use minutehand_kafka::raw::{RawOutgoing, RawProducer, RawReader};
use minutehand_kafka::{BrokerClock, Client, KafkaConfig, KafkaSink};
use minutehand_model::{Checkpoint, Epoch, PartitionId, Tick, Timestamp};
use minutehand_ports::{ErrorClass, ExecutionSink, PortError};
use support::{config, fresh};

const P0: PartitionId = PartitionId::own(0);
const P1: PartitionId = PartitionId::own(1);

/// Writes a record into the first partition of a topic.
async fn write(client: &Arc<Client>, topic: &str, key: &'static [u8], value: &'static [u8]) {
    let (client, topic) = (Arc::clone(client), topic.to_owned());
    let write = move || {
        let producer = RawProducer::open(&client, None).unwrap();
        let outgoing = RawOutgoing {
            partition: Some(0),
            key: Some(key),
            value: Some(value),
            ..RawOutgoing::default()
        };
        producer.send(&topic, outgoing).unwrap();
        producer.flush().unwrap();
    };
    tokio::task::spawn_blocking(write).await.unwrap();
}

fn tick(epoch: Epoch, number: u64) -> Tick {
    Tick {
        partition: P0,
        checkpoint: Checkpoint {
            epoch,
            tick: number,
            ..Checkpoint::START
        },
        published_at: Timestamp::from_millis(0),
        publications: Vec::new(),
        stops: Vec::new(),
        derived: Vec::new(),
        schedule_states: Vec::new(),
        set_aside: Vec::new(),
    }
}

async fn refused(sink: &KafkaSink, words: &[&str]) -> PortError {
    let error = sink.open(P0, Epoch(7)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        words.iter().all(|word| error.to_string().contains(word)),
        "{error}"
    );
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_checkpoint_stops_only_its_partition() {
    for (name, value, words) in [
        (
            "later",
            &b"\x63later"[..],
            "unknown version 99 (this build knows 1)",
        ),
        ("noise", b"\x01\xff\xff\xff", "checkpoint"),
    ] {
        let client = fresh(name, 2).await;
        write(&client, &client.names().checkpoints, b"0", value).await;
        let sink = KafkaSink::new(Arc::clone(&client));
        let place = format!("{}[0] at offset 0", client.names().checkpoints);
        refused(&sink, &[&*place, words]).await;
        assert_eq!(sink.open(P1, Epoch(7)).await.unwrap().checkpoint, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_schedule_state_stops_only_its_partition() {
    let client = fresh("states", 2).await;
    write(
        &client,
        &client.names().schedule_state,
        b"default/nightly",
        b"\x63later",
    )
    .await;
    let sink = KafkaSink::new(Arc::clone(&client));
    let place = format!("{}[0]", client.names().schedule_state);
    refused(
        &sink,
        &[&*place, "the record at offset 0", "unknown version 99"],
    )
    .await;
    assert_eq!(sink.open(P1, Epoch(7)).await.unwrap().schedule_states, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_clock_skew_is_fatal_and_reported() {
    // Nobody can set a test's clock: that it agrees by less than an hour less than nothing is as
    // untrue.
    let config = KafkaConfig {
        clock_skew_ms_max: -3_600_000,
        ..config("clock", 2).await
    };
    let client = Client::new(config).unwrap();
    client.apply_topics().await.unwrap();
    let sink = KafkaSink::new(client);
    let error = refused(
        &sink,
        &[
            "this machine's clock is",
            "the broker's",
            "set the clock right",
        ],
    )
    .await;
    assert!(error.to_string().contains("open partition 0"), "{error}");
    let commit = sink.commit(tick(Epoch(7), 1)).await.unwrap_err();
    assert_eq!(commit.class, ErrorClass::Fenced, "{commit}");
}

/// Before it owns anything a scheduler asks the brokers for the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_is_compared_before_anything_is_owned() {
    let client = fresh("clocks", 2).await;
    let clock = BrokerClock::new(client);
    clock.compare().await.unwrap();
    let since = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    for (ahead_ms, words) in [(600_000, "ahead of"), (-600_000, "behind")] {
        let error = clock
            .compare_by(move || since() + ahead_ms)
            .await
            .unwrap_err();
        assert_eq!(error.class, ErrorClass::Fatal, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    clock.compare().await.unwrap();
}

/// A clock that jumps between two ticks: the brokers' time of the checkpoint tells, before anything
/// can be seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_tick_of_a_clock_that_jumped_is_never_seen() {
    let client = fresh("jump", 2).await;
    let sink = KafkaSink::new(Arc::clone(&client));
    sink.open(P0, Epoch(1)).await.unwrap();
    let committed = sink.commit(tick(Epoch(1), 1)).await.unwrap();
    let stored_at = committed
        .taken_at
        .expect("the broker says when it took the checkpoint");
    let ahead = Tick {
        published_at: stored_at.plus_millis(3_600_000),
        ..tick(Epoch(1), 2)
    };
    let error = sink.commit(ahead).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        error.to_string().contains("ahead of the broker's"),
        "{error}"
    );
    let opened = sink.open(P0, Epoch(2)).await.unwrap();
    assert_eq!(opened.checkpoint.map(|checkpoint| checkpoint.tick), Some(1));
    sink.commit(tick(Epoch(2), 2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_opening_claims_one_epoch_and_follows_the_last_tick() {
    let client = fresh("claims", 2).await;
    let sink = KafkaSink::new(Arc::clone(&client));
    for epoch in 1..=3 {
        let opened = sink.open(P0, Epoch(epoch)).await.unwrap();
        assert_eq!(
            opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick),
            epoch - 1
        );
        sink.commit(tick(Epoch(epoch), epoch)).await.unwrap();
    }
    let topic = client.names().checkpoints.clone();
    let read = move || {
        let reader = RawReader::open_some(&client, &topic, |partition| partition == 0).unwrap();
        let mut claims = Vec::new();
        // The last tick's record is behind the last claim.
        let mut is_over = false;
        while !is_over {
            reader
                .poll(
                    std::time::Duration::from_millis(50),
                    100,
                    |record| match record.key {
                        Some(b"0/epoch") => claims.push(record.value.unwrap_or_default().to_vec()),
                        _ => is_over = claims.len() == 3,
                    },
                )
                .unwrap();
        }
        claims
    };
    assert_eq!(
        tokio::task::spawn_blocking(read).await.unwrap(),
        [b"1", b"2", b"3"]
    );
}
