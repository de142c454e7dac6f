//! Several nodes share the partitions.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use minutehand_etcd::EtcdCoordinator;
use minutehand_model::PartitionId;
use minutehand_ports::{Coordinator, ErrorClass};

use crate::support::{PARTITIONS, absent, acquire, assigned, config, raw, start, wait_for};

/// Waits until the nodes share all partitions evenly; who has which.
async fn shared(nodes: &[&EtcdCoordinator]) -> BTreeMap<PartitionId, usize> {
    let (share, rest) = (
        PARTITIONS as usize / nodes.len(),
        PARTITIONS as usize % nodes.len(),
    );
    let is_fair = |assigned: &BTreeSet<PartitionId>| {
        assigned.len() == share || (rest > 0 && assigned.len() == share + 1)
    };
    loop {
        let mut owners = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            let assigned = wait_for(&mut node.assignment(), is_fair).await;
            owners.extend(assigned.into_iter().map(|partition| (partition, index)));
        }
        // Nodes hear of a new placement one after the other: then somebody is still to hear.
        if owners.len() == PARTITIONS as usize {
            return owners;
        }
        tokio::task::yield_now().await;
    }
}

fn moved(before: &BTreeMap<PartitionId, usize>, after: &BTreeMap<PartitionId, usize>) -> usize {
    before
        .iter()
        .filter(|(partition, owner)| after.get(partition) != Some(owner))
        .count()
}

#[tokio::test]
async fn two_to_four_nodes_share_evenly_and_a_change_moves_one_share() {
    let config = config();
    let one = start(&config, "one").await;
    let alone = shared(&[&one]).await;
    let two = start(&config, "two").await;
    let of_two = shared(&[&one, &two]).await;
    assert!(moved(&alone, &of_two) <= 8);
    let three = start(&config, "three").await;
    let of_three = shared(&[&one, &two, &three]).await;
    assert!(moved(&of_two, &of_three) <= 6);
    let four = start(&config, "four").await;
    let of_four = shared(&[&one, &two, &three, &four]).await;
    assert!(moved(&of_three, &of_four) <= 4);
    four.shutdown().await;
    let without = shared(&[&one, &two, &three]).await;
    assert!(moved(&of_four, &without) <= 4);
    // Without a word, as in a crash.
    drop(three);
    let rest = shared(&[&one, &two]).await;
    assert!(moved(&without, &rest) <= 6);
}

#[tokio::test]
async fn a_crashed_nodes_partitions_go_on_under_higher_epochs() {
    let config = config();
    let survivor = start(&config, "survivor").await;
    let victim = start(&config, "victim").await;
    let owned = assigned(&victim, 8).await;
    let mut epochs = BTreeMap::new();
    for partition in &owned {
        epochs.insert(*partition, acquire(&victim, *partition).await);
    }
    drop(victim);
    assigned(&survivor, 16).await;
    for (partition, before) in epochs {
        assert!(acquire(&survivor, partition).await > before);
    }
}

#[tokio::test]
async fn a_withdrawing_node_hands_over_one_partition_at_a_time() {
    let config = config();
    let leaving = start(&config, "leaving").await;
    let staying = start(&config, "staying").await;
    let mine = assigned(&leaving, 8).await;
    assigned(&staying, 8).await;
    let partition = *mine.first().expect("eight");
    let before = acquire(&leaving, partition).await;
    leaving.withdraw();
    assigned(&leaving, 0).await;
    assigned(&staying, 16).await;
    // The other one waits in `acquire` until it is released.
    let (epoch, released) = tokio::join!(
        acquire(&staying, partition),
        leaving.release(partition, before)
    );
    released.unwrap();
    assert!(epoch > before);
    leaving.shutdown().await;
}

#[tokio::test]
async fn after_a_shutdown_everything_is_free_at_once() {
    let config = config();
    let ending = start(&config, "ending").await;
    let partition = PartitionId::own(3);
    let before = acquire(&ending, partition).await;
    ending.shutdown().await;
    let next = start(&config, "next").await;
    assert!(next.acquire(partition).await.expect("free") > before);
}

#[tokio::test]
async fn an_unwanted_acquire_ends_with_the_partitions_holder() {
    let config = config();
    let holder = start(&config, "holder").await;
    let held = *assigned(&holder, 16).await.last().expect("sixteen");
    acquire(&holder, held).await;
    let other = start(&config, "other").await;
    assigned(&other, 8).await;
    let refused = other.acquire(held).await.expect_err("held");
    assert_eq!(refused.class, ErrorClass::Retry);
    assert!(
        refused
            .reason
            .contains("node holder holds it since revision"),
        "{}",
        refused.reason
    );
}

#[tokio::test]
async fn a_second_process_of_one_id_waits_for_the_end_of_the_first() {
    let config = config();
    let first = start(&config, "same").await;
    assigned(&first, 16).await;
    let second = start(&config, "same").await;
    assert!(second.assignment().borrow().is_empty());
    // It has a lease of its own meanwhile, and what the first holds is not taken for its own.
    let epoch = acquire(&first, PartitionId::own(0)).await;
    let refused = second
        .acquire(PartitionId::own(0))
        .await
        .expect_err("held by the first");
    assert_eq!(refused.class, ErrorClass::Retry);
    assert!(second.assignment().borrow().is_empty());
    drop(first);
    assigned(&second, 16).await;
    assert!(acquire(&second, PartitionId::own(0)).await > epoch);
}

#[tokio::test]
async fn an_owner_hears_when_its_successor_is_ready() {
    let config = config();
    let giver = start(&config, "giver").await;
    assigned(&giver, 16).await;
    let mut epochs = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionId::own) {
        epochs.insert(partition, acquire(&giver, partition).await);
        // Nobody else could take it.
        giver.successor(partition).await;
    }
    let taker = start(&config, "taker").await;
    let moved = *assigned(&taker, 8).await.first().expect("eight");
    assigned(&giver, 8).await;
    assert!(giver.successor(moved).now_or_never().is_none());
    assert!(taker.freed(moved).now_or_never().is_none());

    taker.announce(moved).await.expect("etcd answers");
    giver.successor(moved).await;
    let mut client = raw(&config).await;
    let key = format!("{}/eu/successors/{moved}", config.prefix);
    taker.retract(moved).await;
    absent(&mut client, key.clone()).await;

    taker.announce(moved).await.expect("etcd answers");
    giver
        .release(moved, epochs[&moved])
        .await
        .expect("etcd answers");
    taker.freed(moved).await;
    assert!(acquire(&taker, moved).await > epochs[&moved]);
    absent(&mut client, key).await;
}
