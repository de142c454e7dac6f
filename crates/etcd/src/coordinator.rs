//! The `Coordinator` of a node in a cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::{Epoch, PartitionId, Timestamp};
use minutehand_ports::{Coordinator, PortError};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;

use crate::acquire::{Acquirer, Hold};
use crate::assign::Assigner;
use crate::client::{CALL_TIMEOUT, Etcd, now, persistently, within};
use crate::config::{EtcdConfig, MemberConfig};
use crate::error::StartError;
use crate::follow::{follow, list};
use crate::keys::{NodeFacts, OwnerFacts};
use crate::lease::{Grant, Keeper, Standing, Wish, expire, grant};
use crate::own_thread::{OwnThread, on_own_thread};
use crate::pulse::{Beats, Pulse};
use crate::reap::reap;
use crate::supervise::Supervised;
use crate::view::View;

/// A node's lease, its place among the members, and the partitions it holds.
///
/// Dropping it leaves everything to the lease's end, as a crash does. A process that ends in order
/// calls [`EtcdCoordinator::withdraw`], hands its partitions over, and then calls
/// [`EtcdCoordinator::shutdown`].
pub struct EtcdCoordinator {
    membership: Membership,
    _pulse: Pulse,
    _thread: OwnThread,
}

/// What a node has of its membership. Its tasks run on a thread of their own.
struct Membership {
    etcd: Etcd,
    acquirer: Arc<Acquirer>,
    assignment: watch::Receiver<BTreeSet<PartitionId>>,
    placed: watch::Receiver<bool>,
    confirmed_at: watch::Receiver<Timestamp>,
    standing: watch::Receiver<Standing>,
    wish: watch::Sender<Wish>,
    ttl_ms: i64,
    tasks: Mutex<Supervised>,
    failed: watch::Receiver<Option<String>>,
}

impl EtcdCoordinator {
    /// Connects, gets a lease, and goes on to become a member and to follow the region, in tasks of
    /// its own.
    ///
    /// The node is a member a moment later; when a process that had the same id has not been gone
    /// for as long as its lease lives, only after that. Until then its assignment is empty.
    ///
    /// # Errors
    /// When etcd cannot be reached or refuses us, when the region has another number of partitions,
    /// and when a setting is wrong. After the start, failures are waited out: the assignment is
    /// empty while there is no lease.
    pub async fn start(
        config: &EtcdConfig,
        member: &MemberConfig,
        partitions: u32,
    ) -> Result<EtcdCoordinator, StartError> {
        member.check()?;
        let (pulse, beats) = Pulse::begin();
        let (config, member) = (config.clone(), member.clone());
        // On the heap: the driver's futures are large.
        let begin =
            Box::pin(async move { Membership::begin(&config, &member, partitions, beats).await });
        let (membership, thread) = on_own_thread("lease", begin)
            .await
            .map_err(StartError::Thread)?;
        Ok(EtcdCoordinator {
            membership: membership?,
            _pulse: pulse,
            _thread: thread,
        })
    }

    /// Whether the node is a member and every partition is placed with one: what the assignment
    /// says then is its share, even when that is none.
    pub fn placed(&self) -> watch::Receiver<bool> {
        self.membership.placed.clone()
    }

    /// Why this node renews and follows nothing any more, once one of its tasks has panicked: its
    /// lease ends by itself, and the process must end too.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.membership.failed.clone()
    }

    /// The node is to be left without work: the assignment becomes empty, and the other members
    /// share the partitions. What is held stays held until it is released, and the lease is kept
    /// for it.
    pub fn withdraw(&self) {
        self.membership.wish.send_if_modified(|wish| {
            let is_news = *wish == Wish::Member;
            if is_news {
                *wish = Wish::Withdrawn;
            }
            is_news
        });
    }

    /// Revokes the lease, so that whatever is still held is free at once, and ends. When etcd does
    /// not answer, the lease ends by itself.
    pub async fn shutdown(&self) {
        self.membership.wish.send_replace(Wish::Ended);
        let lease = self.membership.standing.borrow().lease;
        self.membership.tasks.lock().await.shutdown().await;
        let Some(lease) = lease else { return };
        let mut client = self.membership.etcd.client();
        if let Err(error) = within(CALL_TIMEOUT, client.lease_revoke(lease)).await {
            tracing::warn!(%error, "could not revoke the lease; it ends by itself");
        }
    }
}

/// With what a membership begins.
struct Beginning {
    view: View,
    granted: Grant,
    beats: Beats,
}

impl Membership {
    async fn begin(
        config: &EtcdConfig,
        member: &MemberConfig,
        partitions: u32,
        beats: Beats,
    ) -> Result<Membership, StartError> {
        let etcd = Etcd::open(config, partitions).await?;
        let view = persistently(|| list(&etcd)).await;
        let view = view.map_err(|error| etcd.start_error("list the region's keys", error))?;
        let granted = persistently(|| grant(&etcd, member.lease_ttl_ms)).await;
        let granted = granted.map_err(|error| etcd.start_error("get a lease", error))?;
        Ok(Membership::on(
            etcd,
            member,
            partitions,
            Beginning {
                view,
                granted,
                beats,
            },
        ))
    }

    fn on(etcd: Etcd, member: &MemberConfig, partitions: u32, beginning: Beginning) -> Membership {
        let Beginning {
            view,
            granted,
            beats,
        } = beginning;
        let started = now();
        // etcd never grants an id twice: so the first lease's tells processes apart.
        let instance = format!("{:x}", granted.lease);
        let (view_sender, view) = watch::channel(Arc::new(view));
        let (assignment_sender, assignment) = watch::channel(BTreeSet::new());
        let (placed_sender, placed) = watch::channel(false);
        let (confirmed_sender, confirmed_at) = watch::channel(granted.asked_at.0);
        let (heard_sender, heard) = watch::channel(granted.asked_at);
        let leased = Standing {
            lease: Some(granted.lease),
            is_live: true,
            ..Standing::default()
        };
        let (standing_sender, standing) = watch::channel(leased);
        let (wish, wishes) = watch::channel(Wish::Member);
        let keeper = Keeper {
            etcd: etcd.clone(),
            node: member.id.clone(),
            facts: NodeFacts {
                address: member.address.clone(),
                zone: member.zone.clone(),
                started: started.as_millis(),
                version: member.version.clone(),
                instance: instance.clone(),
                draining: false,
                announces: true,
            },
            ttl_ms: member.lease_ttl_ms,
            view: view.clone(),
            wish: wishes,
            standing: standing_sender.clone(),
            confirmed_at: confirmed_sender,
            heard: heard_sender,
            beats,
        };
        let assigner = Assigner {
            etcd: etcd.clone(),
            node: member.id.clone(),
            instance: instance.clone(),
            partitions,
            view: view.clone(),
            standing: standing.clone(),
            assignment: assignment_sender,
            placed: placed_sender,
        };
        let acquirer = Arc::new(Acquirer {
            etcd: etcd.clone(),
            owner: OwnerFacts {
                node: member.id.clone(),
                instance,
            },
            holds: (0..partitions)
                .map(|_| Mutex::new(Hold::default()))
                .collect(),
            left_behind: Notify::new(),
            view,
            standing: standing.clone(),
            assignment: assignment.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(etcd.clone(), view_sender));
        tasks.spawn(assigner.run());
        tasks.spawn(reap(Arc::clone(&acquirer)));
        tasks.spawn(expire(heard, granted.ttl, standing_sender));
        tasks.spawn(keeper.run(granted));
        let tasks = Supervised::new("member", tasks);
        let ttl_ms = i64::try_from(granted.ttl.as_millis()).unwrap_or(i64::MAX);
        Membership {
            etcd,
            acquirer,
            assignment,
            placed,
            confirmed_at,
            standing,
            wish,
            ttl_ms,
            failed: tasks.failed(),
            tasks: Mutex::new(tasks),
        }
    }
}

#[async_trait]
impl Coordinator for EtcdCoordinator {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.membership.assignment.clone()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.membership.confirmed_at.clone()
    }

    fn lease_ttl_ms(&self) -> i64 {
        self.membership.ttl_ms
    }

    async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError> {
        self.membership.acquirer.acquire(partition).await
    }

    async fn freed(&self, partition: PartitionId) {
        self.membership.acquirer.freed(partition).await;
    }

    async fn announce(&self, partition: PartitionId) -> Result<(), PortError> {
        self.membership.acquirer.announce(partition).await
    }

    async fn retract(&self, partition: PartitionId) {
        self.membership.acquirer.retract(partition).await;
    }

    async fn successor(&self, partition: PartitionId) {
        self.membership.acquirer.successor(partition).await;
    }

    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), PortError> {
        self.membership.acquirer.release(partition, epoch).await
    }
}
