//! What each part is told: its own section, and what it must know of others.

use std::net::SocketAddr;

use minutehand_cli::Failure;
use minutehand_cluster::{Config, KafkaConfig, MemberConfig};

use super::failure::usage;
use crate::settings::Settings;

/// The cluster, as each part of it is told.
///
/// # Errors
/// When settings do not fit each other.
pub(crate) fn cluster(settings: &Settings) -> Result<Config, Failure> {
    Ok(told(settings).checked()?)
}

/// Kafka alone: a worker must be able to do without what the others need.
pub(super) fn kafka(settings: &Settings) -> Result<KafkaConfig, Failure> {
    Ok(told(settings).kafka()?)
}

fn told(settings: &Settings) -> Config {
    Config {
        region: settings.cluster.region.clone(),
        region_epoch: settings.cluster.region_epoch,
        partitions: settings.cluster.partitions,
        timetable: settings.timetable.store,
        cassandra: settings.cassandra.clone(),
        kafka: settings.kafka.clone(),
        etcd: settings.etcd.clone(),
        engine: settings.engine.clone(),
    }
}

/// What a scheduler says of itself; `listens` is where it really does.
pub(super) fn member(settings: &Settings, listens: SocketAddr) -> Result<MemberConfig, Failure> {
    let scheduler = &settings.scheduler;
    let address = match &scheduler.advertise {
        Some(address) => address.clone(),
        None if listens.ip().is_unspecified() => {
            return Err(usage(format!(
                "scheduler.listen is {listens}, which nobody can call; set scheduler.advertise to the host:port where \
                 gateways reach this scheduler"
            )));
        }
        None => listens.to_string(),
    };
    let scheme = scheme(settings)?;
    let id = scheduler
        .node_id
        .clone()
        .unwrap_or_else(|| format!("{}.{}", host_name(), listens.port()));
    Ok(MemberConfig {
        zone: scheduler.zone.clone(),
        lease_ttl_ms: settings.etcd.lease_ttl_ms,
        ..MemberConfig::new(id, format!("{scheme}://{address}"))
    })
}

/// Where other gateways reach this one, which listens at `listens`; `None` when nobody can tell.
pub(super) fn gateway_address(
    settings: &Settings,
    listens: SocketAddr,
) -> Result<Option<String>, Failure> {
    let listens = (!listens.ip().is_unspecified()).then(|| listens.to_string());
    let address = settings.gateway.advertise.clone().or(listens);
    let scheme = scheme(settings)?;
    Ok(address.map(|address| format!("{scheme}://{address}")))
}

fn scheme(settings: &Settings) -> Result<&'static str, Failure> {
    Ok(if settings.http.tls_files()?.is_some() {
        "https"
    } else {
        "http"
    })
}

/// The machine's name as the kernel has it, as far as it can be part of a key.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.trim().chars().filter(is_allowed).take(50).collect();
    if name.is_empty() {
        "scheduler".to_owned()
    } else {
        name
    }
}
