//! The topics: what each must look like, and making those that are missing.

use std::collections::BTreeMap;

use minutehand_model::QueueName;
use minutehand_model::limits::TOPIC_RECORD_BYTES_MAX;
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Client, blocking};
use crate::config::KafkaConfig;
use crate::error::{class_of, in_words, port_error};
use crate::names::TopicNames;

/// How a topic is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
    /// Its settings.
    pub settings: Vec<TopicSetting>,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Its name, in Kafka's own words.
    pub name: &'static str,
    /// Its value when the topic is made.
    pub value: String,
    /// What it may be on a topic that is there.
    pub rule: SettingRule,
}

/// What a setting of a topic that is there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingRule {
    /// Exactly the value: with another one the topic does not do what it is for.
    Exactly,
    /// The value or more; -1 is without a bound.
    AtLeast,
    /// Whatever the operator has made of it.
    Free,
}

fn setting(name: &'static str, value: impl ToString, rule: SettingRule) -> TopicSetting {
    TopicSetting {
        name,
        value: value.to_string(),
        rule,
    }
}

/// Keeps records until their time is over, whatever their keys.
fn deleted() -> TopicSetting {
    setting("cleanup.policy", "delete", SettingRule::Exactly)
}

/// Takes whatever one of ours may append.
fn takes_large_records() -> TopicSetting {
    setting(
        "max.message.bytes",
        TOPIC_RECORD_BYTES_MAX,
        SettingRule::AtLeast,
    )
}

/// An acknowledgement means more than one copy wherever there are three.
fn in_sync(config: &KafkaConfig) -> TopicSetting {
    let copies = (config.replication_factor - 1).max(1);
    setting(IN_SYNC, copies, SettingRule::AtLeast)
}

/// The topics of a queue: how large a record one takes is compared apart, record by record.
fn of_queue(
    config: &KafkaConfig,
    name: &str,
    partitions: u32,
    retention_ms: impl ToString,
) -> TopicDefinition {
    let free = SettingRule::Free;
    TopicDefinition {
        name: name.to_owned(),
        partitions,
        settings: vec![
            deleted(),
            in_sync(config),
            setting("retention.ms", retention_ms, free),
            setting("max.message.bytes", TOPIC_RECORD_BYTES_MAX, free),
        ],
    }
}

/// How many copies must have a record before it is acknowledged, in Kafka's own words.
pub(crate) const IN_SYNC: &str = "min.insync.replicas";

/// How long questions for the time are kept, in milliseconds: nobody reads them.
const CLOCK_RETENTION_MS: i64 = 3_600_000;

impl TopicDefinition {
    /// The topics that every installation has; those of queues are made when they are first met.
    pub(crate) fn all(config: &KafkaConfig, names: &TopicNames) -> Vec<TopicDefinition> {
        use SettingRule::{AtLeast, Exactly, Free};
        let in_sync = in_sync(config);
        let topic = |name: &str, partitions: u32, settings: Vec<TopicSetting>| {
            let common = [takes_large_records(), in_sync.clone()];
            TopicDefinition {
                name: name.to_owned(),
                partitions,
                settings: settings.into_iter().chain(common).collect(),
            }
        };
        let compacted = |name: &str, partitions: u32| {
            let settings = vec![
                setting("cleanup.policy", "compact", Exactly),
                // The broker's time of a claim, and of each checkpoint, is compared with the
                // owner's clock.
                setting("message.timestamp.type", "LogAppendTime", Exactly),
                // A checkpoint a tick: small segments, so that the cleaner finds something to do.
                setting("segment.bytes", 64 << 20, Free),
                setting("segment.ms", 600_000, Free),
                setting("min.cleanable.dirty.ratio", "0.1", Free),
                setting("delete.retention.ms", 3_600_000, Free),
            ];
            topic(name, partitions, settings)
        };
        let kept = |name: &str, partitions: u32| {
            let settings = vec![
                deleted(),
                setting("retention.ms", config.retention_ms, Free),
                setting("message.timestamp.type", "CreateTime", Free),
            ];
            topic(name, partitions, settings)
        };
        let logged = |name: &str| {
            let settings = vec![
                deleted(),
                setting("retention.ms", config.command_retention_ms, AtLeast),
                // By size nothing may be forgotten that a successor must read again.
                setting("retention.bytes", -1, AtLeast),
                // The time of a command is the log's: producers' clocks decide nothing.
                setting("message.timestamp.type", "LogAppendTime", Exactly),
            ];
            topic(name, config.partitions, settings)
        };
        vec![
            logged(&names.commands),
            logged(&names.follow_ups),
            compacted(&names.checkpoints, config.partitions),
            compacted(&names.schedule_state, config.partitions),
            compacted(&names.skips, 1),
            compacted(&names.queues, 1),
            compacted(&names.claims, config.partitions),
            kept(&names.outcomes, config.partitions),
            kept(&names.rejected, 1),
            kept(&names.stops, 1),
            TopicDefinition {
                name: names.clock.clone(),
                partitions: 1,
                settings: vec![
                    deleted(),
                    setting("retention.ms", CLOCK_RETENTION_MS, Free),
                    setting("message.timestamp.type", "LogAppendTime", Exactly),
                ],
            },
        ]
    }

    /// The topic of a queue's executions.
    pub(crate) fn executions(config: &KafkaConfig, name: &str) -> TopicDefinition {
        of_queue(config, name, config.queue_partitions, config.retention_ms)
    }

    /// The topic of a queue's dead letters: they are few, and kept until somebody takes them away.
    pub(crate) fn dead_letters(config: &KafkaConfig, name: &str) -> TopicDefinition {
        of_queue(config, name, 1, -1)
    }
}

/// How often it is looked whether a topic has appeared.
pub(crate) const APPEARS: std::time::Duration = std::time::Duration::from_millis(20);

/// Whose a topic is that was to be made and is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It was made as it was asked for.
    Now,
    /// It was there already, not listed yet perhaps: its settings are anybody's.
    ByAnother,
}

impl Client {
    /// What every installation's topics must look like.
    pub fn definitions(&self) -> Vec<TopicDefinition> {
        TopicDefinition::all(self.config(), self.names())
    }

    /// Makes topics, all with one request, and answers what became of each, in their order.
    pub(crate) async fn create_all(
        &self,
        definitions: &[TopicDefinition],
    ) -> Result<Vec<Result<Created, PortError>>, PortError> {
        let copies = self.config().replication_factor;
        let topics: Vec<NewTopic<'_>> = definitions
            .iter()
            .map(|definition| {
                let partitions = i32::try_from(definition.partitions).unwrap_or(1);
                let topic = NewTopic::new(
                    &definition.name,
                    partitions,
                    TopicReplication::Fixed(copies),
                );
                definition
                    .settings
                    .iter()
                    .fold(topic, |topic, made| topic.set(made.name, &made.value))
            })
            .collect();
        let timeout = self.timeout();
        let options = AdminOptions::new()
            .operation_timeout(Some(timeout))
            .request_timeout(Some(timeout));
        let action = format!("create {} topics", topics.len());
        let answers = self.admin().create_topics(&topics, &options).await;
        let answers = answers.map_err(|error| port_error(action, error))?;
        let outcome = |answer: rdkafka::admin::TopicResult| match answer {
            Ok(name) => (name, Ok(Created::Now)),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => (name, Ok(Created::ByAnother)),
            Err((name, code)) => {
                let action = format!("create the topic {name}");
                let error = PortError::new(class_of(code), action, in_words(code));
                (name, Err(error))
            }
        };
        let mut outcomes: BTreeMap<String, Result<Created, PortError>> =
            answers.into_iter().map(outcome).collect();
        let of = |definition: &TopicDefinition| {
            let unknown = Ok(Created::ByAnother);
            outcomes.remove(&definition.name).unwrap_or(unknown)
        };
        Ok(definitions.iter().map(of).collect())
    }

    /// Makes a topic; one that has appeared meanwhile is as good.
    pub(crate) async fn create(&self, definition: &TopicDefinition) -> Result<(), PortError> {
        let answers = self.create_all(std::slice::from_ref(definition)).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// The number of partitions of a topic that is made when it is missing. Blocks; not for an
    /// async thread.
    pub(crate) fn ensure(&self, definition: &TopicDefinition) -> Result<u32, PortError> {
        if let Some(partitions) = self.known(&definition.name) {
            return Ok(partitions);
        }
        let mut created = false;
        let deadline = self.deadline();
        loop {
            if let Some(partitions) = self.list()?.get(&definition.name) {
                self.learn(&definition.name, *partitions);
                return Ok(*partitions);
            }
            if !created {
                self.runtime().block_on(self.create(definition))?;
                created = true;
            } else if std::time::Instant::now() > deadline {
                let action = format!("find the topic {}", definition.name);
                return Err(PortError::new(
                    ErrorClass::Retry,
                    action,
                    "it was made and does not appear yet",
                ));
            } else {
                std::thread::sleep(APPEARS);
            }
        }
    }

    /// Makes a queue's topic of executions when it is missing; answers its number of partitions.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub async fn ensure_queue(&self, queue: &QueueName) -> Result<u32, PortError> {
        let definition =
            TopicDefinition::executions(self.config(), &self.names().executions(queue));
        let client = self.shared();
        blocking(move || client.ensure(&definition)).await
    }

    /// Whether the cluster has a topic.
    pub async fn has_topic(&self, topic: &str) -> bool {
        self.topics()
            .await
            .is_ok_and(|topics| topics.contains_key(topic))
    }

    /// Every topic and its number of partitions.
    pub(crate) async fn topics(&self) -> Result<BTreeMap<String, u32>, PortError> {
        let client = self.shared();
        blocking(move || client.list()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::queue_topic;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_of_others_is_told_from_one_made_now() {
        let (client, topic) = queue_topic("created").await;
        let definition = |name: &str| TopicDefinition::executions(client.config(), name);
        let wanted = [definition(&topic), definition(&format!("{topic}-new"))];
        let answers = client.create_all(&wanted).await.unwrap();
        let created: Vec<Created> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(created, [Created::ByAnother, Created::Now]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_said_of_a_topic_is_not_replaced() {
        let (client, topic) = queue_topic("unsaid").await;
        let set_up = |name, value| client.set_up_unsaid(&topic, name, value);
        assert!(set_up("segment.ms", "700000").await.unwrap());
        assert!(!set_up(IN_SYNC, "1").await.unwrap());
        let settings = client.topic_settings(&[&topic]).await.unwrap();
        assert_eq!(settings[&topic]["segment.ms"], "700000");
        assert_eq!(settings[&topic]["cleanup.policy"], "delete");
    }
}
