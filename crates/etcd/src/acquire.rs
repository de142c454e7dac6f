//! Taking partitions and giving them back.
//!
//! A partition key bears the process that created it, and this process keeps a record of what it
//! holds. The two can differ when an answer got lost: a key of ours that the record does not know
//! was created by an `acquire` whose caller was told to try again, or should have been deleted by a
//! `release` that failed. The next `acquire` takes the former over and deletes the latter; what
//! nobody asks for, [`crate::reap`] deletes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use minutehand_model::{Epoch, PartitionId};
use minutehand_ports::{ErrorClass, PortError};
use tokio::sync::{Mutex, MutexGuard, Notify, watch};
use tokio::time::Instant;

use crate::client::Etcd;
use crate::error::CallError;
use crate::keys::{OwnerFacts, encode};
use crate::lease::Standing;
use crate::pause::Backoff;
use crate::view::View;

/// How long `acquire` waits for a partition to become free.
const ACQUIRE_WAIT: Duration = Duration::from_secs(3);

/// What this process knows of its hold on one partition.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The key that is ours: the revision of its creation, and the lease it hangs on.
    pub(crate) held: Option<(i64, i64)>,
    /// The highest revision that was ever granted here: no epoch is given twice.
    granted: i64,
}

/// Takes and releases partition keys.
pub(crate) struct Acquirer {
    pub(crate) etcd: Etcd,
    /// The value of our partition keys.
    pub(crate) owner: OwnerFacts,
    /// One for each partition. Whoever changes a partition's key holds its lock.
    pub(crate) holds: Vec<Mutex<Hold>>,
    /// Told when a key of ours may have been left behind.
    pub(crate) left_behind: Notify,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) assignment: watch::Receiver<BTreeSet<PartitionId>>,
}

/// Why a partition could not be taken at once.
enum Obstacle {
    /// This process has it.
    Ours(i64),
    /// There is no lease to take it under.
    NoLease,
    /// Somebody has it, since that revision; as of the second one.
    Held {
        by: String,
        since: i64,
        revision: i64,
    },
    /// The call failed.
    Failed(CallError),
    /// The revision cannot be an epoch.
    TooHigh(i64),
}

impl Acquirer {
    /// See the port. Waits for a while when somebody has the partition, unless it is no longer
    /// assigned to us.
    pub(crate) async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError> {
        let action = format!("acquire partition {partition}");
        let hold = self.hold(partition, &action)?;
        let was_assigned = self.assignment.borrow().contains(&partition);
        let ends = Instant::now() + ACQUIRE_WAIT;
        let mut backoff = Backoff::default();
        loop {
            let obstacle = match self.attempt(partition, hold.lock().await).await {
                Ok(epoch) => return Ok(epoch),
                Err(obstacle) => obstacle,
            };
            let cause = match &obstacle {
                Obstacle::Ours(_) | Obstacle::TooHigh(_) => return Err(refusal(obstacle, action)),
                Obstacle::Failed(error) if error.class() == ErrorClass::Fatal => {
                    return Err(refusal(obstacle, action));
                }
                obstacle => obstacle,
            };
            let is_worth_it = self.passes(partition, cause, was_assigned, &mut backoff);
            if !tokio::time::timeout_at(ends, is_worth_it)
                .await
                .unwrap_or(false)
            {
                self.left_behind.notify_one();
                return Err(refusal(obstacle, action));
            }
        }
    }

    /// See the port.
    pub(crate) async fn release(
        &self,
        partition: PartitionId,
        epoch: Epoch,
    ) -> Result<(), PortError> {
        let action = format!("release partition {partition}");
        let mut hold = self.hold(partition, &action)?.lock().await;
        let Some(revision) = self.etcd.revision_of(epoch) else {
            return Ok(());
        };
        hold.held = hold.held.filter(|(held, _)| *held != revision);
        let deleted = self
            .etcd
            .delete_created_at(self.etcd.keys().partition(partition), revision)
            .await;
        deleted.map_err(|error| {
            self.left_behind.notify_one();
            error.during(action)
        })
    }

    fn hold(&self, partition: PartitionId, action: &str) -> Result<&Mutex<Hold>, PortError> {
        self.holds.get(partition.index()).ok_or_else(|| {
            let reason = format!("the region has {} partitions", self.holds.len());
            PortError::new(ErrorClass::Fatal, action, reason)
        })
    }

    /// Tries once to create the key, or to take over the one that an earlier try of ours has left.
    async fn attempt(
        &self,
        partition: PartitionId,
        mut hold: MutexGuard<'_, Hold>,
    ) -> Result<Epoch, Obstacle> {
        let standing = *self.standing.borrow();
        let lease = standing
            .lease
            .filter(|_| standing.is_live)
            .ok_or(Obstacle::NoLease)?;
        if let Some((revision, _)) = hold.held.filter(|(_, on)| *on == lease) {
            return Err(Obstacle::Ours(revision));
        }
        let key = self.etcd.keys().partition(partition);
        loop {
            let answer = self
                .create(partition, lease)
                .await
                .map_err(Obstacle::Failed)?;
            let revision = answer
                .header()
                .map_or(0, etcd_client::ResponseHeader::revision);
            if answer.succeeded() {
                return self.granted(&mut hold, revision, lease);
            }
            let found = answer.op_responses().pop();
            let Some(TxnOpResponse::Get(found)) = found else {
                return Err(Obstacle::NoLease);
            };
            let Some(entry) = found.kvs().first() else {
                continue;
            };
            let owner = serde_json::from_slice::<OwnerFacts>(entry.value()).ok();
            if owner.as_ref() != Some(&self.owner) {
                return Err(held_by(owner, entry, revision));
            }
            let since = entry.create_revision();
            if entry.lease() == lease && since > hold.granted {
                return self.granted(&mut hold, since, lease);
            }
            self.etcd
                .delete_created_at(key.clone(), since)
                .await
                .map_err(Obstacle::Failed)?;
        }
    }

    async fn create(
        &self,
        partition: PartitionId,
        lease: i64,
    ) -> Result<etcd_client::TxnResponse, CallError> {
        let key = self.etcd.keys().partition(partition);
        let is_free = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
        let put = TxnOp::put(
            key.clone(),
            encode(&self.owner),
            Some(PutOptions::new().with_lease(lease)),
        );
        self.etcd
            .txn(
                Txn::new()
                    .when([is_free])
                    .and_then([
                        put,
                        TxnOp::delete(self.etcd.keys().successor(partition), None),
                    ])
                    .or_else([TxnOp::get(key, None)]),
            )
            .await
    }

    fn granted(&self, hold: &mut Hold, revision: i64, lease: i64) -> Result<Epoch, Obstacle> {
        let epoch = self
            .etcd
            .epoch(revision)
            .ok_or(Obstacle::TooHigh(revision))?;
        *hold = Hold {
            held: Some((revision, lease)),
            granted: hold.granted.max(revision),
        };
        Ok(epoch)
    }

    /// Waits until the obstacle may be gone; `false` when there is no point in trying again.
    async fn passes(
        &self,
        partition: PartitionId,
        obstacle: &Obstacle,
        was_assigned: bool,
        backoff: &mut Backoff,
    ) -> bool {
        let (mut view, mut standing) = (self.view.clone(), self.standing.clone());
        let mut assignment = self.assignment.clone();
        let is_gone = async {
            match obstacle {
                Obstacle::Held {
                    since, revision, ..
                } => {
                    let is_free = |view: &Arc<View>| {
                        view.revision >= *revision && view.owned_since(partition) != Some(*since)
                    };
                    view.wait_for(is_free).await.is_ok()
                }
                Obstacle::NoLease => standing
                    .wait_for(|standing| standing.lease.is_some() && standing.is_live)
                    .await
                    .is_ok(),
                _ => {
                    tokio::time::sleep(backoff.next()).await;
                    true
                }
            }
        };
        let is_unwanted =
            assignment.wait_for(|assigned| was_assigned && !assigned.contains(&partition));
        tokio::select! {
            is_gone = is_gone => is_gone,
            _ = is_unwanted => false,
        }
    }
}

fn held_by(owner: Option<OwnerFacts>, entry: &KeyValue, revision: i64) -> Obstacle {
    let by = owner.map_or_else(
        || "an unreadable key".to_owned(),
        |owner| format!("node {}", owner.node),
    );
    Obstacle::Held {
        by,
        since: entry.create_revision(),
        revision,
    }
}

fn refusal(obstacle: Obstacle, action: String) -> PortError {
    let retry = |reason: String| PortError::new(ErrorClass::Retry, action.clone(), reason);
    match obstacle {
        Obstacle::Ours(since) => retry(format!(
            "this process holds it since revision {since} of etcd"
        )),
        Obstacle::NoLease => retry("this node has no lease from etcd at present".to_owned()),
        Obstacle::Held { by, since, .. } => {
            retry(format!("{by} holds it since revision {since} of etcd"))
        }
        Obstacle::Failed(error) => error.during(action),
        Obstacle::TooHigh(revision) => {
            let reason = format!("etcd's revision {revision} does not fit into an epoch (48 bits)");
            PortError::new(ErrorClass::Fatal, action, reason)
        }
    }
}
