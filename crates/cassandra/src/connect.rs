//! A session with a cluster: which nodes are asked, how long, and how often.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use minutehand_ports::{ErrorClass, PortError};
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::frame::types::{Consistency, SerialConsistency};
use scylla::policies::load_balancing::DefaultPolicy;

use crate::config::CassandraConfig;
use crate::error::failed;
use crate::retry::BoundedRetries;
use crate::tls;

/// Connections to each node: two, so that a large answer does not hold up everything behind it.
const CONNECTIONS_PER_NODE: NonZeroUsize = NonZeroUsize::new(2).expect("two");

/// Opens a session that asks the nodes of the local datacenter, at LOCAL_QUORUM.
pub(crate) async fn session(config: &CassandraConfig) -> Result<Session, PortError> {
    let places = config.contact_points.join(", ");
    let action = format!("connect to Cassandra at {places}");
    let handle = profile(config, config.local_datacenter.as_deref()).into_handle();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
        .pool_size(PoolSize::PerHost(CONNECTIONS_PER_NODE))
        .keyspaces_to_fetch([config.keyspace.as_str()])
        .default_execution_profile_handle(handle.clone());
    if let Some((username, password)) = config.login.credentials() {
        builder = builder.user(username, password);
    }
    let mut refusal = tls::Refusal::default();
    if config.tls.enabled {
        let context;
        (context, refusal) = tls::context(config)?;
        builder = builder.tls_context(Some(context));
    }
    let session = builder
        .build()
        .await
        .map_err(|error| explained(failed(&action, error), &refusal))?;
    let datacenter = local_datacenter(config, &datacenters(&session), &action)?;
    let mut handle = handle;
    handle.map_to_another_profile(profile(config, Some(&datacenter)));
    Ok(session)
}

/// Adds why a certificate was refused, when that is what happened.
fn explained(mut error: PortError, refusal: &tls::Refusal) -> PortError {
    if let Some(reason) = refusal.reason() {
        error.reason = format!("the server's certificate was refused: {reason}");
    }
    error
}

fn profile(config: &CassandraConfig, datacenter: Option<&str>) -> ExecutionProfile {
    let mut policy = DefaultPolicy::builder()
        .token_aware(true)
        .permit_dc_failover(false);
    if let Some(datacenter) = datacenter {
        policy = policy.prefer_datacenter(datacenter.to_owned());
    }
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(Duration::from_millis(config.request_timeout_ms)))
        .retry_policy(Arc::new(BoundedRetries))
        .load_balancing_policy(policy.build())
        .build()
}

/// The datacenters of a cluster and how many nodes each has.
pub(crate) fn datacenters(session: &Session) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for node in session.get_cluster_state().get_nodes_info() {
        *found
            .entry(node.datacenter.clone().unwrap_or_default())
            .or_insert(0) += 1;
    }
    found
}

/// The one that is set, if the cluster has it; without a setting the only one there is.
fn local_datacenter(
    config: &CassandraConfig,
    known: &BTreeMap<String, usize>,
    action: &str,
) -> Result<String, PortError> {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let reason = match &config.local_datacenter {
        Some(wanted) if known.contains_key(wanted) => return Ok(wanted.clone()),
        Some(wanted) => {
            format!(
                "the cluster has no datacenter '{wanted}' (cassandra.local_datacenter); it has {names}"
            )
        }
        None => match (known.first_key_value(), known.len()) {
            (Some((only, _)), 1) => return Ok(only.clone()),
            _ => format!(
                "the cluster has several datacenters ({names}); set cassandra.local_datacenter"
            ),
        },
    };
    Err(PortError::new(ErrorClass::Fatal, action, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(wanted: Option<&str>, known: &[&str]) -> Result<String, String> {
        let mut config = CassandraConfig::new(vec!["x:1".to_owned()], "minutehand", "north");
        config.local_datacenter = wanted.map(str::to_owned);
        let known = known.iter().map(|name| (name.to_string(), 3)).collect();
        local_datacenter(&config, &known, "connect").map_err(|error| error.reason)
    }

    #[test]
    fn the_local_datacenter_is_one_that_exists() {
        assert_eq!(asked(None, &["dc1"]), Ok("dc1".to_owned()));
        assert_eq!(asked(Some("dc2"), &["dc1", "dc2"]), Ok("dc2".to_owned()));
        assert!(
            asked(Some("dc3"), &["dc1", "dc2"])
                .unwrap_err()
                .contains("it has dc1, dc2")
        );
        assert!(
            asked(None, &["dc1", "dc2"])
                .unwrap_err()
                .contains("several datacenters (dc1, dc2)")
        );
    }
}
