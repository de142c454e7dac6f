//! The scheduler's side of the stream of statuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use minutehand_model::PartitionId;
use minutehand_node::{OwnerQueries, OwnerStatus};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::HEARTBEAT_MS;
use crate::status::StatusFrame;

/// Frames follow each other no faster than this.
const FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// How often is looked for partitions that came or went, which nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS);

/// What one listener is told: first everything, then what changes.
pub struct StatusFeed {
    owners: Arc<dyn OwnerQueries>,
    told: BTreeMap<PartitionId, OwnerStatus>,
    told_at: Option<Instant>,
}

impl StatusFeed {
    /// A feed that has told nothing yet.
    pub fn new(owners: Arc<dyn OwnerQueries>) -> StatusFeed {
        StatusFeed {
            owners,
            told: BTreeMap::new(),
            told_at: None,
        }
    }

    /// The next frame: at once the first time, then when something changes, and as a sign of life
    /// once a second.
    pub async fn next(&mut self) -> Bytes {
        let Some(told_at) = self.told_at else {
            return self.tell(Instant::now());
        };
        sleep_until(told_at + FRAME_INTERVAL).await;
        while !self.has_news() && Instant::now() < told_at + HEARTBEAT {
            self.wait((Instant::now() + LOOK_INTERVAL).min(told_at + HEARTBEAT))
                .await;
        }
        self.tell(Instant::now())
    }

    fn has_news(&self) -> bool {
        let now = self.owners.statuses();
        now.len() != self.told.len()
            || now
                .iter()
                .any(|(partition, status)| self.told.get(partition) != Some(status))
    }

    /// Waits until an owner's status changes, or for the deadline.
    async fn wait(&self, deadline: Instant) {
        let watched = self.told.iter().filter_map(|(partition, told)| {
            let mut status = self.owners.status(*partition)?;
            Some(async move {
                if status.wait_for(|status| status != told).await.is_err() {
                    // The owner has stopped; that it is gone is found at the next look.
                    std::future::pending::<()>().await;
                }
            })
        });
        let mut changes: FuturesUnordered<_> = watched.collect();
        if changes.is_empty() {
            sleep_until(deadline).await;
        } else {
            // The deadline is one of the two ways in which the wait ends.
            timeout_at(deadline, changes.next()).await.ok();
        }
    }

    fn tell(&mut self, now: Instant) -> Bytes {
        let current: BTreeMap<PartitionId, OwnerStatus> =
            self.owners.statuses().into_iter().collect();
        let is_new = |(partition, status): &(&PartitionId, &OwnerStatus)| {
            self.told.get(partition) != Some(status)
        };
        let changed = current.iter().filter(is_new);
        let frame = StatusFrame {
            changed: changed
                .map(|(partition, status)| (*partition, status.clone()))
                .collect(),
            gone: self
                .told
                .keys()
                .filter(|partition| !current.contains_key(partition))
                .copied()
                .collect(),
        };
        self.told = current;
        self.told_at = Some(now);
        frame.encode()
    }
}
