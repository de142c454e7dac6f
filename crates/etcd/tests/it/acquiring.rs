//! Keys that lost answers leave behind.

use std::time::Duration;

use etcd_client::PutOptions;
use minutehand_etcd::EtcdCoordinator;
use minutehand_model::{Epoch, PartitionId};
use minutehand_ports::{Coordinator, ErrorClass};
use minutehand_testkit::Proxy;

use crate::support::{PARTITIONS, absent, acquire, assigned, config, key, member, raw, start};

const P: PartitionId = PartitionId::own(5);

#[tokio::test]
async fn a_key_that_this_process_does_not_hold_is_deleted() {
    let config = config();
    let node = start(&config, "node").await;
    assigned(&node, 16).await;
    let mut client = raw(&config).await;
    let root = format!("{}/eu", config.prefix);
    acquire(&node, PartitionId::own(0)).await;
    let (lease, value) = key(&mut client, format!("{root}/partitions/0")).await;
    let left = format!("{root}/partitions/5");
    client
        .put(
            left.clone(),
            value,
            Some(PutOptions::new().with_lease(lease)),
        )
        .await
        .unwrap();
    absent(&mut client, left).await;
    // What it does hold is left alone.
    key(&mut client, format!("{root}/partitions/0")).await;
    acquire(&node, P).await;
}

#[tokio::test]
async fn a_key_of_a_nodes_earlier_process_is_not_its_own() {
    let config = config();
    let mut client = raw(&config).await;
    let left = format!("{}/eu/partitions/5", config.prefix);
    client
        .put(
            left.clone(),
            r#"{"node":"node","instance":"earlier"}"#,
            None,
        )
        .await
        .unwrap();
    let node = start(&config, "node").await;
    let refused = node
        .acquire(P)
        .await
        .expect_err("held by the earlier process");
    assert_eq!(refused.class, ErrorClass::Retry);
    key(&mut client, left.clone()).await;
    client.delete(left, None).await.unwrap();
    acquire(&node, P).await;
}

#[tokio::test]
async fn an_acquire_whose_answer_is_lost_leaves_nothing_behind() {
    let direct = config();
    let target = direct.endpoints[0]
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), target).unwrap();
    let behind = minutehand_etcd::EtcdConfig {
        endpoints: vec![proxy.address().to_string()],
        ..direct.clone()
    };
    let node = EtcdCoordinator::start(&behind, &member("node", 60_000), PARTITIONS)
        .await
        .unwrap();
    assigned(&node, 16).await;
    let mut client = raw(&direct).await;
    let mut last = Epoch(0);
    for _ in 0..3 {
        proxy.blackhole();
        let refused = node.acquire(P).await.expect_err("no answer comes");
        assert_eq!(refused.class, ErrorClass::Retry);
        // The request may arrive now, or never.
        proxy.heal();
        let epoch = acquire(&node, P).await;
        assert!(epoch > last, "every epoch is new");
        last = epoch;
        proxy.blackhole();
        assert_eq!(
            node.release(P, epoch)
                .await
                .expect_err("no answer comes")
                .class,
            ErrorClass::Retry
        );
        proxy.heal();
        absent(&mut client, format!("{}/eu/partitions/5", direct.prefix)).await;
    }
    let other = start(&direct, "other").await;
    assert!(acquire(&other, P).await > last);
}

#[tokio::test]
async fn an_abandoned_acquire_leaves_nothing_behind() {
    let config = config();
    let node = start(&config, "node").await;
    assigned(&node, 16).await;
    let other = start(&config, "other").await;
    for micros in (0..3_000).step_by(200) {
        // Whenever that is: before the request, after it, or after the answer.
        let given_up = tokio::time::timeout(Duration::from_micros(micros), node.acquire(P)).await;
        if let Ok(Ok(epoch)) = given_up {
            node.release(P, epoch).await.unwrap();
        }
        let epoch = acquire(&other, P).await;
        other.release(P, epoch).await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_partition_is_a_fatal_error() {
    let node = start(&config(), "node").await;
    let refused = node
        .acquire(PartitionId::own(16))
        .await
        .expect_err("0 to 15");
    assert_eq!(refused.class, ErrorClass::Fatal);
    assert!(
        refused.to_string().contains("the region has 16 partitions"),
        "{refused}"
    );
}
