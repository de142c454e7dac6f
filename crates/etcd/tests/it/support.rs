//! What the tests share: settings with keys of their own, and waiting for something to become true.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd_client::Client;
use minutehand_etcd::{EtcdConfig, EtcdCoordinator, MemberConfig};
use minutehand_model::{Epoch, PartitionId};
use minutehand_ports::{Coordinator, ErrorClass};
use tokio::sync::watch;

/// How long anything may take that must happen at all.
const DEADLINE: Duration = Duration::from_secs(60);
/// The partitions of a region in these tests.
pub(crate) const PARTITIONS: u32 = 16;

/// Settings for the shared etcd, with a prefix that no other test has.
pub(crate) fn config() -> EtcdConfig {
    config_at(minutehand_testkit::etcd())
}

/// Settings for some etcd, with a prefix that no other test has.
pub(crate) fn config_at(endpoints: &str) -> EtcdConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let endpoints = endpoints.split(',').map(str::to_owned).collect();
    EtcdConfig {
        prefix: format!("/test-{}-{count}-{nanos}", std::process::id()),
        ..EtcdConfig::new(endpoints, "eu")
    }
}

/// A node with a lease of that many milliseconds.
pub(crate) fn member(id: &str, lease_ttl_ms: i64) -> MemberConfig {
    MemberConfig {
        lease_ttl_ms,
        ..MemberConfig::new(id, format!("{id}.example:7000"))
    }
}

/// A node whose lease ends soon after it is no longer renewed.
pub(crate) async fn start(config: &EtcdConfig, id: &str) -> EtcdCoordinator {
    EtcdCoordinator::start(config, &member(id, 2_000), PARTITIONS)
        .await
        .expect("etcd is there")
}

/// A client of one's own, to look at the keys.
pub(crate) async fn raw(config: &EtcdConfig) -> Client {
    Client::connect(&config.endpoints, None)
        .await
        .expect("etcd is there")
}

/// Waits until a value is as wanted.
pub(crate) async fn wait_for<T: Clone + std::fmt::Debug>(
    receiver: &mut watch::Receiver<T>,
    is_wanted: impl FnMut(&T) -> bool,
) -> T {
    let found = match tokio::time::timeout(DEADLINE, receiver.wait_for(is_wanted)).await {
        Ok(found) => Some(found.expect("somebody still writes it").clone()),
        Err(_) => None,
    };
    found.unwrap_or_else(|| panic!("it stays as it is: {:?}", *receiver.borrow()))
}

/// Waits until a node should own that many partitions.
pub(crate) async fn assigned(node: &EtcdCoordinator, count: usize) -> BTreeSet<PartitionId> {
    wait_for(&mut node.assignment(), |assigned| assigned.len() == count).await
}

/// Acquires a partition, however often that needs to be tried.
pub(crate) async fn acquire(node: &EtcdCoordinator, partition: PartitionId) -> Epoch {
    let tries = async {
        loop {
            match node.acquire(partition).await {
                Ok(epoch) => return epoch,
                Err(error) => assert_eq!(error.class, ErrorClass::Retry, "{error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, tries)
        .await
        .expect("it becomes free")
}

/// The lease and the value of a key, once it is there.
pub(crate) async fn key(client: &mut Client, key: String) -> (i64, Vec<u8>) {
    let found = client.get(key.clone(), None).await.expect("etcd answers");
    let entry = found
        .kvs()
        .first()
        .unwrap_or_else(|| panic!("{key} is not there"));
    (entry.lease(), entry.value().to_vec())
}

/// Waits until a key is not there.
pub(crate) async fn absent(client: &mut Client, key: String) {
    let watched = async {
        let mut events = client.watch(key.clone(), None).await.expect("etcd answers");
        loop {
            let found = client.get(key.clone(), None).await.expect("etcd answers");
            if found.kvs().is_empty() {
                return;
            }
            events
                .message()
                .await
                .expect("etcd is there")
                .expect("the watch goes on");
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, watched).await;
    in_time.unwrap_or_else(|_| panic!("{key} stays"));
}
