//! Leases that end, and etcd away for longer than a lease.

use std::time::Duration;

use minutehand_etcd::{EtcdConfig, EtcdCoordinator};
use minutehand_model::PartitionId;
use minutehand_ports::Coordinator;
use minutehand_testkit::{Etcd, EtcdOptions, Proxy};

use crate::support::{
    PARTITIONS, acquire, assigned, config, config_at, key, member, raw, start, wait_for,
};

#[tokio::test]
async fn a_revoked_lease_is_noticed_and_a_new_one_is_taken() {
    let config = config();
    let node = EtcdCoordinator::start(&config, &member("node", 60_000), PARTITIONS)
        .await
        .unwrap();
    assigned(&node, 16).await;
    let before = acquire(&node, PartitionId::own(0)).await;
    let mut client = raw(&config).await;
    let (lease, _) = key(&mut client, format!("{}/eu/nodes/node", config.prefix)).await;
    let mut assignment = node.assignment();
    assignment.borrow_and_update();
    client.lease_revoke(lease).await.unwrap();
    wait_for(&mut assignment, |assigned| assigned.is_empty()).await;
    assigned(&node, 16).await;
    let (again, _) = key(&mut client, format!("{}/eu/nodes/node", config.prefix)).await;
    assert_ne!(again, lease);
    assert!(acquire(&node, PartitionId::own(0)).await > before);
}

#[tokio::test]
async fn a_member_key_that_somebody_deleted_costs_the_lease() {
    let config = config();
    let node = EtcdCoordinator::start(&config, &member("node", 60_000), PARTITIONS)
        .await
        .unwrap();
    assigned(&node, 16).await;
    let before = acquire(&node, PartitionId::own(0)).await;
    let mut client = raw(&config).await;
    client
        .delete(format!("{}/eu/nodes/node", config.prefix), None)
        .await
        .unwrap();
    wait_for(&mut node.assignment(), |assigned| assigned.is_empty()).await;
    assigned(&node, 16).await;
    assert!(acquire(&node, PartitionId::own(0)).await > before);
}

#[tokio::test]
async fn while_etcd_stands_still_nothing_is_assigned() {
    let etcd = Etcd::start(&EtcdOptions::default()).unwrap();
    let node = start(&config_at(&etcd.endpoint()), "node").await;
    assigned(&node, 16).await;
    let before = acquire(&node, PartitionId::own(0)).await;
    etcd.server().pause().unwrap();
    assigned(&node, 0).await;
    etcd.server().resume().unwrap();
    assigned(&node, 16).await;
    node.release(PartitionId::own(0), before).await.unwrap();
    assert!(acquire(&node, PartitionId::own(0)).await > before);
}

#[tokio::test]
async fn after_etcd_was_killed_and_started_again_everybody_is_back() {
    let etcd = Etcd::start(&EtcdOptions::default()).unwrap();
    let config = config_at(&etcd.endpoint());
    let (one, two) = (start(&config, "one").await, start(&config, "two").await);
    assigned(&one, 8).await;
    let partition = *assigned(&two, 8).await.first().expect("eight");
    let before = acquire(&two, partition).await;
    etcd.server().kill().unwrap();
    assigned(&one, 0).await;
    assigned(&two, 0).await;
    etcd.server().start().unwrap();
    assigned(&one, 8).await;
    let again = assigned(&two, 8).await;
    two.release(partition, before).await.unwrap();
    let owner = if again.contains(&partition) {
        &two
    } else {
        &one
    };
    assert!(acquire(owner, partition).await > before);
}

#[tokio::test]
async fn changes_during_a_cut_are_seen_even_after_compaction() {
    let direct = config();
    let target = direct.endpoints[0]
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), target).unwrap();
    let behind = EtcdConfig {
        endpoints: vec![proxy.address().to_string()],
        ..direct.clone()
    };
    let node = EtcdCoordinator::start(&behind, &member("node", 60_000), PARTITIONS)
        .await
        .unwrap();
    assigned(&node, 16).await;
    proxy.cut();
    let other = EtcdCoordinator::start(&direct, &member("other", 60_000), PARTITIONS)
        .await
        .unwrap();
    assigned(&other, 8).await;
    let mut client = raw(&direct).await;
    let now = client
        .put(format!("{}/marker", direct.prefix), "", None)
        .await
        .unwrap();
    client
        .compact(now.header().expect("always").revision(), None)
        .await
        .unwrap();
    proxy.heal();
    assigned(&node, 8).await;
}

#[tokio::test]
async fn a_connection_that_is_silent_is_given_up() {
    let direct = config();
    let target = direct.endpoints[0]
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), target).unwrap();
    let behind = EtcdConfig {
        endpoints: vec![proxy.address().to_string()],
        ..direct.clone()
    };
    let node = start(&behind, "node").await;
    assigned(&node, 16).await;
    let other = start(&direct, "other").await;
    assigned(&node, 8).await;
    proxy.blackhole();
    assigned(&node, 0).await;
    assigned(&other, 16).await;
    proxy.heal();
    assigned(&node, 8).await;
}

#[tokio::test]
async fn each_lease_confirmation_counts_from_the_time_of_sending() {
    let node = start(&config(), "node").await;
    let mut confirmed = node.confirmed_at();
    let mut last = *confirmed.borrow_and_update();
    for _ in 0..3 {
        let next = wait_for(&mut confirmed, |at| *at > last).await;
        let answered = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert!(next.as_millis() <= answered.as_millis() as i64);
        last = next;
    }
}

/// This test has one thread, and it is busy, as a scheduler's are while it takes many partitions
/// over.
#[tokio::test]
async fn a_process_busy_for_longer_than_its_lease_keeps_it() {
    let config = config();
    let node = start(&config, "node").await;
    assigned(&node, 16).await;
    let member_key = format!("{}/eu/nodes/node", config.prefix);
    let mut client = raw(&config).await;
    let before = key(&mut client, member_key.clone()).await;
    std::thread::sleep(3 * Duration::from_millis(node.lease_ttl_ms().unsigned_abs()));
    assert_eq!(
        key(&mut client, member_key).await,
        before,
        "the same lease, the same member"
    );
    assert_eq!(node.assignment().borrow().len(), 16);
}
