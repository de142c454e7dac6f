//! Commands, ticks, checkpoints and queues on Kafka: the log, sink and queue ports on librdkafka.
//!
//! [`Client`] knows the cluster and its topics; [`KafkaLog`] and [`KafkaSink`] are the ports that a
//! scheduler works on, [`KafkaQueue`] and [`KafkaHistory`] those of workers and the API. Every call
//! of librdkafka that may block runs on a thread of its own: a reader for each partition of the
//! command log, a committer for each partition that ticks, a member of the consumer group for each
//! worker group.
//!
//! Two properties of librdkafka shape this crate. `poll` of a producer runs out its time instead of
//! returning at the first event, so nothing here flushes: a tick waits in steps of a millisecond
//! until nothing is in flight. And it speaks version 1 of the transaction protocol, where a late
//! end of one transaction can end the next: after any call that failed or was slow the producer is
//! dropped, and a new one begins with a new producer epoch.

mod append;
mod client;
mod clock;
mod committer;
mod config;
mod deliveries;
mod error;
mod execution;
mod follow_ups;
mod headers;
mod history;
mod incoming;
mod letters;
mod listener;
mod log;
mod memory;
mod moment;
mod names;
mod queue;
mod queue_topics;
pub mod raw;
mod reader;
mod rules;
mod settings;
mod silence;
mod sink;
mod skips;
mod tail;
#[cfg(test)]
mod tests;
mod topics;
mod transact;

pub use client::Client;
pub use clock::BrokerClock;
pub use config::{KafkaConfig, Mechanism};
pub use history::KafkaHistory;
pub use log::KafkaLog;
pub use memory::MemoryShares;
pub use names::{TOPIC_PREFIX_BYTES_MAX, TopicNames};
pub use queue::KafkaQueue;
pub use rules::KafkaRulebook;
pub use settings::{Difference, TopicStanding};
pub use sink::KafkaSink;
pub use topics::{SettingRule, TopicDefinition, TopicSetting};
