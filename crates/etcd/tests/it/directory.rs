//! What gateways see.

use minutehand_etcd::{Directory, EtcdConfig, PartitionOwner};
use minutehand_model::PartitionId;
use minutehand_ports::Coordinator;

use crate::support::{PARTITIONS, acquire, config, start, wait_for};

#[tokio::test]
async fn a_directory_tells_owner_address_and_epoch() {
    let config = EtcdConfig {
        region_epoch: 3,
        ..config()
    };
    let directory = Directory::open(&config, PARTITIONS).await.unwrap();
    let mut owners = directory.owners();
    assert!(owners.borrow().is_empty());
    let node = start(&config, "node").await;
    let epoch = acquire(&node, PartitionId::own(2)).await;
    assert_eq!(epoch.region_epoch(), 3);
    let owner = PartitionOwner {
        node: "node".to_owned(),
        address: "node.example:7000".to_owned(),
        epoch,
    };
    let seen = wait_for(&mut owners, |owners| {
        owners.contains_key(&PartitionId::own(2))
    })
    .await;
    assert_eq!(seen[&PartitionId::own(2)], owner);
    let late = Directory::open(&config, PARTITIONS).await.unwrap();
    assert_eq!(
        late.owners().borrow().get(&PartitionId::own(2)),
        Some(&owner)
    );
    // While a node withdraws it is still found.
    node.withdraw();
    wait_for(&mut node.assignment(), |assigned| assigned.is_empty()).await;
    assert_eq!(
        owners.borrow_and_update().get(&PartitionId::own(2)),
        Some(&owner)
    );
    node.release(PartitionId::own(2), epoch).await.unwrap();
    wait_for(&mut owners, |owners| owners.is_empty()).await;
}
