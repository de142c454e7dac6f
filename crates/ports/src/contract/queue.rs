//! The execution queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{
    DeliveryToken, Epoch, LastWord, LogOffset, PartitionId, StopRequest, Tick, TopicName,
};

use super::samples::{
    MINUTE, P0, P1, at, command, continued, dead_letter, done, drain, finds_nothing, key, keys_of,
    named, outcome, owned, pause, payloads, publish, queue, read_log, task_record, tick,
    watched_end,
};
use super::{Harness, Stores, refused};
use crate::{
    Claim, Delivery, DeliveryId, ErrorClass, Output, OutputRecord, Report, Settlement, Stop,
};

async fn settle(stores: &Stores, group: &str, settlements: Vec<Settlement>) {
    stores
        .queue
        .settle(&queue("mail"), group, settlements)
        .await
        .unwrap();
}

/// A partition's publications come in their order, each with what its tick said.
pub async fn deliveries_come_in_order_and_as_published(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(6)).await.unwrap();
    let task = |id: &str| task_record(id, "mail", at(MINUTE));
    stores
        .sink
        .commit(tick(P0, Epoch(6), 1, vec![task("t-0"), task("t-1")]))
        .await
        .unwrap();
    stores
        .sink
        .commit(tick(P0, Epoch(6), 2, vec![task("t-2")]))
        .await
        .unwrap();
    let deliveries = drain(&stores, "mail", "workers", 3).await;
    assert_eq!(keys_of(&deliveries), named("t", 0..3));
    assert!(deliveries.windows(2).all(|pair| pair[0].id < pair[1].id));
    let second = &deliveries[1];
    assert_eq!(
        (second.id.partition, second.epoch, second.offset),
        (P0, Epoch(6), LogOffset::at(101))
    );
    assert_eq!(
        (second.published_at, second.due),
        (at(MINUTE + 3), at(MINUTE))
    );
    assert_eq!(second.encoded, task("t-1").encoded);
}

/// A poll of an empty queue answers when something is published.
pub async fn a_poll_waits_for_a_publication(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert!(finds_nothing(&stores, "mail", "workers").await);
    let consumer = Arc::clone(&stores.queue);
    let poll =
        tokio::spawn(async move { consumer.poll(&queue("mail"), "workers", 10).await.unwrap() });
    publish(&stores, P0, "mail", "t", 1).await;
    assert_eq!(keys_of(&poll.await.unwrap()), named("t", 0..1));
}

/// At most as many as asked for; the others come next.
pub async fn a_poll_takes_no_more_than_it_asked_for(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 7).await;
    let mut seen = Vec::new();
    while seen.len() < 7 {
        let some = stores
            .queue
            .poll(&queue("mail"), "workers", 3)
            .await
            .unwrap();
        assert!((1..=3).contains(&some.len()));
        seen.extend(keys_of(&some));
    }
    assert_eq!(seen, named("t", 0..7));
}

/// Within a process each delivery is handed out once to a group.
pub async fn what_was_handed_out_is_not_handed_out_again(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 5).await;
    drain(&stores, "mail", "workers", 5).await;
    assert!(finds_nothing(&stores, "mail", "workers").await);
    publish(&stores, P0, "mail", "u", 1).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 1).await),
        [key("u-0")]
    );
}

/// What was not settled when the process ended is handed out again, and only that.
pub async fn unsettled_deliveries_come_again_after_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 8).await;
    let deliveries = drain(&stores, "mail", "workers", 8).await;
    let settled = [0, 1, 4, 6].map(|index| done(deliveries[index].id));
    settle(&stores, "workers", settled.to_vec()).await;
    let stores = harness.reopen(stores).await;
    let again = drain(&stores, "mail", "workers", 4).await;
    assert_eq!(
        keys_of(&again),
        [key("t-2"), key("t-3"), key("t-5"), key("t-7")]
    );
    assert_eq!(
        without_token(&again[0]),
        without_token(&deliveries[2]),
        "the same delivery, under the same id"
    );
    settle(
        &stores,
        "workers",
        again.iter().map(|delivery| done(delivery.id)).collect(),
    )
    .await;
    let stores = harness.reopen(stores).await;
    assert!(finds_nothing(&stores, "mail", "workers").await);
}

/// Each group gets everything and settles for itself.
pub async fn groups_are_independent(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert!(finds_nothing(&stores, "mail", "first").await);
    assert!(finds_nothing(&stores, "mail", "second").await);
    publish(&stores, P0, "mail", "t", 3).await;
    let first = drain(&stores, "mail", "first", 3).await;
    settle(
        &stores,
        "first",
        first.iter().map(|delivery| done(delivery.id)).collect(),
    )
    .await;
    let stores = harness.reopen(stores).await;
    assert!(finds_nothing(&stores, "mail", "first").await);
    let second = drain(&stores, "mail", "second", 3).await;
    let compared =
        |deliveries: &[Delivery]| deliveries.iter().map(without_token).collect::<Vec<_>>();
    assert_eq!(compared(&second), compared(&first));
}

/// What one group goes on with the others pass over: they are not handed it, and nothing of it waits
/// for them.
pub async fn what_a_group_goes_on_with_is_that_groups_alone(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert!(finds_nothing(&stores, "mail", "first").await);
    assert!(finds_nothing(&stores, "mail", "second").await);
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    let tasks = vec![
        task_record("t-0", "mail", at(MINUTE)),
        continued("r-0", "first"),
        task_record("t-1", "mail", at(MINUTE)),
        continued("r-1", "first"),
    ];
    let published = tick(P0, Epoch(1), 1, tasks);
    stores.sink.commit(published).await.unwrap();
    let second = drain(&stores, "mail", "second", 2).await;
    assert_eq!(keys_of(&second), named("t", 0..2));
    let ends = second.iter().map(|delivery| done(delivery.id)).collect();
    settle(&stores, "second", ends).await;
    assert!(finds_nothing(&stores, "mail", "second").await);
    let mail = queue("mail");
    let depth = || stores.queue.depth(&mail, "second");
    while depth().await.unwrap().waiting > 0 {
        pause().await;
    }
    assert_eq!(depth().await.unwrap().settled, 2, "the rest was no work");
    let stores = harness.reopen(stores).await;
    assert!(finds_nothing(&stores, "mail", "second").await);
    let first = drain(&stores, "mail", "first", 4).await;
    assert_eq!(
        keys_of(&first),
        [key("t-0"), key("r-0"), key("t-1"), key("r-1")]
    );
}

/// A delivery without what is another at every hand-out.
fn without_token(delivery: &Delivery) -> Delivery {
    Delivery {
        token: DeliveryToken::default(),
        ..delivery.clone()
    }
}

/// What was published before a group's first poll is not lost to it, when nobody has consumed it.
pub async fn a_new_group_begins_with_the_oldest_kept(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 4).await;
    let stores = harness.reopen(stores).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "late", 4).await),
        named("t", 0..4)
    );
}

/// Several pollers of one group divide the work.
pub async fn pollers_of_a_group_share_without_overlap(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let pollers: Vec<_> = (0..4)
        .map(|_| {
            let (consumer, sender) = (Arc::clone(&stores.queue), sender.clone());
            tokio::spawn(async move {
                while let Ok(deliveries) = consumer.poll(&queue("mail"), "workers", 3).await {
                    deliveries
                        .into_iter()
                        .for_each(|delivery| sender.send(delivery).unwrap());
                }
            })
        })
        .collect();
    for round in 0..5 {
        publish(
            &stores,
            PartitionId::own(round % 3),
            "mail",
            &format!("t{round}"),
            20,
        )
        .await;
    }
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let delivery = receiver.recv().await.unwrap();
        assert!(seen.insert(delivery.id), "{:?} twice", delivery.id);
    }
    for poller in pollers {
        poller.abort();
        drop(poller.await);
    }
    assert!(
        receiver.try_recv().is_err(),
        "nothing beyond what was published"
    );
}

/// A settlement with everything.
fn full_settlement(id: DeliveryId) -> Settlement {
    Settlement {
        id,
        held_as: None,
        commands: vec![
            (P1, command("retry")),
            (P0, command("completion")),
            (P1, command("second")),
        ],
        dead_letter: Some(dead_letter("dead", "mail")),
        outcome: Some((key("t-0"), outcome(key("t-0"), 1))),
        output: Output::default(),
    }
}

/// What settlements leave behind: in the logs of two partitions, among the dead letters and in the
/// history.
async fn traces(stores: &Stores) -> [usize; 4] {
    [
        read_log(stores, P0, LogOffset::START).await.len(),
        read_log(stores, P1, LogOffset::START).await.len(),
        stores
            .history
            .dead_letters(&queue("mail"), 0, 10)
            .await
            .unwrap()
            .letters
            .len(),
        stores.history.outcomes(key("t-0")).await.unwrap().len(),
    ]
}

/// Waits until one [`full_settlement`] can be seen; there must be no more of it.
async fn await_traces_of_one(stores: &Stores) {
    let one = [1, 2, 1, 1];
    owned(stores).await;
    loop {
        let traces = traces(stores).await;
        assert!(
            traces.iter().zip(one).all(|(seen, one)| *seen <= one),
            "{traces:?}"
        );
        if traces == one {
            return;
        }
        pause().await;
    }
}

/// Commands, dead letter and outcome come with the settlement, and are durable with it.
pub async fn a_settlement_is_atomic_in_all_its_parts(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 1).await;
    let delivery = drain(&stores, "mail", "workers", 1).await.remove(0);
    settle(&stores, "workers", vec![full_settlement(delivery.id)]).await;
    await_traces_of_one(&stores).await;
    assert!(watched_end(&stores, P1).await >= LogOffset::at(2));
    let stores = harness.reopen(stores).await;
    await_traces_of_one(&stores).await;
    assert_eq!(
        payloads(&read_log(&stores, P1, LogOffset::START).await),
        [command("retry"), command("second")]
    );
    let letters = stores
        .history
        .dead_letters(&queue("mail"), 0, 10)
        .await
        .unwrap()
        .letters;
    assert_eq!(letters[0].1, dead_letter("dead", "mail"));
    assert_eq!(
        stores.history.outcomes(key("t-0")).await.unwrap(),
        [outcome(key("t-0"), 1)]
    );
    assert!(finds_nothing(&stores, "mail", "workers").await);
}

/// Once and for all: a repetition appends nothing, in the same call, a later one, or after a
/// restart.
pub async fn settling_again_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 3).await;
    let deliveries = drain(&stores, "mail", "workers", 3).await;
    let settlement = full_settlement(deliveries[1].id);
    settle(
        &stores,
        "workers",
        vec![settlement.clone(), settlement.clone()],
    )
    .await;
    settle(&stores, "workers", vec![settlement.clone()]).await;
    let stores = harness.reopen(stores).await;
    settle(&stores, "workers", vec![settlement]).await;
    await_traces_of_one(&stores).await;
    assert_eq!(
        stores
            .queue
            .depth(&queue("mail"), "workers")
            .await
            .unwrap()
            .settled,
        1
    );
}

fn output_to(topic: &str) -> Output {
    let mut output = Output::default();
    let record = OutputRecord {
        topic: TopicName::parse(topic).unwrap(),
        key: None,
        value: Bytes::from_static(b"a result"),
        headers: Vec::new(),
    };
    output.push(record).unwrap();
    output
}

/// When one settlement of a call cannot be, none is.
pub async fn a_settlement_that_is_refused_has_no_effect(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 2).await;
    let deliveries = drain(&stores, "mail", "workers", 2).await;
    let nowhere = DeliveryId {
        partition: P0,
        sequence: deliveries[1].id.sequence + 1_000,
    };
    let good = full_settlement(deliveries[0].id);
    let attempts = [
        ("workers", vec![good.clone(), done(nowhere)]),
        ("nobody", vec![good.clone()]),
        (
            "workers",
            vec![Settlement {
                commands: vec![(PartitionId::own(99), command("x"))],
                ..good.clone()
            }],
        ),
        (
            "workers",
            vec![Settlement {
                output: output_to("no-such-topic"),
                ..good.clone()
            }],
        ),
    ];
    for (group, settlements) in attempts {
        let refusal = stores
            .queue
            .settle(&queue("mail"), group, settlements)
            .await;
        assert_eq!(refused(refusal), ErrorClass::Fatal);
    }
    assert_eq!(traces(&stores).await, [0; 4]);
    settle(&stores, "workers", vec![good]).await;
    await_traces_of_one(&stores).await;
}

/// However settlements and restarts are mixed, what was settled stays settled and the rest comes
/// again.
pub async fn settlements_survive_a_restart(harness: &dyn Harness) {
    let mut stores = harness.fresh().await;
    for round in 0..6 {
        publish(&stores, P0, "mail", &format!("t{round}"), 10).await;
    }
    let (mut left, mut round) = (60_usize, 0_usize);
    while left > 0 {
        let deliveries = drain(&stores, "mail", "workers", left).await;
        let some: Vec<Settlement> = deliveries
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 3 != round % 3 || left < 4)
            .map(|(_, delivery)| done(delivery.id))
            .collect();
        left -= some.len();
        settle(&stores, "workers", some).await;
        stores = harness.reopen(stores).await;
        round += 1;
    }
    assert!(finds_nothing(&stores, "mail", "workers").await);
    publish(&stores, P0, "mail", "after", 1).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 1).await),
        [key("after-0")]
    );
}

/// What somebody in the process works on no more comes again, with a greater token; what is settled
/// does not.
pub async fn what_is_let_go_is_handed_out_again(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 6).await;
    let deliveries = drain(&stores, "mail", "workers", 6).await;
    settle(&stores, "workers", vec![done(deliveries[1].id)]).await;
    let let_go = [4, 1, 2].map(|index| deliveries[index].id);
    stores
        .queue
        .let_go(&queue("mail"), "workers", let_go.to_vec());
    let again = drain(&stores, "mail", "workers", 2).await;
    assert_eq!(keys_of(&again), [key("t-2"), key("t-4")]);
    assert!(
        again
            .iter()
            .all(|delivery| delivery.token >= deliveries[5].token)
    );
    assert_eq!(without_token(&again[0]), without_token(&deliveries[2]));
    assert!(finds_nothing(&stores, "mail", "workers").await);
    publish(&stores, P0, "mail", "u", 1).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 1).await),
        [key("u-0")]
    );
    let left = [0, 2, 3, 4, 5].map(|index| done(deliveries[index].id));
    settle(&stores, "workers", left.to_vec()).await;
    let depth = stores.queue.depth(&queue("mail"), "workers").await.unwrap();
    assert_eq!((depth.waiting, depth.in_progress, depth.settled), (1, 1, 6));
}

/// Of claimed runs those that nobody has reported when they are let go, or when the process has
/// ended, are told as lost.
pub async fn a_lost_claim_has_one_last_word(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 4).await;
    let deliveries = drain(&stores, "mail", "workers", 4).await;
    let word = |index: usize| LastWord {
        commands: vec![(P1, command(&format!("lost-{index}")))],
        outcome: Some((
            key(&format!("t-{index}")),
            outcome(key(&format!("t-{index}")), 1),
        )),
    };
    let claim = |index: usize| Claim {
        id: deliveries[index].id,
        last_word: (index != 3).then(|| word(index)),
    };
    let claims: Vec<Claim> = (0..4).map(claim).collect();
    let ids: Vec<DeliveryId> = deliveries.iter().map(|delivery| delivery.id).collect();
    assert_eq!(
        stores
            .queue
            .claim(&queue("mail"), "workers", claims)
            .await
            .unwrap(),
        ids
    );
    let report = Report {
        id: ids[0],
        commands: vec![(P1, command("ended-0"))],
        dead_letter: None,
        outcome: None,
    };
    stores
        .queue
        .report(&queue("mail"), "workers", vec![report])
        .await
        .unwrap();
    stores
        .queue
        .let_go(&queue("mail"), "workers", vec![ids[0], ids[1], ids[3]]);
    owned(&stores).await;
    await_records(&stores, &[command("ended-0"), command("lost-1")]).await;
    let stores = harness.reopen(stores).await;
    assert!(
        finds_nothing(&stores, "mail", "workers").await,
        "what was claimed does not come again"
    );
    owned(&stores).await;
    let all = [command("ended-0"), command("lost-1"), command("lost-2")];
    await_records(&stores, &all).await;
    let stores = harness.reopen(stores).await;
    assert!(finds_nothing(&stores, "mail", "workers").await);
    await_records(&stores, &all).await;
    for (index, count) in [(0, 0), (1, 1), (2, 1), (3, 0)] {
        assert_eq!(
            stores
                .history
                .outcomes(key(&format!("t-{index}")))
                .await
                .unwrap()
                .len(),
            count,
            "{index}"
        );
    }
}

/// Waits until the log of the second partition holds so many records: these.
async fn await_records(stores: &Stores, records: &[Bytes]) {
    loop {
        let found = payloads(&read_log(stores, P1, LogOffset::START).await);
        assert!(found.len() <= records.len(), "{found:?}");
        if found.len() == records.len() {
            assert_eq!(found, records);
            return;
        }
        pause().await;
    }
}

/// Who listens hears of what somebody asks for by itself, as of what a tick publishes.
pub async fn who_listens_is_asked_to_stop(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let name = queue("mail");
    let mut mail = stores.queue.stops(&name);
    let stop = Stop {
        key: key("t"),
        due: at(MINUTE),
        kill: true,
    };
    let asked = stores.queue.ask_to_stop(&name, vec![stop]);
    asked.await.unwrap();
    assert_eq!(mail.recv().await, Some(stop));
}

/// Who listens when a stop request is published hears of it, for its queue only.
pub async fn stop_requests_reach_who_listens(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let (mut mail, mut reports) = (
        stores.queue.stops(&queue("mail")),
        stores.queue.stops(&queue("reports")),
    );
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    let stop = StopRequest {
        queue: queue("mail"),
        key: key("long"),
        due: at(MINUTE),
        kill: false,
    };
    let tick = Tick {
        stops: vec![stop],
        ..tick(P0, Epoch(1), 1, Vec::new())
    };
    stores.sink.commit(tick).await.unwrap();
    let heard = mail.recv().await.unwrap();
    assert_eq!(
        (heard.key, heard.due, heard.kill),
        (key("long"), at(MINUTE), false)
    );
    assert!(reports.try_recv().is_none());
    publish(&stores, P0, "mail", "t", 1).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 1).await),
        [key("t-0")],
        "a stop is no delivery"
    );
}

/// Queues that were published to, not those that were only asked for.
pub async fn queues_are_listed_in_order(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert!(finds_nothing(&stores, "never", "workers").await);
    for name in ["zebra", "apple", "mail"] {
        publish(&stores, P0, name, name, 1).await;
    }
    let stores = harness.reopen(stores).await;
    assert_eq!(
        stores.queue.queues().await.unwrap(),
        [queue("apple"), queue("mail"), queue("zebra")]
    );
}

/// Waiting, in progress, settled, dead.
pub async fn the_depth_counts(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 6).await;
    publish(&stores, P1, "mail", "u", 4).await;
    let mut deliveries = Vec::new();
    while deliveries.len() < 5 {
        let wanted = 5 - deliveries.len();
        deliveries.extend(
            stores
                .queue
                .poll(&queue("mail"), "workers", wanted)
                .await
                .unwrap(),
        );
    }
    let first = Settlement {
        dead_letter: Some(dead_letter("t-0", "mail")),
        ..done(deliveries[0].id)
    };
    settle(&stores, "workers", vec![first, done(deliveries[3].id)]).await;
    let depth = loop {
        let depth = stores.queue.depth(&queue("mail"), "workers").await.unwrap();
        // The letter may be seen a moment after its settlement was answered.
        if depth.dead_letters > 0 {
            break depth;
        }
        pause().await;
    };
    assert_eq!(
        (
            depth.waiting,
            depth.in_progress,
            depth.settled,
            depth.dead_letters
        ),
        (8, 3, 2, 1)
    );
    let stores = harness.reopen(stores).await;
    let depth = stores.queue.depth(&queue("mail"), "workers").await.unwrap();
    assert_eq!(
        (
            depth.waiting,
            depth.in_progress,
            depth.settled,
            depth.dead_letters
        ),
        (8, 0, 2, 1)
    );
}

/// A poll looks at all partitions.
pub async fn an_empty_queue_of_a_partition_does_not_hide_another(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, PartitionId::own(2), "mail", "t", 2).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 2).await),
        named("t", 0..2)
    );
    publish(&stores, P0, "mail", "u", 2).await;
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 2).await),
        named("u", 0..2)
    );
}
