//! After a write: whether look-ups will find its rows of the index, and filing them again where
//! they may not.
//!
//! Another owner may have merged the generation that was written to: one that took over meanwhile,
//! or one that was superseded and does not know it yet. It seals a generation before it reads it.
//! So a look at the list of the day after the rows were acknowledged decides: where there is no
//! seal, whoever seals later reads them; where there is one they may have come too late, and are
//! filed again above it. That is one small read for each partition and stretch of days of a write.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use minutehand_model::{PartitionId, Timestamp, time};
use minutehand_ports::{ErrorClass, PortError};

use crate::clock;
use crate::index_tiers::{Held, Tier};
use crate::task_index::IndexRow;
use crate::timetable::CassandraTimetable;
use crate::written::Day;

/// How often the rows of one write are filed again.
const REFILED_MAX: usize = 8;
/// Days so far apart are asked for one by one; nearer ones as one stretch.
const APART_MS: i64 = 3 * time::DAY_MS;
/// Questions and rows at once.
const AT_ONCE: usize = 8;

impl CassandraTimetable {
    /// Files rows again whose generation was sealed meanwhile.
    pub(crate) async fn refile_what_was_merged(
        &self,
        mut index: Vec<IndexRow>,
        mut filed: BTreeMap<Tier, Held>,
        action: &str,
    ) -> Result<(), PortError> {
        for _ in 0..REFILED_MAX {
            let merged = self.merged_meanwhile(&filed, action).await?;
            if merged.is_empty() {
                return Ok(());
            }
            tracing::debug!(?merged, "rows of the index are filed again");
            for (partition, day, _) in &merged {
                self.tiers.forget_day(*partition, *day);
            }
            index.retain(|row| merged.contains(&row.tier()));
            debug_assert!(!index.is_empty(), "something was filed there");
            filed = self.file(&index, action).await?;
            self.write_again(&index, &filed, action).await?;
        }
        let reason = "other owners merge the index of tasks again and again";
        Err(PortError::new(ErrorClass::Retry, action, reason))
    }

    /// The tiers whose generation does not keep what was filed there.
    async fn merged_meanwhile(
        &self,
        filed: &BTreeMap<Tier, Held>,
        action: &str,
    ) -> Result<BTreeSet<Tier>, PortError> {
        let asked = stretches(filed.keys().map(|(partition, day, _)| (*partition, *day)));
        let merged: Vec<Vec<Tier>> = stream::iter(asked)
            .map(|(partition, (first, last))| async move {
                let listing = self.listing(partition, (first, last), action).await?;
                let asked = filed.iter().filter(|((of, day, _), held)| {
                    let is_asked = *of == partition && (first..=last).contains(day);
                    is_asked && !listing.keeps(*day, ***held)
                });
                Ok::<_, PortError>(asked.map(|(tier, _)| *tier).collect())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(merged.into_iter().flatten().collect())
    }

    async fn write_again(
        &self,
        index: &[IndexRow],
        filed: &BTreeMap<Tier, Held>,
        action: &str,
    ) -> Result<(), PortError> {
        let now = clock::now();
        for ((partition, day, _), held) in filed {
            let listed: Day = (*partition, *day, held.number());
            self.write_day(listed, now, action).await?;
        }
        let shelf = |row: &IndexRow| *filed[&row.tier()];
        let rows: Vec<_> = index.iter().map(|row| (row.clone(), shelf(row))).collect();
        stream::iter(rows)
            .map(|(row, shelf)| self.write_index(row, shelf, now, action))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// Days as stretches, each asked for at once.
fn stretches(
    days: impl Iterator<Item = (PartitionId, Timestamp)>,
) -> Vec<(PartitionId, (Timestamp, Timestamp))> {
    let mut all: Vec<(PartitionId, (Timestamp, Timestamp))> = Vec::new();
    for (partition, day) in days.collect::<BTreeSet<_>>() {
        match all.last_mut() {
            Some((of, (_, last))) if *of == partition && day.millis_since(*last) <= APART_MS => {
                *last = day;
            }
            _ => all.push((partition, (day, day))),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_lie_near_are_one_question() {
        let day = |number: i64| Timestamp::from_millis(number * time::DAY_MS);
        let (one, other) = (PartitionId::own(1), PartitionId::own(2));
        let days = [(other, 1), (one, 1), (one, 2), (one, 5), (one, 9), (one, 1)];
        let asked = stretches(days.into_iter().map(|(of, number)| (of, day(number))));
        let expected = [(one, 1, 5), (one, 9, 9), (other, 1, 1)];
        let expected = expected.map(|(of, first, last)| (of, (day(first), day(last))));
        assert_eq!(asked, expected);
    }
}
