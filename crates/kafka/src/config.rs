//! How to reach a Kafka cluster, and how each kind of client is set up.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use minutehand_model::limits::{RECORD_BYTES_MAX, TOPIC_RECORD_BYTES_MAX};
use minutehand_model::{LogGeneration, LogOffset, QueueName};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// A password: it has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// How a client proves who it is by a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password travels as it is: only over TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// The mechanism's registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Encryption, and who is trusted. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signs the brokers' certificates; the system's authorities when absent.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate, where brokers ask for one.
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
}

/// How connections are secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Encrypted when present.
    pub tls: Option<Tls>,
    /// With a password when present.
    pub sasl: Option<Sasl>,
}

impl Security {
    const fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        }
    }
}

/// How to reach a Kafka cluster and what is kept there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// What every topic's name begins with.
    pub topic_prefix: String,
    /// The region; part of every transactional id.
    pub region: String,
    /// Partitions of the command log.
    pub partitions: u32,
    /// Which of its logs the command log is: 0 where no other region has ever gone on with this one's partitions.
    pub log_generation: LogGeneration,
    /// Partitions of a queue's topic when it is made: a divisor or a multiple of `partitions`.
    pub queue_partitions: u32,
    /// Copies of every topic when it is made.
    pub replication_factor: i32,
    /// How long the command log keeps records, in milliseconds; what lies at or after R must be kept.
    pub command_retention_ms: u64,
    /// How long executions, outcomes and rejected records are kept, in milliseconds.
    pub retention_ms: u64,
    /// A transaction that takes longer is given up by the broker, and by us.
    pub transaction_timeout_ms: u32,
    /// A commit that took longer is followed by a new producer, in milliseconds.
    pub slow_commit_ms: u64,
    /// Longest wait for an answer of a broker, in milliseconds.
    pub request_timeout_ms: u32,
    /// A worker that is not heard of for so long loses its partitions to others, in milliseconds.
    pub session_timeout_ms: u32,
    /// How long the producer of commands gathers records, in milliseconds.
    pub append_linger_ms: u32,
    /// Bytes that a reader of the command log keeps ahead of its owner.
    pub read_ahead_bytes_max: usize,
    /// Furthest that this machine's clock may be from the brokers', in milliseconds; beyond it nothing is owned.
    pub clock_skew_ms_max: i64,
    /// Queues whose executions come out as CloudEvents, unless a task says otherwise.
    pub cloudevents_queues: BTreeSet<QueueName>,
    /// Most topics of queues that are made; what is published to further queues becomes a dead letter.
    pub queue_topics_max: u32,
    /// Longest that a tick waits for the topics of queues that it is the first to need, in milliseconds; what has to wait longer
    /// is put off to a later tick.
    pub topic_wait_ms: u32,
    /// How connections are secured.
    pub security: Security,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_prefix: "minutehand".to_owned(),
            region: "local".to_owned(),
            partitions: 16,
            log_generation: LogGeneration::FIRST,
            queue_partitions: 16,
            replication_factor: 1,
            command_retention_ms: 24 * 3_600_000,
            retention_ms: 7 * 24 * 3_600_000,
            transaction_timeout_ms: 10_000,
            slow_commit_ms: 1_000,
            request_timeout_ms: 10_000,
            session_timeout_ms: 10_000,
            append_linger_ms: 1,
            read_ahead_bytes_max: 16 * 1024 * 1024,
            clock_skew_ms_max: 5_000,
            cloudevents_queues: BTreeSet::new(),
            queue_topics_max: 20_000,
            topic_wait_ms: 250,
            security: Security::default(),
        }
    }
}

/// Largest batch of records that is sent to a partition, in bytes: one that is not full yet takes another record.
const BATCH_BYTES_MAX: usize = 1_000_000;

/// What a topic that others made must take at least, in bytes: Kafka's own default.
pub(crate) const BATCH_WITH_FRAME_BYTES_MAX: usize = 1_048_588;

const _: () = assert!(
    BATCH_BYTES_MAX + 16 * 1024 < BATCH_WITH_FRAME_BYTES_MAX,
    "a batch and its frame fit the default"
);
const _: () =
    assert!(BATCH_WITH_FRAME_BYTES_MAX <= TOPIC_RECORD_BYTES_MAX, "topics of ours take every batch");

impl KafkaConfig {
    /// The offset of a position in the topic of commands.
    pub(crate) fn command_offset(&self, position: u64) -> LogOffset {
        LogOffset::start_of(self.log_generation).plus(position)
    }

    /// What all clients have in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "minutehand")
            .set("socket.timeout.ms", self.request_timeout_ms.to_string())
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set("security.protocol", self.security.protocol())
            .set_log_level(RDKafkaLogLevel::Warning);
        if let Some(tls) = &self.security.tls {
            let files = [
                ("ssl.ca.location", &tls.ca_file),
                ("ssl.certificate.location", &tls.cert_file),
                ("ssl.key.location", &tls.key_file),
            ];
            for (key, file) in files {
                if let Some(file) = file {
                    config.set(key, file.to_string_lossy());
                }
            }
        }
        if let Some(sasl) = &self.security.sasl {
            config
                .set("sasl.mechanisms", sasl.mechanism.as_str())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", &sasl.password.0);
        }
        config
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            // As the Java client places keys, so that producers in other languages agree.
            .set("partitioner", "murmur2_random")
            // A topic that is gone is said to be gone, before whoever needs it has given up waiting.
            .set("topic.metadata.propagation.max.ms", "3000")
            .set("batch.num.messages", "100000")
            .set("batch.size", BATCH_BYTES_MAX.to_string())
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576");
        config
    }

    /// A producer that appends commands.
    pub(crate) fn appender(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("linger.ms", self.append_linger_ms.to_string())
            .set("message.timeout.ms", self.request_timeout_ms.to_string());
        config
    }

    /// A producer of transactions under an id.
    pub(crate) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", self.transaction_timeout_ms.to_string())
            .set("message.timeout.ms", self.transaction_timeout_ms.to_string())
            .set("linger.ms", "1")
            // Reports of success are many and say nothing that the commit does not.
            .set("delivery.report.only.error", "true");
        config
    }

    /// A producer of ticks: it is told of success as well, because that says where in the log its decisions stand.
    pub(crate) fn ticks(&self, id: &str) -> ClientConfig {
        let mut config = self.transactional(id);
        config.set("delivery.report.only.error", "false");
        config
    }

    /// A reader of committed records that is told where a partition ends.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // Partitions are assigned by hand and nothing is committed; the library wants a name all the same.
            .set("group.id", format!("{}-owners", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.message.max.bytes", TOPIC_RECORD_BYTES_MAX.to_string())
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "32768");
        config
    }

    /// A member of a consumer group that commits its places itself. Its places are read only once transactions that
    /// move them are over.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (self.session_timeout_ms / 4).to_string())
            // A commit while no coordinator is known gives up after this, instead of ten minutes.
            .set("coordinator.query.interval.ms", self.request_timeout_ms.to_string())
            // A group that has consumed nothing begins with the oldest that is kept.
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "false")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "16384");
        config
    }
}
