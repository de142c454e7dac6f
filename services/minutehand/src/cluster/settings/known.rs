//! Every setting of a cluster's roles: its name with its unit, its built-in value, its limits, and what it does.

use minutehand_model::Persist;

use crate::webhooks;

/// One setting.
pub(super) struct Known {
    /// `section.key`
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// What a value must look like.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A whole number within limits, both inclusive.
    Number(i64, i64),
    Switch,
    Word(&'static [&'static str]),
    /// Any text; empty for none.
    Text,
    /// Texts with commas between them; in a file also an array.
    List,
    /// The path of a file; empty for none.
    Path,
    /// Never shown; empty for none.
    Secret,
    /// `ip:port`
    Address,
}

impl Known {
    pub(super) fn section(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(section, _)| section)
    }

    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("MINUTEHAND_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }

    /// Refuses what does not fit, with what would.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let (is_right, wanted) = match self.kind {
            Kind::Number(low, high) => (
                value.parse::<i64>().is_ok_and(|number| (low..=high).contains(&number)),
                format!("a whole number from {low} to {high}"),
            ),
            Kind::Switch => (matches!(value, "true" | "false"), "true or false".to_owned()),
            Kind::Word(words) => (words.contains(&value), format!("one of {}", words.join(", "))),
            Kind::Address => (
                value.parse::<std::net::SocketAddr>().is_ok(),
                "an address such as 127.0.0.1:8080".to_owned(),
            ),
            Kind::Text | Kind::List | Kind::Path | Kind::Secret => {
                (!value.contains('\0'), "text without zero bytes".to_owned())
            }
        };
        if is_right { Ok(()) } else { Err(wanted) }
    }
}

const fn known(name: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Known {
    Known { name, default, kind, help }
}

const fn number(name: &'static str, default: &'static str, low: i64, high: i64, help: &'static str) -> Known {
    known(name, default, Kind::Number(low, high), help)
}

const DAY_MS: i64 = 86_400_000;
const YEAR_MS: i64 = 365 * DAY_MS;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

use Kind::{Address, List, Path, Secret, Switch, Text, Word};

/// Every setting, in the order in which `config show` prints them.
pub(super) const KNOWN: &[Known] = &[
    known("cluster.region", "local", Text, "the region: its schedulers share the partitions"),
    number(
        "cluster.region_epoch",
        "0",
        0,
        32_767,
        "raised, everywhere, after etcd was restored from a backup",
    ),
    number("cluster.partitions", "16", 1, 1_024, "partitions; fixed once the schema has been applied"),
    known("cluster.token", "", Secret, "shared by all roles, 16 characters at least; needed beyond loopback"),
    known(
        "cluster.token_file",
        "",
        Path,
        "a file that holds the token; of several lines the first is shown, all are accepted",
    ),
    //
    known("kafka.brokers", "127.0.0.1:9092", List, "host:port of some brokers"),
    known("kafka.topic_prefix", "minutehand", Text, "what every topic's name begins with"),
    number(
        "kafka.queue_partitions",
        "16",
        1,
        1_024,
        "partitions of a queue's topic; a divisor or multiple of all",
    ),
    number("kafka.replication_factor", "1", 1, 16, "copies of every topic that is made"),
    number("kafka.command_retention_ms", "86400000", 60_000, YEAR_MS, "how long the command log is kept"),
    number("kafka.retention_ms", "604800000", 60_000, YEAR_MS, "how long executions and outcomes are kept"),
    number(
        "kafka.transaction_timeout_ms",
        "10000",
        1_000,
        900_000,
        "the broker gives up a longer transaction",
    ),
    number("kafka.slow_commit_ms", "1000", 10, 900_000, "a slower commit is followed by a new producer"),
    number("kafka.request_timeout_ms", "10000", 100, 600_000, "longest wait for a broker's answer"),
    number(
        "kafka.session_timeout_ms",
        "10000",
        1_000,
        600_000,
        "a worker not heard of for so long is replaced",
    ),
    number("kafka.clock_skew_ms_max", "5000", 100, 86_400_000, "how far our clock may be from the brokers'"),
    number(
        "kafka.log_generation",
        "0",
        0,
        32_767,
        "which of its logs `commands` is; 0 unless another region went on",
    ),
    number("kafka.append_linger_ms", "1", 0, 1_000, "how long commands are gathered before they are sent"),
    number("kafka.read_ahead_bytes_max", "16777216", MIB, 4 * GIB, "log read ahead, of each partition"),
    number("kafka.queue_topics_max", "20000", 1, 1_000_000, "most topics of queues that are made"),
    number("kafka.topic_wait_ms", "250", 0, 10_000, "how long a tick waits for a new queue's topic"),
    known("kafka.cloudevents_queues", "", List, "queues whose executions come out as CloudEvents"),
    known("kafka.tls", "false", Switch, "encrypt connections to brokers"),
    known("kafka.tls_ca_file", "", Path, "authorities (PEM) of the brokers' certificates; else the system's"),
    known("kafka.tls_cert_file", "", Path, "our certificate (PEM), where brokers ask for one"),
    known("kafka.tls_key_file", "", Path, "the key (PEM) of that certificate"),
    known(
        "kafka.sasl_mechanism",
        "none",
        Word(&["none", "plain", "scram-sha-256", "scram-sha-512"]),
        "how the password is proved",
    ),
    known("kafka.username", "", Text, "the user, with a mechanism"),
    known("kafka.password", "", Secret, "the user's password"),
    known("kafka.password_file", "", Path, "a file that holds the password"),
    //
    known("cassandra.contact_points", "127.0.0.1:9042", List, "host:port of some nodes"),
    known("cassandra.keyspace", "minutehand", Text, "the keyspace"),
    known(
        "cassandra.replication",
        "",
        Text,
        "copies of a keyspace that is made, dc1:3,dc2:3; else by its nodes",
    ),
    known("cassandra.local_datacenter", "", Text, "whose replicas are asked; needed where there are several"),
    number("cassandra.connect_timeout_ms", "5000", 100, 600_000, "longest time to connect"),
    number(
        "cassandra.request_timeout_ms",
        "10000",
        100,
        600_000,
        "longest request, all its attempts included",
    ),
    number(
        "cassandra.retention_ms",
        "604800000",
        60_000,
        YEAR_MS,
        "how long rows are kept after they were due",
    ),
    number("cassandra.writes_in_flight_max", "32", 1, 4_096, "writes of blocks under way at once"),
    known("cassandra.task_index", "true", Switch, "far tasks can be found by id"),
    known("cassandra.tls", "false", Switch, "encrypt connections to nodes"),
    known(
        "cassandra.tls_ca_file",
        "",
        Path,
        "authorities (PEM) of the nodes' certificates; else the system's",
    ),
    known("cassandra.tls_cert_file", "", Path, "our certificate (PEM), where nodes ask for one"),
    known("cassandra.tls_key_file", "", Path, "the key (PEM) of that certificate"),
    known("cassandra.tls_verify_hostnames", "true", Switch, "certificates must name the node's address"),
    known("cassandra.username", "", Text, "the user, where nodes ask for one"),
    known("cassandra.password", "", Secret, "the user's password"),
    known("cassandra.password_file", "", Path, "a file that holds the password"),
    //
    known("etcd.endpoints", "127.0.0.1:2379", List, "host:port of the members"),
    known("etcd.prefix", "/minutehand", Text, "the folder of our keys"),
    number(
        "etcd.lease_ttl_ms",
        "5000",
        1_000,
        600_000,
        "lease TTL; a crashed scheduler's partitions stay unowned this long",
    ),
    known("etcd.tls", "false", Switch, "encrypt connections to members"),
    known("etcd.tls_ca_file", "", Path, "authorities (PEM) of the members' certificates; needed with tls"),
    known("etcd.tls_cert_file", "", Path, "our certificate (PEM), where members ask for one"),
    known("etcd.tls_key_file", "", Path, "the key (PEM) of that certificate"),
    known("etcd.tls_domain", "", Text, "the name in the members' certificates, if not the endpoint's"),
    known("etcd.username", "", Text, "the user, where members ask for one"),
    known("etcd.password", "", Secret, "the user's password"),
    known("etcd.password_file", "", Path, "a file that holds the password"),
    //
    known(
        "timetable.persist",
        Persist::BeyondLookAhead.as_str(),
        Word(Persist::WORDS),
        "which tasks Cassandra gets: those beyond the look-ahead, or all",
    ),
    //
    known("scheduler.node_id", "", Text, "unique in the region; host name and port unless given"),
    known("scheduler.zone", "", Text, "the zone or rack it stands in"),
    known("scheduler.listen", "127.0.0.1:8081", Address, "health, metrics, and the questions of gateways"),
    known(
        "scheduler.advertise",
        "",
        Text,
        "host:port where gateways reach it; where it listens unless given",
    ),
    number("scheduler.look_ahead_ms", "30000", 1_000, DAY_MS, "how far ahead the timetable is in memory"),
    number(
        "scheduler.dedupe_window_ms",
        "30000",
        0,
        DAY_MS,
        "how long after it ran a task is not made again",
    ),
    number(
        "scheduler.memory_bytes_max",
        "1073741824",
        16 * MIB,
        64 * GIB,
        "memory for tasks, of all partitions together",
    ),
    number("scheduler.flush_interval_ms", "5000", 10, 600_000, "how long an entry waits for its block"),
    number("scheduler.tick_publications_max", "8192", 1, MIB, "most executions in one tick"),
    number("scheduler.normal_tick_delay_ms", "25", 0, 1_000, "how long `normal` may wait for a fuller tick"),
    number("scheduler.low_tick_delay_ms", "500", 0, 10_000, "how long `low` may wait for a fuller tick"),
    number(
        "scheduler.catch_up_after_ms",
        "2000",
        0,
        DAY_MS,
        "what is later yields to what is on time; 0: never",
    ),
    number(
        "scheduler.catch_up_rate_per_s",
        "0",
        0,
        1 << 30,
        "most late executions a second, of each partition; 0: any",
    ),
    number("scheduler.checkpoint_interval_ms", "1000", 10, 60_000, "a checkpoint at least this often"),
    //
    known("gateway.listen", "127.0.0.1:8080", Address, "the address of the API"),
    known("gateway.tokens_file", "", Path, "bearer tokens of callers; needed beyond loopback"),
    known("gateway.namespaces", "", List, "the namespaces that exist; any, on first use, unless given"),
    number("gateway.apply_wait_ms_max", "10000", 100, 120_000, "longest wait for an owner to catch up"),
    //
    known("worker.listen", "127.0.0.1:8082", Address, "health and metrics"),
    known("worker.queues", "", List, "the queues it serves"),
    known("worker.group", "default", Text, "the worker group"),
    number("worker.concurrency", "256", 1, MIB, "runs in progress at once, of each queue"),
    number("worker.concurrency_total", "4096", 1, MIB, "runs in progress at once, over all queues"),
    number("worker.run_timeout_ms", "3600000", 1, 30 * DAY_MS, "longest run, unless the task says otherwise"),
    number("worker.drain_ms", "10000", 0, 600_000, "how long running handlers are waited for when stopping"),
    known("worker.history", "failures", Word(&["none", "failures", "all"]), "which outcomes are kept"),
    known(
        "worker.unclaimed",
        "fail",
        Word(&["log", "fail"]),
        "executions no executor fits: done, or dead letters",
    ),
    known("worker.process_executor", "false", Switch, "tasks may run commands (header minutehand-command)"),
    known("worker.output_dir", "", Path, "a folder for what commands print; not kept unless given"),
    known("worker.webhook_url", "", Text, webhooks::help::URL),
    known("worker.webhook_secret", "", Secret, "what webhooks are signed with: whsec_ and Base64"),
    known("worker.webhook_secret_file", "", Path, webhooks::help::SECRET_FILE),
    known("worker.webhook_secret_previous", "", Secret, "the secret before it, which signs as well"),
    known("worker.webhook_secret_previous_file", "", Path, webhooks::help::SECRET_PREVIOUS_FILE),
    known("worker.webhook_ports", webhooks::PORTS_DEFAULT, List, webhooks::help::PORTS),
    known("worker.webhook_allow_cidrs", "", List, webhooks::help::ALLOW_CIDRS),
    known("worker.webhook_private_networks", "false", Switch, webhooks::help::PRIVATE_NETWORKS),
    number(
        "worker.webhook_timeout_ms",
        webhooks::TIMEOUT_MS_DEFAULT,
        1,
        30 * DAY_MS,
        webhooks::help::TIMEOUT_MS,
    ),
    number(
        "worker.webhook_timeout_ms_max",
        webhooks::TIMEOUT_MS_MAX_DEFAULT,
        1,
        30 * DAY_MS,
        webhooks::help::TIMEOUT_MS_MAX,
    ),
    //
    known("http.tls_cert_file", "", Path, "serve HTTPS with this certificate (PEM) and those above it"),
    known("http.tls_key_file", "", Path, "the key (PEM) of that certificate"),
    known("http.tls_client_ca_file", "", Path, "callers must show a certificate of these authorities (PEM)"),
    number("http.drain_ms", "10000", 0, 600_000, "how long requests under way are waited for when stopping"),
    known("http.peer_ca_file", "", Path, "authorities (PEM) of schedulers' certificates, for gateways"),
    //
    known("telemetry.log", "warn,minutehand=info", Text, "what is logged, as `level` or `target=level,…`"),
    known("telemetry.log_format", "text", Word(&["text", "json"]), "how lines of the log look"),
];
