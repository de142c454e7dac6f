//! The sections that the program itself obeys.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use minutehand_cli::{Exit, Failure};
use minutehand_http::TlsFiles;
use minutehand_model::time::DAY_MS;
use minutehand_model::{GroupName, Namespace, QueueName};
use minutehand_settings::{Secret, both_or_none};
use minutehand_worker::{DeadLetterHook, HistoryPolicy, HookUrl, ResultTopic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What everybody must agree about.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClusterConfig {
    /// The region: its schedulers share the partitions.
    pub(crate) region: String,
    /// Raised, everywhere, after etcd was restored from a backup.
    #[schemars(range(min = 0, max = 32_767))]
    pub(crate) region_epoch: u16,
    /// Partitions; fixed once the schema has been applied, or a data folder was made.
    #[schemars(range(min = 1, max = 1_024))]
    pub(crate) partitions: u32,
    /// Shared by all roles, 16 characters at least; needed beyond loopback.
    pub(crate) token: Option<Secret>,
    /// A file that holds the token; of several lines the first is shown, all are accepted.
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for ClusterConfig {
    fn default() -> ClusterConfig {
        ClusterConfig {
            region: "local".to_owned(),
            region_epoch: 0,
            partitions: 16,
            token: None,
            token_file: None,
        }
    }
}

/// A scheduler among others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SchedulerConfig {
    /// Unique in the region; host name and port unless given.
    pub(crate) node_id: Option<String>,
    /// The zone or rack it stands in.
    pub(crate) zone: Option<String>,
    /// Health, metrics, and the questions of gateways.
    #[schemars(with = "String", extend("format" = "address"))]
    pub(crate) listen: SocketAddr,
    /// `host:port` where gateways reach it; where it listens unless given.
    pub(crate) advertise: Option<String>,
}

impl Default for SchedulerConfig {
    fn default() -> SchedulerConfig {
        SchedulerConfig {
            node_id: None,
            zone: None,
            listen: loopback(8081),
            advertise: None,
        }
    }
}

/// The HTTP API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// The address of API, page and metrics.
    #[schemars(with = "String", extend("format" = "address"))]
    pub(crate) listen: SocketAddr,
    /// `host:port` where other gateways reach it, with answers to its leases; where it listens
    /// unless given.
    pub(crate) advertise: Option<String>,
    /// Bearer tokens of callers; needed beyond loopback.
    pub(crate) tokens_file: Option<PathBuf>,
    /// The namespaces that exist; any, on first use, unless given.
    pub(crate) namespaces: Vec<Namespace>,
    /// Longest wait for an owner to catch up, in milliseconds.
    #[schemars(range(min = 100, max = 120_000))]
    pub(crate) apply_wait_ms_max: u64,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            listen: loopback(8080),
            advertise: None,
            tokens_file: None,
            namespaces: Vec::new(),
            apply_wait_ms_max: 10_000,
        }
    }
}

/// What becomes of executions that no executor fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unclaimed {
    /// They are logged as done.
    Log,
    /// They are dead letters, with the reason.
    Fail,
    /// They stay in their queue: `dev` takes executions only from queues of commands.
    Keep,
}

/// Running executions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WorkerConfig {
    /// Health and metrics.
    #[schemars(with = "String", extend("format" = "address"))]
    pub(crate) listen: SocketAddr,
    /// The queues it serves; `dev` serves all.
    pub(crate) queues: Vec<QueueName>,
    /// The worker group.
    #[schemars(with = "String")]
    pub(crate) group: GroupName,
    /// Runs in progress at once, of each queue.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) concurrency: usize,
    /// Runs in progress at once, over all queues; fewer in `dev` where the process may open few
    /// files.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub(crate) concurrency_total: usize,
    /// Longest run, in milliseconds, unless the task says otherwise.
    #[schemars(range(min = 1, max = 30 * DAY_MS))]
    pub(crate) run_timeout_ms: i64,
    /// How long running handlers are waited for when stopping, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub(crate) drain_ms: i64,
    /// Which outcomes of single tasks are kept; those of schedules always are, but with `none`.
    pub(crate) history: HistoryPolicy,
    /// The queue whose tasks tell of dead letters of all others; none unless given.
    pub(crate) dead_letter_queue: Option<QueueName>,
    /// Where those tasks are posted (http or https); left to the queue's workers unless given.
    pub(crate) dead_letter_url: Option<HookUrl>,
    /// Executions no executor fits: `log` them as done, `fail` makes them dead letters, `keep` (in
    /// `dev`) leaves them in their queue.
    pub(crate) unclaimed: Unclaimed,
    /// Tasks may run commands (queue `process`, header `minutehand-command`); always on for
    /// `--crontab` lines.
    pub(crate) process_executor: bool,
    /// Topics of Kafka that results of queues go to, `queue=topic` each, in one transaction with
    /// the settlement; not in `dev`.
    pub(crate) result_topics: Vec<ResultTopic>,
    /// A folder for what commands print; not kept unless given, in `dev` a folder beside the data.
    pub(crate) output_dir: Option<PathBuf>,
}

impl WorkerConfig {
    /// Who is told of dead letters.
    pub(crate) fn dead_letter_hook(&self) -> Option<DeadLetterHook> {
        let queue = self.dead_letter_queue.clone()?;
        Some(DeadLetterHook {
            queue,
            url: self.dead_letter_url.clone(),
        })
    }

    /// A URL without a queue would be told of nothing.
    pub(crate) fn refuse_url_alone(&self) -> Result<(), Failure> {
        let (None, Some(url)) = (&self.dead_letter_queue, &self.dead_letter_url) else {
            return Ok(());
        };
        let url = String::from(url.clone());
        let words = format!(
            "worker.dead_letter_url is {url:?} and worker.dead_letter_queue is not set; name the queue that is to tell of dead letters"
        );
        Err(Failure::new(Exit::Usage, words))
    }

    /// `dev` has no topics that results could go to.
    pub(crate) fn refuse_result_topics(&self) -> Result<(), Failure> {
        let Some(ResultTopic { queue, topic }) = self.result_topics.first() else {
            return Ok(());
        };
        let words = format!(
            "worker.result_topics sends results of {queue} to the topic {topic}, and `dev` has no Kafka; leave it out, or run \
             `minutehand worker`"
        );
        Err(Failure::new(Exit::Usage, words))
    }
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig {
            listen: loopback(8082),
            queues: Vec::new(),
            group: GroupName::default(),
            concurrency: 256,
            concurrency_total: 4_096,
            run_timeout_ms: 3_600_000,
            drain_ms: 10_000,
            history: HistoryPolicy::Failures,
            dead_letter_queue: None,
            dead_letter_url: None,
            unclaimed: Unclaimed::Fail,
            process_executor: false,
            result_topics: Vec::new(),
            output_dir: None,
        }
    }
}

/// HTTP of every role.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Serve HTTPS with this certificate (PEM), and those above it.
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    pub(crate) tls_key_file: Option<PathBuf>,
    /// Callers must show a certificate of these authorities (PEM).
    pub(crate) tls_client_ca_file: Option<PathBuf>,
    /// How long requests under way are waited for when stopping, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub(crate) drain_ms: u64,
    /// Authorities (PEM) of schedulers' certificates, for gateways.
    pub(crate) peer_ca_file: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            drain_ms: 10_000,
            peer_ca_file: None,
        }
    }
}

impl HttpConfig {
    /// The files to serve HTTPS with.
    pub(crate) fn tls_files(&self) -> Result<Option<TlsFiles>, Failure> {
        let cert = ("http.tls_cert_file", self.tls_cert_file.is_some());
        both_or_none(cert, ("http.tls_key_file", self.tls_key_file.is_some()))?;
        if self.tls_client_ca_file.is_some() {
            both_or_none(("http.tls_client_ca_file", true), cert)?;
        }
        let files = self.tls_cert_file.clone().zip(self.tls_key_file.clone());
        Ok(files.map(|(cert, key)| TlsFiles {
            cert,
            key,
            client_ca: self.tls_client_ca_file.clone(),
        }))
    }
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What the process tells of itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    /// What is logged, as `level` or `target=level,…`.
    pub(crate) log: String,
    /// How lines of the log look.
    pub(crate) log_format: LogFormat,
    /// A collector that spans of runs are sent to, by OTLP over HTTP (protobuf):
    /// `http://HOST:4318/v1/traces`. Runs are traced whose task has a sampled `traceparent`.
    pub(crate) traces_url: Option<HookUrl>,
    /// Of runs whose task has no `traceparent`, so many in a hundred are traced as well.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) traced_percent: u8,
}

impl Default for TelemetryConfig {
    fn default() -> TelemetryConfig {
        TelemetryConfig {
            log: "warn,minutehand=info".to_owned(),
            log_format: LogFormat::Text,
            traces_url: None,
            traced_percent: 0,
        }
    }
}
