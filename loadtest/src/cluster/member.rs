//! The rig's place in the cluster: one node, under a lease of its own.

use std::sync::Arc;

use minutehand_etcd::{EtcdConfig, EtcdCoordinator, MemberConfig};
use minutehand_ports::Coordinator;

use super::Failure;

/// A member that owns everything, because it is alone.
pub(super) struct Member {
    coordinator: Arc<EtcdCoordinator>,
}

impl Member {
    /// Joins a cluster under a prefix of its own.
    pub(super) async fn join(
        endpoints: &str,
        name: &str,
        partitions: u32,
    ) -> Result<Member, Failure> {
        let endpoints = endpoints.split(',').map(str::to_owned).collect();
        let config = EtcdConfig {
            prefix: format!("/{name}"),
            ..EtcdConfig::new(endpoints, "local")
        };
        let member = MemberConfig::new(name, "127.0.0.1:0");
        let coordinator = EtcdCoordinator::start(&config, &member, partitions).await?;
        Ok(Member {
            coordinator: Arc::new(coordinator),
        })
    }

    pub(super) fn coordinator(&self) -> Arc<dyn Coordinator> {
        Arc::clone(&self.coordinator) as _
    }

    pub(super) async fn leave(self) {
        self.coordinator.shutdown().await;
    }
}
