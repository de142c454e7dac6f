//! Outcomes and dead letters.

use super::samples::{
    P0, P1, await_log, command, dead_letter, done, drain, key, outcome, owned, pause, payloads,
    publish, queue,
};
use super::{Harness, Stores, refused};
use crate::{Delivery, EndedPage, EndedQuery, ErrorClass, Settlement};
use minutehand_model::{EndedTask, Namespace, Outcome, OutcomeKind, TaskId, TaskKey};

/// Makes dead letters `dead-0`, `dead-1`, … of the queue `mail`; their numbers.
async fn bury(stores: &Stores, count: usize) -> Vec<u64> {
    let before = numbers(stores).await.len();
    publish(stores, P0, "mail", "t", count).await;
    let deliveries = drain(stores, "mail", "workers", count).await;
    for (index, delivery) in deliveries.iter().enumerate() {
        let letter = dead_letter(&format!("dead-{index}"), "mail");
        let settlement = Settlement {
            dead_letter: Some(letter),
            ..done(delivery.id)
        };
        stores
            .queue
            .settle(&queue("mail"), "workers", vec![settlement])
            .await
            .unwrap();
    }
    loop {
        let numbers = numbers(stores).await;
        // The last may be seen a moment after its settlement was answered.
        if numbers.len() >= before + count {
            return numbers;
        }
        pause().await;
    }
}

/// Waits until so many letters are left.
async fn await_count(stores: &Stores, count: usize) {
    while numbers(stores).await.len() > count {
        pause().await;
    }
}

async fn numbers(stores: &Stores) -> Vec<u64> {
    let page = stores
        .history
        .dead_letters(&queue("mail"), 0, 1_000)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    page.letters.into_iter().map(|(number, _)| number).collect()
}

/// Ends are found by namespace, kind and queue, the newest first, page by page.
pub async fn ends_are_listed_by_kind_and_queue(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 6).await;
    let deliveries = drain(&stores, "mail", "workers", 6).await;
    let ended = [
        ("a", "mail", OutcomeKind::Dead),
        ("b", "mail", OutcomeKind::Retried),
        ("c", "post", OutcomeKind::Dead),
        ("d", "mail", OutcomeKind::Dead),
        ("e", "mail", OutcomeKind::Dead),
    ];
    for (index, (id, to, kind)) in (0_i64..).zip(ended) {
        let task = EndedTask {
            namespace: Namespace::parse("default").unwrap(),
            id: TaskId::parse(id).unwrap(),
            order_key: None,
            queue: queue(to),
        };
        let before = outcome(key(id), 1);
        let outcome = Outcome {
            kind,
            ended_at: before.ended_at.plus_millis(index),
            task: Some(Box::new(task)),
            ..before
        };
        settle_with(&stores, &deliveries[index as usize], key(id), outcome).await;
    }
    // One without names is known by its key alone.
    let nameless = Outcome {
        kind: OutcomeKind::Dead,
        ..outcome(key("f"), 1)
    };
    settle_with(&stores, &deliveries[5], key("f"), nameless).await;
    let stores = harness.reopen(stores).await;
    let query = EndedQuery {
        namespace: Namespace::parse("default").unwrap(),
        kind: OutcomeKind::Dead,
        queue: Some(queue("mail")),
        before: None,
        count_max: 2,
    };
    let first = stores.history.ended(&query).await.unwrap();
    assert_eq!(ended_ids(&first), ["e", "d"]);
    let rest = EndedQuery {
        before: first.next,
        ..query.clone()
    };
    let rest = stores.history.ended(&rest).await.unwrap();
    assert_eq!((ended_ids(&rest), rest.next), (vec!["a".to_owned()], None));
    let all = EndedQuery {
        queue: None,
        count_max: 10,
        ..query.clone()
    };
    let all = stores.history.ended(&all).await.unwrap();
    assert_eq!(ended_ids(&all), ["e", "d", "c", "a"]);
    let elsewhere = EndedQuery {
        namespace: Namespace::parse("other").unwrap(),
        ..query
    };
    let elsewhere = stores.history.ended(&elsewhere).await.unwrap();
    assert_eq!(elsewhere, EndedPage::default());
}

/// Successes are listed with what their executors said, and those that said nothing as well.
pub async fn successes_are_listed_whatever_they_said(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 6).await;
    let deliveries = drain(&stores, "mail", "workers", 6).await;
    let words = ["", "HTTP 204", "", "", "HTTP 200", ""];
    for (index, detail) in (0_i64..).zip(words) {
        let id = format!("s{index}");
        let task = EndedTask {
            namespace: Namespace::parse("default").unwrap(),
            id: TaskId::parse(&id).unwrap(),
            order_key: None,
            queue: queue("mail"),
        };
        let before = outcome(key(&id), 1);
        let outcome = Outcome {
            kind: OutcomeKind::Succeeded,
            detail: detail.to_owned(),
            ended_at: before.ended_at.plus_millis(index),
            task: Some(Box::new(task)),
            ..before
        };
        settle_with(&stores, &deliveries[index as usize], key(&id), outcome).await;
    }
    let stores = harness.reopen(stores).await;
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let query = EndedQuery {
            namespace: Namespace::parse("default").unwrap(),
            kind: OutcomeKind::Succeeded,
            queue: Some(queue("mail")),
            before,
            count_max: 2,
        };
        let page = stores.history.ended(&query).await.unwrap();
        assert!(page.ended.len() <= 2, "a page is as long as was asked");
        listed.extend(ended_ids(&page));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["s5", "s4", "s3", "s2", "s1", "s0"]);
}

fn ended_ids(page: &EndedPage) -> Vec<String> {
    let id = |(_, outcome): &(_, Outcome)| outcome.task.as_ref().unwrap().id.to_string();
    page.ended.iter().map(id).collect()
}

async fn settle_with(stores: &Stores, delivery: &Delivery, key: TaskKey, outcome: Outcome) {
    let settlement = Settlement {
        outcome: Some((key, outcome)),
        ..done(delivery.id)
    };
    let mail = queue("mail");
    let settled = stores.queue.settle(&mail, "workers", vec![settlement]);
    settled.await.unwrap();
}

/// A task's attempts in the order in which they ended.
pub async fn outcomes_come_oldest_first(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    publish(&stores, P0, "mail", "t", 4).await;
    let deliveries = drain(&stores, "mail", "workers", 4).await;
    for (attempt, delivery) in (1..).zip(&deliveries) {
        let task = if attempt == 3 {
            key("other")
        } else {
            key("mine")
        };
        let settlement = Settlement {
            outcome: Some((task, outcome(task, attempt))),
            ..done(delivery.id)
        };
        stores
            .queue
            .settle(&queue("mail"), "workers", vec![settlement])
            .await
            .unwrap();
    }
    let stores = harness.reopen(stores).await;
    let mine = [1, 2, 4].map(|attempt| outcome(key("mine"), attempt));
    assert_eq!(stores.history.outcomes(key("mine")).await.unwrap(), mine);
    assert_eq!(
        stores.history.outcomes(key("other")).await.unwrap(),
        [outcome(key("other"), 3)]
    );
}

/// Nothing known is no error.
pub async fn a_task_without_history_has_none(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert_eq!(stores.history.outcomes(key("nobody")).await.unwrap(), []);
    let page = stores
        .history
        .dead_letters(&queue("mail"), 0, 10)
        .await
        .unwrap();
    assert_eq!((page.letters, page.next), (vec![], None));
}

/// Pages join; letters come in the order in which they were given up.
pub async fn dead_letters_are_listed_in_pages(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    bury(&stores, 7).await;
    let (mut from, mut letters, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = stores
            .history
            .dead_letters(&queue("mail"), from, 3)
            .await
            .unwrap();
        assert!(page.letters.len() <= 3);
        letters.extend(page.letters.into_iter().map(|(_, letter)| letter));
        pages += 1;
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    let expected: Vec<_> = (0..7)
        .map(|index| dead_letter(&format!("dead-{index}"), "mail"))
        .collect();
    assert_eq!(letters, expected);
    assert_eq!(pages, 3);
    let other = stores
        .history
        .dead_letters(&queue("mai"), 0, 3)
        .await
        .unwrap();
    assert_eq!(other.letters, [], "queues are apart");
}

/// Numbers stay with their letters.
pub async fn removed_dead_letters_are_gone_and_the_others_stay(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let all = bury(&stores, 4).await;
    let gone = vec![all[1], all[3], all[3], 1_000_000];
    let removed = stores
        .history
        .remove_dead_letters(&queue("mail"), gone, Vec::new())
        .await
        .unwrap();
    assert_eq!(
        removed, 2,
        "numbers that do not exist, or come twice, are passed over"
    );
    await_count(&stores, 2).await;
    assert_eq!(numbers(&stores).await, [all[0], all[2]]);
    assert_eq!(
        stores
            .queue
            .depth(&queue("mail"), "workers")
            .await
            .unwrap()
            .dead_letters,
        2
    );
    let page = stores
        .history
        .dead_letters(&queue("mail"), all[1], 10)
        .await
        .unwrap();
    assert_eq!(page.letters[0].1, dead_letter("dead-2", "mail"));
}

/// The letter goes and its command comes, together.
pub async fn a_replay_is_one_step(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let all = bury(&stores, 2).await;
    let nowhere = vec![(minutehand_model::PartitionId::own(99), command("replayed"))];
    let refusal = stores
        .history
        .remove_dead_letters(&queue("mail"), vec![all[0]], nowhere)
        .await;
    assert_eq!(refused(refusal), ErrorClass::Fatal);
    assert_eq!(
        numbers(&stores).await,
        all,
        "a refused replay leaves the letter"
    );
    let commands = vec![(P1, command("replayed")), (P0, command("too"))];
    stores
        .history
        .remove_dead_letters(&queue("mail"), vec![all[0]], commands)
        .await
        .unwrap();
    let stores = harness.reopen(stores).await;
    owned(&stores).await;
    await_count(&stores, 1).await;
    assert_eq!(
        payloads(&await_log(&stores, P1, 1).await),
        [command("replayed")]
    );
    assert_eq!(payloads(&await_log(&stores, P0, 1).await), [command("too")]);
    assert_eq!(numbers(&stores).await, [all[1]]);
}

/// Of many who replay the same letter, one does.
pub async fn a_replay_happens_once(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let all = bury(&stores, 1).await;
    let replays: Vec<_> = (0..8)
        .map(|_| {
            let (history, numbers) = (std::sync::Arc::clone(&stores.history), all.clone());
            tokio::spawn(async move {
                let commands = vec![(P1, command("replayed"))];
                history
                    .remove_dead_letters(&queue("mail"), numbers, commands)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut removed = 0;
    for replay in replays {
        removed += replay.await.unwrap();
    }
    assert_eq!(removed, 1);
    owned(&stores).await;
    assert_eq!(await_log(&stores, P1, 1).await.len(), 1);
}

/// Letters and their numbers are durable; a new letter gets a new number.
pub async fn dead_letters_survive_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let all = bury(&stores, 3).await;
    stores
        .history
        .remove_dead_letters(&queue("mail"), vec![all[2]], Vec::new())
        .await
        .unwrap();
    let stores = harness.reopen(stores).await;
    await_count(&stores, 2).await;
    assert_eq!(numbers(&stores).await, all[..2]);
    let more = bury(&stores, 1).await;
    assert_eq!(more[..2], all[..2]);
    assert!(more[2] > all[2], "a number is not given twice");
}
