//! Which days and slices this process has already made known, so that a block costs no second row.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minutehand_model::{PartitionId, Timestamp};

use crate::keys::Slice;

/// Most entries of each kind: a day of one partition has 21,600 slices.
const KNOWN_MAX: usize = 500_000;

/// A row of the table of days: the day and the level its tasks are indexed at.
pub(crate) type Day = (PartitionId, Timestamp, i16);

/// A row of the table of buckets.
pub(crate) type Bucket = (Slice, PartitionId);

/// What has been written and acknowledged. Writing a row again is harmless, so forgetting is.
#[derive(Default)]
pub(crate) struct Written {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    days: BTreeSet<Day>,
    buckets: BTreeSet<Bucket>,
}

impl Written {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves those that are not known.
    pub(crate) fn retain_unknown(&self, days: &mut BTreeSet<Day>, buckets: &mut BTreeSet<Bucket>) {
        let known = self.known();
        days.retain(|day| !known.days.contains(day));
        buckets.retain(|bucket| !known.buckets.contains(bucket));
    }

    /// These rows have been acknowledged.
    pub(crate) fn acknowledged(&self, days: BTreeSet<Day>, buckets: BTreeSet<Bucket>) {
        let mut known = self.known();
        known.days.extend(days);
        known.buckets.extend(buckets);
        // What lies furthest in the past is asked for least.
        while known.buckets.len() > KNOWN_MAX {
            known.buckets.pop_first();
        }
        while known.days.len() > KNOWN_MAX {
            known.days.pop_first();
        }
    }

    /// The days of a partition are made known again: another owner may have taken rows away.
    pub(crate) fn forget(&self, partition: PartitionId) {
        self.known().days.retain(|(of, _, _)| *of != partition);
    }

    /// Nothing will be written before a time any more, or it will be made known again.
    pub(crate) fn forget_before(&self, before: Timestamp) {
        let mut known = self.known();
        let first = (
            Slice {
                bucket: before.floor_to_minute(),
                number: 0,
            },
            PartitionId::own(0),
        );
        known.buckets = known.buckets.split_off(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unknown_is_left_to_write() {
        let written = Written::default();
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let bucket = |minute| {
            (
                Slice {
                    bucket: at(minute),
                    number: 0,
                },
                PartitionId::own(0),
            )
        };
        let day = (PartitionId::own(0), at(0), 0);
        let (days, buckets) = (
            BTreeSet::from([day]),
            BTreeSet::from([bucket(1), bucket(2)]),
        );
        written.acknowledged(days.clone(), buckets.clone());
        let (mut new_days, mut new_buckets) =
            (days.clone(), BTreeSet::from([bucket(2), bucket(3)]));
        written.retain_unknown(&mut new_days, &mut new_buckets);
        assert_eq!(
            (new_days.len(), new_buckets),
            (0, BTreeSet::from([bucket(3)]))
        );
        written.forget_before(at(2));
        let (mut days, mut buckets) = (days, buckets);
        written.retain_unknown(&mut days, &mut buckets);
        assert_eq!((days.len(), buckets), (0, BTreeSet::from([bucket(1)])));
    }
}
