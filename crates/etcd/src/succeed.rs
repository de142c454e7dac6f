//! Planned hand-overs keep pace with the successor: it announces each partition that it would take
//! over now, and the owner goes on until then.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use minutehand_model::PartitionId;
use minutehand_ports::{ErrorClass, PortError};

use crate::acquire::Acquirer;
use crate::keys::{OwnerFacts, encode};
use crate::view::View;

impl Acquirer {
    /// Waits until nobody holds a partition.
    pub(crate) async fn freed(&self, partition: PartitionId) {
        self.sees(|view| view.owned_since(partition).is_none())
            .await;
    }

    /// Writes that this process would take a partition over. What is not held any more needs no
    /// announcement.
    pub(crate) async fn announce(&self, partition: PartitionId) -> Result<(), PortError> {
        let action = format!("announce that partition {partition} would be taken over");
        let standing = *self.standing.borrow();
        let Some(lease) = standing.lease.filter(|_| standing.is_live) else {
            let reason = "this node has no lease from etcd at present";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        };
        let is_held =
            Compare::create_revision(self.etcd.keys().partition(partition), CompareOp::Greater, 0);
        let put = TxnOp::put(
            self.etcd.keys().successor(partition),
            encode(&self.owner),
            Some(PutOptions::new().with_lease(lease)),
        );
        let written = self
            .etcd
            .txn(Txn::new().when([is_held]).and_then([put]))
            .await;
        written.map(drop).map_err(|error| error.during(action))
    }

    /// Deletes this process's announcement. One that stays behind, because etcd does not answer,
    /// makes a later hand-over begin before its successor is ready, and does no other harm.
    pub(crate) async fn retract(&self, partition: PartitionId) {
        let key = self.etcd.keys().successor(partition);
        let is_ours = Compare::value(key.clone(), CompareOp::Equal, encode(&self.owner));
        let deleted = self
            .etcd
            .txn(
                Txn::new()
                    .when([is_ours])
                    .and_then([TxnOp::delete(key, None)]),
            )
            .await;
        if let Err(error) = deleted {
            tracing::debug!(%partition, %error, "could not take an announcement back");
        }
    }

    /// Waits until the node that should own a partition has announced itself, or nobody could.
    pub(crate) async fn successor(&self, partition: PartitionId) {
        self.sees(|view| may_let_go(view, partition, &self.owner))
            .await;
    }

    async fn sees(&self, condition: impl Fn(&View) -> bool) {
        let mut view = self.view.clone();
        let is_over = view
            .wait_for(|view: &Arc<View>| condition(view))
            .await
            .is_err();
        if is_over {
            // Nothing is followed any more: the process ends.
            std::future::pending::<()>().await;
        }
    }
}

/// Whether an owner that is to give a partition up need wait no longer.
fn may_let_go(view: &View, partition: PartitionId, owner: &OwnerFacts) -> bool {
    let mut others = view
        .nodes
        .iter()
        .filter(|(id, facts)| **id != owner.node && !facts.draining && facts.announces);
    let Some(should_own) = view.placement.owners.get(partition.index()) else {
        return true;
    };
    let is_announced = view.successors.get(&partition).is_some_and(|successor| {
        successor != owner && should_own.as_ref() == Some(&successor.node)
    });
    // One of an earlier build takes over without a word.
    let is_silent = should_own
        .as_ref()
        .and_then(|node| view.nodes.get(node))
        .is_some_and(|facts| !facts.announces);
    is_announced || is_silent || others.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{NodeFacts, PlacementFacts};

    fn owner(node: &str) -> OwnerFacts {
        OwnerFacts {
            node: node.to_owned(),
            instance: "i".to_owned(),
        }
    }

    /// Two nodes; the first has partition 0, which should be the second's.
    fn view(change: impl FnOnce(&mut View)) -> View {
        let facts = NodeFacts {
            address: "h:1".to_owned(),
            zone: None,
            started: 0,
            version: "0".to_owned(),
            instance: "i".to_owned(),
            draining: false,
            announces: true,
        };
        let mut view = View {
            nodes: ["a", "b"].map(|id| (id.to_owned(), facts.clone())).into(),
            placement: PlacementFacts {
                owners: vec![Some("b".to_owned())],
            },
            ..View::default()
        };
        change(&mut view);
        view
    }

    fn lets_go(change: impl FnOnce(&mut View)) -> bool {
        may_let_go(&view(change), PartitionId::own(0), &owner("a"))
    }

    #[test]
    fn an_owner_waits_for_the_node_that_should_own() {
        let partition = PartitionId::own(0);
        assert!(!lets_go(|_| {}));
        assert!(lets_go(|view| {
            view.successors.insert(partition, owner("b"));
        }));
        assert!(!lets_go(|view| {
            view.successors.insert(partition, owner("c"));
        }));
        assert!(!lets_go(|view| {
            view.successors.insert(PartitionId::own(1), owner("b"));
        }));
    }

    #[test]
    fn nobody_is_waited_for_who_cannot_announce() {
        let leave = |view: &mut View, change: fn(&mut NodeFacts)| {
            change(view.nodes.get_mut("b").expect("the other node"));
        };
        assert!(lets_go(|view| leave(view, |b| b.draining = true)));
        assert!(lets_go(|view| leave(view, |b| b.announces = false)));
        assert!(lets_go(|view| drop(view.nodes.remove("b"))));
        let joined_by_another = |view: &mut View| {
            let other = view.nodes["a"].clone();
            view.nodes.insert("c".to_owned(), other);
        };
        assert!(!lets_go(joined_by_another));
        assert!(lets_go(|view| {
            joined_by_another(view);
            leave(view, |b| b.announces = false);
        }));
    }
}
