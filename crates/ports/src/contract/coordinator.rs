//! The coordinator.

use minutehand_model::{Epoch, PartitionId};

use super::samples::{P0, P1};
use super::{Harness, PARTITIONS, refused};
use crate::ErrorClass;

/// A node alone should own everything.
pub async fn every_partition_is_assigned_to_somebody(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let mut assignment = stores.coordinator.assignment();
    let wanted = (0..PARTITIONS).map(PartitionId::own).collect();
    while *assignment.borrow_and_update() != wanted {
        assignment.changed().await.unwrap();
    }
}

/// A partition is held by one owner at a time; others may try again.
pub async fn an_acquired_partition_is_not_given_twice(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let epoch = stores.coordinator.acquire(P0).await.unwrap();
    assert_eq!(
        refused(stores.coordinator.acquire(P0).await),
        ErrorClass::Retry
    );
    stores.coordinator.acquire(P1).await.unwrap();
    stores.coordinator.release(P0, epoch).await.unwrap();
    stores.coordinator.acquire(P0).await.unwrap();
}

/// Every ownership has a higher epoch than all before it.
pub async fn epochs_only_grow(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let mut last = Epoch(0);
    for _ in 0..5 {
        let epoch = stores.coordinator.acquire(P0).await.unwrap();
        assert!(epoch > last);
        stores.coordinator.release(P0, epoch).await.unwrap();
        last = epoch;
    }
}

/// A release under another epoch leaves the owner alone.
pub async fn releasing_what_is_not_held_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.coordinator.release(P0, Epoch(1)).await.unwrap();
    let first = stores.coordinator.acquire(P0).await.unwrap();
    stores.coordinator.release(P0, first).await.unwrap();
    let second = stores.coordinator.acquire(P0).await.unwrap();
    stores.coordinator.release(P0, first).await.unwrap();
    assert_eq!(
        refused(stores.coordinator.acquire(P0).await),
        ErrorClass::Retry
    );
    stores.coordinator.release(P0, second).await.unwrap();
}

/// A new process is a new owner, and what it is given outranks the last one everywhere.
pub async fn epochs_grow_over_restarts(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let before = stores.coordinator.acquire(P0).await.unwrap();
    stores.sink.open(P0, before).await.unwrap();
    let stores = harness.reopen(stores).await;
    let after = loop {
        match stores.coordinator.acquire(P0).await {
            Ok(epoch) => break epoch,
            // The lease of the process that ended may have to run out first.
            Err(error) => assert_eq!(error.class, ErrorClass::Retry),
        }
    };
    assert!(after > before);
    stores.sink.open(P0, after).await.unwrap();
    assert_eq!(
        refused(stores.sink.open(P0, before).await),
        ErrorClass::Fenced
    );
}

/// A node in touch with its coordinator has a lease.
pub async fn the_lease_is_confirmed(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert!(stores.coordinator.lease_ttl_ms() > 0);
    let confirmed = stores.coordinator.confirmed_at();
    stores.coordinator.acquire(P0).await.unwrap();
    assert!(
        confirmed.has_changed().is_ok(),
        "it goes on being confirmed"
    );
}
