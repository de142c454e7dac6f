//! Merging rows of the index into the next level: written there first, then taken away where they
//! were.
//!
//! An owner that was superseded may still be merging, paused for as long as a process can be. So
//! whoever merges generations seals them first, and then reads them; and whoever has merged into a
//! generation takes nothing away unless that generation is then listed and not sealed. Either its
//! rows were acknowledged before the seal, and are read by who sealed; or it sees the seal. The
//! same holds for whoever only writes (`refile.rs`).

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use minutehand_model::{PartitionId, Timestamp};
use minutehand_ports::{ErrorClass, PortError};
use scylla::value::CqlTimestamp;

use crate::clock;
use crate::error::failed;
use crate::index_tiers::{Held, Tier};
use crate::task_index::{self, Shelf};
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;
use crate::written::Day;

/// Shards that are merged at once.
const SHARDS_AT_ONCE: usize = 4;

impl CassandraTimetable {
    /// Learns which generations of a day are there, when it is written to first.
    pub(crate) async fn learn_tiers(
        &self,
        days: &BTreeSet<(PartitionId, Timestamp)>,
        action: &str,
    ) -> Result<(), PortError> {
        for (partition, day) in days {
            if !self.tiers.knows(*partition, *day) {
                let listing = self.listing(*partition, (*day, *day), action).await?;
                self.tiers.found(*partition, *day, &listing);
            }
        }
        Ok(())
    }

    /// Merges what is ripe at these tiers, and at those above them. What cannot be merged now is
    /// merged later: until then look-ups read more.
    pub(crate) async fn merge_ripe(&self, tiers: impl IntoIterator<Item = Tier>) {
        let Ok(_alone) = self.merging.try_lock() else {
            return;
        };
        for (partition, day, lowest) in tiers {
            for level in lowest..task_index::LEVEL_MAX {
                let tier = (partition, day, level);
                let ripe = self.tiers.to_merge(tier);
                let Some(newest) = ripe.iter().map(|held| **held).max() else {
                    break;
                };
                if let Err(error) = self.merge(tier, &ripe, newest).await {
                    tracing::warn!(%error, "rows of the index of tasks are merged later; look-ups read more until then");
                    break;
                }
                self.tiers.merged(tier, &ripe);
            }
        }
    }

    async fn merge(&self, tier: Tier, ripe: &[Held], newest: Shelf) -> Result<(), PortError> {
        let (partition, day, level) = tier;
        let action = format!("merge the index of partition {partition}, {day}, level {level}");
        let now = clock::now();
        let target = self.tiers.file((partition, day, level + 1));
        self.write_day((partition, day, target.number()), now, &action)
            .await?;
        self.write_day((partition, day, newest.seal()), now, &action)
            .await?;
        stream::iter((0..newest.shards()).map(Ok))
            .try_for_each_concurrent(SHARDS_AT_ONCE, |shard| {
                self.merge_shard(tier, ripe, shard, &target, &action)
            })
            .await?;
        let listing = self.listing(partition, (day, day), &action).await?;
        if !listing.keeps(day, *target) {
            self.tiers.forget_day(partition, day);
            let reason = "another owner merges the index of this day";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        }
        // First from the list: a look-up that finds a row gone finds the list changed. The seal
        // stays, for whoever writes there still.
        let seals = listing.seals_below(day, newest).map(Shelf::seal);
        for number in ripe.iter().map(|held| held.number()).chain(seals) {
            self.delete_day((partition, day, number), &action).await?;
        }
        let mut gone: Vec<(Shelf, i16)> = Vec::new();
        for held in ripe {
            let shelf = **held;
            gone.extend((0..shelf.shards()).map(|shard| (shelf, shard)));
        }
        stream::iter(gone.into_iter().map(Ok))
            .try_for_each_concurrent(SHARDS_AT_ONCE, |(shelf, shard)| {
                self.delete_index_shard((partition, day, shelf), shard, &action)
            })
            .await
    }

    async fn delete_day(
        &self,
        (partition, day, number_of_shelf): Day,
        action: &str,
    ) -> Result<(), PortError> {
        let values = (&self.region, number(partition), cql(day), number_of_shelf);
        let answer = self
            .session
            .execute_unpaged(&self.statements.delete_day, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }

    async fn merge_shard(
        &self,
        tier: Tier,
        ripe: &[Held],
        shard: i16,
        target: &Held,
        action: &str,
    ) -> Result<(), PortError> {
        let (partition, day, _) = tier;
        let mut contents = Vec::new();
        for held in ripe {
            self.index_rows(partition, day, (**held, shard), action, |pointers| {
                contents.extend(pointers.map(Bytes::copy_from_slice));
                Ok(())
            })
            .await?;
        }
        let rows = task_index::merged(tier, &contents).map_err(|reason| {
            PortError::new(
                ErrorClass::Fatal,
                action,
                format!("shard {shard}: {reason}"),
            )
        })?;
        let now = clock::now();
        stream::iter(rows)
            .map(|row| self.write_index(row, **target, now, action))
            .buffer_unordered(SHARDS_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// What names a shard of a generation of the index.
    pub(crate) fn index_shard(
        &self,
        (partition, day, shelf): (PartitionId, Timestamp, Shelf),
        shard: i16,
    ) -> (&str, i32, CqlTimestamp, i16, i16) {
        let (partition, day) = (number(partition), cql(day));
        (&self.region, partition, day, shelf.number(), shard)
    }

    async fn delete_index_shard(
        &self,
        generation: (PartitionId, Timestamp, Shelf),
        shard: i16,
        action: &str,
    ) -> Result<(), PortError> {
        let values = self.index_shard(generation, shard);
        let answer = self
            .session
            .execute_unpaged(&self.statements.delete_index, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }
}
