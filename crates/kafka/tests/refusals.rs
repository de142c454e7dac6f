//! What a queue's topic does not take, on a real broker: that one execution becomes a dead letter
//! or waits, and everything beside it goes on in the same tick.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use minutehand_kafka::raw::{create_topic, delete_topic, set_topic};
use minutehand_kafka::{
    Client, KafkaConfig, KafkaHistory, KafkaLog, KafkaSink, SettingRule, TopicDefinition,
    TopicSetting,
};
use minutehand_model::{
    Checkpoint, Command, Epoch, LogOffset, Namespace, Origin, OutcomeKind, PartitionId,
    Publication, QueueName, ScheduleId, Task, TaskId, TaskKey, Tick, Timestamp,
};
use minutehand_ports::{CommandLog, Committed, ErrorClass, ExecutionSink, History};
use support::{config, fresh};

const P0: PartitionId = PartitionId::own(0);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

fn task(id: &str, to: &str, payload_bytes: usize) -> Task {
    Task {
        payload: vec![b'x'; payload_bytes].into(),
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
            queue(to),
            AT,
        )
    }
}

/// One partition's sink, and what came of it.
struct Bench {
    client: Arc<Client>,
    sink: KafkaSink,
    log: KafkaLog,
    history: KafkaHistory,
    epoch: Epoch,
}

impl Bench {
    async fn on(client: Arc<Client>) -> Bench {
        let sink = KafkaSink::new(Arc::clone(&client));
        let log = KafkaLog::new(Arc::clone(&client));
        let history = KafkaHistory::new(Arc::clone(&client));
        Bench {
            client,
            sink,
            log,
            history,
            epoch: Epoch(0),
        }
    }

    /// Publishes in one tick, as an owner does: after a failure that may pass it opens anew and
    /// tries again.
    async fn publish(&mut self, tasks: &[Task]) -> Committed {
        loop {
            self.epoch = Epoch(self.epoch.0 + 1);
            let opened = self.sink.open(P0, self.epoch).await.unwrap();
            let number = opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick) + 1;
            let publications = tasks.iter().map(|task| Publication {
                offset: LogOffset::at(7),
                task: minutehand_record::task::record(task),
            });
            let tick = Tick {
                partition: P0,
                checkpoint: Checkpoint {
                    epoch: self.epoch,
                    tick: number,
                    ..Checkpoint::START
                },
                published_at: AT,
                publications: publications.collect(),
                stops: Vec::new(),
                derived: Vec::new(),
                schedule_states: Vec::new(),
                set_aside: Vec::new(),
            };
            match self.sink.commit(tick).await {
                Ok(committed) => return committed,
                Err(error) => assert_eq!(error.class, ErrorClass::Retry, "{error}"),
            }
        }
    }

    /// Commands in the log, as of now.
    async fn commands(&self) -> Vec<Command> {
        let end = self.log.bounds(P0).await.unwrap().end;
        let (mut commands, mut next) = (Vec::new(), LogOffset::START);
        while next < end {
            let batch = self.log.read(P0, next, 1 << 20).await.unwrap();
            next = batch.next;
            let decoded = batch
                .records
                .into_iter()
                .map(|record| minutehand_record::command::decode(record.payload));
            commands.extend(decoded.map(Result::unwrap));
        }
        commands
    }

    async fn letters(&self, of: &str) -> Vec<String> {
        let page = self.history.dead_letters(&queue(of), 0, 100).await.unwrap();
        page.letters
            .into_iter()
            .map(|(_, letter)| letter.reason)
            .collect()
    }

    /// Publishes until nothing is put off any more: as the engine does, which reads from the log
    /// what was.
    async fn publish_all(&mut self, mut tasks: Vec<Task>) -> usize {
        let mut refused = 0;
        let mut known = self.commands().await.len();
        while !tasks.is_empty() {
            refused += self.publish(&tasks).await.refused;
            let commands = self.commands().await;
            let put_off = commands[known..]
                .iter()
                .filter_map(|command| match command {
                    Command::Create(record) => {
                        Some(minutehand_record::task::decode(&record.encoded).unwrap())
                    }
                    _ => None,
                });
            tasks = put_off.collect();
            known = commands.len();
        }
        refused
    }
}

fn topic(name: String, partitions: u32, settings: &[(&'static str, &str)]) -> TopicDefinition {
    let setting = |(name, value): &(&'static str, &str)| TopicSetting {
        name,
        value: (*value).to_owned(),
        rule: SettingRule::Free,
    };
    TopicDefinition {
        name,
        partitions,
        settings: settings.iter().map(setting).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_kafka_takes_for_one_are_two_queues() {
    let mut bench = Bench::on(fresh("collide", 2).await).await;
    let names = [
        "mail.urgent",
        "mail_urgent",
        "a_b.c",
        "a.b_c",
        "a_b_c",
        "a.b.c",
    ];
    let tasks = names.iter().map(|name| task("t", name, 3)).collect();
    assert_eq!(bench.publish_all(tasks).await, 0);
    for name in names {
        assert!(
            bench
                .client
                .has_topic(&bench.client.names().executions(&queue(name)))
                .await,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_cannot_be_used_refuse_their_own_executions_only() {
    let client = fresh("refuse", 4).await;
    let odd = client.names().executions(&queue("odd"));
    create_topic(&client, &topic(odd.clone(), 3, &[]))
        .await
        .unwrap();
    let small = client.names().executions(&queue("small"));
    create_topic(
        &client,
        &topic(small, 4, &[("max.message.bytes", "100000")]),
    )
    .await
    .unwrap();
    let mut bench = Bench::on(client).await;
    let nightly = Task {
        origin: Some(Origin {
            schedule: ScheduleId::parse("nightly").unwrap(),
            nominal: AT,
            completion_wanted: true,
        }),
        ..task("nightly@1", "odd", 3)
    };
    let tasks = vec![
        task("good", "good", 3),
        nightly,
        task("t", "small", 3),
        task("good-2", "good", 3),
    ];
    let refused = bench.publish_all(tasks).await;
    let odd_letters = bench.letters("odd").await;
    let small_letters = bench.letters("small").await;
    assert_eq!(refused, 2, "{odd_letters:?} {small_letters:?}");
    assert_eq!(odd_letters.len(), 1);
    assert!(
        odd_letters[0].contains(&format!("{odd} has 3 partitions")),
        "{odd_letters:?}"
    );
    assert!(
        small_letters[0].contains("max.message.bytes=100000"),
        "{small_letters:?}"
    );
    let ended = bench
        .commands()
        .await
        .into_iter()
        .filter_map(|command| match command {
            Command::Completed { key, kind, .. } => Some((key, kind)),
            _ => None,
        });
    assert_eq!(
        ended.collect::<Vec<_>>(),
        [(TaskKey::of("default", "nightly@1"), OutcomeKind::Dead)]
    );
    assert_eq!(bench.letters("good").await, [""; 0]);
}

/// A queue's topic is compared like the installation's own: what would lose executions is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_would_forget_executions_is_refused() {
    let client = fresh("forgets", 2).await;
    let names = client.names();
    let mail = names.executions(&queue("mail"));
    let letters = names.dead_letters(&queue("letters"));
    let odd = names.executions(&queue("letters"));
    for made in [
        topic(mail.clone(), 2, &[("cleanup.policy", "compact")]),
        topic(odd, 3, &[]),
        topic(letters, 1, &[("cleanup.policy", "compact,delete")]),
    ] {
        create_topic(&client, &made).await.unwrap();
    }
    let mut bench = Bench::on(client).await;
    let tasks = vec![
        task("t", "mail", 3),
        task("t", "letters", 3),
        task("good", "good", 3),
    ];
    assert_eq!(bench.publish_all(tasks).await, 2);
    let told = bench.letters("mail").await;
    let reason = format!("{mail} has cleanup.policy=compact, which must be delete");
    assert!(told[0].contains(&reason), "{told:?}");
    assert_eq!(bench.letters("letters").await, [""; 0]);
}

/// Three copies are wanted, two of which must have a record, and the topic has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_too_few_copies_in_sync_is_refused() {
    let config = config("copies", 2).await;
    let client = Client::new(config.clone()).unwrap();
    client.apply_topics().await.unwrap();
    let mail = client.names().executions(&queue("mail"));
    create_topic(&client, &topic(mail, 2, &[])).await.unwrap();
    let wanting = KafkaConfig {
        replication_factor: 3,
        ..config
    };
    let mut bench = Bench::on(Client::new(wanting).unwrap()).await;
    assert_eq!(bench.publish_all(vec![task("t", "mail", 3)]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_limit_was_lowered_refuses_what_is_too_large() {
    let mut bench = Bench::on(fresh("lowered", 2).await).await;
    assert_eq!(bench.publish_all(vec![task("before", "mail", 3)]).await, 0);
    let mail = bench.client.names().executions(&queue("mail"));
    set_topic(&bench.client, &mail, "max.message.bytes", "1000")
        .await
        .unwrap();
    let tasks = vec![task("large", "mail", 200_000), task("beside", "other", 3)];
    assert_eq!(bench.publish_all(tasks).await, 1);
    assert_eq!(bench.letters("mail").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_under_a_running_process_is_made_anew() {
    let mut bench = Bench::on(fresh("deleted", 2).await).await;
    assert_eq!(bench.publish_all(vec![task("before", "mail", 3)]).await, 0);
    let mail = bench.client.names().executions(&queue("mail"));
    delete_topic(&bench.client, &mail).await.unwrap();
    assert_eq!(
        bench
            .publish_all(vec![task("after", "mail", 3), task("beside", "other", 3)])
            .await,
        0
    );
    assert!(bench.client.has_topic(&mail).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_cap_on_topics_executions_are_rejected() {
    let config = KafkaConfig {
        queue_topics_max: 1,
        ..config("cap", 2).await
    };
    let client = Client::new(config).unwrap();
    client.apply_topics().await.unwrap();
    let mut bench = Bench::on(client).await;
    assert_eq!(bench.publish_all(vec![task("first", "first", 3)]).await, 0);
    assert_eq!(
        bench
            .publish_all(vec![task("second", "second", 3), task("more", "first", 3)])
            .await,
        1
    );
}

/// Whatever waits for its topic waits in the log, and holds up nothing.
#[tokio::test(flavor = "multi_thread")]
async fn many_new_queues_at_once_lose_nothing_and_wait_in_the_log() {
    let config = KafkaConfig {
        topic_wait_ms: 0,
        queue_partitions: 1,
        ..config("many", 1).await
    };
    let client = Client::new(config).unwrap();
    client.apply_topics().await.unwrap();
    let mut bench = Bench::on(client).await;
    let known = task("known", "known", 3);
    assert_eq!(bench.publish_all(vec![known]).await, 0);
    let mut tasks: Vec<Task> = (0..100)
        .map(|n| task("t", &format!("new-{n}"), 3))
        .collect();
    tasks.push(task("on-time", "known", 3));
    let first = bench.publish(&tasks).await;
    assert_eq!(
        (first.refused, first.postponed),
        (0, 100),
        "only the known queue is published to at once"
    );
    let before = bench.commands().await.len();
    let put_off: Vec<Task> = bench.commands().await[before - 100..]
        .iter()
        .map(|command| match command {
            Command::Create(record) => minutehand_record::task::decode(&record.encoded).unwrap(),
            other => panic!("a creation, not {other:?}"),
        })
        .collect();
    assert!(
        put_off
            .iter()
            .all(|task| task.due > AT && task.first_due == AT)
    );
    let dues: BTreeSet<Timestamp> = put_off.iter().map(|task| task.due).collect();
    assert_eq!(dues.len(), 100, "all of one id, and each a task of its own");
    assert_eq!(bench.publish_all(put_off).await, 0);
    for number in 0..100 {
        let topic = bench
            .client
            .names()
            .executions(&queue(&format!("new-{number}")));
        assert!(bench.client.has_topic(&topic).await);
    }
}
