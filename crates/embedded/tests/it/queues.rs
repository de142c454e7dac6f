//! What a queue costs, and when it costs nothing any more; who is served, and in which order.

use std::sync::Arc;

use futures::future::join_all;
use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::time::{DAY_MS, HOUR_MS, SECOND_MS};
use minutehand_model::*;
use minutehand_ports::{CommandLog, Delivery, ExecutionQueue, ExecutionSink, QueueRulebook};

use crate::support::{TestClock, done, id_of, queue, rows, task, tick};

const P0: PartitionId = PartitionId::own(0);
const P1: PartitionId = PartitionId::own(1);

/// A store whose clock the test sets.
struct Fixture {
    folder: tempfile::TempDir,
    clock: TestClock,
    now_ms: i64,
    store: Arc<EmbeddedStore>,
    ticks: u64,
}

impl Fixture {
    async fn new(change: impl Fn(Config) -> Config) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::at(SECOND_MS);
        let store = EmbeddedStore::open(change(clock.config(folder.path()))).unwrap();
        for partition in [P0, P1] {
            ExecutionSink::open(&*store, partition, Epoch(1))
                .await
                .unwrap();
        }
        Fixture {
            folder,
            clock,
            now_ms: SECOND_MS,
            store,
            ticks: 0,
        }
    }

    /// Lets time pass. What the committer does by the clock it does after its next commit.
    async fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.clock.set(Timestamp::from_millis(self.now_ms));
        for _ in 0..2 {
            self.store
                .append(P1, vec!["a commit".into()])
                .await
                .unwrap();
        }
    }

    /// Lets enough time pass for spent queues to be forgotten.
    async fn rest(&mut self) {
        self.pass(15 * SECOND_MS).await;
        self.pass(90 * SECOND_MS).await;
    }

    async fn publish(&mut self, id: &str, to: &str) {
        self.ticks += 1;
        let task = task(id, to, "x".into());
        self.store
            .commit(tick(P0, Epoch(1), self.ticks, vec![task]))
            .await
            .unwrap();
    }

    async fn take(&self, from: &str, group: &str) -> Delivery {
        self.store
            .poll(&queue(from), group, 1)
            .await
            .unwrap()
            .remove(0)
    }

    async fn take_and_settle(&self, from: &str, group: &str) -> Delivery {
        let delivery = self.take(from, group).await;
        self.store
            .settle(&queue(from), group, vec![done(delivery.id)])
            .await
            .unwrap();
        delivery
    }

    fn reopen(self) -> Fixture {
        let Fixture {
            folder,
            clock,
            now_ms,
            store,
            ticks,
        } = self;
        drop(store);
        let store = EmbeddedStore::open(clock.config(folder.path())).unwrap();
        Fixture {
            folder,
            clock,
            now_ms,
            store,
            ticks,
        }
    }
}

#[tokio::test]
async fn looking_at_queues_makes_none() {
    let fixture = Fixture::new(|config| config).await;
    for number in 0..1_000 {
        fixture
            .store
            .depth(&queue(&format!("q{number}")), "workers")
            .await
            .unwrap();
        assert!(
            !fixture
                .store
                .has_waiting(&queue(&format!("q{number}")), "workers")
        );
    }
    assert_eq!(fixture.store.queue_count(), 0);
}

#[tokio::test]
async fn nothing_is_left_of_a_spent_queue() {
    let mut fixture = Fixture::new(|config| config).await;
    for number in 0..50 {
        let name = format!("q{number}");
        fixture.publish("t", &name).await;
        fixture.take_and_settle(&name, "workers").await;
    }
    assert_eq!(fixture.store.queue_count(), 50);
    fixture.rest().await;
    assert_eq!(fixture.store.queue_count(), 0);
    assert_eq!(fixture.store.queues().await.unwrap(), []);
    let fixture = fixture.reopen();
    assert_eq!(fixture.store.queue_count(), 0);
    let folder = fixture.folder.path().to_owned();
    drop(fixture.store);
    for table in ["lanes", "groups", "batches"] {
        assert_eq!(rows(&folder, table), 0, "{table}");
    }
}

#[tokio::test]
async fn the_successor_of_a_spent_queue_has_numbers_of_its_own() {
    let mut fixture = Fixture::new(|config| config).await;
    fixture.publish("first", "mail").await;
    let first = fixture.take_and_settle("mail", "workers").await;
    fixture.rest().await;
    let mut fixture = fixture.reopen();
    ExecutionSink::open(&*fixture.store, P0, Epoch(1))
        .await
        .unwrap();
    fixture.publish("second", "mail").await;
    let second = fixture.take("mail", "workers").await;
    assert_eq!(id_of(&second.encoded), "second");
    assert!(second.id > first.id);
    fixture
        .store
        .settle(&queue("mail"), "workers", vec![done(first.id)])
        .await
        .unwrap();
    let depth = fixture
        .store
        .depth(&queue("mail"), "workers")
        .await
        .unwrap();
    assert_eq!(
        (depth.waiting, depth.in_progress),
        (1, 1),
        "a late word about the first says nothing of the second"
    );
}

#[tokio::test]
async fn a_queue_in_which_something_is_left_stays() {
    let mut fixture = Fixture::new(|config| config).await;
    for name in ["waits", "runs", "listened"] {
        fixture.publish("t", name).await;
    }
    fixture.take("runs", "workers").await;
    fixture.take_and_settle("listened", "workers").await;
    let listener = fixture.store.stops(&queue("listened"));
    fixture.rest().await;
    fixture.rest().await;
    let names = fixture.store.queues().await.unwrap();
    assert_eq!(names, ["listened", "runs", "waits"].map(queue));
    drop(listener);
    fixture.rest().await;
    assert_eq!(
        fixture.store.queues().await.unwrap(),
        ["runs", "waits"].map(queue)
    );
}

#[tokio::test]
async fn who_polls_a_spent_queue_hears_of_what_comes() {
    let mut fixture = Fixture::new(|config| config).await;
    let store = Arc::clone(&fixture.store);
    let poll = tokio::spawn(async move { store.poll(&queue("mail"), "workers", 1).await });
    while fixture.store.queue_count() == 0 {
        tokio::task::yield_now().await;
    }
    fixture.rest().await;
    fixture.rest().await;
    fixture.publish("t", "mail").await;
    assert_eq!(poll.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_that_is_gone_holds_nothing_back() {
    let mut fixture = Fixture::new(|config| config).await;
    for number in 0..20 {
        fixture.publish(&format!("t{number}"), "mail").await;
    }
    fixture.take("mail", "gone").await;
    for _ in 0..20 {
        fixture.take_and_settle("mail", "workers").await;
    }
    fixture.pass(6 * DAY_MS).await;
    fixture
        .store
        .poll(&queue("mail"), "workers", 0)
        .await
        .unwrap();
    let depth = async |fixture: &Fixture| {
        fixture
            .store
            .depth(&queue("mail"), "gone")
            .await
            .unwrap()
            .waiting
    };
    assert_eq!(depth(&fixture).await, 20);
    fixture.pass(2 * DAY_MS).await;
    fixture
        .store
        .poll(&queue("mail"), "workers", 0)
        .await
        .unwrap();
    fixture.pass(15 * SECOND_MS).await;
    assert_eq!(depth(&fixture).await, 0);
    let folder = fixture.folder.path().to_owned();
    drop(fixture.store);
    assert_eq!(rows(&folder, "batches"), 0);
}

#[tokio::test]
async fn the_only_group_of_a_queue_is_never_gone() {
    let mut fixture = Fixture::new(|config| config).await;
    for id in ["first", "second"] {
        fixture.publish(id, "mail").await;
    }
    fixture.take_and_settle("mail", "workers").await;
    let mut fixture = fixture.reopen();
    fixture.pass(30 * DAY_MS).await;
    fixture.pass(HOUR_MS).await;
    assert_eq!(
        id_of(&fixture.take("mail", "workers").await.encoded),
        "second"
    );
}

#[tokio::test]
async fn a_lane_on_disk_has_its_turn_beside_a_busy_one() {
    let small = |config| Config {
        queue_resident_bytes: 4_000,
        ..config
    };
    let mut fixture = Fixture::new(small).await;
    let large = tick(
        P1,
        Epoch(1),
        1,
        vec![task("on-disk", "mail", vec![0; 8_000].into())],
    );
    fixture.store.commit(large).await.unwrap();
    let mut taken = Vec::new();
    for number in 0..10 {
        fixture.publish(&format!("t{number}"), "mail").await;
        taken.push(id_of(
            &fixture.take_and_settle("mail", "workers").await.encoded,
        ));
    }
    assert!(taken.contains(&"on-disk".to_owned()), "{taken:?}");
}

#[tokio::test]
async fn a_queue_that_nobody_serves_is_told_of_once() {
    let mut fixture = Fixture::new(|config| config).await;
    for id in ["first", "second"] {
        fixture.publish(id, "mail").await;
    }
    let unserved = fixture.store.unserved_queues().await;
    assert_eq!(unserved.into_iter().collect::<Vec<_>>(), [queue("mail")]);
    let listener = fixture.store.stops(&queue("mail"));
    fixture.publish("third", "mail").await;
    fixture.publish("t", "other").await;
    let unserved = fixture.store.unserved_queues().await;
    assert_eq!(unserved.into_iter().collect::<Vec<_>>(), [queue("other")]);
    drop(listener);
    assert!(fixture.store.has_waiting(&queue("mail"), "workers"));
    let fixture = fixture.reopen();
    let unserved = fixture.store.unserved_queues().await;
    assert_eq!(
        unserved.into_iter().collect::<Vec<_>>(),
        ["mail", "other"].map(queue)
    );
}

#[tokio::test]
async fn a_delivery_that_is_handed_out_again_has_a_greater_token() {
    let mut fixture = Fixture::new(|config| config).await;
    for id in ["first", "second"] {
        fixture.publish(id, "mail").await;
    }
    let first = fixture.take("mail", "workers").await;
    let second = fixture.take("mail", "workers").await;
    assert!(second.token > first.token);
    let fixture = fixture.reopen();
    let again = fixture.take("mail", "workers").await;
    assert_eq!(again.id, first.id);
    assert!(
        again.token > second.token,
        "{} {}",
        again.token,
        second.token
    );
}

#[tokio::test]
async fn what_is_said_of_queues_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(SECOND_MS);
    let store = EmbeddedStore::open(clock.config(folder.path())).unwrap();
    let limited = |per_second| QueueRules {
        per_second_max: Some(per_second),
        ..QueueRules::default()
    };
    let known = |store: &EmbeddedStore| store.rules().borrow().clone().unwrap();
    for (name, rules) in [
        ("mail", limited(7)),
        ("gone", limited(1)),
        ("mail", limited(8)),
        ("gone", QueueRules::default()),
    ] {
        let set = Box::new(|_: &QueueRules| Some(rules));
        store.change(&queue(name), set).await.unwrap();
    }
    let said = [(queue("mail"), limited(8))];
    assert_eq!(*known(&store), said.clone().into());
    drop(store);
    let again = EmbeddedStore::open(clock.config(folder.path())).unwrap();
    assert_eq!(*known(&again), said.into());
}

fn one_more(rules: &QueueRules) -> Option<QueueRules> {
    Some(QueueRules {
        per_second_max: Some(rules.per_second_max.unwrap_or(0) + 1),
        ..rules.clone()
    })
}

/// They may come to the disk together: none knows of the others by what is durable.
#[tokio::test]
async fn no_change_of_what_is_said_undoes_another() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(SECOND_MS);
    let store = EmbeddedStore::open(clock.config(folder.path())).unwrap();
    let mut raised = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&store);
        raised.spawn(async move { store.change(&queue("mail"), Box::new(one_more)).await });
    }
    let raised = raised.join_all().await.into_iter();
    let mut raised: Vec<_> = raised
        .map(|rules| rules.unwrap().unwrap().per_second_max)
        .collect();
    raised.sort();
    assert!(raised.into_iter().eq((1..=100).map(Some)));
    let left = store.change(&queue("mail"), Box::new(|_| None)).await;
    assert_eq!(left.unwrap(), None);
    let known = store.rules().borrow().clone().unwrap();
    assert_eq!(known[&queue("mail")].per_second_max, Some(100));
}

#[tokio::test]
async fn the_age_of_the_oldest_is_known_in_memory_and_on_disk() {
    for resident_bytes in [1 << 20, 0] {
        let fixture = Fixture::new(|config| Config {
            queue_resident_bytes: resident_bytes,
            ..config
        })
        .await;
        assert_eq!(oldest(&fixture).await, None);
        for number in 1..=2 {
            let task = task(&format!("t{number}"), "mail", "x".into());
            let tick = Tick {
                published_at: Timestamp::from_millis(number as i64),
                ..tick(P0, Epoch(1), number, vec![task])
            };
            fixture.store.commit(tick).await.unwrap();
        }
        assert_eq!(oldest(&fixture).await, Some(Timestamp::from_millis(1)));
        fixture.take_and_settle("mail", "workers").await;
        assert_eq!(oldest(&fixture).await, Some(Timestamp::from_millis(2)));
        fixture.take_and_settle("mail", "workers").await;
        assert_eq!(oldest(&fixture).await, None);
    }
}

#[tokio::test]
async fn what_is_settled_while_somebody_looks_is_not_damage() {
    let mut fixture = Fixture::new(|config| Config {
        queue_resident_bytes: 0,
        ..config
    })
    .await;
    for id in ["first", "second"] {
        fixture.publish(id, "mail").await;
    }
    let delivery = fixture.take("mail", "workers").await;
    // More than are read at a time: the last ones have found where the oldest lies, and read it
    // when it is gone.
    let (store, mail) = (Arc::clone(&fixture.store), queue("mail"));
    let looks = (0..64).map(|_| store.oldest_waiting(&mail, "workers"));
    let mut looks = std::pin::pin!(join_all(looks));
    assert!(futures::poll!(looks.as_mut()).is_pending());
    let settled = vec![done(delivery.id)];
    fixture
        .store
        .settle(&mail, "workers", settled)
        .await
        .unwrap();
    fixture.rest().await;
    assert!(looks.await.into_iter().all(|found| found.is_ok()));
    assert_eq!(fixture.store.corruptions(), []);
}

async fn oldest(fixture: &Fixture) -> Option<Timestamp> {
    let (queue, store) = (queue("mail"), &fixture.store);
    store.oldest_waiting(&queue, "workers").await.unwrap()
}
