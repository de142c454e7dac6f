//! What the region's keys say, as of one revision.

use std::collections::BTreeMap;

use etcd_client::{Event, EventType, KeyValue};
use minutehand_model::PartitionId;

use crate::keys::{Keys, NodeFacts, OwnerFacts, PlacementFacts, Subject};

/// The region at one revision of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The revision: every change up to it is in here.
    pub(crate) revision: i64,
    /// The members.
    pub(crate) nodes: BTreeMap<String, NodeFacts>,
    /// Who owns what, and the revision at which each ownership began.
    pub(crate) partitions: BTreeMap<PartitionId, Owned>,
    /// Who would take a partition over now.
    pub(crate) successors: BTreeMap<PartitionId, OwnerFacts>,
    /// Who should own what.
    pub(crate) placement: PlacementFacts,
    /// The revision of the placement's last change; 0 when there is none.
    pub(crate) placement_revision: i64,
}

/// A partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    /// Whose it is.
    pub(crate) owner: OwnerFacts,
    /// The revision of its creation.
    pub(crate) create_revision: i64,
}

impl View {
    /// The view that a list at a revision gives.
    pub(crate) fn listed(keys: &Keys, revision: i64, entries: &[KeyValue]) -> View {
        let mut view = View {
            revision,
            ..View::default()
        };
        for entry in entries {
            view.put(keys, entry);
        }
        view
    }

    /// Takes over what was changed.
    pub(crate) fn apply(&mut self, keys: &Keys, event: &Event) {
        let Some(entry) = event.kv() else { return };
        self.revision = self.revision.max(entry.mod_revision());
        match event.event_type() {
            EventType::Put => self.put(keys, entry),
            EventType::Delete => self.delete(keys, entry.key()),
        }
    }

    /// The revision at which the present ownership of a partition began; `None` when it is free.
    pub(crate) fn owned_since(&self, partition: PartitionId) -> Option<i64> {
        self.partitions
            .get(&partition)
            .map(|owned| owned.create_revision)
    }

    fn put(&mut self, keys: &Keys, entry: &KeyValue) {
        match keys.subject(entry.key()) {
            Some(Subject::Node(id)) => match understood(entry) {
                Some(facts) => drop(self.nodes.insert(id, facts)),
                None => drop(self.nodes.remove(&id)),
            },
            Some(Subject::Partition(partition)) => {
                // A key that cannot be read is still a key: somebody has the partition.
                let unknown = || OwnerFacts {
                    node: "(unreadable)".to_owned(),
                    instance: String::new(),
                };
                let owner = understood(entry).unwrap_or_else(unknown);
                let owned = Owned {
                    owner,
                    create_revision: entry.create_revision(),
                };
                self.partitions.insert(partition, owned);
            }
            Some(Subject::Successor(partition)) => match understood(entry) {
                Some(successor) => drop(self.successors.insert(partition, successor)),
                None => drop(self.successors.remove(&partition)),
            },
            Some(Subject::Placement) => {
                self.placement = understood(entry).unwrap_or_default();
                self.placement_revision = entry.mod_revision();
            }
            Some(Subject::Config) | None => {}
        }
    }

    fn delete(&mut self, keys: &Keys, key: &[u8]) {
        match keys.subject(key) {
            Some(Subject::Node(id)) => drop(self.nodes.remove(&id)),
            Some(Subject::Partition(partition)) => drop(self.partitions.remove(&partition)),
            Some(Subject::Successor(partition)) => drop(self.successors.remove(&partition)),
            Some(Subject::Placement) => {
                self.placement = PlacementFacts::default();
                self.placement_revision = 0;
            }
            Some(Subject::Config) | None => {}
        }
    }
}

/// The value, or a warning and nothing.
fn understood<T: serde::de::DeserializeOwned>(entry: &KeyValue) -> Option<T> {
    let value = serde_json::from_slice(entry.value());
    value
        .inspect_err(|error| {
            let key = String::from_utf8_lossy(entry.key());
            tracing::warn!(%key, %error, "the key holds something that this release cannot read");
        })
        .ok()
}
