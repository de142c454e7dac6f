//! The topics: what each must look like, making those that are missing, and refusing those that differ.

use minutehand_model::QueueName;
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Client, blocking};
use crate::config::KafkaConfig;
use crate::error::{class_of, port_error};
use crate::names::TopicNames;

/// How a topic is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
    /// Its settings, in Kafka's own words.
    pub settings: Vec<(&'static str, String)>,
}

/// How a topic stands against its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicStanding {
    /// It is there, with the right number of partitions.
    Present,
    /// It was not there and has been made.
    Created,
    /// It is not there.
    Missing,
    /// It is there with this number of partitions, which is another one.
    Differs(u32),
}

impl TopicDefinition {
    /// The topics that every installation has; those of queues are made when they are first published to.
    pub(crate) fn all(config: &KafkaConfig, names: &TopicNames) -> Vec<TopicDefinition> {
        let compacted = |name: &str| TopicDefinition {
            name: name.to_owned(),
            partitions: config.partitions,
            settings: vec![
                ("cleanup.policy", "compact".to_owned()),
                // The broker's time of a claim is compared with the owner's clock.
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                // A checkpoint a tick: small segments, so that the cleaner finds something to do.
                ("segment.bytes", (64 << 20).to_string()),
                ("segment.ms", "600000".to_owned()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("delete.retention.ms", "3600000".to_owned()),
            ],
        };
        let kept = |name: &str, partitions: u32| TopicDefinition {
            name: name.to_owned(),
            partitions,
            settings: vec![
                ("retention.ms", config.retention_ms.to_string()),
                ("message.timestamp.type", "CreateTime".to_owned()),
            ],
        };
        vec![
            TopicDefinition {
                name: names.commands.clone(),
                partitions: config.partitions,
                settings: vec![
                    ("retention.ms", config.command_retention_ms.to_string()),
                    // The time of a command is the log's: producers' clocks decide nothing.
                    ("message.timestamp.type", "LogAppendTime".to_owned()),
                    ("max.message.bytes", (2 << 20).to_string()),
                ],
            },
            compacted(&names.checkpoints),
            compacted(&names.schedule_state),
            kept(&names.outcomes, config.partitions),
            kept(&names.rejected, 1),
            kept(&names.stops, 1),
        ]
    }

    /// The topic of a queue's executions.
    pub(crate) fn executions(config: &KafkaConfig, name: &str) -> TopicDefinition {
        TopicDefinition {
            name: name.to_owned(),
            partitions: config.queue_partitions,
            settings: vec![
                ("retention.ms", config.retention_ms.to_string()),
                ("max.message.bytes", (2 << 20).to_string()),
            ],
        }
    }

    /// The topic of a queue's dead letters: they are few, and kept until somebody takes them away.
    pub(crate) fn dead_letters(name: &str) -> TopicDefinition {
        TopicDefinition {
            name: name.to_owned(),
            partitions: 1,
            settings: vec![("retention.ms", "-1".to_owned()), ("max.message.bytes", (2 << 20).to_string())],
        }
    }
}

/// How often it is looked whether a topic has appeared.
const APPEARS: std::time::Duration = std::time::Duration::from_millis(20);

impl Client {
    /// What every installation's topics must look like.
    pub fn definitions(&self) -> Vec<TopicDefinition> {
        TopicDefinition::all(self.config(), self.names())
    }

    /// How every topic of the installation stands.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn standings(&self) -> Result<Vec<(TopicDefinition, TopicStanding)>, PortError> {
        let there = self.topics().await?;
        let standing = |definition: &TopicDefinition| match there.get(&definition.name) {
            None => TopicStanding::Missing,
            Some(partitions) if *partitions == definition.partitions => TopicStanding::Present,
            Some(partitions) => TopicStanding::Differs(*partitions),
        };
        let definitions = self.definitions().into_iter();
        Ok(definitions
            .map(|definition| {
                let standing = standing(&definition);
                (definition, standing)
            })
            .collect())
    }

    /// Makes the topics that are missing, and answers how each stands then. Nothing that is there is changed.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub async fn apply_topics(&self) -> Result<Vec<(TopicDefinition, TopicStanding)>, PortError> {
        let mut standings = self.standings().await?;
        for (definition, standing) in &mut standings {
            if *standing == TopicStanding::Missing {
                self.create(definition).await?;
                *standing = TopicStanding::Created;
            }
        }
        // A topic that was made is not known to every broker at once.
        let deadline = self.deadline();
        while self.standings().await?.iter().any(|(_, standing)| *standing == TopicStanding::Missing) {
            if std::time::Instant::now() > deadline {
                let reason = "they were made and do not appear yet";
                return Err(PortError::new(ErrorClass::Retry, "find the topics", reason));
            }
            tokio::time::sleep(APPEARS).await;
        }
        Ok(standings)
    }

    /// Refuses to go on when a topic is missing or has another number of partitions.
    ///
    /// # Errors
    /// Class `Fatal`, naming every topic that is not as it must be.
    pub async fn check_topics(&self) -> Result<(), PortError> {
        let wrong: Vec<String> = self.standings().await?.into_iter().filter_map(complaint).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "{}; run `minutehand schema apply` for what is missing, and set cluster.partitions to what is there",
            wrong.join(", ")
        );
        Err(PortError::new(ErrorClass::Fatal, "use the topics", reason))
    }

    /// Makes a topic; one that has appeared meanwhile is as good.
    pub(crate) async fn create(&self, definition: &TopicDefinition) -> Result<(), PortError> {
        let replication = TopicReplication::Fixed(self.config().replication_factor);
        let mut topic =
            NewTopic::new(&definition.name, i32::try_from(definition.partitions).unwrap_or(1), replication);
        for (key, value) in &definition.settings {
            topic = topic.set(key, value);
        }
        let action = format!("create the topic {}", definition.name);
        let timeout = std::time::Duration::from_millis(u64::from(self.config().request_timeout_ms));
        let options = AdminOptions::new().operation_timeout(Some(timeout)).request_timeout(Some(timeout));
        let answers = self.admin().create_topics([&topic], &options).await;
        match answers.map_err(|error| port_error(&action, error))?.pop() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(PortError::new(class_of(code), action, code.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The number of partitions of a topic that is made when it is missing. Blocks; not for an async thread.
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
                return Err(PortError::new(ErrorClass::Retry, action, "it was made and does not appear yet"));
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
        let definition = TopicDefinition::executions(self.config(), &self.names().executions(queue));
        let client = self.shared();
        blocking(move || client.ensure(&definition)).await
    }

    /// Whether the cluster has a topic.
    pub async fn has_topic(&self, topic: &str) -> bool {
        self.topics().await.is_ok_and(|topics| topics.contains_key(topic))
    }

    /// Every topic and its number of partitions.
    pub(crate) async fn topics(&self) -> Result<std::collections::BTreeMap<String, u32>, PortError> {
        let client = self.shared();
        blocking(move || client.list()).await
    }
}

fn complaint((definition, standing): (TopicDefinition, TopicStanding)) -> Option<String> {
    match standing {
        TopicStanding::Present | TopicStanding::Created => None,
        TopicStanding::Missing => Some(format!("{} is missing", definition.name)),
        TopicStanding::Differs(partitions) => Some(format!(
            "{} has {partitions} partitions and must have {}",
            definition.name, definition.partitions
        )),
    }
}
