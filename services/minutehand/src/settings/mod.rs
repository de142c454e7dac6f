//! The settings of `dev` and of a cluster's roles: one tree of sections, one set of names, each
//! section the `Config` of whoever obeys it.
//!
//! `docs/SETTINGS.md` and `schema/settings.json` are rendered from these types and compared with
//! them by a test.

mod names;
mod sections;
#[cfg(test)]
mod tests;

use std::path::Path;

use minutehand_cli::{Exit, Failure, PROFILES, SettingsArgs};
use minutehand_settings::{Loaded, Origin, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use sections::{ClusterConfig, GatewayConfig, HttpConfig, SchedulerConfig};
pub(crate) use sections::{LogFormat, TelemetryConfig, Unclaimed, WorkerConfig};

/// Settings of Minutehand.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) cluster: ClusterConfig,
    #[cfg(feature = "cluster")]
    pub(crate) kafka: minutehand_cluster::KafkaConfig,
    #[cfg(feature = "cluster")]
    pub(crate) cassandra: minutehand_cluster::CassandraConfig,
    #[cfg(feature = "cluster")]
    pub(crate) etcd: minutehand_cluster::EtcdConfig,
    #[cfg(feature = "cluster")]
    pub(crate) timetable: minutehand_cluster::TimetableConfig,
    pub(crate) embedded: minutehand_standalone::EmbeddedConfig,
    pub(crate) engine: minutehand_node::EngineConfig,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) gateway: GatewayConfig,
    pub(crate) worker: WorkerConfig,
    pub(crate) process: minutehand_worker::ProcessConfig,
    pub(crate) pool: minutehand_worker::PoolConfig,
    pub(crate) docker: minutehand_containers::DockerConfig,
    pub(crate) kubernetes: minutehand_containers::KubernetesConfig,
    pub(crate) webhook: minutehand_worker::WebhookConfig,
    pub(crate) http: HttpConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// What is run: each mode has some defaults of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything in one process.
    Dev,
    /// A role of a cluster.
    Cluster,
}

/// The sections that only a cluster's roles obey.
const OF_CLUSTERS: &[&str] = &["kafka", "cassandra", "etcd", "timetable", "scheduler"];

impl Mode {
    const fn fragment(self) -> &'static str {
        match self {
            Mode::Dev => include_str!("dev.toml"),
            Mode::Cluster => include_str!("cluster.toml"),
        }
    }

    /// The mode that a file is for: a cluster's roles, when it says where their servers are.
    pub(crate) fn of_file(path: &Path) -> Mode {
        let table = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.parse::<toml::Table>().ok());
        let is_of_cluster = table.is_some_and(|table| {
            OF_CLUSTERS
                .iter()
                .any(|section| table.contains_key(*section))
        });
        if is_of_cluster {
            Mode::Cluster
        } else {
            Mode::Dev
        }
    }
}

/// A preset by its name.
fn profile(name: &str) -> Result<&'static str, Failure> {
    match name {
        "balanced" => Ok(""),
        "high-performance" => Ok(include_str!("high-performance.toml")),
        "cost-optimized" => Ok(include_str!("cost-optimized.toml")),
        _ => Err(Failure::new(
            Exit::Usage,
            format!(
                "profile is {name:?}; it must be one of {}",
                PROFILES.join(", ")
            ),
        )),
    }
}

/// Reads all sources.
///
/// # Errors
/// What cannot be used, by its name, its value, what would fit, and where it was given.
pub(crate) fn load(mode: Mode, args: &SettingsArgs) -> Result<Loaded<Settings>, Failure> {
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_from(mode, args, variables)
}

fn load_from(
    mode: Mode,
    args: &SettingsArgs,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded<Settings>, Failure> {
    let mut sources = Sources::of::<Settings>(names::NAMES);
    sources.fragment(mode.fragment(), Origin::Default)?;
    if let Some(name) = &args.profile {
        sources.fragment(profile(name)?, Origin::Profile)?;
    }
    if let Some(path) = &args.config {
        sources.file(path).map_err(without_cluster)?;
    }
    sources.environment(environment)?;
    for (name, value) in &args.set {
        sources.flag(name, value).map_err(without_cluster)?;
    }
    let loaded: Loaded<Settings> = sources.load()?;
    loaded.settings.worker.refuse_url_alone()?;
    Ok(loaded)
}

/// A refusal, with a hint where a program built for a cluster would not refuse.
fn without_cluster(error: minutehand_settings::SettingsError) -> Failure {
    let failure = Failure::from(error);
    let names = |section: &&str| {
        failure.message.contains(&format!("[{section}]"))
            || failure.message.contains(&format!("{section}."))
    };
    if !cfg!(feature = "cluster") && OF_CLUSTERS[..4].iter().any(names) {
        return failure.with_hint("this build has no cluster; build it with `--features cluster`");
    }
    failure
}
