//! Worker groups on a real broker: members that come and go, claims, backlogs, and what others
//! write into a topic.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minutehand_kafka::raw::{
    RawOutgoing, RawProducer, RawReader, create_topic, delete_topic, drop_before, forget_group,
};
use minutehand_kafka::{
    Client, KafkaHistory, KafkaLog, KafkaQueue, KafkaRulebook, KafkaSink, TopicDefinition,
};
use minutehand_model::{
    Checkpoint, Command, Epoch, Frontier, LastWord, LogOffset, Namespace, PartitionId, Place,
    Publication, Purge, QueueName, QueueRules, Task, TaskId, TaskKey, Tick, Timestamp, TopicName,
};
use minutehand_ports::{
    Claim, CommandLog, DeadLetter, Delivery, DeliveryId, ErrorClass, ExecutionQueue, ExecutionSink,
    History, Output, OutputRecord, QueueRulebook, Report, Settlement,
};
use support::fresh;

const P0: PartitionId = PartitionId::own(0);
const GROUP: &str = "workers";

fn mail() -> QueueName {
    QueueName::parse("mail").unwrap()
}

/// What another process would make of the same topics.
fn again(client: &Client) -> Arc<Client> {
    Client::new(client.config().clone()).unwrap()
}

fn key(id: &str) -> TaskKey {
    TaskKey::of("default", id)
}

fn encoded(id: &str) -> minutehand_model::TaskRecord {
    let due = Timestamp::from_millis(1_800_000_000_000);
    minutehand_record::task::record(&Task {
        payload: Bytes::from_static(b"hello"),
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
            mail(),
            due,
        )
    })
}

/// Publishes tasks named `<prefix>-<index>`, so many in each of some ticks.
async fn publish(client: &Arc<Client>, partition: PartitionId, prefix: &str, ticks: &[usize]) {
    let sink = KafkaSink::new(Arc::clone(client));
    let opened = sink.open(partition, Epoch(1)).await.unwrap();
    let last = opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick);
    let mut index = 0;
    for (number, count) in (last + 1..).zip(ticks) {
        let publications = (0..*count)
            .map(|offset| Publication {
                offset: LogOffset::at(offset as u64),
                task: encoded(&format!("{prefix}-{}", index + offset)),
            })
            .collect();
        index += count;
        let head = Place {
            due: Timestamp::from_millis(0),
            offset: LogOffset::at(number),
        };
        let tick = Tick {
            partition,
            checkpoint: Checkpoint {
                epoch: Epoch(1),
                tick: number,
                applied: LogOffset::START,
                frontier: Frontier {
                    head,
                    ..Frontier::START
                },
                replay_from: LogOffset::START,
                remembered_from: Timestamp::from_millis(0),
                ..Checkpoint::START
            },
            published_at: Timestamp::from_millis(1_700_000_000_001),
            publications,
            stops: Vec::new(),
            derived: Vec::new(),
            schedule_states: Vec::new(),
            set_aside: Vec::new(),
        };
        sink.commit(tick).await.unwrap();
    }
}

async fn drain(queue: &KafkaQueue, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.extend(
            queue
                .poll(&mail(), GROUP, count - deliveries.len())
                .await
                .unwrap(),
        );
    }
    deliveries
}

fn settled(deliveries: &[Delivery]) -> Vec<Settlement> {
    deliveries
        .iter()
        .map(|delivery| Settlement::bare(delivery.id))
        .collect()
}

fn claims(ids: &[DeliveryId]) -> Vec<Claim> {
    ids.iter().map(|id| Claim::bare(*id)).collect()
}

/// A worker: settles what it is given, and tells of it.
fn work(
    queue: &Arc<KafkaQueue>,
    seen: &tokio::sync::mpsc::UnboundedSender<TaskKey>,
) -> tokio::task::JoinHandle<()> {
    let (queue, seen) = (Arc::clone(queue), seen.clone());
    tokio::spawn(async move {
        // A queue that was closed gives no more.
        while let Ok(deliveries) = queue.poll(&mail(), GROUP, 20).await {
            for delivery in &deliveries {
                seen.send(delivery.key).ok();
            }
            while let Err(error) = queue.settle(&mail(), GROUP, settled(&deliveries)).await {
                assert_eq!(error.class, ErrorClass::Retry, "{error}");
                tokio::task::yield_now().await;
            }
        }
    })
}

/// Members come, go and are lost without a word; every execution runs, and in the end nothing
/// waits.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_members_come_and_go() {
    let client = fresh("members", 3).await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let mut members = Vec::new();
    let mut expected = BTreeSet::new();
    for round in 0..4_u32 {
        let queue = Arc::new(KafkaQueue::new(again(&client)));
        members.push((work(&queue, &sender), queue));
        for partition in 0..3 {
            let prefix = format!("r{round}-p{partition}");
            publish(&client, PartitionId::own(partition), &prefix, &[40, 1, 30]).await;
            expected.extend((0..71).map(|index| key(&format!("{prefix}-{index}"))));
        }
        if round == 2 {
            let (_, first) = members.remove(0);
            first.close().await;
        }
    }
    while !expected.is_empty() {
        expected.remove(&seen.recv().await.unwrap());
    }
    let asking = KafkaQueue::new(again(&client));
    loop {
        let depth = asking.depth(&mail(), GROUP).await.unwrap();
        if depth.waiting == 0 {
            assert_eq!(depth.settled, 4 * 3 * 71, "each was settled once");
            break;
        }
        tokio::task::yield_now().await;
    }
    for (_, queue) in members {
        queue.close().await;
    }
}

/// Of two members that claim the same execution, one may run it.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_moved_to_another_member_cannot_be_claimed() {
    let client = fresh("claims", 3).await;
    for partition in 0..3 {
        publish(
            &client,
            PartitionId::own(partition),
            &format!("p{partition}"),
            &[10],
        )
        .await;
    }
    let first = Arc::new(KafkaQueue::new(again(&client)));
    let in_hand = drain(&first, 30).await;
    // The second member gets some partitions, and is handed out what the first has in hand of them.
    let second = Arc::new(KafkaQueue::new(again(&client)));
    let moved = second.poll(&mail(), GROUP, 100).await.unwrap();
    assert!(!moved.is_empty());
    let ids: Vec<DeliveryId> = in_hand.iter().map(|delivery| delivery.id).collect();
    let claimed = first.claim(&mail(), GROUP, claims(&ids)).await.unwrap();
    let mut runs: BTreeMap<DeliveryId, u32> = BTreeMap::new();
    for id in claimed {
        *runs.entry(id).or_default() += 1;
    }
    let mut others = moved;
    while runs.len() < 30 {
        let ids: Vec<DeliveryId> = others.iter().map(|delivery| delivery.id).collect();
        for id in second.claim(&mail(), GROUP, claims(&ids)).await.unwrap() {
            *runs.entry(id).or_default() += 1;
        }
        if runs.len() < 30 {
            others = second.poll(&mail(), GROUP, 100).await.unwrap();
        }
    }
    assert!(runs.values().all(|runs| *runs == 1), "{runs:?}");
    assert!(
        first
            .claim(&mail(), GROUP, claims(&ids))
            .await
            .unwrap()
            .len()
            < 30
    );
    first.close().await;
    second.close().await;
}

/// Whoever is handed an execution later holds the greater token: within one process, after a
/// take-over, and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_grows_with_every_hand_out() {
    let client = fresh("tokens", 1).await;
    publish(&client, P0, "t", &[1]).await;
    let first = Arc::new(KafkaQueue::new(again(&client)));
    let delivery = drain(&first, 1).await.remove(0);
    let mut tokens = vec![delivery.token];
    first.let_go(&mail(), GROUP, vec![delivery.id]);
    tokens.push(drain(&first, 1).await[0].token);
    // The second member is given the only partition when the first leaves.
    let second = Arc::new(KafkaQueue::new(again(&client)));
    let taking_over = Arc::clone(&second);
    let take_over = tokio::spawn(async move { drain(&taking_over, 1).await.remove(0) });
    first.close().await;
    tokens.push(take_over.await.unwrap().token);
    second.close().await;
    for _ in 0..2 {
        let next = KafkaQueue::new(again(&client));
        tokens.push(drain(&next, 1).await[0].token);
        next.close().await;
    }
    assert!(
        tokens.windows(2).all(|pair| pair[0] < pair[1]),
        "{tokens:?}"
    );
}

/// Whoever was handed an execution before its present holder settles nothing, though it is in hand
/// here.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_settles_nothing() {
    let client = fresh("old-tokens", 1).await;
    publish(&client, P0, "t", &[1]).await;
    let first = KafkaQueue::new(again(&client));
    let old = drain(&first, 1).await.remove(0);
    first.close().await;
    let second = KafkaQueue::new(again(&client));
    let new = drain(&second, 1).await.remove(0);
    assert_eq!(old.id, new.id);
    let held = |delivery: &Delivery| Settlement {
        held_as: Some(delivery.token),
        ..Settlement::bare(delivery.id)
    };
    assert_eq!(
        second
            .settle(&mail(), GROUP, vec![held(&old)])
            .await
            .unwrap(),
        [old.id]
    );
    assert_eq!(
        second
            .settle(&mail(), GROUP, vec![held(&new)])
            .await
            .unwrap(),
        []
    );
    assert_eq!(second.depth(&mail(), GROUP).await.unwrap().waiting, 0);
    second.close().await;
}

/// A group whose places the brokers have forgotten does not run again what it may have claimed, and
/// says so; what it cannot have claimed it runs.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_claimed_is_told_when_places_are_gone() {
    let client = fresh("forgotten", 1).await;
    publish(&client, P0, "t", &[3]).await;
    let queue = KafkaQueue::new(again(&client));
    let ids: Vec<DeliveryId> = drain(&queue, 3)
        .await
        .iter()
        .map(|delivery| delivery.id)
        .collect();
    assert_eq!(
        queue
            .claim(&mail(), GROUP, claims(&ids[..2]))
            .await
            .unwrap(),
        ids[..2]
    );
    queue.close().await;
    publish(&client, P0, "u", &[2]).await;
    let group = client.names().consumer_group(&mail(), GROUP);
    forget_group(&client, &group).await.unwrap();
    // Nobody has seen to it when the process dies that is the first to find it.
    for _ in 0..2 {
        let queue = KafkaQueue::new(again(&client));
        let doubts: Vec<bool> = drain(&queue, 5)
            .await
            .iter()
            .map(|one| one.may_have_run)
            .collect();
        assert_eq!(doubts, [true, true, false, false, false]);
        queue.close().await;
    }
    let queue = KafkaQueue::new(again(&client));
    let deliveries = drain(&queue, 5).await;
    queue
        .settle(&mail(), GROUP, settled(&deliveries))
        .await
        .unwrap();
    queue.close().await;
    // A group that has never claimed anything has nothing to doubt.
    forget_group(&client, &group).await.unwrap();
    let other = KafkaQueue::new(again(&client));
    let deliveries = other.poll(&mail(), "others", 5).await.unwrap();
    assert!(deliveries.iter().all(|delivery| !delivery.may_have_run));
    other.close().await;
}

/// What the brokers have dropped is counted once, by whoever comes to read it; what was settled of
/// it is not counted.
#[tokio::test(flavor = "multi_thread")]
async fn what_expired_unread_is_told_once() {
    let client = fresh("expired", 1).await;
    publish(&client, P0, "t", &[6]).await;
    let queue = KafkaQueue::new(again(&client));
    let deliveries = drain(&queue, 6).await;
    queue
        .settle(&mail(), GROUP, settled(&deliveries[1..2]))
        .await
        .unwrap();
    assert_eq!(queue.expired(&mail()), 0);
    queue.close().await;
    drop_before(&client, &client.names().executions(&mail()), 0, 4)
        .await
        .unwrap();
    for lost in [3, 0] {
        let queue = KafkaQueue::new(again(&client));
        let left: Vec<TaskKey> = drain(&queue, 2)
            .await
            .iter()
            .map(|delivery| delivery.key)
            .collect();
        assert_eq!(
            (left, queue.expired(&mail())),
            (vec![key("t-4"), key("t-5")], lost)
        );
        queue.close().await;
    }
}

/// A member that is gone without a word: the next one tells what it had claimed, and not what
/// lives.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_member_tells_what_a_dead_one_had_claimed() {
    let client = fresh("lost", 2).await;
    for partition in 0..2 {
        publish(
            &client,
            PartitionId::own(partition),
            &format!("p{partition}"),
            &[1],
        )
        .await;
    }
    let first = Arc::new(KafkaQueue::new(again(&client)));
    let deliveries = drain(&first, 2).await;
    let claim = |delivery: &Delivery| Claim {
        id: delivery.id,
        last_word: Some(LastWord {
            commands: vec![(
                delivery.id.partition,
                Bytes::from(format!("lost {}", delivery.id.partition)),
            )],
            outcome: None,
        }),
    };
    let claimed = first
        .claim(&mail(), GROUP, deliveries.iter().map(claim).collect())
        .await
        .unwrap();
    assert_eq!(claimed.len(), 2);
    // The second lives beside the first, with one of its partitions: the runs go on.
    let second = Arc::new(KafkaQueue::new(again(&client)));
    let waiting = Arc::clone(&second);
    let poll = tokio::spawn(async move { waiting.poll(&mail(), GROUP, 1).await });
    for partition in 0..2 {
        publish(
            &client,
            PartitionId::own(partition),
            &format!("q{partition}"),
            &[1],
        )
        .await;
    }
    assert_eq!(poll.await.unwrap().unwrap().len(), 1, "it has a partition");
    let told = |log: Arc<KafkaLog>, partition: u32| async move {
        let records = log
            .read(PartitionId::own(partition), LogOffset::START, 1_000)
            .await
            .unwrap()
            .records;
        records
            .into_iter()
            .map(|record| record.payload)
            .collect::<Vec<_>>()
    };
    let owner = KafkaSink::new(Arc::clone(&client));
    let log = Arc::new(KafkaLog::new(Arc::clone(&client)));
    for partition in 0..2 {
        owner
            .open(PartitionId::own(partition), Epoch(2))
            .await
            .unwrap();
        assert!(told(Arc::clone(&log), partition).await.is_empty());
    }
    first.close().await;
    for partition in 0..2 {
        loop {
            let told = told(Arc::clone(&log), partition).await;
            if !told.is_empty() {
                assert_eq!(told, [format!("lost {partition}")]);
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    second.close().await;
}

/// One execution that takes for ever holds up nothing, and alone comes again.
#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_does_not_end_holds_up_no_other() {
    let client = fresh("stuck", 3).await;
    publish(&client, P0, "t", &[1, 1_500, 1_500]).await;
    let queue = KafkaQueue::new(again(&client));
    let mut stuck = None;
    let mut left = 3_001;
    while left > 0 {
        let mut deliveries = queue.poll(&mail(), GROUP, 500).await.unwrap();
        left -= deliveries.len();
        if stuck.is_none() {
            stuck = Some(deliveries.remove(0));
        }
        queue
            .settle(&mail(), GROUP, settled(&deliveries))
            .await
            .unwrap();
    }
    let stuck = stuck.unwrap();
    assert_eq!(stuck.key, key("t-0"));
    let depth = queue.depth(&mail(), GROUP).await.unwrap();
    assert_eq!(
        (depth.waiting, depth.in_progress, depth.settled),
        (1, 1, 3_000)
    );
    queue.close().await;
    let queue = KafkaQueue::new(again(&client));
    let again = drain(&queue, 1).await.remove(0);
    assert!(again.token > stuck.token);
    assert_eq!(
        Delivery {
            token: stuck.token,
            ..again
        },
        stuck
    );
    queue
        .settle(&mail(), GROUP, settled(&[stuck]))
        .await
        .unwrap();
    let depth = queue.depth(&mail(), GROUP).await.unwrap();
    assert_eq!(
        (depth.waiting, depth.in_progress, depth.settled),
        (0, 0, 3_001)
    );
    publish(&client, P0, "u", &[1]).await;
    assert_eq!(
        drain(&queue, 1).await[0].key,
        key("u-0"),
        "nothing else comes again"
    );
    queue.close().await;
}

/// A backlog is never told as nothing, and nothing never as a backlog.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_is_told_by_its_offsets() {
    let client = fresh("backlog", 3).await;
    publish(&client, P0, "t", &[2_500, 500, 1]).await;
    let queue = KafkaQueue::new(again(&client));
    let waiting = queue.depth(&mail(), GROUP).await.unwrap().waiting;
    assert!((3_001..=3_004).contains(&waiting), "{waiting}");
    let mut left = 3_001;
    while left > 0 {
        let deliveries = queue.poll(&mail(), GROUP, 1_000).await.unwrap();
        queue
            .settle(&mail(), GROUP, settled(&deliveries))
            .await
            .unwrap();
        left -= deliveries.len();
        let waiting = queue.depth(&mail(), GROUP).await.unwrap().waiting;
        assert!(
            waiting >= left as u64 && (left > 0 || waiting == 0),
            "{waiting} for {left}"
        );
    }
    queue.close().await;
}

/// What the scheduler did not publish is handed out as it is, so that a worker can set it aside.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_somebody_else_is_delivered_and_can_be_settled() {
    let client = fresh("foreign", 3).await;
    publish(&client, P0, "t", &[1]).await;
    let topic = client.names().executions(&mail());
    let writing = Arc::clone(&client);
    tokio::task::spawn_blocking(move || {
        let producer = RawProducer::open(&writing, None).unwrap();
        let outgoing = RawOutgoing {
            partition: Some(0),
            value: Some(&b"no task"[..]),
            ..RawOutgoing::default()
        };
        producer.send(&topic, outgoing).unwrap();
        producer.flush().unwrap();
    })
    .await
    .unwrap();
    let queue = KafkaQueue::new(again(&client));
    let deliveries = drain(&queue, 2).await;
    assert_eq!(deliveries[1].encoded, "no task");
    assert!(minutehand_record::task::decode(&deliveries[1].encoded).is_err());
    queue
        .settle(&mail(), GROUP, settled(&deliveries))
        .await
        .unwrap();
    assert_eq!(queue.depth(&mail(), GROUP).await.unwrap().waiting, 0);
    queue.close().await;
}

/// The end of a run that was claimed before: its completion and its letter are kept without a
/// place.
#[tokio::test(flavor = "multi_thread")]
async fn reports_are_kept() {
    let client = fresh("reports", 3).await;
    publish(&client, P0, "t", &[1]).await;
    let queue = KafkaQueue::new(again(&client));
    let delivery = drain(&queue, 1).await.remove(0);
    assert_eq!(
        queue
            .claim(&mail(), GROUP, claims(&[delivery.id]))
            .await
            .unwrap(),
        [delivery.id]
    );
    let letter = letter("t-0");
    let report = Report {
        id: delivery.id,
        commands: vec![(PartitionId::own(1), Bytes::from_static(b"completion"))],
        dead_letter: Some(letter.clone()),
        outcome: None,
    };
    queue
        .report(&mail(), GROUP, vec![report.clone()])
        .await
        .unwrap();
    // What follows reaches the log by way of the partition's owner.
    let owner = KafkaSink::new(Arc::clone(&client));
    owner.open(PartitionId::own(1), Epoch(1)).await.unwrap();
    let nowhere = Report {
        commands: vec![(PartitionId::own(9), Bytes::new())],
        ..report
    };
    assert_eq!(
        queue
            .report(&mail(), GROUP, vec![nowhere])
            .await
            .unwrap_err()
            .class,
        ErrorClass::Fatal
    );
    let history = KafkaHistory::new(again(&client));
    let log = KafkaLog::new(Arc::clone(&client));
    loop {
        let letters = history.dead_letters(&mail(), 0, 10).await.unwrap().letters;
        let records = log
            .read(PartitionId::own(1), LogOffset::START, 1_000)
            .await
            .unwrap()
            .records;
        if !letters.is_empty() && !records.is_empty() {
            assert_eq!((letters.len(), &letters[0].1), (1, &letter));
            assert_eq!(
                (records.len(), &records[0].payload[..]),
                (1, &b"completion"[..])
            );
            break;
        }
        tokio::task::yield_now().await;
    }
    queue.close().await;
}

/// Two groups that know nothing of each other retry one task at one millisecond, and the partition
/// changes hands between: both retries reach the log, each at a time of its own.
#[tokio::test(flavor = "multi_thread")]
async fn two_retries_at_one_millisecond_stay_two() {
    let client = fresh("retries", 1).await;
    publish(&client, P0, "t", &[1]).await;
    let retry = minutehand_record::command::encode(&Command::Create(encoded("t-0")));
    let log = KafkaLog::new(Arc::clone(&client));
    let (mut dues, mut owners) = (Vec::new(), Vec::new());
    for (epoch, group) in [(2, "some"), (3, "others")] {
        let owner = KafkaSink::new(again(&client));
        owner.open(P0, Epoch(epoch)).await.unwrap();
        owners.push(owner);
        let queue = KafkaQueue::new(again(&client));
        let id = queue.poll(&mail(), group, 1).await.unwrap()[0].id;
        let commands = vec![(P0, retry.clone())];
        queue
            .settle(
                &mail(),
                group,
                vec![Settlement {
                    commands,
                    ..Settlement::bare(id)
                }],
            )
            .await
            .unwrap();
        queue.close().await;
        // Here before the next owner begins.
        while dues.len() < owners.len() {
            let records = log.read(P0, LogOffset::START, 1_000).await.unwrap().records;
            let due = |payload: &Bytes| match minutehand_record::command::decode(payload.clone()) {
                Ok(Command::Create(record)) => record.due.as_millis(),
                other => panic!("{other:?}"),
            };
            dues = records.iter().map(|record| due(&record.payload)).collect();
        }
    }
    assert_eq!(
        dues,
        [
            encoded("t-0").due.as_millis(),
            encoded("t-0").due.as_millis() + 1
        ]
    );
}

fn letter(id: &str) -> DeadLetter {
    let task = encoded(id);
    DeadLetter {
        queue: mail(),
        partition: P0,
        key: task.key,
        at: Timestamp::from_millis(1_800_000_000_009),
        attempts: 3,
        reason: "it failed".to_owned(),
        encoded: task.encoded,
    }
}

/// Of many processes that replay the same letters, one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_happens_once_over_all_processes() {
    let client = fresh("replays", 3).await;
    let queue = KafkaQueue::new(again(&client));
    let reports = (0..3).map(|index| Report {
        id: DeliveryId {
            partition: P0,
            sequence: index,
        },
        commands: Vec::new(),
        dead_letter: Some(letter(&format!("t-{index}"))),
        outcome: None,
    });
    publish(&client, P0, "t", &[1]).await;
    queue
        .report(&mail(), GROUP, reports.collect())
        .await
        .unwrap();
    let history = KafkaHistory::new(again(&client));
    let letters = loop {
        let page = history.dead_letters(&mail(), 0, 10).await.unwrap();
        if page.letters.len() == 3 {
            break page.letters;
        }
        tokio::task::yield_now().await;
    };
    let numbers: Vec<u64> = letters.iter().map(|(number, _)| *number).collect();
    let replays: Vec<_> = (0..5_u8)
        .map(|process| {
            let (history, numbers) = (KafkaHistory::new(again(&client)), numbers.clone());
            tokio::spawn(async move {
                let commands = vec![(P0, Bytes::from(vec![process]))];
                loop {
                    match history
                        .remove_dead_letters(&mail(), numbers.clone(), commands.clone())
                        .await
                    {
                        Ok(removed) => return removed,
                        Err(error) => assert_eq!(error.class, ErrorClass::Retry, "{error}"),
                    }
                }
            })
        })
        .collect();
    let mut removed = Vec::new();
    for replay in replays {
        removed.push(replay.await.unwrap());
    }
    removed.sort_unstable();
    assert_eq!(removed, [0, 0, 0, 0, 3]);
    let owner = KafkaSink::new(Arc::clone(&client));
    owner.open(P0, Epoch(1)).await.unwrap();
    let log = KafkaLog::new(Arc::clone(&client));
    let mut records = Vec::new();
    while records.is_empty() {
        records = log.read(P0, LogOffset::START, 1_000).await.unwrap().records;
    }
    assert_eq!(records.len(), 1);
    queue.close().await;
}

/// A queue that is closed gives nothing more, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_queue_refuses() {
    let client = fresh("closed", 3).await;
    let queue = Arc::new(KafkaQueue::new(client));
    let polling = Arc::clone(&queue);
    let poll = tokio::spawn(async move { polling.poll(&mail(), GROUP, 1).await });
    tokio::time::timeout(Duration::from_secs(60), queue.close())
        .await
        .unwrap();
    assert_eq!(poll.await.unwrap().unwrap_err().class, ErrorClass::Fatal);
    assert_eq!(
        queue.poll(&mail(), GROUP, 1).await.unwrap_err().class,
        ErrorClass::Fatal
    );
}

async fn said(book: &KafkaRulebook, rules: QueueRules) {
    let told = book.change(&mail(), Box::new(|_| Some(rules))).await;
    told.unwrap();
}

/// Every process hears what is said of queues, whenever it begins to listen.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_queues_is_known_to_every_process() {
    let client = fresh("rules", 1).await;
    let (first, second) = (
        KafkaRulebook::new(Arc::clone(&client)),
        KafkaRulebook::new(again(&client)),
    );
    let mut heard = second.rules();
    let limited = |per_second| QueueRules {
        per_second_max: Some(per_second),
        ..QueueRules::default()
    };
    let long = Duration::from_secs(60);
    for rules in [limited(5), limited(6), QueueRules::default(), limited(7)] {
        said(&first, rules.clone()).await;
        let here = first.rules().borrow().clone().unwrap();
        assert_eq!(here.get(&mail()).cloned().unwrap_or_default(), rules);
        let is_heard = |all: &Option<minutehand_ports::RulesOfQueues>| {
            let all = all.as_ref();
            all.is_some_and(|all| all.get(&mail()).cloned().unwrap_or_default() == rules)
        };
        let heard = tokio::time::timeout(long, heard.wait_for(is_heard)).await;
        heard.unwrap().unwrap();
    }
    let third = KafkaRulebook::new(again(&client));
    let mut late = third.rules();
    let known = tokio::time::timeout(long, late.wait_for(Option::is_some)).await;
    let known = known.unwrap().unwrap().clone().unwrap();
    assert_eq!(*known, [(mail(), limited(7))].into());
}

/// Two processes say something of one queue, before either has heard the other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_part_leaves_the_others_alone() {
    let client = fresh("parts", 1).await;
    let books = [
        KafkaRulebook::new(Arc::clone(&client)),
        KafkaRulebook::new(again(&client)),
    ];
    for round in 1..=20 {
        let limit = move |rules: &QueueRules| {
            Some(QueueRules {
                per_second_max: Some(round),
                ..rules.clone()
            })
        };
        let purge = move |rules: &QueueRules| {
            let through = Timestamp::from_millis(i64::from(round));
            let by = "ops".to_owned();
            Some(QueueRules {
                purge: Some(Purge { through, by }),
                ..rules.clone()
            })
        };
        let mail = mail();
        let (limited, purged) = tokio::join!(
            books[0].change(&mail, Box::new(limit)),
            books[1].change(&mail, Box::new(purge)),
        );
        limited.and(purged).unwrap();
    }
    let third = KafkaRulebook::new(again(&client));
    let mut known = third.rules();
    let known = known.wait_for(Option::is_some).await;
    let known = known.unwrap().clone();
    let rules = known.unwrap()[&mail()].clone();
    assert_eq!(rules.per_second_max, Some(20));
    assert_eq!(rules.purge.unwrap().through.as_millis(), 20);
}

/// The age of what waits, in each partition and of each group.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_is_that_of_what_is_not_settled() {
    let client = fresh("oldest", 1).await;
    let queue = KafkaQueue::new(Arc::clone(&client));
    assert_eq!(queue.oldest_waiting(&mail(), GROUP).await.unwrap(), None);
    publish(&client, P0, "t", &[1]).await;
    // The end of the tick's transaction may come to the partition a little later.
    let first = loop {
        match queue.oldest_waiting(&mail(), GROUP).await.unwrap() {
            None => tokio::task::yield_now().await,
            some => break some,
        }
    };
    publish(&client, P0, "u", &[1]).await;
    assert_eq!(queue.oldest_waiting(&mail(), GROUP).await.unwrap(), first);
    assert_eq!(queue.share(&mail(), GROUP), 0.0);
    let settled = drain(&queue, 2).await;
    assert_eq!(queue.share(&mail(), GROUP), 1.0);
    let settled = settled.into_iter().map(|one| Settlement::bare(one.id));
    queue
        .settle(&mail(), GROUP, settled.collect())
        .await
        .unwrap();
    assert_eq!(queue.oldest_waiting(&mail(), GROUP).await.unwrap(), None);
    queue.close().await;
}

/// A topic that others have made, with one partition.
async fn topic_of_others(client: &Client, name: &str) -> String {
    let name = format!("others-{}-{name}", client.config().topic_prefix);
    let definition = TopicDefinition {
        name: name.clone(),
        partitions: 1,
        settings: Vec::new(),
    };
    create_topic(client, &definition).await.unwrap();
    while !client.has_topic(&name).await {
        tokio::task::yield_now().await;
    }
    name
}

/// What settles a delivery and leaves a record.
fn leaving(delivery: &Delivery, topic: &str, value: &'static str) -> Settlement {
    let mut output = Output::default();
    let record = OutputRecord {
        topic: TopicName::parse(topic).unwrap(),
        key: Some(Bytes::from_static(b"order-7")),
        value: Bytes::from_static(value.as_bytes()),
        headers: vec![("made-by".to_owned(), Bytes::from_static(b"a run"))],
    };
    output.push(record).unwrap();
    Settlement {
        held_as: Some(delivery.token),
        output,
        ..Settlement::bare(delivery.id)
    }
}

/// The committed values of a topic, up to a record that is sent behind them now.
async fn values(client: &Arc<Client>, topic: &str) -> Vec<String> {
    let (client, topic) = (Arc::clone(client), topic.to_owned());
    let reading = move || {
        let last = RawOutgoing {
            partition: Some(0),
            value: Some(b"last"),
            ..RawOutgoing::default()
        };
        let producer = RawProducer::open(&client, None).unwrap();
        producer.send(&topic, last).unwrap();
        producer.flush().unwrap();
        let reader = RawReader::open(&client, &topic).unwrap();
        let (mut values, mut is_over) = (Vec::new(), false);
        while !is_over {
            let each = |record: minutehand_kafka::raw::RawIncoming<'_>| match record
                .value
                .unwrap_or_default()
            {
                b"last" => is_over = true,
                value => {
                    assert_eq!(record.key, Some(&b"order-7"[..]));
                    assert_eq!(record.header("made-by"), Some(&b"a run"[..]));
                    values.push(String::from_utf8_lossy(value).into_owned());
                }
            };
            reader.poll(Duration::from_millis(20), 100, each).unwrap();
        }
        values
    };
    tokio::task::spawn_blocking(reading).await.unwrap()
}

/// However often an execution is handed out, run and settled: its records are there once, by
/// whoever holds it last.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_is_committed_with_its_settlement() {
    let client = fresh("leaves", 1).await;
    let topic = topic_of_others(&client, "results").await;
    publish(&client, P0, "t", &[2]).await;
    let first = KafkaQueue::new(again(&client));
    let old = drain(&first, 2).await;
    let one = leaving(&old[0], &topic, "one");
    assert_eq!(first.settle(&mail(), GROUP, vec![one]).await.unwrap(), []);
    first.close().await;
    let second = KafkaQueue::new(again(&client));
    let new = drain(&second, 1).await.remove(0);
    assert_eq!(new.id, old[1].id, "the first one is settled");
    let zombie = leaving(&old[1], &topic, "zombie");
    let lost = second.settle(&mail(), GROUP, vec![zombie]).await.unwrap();
    assert_eq!(lost, [old[1].id]);
    for _ in 0..2 {
        let two = leaving(&new, &topic, "two");
        assert_eq!(second.settle(&mail(), GROUP, vec![two]).await.unwrap(), []);
    }
    assert_eq!(values(&client, &topic).await, ["one", "two"]);
    second.close().await;
}

/// What cannot be written settles nothing, and says which topic.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_runs_cannot_write_to_is_refused_for_good() {
    let client = fresh("leaves-not", 1).await;
    let topic = topic_of_others(&client, "gone").await;
    publish(&client, P0, "t", &[1]).await;
    let queue = KafkaQueue::new(again(&client));
    let delivery = drain(&queue, 1).await.remove(0);
    delete_topic(&client, &topic).await.unwrap();
    for topic in [
        topic.as_str(),
        &client.names().commands,
        &client.names().executions(&mail()),
        "__consumer_offsets",
    ] {
        let settlement = leaving(&delivery, topic, "forged");
        let refused = queue.settle(&mail(), GROUP, vec![settlement]).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.class, ErrorClass::Fatal, "{refused}");
        assert!(refused.to_string().contains(topic), "{refused}");
    }
    assert_eq!(queue.depth(&mail(), GROUP).await.unwrap().waiting, 1);
    queue.close().await;
}
