//! Who should own what: the placement that the members write, and this node's part of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use minutehand_model::PartitionId;
use minutehand_model::placement::place;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Etcd;
use crate::error::CallError;
use crate::keys::{PlacementFacts, encode};
use crate::lease::Standing;
use crate::pause::Backoff;
use crate::view::View;

/// How long a change of members that leaves no partition without a willing owner is given to be
/// followed by more, and how long a new member leaves placing to those that were there before.
///
/// So nodes that come up together, or come back together after they lost their leases, find their
/// places at once instead of one after the other, each time moving what the one before has just
/// taken.
const SETTLE: Duration = Duration::from_millis(500);

/// Keeps the placement and the assignment up to date.
pub(crate) struct Assigner {
    pub(crate) etcd: Etcd,
    /// The node's id.
    pub(crate) node: String,
    /// This process.
    pub(crate) instance: String,
    /// The region's number of partitions.
    pub(crate) partitions: u32,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) assignment: watch::Sender<BTreeSet<PartitionId>>,
    /// Whether this node is a willing member, and the placement fits all of them.
    pub(crate) placed: watch::Sender<bool>,
}

impl Assigner {
    /// Runs for ever.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut since = Since::default();
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            let standing = *self.standing.borrow_and_update();
            let is_member = self.is_member(&view, standing);
            let is_willing = is_member && standing.is_member && !standing.is_withdrawn;
            let assigned = if is_willing {
                assigned(&view, &self.node)
            } else {
                BTreeSet::new()
            };
            self.assignment
                .send_if_modified(|known| std::mem::replace(known, assigned.clone()) != assigned);
            let planned = plan(&view, self.partitions).filter(|_| is_member);
            let is_placed = is_willing && planned.is_none();
            self.placed
                .send_if_modified(|known| std::mem::replace(known, is_placed) != is_placed);
            let due = since.due(is_member, planned.as_ref().map(|_| has_orphans(&view)));
            let mut again = None;
            match planned.zip(due) {
                Some((planned, due)) if due <= Instant::now() => {
                    // Whoever wrote it first, it comes with the watch.
                    if let Err(error) = self.write(&view, &planned).await {
                        tracing::debug!(%error, "could not write the placement");
                        again = Some(Instant::now() + backoff.next());
                    }
                }
                planned => again = planned.map(|(_, due)| due),
            }
            tokio::select! {
                Ok(()) = self.view.changed() => {}
                Ok(()) = self.standing.changed() => {}
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
                else => return,
            }
        }
    }

    fn is_member(&self, view: &View, standing: Standing) -> bool {
        let is_known = || {
            view.nodes
                .get(&self.node)
                .is_some_and(|facts| facts.instance == self.instance)
        };
        standing.is_live && is_known()
    }

    /// Replaces the placement, if it is still the one that the new one was made from.
    async fn write(&self, view: &View, planned: &PlacementFacts) -> Result<(), CallError> {
        let key = self.etcd.keys().placement();
        let is_same = Compare::mod_revision(key.clone(), CompareOp::Equal, view.placement_revision);
        let put = TxnOp::put(key, encode(planned), None);
        let answer = self
            .etcd
            .txn(Txn::new().when([is_same]).and_then([put]))
            .await?;
        if answer.succeeded() {
            tracing::info!(members = view.nodes.len(), "placed the partitions anew");
        }
        Ok(())
    }
}

/// Since when something has been so.
#[derive(Debug, Default)]
struct Since {
    /// This node is a member.
    member: Option<Instant>,
    /// The placement does not fit the members.
    unfit: Option<Instant>,
}

impl Since {
    /// When the placement should be replaced, if it should: at once when partitions have no willing
    /// owner.
    fn due(&mut self, is_member: bool, planned: Option<HasOrphans>) -> Option<Instant> {
        let now = Instant::now();
        self.member = is_member.then(|| self.member.unwrap_or(now));
        self.unfit = planned.map(|_| self.unfit.unwrap_or(now));
        let (member, unfit) = (self.member?, self.unfit?);
        let is_urgent = planned.is_some_and(|HasOrphans(has_orphans)| has_orphans);
        Some((member + SETTLE).max(if is_urgent { unfit } else { unfit + SETTLE }))
    }
}

/// Whether some partition should be owned by a node that is gone, or wants none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HasOrphans(bool);

fn has_orphans(view: &View) -> HasOrphans {
    let is_willing = |id: &String| view.nodes.get(id).is_some_and(|facts| !facts.draining);
    HasOrphans(
        view.placement
            .owners
            .iter()
            .any(|owner| !owner.as_ref().is_some_and(is_willing)),
    )
}

/// The partitions that a node should own.
fn assigned(view: &View, node: &str) -> BTreeSet<PartitionId> {
    let owners = view.placement.owners.iter();
    let numbered = (0..).map(PartitionId::own).zip(owners);
    numbered
        .filter(|(_, owner)| owner.as_deref() == Some(node))
        .map(|(partition, _)| partition)
        .collect()
}

/// The placement that should replace the present one; `None` when it may stay.
fn plan(view: &View, partitions: u32) -> Option<PlacementFacts> {
    let mut present = view.placement.owners.clone();
    present.resize(partitions as usize, None);
    let willing = view.nodes.iter().filter(|(_, facts)| !facts.draining);
    let owners = place(&willing.map(|(id, _)| id.clone()).collect(), &present);
    (owners != view.placement.owners).then_some(PlacementFacts { owners })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NodeFacts;

    fn view(nodes: &[&str], owners: &[&str]) -> View {
        let facts = NodeFacts {
            address: "h:1".to_owned(),
            zone: None,
            started: 0,
            version: "0".to_owned(),
            instance: "i".to_owned(),
            draining: false,
            announces: true,
        };
        View {
            nodes: nodes
                .iter()
                .map(|id| ((*id).to_owned(), facts.clone()))
                .collect(),
            placement: PlacementFacts {
                owners: owners.iter().map(|id| Some((*id).to_owned())).collect(),
            },
            ..View::default()
        }
    }

    #[test]
    fn a_placement_that_fits_its_members_stays() {
        assert_eq!(plan(&view(&["a", "b"], &["b", "a", "b", "a"]), 4), None);
        let planned = plan(&view(&["a"], &["b", "a", "b", "a"]), 4).expect("b is gone");
        assert_eq!(planned.owners, vec![Some("a".to_owned()); 4]);
        assert_eq!(
            plan(&view(&["a"], &[]), 2).expect("the first").owners.len(),
            2
        );
    }

    #[test]
    fn a_node_that_withdraws_is_left_without_work() {
        let mut view = view(&["a", "b"], &["b", "a"]);
        view.nodes.get_mut("a").expect("a member").draining = true;
        let planned = plan(&view, 2).expect("a withdraws");
        assert_eq!(planned.owners, vec![Some("b".to_owned()); 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unowned_partition_is_placed_at_once_by_a_member() {
        let start = Instant::now();
        let mut since = Since::default();
        assert_eq!(since.due(false, None), None);
        assert_eq!(
            since.due(true, Some(HasOrphans(true))),
            Some(start + SETTLE)
        );
        assert_eq!(since.due(true, None), None);
        tokio::time::advance(SETTLE * 3).await;
        assert_eq!(
            since.due(true, Some(HasOrphans(true))),
            Some(Instant::now())
        );
        assert_eq!(since.due(true, None), None);
        let unfit = Instant::now();
        assert_eq!(
            since.due(true, Some(HasOrphans(false))),
            Some(unfit + SETTLE)
        );
        tokio::time::advance(SETTLE / 2).await;
        assert_eq!(
            since.due(true, Some(HasOrphans(false))),
            Some(unfit + SETTLE)
        );
        let full = view(&["a", "b"], &["b", "a"]);
        assert_eq!(has_orphans(&full), HasOrphans(false));
        assert_eq!(has_orphans(&view(&["a"], &["b", "a"])), HasOrphans(true));
    }

    #[test]
    fn a_node_is_assigned_what_it_should_own() {
        let view = view(&["a", "b"], &["b", "a", "b"]);
        assert_eq!(
            assigned(&view, "b"),
            [PartitionId::own(0), PartitionId::own(2)].into()
        );
        assert_eq!(assigned(&view, "c"), BTreeSet::new());
    }
}
