//! What each part is told, from the settings.

use minutehand_cassandra::{CassandraConfig, Credentials};
use minutehand_cli::Failure;
use minutehand_engine::Config;
use minutehand_etcd::{EtcdConfig, MemberConfig};
use minutehand_http::TlsFiles;
use minutehand_kafka::{KafkaConfig, Mechanism, Sasl, Security, TOPIC_PREFIX_BYTES_MAX};
use minutehand_model::{LogGeneration, QueueName};

use super::failure::usage;
use super::settings::ClusterSettings;

/// A user and a password, which come together.
fn credentials(settings: &ClusterSettings, section: &str) -> Result<Option<(String, String)>, Failure> {
    let (username, password) = (format!("{section}.username"), format!("{section}.password"));
    match (settings.given(&username), settings.secret(&password)?) {
        (Some(name), Some(secret)) => Ok(Some((name.to_owned(), secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(usage(format!("{username} is set and {password} is not; set both or none"))),
        (None, Some(_)) => Err(usage(format!("{password} is set and {username} is not; set both or none"))),
    }
}

/// Certificate and key of ours, which come together.
fn identity(
    settings: &ClusterSettings,
    section: &str,
) -> Result<Option<(std::path::PathBuf, std::path::PathBuf)>, Failure> {
    let (cert, key) = (format!("{section}.tls_cert_file"), format!("{section}.tls_key_file"));
    match (settings.path(&cert), settings.path(&key)) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        _ => Err(usage(format!("one of {cert} and {key} is set; set both or none"))),
    }
}

/// The names of queues.
pub(super) fn queues(settings: &ClusterSettings, name: &str) -> Result<Vec<QueueName>, Failure> {
    let queues = settings.list(name);
    let parsed: Result<Vec<QueueName>, _> = queues.iter().map(|queue| QueueName::parse(queue)).collect();
    parsed.map_err(|error| usage(format!("{name}: {error}")))
}

/// How to reach Kafka.
pub(super) fn kafka(settings: &ClusterSettings) -> Result<KafkaConfig, Failure> {
    let password = credentials(settings, "kafka")?;
    let mechanism = match settings.text("kafka.sasl_mechanism") {
        "plain" => Some(Mechanism::Plain),
        "scram-sha-256" => Some(Mechanism::ScramSha256),
        "scram-sha-512" => Some(Mechanism::ScramSha512),
        _ => None,
    };
    let sasl = match (mechanism, password) {
        (Some(mechanism), Some((username, password))) => {
            Some(Sasl { mechanism, username, password: minutehand_kafka::Secret::new(password) })
        }
        (None, None) => None,
        (Some(_), None) => {
            return Err(usage("kafka.sasl_mechanism is set and kafka.username is not; set both or none"));
        }
        (None, Some(_)) => {
            return Err(usage("kafka.username is set and kafka.sasl_mechanism is none; set both or neither"));
        }
    };
    let files = identity(settings, "kafka")?;
    let tls = settings.is_on("kafka.tls").then(|| minutehand_kafka::Tls {
        ca_file: settings.path("kafka.tls_ca_file"),
        cert_file: files.as_ref().map(|(cert, _)| cert.clone()),
        key_file: files.as_ref().map(|(_, key)| key.clone()),
    });
    let config = KafkaConfig {
        brokers: settings.list("kafka.brokers").join(","),
        topic_prefix: settings.text("kafka.topic_prefix").to_owned(),
        region: settings.text("cluster.region").to_owned(),
        partitions: settings.number("cluster.partitions"),
        log_generation: LogGeneration::new(settings.number("kafka.log_generation"))
            .expect("the limits of the setting are those of a generation"),
        queue_partitions: settings.number("kafka.queue_partitions"),
        replication_factor: settings.number("kafka.replication_factor"),
        command_retention_ms: settings.number("kafka.command_retention_ms"),
        retention_ms: settings.number("kafka.retention_ms"),
        transaction_timeout_ms: settings.number("kafka.transaction_timeout_ms"),
        slow_commit_ms: settings.number("kafka.slow_commit_ms"),
        request_timeout_ms: settings.number("kafka.request_timeout_ms"),
        session_timeout_ms: settings.number("kafka.session_timeout_ms"),
        clock_skew_ms_max: settings.number("kafka.clock_skew_ms_max"),
        append_linger_ms: settings.number("kafka.append_linger_ms"),
        read_ahead_bytes_max: settings.number("kafka.read_ahead_bytes_max"),
        queue_topics_max: settings.number("kafka.queue_topics_max"),
        topic_wait_ms: settings.number("kafka.topic_wait_ms"),
        cloudevents_queues: queues(settings, "kafka.cloudevents_queues")?.into_iter().collect(),
        security: Security { tls, sasl },
    };
    let prefix_bytes = config.topic_prefix.len();
    if prefix_bytes == 0 || prefix_bytes > TOPIC_PREFIX_BYTES_MAX {
        return Err(usage(format!(
            "kafka.topic_prefix is {prefix_bytes} bytes long; it must be 1 to {TOPIC_PREFIX_BYTES_MAX}, so that every queue's \
             topic has a name"
        )));
    }
    let (all, queue) = (config.partitions, config.queue_partitions);
    if all % queue != 0 && queue % all != 0 {
        return Err(usage(format!(
            "kafka.queue_partitions is {queue}; it must be a divisor or a multiple of cluster.partitions, {all}"
        )));
    }
    Ok(config)
}

/// How to reach Cassandra.
pub(super) fn cassandra(settings: &ClusterSettings) -> Result<CassandraConfig, Failure> {
    let password = credentials(settings, "cassandra")?;
    let files = identity(settings, "cassandra")?;
    let tls = settings.is_on("cassandra.tls").then(|| minutehand_cassandra::Tls {
        ca_file: settings.path("cassandra.tls_ca_file"),
        certificate_file: files.as_ref().map(|(cert, _)| cert.clone()),
        key_file: files.as_ref().map(|(_, key)| key.clone()),
        verify_hostnames: settings.is_on("cassandra.tls_verify_hostnames"),
    });
    Ok(CassandraConfig {
        local_datacenter: settings.given("cassandra.local_datacenter").map(str::to_owned),
        credentials: password.map(|(username, password)| Credentials { username, password }),
        tls,
        connect_timeout_ms: settings.number("cassandra.connect_timeout_ms"),
        request_timeout_ms: settings.number("cassandra.request_timeout_ms"),
        retention_ms: settings.number("cassandra.retention_ms"),
        dedupe_window_ms: settings.number("scheduler.dedupe_window_ms"),
        writes_in_flight_max: settings.number("cassandra.writes_in_flight_max"),
        task_index: settings.is_on("cassandra.task_index"),
        ..CassandraConfig::new(
            settings.list("cassandra.contact_points"),
            settings.text("cassandra.keyspace"),
            settings.text("cluster.region"),
        )
    })
}

/// How to reach etcd.
pub(super) fn etcd(settings: &ClusterSettings) -> Result<EtcdConfig, Failure> {
    let password = credentials(settings, "etcd")?;
    let files = identity(settings, "etcd")?;
    let tls = match (settings.is_on("etcd.tls"), settings.path("etcd.tls_ca_file")) {
        (false, _) => None,
        (true, None) => return Err(usage("etcd.tls is true and etcd.tls_ca_file is not set; set it")),
        (true, Some(ca)) => Some(minutehand_etcd::TlsConfig {
            ca,
            identity: files,
            domain: settings.given("etcd.tls_domain").map(str::to_owned),
        }),
    };
    Ok(EtcdConfig {
        prefix: settings.text("etcd.prefix").to_owned(),
        region_epoch: settings.number("cluster.region_epoch"),
        user: password.as_ref().map(|(user, _)| user.clone()),
        password: password.map(|(_, password)| minutehand_etcd::Secret::new(password)),
        tls,
        ..EtcdConfig::new(settings.list("etcd.endpoints"), settings.text("cluster.region"))
    })
}

/// What a scheduler says of itself; `listens` is where it really does.
pub(super) fn member(
    settings: &ClusterSettings,
    listens: std::net::SocketAddr,
) -> Result<MemberConfig, Failure> {
    let address = match settings.given("scheduler.advertise") {
        Some(address) => address.to_owned(),
        None if listens.ip().is_unspecified() => {
            return Err(usage(format!(
                "scheduler.listen is {listens}, which nobody can call; set scheduler.advertise to the host:port where \
                 gateways reach this scheduler"
            )));
        }
        None => listens.to_string(),
    };
    let scheme = if tls_files(settings)?.is_some() { "https" } else { "http" };
    let id = match settings.given("scheduler.node_id") {
        Some(id) => id.to_owned(),
        None => format!("{}.{}", host_name(), listens.port()),
    };
    Ok(MemberConfig {
        zone: settings.given("scheduler.zone").map(str::to_owned),
        lease_ttl_ms: settings.number("etcd.lease_ttl_ms"),
        ..MemberConfig::new(id, format!("{scheme}://{address}"))
    })
}

/// The machine's name as the kernel has it, as far as it can be part of a key.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.trim().chars().filter(is_allowed).take(50).collect();
    if name.is_empty() { "scheduler".to_owned() } else { name }
}

/// The engine's part.
pub(super) fn engine(settings: &ClusterSettings) -> Config {
    Config {
        look_ahead_ms: settings.number("scheduler.look_ahead_ms"),
        dedupe_window_ms: settings.number("scheduler.dedupe_window_ms"),
        memory_bytes_max: settings.number("scheduler.memory_bytes_max"),
        clock_skew_ms_max: settings.number("kafka.clock_skew_ms_max"),
        persist: settings.text("timetable.persist").parse().expect("words were checked when they were set"),
        flush_interval_ms: settings.number("scheduler.flush_interval_ms"),
        tick_publications_max: settings.number("scheduler.tick_publications_max"),
        normal_tick_delay_ms: settings.number("scheduler.normal_tick_delay_ms"),
        low_tick_delay_ms: settings.number("scheduler.low_tick_delay_ms"),
        catch_up_after_ms: settings.number("scheduler.catch_up_after_ms"),
        catch_up_rate_per_s: settings.number("scheduler.catch_up_rate_per_s"),
        checkpoint_interval_ms: settings.number("scheduler.checkpoint_interval_ms"),
        ..Config::default()
    }
}

/// The files to serve HTTPS with.
pub(super) fn tls_files(settings: &ClusterSettings) -> Result<Option<TlsFiles>, Failure> {
    let client_ca = settings.path("http.tls_client_ca_file");
    match identity(settings, "http")? {
        Some((cert, key)) => Ok(Some(TlsFiles { cert, key, client_ca })),
        None if client_ca.is_some() => {
            Err(usage("http.tls_client_ca_file is set and http.tls_cert_file is not; set both or none"))
        }
        None => Ok(None),
    }
}
