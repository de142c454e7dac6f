//! How to reach a Kafka cluster, and how each kind of client is set up.

use minutehand_model::limits::{RECORD_BYTES_MAX, TOPIC_RECORD_BYTES_MAX};
use minutehand_model::time::DAY_MS;
use minutehand_model::{LogGeneration, LogOffset, QueueName};
use minutehand_settings::{ClientTls, Login, SettingsError, both_or_none};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::memory::{MemoryShares, ReadAhead};
use crate::names::TOPIC_PREFIX_BYTES_MAX;

/// How a client proves who it is by a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// It does not.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The password travels as it is: only over TLS.
    #[serde(rename = "plain")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl Mechanism {
    /// The mechanism's registered name.
    const fn registered(self) -> Option<&'static str> {
        match self {
            Mechanism::None => None,
            Mechanism::Plain => Some("PLAIN"),
            Mechanism::ScramSha256 => Some("SCRAM-SHA-256"),
            Mechanism::ScramSha512 => Some("SCRAM-SHA-512"),
        }
    }
}

/// How to reach Kafka, and what is kept there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port` of some brokers; the others are learned from them.
    pub brokers: Vec<String>,
    /// What every topic's name begins with.
    pub topic_prefix: String,
    /// The region; part of every transactional id.
    #[serde(skip)]
    pub region: String,
    /// Partitions of the command log.
    #[serde(skip)]
    pub partitions: u32,
    /// Which of its logs the command log is: 0 where no other region has ever gone on with this
    /// one's partitions.
    #[schemars(range(max = 32_767))]
    pub log_generation: LogGeneration,
    /// Partitions of a queue's topic when it is made: a divisor or a multiple of
    /// `cluster.partitions`.
    #[schemars(range(min = 1, max = 1_024))]
    pub queue_partitions: u32,
    /// Copies of every topic when it is made.
    #[schemars(range(min = 1, max = 16))]
    pub replication_factor: i32,
    /// How long the command log keeps records, in milliseconds; what lies at or after R must be
    /// kept.
    #[schemars(range(min = 60_000, max = 365 * DAY_MS))]
    pub command_retention_ms: u64,
    /// How long executions, outcomes and rejected records are kept, in milliseconds.
    #[schemars(range(min = 60_000, max = 365 * DAY_MS))]
    pub retention_ms: u64,
    /// A transaction that takes longer is given up by the broker, and by us.
    #[schemars(range(min = 1_000, max = 900_000))]
    pub transaction_timeout_ms: u32,
    /// A commit that took longer is followed by a new producer, in milliseconds.
    #[schemars(range(min = 10, max = 900_000))]
    pub slow_commit_ms: u64,
    /// Longest wait for an answer of a broker, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub request_timeout_ms: u32,
    /// A worker that is not heard of for so long loses its partitions to others, in milliseconds.
    #[schemars(range(min = 1_000, max = 600_000))]
    pub session_timeout_ms: u32,
    /// How long the producer of commands gathers records, in milliseconds.
    #[schemars(range(min = 0, max = 1_000))]
    pub append_linger_ms: u32,
    /// Bytes that a reader of the command log keeps ahead of its owner, for each partition; fewer
    /// where the logs' share of `engine.memory_bytes_max` is smaller.
    #[schemars(range(min = 1 << 20, max = 4_u64 << 30))]
    pub read_ahead_bytes_max: usize,
    /// Bytes that the readers of all partitions of the command log take together: the logs' part
    /// of [`MemoryShares`].
    #[serde(skip)]
    pub log_memory_bytes_max: usize,
    /// Furthest that this machine's clock may be from the brokers', in milliseconds; beyond it
    /// nothing is owned.
    #[schemars(range(min = 100, max = DAY_MS))]
    pub clock_skew_ms_max: i64,
    /// Queues whose executions come out as CloudEvents, unless a task says otherwise.
    pub cloudevents_queues: BTreeSet<QueueName>,
    /// Most topics of queues that are made; what is published to further queues, which have no
    /// topic of dead letters either, is set aside in `rejected`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue_topics_max: u32,
    /// Longest that a tick waits for the topics of queues that it is the first to need, in
    /// milliseconds; what has to wait longer is put off to a later tick.
    #[schemars(range(min = 0, max = 10_000))]
    pub topic_wait_ms: u32,
    /// How connections are encrypted.
    #[serde(flatten)]
    pub tls: ClientTls,
    /// How the password is proved.
    pub sasl_mechanism: Mechanism,
    /// Who we are.
    #[serde(flatten)]
    pub login: Login,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            brokers: vec!["127.0.0.1:9092".to_owned()],
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
            log_memory_bytes_max: MemoryShares::of(1024 * 1024 * 1024).logs,
            clock_skew_ms_max: 5_000,
            cloudevents_queues: BTreeSet::new(),
            queue_topics_max: 20_000,
            topic_wait_ms: 250,
            tls: ClientTls::default(),
            sasl_mechanism: Mechanism::None,
            login: Login::default(),
        }
    }
}

/// Largest batch of records that is sent to a partition, in bytes: one that is not full yet takes
/// another record.
const BATCH_BYTES_MAX: usize = 1_000_000;

/// How often readers of the command log tell what they hold, in milliseconds.
const STATISTICS_MS: &str = "5000";

/// What a topic that others made must take at least, in bytes: Kafka's own default.
pub(crate) const BATCH_WITH_FRAME_BYTES_MAX: usize = 1_048_588;

const _: () = assert!(
    BATCH_BYTES_MAX + 16 * 1024 < BATCH_WITH_FRAME_BYTES_MAX,
    "a batch and its frame fit the default"
);
const _: () = assert!(
    BATCH_WITH_FRAME_BYTES_MAX <= TOPIC_RECORD_BYTES_MAX,
    "topics of ours take every batch"
);

impl KafkaConfig {
    /// These settings with the password that a file may hold, when they fit each other.
    ///
    /// # Errors
    /// When they do not, or the file cannot be read.
    pub fn checked(self) -> Result<KafkaConfig, SettingsError> {
        self.tls.check("kafka")?;
        let login = self.login.checked("kafka")?;
        both_or_none(
            (
                "kafka.sasl_mechanism",
                self.sasl_mechanism != Mechanism::None,
            ),
            ("kafka.username", login.username.is_some()),
        )?;
        let prefix_bytes = self.topic_prefix.len();
        if prefix_bytes == 0 || prefix_bytes > TOPIC_PREFIX_BYTES_MAX {
            let wanted =
                format!("1 to {TOPIC_PREFIX_BYTES_MAX}, so that every queue's topic has a name");
            let given = format!("{prefix_bytes} bytes long");
            return Err(SettingsError::value("kafka.topic_prefix", given, wanted));
        }
        let (all, queue) = (self.partitions, self.queue_partitions);
        if !all.is_multiple_of(queue) && !queue.is_multiple_of(all) {
            let wanted = format!("a divisor or a multiple of cluster.partitions, {all}");
            return Err(SettingsError::value(
                "kafka.queue_partitions",
                queue,
                wanted,
            ));
        }
        Ok(KafkaConfig { login, ..self })
    }

    const fn protocol(&self) -> &'static str {
        match (self.tls.enabled, self.sasl_mechanism.registered()) {
            (false, None) => "plaintext",
            (true, None) => "ssl",
            (false, Some(_)) => "sasl_plaintext",
            (true, Some(_)) => "sasl_ssl",
        }
    }

    /// The offset of a position in the topic of commands.
    pub(crate) fn command_offset(&self, position: u64) -> LogOffset {
        LogOffset::start_of(self.log_generation).plus(position)
    }

    /// What all clients have in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "minutehand")
            .set("socket.timeout.ms", self.request_timeout_ms.to_string())
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set("security.protocol", self.protocol())
            .set_log_level(RDKafkaLogLevel::Warning);
        self.set_tls(&mut config);
        if let Some(mechanism) = self.sasl_mechanism.registered() {
            let (username, password) = self.login.credentials().unwrap_or_default();
            config
                .set("sasl.mechanisms", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password);
        }
        config
    }

    fn set_tls(&self, config: &mut ClientConfig) {
        let files = [
            ("ssl.ca.location", &self.tls.ca_file),
            ("ssl.certificate.location", &self.tls.cert_file),
            ("ssl.key.location", &self.tls.key_file),
        ];
        for (key, file) in files.into_iter().filter(|_| self.tls.enabled) {
            if let Some(file) = file {
                config.set(key, file.to_string_lossy());
            }
        }
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            // As the Java client places keys, so that producers in other languages agree.
            .set("partitioner", "murmur2_random")
            // A topic that is gone is said to be gone, before whoever needs it has given up
            // waiting.
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
            .set(
                "transaction.timeout.ms",
                self.transaction_timeout_ms.to_string(),
            )
            .set(
                "message.timeout.ms",
                self.transaction_timeout_ms.to_string(),
            )
            .set("linger.ms", "1")
            // For records that leave the choice of the partition to their key.
            .set("partitioner", "murmur2_random")
            // Reports of success are many and say nothing that the commit does not.
            .set("delivery.report.only.error", "true");
        config
    }

    /// A producer of ticks: it is told of success as well, because that says where in the log its
    /// decisions stand.
    pub(crate) fn ticks(&self, id: &str) -> ClientConfig {
        let mut config = self.transactional(id);
        config.set("delivery.report.only.error", "false");
        config
    }

    /// A reader of committed records that is told where a partition ends.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // Partitions are assigned by hand and nothing is committed; the library wants a name
            // all the same.
            .set("group.id", format!("{}-owners", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set(
                "fetch.message.max.bytes",
                TOPIC_RECORD_BYTES_MAX.to_string(),
            )
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "32768");
        config
    }

    /// What a reader of the command log keeps ahead of its owner.
    pub(crate) fn read_ahead(&self) -> ReadAhead {
        ReadAhead::of(
            self.log_memory_bytes_max,
            self.partitions,
            self.read_ahead_bytes_max,
        )
    }

    /// The reader of a partition of the command log: it tells now and then how much it holds.
    pub(crate) fn log_reader(&self) -> ClientConfig {
        let mut config = self.reader();
        self.read_ahead().apply(&mut config);
        config.set("statistics.interval.ms", STATISTICS_MS);
        config
    }

    /// A member of a consumer group that commits its places itself. Its places are read only once
    /// transactions that move them are over.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            .set(
                "heartbeat.interval.ms",
                (self.session_timeout_ms / 4).to_string(),
            )
            // A commit while no coordinator is known gives up after this, instead of ten minutes.
            .set(
                "coordinator.query.interval.ms",
                self.request_timeout_ms.to_string(),
            )
            // A group that has consumed nothing begins with the oldest that is kept.
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "false")
            // What is fetched ahead costs a kilobyte each, whatever is in it.
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "4096");
        config
    }
}
