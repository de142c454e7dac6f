//! Where each partition is, for gateways.

use std::collections::BTreeMap;
use std::sync::Arc;

use minutehand_model::{Epoch, PartitionId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Etcd, persistently};
use crate::config::EtcdConfig;
use crate::error::StartError;
use crate::follow::{follow, list};
use crate::supervise::Supervised;
use crate::view::View;

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOwner {
    /// The node's id.
    pub node: String,
    /// Where it is reached, as it says itself.
    pub address: String,
    /// The epoch of its ownership.
    pub epoch: Epoch,
}

/// Follows who owns what. It holds no lease and owns nothing.
pub struct Directory {
    owners: watch::Receiver<BTreeMap<PartitionId, PartitionOwner>>,
    tasks: Supervised,
}

impl Directory {
    /// Connects, reads who owns what, and follows it in tasks that end when the directory is
    /// dropped.
    ///
    /// # Errors
    /// As `EtcdCoordinator::start`.
    pub async fn open(config: &EtcdConfig, partitions: u32) -> Result<Directory, StartError> {
        Box::pin(Directory::begin(config, partitions)).await
    }

    async fn begin(config: &EtcdConfig, partitions: u32) -> Result<Directory, StartError> {
        let etcd = Etcd::open(config, partitions).await?;
        let view = persistently(|| list(&etcd)).await;
        let view = view.map_err(|error| etcd.start_error("list the region's keys", error))?;
        let (sender, owners) = watch::channel(owners(&etcd, &view));
        let (view_sender, view) = watch::channel(Arc::new(view));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(etcd.clone(), view_sender));
        tasks.spawn(keep(etcd, view, sender));
        Ok(Directory {
            owners,
            tasks: Supervised::new("directory", tasks),
        })
    }

    /// Why it follows nothing any more, once one of its tasks has panicked.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.tasks.failed()
    }

    /// The partitions that somebody owns, kept up to date. While etcd is away it stays as it was.
    pub fn owners(&self) -> watch::Receiver<BTreeMap<PartitionId, PartitionOwner>> {
        self.owners.clone()
    }
}

async fn keep(
    etcd: Etcd,
    mut view: watch::Receiver<Arc<View>>,
    sender: watch::Sender<BTreeMap<PartitionId, PartitionOwner>>,
) {
    while view.changed().await.is_ok() {
        let next = owners(&etcd, &view.borrow_and_update());
        sender.send_if_modified(|known| {
            let is_news = *known != next;
            *known = next;
            is_news
        });
    }
}

fn owners(etcd: &Etcd, view: &View) -> BTreeMap<PartitionId, PartitionOwner> {
    let owner = |(partition, owned): (&PartitionId, &crate::view::Owned)| {
        let node = &owned.owner.node;
        let facts = view
            .nodes
            .get(node)
            .filter(|facts| facts.instance == owned.owner.instance);
        let epoch = etcd.epoch(owned.create_revision)?;
        let address = facts.map(|facts| facts.address.clone())?;
        Some((
            *partition,
            PartitionOwner {
                node: node.clone(),
                address,
                epoch,
            },
        ))
    };
    view.partitions.iter().filter_map(owner).collect()
}
